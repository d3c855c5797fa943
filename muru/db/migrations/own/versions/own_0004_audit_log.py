"""What administrators did."""

import sqlalchemy as sa
from alembic import op

from muru.db.models import UtcDateTime, text

revision = "own_0004"
down_revision = "own_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "muru_audit_log",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("username", text(64), nullable=False),
        sa.Column("action", text(50), nullable=False),
        sa.Column("target", text(255), nullable=False),
        sa.Column("outcome", text(255), nullable=False),
        mysql_charset="utf8mb4",
        mariadb_charset="utf8mb4",
    )
    op.create_index("ix_muru_audit_log_at", "muru_audit_log", ["at"])


def downgrade() -> None:
    op.drop_table("muru_audit_log")
