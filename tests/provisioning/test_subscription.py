"""What phones ask, and what they are answered, as bytes."""

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muru.provisioning.subscription import (
    MAX_DATAGRAM,
    Malformed,
    PnpRequest,
    Subscription,
    asks_for_configuration,
    parse,
)
from tests.provisioning.pnp_phone import MODELS, SNOM, Model, question

PHONE, OWN = ("192.0.2.7", 5060), ("192.0.2.1", 40001)
URL = "http://192.0.2.1/telephoning/snom/t0ken/"

QUESTION = (
    b"SUBSCRIBE sip:MAC%3a00041376A1B2@224.0.1.75 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK-1;rport\r\n"
    b"From: <sip:MAC%3a00041376A1B2@224.0.1.75>;tag=abc\r\n"
    b"To: <sip:MAC%3a00041376A1B2@224.0.1.75>;tag=def\r\n"
    b"Call-ID: 1@192.0.2.7\r\n"
    b"CSeq: 1 SUBSCRIBE\r\n"
    b"Contact: <sip:192.0.2.7:5060>\r\n"
    b'Event: ua-profile;profile-type="device";vendor="snom";model="snomD735";version="10"\r\n'
    b"Expires: 0\r\n"
    b"\r\n"
)


def subscription(datagram: bytes = QUESTION) -> Subscription:
    message = parse(datagram)
    assert asks_for_configuration(message)
    return Subscription(message, PHONE)


def test_ok() -> None:
    """A question is accepted with its own headers, and how it was seen to come."""
    assert subscription().ok(OWN) == (
        b"SIP/2.0 200 OK\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK-1;rport=5060;received=192.0.2.7\r\n"
        b"From: <sip:MAC%3a00041376A1B2@224.0.1.75>;tag=abc\r\n"
        b"To: <sip:MAC%3a00041376A1B2@224.0.1.75>;tag=def\r\n"
        b"Call-ID: 1@192.0.2.7\r\n"
        b"CSeq: 1 SUBSCRIBE\r\n"
        b"Contact: <sip:192.0.2.1:40001>\r\n"
        b"Expires: 0\r\n"
        b"Content-Length: 0\r\n"
        b"\r\n"
    )


def test_notify() -> None:
    """The URL follows in the same dialog, seen from the other side, and ends it."""
    assert subscription().notify(URL, OWN, "z9hG4bK-2") == (
        b"NOTIFY sip:192.0.2.7:5060 SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.1:40001;branch=z9hG4bK-2;rport\r\n"
        b"Max-Forwards: 20\r\n"
        b"From: <sip:MAC%3a00041376A1B2@224.0.1.75>;tag=def\r\n"
        b"To: <sip:MAC%3a00041376A1B2@224.0.1.75>;tag=abc\r\n"
        b"Call-ID: 1@192.0.2.7\r\n"
        b"CSeq: 1 NOTIFY\r\n"
        b"Contact: <sip:192.0.2.1:40001>\r\n"
        b'Event: ua-profile;profile-type="device";vendor="snom";model="snomD735";version="10"\r\n'
        b"Subscription-State: terminated;reason=timeout\r\n"
        b"Content-Type: application/url\r\n"
        b"Content-Length: 40\r\n"
        b"\r\n" + URL.encode()
    )


def test_dialog_has_one_tag_of_ours() -> None:
    """A phone can tell by its tag that 200 and NOTIFY belong together."""
    asked = subscription(QUESTION.replace(b";tag=def", b""))
    tag = asked.ok(OWN).partition(b"To: ")[2].partition(b"\r\n")[0]

    assert tag.startswith(b"<sip:MAC%3a00041376A1B2@224.0.1.75>;tag=")
    assert b"\r\nFrom: " + tag + b"\r\n" in asked.notify(URL, OWN, "b")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.vendor)
def test_request_of_each_vendor(model: Model) -> None:
    """What a phone tells of itself is understood, however its vendor writes the MAC address."""
    asked = Subscription(parse(question(model, PHONE)), PHONE)

    assert asked.request("192.0.2.1") == PnpRequest(
        mac=model.mac,
        vendor=model.vendor,
        model=model.model,
        version=model.version,
        user_agent=model.user_agent,
        peer=PHONE,
        local="192.0.2.1",
    )
    assert asked.target == asked.source == PHONE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"From: <sip:MAC%3a00041376A1B2", b"From: <sip:MAC%3a00041376A1B3"),
        (b"MAC%3a00041376A1B2", b"100"),
        (b"00041376A1B2", b"00041376A1B2C"),
        (b"00041376A1B2", b"00041376A1B"),
    ],
)
def test_request_without_one_mac(old: bytes, new: bytes) -> None:
    """Where a phone names no MAC address, or two, none is guessed."""
    assert subscription(QUESTION.replace(old, new)).request("").mac is None


