"""Music on hold: its classes, and that of an endpoint."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "realtime_0002"
down_revision = "realtime_0001"
branch_labels = None
depends_on = None

_TABLE: dict[str, Any] = {"mysql_charset": "utf8mb4", "mariadb_charset": "utf8mb4"}


def upgrade() -> None:
    inspector = sa.inspect(op.get_bind())
    if "musiconhold" not in inspector.get_table_names():
        op.create_table(
            "musiconhold",
            sa.Column("name", sa.String(80), primary_key=True),
            sa.Column("mode", sa.String(16)),
            sa.Column("directory", sa.String(255)),
            **_TABLE,
        )
    columns = {column["name"] for column in inspector.get_columns("ps_endpoints")}
    if "moh_suggest" not in columns:
        op.add_column("ps_endpoints", sa.Column("moh_suggest", sa.String(40)))


def downgrade() -> None:
    # The table and the column are Asterisk's, and may hold what is not muru's.
    pass
