"""Handcrafted words for templates, and the files that they give, for tests without a server."""

import os
from dataclasses import replace
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
    Wifi,
)
from muru.settings import Settings

GOLDEN = Path(__file__).parent / "golden"
URL = "http://pbx.example:8000/telephoning/{}/k/0123456789abcdef/"

# Names that people give to extensions, and that a file must survive.
HOSTILE = (
    "<&\"'>; =#%$",
    "a\nb = c\r\n<d>e</d>",
    "]]> --> {{ 7 * 7 }} ${x} %NULL%",
    "\u202e\u05d0\u05d1\u05d2 \U0001f4de\U0001f3f4\u200d\u2620\ufe0f",
    "\\\x00\x07\x1b\ufffe\ud800",
    "x" * 64,
)


def render(flavor: PhoneFlavor, file: ProvisioningFile, words: Vocabulary) -> str:
    """Return the text of *file* by the bundled templates."""
    flavor.settings = Settings(_env_file=None)
    content, _ = Templates([], [bundled("provisioning_templates")]).render(flavor, file, words)
    return content.decode(file.encoding)


def supported(flavor: PhoneFlavor, phone_type: str) -> tuple[CODEC, ...]:
    """Return the codecs of a phone type, the preferred one first."""
    codecs = flavor.SUPPORTED_CODEC
    own = codecs[phone_type] if isinstance(codecs, dict) else codecs
    return (own,) if isinstance(own, str) else own


def vocabulary(flavor: PhoneFlavor, phone_type: str, *names: str, keys: int = 0) -> Vocabulary:
    """Return the words for a phone in Berlin with one line for each of *names*."""
    preferred = supported(flavor, phone_type)
    return Vocabulary(
        phone=Phone(mac="02ab4c7f0001", type=phone_type),
        lines=tuple(
            Line(at, str(2000 + at), name, str(2000 + at), f"Secret{at}", preferred)
            for at, name in enumerate(names, start=1)
        ),
        server=Server("pbx.example", 5060),
        site=SiteFacts(
            "Camp", "de", time_zone("Europe/Berlin"), "ntp.example", "Admin1", Wifi("Camp", "Wifi1")
        ),
        provisioning=Provisioning(URL.format(type(flavor).__name__.lower()), 7200),
        phonebook=Phonebook(
            "Camp", (Entry("2001", "Alice"), Entry("2002", "Bob & <Carol>")), total=2
        ),
        keys=tuple(Key(at, str(9000 + at), f"Desk {at}") for at in range(1, keys + 1)),
    )


def quiet(words: Vocabulary) -> Vocabulary:
    """Return *words* of a site that has set nothing it could leave unset."""
    site = replace(words.site, ntp_server=None, admin_password=None, wifi=None, language="xx")
    return replace(words, site=site)


def is_golden(name: str, text: str) -> bool:
    """Tell whether *text* is that of the golden file; with WRITE_GOLDEN set it becomes it."""
    path = GOLDEN / name
    if os.environ.get("WRITE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path.read_text(encoding="utf-8") == text
