"""The sites that are measured: folders with a filled database, and ports of their own."""

import json
import os
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from bench import FIRST_NUMBER, HOST, PASSWORD
from bench.families import Family, address_of, mac_of, token_of
from muru.db import migrations, realtime
from muru.db.models import Device, DeviceLine, Extension, Role, User, now
from muru.db.sessions import Database
from muru.registry import Registry, discover
from muru.services import passwords
from muru.settings import Settings

SECRET = "ami secret"
OWNED = 10  # extensions of each user
_BATCH = 200
_PER_ENTRY = 50  # phones for each one that is in the phonebook


def sip_password(number: str) -> str:
    return f"sip{number}"


@dataclass(frozen=True)
class Site:
    """A folder with a database, and ports of its own."""

    folder: Path
    http_port: int
    ami_port: int
    values: dict[str, Any]

    @property
    def settings(self) -> Settings:
        return Settings(**self.values, _env_file=None)

    @property
    def environment(self) -> dict[str, str]:
        return {
            f"MURU_{name.upper()}": json.dumps(value) if isinstance(value, list) else str(value)
            for name, value in self.values.items()
        }


@dataclass
class Bench:
    """Where and how much is measured. Filled databases are made once, and copied."""

    folder: Path
    quick: bool
    _sites: int = field(default=0, init=False)

    @property
    def sizes(self) -> list[int]:
        return [10, 1_000] if self.quick else [10, 1_000, 10_000]

    @property
    def rounds(self) -> int:
        return 1 if self.quick else 3

    @property
    def creations(self) -> int:
        """How many extensions are created at a time."""
        return 20 if self.quick else 100

    @property
    def reads(self) -> int:
        """How often something is read at a time."""
        return 50 if self.quick else 200

    async def site(
        self, size: int, *, ami_port: int | None = None, families: Sequence[Family] = ()
    ) -> Site:
        """Return a new site with so many extensions; without *ami_port*, Asterisk's is its own.

        They are set up by hand, or phones of *families* by turns.
        """
        filled = self.folder / "-".join(
            ["filled", str(size), *(family.flavor for family in families)]
        )
        if not filled.exists():
            await _fill(_site(filled, free_port(), families), size, families)
        self._sites += 1
        folder = self.folder / f"site-{self._sites}"
        shutil.copytree(filled, folder)
        return _site(folder, ami_port or free_port(), families)


def _site(folder: Path, ami_port: int, families: Sequence[Family]) -> Site:
    http_port, rtp_port = free_port(), 20_000 + os.getpid() % 400 * 100
    values = {
        "data_dir": folder,
        "enabled_phone_flavors": ["sip", "dummy", *_flavors(families)],
        "http_host": HOST,
        "http_port": http_port,
        "tftp_host": HOST,
        "tftp_port": 0 if all(family.by_http for family in families) else free_port(),
        "sip_host": HOST,
        "sip_port": free_port(),
        "rtp_port_first": rtp_port,
        "rtp_port_last": rtp_port + 99,
        "asterisk_http_port": free_port(),
        "ami_port": ami_port,
        "ami_secret": SECRET,
        "ari_secret": SECRET,
        "qualify_frequency": 0,
        "extension_digits": 6,
        "extensions_per_user": 1_000,
        "sync_interval": 86_400,
        "log_level": "ERROR",
    }
    return Site(folder, http_port, ami_port, values)


def _flavors(families: Sequence[Family]) -> list[str]:
    return list(dict.fromkeys(family.flavor for family in families))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def _fill(site: Site, size: int, families: Sequence[Family]) -> None:
    """Make a database with an administrator ``root``, and users who own ten extensions each.

    The first of these is ``alice``.
    """
    site.folder.mkdir(mode=0o700)
    settings = site.settings
    database = Database(settings.database, settings.asterisk_database)
    registry = discover(settings)
    password_hash = await passwords.hash_password(PASSWORD)
    try:
        await migrations.upgrade(database)
        async with database.transaction() as transaction:
            transaction.session.add_all(
                User(
                    username="root" if number < 0 else f"user{number}" if number else "alice",
                    password_hash=password_hash,
                    role=Role.ADMIN.value if number < 0 else Role.USER.value,
                )
                for number in range(-1, (size + OWNED - 1) // OWNED)
            )
        for start in range(0, size, _BATCH):
            async with database.transaction() as transaction:
                numbers = range(start, min(start + _BATCH, size))
                await transaction.run(_add_extensions, registry, families, numbers)
    finally:
        await database.dispose()


def _add_extensions(
    session: Session,
    asterisk_session: Session,
    registry: Registry,
    families: Sequence[Family],
    numbers: range,
) -> None:
    added = {}
    for number in numbers:
        family = families[number % len(families)] if families else None
        added[number] = Extension(
            number=str(FIRST_NUMBER + number),
            name=f"Phone {number}",
            type=family.type if family else "SIP",
            password=sip_password(str(FIRST_NUMBER + number)),
            token=f"{number:012}",
            public=family is not None and number % _PER_ENTRY == 0,
            extra_fields={"codec": None} | ({"mac": mac_of(number)} if family else {}),
            owner_id=2 + number // OWNED,
        )
        if family:
            session.add(_line(family, number, added[number]))
    session.add_all(added.values())
    realtime.replace_many(
        asterisk_session,
        {
            extension.number: registry.require_type(extension.type).realtime_rows(extension)
            for extension in added.values()
        },
    )


def _line(family: Family, number: int, extension: Extension) -> DeviceLine:
    """Return an extension's line of a phone that has had its configuration before."""
    device = Device(
        mac=mac_of(number),
        flavor=family.flavor,
        type=family.type,
        token=token_of(number),
        is_open=False,
        granted_at=now(),
        granted_to=address_of(number),
        token_used=family.by_http,
        address=address_of(number),
    )
    return DeviceLine(position=1, device=device, extension=extension)
