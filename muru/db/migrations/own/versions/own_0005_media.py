"""Media that people upload, and which extension has which."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from muru.db.models import UtcDateTime, text

revision = "own_0005"
down_revision = "own_0004"
branch_labels = None
depends_on = None

_TABLE: dict[str, Any] = {"mysql_charset": "utf8mb4", "mariadb_charset": "utf8mb4"}


def upgrade() -> None:
    op.add_column(
        "muru_extensions", sa.Column("media", sa.JSON, nullable=False, server_default="{}")
    )
    op.create_table(
        "muru_media",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("owner_id", sa.Integer),
        sa.Column("type", text(8), nullable=False),
        sa.Column("name", text(100), nullable=False),
        sa.Column("digest", text(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["muru_users.id"], name="fk_muru_media_owner_id", ondelete="SET NULL"
        ),
        **_TABLE,
    )
    op.create_index("ix_muru_media_owner_id", "muru_media", ["owner_id"])
    op.create_index("ix_muru_media_digest", "muru_media", ["digest"])
    op.create_table(
        "muru_extension_media",
        sa.Column("extension_id", sa.Integer, primary_key=True),
        sa.Column("key", text(64), primary_key=True),
        sa.Column("media_id", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(
            ["extension_id"],
            ["muru_extensions.id"],
            name="fk_muru_extension_media_extension_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["media_id"],
            ["muru_media.id"],
            name="fk_muru_extension_media_media_id",
            ondelete="RESTRICT",
        ),
        **_TABLE,
    )
    op.create_index("ix_muru_extension_media_media_id", "muru_extension_media", ["media_id"])


def downgrade() -> None:
    op.drop_table("muru_extension_media")
    op.drop_table("muru_media")
    op.drop_column("muru_extensions", "media")