def test_request_with_bytes_of_any_kind() -> None:
    """Texts that reach the application are bounded, and can be printed; the echo is exact."""
    agent = b"User-Agent: \xff\xe2\x80\xa8" + b"x" * 500 + b"\r\nExpires"
    datagram = QUESTION.replace(b"Expires", agent).replace(b"1@192", b"\xff@192")
    asked = subscription(datagram.replace(b"snomD735", b"\xf0\x9f\x98\x80\xfe"))

    assert asked.request("").user_agent == "\ufffd\ufffd" + "x" * 126
    assert asked.request("").model == "\U0001f600\ufffd"
    assert b"Call-ID: \xff@192.0.2.7\r\n" in asked.ok(OWN)
    assert b"Call-ID: \xff@192.0.2.7\r\n" in asked.notify(URL, OWN, "b")


def test_request_in_short_and_folded_headers() -> None:
    """Abbreviated names, other cases, spaces and continued lines are understood."""
    datagram = (
        b"SUBSCRIBE sip:100@224.0.1.75 SIP/2.0\r\nv : SIP / 2.0 / UDP 192.0.2.7 ;branch=b\r\n"
        b"f: sip:MAC%3a00041376A1B2@224.0.1.75;tag=1\r\nt: sip:100@224.0.1.75\r\ni: 1\r\n"
        b"CSEQ: 1  SUBSCRIBE\r\nm: sip:192.0.2.7\r\no: UA-Profile\r\n ;Vendor = snom\r\n\r\n"
    )
    asked = subscription(datagram)

    assert (asked.request("").vendor, asked.request("").mac) == ("snom", "00041376a1b2")
    assert asked.target == asked.source == PHONE


@pytest.mark.parametrize(
    ("contact", "target"),
    [
        (b"<sip:192.0.2.7:5999>", ("192.0.2.7", 5999)),
        (b'"A, B" <sip:100@192.0.2.7:5999;transport=udp>;expires=1', ("192.0.2.7", 5999)),
        (b"sip:192.0.2.7", ("192.0.2.7", 5060)),
        (b"<sip:192.0.2.9:5999>", PHONE),  # somebody else
        (b"<sip:224.0.1.75:5060>", PHONE),
        (b"<sip:phone.example:5999>", PHONE),
        (b"<sip:192.0.2.7:0>", PHONE),
        (b"<sip:192.0.2.7:99999>", PHONE),
        (b"<tel:100>", PHONE),
        (b"*", PHONE),
        (b"", PHONE),
    ],
)
def test_target(contact: bytes, target: tuple[str, int]) -> None:
    """NOTIFY goes to the Contact, but never to another host than asked."""
    asked = subscription(QUESTION.replace(b"<sip:192.0.2.7:5060>", contact))

    assert asked.target == target
    parse(asked.notify(URL, OWN, "b"))


@pytest.mark.parametrize(
    ("via", "source", "told"),
    [
        ("192.0.2.7:5070;branch=b", 5070, "192.0.2.7:5070;branch=b"),
        ("192.0.2.7;branch=b", 5060, "192.0.2.7;branch=b"),
        (
            "192.0.2.7:5070;rport;branch=b",
            6000,
            "192.0.2.7:5070;rport=6000;branch=b;received=192.0.2.7",
        ),
        ("10.0.0.1:5070;branch=b", 5070, "10.0.0.1:5070;branch=b;received=192.0.2.7"),
        (
            "10.0.0.1:99999;branch=b, SIP/2.0/UDP x;rport",
            6000,
            "10.0.0.1:99999;branch=b;received=192.0.2.7, SIP/2.0/UDP x;rport",
        ),
    ],
)
def test_source(via: str, source: int, told: str) -> None:
    """200 goes to the address that asked, and to the port that the phone wishes."""
    message = parse(question(SNOM, PHONE, via=f"SIP/2.0/UDP {via}"))
    asked = Subscription(message, ("192.0.2.7", 6000))

    assert asked.source == ("192.0.2.7", source)
    assert f"\r\nVia: SIP/2.0/UDP {told}\r\n".encode() in asked.ok(OWN)


