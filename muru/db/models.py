"""muru's own tables. Asterisk's realtime tables are in :mod:`muru.db.realtime`.

All names begin with ``muru_``, since both kinds may share one database, and Asterisk has a table
``extensions`` too.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Double,
    ForeignKey,
    Index,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
)
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
    ``media`` has the digests of its media by the names in the flavor's ``MEDIA``: a copy of what
    :class:`ExtensionMedia` says, so that a request of a phone needs no further query.
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
    media: Mapped[dict[str, str]] = mapped_column(JSON, default=dict, server_default="{}")
    owner_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="RESTRICT"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, onupdate=now)

    owner: Mapped[User] = relationship(back_populates="extensions", lazy="joined")

    def __repr__(self) -> str:
        return f"<Extension {self.number} {self.type!r}>"  # never the password


class KeptNumber(Base):
    """The number of an extension that was deleted: its owner alone may take it ``until`` then."""

    __tablename__ = "muru_kept_numbers"

    number: Mapped[str] = mapped_column(text(15), primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    until: Mapped[datetime] = mapped_column(UtcDateTime)


class Media(Base):
    """A picture, a sound or another file that somebody uploaded; its content never changes.

    ``digest`` is the SHA-256 of what is kept of it, and the name of its file; ``size`` are the
    bytes of that. ``details`` are width and height, or seconds. Without an owner it goes as soon as
    no extension has it.
    """

    __tablename__ = "muru_media"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int | None] = mapped_column(
        ForeignKey(User.id, ondelete="SET NULL"), index=True
    )
    type: Mapped[str] = mapped_column(text(8))
    name: Mapped[str] = mapped_column(text(100))
    digest: Mapped[str] = mapped_column(text(64), index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    owner: Mapped[User | None] = relationship(lazy="joined")


class ExtensionMedia(Base):
    """What an extension has for one of the names in its flavor's ``MEDIA``."""

    __tablename__ = "muru_extension_media"

    extension_id: Mapped[int] = mapped_column(
        ForeignKey(Extension.id, ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(text(64), primary_key=True)
    media_id: Mapped[int] = mapped_column(ForeignKey(Media.id, ondelete="RESTRICT"), index=True)

    extension: Mapped[Extension] = relationship()
    media: Mapped[Media] = relationship(lazy="joined")


class Device(Base):
    """A phone that extensions hold as its lines; an app is one without a MAC address.

    Whoever has ``token`` gets the configuration. ``is_open`` lets the next request that has the MAC
    alone have it too; ``granted_at`` and ``granted_to`` (an address) tell who that was, and
    ``token_used`` whether the phone has come back with its token since.
    """

    __tablename__ = "muru_devices"

    id: Mapped[int] = mapped_column(primary_key=True)
    mac: Mapped[str | None] = mapped_column(text(12), unique=True)
    flavor: Mapped[str] = mapped_column(text(100), index=True)
    type: Mapped[str] = mapped_column(text(100))
    token: Mapped[str] = mapped_column(text(64), unique=True)
    is_open: Mapped[bool] = mapped_column(default=True)
    granted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    granted_to: Mapped[str | None] = mapped_column(text(45))
    token_used: Mapped[bool] = mapped_column(default=False)
    model: Mapped[str] = mapped_column(text(100), default="")
    firmware: Mapped[str] = mapped_column(text(100), default="")
    user_agent: Mapped[str] = mapped_column(text(255), default="")
    address: Mapped[str | None] = mapped_column(text(45), index=True)
    last_seen: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_file: Mapped[str] = mapped_column(text(255), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    lines: Mapped[list["DeviceLine"]] = relationship(
        back_populates="device", order_by="DeviceLine.position", passive_deletes="all"
    )
    guests: Mapped[list["DeviceGuest"]] = relationship(passive_deletes="all")

    def __repr__(self) -> str:
        return f"<Device {self.mac or self.id} {self.type!r}>"  # never the token


class DeviceLine(Base):
    """An extension is line ``position`` (from 1) of a device."""

    __tablename__ = "muru_device_lines"
    __table_args__ = (
        UniqueConstraint("device_id", "position", name="uq_muru_device_lines_position"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey(Device.id, ondelete="CASCADE"))
    position: Mapped[int]
    extension_id: Mapped[int] = mapped_column(
        ForeignKey(Extension.id, ondelete="CASCADE"), unique=True
    )

    device: Mapped[Device] = relationship(back_populates="lines")
    extension: Mapped[Extension] = relationship()


class DeviceGuest(Base):
    """The holder of a device has agreed that this user's extensions become lines of it."""

    __tablename__ = "muru_device_guests"

    device_id: Mapped[int] = mapped_column(
        ForeignKey(Device.id, ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), primary_key=True)

    user: Mapped[User] = relationship()


class UnclaimedDevice(Base):
    """A phone that asked for its configuration without a proof, and got a temporary account.

    Somebody else may have sent that MAC address, so there is one for each address that it came
    from. ``account`` is the SIP user name; ``token`` becomes the device's once it is claimed.
    """

    __tablename__ = "muru_unclaimed_devices"
    __table_args__ = (UniqueConstraint("mac", "address", name="uq_muru_unclaimed_devices_mac"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    mac: Mapped[str] = mapped_column(text(12))
    address: Mapped[str] = mapped_column(text(45))
    flavor: Mapped[str] = mapped_column(text(100))
    type: Mapped[str] = mapped_column(text(100))
    model: Mapped[str] = mapped_column(text(100), default="")
    firmware: Mapped[str] = mapped_column(text(100), default="")
    user_agent: Mapped[str] = mapped_column(text(255), default="")
    account: Mapped[str] = mapped_column(text(15), unique=True)
    password: Mapped[str] = mapped_column(text(64))
    token: Mapped[str] = mapped_column(text(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    last_seen: Mapped[datetime] = mapped_column(UtcDateTime, default=now, index=True)

    def __repr__(self) -> str:
        return f"<UnclaimedDevice {self.mac} from {self.address}>"


class ProvisioningLogEntry(Base):
    """One request of a phone, and what became of it. ``file`` has no token in it."""

    __tablename__ = "muru_provisioning_log"
    __table_args__ = (Index("ix_muru_provisioning_log_device", "device_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    device_id: Mapped[int | None]  # no foreign key: writing many must not lock devices
    mac: Mapped[str | None] = mapped_column(text(12))
    flavor: Mapped[str] = mapped_column(text(100), default="")
    address: Mapped[str] = mapped_column(text(45))
    transport: Mapped[str] = mapped_column(text(8))
    file: Mapped[str] = mapped_column(text(255))
    user_agent: Mapped[str] = mapped_column(text(255), default="")
    proof: Mapped[str] = mapped_column(text(16), default="")
    status: Mapped[int]
    reason: Mapped[str] = mapped_column(text(200), default="")


class RegistrationEvent(Base):
    """A phone of an extension came, went, moved or the like; see :mod:`muru.services.presence`.

    There are no foreign keys in this and the next two, since writing many must not lock extensions.
    A number may have been somebody else's once: what is older than the extension is not its.
    """

    __tablename__ = "muru_registration_history"
    __table_args__ = (Index("ix_muru_registration_history_extension", "extension", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    extension: Mapped[str] = mapped_column(text(15))
    kind: Mapped[str] = mapped_column(text(16))
    uri: Mapped[str] = mapped_column(text(255))
    address: Mapped[str | None] = mapped_column(text(100))
    previous: Mapped[str | None] = mapped_column(text(100))
    user_agent: Mapped[str | None] = mapped_column(text(255))
    count: Mapped[int]


class RegistrationRoundTrip(Base):
    """How long a phone took to answer Asterisk."""

    __tablename__ = "muru_round_trips"
    __table_args__ = (Index("ix_muru_round_trips_extension", "extension", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    extension: Mapped[str] = mapped_column(text(15))
    uri: Mapped[str] = mapped_column(text(255))
    rtt_ms: Mapped[float] = mapped_column(Double)


class KnownContact(Base):
    """A phone that is registered as far as muru knows: what it compares with when it starts."""

    __tablename__ = "muru_known_contacts"

    extension: Mapped[str] = mapped_column(text(15), primary_key=True)
    uri: Mapped[str] = mapped_column(text(255), primary_key=True)
    user_agent: Mapped[str | None] = mapped_column(text(255))
    since: Mapped[datetime] = mapped_column(UtcDateTime)


class AuditEntry(Base):
    """What somebody did who may more than others. *outcome* is how it ended, empty for done.

    ``username`` is kept as it was then: the account may go, and the command line has none.
    """

    __tablename__ = "muru_audit_log"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, index=True)
    username: Mapped[str] = mapped_column(text(64))
    action: Mapped[str] = mapped_column(text(50))
    target: Mapped[str] = mapped_column(text(255), default="")
    outcome: Mapped[str] = mapped_column(text(255), default="")


class DialplanNumber(Base):
    """A number of the operator's own; its steps are those of :class:`DialplanVersion` *version*."""

    __tablename__ = "muru_dialplan_numbers"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(text(15), unique=True)
    version: Mapped[int]


class DialplanVersion(Base):
    """The steps that an own number has, or had once; they outlive the number.

    ``username`` is kept as it was then: the account may go.
    """

    __tablename__ = "muru_dialplan_versions"

    number: Mapped[str] = mapped_column(text(15), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    steps: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    username: Mapped[str] = mapped_column(text(64))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    comment: Mapped[str] = mapped_column(text(200), default="")


class TakenNumber(Base):
    """Lets a number be one thing's alone: an extension's, or one of the operator's own."""

    __tablename__ = "muru_numbers"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(text(15), unique=True)
    extension_id: Mapped[int | None] = mapped_column(
        ForeignKey(Extension.id, ondelete="CASCADE"), unique=True
    )
    dialplan_number_id: Mapped[int | None] = mapped_column(
        ForeignKey(DialplanNumber.id, ondelete="CASCADE"), unique=True
    )
