"""The sites that are measured: folders with a filled database, and ports of their own."""

import os
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from bench import FIRST_NUMBER, HOST, PASSWORD
from muru.db import migrations, realtime
from muru.db.models import Extension, Role, User
from muru.db.sessions import Database
from muru.flavor import PhoneFlavor
from muru.registry import discover
from muru.services import passwords
from muru.settings import Settings

SECRET = "ami secret"
OWNED = 10  # extensions of each user
_BATCH = 200


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
        return {f"MURU_{name.upper()}": str(value) for name, value in self.values.items()}


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

    async def site(self, size: int, *, ami_port: int | None = None) -> Site:
        """Return a new site with so many extensions; without *ami_port*, Asterisk's is its own."""
        filled = self.folder / f"filled-{size}"
        if not filled.exists():
            await _fill(_site(filled, free_port()), size)
        self._sites += 1
        folder = self.folder / f"site-{self._sites}"
        shutil.copytree(filled, folder)
        return _site(folder, ami_port or free_port())


def _site(folder: Path, ami_port: int) -> Site:
    http_port, rtp_port = free_port(), 20_000 + os.getpid() % 400 * 100
    values = {
        "data_dir": folder,
        "http_host": HOST,
        "http_port": http_port,
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def _fill(site: Site, size: int) -> None:
    """Make a database with an administrator ``root``, and users who own ten extensions each.

    The first of these is ``alice``.
    """
    site.folder.mkdir(mode=0o700)
    settings = site.settings
    database = Database(settings.database, settings.asterisk_database)
    flavor = discover(settings).require_type("SIP")
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
                await transaction.run(_add_extensions, flavor, numbers)
    finally:
        await database.dispose()


def _add_extensions(
    session: Session, asterisk_session: Session, flavor: PhoneFlavor, numbers: range
) -> None:
    added = [
        Extension(
            number=str(FIRST_NUMBER + number),
            name=f"Phone {number}",
            type="SIP",
            password=sip_password(str(FIRST_NUMBER + number)),
            token=f"{number:012}",
            extra_fields={"codec": None},
            owner_id=2 + number // OWNED,
        )
        for number in numbers
    ]
    session.add_all(added)
    rows = {extension.number: flavor.realtime_rows(extension) for extension in added}
    realtime.replace_many(asterisk_session, rows)
