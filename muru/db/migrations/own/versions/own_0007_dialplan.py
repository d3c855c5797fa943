"""Own numbers of the operator's, with their versions, and whose each number is."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from muru.db.models import UtcDateTime, text

revision = "own_0007"
down_revision = "own_0006"
branch_labels = None
depends_on = None

_TABLE: dict[str, Any] = {"mysql_charset": "utf8mb4", "mariadb_charset": "utf8mb4"}


def upgrade() -> None:
    op.create_table(
        "muru_dialplan_numbers",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("number", text(15), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.UniqueConstraint("number", name="uq_muru_dialplan_numbers_number"),
        **_TABLE,
    )
    op.create_table(
        "muru_dialplan_versions",
        sa.Column("number", text(15), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("steps", sa.JSON, nullable=False),
        sa.Column("username", text(64), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("comment", text(200), nullable=False),
        **_TABLE,
    )
    op.create_table(
        "muru_numbers",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("number", text(15), nullable=False),
        sa.Column("extension_id", sa.Integer),
        sa.Column("dialplan_number_id", sa.Integer),
        sa.UniqueConstraint("number", name="uq_muru_numbers_number"),
        sa.UniqueConstraint("extension_id", name="uq_muru_numbers_extension_id"),
        sa.UniqueConstraint("dialplan_number_id", name="uq_muru_numbers_dialplan_number_id"),
        sa.ForeignKeyConstraint(
            ["extension_id"],
            ["muru_extensions.id"],
            name="fk_muru_numbers_extension_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["dialplan_number_id"],
            ["muru_dialplan_numbers.id"],
            name="fk_muru_numbers_dialplan_number_id",
            ondelete="CASCADE",
        ),
        **_TABLE,
    )
    op.execute(
        "INSERT INTO muru_numbers (number, extension_id) SELECT number, id FROM muru_extensions"
    )


def downgrade() -> None:
    op.drop_table("muru_numbers")
    op.drop_table("muru_dialplan_versions")
    op.drop_table("muru_dialplan_numbers")
