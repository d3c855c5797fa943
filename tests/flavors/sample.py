"""A site, a phone and its files, as tests of single flavors render them without a server."""

from dataclasses import replace
from pathlib import Path

from muru.flavor import PhoneFlavor, ProvisioningFile
from muru.paths import bundled
from muru.provisioning.templates import Templates
from muru.provisioning.timezone import time_zone
from muru.provisioning.vocabulary import (
    Entry,
    Key,
    Line,
    Phone,
    Phonebook,
    Provisioning,
    Server,
    SiteFacts,
    Vocabulary,
)

#: Names that end a line, an element, a string or a cell where they are not escaped.
HOSTILE = (
    "<&\"'; =\n#%",
    'Eve"\r\nsip line9 proxy ip: 192.0.2.66',
    "]]></Title><x/>{{ 7 * 7 }}",
    "a,b;c\t/pwd x \\",
    "\u202e\u05e9\u05dc\u05d5\u05dd \U0001f4de\u2028",
    "N" * 64,
)

_TEMPLATES = Templates([], [bundled("provisioning_templates")])
_GOLDEN = Path(__file__).parent / "golden"


def vocabulary(
    flavor: PhoneFlavor,
    phone_type: str,
    mac: str,
    *,
    names: tuple[str, ...] = ("Alice",),
    codecs: tuple[str, ...] | None = None,
    transport: str = "udp",
) -> Vocabulary:
    """Return the words for a phone with one line for each of *names*, at a site in Berlin.

    It prefers the codecs that its type supports in their order, if it is not told others.
    """
    supported = flavor.SUPPORTED_CODEC
    given = supported[phone_type] if isinstance(supported, dict) else supported
    own = codecs or ((given,) if isinstance(given, str) else given)
    lines = tuple(
        Line(at, f"200{at}", name, f"200{at}", f"k7m2p9qrs4tuvwx3yz{at:02}", own)
        for at, name in enumerate(names, 1)
    )
    folder = f"http://192.0.2.10:8000/telephoning/{type(flavor).__name__.lower()}"
    return Vocabulary(
        phone=Phone(mac, phone_type),
        lines=lines,
        server=Server("192.0.2.20", 5060, transport),  # type: ignore[arg-type]
        site=SiteFacts("Camp", "de", time_zone("Europe/Berlin"), "192.0.2.30"),
        provisioning=Provisioning(f"{folder}/k/abcdefghjkmnpqrstuvwxyz234/"),
        phonebook=Phonebook("Camp"),
    )


def with_book(
    words: Vocabulary, names: tuple[str, ...], *, first: int = 1, total: int = 0
) -> Vocabulary:
    """Return *words* with a phonebook of 3001, 3002 and so on under these names."""
    entries = tuple(Entry(str(3000 + at), name) for at, name in enumerate(names, 1))
    return replace(words, phonebook=Phonebook("Camp", entries, first, total or len(entries)))


def with_keys(words: Vocabulary, *labels: str) -> Vocabulary:
    """Return *words* with function keys for 4001, 4002 and so on."""
    keys = tuple(Key(at, str(4000 + at), label) for at, label in enumerate(labels, 1))
    return replace(words, keys=keys)


def render(flavor: PhoneFlavor, template: str, words: Vocabulary) -> str:
    """Return the file that comes from a flavor's *template*."""
    content, content_type = _TEMPLATES.render(flavor, file_of(flavor, template), words)
    return content.decode(content_type.rpartition("charset=")[2])


def file_of(flavor: PhoneFlavor, template: str) -> ProvisioningFile:
    """Return the file that comes from *template*."""
    return next(file for file in flavor.FILES if file.template == template)


def golden(name: str) -> str:
    """Return what a rendered file is to look like, from ``golden/``."""
    return (_GOLDEN / name).read_text(encoding="utf-8")


def with_admin_password(words: Vocabulary, password: str | None) -> Vocabulary:
    """Return *words* at a site that has set the phones' password for their settings."""
    return replace(words, site=replace(words.site, admin_password=password))
