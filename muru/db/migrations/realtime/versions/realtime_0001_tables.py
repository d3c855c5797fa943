"""Asterisk's realtime tables, where they are not there yet, and which rows are muru's."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from muru.db.models import text

revision = "realtime_0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLE: dict[str, Any] = {"mysql_charset": "utf8mb4", "mariadb_charset": "utf8mb4"}


def _strings(**columns: int) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(length)) for name, length in columns.items()]


def upgrade() -> None:
    present = set(sa.inspect(op.get_bind()).get_table_names())
    if "ps_endpoints" not in present:
        op.create_table(
            "ps_endpoints",
            sa.Column("id", sa.String(255), primary_key=True),
            *_strings(
                aors=2048,
                auth=255,
                context=40,
                disallow=200,
                allow=200,
                callerid=160,
                allow_overlap=3,
                codec_prefs_incoming_offer=128,
                codec_prefs_outgoing_offer=128,
                direct_media=3,
                dtmf_mode=16,
                force_rport=3,
                rewrite_contact=3,
                rtp_symmetric=3,
                webrtc=3,
            ),
            **_TABLE,
        )
    if "ps_auths" not in present:
        op.create_table(
            "ps_auths",
            sa.Column("id", sa.String(255), primary_key=True),
            *_strings(auth_type=16, username=255, password=255),
            **_TABLE,
        )
    if "ps_aors" not in present:
        op.create_table(
            "ps_aors",
            sa.Column("id", sa.String(255), primary_key=True),
            sa.Column("max_contacts", sa.Integer),
            *_strings(remove_existing=3, remove_unavailable=3),
            sa.Column("qualify_frequency", sa.Integer),
            sa.Column("minimum_expiration", sa.Integer),
            sa.Column("default_expiration", sa.Integer),
            sa.Column("maximum_expiration", sa.Integer),
            **_TABLE,
        )
    if "extensions" not in present:
        op.create_table(
            "extensions",
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
            sa.Column("context", sa.String(40), nullable=False),
            sa.Column("exten", sa.String(40), nullable=False),
            sa.Column("priority", sa.Integer, nullable=False),
            sa.Column("app", sa.String(40), nullable=False),
            sa.Column("appdata", sa.String(256)),
            sa.UniqueConstraint("context", "exten", "priority", name="uq_extensions_step"),
            **_TABLE,
        )
    if "muru_realtime_rows" not in present:
        op.create_table(
            "muru_realtime_rows",
            sa.Column("table_name", text(40), primary_key=True),
            sa.Column("row_key", text(255), primary_key=True),
            sa.Column("number", text(15), nullable=False),
            **_TABLE,
        )
        op.create_index("ix_muru_realtime_rows_number", "muru_realtime_rows", ["number"])


def downgrade() -> None:
    # The other tables are Asterisk's, and may hold what is not muru's.
    op.drop_table("muru_realtime_rows")
