"""What a template finds: the same words for every vendor.

docs/templates.md explains them to the authors of templates, and a test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from muru.provisioning.timezone import TimeZone

Transport = Literal["udp", "tcp", "tls"]


@dataclass(frozen=True, slots=True)
class Line:
    """One account of a phone. *codecs* are muru's names, the preferred one first.

    *name* is what the person called the extension; *extra* are its further fields. *media* are the
    URLs of its media, by the names in the flavor's ``MEDIA``.
    """

    position: int  # 1 to n
    number: str
    name: str
    username: str
    password: str = field(repr=False)
    codecs: tuple[str, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)
    media: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Phone:
    """The phone that asks. *mac* has twelve small hex digits, or is empty for an app.

    *type* is the phone type that its owner chose; *model* and *firmware* are what it says of
    itself, or empty. *unclaimed* is True while nobody owns it: its one line is then a temporary
    account.
    """

    mac: str = ""
    type: str = ""
    model: str = ""
    firmware: str = ""
    unclaimed: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """Where the phone registers."""

    host: str
    port: int
    transport: Transport = "udp"

    @property
    def address(self) -> str:
        """The host as it stands in a URI or before a port: an IPv6 address is in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True, slots=True)
class Wifi:
    ssid: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What the operator has set for all phones. *language* is a code of ISO 639-1 (``de``).

    *admin_password* is None where the phone's own is left as it is, *ntp_server* and *wifi* where
    there is none.
    """

    name: str
    language: str
    time_zone: TimeZone
    ntp_server: str | None = None
    admin_password: str | None = field(default=None, repr=False)
    wifi: Wifi | None = None


@dataclass(frozen=True, slots=True)
class Provisioning:
    """Where this phone fetches its files: *url* ends in a slash, and may hold the phone's token.

    *interval* is the number of seconds after which it is to ask again.
    """

    url: str = field(repr=False)
    interval: int = 3600

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        """The host without the port."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or {"https": 443, "tftp": 69}.get(parts.scheme, 80)

    @property
    def path(self) -> str:
        """The path with a slash before and after it."""
        return urlsplit(self.url).path

    @property
    def bare(self) -> str:
        """``host:port/path/``, for phones that want the scheme in a field of its own."""
        return self.url.partition("://")[2]


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody in the phonebook."""

    number: str
    name: str


@dataclass(frozen=True, slots=True)
class Phonebook:
    """*entries* is empty but in a phonebook's own file: at most ``PHONEBOOK_LIMIT``, by name.

    *first* is the number of the first of them (from 1), and *total* how many there are in all: a
    file whose request has ``first`` and ``count`` (``offset`` and ``limit``) gets that part.
    """

    title: str = "Phonebook"
    entries: tuple[Entry, ...] = ()
    first: int = 1
    total: int = 0


@dataclass(frozen=True, slots=True)
class Key:
    """A function key that dials *number*."""

    position: int  # 1 to n, behind those of the lines
    number: str
    label: str


@dataclass(frozen=True, slots=True)
class Link:
    """A way into an app or phone that is configured by a link or a QR code.

    *url* is what is tapped or scanned; *qr* is False where scanning it does not help.
    """

    label: str
    url: str = field(repr=False)
    qr: bool = True
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All variables of a template, by the names of these fields; ``flavor`` comes along.

    *media* are URLs by the names in the flavor's ``MEDIA``: for each of the first line that has it.
    """

    phone: Phone
    lines: tuple[Line, ...]
    server: Server
    site: SiteFacts
    provisioning: Provisioning
    phonebook: Phonebook = field(default_factory=Phonebook)
    keys: tuple[Key, ...] = ()
    media: Mapping[str, str] = field(default_factory=dict, repr=False)
