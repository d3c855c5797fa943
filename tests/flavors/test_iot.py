"""The data of an account for devices that people build themselves."""

import pytest
from muru.flavors.iot import IoT

from tests.flavors import sample
from tests.flavors.phones.iot import READERS

FLAVOR = IoT()
FORMS = ("json", "csv", "xml")


@pytest.mark.parametrize("form", FORMS)
def test_account_is_as_expected(form: str) -> None:
    """The whole answer in each form, with a name that each of them has to escape."""
    words = sample.vocabulary(
        FLAVOR, "IoT", "", names=('Door "&", <bell>',), codecs=("g722", "alaw")
    )

    expected = sample.golden(f"iot/account.{form}")
    assert expected == sample.render(FLAVOR, f"account.{form}", words)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", sample.HOSTILE)
def test_account_is_read_back_as_it_was_given(form: str, name: str) -> None:
    """Whatever the extension is called, a device finds the same account in each form."""
    words = sample.vocabulary(FLAVOR, "IoT", "", names=(name,), codecs=("alaw", "g722"))
    account = READERS[form](sample.render(FLAVOR, f"account.{form}", words))
    line = words.lines[0]

    assert (account.username, account.password) == (line.username, line.password)
    assert (account.server, account.port, account.transport) == ("192.0.2.20", 5060, "udp")
    assert account.codecs == ["alaw", "g722"]
    assert form != "json" or account.name == name


def test_token_is_the_file_in_the_form_that_is_asked_for() -> None:
    """The same name is another file where the URL has its format, and JSON where it has none."""
    token = "abcdefghjkmnpqrstuvwxyz234"
    found = [file.match(token) for file in FLAVOR.FILES]

    assert all(match is not None and match.group("token") == token for match in found)
    assert [file.query for file in FLAVOR.FILES] == [("format", "csv"), ("format", "xml"), None]
    assert [file.match("short") for file in FLAVOR.FILES] == [None, None, None]


def test_link_is_the_short_url_with_the_token() -> None:
    """The owner is shown the URL that goes into the device's code."""
    (link,) = FLAVOR.links(sample.vocabulary(FLAVOR, "IoT", ""))

    assert link.url == "http://192.0.2.10:8000/telephoning/iot/abcdefghjkmnpqrstuvwxyz234"
    assert not link.qr
