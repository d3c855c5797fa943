"""Requests as they reach whoever answers them."""

import random

import pytest

from muru.provisioning.tftp.packet import Error, ErrorCode, Request
from muru.provisioning.tftp.request import MAX_NAME, ReadRequest, clean_name, understand

PEER = ("192.0.2.1", 2070)


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("spa504G.cfg", "spa504G.cfg"),
        ("/spa504G.cfg", "spa504G.cfg"),
        ("///snom//./settings.xml", "snom/settings.xml"),
        ("Communicator\\Ringlist.xml", "Communicator/Ringlist.xml"),
        ("\\\\a\\b", "a/b"),
        ("./SEP0004F2AABBCC.cnf.xml", "SEP0004F2AABBCC.cnf.xml"),
        ("folder/", "folder"),
        (".hidden", ".hidden"),
        ("a..b/c..", "a..b/c.."),
        ("Zoë's phone.cfg", "Zoë's phone.cfg"),
        ("\ufffd.cfg", "\ufffd.cfg"),
        ("%2e%2e/passwd", "%2e%2e/passwd"),
        ("a" * MAX_NAME, "a" * MAX_NAME),
    ],
)
def test_name_cleaned(name: str, cleaned: str) -> None:
    """Names come as relative paths with plain slashes, however a phone writes them."""
    assert clean_name(name) == cleaned


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "././",
        "..",
        "../etc/passwd",
        "a/../b",
        "a\\..\\b",
        "/..\\/x",
        "a/..",
        ".. /a",
        "a/.../b",
        " ",
        "a\nb",
        "a\x1b[2J",
        "\u202egfc.exe",
        "a" * (MAX_NAME + 1),
    ],
)
def test_name_astray(name: str) -> None:
    """Names that leave the folder, forge lines, or are none at all are not passed on."""
    assert clean_name(name) is None


def test_name_never_climbs() -> None:
    """No mix of dots, slashes and letters yields a path that is absolute or climbs."""
    chance = random.Random(69)
    for _ in range(50_000):
        name = "".join(chance.choices("./\\a ", k=chance.randrange(10)))

        cleaned = clean_name(name)

        if cleaned is not None:
            assert cleaned[0] != "/"
            assert "\\" not in cleaned
            assert not {"", ".", ".."} & set(cleaned.split("/"))
            assert clean_name(cleaned) == cleaned


def test_request_understood() -> None:
    """What is answered has a clean name, its mode, all options and the client's address."""
    options = {"blksize": "1428", "x": "y"}

    request = understand(Request("/A.cfg", "netascii", options), PEER)

    assert request == ReadRequest("A.cfg", "netascii", options, PEER)
    assert "A.cfg" not in repr(request)  # it may be a secret


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (Request("a", "octet", write=True), ErrorCode.ACCESS_VIOLATION),
        (Request("a/../../b", "octet"), ErrorCode.ACCESS_VIOLATION),
        (Request("a", "mail"), ErrorCode.ILLEGAL_OPERATION),
        (Request("a", ""), ErrorCode.ILLEGAL_OPERATION),
    ],
)
def test_request_refused(packet: Request, code: ErrorCode) -> None:
    """Writing, climbing and other modes are refused without a look at any file."""
    refusal = understand(packet, PEER)

    assert isinstance(refusal, Error)
    assert refusal.code == code
