"""For the tests of templates: the words for a phone at a made-up site, and the files they give."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from muru.flavor import CODEC, PhoneFlavor, ProvisioningFile, Vocabulary
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
    Transport,
)

_URL = "http://192.0.2.10:8000/telephoning/{}/k/abcdefghjkmnpqrstuvwxyz234/"


def vocabulary(
    flavor: PhoneFlavor,
    phone_type: str,
    mac: str = "",
    *,
    names: Sequence[str] = ("Alice",),
    codecs: tuple[CODEC, ...] | None = None,
    transport: Transport = "udp",
) -> Vocabulary:
    """Return the words for a phone with one line for each of *names*, at a site in Berlin.

    It prefers the codecs that its type supports in their order, if it is not told others.
    """
    own = codecs or supported(flavor, phone_type)
    lines = tuple(
        Line(at, str(2000 + at), name, str(2000 + at), f"k7m2p9qrs4tuvwx3yz{at:02}", own)
        for at, name in enumerate(names, 1)
    )
    return Vocabulary(
        phone=Phone(mac, phone_type),
        lines=lines,
        server=Server("192.0.2.20", 5060, transport),
        site=SiteFacts("Camp", "de", time_zone("Europe/Berlin"), "192.0.2.30"),
        provisioning=Provisioning(_URL.format(type(flavor).__name__.lower())),
        phonebook=Phonebook("Camp"),
    )


def supported(flavor: PhoneFlavor, phone_type: str) -> tuple[CODEC, ...]:
    """Return the codecs of a phone type, the preferred one first."""
    codecs = flavor.SUPPORTED_CODEC
    own = codecs[phone_type] if isinstance(codecs, dict) else codecs
    return (own,) if isinstance(own, str) else own


def with_book(
    words: Vocabulary, names: Sequence[str], *, first: int = 1, total: int = 0
) -> Vocabulary:
    """Return *words* with a phonebook of 3001, 3002 and so on under these names."""
    entries = tuple(Entry(str(3000 + at), name) for at, name in enumerate(names, 1))
    return replace(words, phonebook=Phonebook("Camp", entries, first, total or len(entries)))


def with_keys(words: Vocabulary, *labels: str) -> Vocabulary:
    """Return *words* with function keys for 4001, 4002 and so on."""
    keys = tuple(Key(at, str(4000 + at), label) for at, label in enumerate(labels, 1))
    return replace(words, keys=keys)


def with_admin_password(words: Vocabulary, password: str | None) -> Vocabulary:
    """Return *words* at a site that has set the phones' password for their settings."""
    return replace(words, site=replace(words.site, admin_password=password))


def render(flavor: PhoneFlavor, file: ProvisioningFile | str, words: Vocabulary) -> str:
    """Return the text of a file, which may be named by its template.

    Templates are those that muru brings along, and those in the folder ``templates`` beside the
    flavor's module.
    """
    if isinstance(file, str):
        file = file_of(flavor, file)
    return templates_for(flavor).render(flavor, file, words)[0].decode(file.encoding)


def file_of(flavor: PhoneFlavor, template: str) -> ProvisioningFile:
    """Return the file that comes from *template*."""
    return next(file for file in flavor.FILES if file.template == template)


def templates_for(flavor: PhoneFlavor) -> Templates:
    """Return the templates that serve a flavor at a site whose operator has none."""
    return _templates(Path(inspect.getfile(type(flavor))).resolve().parent / "templates")


@cache
def _templates(beside: Path) -> Templates:
    return Templates([], [beside, bundled("provisioning_templates")])
