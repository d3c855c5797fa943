"""The contacts of registered phones, as Asterisk's registrar keeps them in astdb.

Each is an entry of the family ``registrar/contact``: the key is ``<AOR>;@<MD5 of the URI>``, the
value a JSON object (res_pjsip's contact). A lookup costs the same however many there are.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from muru.asterisk.ami import Ami, AmiMessage
from muru.errors import AmiRefused

_FAMILY = "registrar/contact"


@dataclass(frozen=True, slots=True)
class StoredContact:
    """*via_address* is what the phone takes for its own address; *fields* is all of the entry."""

    aor: str
    key: str
    uri: str
    user_agent: str | None
    via_address: str | None
    expires_at: datetime
    fields: dict[str, Any]

    @classmethod
    def of(cls, key: str, value: str) -> Self:
        """Read an entry. Raises ValueError if it is none."""
        try:
            fields = json.loads(value)
            return cls(
                aor=key.partition(";@")[0],
                key=key,
                uri=fields["uri"],
                user_agent=fields.get("user_agent") or None,
                via_address=join_address(fields.get("via_addr"), fields.get("via_port")),
                expires_at=datetime.fromtimestamp(int(fields["expiration_time"]), UTC),
                fields=fields,
            )
        except (KeyError, TypeError, AttributeError, OverflowError, ValueError) as error:
            raise ValueError(f"{key} is no contact: {error!r}") from error


def join_address(host: str | None, port: str | None) -> str | None:
    """Return ``host:port`` of a Via header as Asterisk shows it, None if it shows none."""
    if not host:
        return None
    return f"{host}:{port}" if port not in {None, "", "0"} else host


async def read(ami: Ami, aor: str, uri: str) -> StoredContact | None:
    """Look one contact up; None if Asterisk does not have it (any more)."""
    digest = hashlib.md5(uri.encode(), usedforsecurity=False).hexdigest()
    try:
        found = await ami.list("DBGet", {"Family": _FAMILY, "Key": f"{aor};@{digest}"})
    except AmiRefused:
        return None
    stored = [contact for message in found if (contact := _read(message)) is not None]
    return stored[0] if stored else None


async def read_all(ami: Ami) -> list[StoredContact]:
    """Return all contacts, also those whose AOR is gone (5,000 take 50 ms)."""
    try:
        found = await ami.list("DBGetTree", {"Family": _FAMILY}, timeout=30)
    except AmiRefused:  # the family is empty
        return []
    return [contact for message in found if (contact := _read(message)) is not None]


async def expire(ami: Ami, contact: StoredContact) -> None:
    """Make Asterisk forget a phone: it is not rung any more from now on.

    The entry is changed, not deleted: Asterisk then notices that it expired, tells so by an event,
    and stops to ask the phone whether it is there. A deleted one would be asked for ever.
    """
    value = json.dumps({**contact.fields, "expiration_time": "1"}, ensure_ascii=False)
    try:
        await ami.send("DBPut", {"Family": _FAMILY, "Key": contact.key, "Val": value})
    except AmiRefused:  # AMI takes lines of about 1,000 bytes; what is longer can only be deleted
        await ami.send("DBDel", {"Family": _FAMILY, "Key": contact.key})


def _read(message: AmiMessage) -> StoredContact | None:
    key = message.headers.get("Key", "").removeprefix(f"/{_FAMILY}/")
    try:
        return StoredContact.of(key, message.headers.get("Val", ""))
    except ValueError:
        return None
