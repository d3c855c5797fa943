"""Renders asterisk_conf/ for this site: all configuration that Asterisk needs, and no more."""

import hmac
import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import SecretStr
from sqlalchemy.engine import URL

from muru.asterisk.dialplan import (
    CLAIM,
    CLAIM_SECONDS,
    CONFERENCE,
    CONFERENCE_SOUNDS,
    CONTACTS,
    DIAL_SIP,
    GROUP,
    GROUP_DEPTH,
    MEMBER,
    OUTBOUND,
    RINGBACK,
    SELFTEST,
    STASIS,
    WEB,
)
from muru.asterisk.effects import CACHES
from muru.asterisk.escape import conf_value
from muru.asterisk.program import Program
from muru.db.sessions import parse_url
from muru.errors import MuruError
from muru.paths import bundled
from muru.settings import Settings

_SECRETS_FILE = "asterisk-secrets.json"
_LONGEST_PGSQL = 63  # bytes of a value in res_pgsql.conf: what is beyond is cut off, untold
_DRIVERS = {"sqlite": "sqlite3", "postgresql": "pgsql", "mysql": "odbc", "mariadb": "odbc"}


@dataclass(frozen=True, slots=True)
class Secrets:
    """The passwords of muru's AMI and ARI users."""

    ami: SecretStr
    ari: SecretStr


def has_secrets(settings: Settings) -> bool:
    """Tell whether there are passwords already that :func:`secrets_of` would return."""
    given = settings.ami_secret and settings.ari_secret
    return bool(given) or (settings.data_dir / _SECRETS_FILE).exists()


def modules_of(settings: Settings) -> list[str]:
    """Return the modules that the configuration has Asterisk load."""
    driver = _DRIVERS[parse_url(settings.asterisk_database).get_backend_name()]
    template = (bundled("asterisk_conf") / "modules.conf").read_text(encoding="utf-8")
    rendered = Environment(autoescape=False).from_string(template)  # noqa: S701  # not HTML
    text = rendered.render(database={"driver": driver})
    return re.findall(r"^(?:pre)?load = (\S+)", text, re.MULTILINE)


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
            settings.make_data_dir()
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
    """Write the configuration into *directory*, and make folders for Asterisk in the data folder.

    What is rendered has secrets in it, so only the owner may read the files. Files of muru's that
    are there already are replaced, others are left alone.

    Raises:
        MuruError: a folder or file cannot be written.
    """
    directory = directory.absolute()
    state = settings.data_dir.absolute() / "asterisk"
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
        for folder in (directory, state):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        "ringback": RINGBACK,
        "claim": CLAIM,
        "claim_seconds": CLAIM_SECONDS,
        "conference": CONFERENCE,
        "conference_sounds": CONFERENCE_SOUNDS,
        "contacts": CONTACTS,
        "group": GROUP,
        "group_codes": settings.group_codes,
        "group_depth": GROUP_DEPTH,
        "member": MEMBER,
        "selftest": SELFTEST,
        "stasis": STASIS,
        "web": WEB,
        "outbound": OUTBOUND,
        # Nobody needs to know it, so it is kept nowhere, but is the same each time.
        "outbound_secret": _derived(passwords.ari, OUTBOUND),
    }


def _derived(secret: SecretStr, purpose: str) -> str:
    return hmac.digest(secret.get_secret_value().encode(), purpose.encode(), "sha256").hex()


def _database(url: URL) -> dict[str, Any]:
    """Return what Asterisk's driver needs to reach the realtime tables.

    Raises:
        MuruError: the driver cannot take one of them.
    """
    driver = _DRIVERS[url.get_backend_name()]
    texts = {
        "host": str(url.host or url.query.get("host") or "localhost"),
        "name": url.database or "",
        "user": url.username or "",
        "password": url.password or "",
    }
    if driver == "pgsql":
        # Asterisk warns of an empty password, even where none is needed.
        texts["password"] = texts["password"] or "unused"
        texts = {name: _conninfo_value(text) for name, text in texts.items()}
    for name, text in texts.items():
        fault = _fault(driver, name, text)
        if fault:
            raise MuruError(f"MURU_ASTERISK_DATABASE_URL: its {name} {fault}.")
    return {"driver": driver, "port": url.port, **texts}


def _conninfo_value(text: str) -> str:
    """Return *text* for libpq, which Asterisk hands "user=... password=..." in one string."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _fault(driver: str, name: str, text: str) -> str | None:
    if not text.isprintable():
        return "has a character that cannot be in a file of Asterisk's"
    if driver == "pgsql" and len(text.encode()) > _LONGEST_PGSQL:
        return f"is too long for Asterisk, which takes {_LONGEST_PGSQL - 2} bytes"
    if driver == "odbc":
        if text != text.strip():
            return "begins or ends with a blank, which Asterisk would not keep"
        if name in {"host", "name"} and not re.fullmatch(r"[\w.:/ -]*", text):
            return "has a character that cannot be in odbc.ini"
    return None
