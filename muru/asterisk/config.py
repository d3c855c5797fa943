"""Renders asterisk_conf/ for this site: all configuration that Asterisk needs, and no more."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import SecretStr
from sqlalchemy.engine import URL

from muru.asterisk.dialplan import DIAL_SIP
from muru.asterisk.effects import CACHES
from muru.asterisk.escape import conf_value
from muru.asterisk.program import Program
from muru.db.sessions import parse_url
from muru.errors import MuruError
from muru.paths import bundled
from muru.settings import Settings

_SECRETS_FILE = "asterisk-secrets.json"
_DRIVERS = {"sqlite": "sqlite3", "postgresql": "pgsql", "mysql": "odbc", "mariadb": "odbc"}


@dataclass(frozen=True, slots=True)
class Secrets:
    """The passwords of muru's AMI and ARI users."""

    ami: SecretStr
    ari: SecretStr


def secrets_of(settings: Settings) -> Secrets:
    """Return the AMI and ARI passwords: those that are set, else generated ones.

    What is generated is kept in the data folder, for the owner of the process alone to read.

    Raises:
        MuruError: the data folder cannot be written.
    """
    if settings.ami_secret and settings.ari_secret:
        return Secrets(settings.ami_secret, settings.ari_secret)
    path = settings.data_dir / _SECRETS_FILE
    try:
        if not path.exists():
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            _create(path, json.dumps({name: secrets.token_hex(24) for name in ("ami", "ari")}))
        kept = json.loads(path.read_text())
    except OSError as error:
        raise MuruError(f"The data folder cannot be used: {error}") from error
    return Secrets(
        settings.ami_secret or SecretStr(kept["ami"]), settings.ari_secret or SecretStr(kept["ari"])
    )


def _create(path: Path, text: str) -> None:
    """Write a file that another process either sees whole or not at all, and never overwrite it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first
    finally:
        draft.unlink()


def write(settings: Settings, program: Program, directory: Path) -> list[Path]:
    """Write the configuration into *directory*, with folders for Asterisk's own data beside it.

    What is rendered has secrets in it, so only the owner may read the files. Files of muru's that
    are there already are replaced, others are left alone.

    Raises:
        MuruError: a folder or file cannot be written.
    """
    directory = directory.absolute()
    state = directory.parent
    environment = Environment(
        loader=FileSystemLoader(bundled("asterisk_conf")),
        undefined=StrictUndefined,
        finalize=conf_value,
        autoescape=False,  # noqa: S701  # finalize escapes; this is not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    values = _values(settings, program, directory, state)
    written = []
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("db", "keys", "run", "log", "spool"):
            (state / name).mkdir(mode=0o700, exist_ok=True)
        for name in sorted(environment.list_templates()):
            text = environment.get_template(name).render(values)
            path = directory / name
            draft = directory / f".{name}"
            draft.touch(mode=0o600)
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
            written.append(path)
    except OSError as error:
        raise MuruError(f"The configuration cannot be written: {error}") from error
    return written


def _values(settings: Settings, program: Program, directory: Path, state: Path) -> dict[str, Any]:
    passwords = secrets_of(settings)
    return {
        "settings": settings,
        "program": program,
        "directory": directory,
        "state": state,
        "ami_secret": passwords.ami.get_secret_value(),
        "ari_secret": passwords.ari.get_secret_value(),
        "database": _database(parse_url(settings.asterisk_database)),
        "caches": CACHES,
        "dial_sip": DIAL_SIP,
    }


def _database(url: URL) -> dict[str, Any]:
    """Return what Asterisk's driver needs to reach the realtime tables."""
    return {
        "driver": _DRIVERS[url.get_backend_name()],
        "host": url.host or url.query.get("host") or "localhost",
        "port": url.port,
        "name": url.database,
        "user": url.username or "",
        "password": url.password or "",
    }
