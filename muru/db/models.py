"""muru's own tables. Asterisk's realtime tables are in :mod:`muru.db.realtime`.

All names begin with ``muru_``, since both kinds may share one database, and Asterisk has a table
``extensions`` too.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, MetaData, String, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeEngine


def now() -> datetime:
    """Return the time as everything here keeps it: aware, UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime, also on databases that keep no time zone."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        aware = value.astimezone(UTC)
        return aware if dialect.name == "postgresql" else aware.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def text(length: int) -> String:
    """Return a string column that compares by code points, also on MariaDB, which folds case."""
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(binary, "mysql", "mariadb")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Role(StrEnum):
    ADMIN = "admin"
    USER = "user"


class TokenKind(StrEnum):
    SESSION = "session"  # a browser's cookie
    BEARER = "bearer"  # a program's Authorization header


class User(Base):
    """An account. ``username`` is kept in small letters; ``password_hash`` is argon2's."""

    __tablename__ = "muru_users"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(text(64), unique=True)
    password_hash: Mapped[str] = mapped_column(text(255))
    role: Mapped[str] = mapped_column(text(16), default=Role.USER)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    extensions: Mapped[list["Extension"]] = relationship(
        back_populates="owner", order_by="Extension.number", passive_deletes="all"
    )

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN


class Token(Base):
    """A login. Only the SHA-256 of the secret is kept, so a stolen table opens no door."""

    __tablename__ = "muru_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(text(64), unique=True)
    kind: Mapped[str] = mapped_column(text(16))
    label: Mapped[str] = mapped_column(text(100), default="")
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    user: Mapped[User] = relationship()


class Invite(Base):
    """Lets ``max_uses`` people register until ``expires_at``; either may be open (None)."""

    __tablename__ = "muru_invites"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(text(64), unique=True)
    note: Mapped[str] = mapped_column(text(200), default="")
    max_uses: Mapped[int | None]
    uses: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Extension(Base):
    """A number with a name, of a phone type, owned by a user.

    ``password`` is the secret of its SIP account; ``token`` (digits, so that it can be dialled)
    proves ownership from a phone; ``extra_fields`` is what the flavor's ``EXTRA_FIELDS`` accepted.
    """

    __tablename__ = "muru_extensions"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(text(15), unique=True)
    name: Mapped[str] = mapped_column(text(128))
    type: Mapped[str] = mapped_column(text(100), index=True)
    password: Mapped[str] = mapped_column(text(64))
    token: Mapped[str] = mapped_column(text(32), unique=True)
    info: Mapped[str] = mapped_column(text(1000), default="")
    public: Mapped[bool] = mapped_column(default=False)
    location: Mapped[dict[str, float] | None] = mapped_column(JSON(none_as_null=True))
    extra_fields: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    owner_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="RESTRICT"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, onupdate=now)

    owner: Mapped[User] = relationship(back_populates="extensions", lazy="joined")

    def __repr__(self) -> str:
        return f"<Extension {self.number} {self.type!r}>"  # never the password
