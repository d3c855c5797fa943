"""Devices, their lines, phones that nobody owns yet, and the log of what they asked for."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from muru.db.models import UtcDateTime, text

revision = "own_0002"
down_revision = "own_0001"
branch_labels = None
depends_on = None

_TABLE: dict[str, Any] = {"mysql_charset": "utf8mb4", "mariadb_charset": "utf8mb4"}


def _shown() -> list[sa.Column[Any]]:
    """Return what a phone tells of itself."""
    return [
        sa.Column("model", text(100), nullable=False),
        sa.Column("firmware", text(100), nullable=False),
        sa.Column("user_agent", text(255), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "muru_devices",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("mac", text(12)),
        sa.Column("flavor", text(100), nullable=False),
        sa.Column("type", text(100), nullable=False),
        sa.Column("token", text(64), nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("granted_at", UtcDateTime),
        sa.Column("granted_to", text(45)),
        sa.Column("token_used", sa.Boolean, nullable=False),
        *_shown(),
        sa.Column("address", text(45)),
        sa.Column("last_seen", UtcDateTime),
        sa.Column("last_file", text(255), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("mac", name="uq_muru_devices_mac"),
        sa.UniqueConstraint("token", name="uq_muru_devices_token"),
        **_TABLE,
    )
    op.create_index("ix_muru_devices_flavor", "muru_devices", ["flavor"])
    op.create_index("ix_muru_devices_address", "muru_devices", ["address"])
    op.create_table(
        "muru_device_lines",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("device_id", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("extension_id", sa.Integer, nullable=False),
        sa.UniqueConstraint("device_id", "position", name="uq_muru_device_lines_position"),
        sa.UniqueConstraint("extension_id", name="uq_muru_device_lines_extension_id"),
        sa.ForeignKeyConstraint(
            ["device_id"],
            ["muru_devices.id"],
            name="fk_muru_device_lines_device_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["extension_id"],
            ["muru_extensions.id"],
            name="fk_muru_device_lines_extension_id",
            ondelete="CASCADE",
        ),
        **_TABLE,
    )
    op.create_table(
        "muru_device_guests",
        sa.Column("device_id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.Integer, primary_key=True),
        sa.ForeignKeyConstraint(
            ["device_id"],
            ["muru_devices.id"],
            name="fk_muru_device_guests_device_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["muru_users.id"], name="fk_muru_device_guests_user_id", ondelete="CASCADE"
        ),
        **_TABLE,
    )
    op.create_table(
        "muru_unclaimed_devices",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("mac", text(12), nullable=False),
        sa.Column("address", text(45), nullable=False),
        sa.Column("flavor", text(100), nullable=False),
        sa.Column("type", text(100), nullable=False),
        *_shown(),
        sa.Column("account", text(15), nullable=False),
        sa.Column("password", text(64), nullable=False),
        sa.Column("token", text(64), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("last_seen", UtcDateTime, nullable=False),
        sa.UniqueConstraint("mac", "address", name="uq_muru_unclaimed_devices_mac"),
        sa.UniqueConstraint("account", name="uq_muru_unclaimed_devices_account"),
        sa.UniqueConstraint("token", name="uq_muru_unclaimed_devices_token"),
        **_TABLE,
    )
    op.create_index("ix_muru_unclaimed_devices_last_seen", "muru_unclaimed_devices", ["last_seen"])
    op.create_table(
        "muru_provisioning_log",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("device_id", sa.Integer),
        sa.Column("mac", text(12)),
        sa.Column("flavor", text(100), nullable=False),
        sa.Column("address", text(45), nullable=False),
        sa.Column("transport", text(8), nullable=False),
        sa.Column("file", text(255), nullable=False),
        sa.Column("user_agent", text(255), nullable=False),
        sa.Column("proof", text(16), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("reason", text(200), nullable=False),
        **_TABLE,
    )
    op.create_index("ix_muru_provisioning_log_at", "muru_provisioning_log", ["at"])
    op.create_index("ix_muru_provisioning_log_device", "muru_provisioning_log", ["device_id", "id"])


def downgrade() -> None:
    for table in (
        "muru_provisioning_log",
        "muru_unclaimed_devices",
        "muru_device_guests",
        "muru_device_lines",
        "muru_devices",
    ):
        op.drop_table(table)
