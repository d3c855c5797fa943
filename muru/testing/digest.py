"""HTTP's digest authentication as SIP has it (RFC 2617, 3261), by MD5 alone."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from secrets import token_hex
from typing import Self

_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """A server's question for the password. *stale*: only the last answer's nonce was too old."""

    realm: str
    nonce: str
    opaque: str | None
    has_qop: bool
    stale: bool

    @classmethod
    def choose(cls, headers: Iterable[str]) -> Self | None:
        """Return the first challenge that can be answered."""
        return next(filter(None, map(cls._parse, headers)), None)

    @classmethod
    def _parse(cls, header: str) -> Self | None:
        scheme, _, rest = header.strip().partition(" ")
        found = {
            match[1].lower(): re.sub(r"\\(.)", r"\1", match[2]) if match[3] is None else match[3]
            for match in _PARAMETER.finditer(rest)
        }
        qops = {each.strip() for each in found.get("qop", "").lower().split(",")}
        known = found.get("algorithm", "MD5").upper() == "MD5" and qops & {"", "auth"}
        if scheme.lower() != "digest" or not known or not {"realm", "nonce"} <= found.keys():
            return None
        stale = found.get("stale", "").lower() == "true"
        return cls(found["realm"], found["nonce"], found.get("opaque"), "auth" in qops, stale)

    def answer(self, method: str, uri: str, username: str, password: str) -> str:
        """Return the header's value that proves the knowledge of *password*."""
        client_nonce, count = token_hex(8), "00000001"
        secret = _md5(f"{username}:{self.realm}:{password}")
        middle = f"{count}:{client_nonce}:auth:" if self.has_qop else ""
        response = _md5(f"{secret}:{self.nonce}:{middle}{_md5(f'{method}:{uri}')}")
        values = {"username": username, "realm": self.realm, "nonce": self.nonce, "uri": uri}
        if self.opaque is not None:
            values["opaque"] = self.opaque
        parts = [f"{name}={_quote(value)}" for name, value in values.items()]
        parts += [f'response="{response}"', "algorithm=MD5"]
        if self.has_qop:
            parts += ["qop=auth", f"nc={count}", f'cnonce="{client_nonce}"']
        return f"Digest {', '.join(parts)}"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _quote(text: str) -> str:
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))
