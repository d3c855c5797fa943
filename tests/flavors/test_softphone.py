"""The files of softphone apps, read as the apps would read them, and the links to them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from muru.flavors.softphone import Softphone

from muru.flavor import ProvisioningFile, Vocabulary
from muru.provisioning.identification import Evidence, identify, phone_type
from muru.provisioning.vocabulary import Entry, Phonebook, Provisioning, Server
from muru.testing import Account
from tests.flavors.phones import softphone as apps
from tests.flavors.sample import HOSTILE, furnished, is_golden, render, supported

FLAVOR = Softphone()
FILES = {file.pattern: file for file in FLAVOR.FILES}
BARESIP = ("accounts", "config", "contacts")
NAMES = {"g722": "G722", "alaw": "PCMA", "ulaw": "PCMU", "gsm": "GSM"}


def words_for(app: str, name: str = "Alice") -> Vocabulary:
    return furnished(FLAVOR, app, name)


def content(file: ProvisioningFile, words: Vocabulary) -> bytes:
    return render(FLAVOR, file, words).encode(file.encoding)


def accounts(app: str, words: Vocabulary) -> list[Account]:
    name, read = apps.READERS[app]
    return read(content(FILES[name], words))


@pytest.mark.parametrize("file", FLAVOR.FILES, ids=lambda file: file.pattern)
def test_file_for_typical_app(file: ProvisioningFile) -> None:
    """Each file is exactly the one that was looked over by hand."""
    app = "baresip" if file.pattern.startswith("baresip") else "Linphone"
    text = render(FLAVOR, file, words_for(app)).removeprefix("\ufeff").replace("\r\n", "\n")

    assert is_golden(f"softphone/{file.pattern}", text)


@pytest.mark.parametrize("app", apps.READERS)
def test_account_of_every_app(app: str) -> None:
    """An app reads the whole account, with its codecs in order where it can be told them."""
    codecs = tuple(NAMES[each] for each in supported(FLAVOR, app))

    (account,) = accounts(app, words_for(app))

    expected = Account("pbx.example", 5060, "udp", "2001", "Secret1", "Alice", codecs)
    assert account == (replace(expected, codecs=()) if app == "Groundwire" else expected)


@pytest.mark.parametrize("app", apps.READERS)
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_account_by_transport(app: str, transport: Any) -> None:
    """Transport and port are the server's."""
    words = replace(words_for(app), server=Server("pbx.example", 5061, transport))

    (account,) = accounts(app, words)

    assert (account.port, account.transport) == (5061, transport)


def test_linphone_has_no_other_codecs() -> None:
    """The codecs that muru has not are switched off, as the app would offer them too."""
    settings = apps.linphonerc(content(FILES["linphone.xml"], words_for("Linphone")))

    off = [each["mime"] for each in settings.values() if each.get("enabled") == "0"]
    assert off == ["opus", "G729", "speex", "speex", "speex"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("app", apps.READERS)
def test_names_that_break_accounts(app: str, name: str) -> None:
    """Whatever an extension is called, there is one account, with all else as it was."""
    (plain,) = accounts(app, words_for(app))
    (hostile,) = accounts(app, words_for(app, name))

    assert replace(hostile, name="Alice") == plain


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    ("pattern", "read"),
    [("phonebook.vcf", apps.vcards), ("baresip/contacts", apps.baresip_contacts)],
)
def test_names_that_break_phonebooks(
    pattern: str, read: Callable[[bytes], list[tuple[str, str]]], name: str
) -> None:
    """Whatever the people in a phonebook are called, there are as many of them."""
    book = Phonebook("Camp", (Entry("2001", name), Entry("2002", "Bob")), total=2)
    words = replace(words_for("Linphone"), phonebook=book)

    found = read(content(FILES[pattern], words))

    assert [number for number, _ in found] == ["2001", "2002"]


def test_phonebook_keeps_what_can_be_written() -> None:
    """In a vCard each character of a name has a form."""
    name = 'O\'Neil, "Zoë"; \\ <x> \U0001f4de'
    words = replace(words_for("Linphone"), phonebook=Phonebook(entries=(Entry("2001", name),)))

    assert apps.vcards(content(FILES["phonebook.vcf"], words)) == [("2001", name)]


@pytest.mark.parametrize(
    ("app", "urls"),
    [
        ("Linphone", ["https://h/k/t/linphone.xml", "linphone-config:https://h/k/t/linphone.xml"]),
        ("Groundwire", ["provlinkbs://h/k/t/acrobits.xml"]),
        ("MicroSIP", ["https://h/k/t/microsip.ini"]),
        (
            "baresip",
            [f"https://h/k/t/baresip/{each}" for each in ("accounts", "config", "contacts")],
        ),
        ("Other app", []),
    ],
)
def test_links(app: str, urls: list[str]) -> None:
    """An app's owner is shown the links that this app takes, and how; for others there is none."""
    words = replace(words_for(app), provisioning=Provisioning("https://h/k/t/"))

    links = FLAVOR.links(words)

    assert [each.url for each in links] == urls
    assert all(each.label and each.hint for each in links)
    assert [each.qr for each in links] == [app == "Linphone"] * len(links)


def test_link_without_tls() -> None:
    """Acrobits tells HTTP from HTTPS by another scheme."""
    words = replace(words_for("Groundwire"), provisioning=Provisioning("http://h:8000/k/t/"))

    assert [each.url for each in FLAVOR.links(words)] == ["provlinkb://h:8000/k/t/acrobits.xml"]


@pytest.mark.parametrize(
    ("agent", "app", "firmware"),
    [
        (apps.App.agents["Linphone"], "Linphone", "6.0.20"),
        ("LinphoneiOS/4.6.5 (iPhone) LinphoneSDK/5.2.45", "Linphone", "4.6.5"),
        ("Linphone Desktop/4.2.5 (macOS 10.15, Qt 5.15.2) Core/4.4.19", "Linphone", "4.2.5"),
        ("Linphonec/5.1.65", "Linphone", "5.1.65"),
        ("MicroSIP/3.20.5", "MicroSIP", "3.20.5"),
        ("baresip v0.5.0 (x86_64/freebsd)", "baresip", "0.5.0"),
        ("Acrobits SIPIS", None, None),
        ("Zoiper rv2.10.8.2", None, None),
        ("Z 5.5.5 v2.10.15.2", None, None),
    ],
)
def test_user_agent(agent: str, app: str | None, firmware: str | None) -> None:
    """Apps are known by what they call themselves."""
    found = identify([("softphone", FLAVOR)], Evidence(user_agent=agent))

    assert (found.flavor, found.model, found.firmware) == ("softphone", app, firmware)
    assert phone_type(FLAVOR, found.model or "") == app
