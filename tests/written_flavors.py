"""Flavors written by a test, as an operator or an author of flavors would."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select

from muru.db import realtime
from muru.services.site import Site
from tests.conftest import Api

IMPORTS = """\
from muru.flavor import *
from muru.flavors.sip import SIP
from pydantic import BaseModel
"""


def write(folder: Path, **sources: str) -> dict[str, Any]:
    """Write modules with flavors into *folder*; return the settings that enable them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(IMPORTS + textwrap.dedent(source), encoding="utf-8")
    return {"flavor_paths": [folder], "enabled_phone_flavors": ["sip", "dummy", *sources]}


async def realtime_rows(site: Site, number: str) -> dict[str, dict[str, Any]]:
    """Return what Asterisk would read of an extension: by table, the columns that are set."""
    found: dict[str, dict[str, Any]] = {}
    async with site.transaction() as transaction:
        for name, table in realtime.TABLES.items():
            rows = await transaction.asterisk_session.scalars(select(table))
            for row in rows:
                if number in row.row_key.split("|"):
                    found[name] = row.values()
    return found


async def flavors(root: Api) -> Mapping[str, Any]:
    """Return what GET /flavors lists, by name."""
    return {each["name"]: each for each in await root.get("/flavors")}
