"""Numbers that are kept for whoever deleted an extension."""

import sqlalchemy as sa
from alembic import op

from muru.db.models import UtcDateTime, text

revision = "own_0006"
down_revision = "own_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "muru_kept_numbers",
        sa.Column("number", text(15), primary_key=True),
        sa.Column("owner_id", sa.Integer, nullable=False),
        sa.Column("until", UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["muru_users.id"],
            name="fk_muru_kept_numbers_owner_id",
            ondelete="CASCADE",
        ),
        mysql_charset="utf8mb4",
        mariadb_charset="utf8mb4",
    )
    op.create_index("ix_muru_kept_numbers_owner_id", "muru_kept_numbers", ["owner_id"])


def downgrade() -> None:
    op.drop_table("muru_kept_numbers")
