"""What a phone asks, and what it is answered, by whichever door."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Transport = Literal["http", "https", "tftp"]
TOKEN_FOLDER = "k"  # noqa: S105  # snom/k/<token>/snom-000413….xml

#: Which proof a phone gave that it may have its configuration.
Proof = Literal["token", "certificate", "first-use", "address", "open", ""]


@dataclass(frozen=True, slots=True)
class ProvisioningRequest:
    """*path* is below the prefix, without a slash before it, as the phone wrote it.

    *origin* (``http://192.0.2.1:8000``) is where the phone reached muru, or can reach it over HTTP;
    *certificate_mac* is what a trusted proxy has read in the phone's certificate.
    """

    transport: Transport
    path: str = field(repr=False)
    address: str
    origin: str
    user_agent: str = ""
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate_mac: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """*status* is one of HTTP's: 200, or 404 for all that a phone does not get.

    *path* is that of a file with the content, where it is one on disk.
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = "text/plain"
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A request's path, taken apart: ``folder/k/token/name``, of which all but the name may lack.

    *folder* is a flavor's name in small letters.
    """

    folder: str
    token: str = field(repr=False)
    name: str

    @property
    def shown(self) -> str:
        """The path without the token, for logs."""
        return "/".join(part for part in (self.folder, self.name) if part)


def take_apart(path: str, prefix: str) -> Place:
    """Return the parts of *path*; a TFTP client may write the prefix of HTTP before it."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == [prefix]:
        parts = parts[1:]
    folder = parts.pop(0).lower() if len(parts) > 1 else ""
    if len(parts) > 2 and parts[0] == TOKEN_FOLDER:
        return Place(folder, parts[1], "/".join(parts[2:]))
    return Place(folder, "", "/".join(parts))