@pytest.mark.parametrize(
    "url", ["", "http://x/\r\nEvil: 1", "http://x/a b", "http://x/\0", "http://ü/", "x" * 513]
)
def test_notify_with_a_wrong_url(url: str) -> None:
    """What is no URL is refused, in words that do not repeat it."""
    with pytest.raises(ValueError, match="cannot be sent") as raised:
        subscription().notify(url, OWN, "b")

    assert not url or url not in str(raised.value)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\r\n\r\n",
        b"jaK",  # Linphone's and others' keep-alive
        QUESTION[:-2],
        QUESTION + bytes(MAX_DATAGRAM),
        QUESTION.replace(b"SIP/2.0\r\n", b"HTTP/1.1\r\n", 1),
        QUESTION.replace(b"Expires: 0", b"Expires"),
        QUESTION.replace(b"tag=abc", b"tag=abc\nEvil: 1"),
        QUESTION.replace(b"tag=abc", b"tag=abc\rEvil: 1"),
        QUESTION.replace(b"tag=abc", b"tag=a\0c"),
        QUESTION.replace(b"Via", b"Viola"),
        QUESTION.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP"),
        QUESTION.replace(b"From", b"Form"),
        QUESTION.replace(b"Call-ID: 1@192.0.2.7", b"Call-ID:"),
        QUESTION.replace(b"Expires", b"t: x\r\nExpires"),
        QUESTION.replace(b"1 SUBSCRIBE", b"1 NOTIFY"),
        QUESTION.replace(b"Expires", b"Event: ua-profile\r\nExpires"),
    ],
)
def test_question_malformed(datagram: bytes) -> None:
    """What cannot be answered by the rules is not answered at all."""
    with pytest.raises(Malformed):
        subscription(datagram)


@pytest.mark.parametrize(
    "datagram",
    [
        QUESTION.replace(b"ua-profile", b"message-summary"),
        QUESTION.replace(b"ua-profile", b"ua-profiles"),
        QUESTION.replace(b"Event", b"Evening"),
        QUESTION.replace(b"SUBSCRIBE sip", b"REGISTER sip"),
        QUESTION.replace(b"SUBSCRIBE sip", b"NOTIFY sip"),
        b"SIP/2.0 200 OK" + QUESTION[QUESTION.index(b"\r\n") :],
    ],
)
def test_question_of_others(datagram: bytes) -> None:
    """Other SIP is recognised as such."""
    assert not asks_for_configuration(parse(datagram))


# Bytes as an attacker would choose them: those that mean something, and any others.
MARKS = (
    b'\r\n|\n|\r| |:|;|,|<|>|"|\\|@|=|%3a|sip:|MAC|rport|tag=|branch=|Via: |\0|\xff|\xe2\x80\xa8'
)
pieces = st.sampled_from(MARKS.split(b"|"))
junk = st.lists(st.one_of(pieces, st.binary(max_size=8)), max_size=12).map(b"".join)


@given(st.integers(0, len(QUESTION)), st.integers(0, len(QUESTION)), junk)
@settings(max_examples=500, deadline=None)
def test_question_with_anything_in_it(start: int, end: int, middle: bytes) -> None:
    """No question makes an answer fail, have a line that was not to be there, or be much longer."""
    datagram = QUESTION[: min(start, end)] + middle + QUESTION[max(start, end) :]
    try:
        message = parse(datagram)
        if not asks_for_configuration(message):
            return
        asked = Subscription(message, PHONE)
    except Malformed:
        return
    request = asked.request("192.0.2.1")
    assert request.user_agent.isprintable()
    assert request.mac is None or len(request.mac) == 12
    assert asked.target[0] == asked.source[0] == PHONE[0]
    vias = len(message.headers["via"])
    for answer, lines in ((asked.ok(OWN), 8 + vias), (asked.notify(URL, OWN, "b"), 12)):
        head = answer.partition(b"\r\n\r\n")[0]
        assert len(head.split(b"\r\n")) == head.count(b"\n") + 1 == head.count(b"\r") + 1 == lines
        assert len(answer) < len(datagram) + 400
        parse(answer.ljust(1)[:MAX_DATAGRAM])


@given(st.binary(max_size=MAX_DATAGRAM))
def test_parse_with_any_bytes(datagram: bytes) -> None:
    """Any datagram is a message or malformed."""
    try:
        parse(datagram)
    except Malformed:
        return


@pytest.mark.parametrize(
    "piece", [b';a="', b';a=\\"', b"<", b"sip:a@", b",;rport", b"mac:", b" ;", b"a", b"\r\n "]
)
def test_parse_is_quick(piece: bytes) -> None:
    """No question keeps the loop from others for long."""
    long = piece * ((MAX_DATAGRAM - len(QUESTION)) // len(piece))
    for place in (b"192.0.2.7:5060", b"ua-profile;", b"rport", b"MAC%3a00041376A1B2", b"Contact: "):
        began = time.process_time()
        with contextlib.suppress(Malformed):
            message = parse(QUESTION.replace(place, place + long, 1))
            asked = Subscription(message, PHONE)
            assert asked.request("").peer == asked.target == PHONE
            asked.ok(OWN)
            asked.notify(URL, OWN, "b")

        assert time.process_time() - began < 0.05
