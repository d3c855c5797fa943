"""Which phones came and went, how long they took to answer, and which are there."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from muru.db.models import UtcDateTime, text

revision = "own_0003"
down_revision = "own_0002"
branch_labels = None
depends_on = None

_TABLE: dict[str, Any] = {"mysql_charset": "utf8mb4", "mariadb_charset": "utf8mb4"}


def upgrade() -> None:
    op.create_table(
        "muru_registration_history",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("extension", text(15), nullable=False),
        sa.Column("kind", text(16), nullable=False),
        sa.Column("uri", text(255), nullable=False),
        sa.Column("address", text(100)),
        sa.Column("previous", text(100)),
        sa.Column("user_agent", text(255)),
        sa.Column("count", sa.Integer, nullable=False),
        **_TABLE,
    )
    op.create_table(
        "muru_round_trips",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("extension", text(15), nullable=False),
        sa.Column("uri", text(255), nullable=False),
        sa.Column("rtt_ms", sa.Double, nullable=False),
        **_TABLE,
    )
    for table in ("muru_registration_history", "muru_round_trips"):
        op.create_index(f"ix_{table}_at", table, ["at"])
        op.create_index(f"ix_{table}_extension", table, ["extension", "at"])
    op.create_table(
        "muru_known_contacts",
        sa.Column("extension", text(15), primary_key=True),
        sa.Column("uri", text(255), primary_key=True),
        sa.Column("user_agent", text(255)),
        sa.Column("since", UtcDateTime, nullable=False),
        **_TABLE,
    )


def downgrade() -> None:
    for table in ("muru_known_contacts", "muru_round_trips", "muru_registration_history"):
        op.drop_table(table)
