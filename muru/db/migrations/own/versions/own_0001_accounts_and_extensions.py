"""Accounts, logins, invites and extensions."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from muru.db.models import UtcDateTime, text

revision = "own_0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLE: dict[str, Any] = {"mysql_charset": "utf8mb4", "mariadb_charset": "utf8mb4"}


def upgrade() -> None:
    op.create_table(
        "muru_users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("username", text(64), nullable=False),
        sa.Column("password_hash", text(255), nullable=False),
        sa.Column("role", text(16), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("username", name="uq_muru_users_username"),
        **_TABLE,
    )
    op.create_table(
        "muru_tokens",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", text(64), nullable=False),
        sa.Column("kind", text(16), nullable=False),
        sa.Column("label", text(100), nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime),
        sa.UniqueConstraint("digest", name="uq_muru_tokens_digest"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["muru_users.id"], name="fk_muru_tokens_user_id", ondelete="CASCADE"
        ),
        **_TABLE,
    )
    op.create_index("ix_muru_tokens_user_id", "muru_tokens", ["user_id"])
    op.create_table(
        "muru_invites",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("code", text(64), nullable=False),
        sa.Column("note", text(200), nullable=False),
        sa.Column("max_uses", sa.Integer),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("expires_at", UtcDateTime),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("code", name="uq_muru_invites_code"),
        **_TABLE,
    )
    op.create_table(
        "muru_extensions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("number", text(15), nullable=False),
        sa.Column("name", text(128), nullable=False),
        sa.Column("type", text(100), nullable=False),
        sa.Column("password", text(64), nullable=False),
        sa.Column("token", text(32), nullable=False),
        sa.Column("info", text(1000), nullable=False),
        sa.Column("public", sa.Boolean, nullable=False),
        sa.Column("location", sa.JSON),
        sa.Column("extra_fields", sa.JSON, nullable=False),
        sa.Column("owner_id", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("number", name="uq_muru_extensions_number"),
        sa.UniqueConstraint("token", name="uq_muru_extensions_token"),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["muru_users.id"], name="fk_muru_extensions_owner_id", ondelete="RESTRICT"
        ),
        **_TABLE,
    )
    op.create_index("ix_muru_extensions_type", "muru_extensions", ["type"])
    op.create_index("ix_muru_extensions_owner_id", "muru_extensions", ["owner_id"])


def downgrade() -> None:
    for table in ("muru_extensions", "muru_invites", "muru_tokens", "muru_users"):
        op.drop_table(table)
