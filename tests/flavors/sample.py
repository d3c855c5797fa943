"""A site, a phone and its files, as tests of single flavors render them without a server."""

import os
from dataclasses import replace
from pathlib import Path

from muru.flavor import PhoneFlavor, Vocabulary
from muru.provisioning.vocabulary import Entry, Key, Phonebook, Provisioning, Server
from muru.testing.contract import HOSTILE
from muru.testing.sample import (
    file_of,
    render,
    supported,
    vocabulary,
    with_admin_password,
    with_book,
    with_keys,
)

__all__ = [
    "HOSTILE",
    "file_of",
    "furnished",
    "golden",
    "is_golden",
    "quiet",
    "render",
    "supported",
    "vocabulary",
    "with_admin_password",
    "with_book",
    "with_keys",
]

_GOLDEN = Path(__file__).parent / "golden"


def furnished(flavor: PhoneFlavor, phone_type: str, *names: str, keys: int = 0) -> Vocabulary:
    """Return the words for a phone at a site that has set more than it must."""
    words = vocabulary(flavor, phone_type, "02ab4c7f0001", names=names)
    url = f"http://pbx.example:8000/telephoning/{type(flavor).__name__.lower()}/"
    return replace(
        words,
        lines=tuple(replace(line, password=f"Secret{line.position}") for line in words.lines),
        server=Server("pbx.example", 5060),
        site=replace(words.site, ntp_server="ntp.example", admin_password="Admin1"),
        provisioning=Provisioning(f"{url}k/0123456789abcdef/", 7200),
        phonebook=Phonebook("Camp", (Entry("2001", "Alice"), Entry("2002", "Bob & <Carol>")), 1, 2),
        keys=tuple(Key(at, str(9000 + at), f"Desk {at}") for at in range(1, keys + 1)),
    )


def quiet(words: Vocabulary) -> Vocabulary:
    """Return *words* of a site that has set nothing it could leave unset."""
    site = replace(words.site, ntp_server=None, admin_password=None, wifi=None, language="xx")
    return replace(words, site=site)


def golden(name: str) -> str:
    """Return what a rendered file is to look like, from ``golden/``."""
    return (_GOLDEN / name).read_text(encoding="utf-8")


def is_golden(name: str, text: str) -> bool:
    """Tell whether *text* is that of the golden file; with WRITE_GOLDEN set it becomes it."""
    path = _GOLDEN / name
    if os.environ.get("WRITE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path.read_text(encoding="utf-8") == text
