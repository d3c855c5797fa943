"""The link to Asterisk, against a server on a real socket that has all the faults of the world."""

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from muru.asterisk.ami import Ami, AmiMessage
from muru.errors import AmiRefused, AmiTimeout, AmiUnavailable
from tests.fake_ami import FakeAmi, Request

CONTACTS = """\
Response: Success
EventList: start
Message: A listing of Contacts follows, presented as ContactList events

Event: ContactList
ObjectName: 100;@1
UserAgent: Zoë's phone

Event: ContactList
ObjectName: 101;@1
UserAgent: snom

Event: ContactListComplete
EventList: Complete
ListItems: 2"""

MakeAmi = Callable[..., Ami]


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    """Every test of this file also shows that no task outlives its link."""
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
async def asterisk(nothing_is_left: None) -> AsyncIterator[FakeAmi]:
    async with FakeAmi() as server:
        yield server


@pytest.fixture
async def make_ami(asterisk: FakeAmi) -> AsyncIterator[MakeAmi]:
    """An Ami in a hurry: its waits are short, so that the tests are."""
    made: list[Ami] = []

    def make(**settings: Any) -> Ami:
        hurry: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": asterisk.port,
            "username": asterisk.username,
            "secret": SecretStr(asterisk.secret),
            "action_timeout": 0.5,
            "backoff": (0.01, 0.05),
        }
        made.append(Ami(**hurry | settings))
        return made[-1]

    yield make
    for ami in made:
        await ami.stop()


@pytest.fixture
async def ami(make_ami: MakeAmi) -> Ami:
    """A link that is up."""
    ami = make_ami()
    await bring_up(ami)
    return ami


async def bring_up(ami: Ami) -> None:
    await ami.start()
    assert await ami.wait_connected(3)


async def until(condition: Callable[[], object], within: float = 3.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.005)


async def in_time(ami: Ami, asterisk: FakeAmi) -> None:
    """Returns when all that the server has sent until now has been handled."""
    seen = asyncio.Event()
    ami.subscribe(lambda _: seen.set(), "TestMark")
    asterisk.emit("TestMark")
    async with asyncio.timeout(3):
        await seen.wait()


def collect(ami: Ami, *names: str) -> list[AmiMessage]:
    events: list[AmiMessage] = []
    ami.subscribe(events.append, *names)
    return events


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= level and record.name.startswith("muru")
    ]


def test_state_at_first() -> None:
    """Before its start a link is not connected, says so, and since when."""
    ami = Ami(host="127.0.0.1", port=1, username="muru", secret=SecretStr("s"))

    assert not ami.state.connected
    assert ami.state.reason == "not started"
    assert datetime.now(UTC) - ami.state.since < timedelta(seconds=5)


async def test_login_by_challenge(
    asterisk: FakeAmi, make_ami: MakeAmi, caplog: pytest.LogCaptureFixture
) -> None:
    """A login takes an MD5 challenge; the secret is neither on the wire nor in any log."""
    caplog.set_level(logging.DEBUG)
    await bring_up(ami := make_ami())

    assert ami.state.connected
    assert ami.state.reason == ""
    assert asterisk.requests[1].get("AuthType") == "MD5"
    assert asterisk.secret not in str([request.headers for request in asterisk.requests])
    assert asterisk.secret not in caplog.text
    assert asterisk.requests[1].get("Key") not in caplog.text


async def test_panoramisk_logs_no_actions(
    ami: Ami, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What panoramisk would log of an action that it cannot write is not in the log."""
    caplog.set_level(logging.DEBUG)
    assert ami._link
    with monkeypatch.context() as patch:
        patch.setattr(ami._link.transport, "write", None)
        with pytest.raises(AmiTimeout):
            await ami.send("Setvar", {"Value": "hunter2"}, timeout=0.01)

    assert "hunter2" not in caplog.text


async def test_refused_connection_then_it_comes_up(
    asterisk: FakeAmi, make_ami: MakeAmi, caplog: pytest.LogCaptureFixture
) -> None:
    """A start without Asterisk does not raise, is told once, and ends well when Asterisk comes."""
    caplog.set_level(logging.INFO)
    await asterisk.stop()
    ami = make_ami()
    await ami.start()

    assert not await ami.wait_connected(0.2)
    assert "refused" in ami.state.reason or "Connect call failed" in ami.state.reason
    assert len(lines(caplog)) == 1

    await asterisk.start()

    assert await ami.wait_connected(3)
    assert [line[:7] for line in lines(caplog)] == ["No link", "Logged "]


async def test_backoff_grows_to_its_bound(make_ami: MakeAmi) -> None:
    """The pauses between attempts double from the first to the longest, less some jitter."""
    attempts: list[float] = []

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        attempts.append(time.monotonic())
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    ami = make_ami(port=server.sockets[0].getsockname()[1], backoff=(0.02, 0.16))
    await ami.start()
    await until(lambda: len(attempts) == 7)
    await ami.stop()
    server.close()
    await server.wait_closed()
    gaps = [after - before for before, after in itertools.pairwise(attempts)]

    assert gaps[0] < 0.06
    assert all(0.08 <= gap < 0.3 for gap in gaps[3:])


async def test_wrong_password_is_told_once_and_retried_slowly(
    asterisk: FakeAmi, make_ami: MakeAmi, caplog: pytest.LogCaptureFixture
) -> None:
    """A refused login says once what to do, waits its own pause, and works when it is put right."""
    caplog.set_level(logging.DEBUG)
    ami = make_ami(secret=SecretStr("wr0ng"), wrong_password_retry=0.15)
    await ami.start()
    await asterisk.received("Login", count=3)
    warnings = lines(caplog, logging.WARNING)

    assert len(warnings) == 1
    assert "Authentication failed" in warnings[0]
    assert "manager.conf" in warnings[0]
    assert "manager.conf" in ami.state.reason
    assert "wr0ng" not in caplog.text
    asterisk.requests.clear()
    await asyncio.sleep(0.3)
    assert 1 <= asterisk.count("Login") <= 2

    asterisk.secret = "wr0ng"

    assert await ami.wait_connected(3)


async def test_half_open_link_is_noticed(asterisk: FakeAmi, make_ami: MakeAmi) -> None:
    """A server that neither answers nor closes is left, and a fresh connection is made."""
    ami = make_ami(ping_interval=0.05, action_timeout=0.1)
    await bring_up(ami)
    losses: list[str] = []
    ami.on_loss(lambda: losses.append(ami.state.reason))

    asterisk.deaf = True
    await until(lambda: losses)
    asterisk.deaf = False

    assert losses == ["Asterisk did not answer Ping within 0.1 s"]
    assert await ami.wait_connected(3)


async def test_pings_keep_a_quiet_link(asterisk: FakeAmi, make_ami: MakeAmi) -> None:
    """A link on which nothing happens stays the same link."""
    ami = make_ami(ping_interval=0.02)
    await bring_up(ami)
    await asterisk.received("Ping", count=3)

    assert ami.state.connected
    assert asterisk.sessions_ever == 1


async def test_slow_action_is_no_half_open_link(asterisk: FakeAmi, make_ami: MakeAmi) -> None:
    """While Asterisk is busy with an action that may take its time, no ping is missed."""
    asterisk.slow["Reload"] = 0.3
    asterisk.answers["Reload"] = "Response: Success"
    ami = make_ami(ping_interval=0.02, action_timeout=0.1)
    await bring_up(ami)

    assert (await ami.send("Reload", timeout=3)).name == "Success"
    assert asterisk.sessions_ever == 1


async def test_restart_of_asterisk(
    asterisk: FakeAmi, make_ami: MakeAmi, caplog: pytest.LogCaptureFixture
) -> None:
    """Loss and return are told once each, in the log and to whoever asked; events come again."""
    caplog.set_level(logging.INFO)
    ami = make_ami()
    told: list[tuple[str, bool]] = []
    ami.on_login(lambda: told.append(("login", ami.state.connected)))
    ami.on_loss(lambda: told.append(("loss", ami.state.connected)))
    events = collect(ami, "PeerStatus")
    await bring_up(ami)
    before = ami.state.since
    caplog.clear()

    await asterisk.stop()
    await asyncio.sleep(0.2)
    await asterisk.start()
    assert await ami.wait_connected(3)
    asterisk.emit("PeerStatus", Peer="PJSIP/100")
    await in_time(ami, asterisk)

    assert told == [("login", True), ("loss", False), ("login", True)]
    assert [line[:7] for line in lines(caplog)] == ["No link", "Logged "]
    assert [event.headers["Peer"] for event in events] == ["PJSIP/100"]
    assert ami.state.since > before


async def test_each_outage_is_like_the_first(
    asterisk: FakeAmi, make_ami: MakeAmi, caplog: pytest.LogCaptureFixture
) -> None:
    """After a login the next outage is told again, and its first pause is the short one again."""
    caplog.set_level(logging.INFO)
    ami = make_ami(backoff=(0.01, 60), action_timeout=30)
    await bring_up(ami)
    for outage in range(9):
        asterisk.cut()
        await until(lambda n=outage: asterisk.sessions_ever == n + 2 and ami.state.connected, 1)  # type: ignore[misc]

    assert [line[:7] for line in lines(caplog)] == ["Logged ", *["No link", "Logged "] * 9]


async def test_state_keeps_the_time_of_the_loss(asterisk: FakeAmi, ami: Ami) -> None:
    """While attempts fail, the state tells since when the link is down."""
    await asterisk.stop()
    await until(lambda: not ami.state.connected)
    since = ami.state.since
    await asyncio.sleep(0.1)

    assert ami.state.since == since
    assert since.tzinfo is UTC


async def test_malformed_messages_are_skipped(asterisk: FakeAmi, ami: Ami) -> None:
    """Whatever is no message costs nothing but itself."""
    events = collect(ami, "Good")
    for junk in (
        b"",
        b"Nonsense",
        b"Event",
        b"Event: ",
        b"Event: Good\r\nEvent: Good",
        b"Event: Bad\r\nActionID: 1\r\nActionID: 2",
        b"ActionID: 7\r\nFoo: bar",
        b"Response: Follows",
        b"Response: Success\r\nActionID: muru/nobody",
        b"\xff\xfe\x00: \x80",
        b": \r\n: : :",
    ):
        asterisk.send_raw(junk + b"\r\n\r\n")
        asterisk.emit("Good", After=repr(junk))
    await in_time(ami, asterisk)

    assert len(events) == 11
    assert asterisk.sessions_ever == 1


async def test_malformed_answer_is_skipped(asterisk: FakeAmi, ami: Ami) -> None:
    """An answer that cannot be understood is as good as none, and the link goes on."""
    asterisk.answers["Odd"] = "Response: Success\nActionID: another"
    with pytest.raises(AmiTimeout):
        await ami.send("Odd", timeout=0.1)

    assert (await ami.send("Ping")).name == "Success"


async def test_truncated_message_dies_with_its_link(asterisk: FakeAmi, ami: Ami) -> None:
    """Half a message before a loss does not become part of the first one after the return."""
    events = collect(ami, "PeerStatus")
    asterisk.send_raw(b"Event: PeerStatus\r\nPeer: PJSIP/1")
    await asyncio.sleep(0.05)
    asterisk.cut()
    await until(lambda: asterisk.sessions_ever == 2 and ami.state.connected)
    asterisk.send_raw(b"00\r\n\r\n")
    await in_time(ami, asterisk)

    assert events == []


async def test_utf8_split_across_packets(asterisk: FakeAmi, ami: Ami) -> None:
    """A character keeps its bytes together even if each comes in a packet of its own."""
    events = collect(ami, "Newchannel")
    for byte in "Event: Newchannel\r\nCallerIDName: Zoë 🐟\r\n\r\n".encode():
        asterisk.send_raw(bytes([byte]))
        await asyncio.sleep(0.002)
    await in_time(ami, asterisk)

    assert [event.headers["CallerIDName"] for event in events] == ["Zoë 🐟"]


async def test_bytes_that_are_no_utf8(asterisk: FakeAmi, ami: Ami) -> None:
    """A name in some old encoding is shown with a replacement, and not lost."""
    events = collect(ami, "Newchannel")
    asterisk.send_raw("Event: Newchannel\r\nCallerIDName: Zoë\r\n\r\n".encode("latin-1"))
    await in_time(ami, asterisk)

    assert [event.headers["CallerIDName"] for event in events] == ["Zo\N{REPLACEMENT CHARACTER}"]


async def test_message_without_end(asterisk: FakeAmi, ami: Ami) -> None:
    """A megabyte without a blank line is not kept: the link is given up."""
    losses: list[str] = []
    ami.on_loss(lambda: losses.append(ami.state.reason))
    asterisk.send_raw(b"x" * (1024 * 1024 + 1))
    await until(lambda: losses)

    assert "without an end" in losses[0]
    assert await ami.wait_connected(3)


async def test_send(asterisk: FakeAmi, ami: Ami) -> None:
    """An action gets its own answer, with Asterisk's spelling of the headers."""
    asterisk.answers["CoreStatus"] = "Response: Success\nCoreCurrentCalls: 3"
    answer = await ami.send("CoreStatus")

    assert answer == AmiMessage(
        name="Success",
        headers={
            "Response": "Success",
            "ActionID": asterisk.requests[-1].get("ActionID"),
            "CoreCurrentCalls": "3",
        },
    )


async def test_many_actions_at_once(asterisk: FakeAmi, ami: Ami) -> None:
    """Actions do not wait for each other, and answers find theirs in whatever order they come."""
    held: list[Request] = []

    def answer_all_when_complete(request: Request) -> str:
        held.append(request)
        for earlier in reversed(held[:-1] if len(held) == 500 else []):
            request.session.reply(earlier, f"Response: Success\nYou: {earlier.get('Who')}")
        return f"Response: Success\nYou: {request.get('Who')}" if len(held) == 500 else ""

    asterisk.answers["Held"] = answer_all_when_complete
    answers = await asyncio.gather(*(ami.send("Held", {"Who": str(n)}) for n in range(500)))

    assert [answer.headers["You"] for answer in answers] == [str(n) for n in range(500)]


async def test_command(asterisk: FakeAmi, ami: Ami) -> None:
    """What a Command printed is in one piece, empty lines included."""
    text = "Response: Success\nMessage: Command output follows\nOutput: a\nOutput: \nOutput: b"
    asterisk.answers["Command"] = text
    answer = await ami.send("Command", {"Command": "core show uptime"})

    assert answer.output == "a\n\nb"


async def test_refused_action(asterisk: FakeAmi, ami: Ami) -> None:
    """A refusal says what Asterisk said."""
    asterisk.answers["Hangup"] = "Response: Error\nMessage: No such channel"
    with pytest.raises(AmiRefused, match="Hangup: No such channel"):
        await ami.send("Hangup")
    with pytest.raises(AmiRefused, match="Invalid/unknown command: Foo"):
        await ami.send("Foo")


async def test_refused_command(asterisk: FakeAmi, ami: Ami) -> None:
    """A failed Command says what it printed, since its Message only says that it did."""
    text = "Response: Error\nMessage: Command output follows\nOutput: No such command 'foo'"
    asterisk.answers["Command"] = text
    with pytest.raises(AmiRefused, match="No such command 'foo'"):
        await ami.send("Command", {"Command": "foo"})


async def test_action_without_answer(asterisk: FakeAmi, ami: Ami) -> None:
    """An action that gets no answer fails in time; the answer that comes later is dropped."""
    asterisk.silent.add("Slow")
    events = collect(ami, "Slow", "Success")
    with pytest.raises(AmiTimeout, match=r"Slow within 0\.05 s"):
        await ami.send("Slow", timeout=0.05)
    assert ami._link
    assert ami._link.responses == {}

    late = await asterisk.received("Slow")
    late.session.reply(late, "Response: Success")
    await in_time(ami, asterisk)

    assert events == []
    assert ami._link.responses == {}
    assert (await ami.send("Ping")).headers["Ping"] == "Pong"


async def test_nothing_leaks(asterisk: FakeAmi, ami: Ami) -> None:
    """Neither answered, refused, timed out nor cancelled actions leave anything behind."""
    asterisk.answers["PJSIPShowContacts"] = CONTACTS
    asterisk.silent.add("Slow")
    await ami.list("PJSIPShowContacts")
    asterisk.answers["Command"] = "Response: Success\nMessage: Command output follows\nOutput: x"
    await ami.send("Command", {"Command": "x"})
    with pytest.raises(AmiRefused):
        await ami.send("Foo")
    waiting = asyncio.create_task(ami.send("Slow"))
    await asterisk.received("Slow")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert ami._link
    assert ami._link.responses == {}


@pytest.mark.parametrize("bad", ["a\r\nAction: Command", "a\n", "\rb", "a\0b", "\udc80"])
async def test_line_breaks_are_refused(asterisk: FakeAmi, ami: Ami, bad: str) -> None:
    """Nothing that could begin a header of its own gets onto the wire, wherever it stands."""
    before = len(asterisk.requests)
    for action, headers in (
        (bad, {}),
        ("Ping", {"Name": bad}),
        ("Ping", {bad: "value"}),
        ("Ping", {"Variable": ["good", bad]}),
    ):
        with pytest.raises(ValueError, match="AMI header"):
            await ami.send(action, headers)
        with pytest.raises(ValueError, match="AMI header"):
            await ami.list(action, headers)
    await ami.send("Ping")

    assert len(asterisk.requests) == before + 1


def test_line_break_in_the_username() -> None:
    """Settings that could inject headers are refused at once, and not at each login."""
    with pytest.raises(ValueError, match="Username"):
        Ami(host="127.0.0.1", port=1, username="muru\r\n", secret=SecretStr("s"))


async def test_fault_text_hides_values(ami: Ami) -> None:
    """The error about a bad value does not repeat the value, which may be a secret."""
    with pytest.raises(ValueError, match="AMI header") as fault:
        await ami.send("Login", {"Secret": "hunter2\n"})

    assert "hunter2" not in str(fault.value)


async def test_repeated_headers(asterisk: FakeAmi, ami: Ami) -> None:
    """A header may come and go several times, in its order."""
    asterisk.answers["PJSIPNotify"] = "Response: Success\nVariable: a\nVariable: b\nVariable: c"
    wanted = ["Event=check-sync", "Content-Type=text/plain"]
    answer = await ami.send("PJSIPNotify", {"Endpoint": "100", "Variable": wanted})

    assert asterisk.requests[-1].all("Variable") == wanted
    assert answer.headers["Variable"] == "a\nb\nc"


async def test_callers_cannot_take_the_action_id(asterisk: FakeAmi, ami: Ami) -> None:
    """The headers that match answers to actions are set here, whatever a caller gives."""
    await ami.send("Ping", {"ActionID": "mine", "action": "Command"})

    assert asterisk.requests[-1].all("Action") == ["Ping"]
    assert asterisk.requests[-1].get("ActionID").startswith("muru/")


async def test_unconnected_link_refuses_at_once(make_ami: MakeAmi) -> None:
    """Without a link nothing is queued."""
    ami = make_ami()
    with pytest.raises(AmiUnavailable, match="not started"):
        await ami.send("Ping")
    with pytest.raises(AmiUnavailable, match="not started"):
        await ami.list("PJSIPShowContacts")


async def test_loss_ends_the_waiting_and_nothing_is_sent_again(asterisk: FakeAmi, ami: Ami) -> None:
    """An action that waits at a loss fails at once, finds the state right, and is not repeated."""
    asterisk.silent.add("Originate")

    async def originate() -> bool:
        with pytest.raises(AmiUnavailable):
            await ami.send("Originate", {"Channel": "PJSIP/100"}, timeout=30)
        return ami.state.connected

    waiting = [asyncio.create_task(originate()) for _ in range(3)]
    await asterisk.received("Originate", count=3)
    began = time.monotonic()
    asterisk.cut()

    assert await asyncio.gather(*waiting) == [False, False, False]
    assert time.monotonic() - began < 0.5
    assert await ami.wait_connected(3)
    asterisk.emit("FullyBooted", Status="Fully Booted")
    await asyncio.sleep(0.1)
    await ami.send("Ping")
    assert asterisk.count("Originate") == 3


async def test_events_in_the_order_of_the_wire(asterisk: FakeAmi, ami: Ami) -> None:
    """Subscribers get the events of their names and no others, in order, across all packets."""
    events = collect(ami, "PeerStatus", "ContactStatus")
    for n in range(2000):
        asterisk.emit(("PeerStatus", "ContactStatus", "TestEvent", "PeerStatusX")[n % 4], N=str(n))
    await in_time(ami, asterisk)

    assert [int(event.headers["N"]) for event in events] == [n for n in range(2000) if n % 4 < 2]


async def test_subscriber_that_raises(
    asterisk: FakeAmi, ami: Ami, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault in one subscriber is logged, and harms neither the others, the rest nor the link."""

    def fail(_: AmiMessage) -> None:
        raise AttributeError("my own fault")

    ami.subscribe(fail, "PeerStatus")
    events = collect(ami, "PeerStatus")
    asterisk.send_raw(b"Event: PeerStatus\r\nN: 1\r\n\r\nEvent: PeerStatus\r\nN: 2\r\n\r\n")
    await in_time(ami, asterisk)

    assert [event.headers["N"] for event in events] == ["1", "2"]
    assert caplog.text.count("AttributeError: my own fault") == 2
    assert asterisk.sessions_ever == 1


async def test_login_callback_that_raises(asterisk: FakeAmi, make_ami: MakeAmi) -> None:
    """A fault in a callback of login or loss does not keep the link from coming back."""
    ami = make_ami()

    def fail() -> None:
        raise ValueError("my own fault")

    ami.on_login(fail)
    ami.on_loss(fail)
    await bring_up(ami)
    asterisk.cut()
    await until(lambda: asterisk.sessions_ever == 2 and ami.state.connected)


async def test_list(asterisk: FakeAmi, ami: Ami) -> None:
    """A list is its events alone, and subscribers to events of that name do not see them."""
    asterisk.answers["PJSIPShowContacts"] = CONTACTS
    events = collect(ami, "ContactList", "ContactListComplete")
    listed = await ami.list("PJSIPShowContacts")
    await in_time(ami, asterisk)

    assert [event.name for event in listed] == ["ContactList", "ContactList"]
    assert listed[0].headers["UserAgent"] == "Zoë's phone"
    assert events == []


async def test_list_of_some_events(asterisk: FakeAmi, ami: Ami) -> None:
    """What a list has besides the events that are wanted is skipped, and ends it no sooner."""
    asterisk.answers["PJSIPShowEndpoint"] = (
        "Response: Success\nEventList: start\n\nEvent: AuthDetail\nPassword: hunter2\n\n"
        "Event: ContactStatusDetail\nAOR: 100\n\nEvent: AorDetail\nAor: 100\n\n"
        "Event: ContactStatusDetail\nAOR: 101\n\nEvent: EndpointDetailComplete\nListItems: 4"
    )
    wanted = {"ContactStatusDetail"}

    some, everything = await asyncio.gather(
        ami.list("PJSIPShowEndpoint", only=wanted), ami.list("PJSIPShowEndpoint")
    )

    assert [event.headers["AOR"] for event in some] == ["100", "101"]
    assert len(everything) == 4


async def test_list_without_events(asterisk: FakeAmi, ami: Ami) -> None:
    """A list that is complete at once is empty."""
    asterisk.answers["CoreShowChannels"] = (
        "Response: Success\nEventList: start\nMessage: Channels will follow\n\n"
        "Event: CoreShowChannelsComplete\nEventList: Complete\nListItems: 0"
    )

    assert await ami.list("CoreShowChannels") == []


@pytest.mark.parametrize(
    "text",
    [
        "No Contacts found\n",
        "No endpoints found\n",
        "No AORs found\n",
        "No Auths found\n",
        "No objects found.",
        "No resource lists found\n",
        "No active conferences.",
        "No dialplan hints are available",
    ],
)
async def test_empty_list_that_is_an_error(asterisk: FakeAmi, ami: Ami, text: str) -> None:
    """Where Asterisk 22 calls an empty list an error, it is an empty list; send() still says so."""
    asterisk.answers["Show"] = f"Response: Error\nMessage: {text}"

    assert await ami.list("Show") == []
    with pytest.raises(AmiRefused, match=text.strip()):
        await ami.send("Show")


@pytest.mark.parametrize(
    "text", ["No Conference by that name found.", "No such queue", "Permission denied"]
)
async def test_refused_list(asterisk: FakeAmi, ami: Ami, text: str) -> None:
    """Other errors to a list action are errors."""
    asterisk.answers["Show"] = f"Response: Error\nMessage: {text}"
    with pytest.raises(AmiRefused, match=text):
        await ami.list("Show")


async def test_list_interrupted_by_a_loss(asterisk: FakeAmi, ami: Ami) -> None:
    """Half a list is none: what is lost in the middle raises."""
    asterisk.answers["PJSIPShowContacts"] = CONTACTS.rpartition("\n\n")[0]
    listing = asyncio.create_task(ami.list("PJSIPShowContacts", timeout=30))
    await asterisk.received("PJSIPShowContacts")
    asterisk.cut()
    with pytest.raises(AmiUnavailable):
        await listing


async def test_list_without_its_end(asterisk: FakeAmi, ami: Ami) -> None:
    """A list whose end does not come fails in time, and its late events reach no subscriber."""
    head, _, tail = CONTACTS.rpartition("\n\n")
    asterisk.answers["PJSIPShowContacts"] = head
    events = collect(ami, "ContactList", "ContactListComplete")
    with pytest.raises(AmiTimeout):
        await ami.list("PJSIPShowContacts", timeout=0.05)
    late = await asterisk.received("PJSIPShowContacts")
    late.session.reply(late, CONTACTS.split("\n\n")[1] + "\n\n" + tail)
    await in_time(ami, asterisk)

    assert events == []
    assert ami._link
    assert ami._link.responses == {}


async def test_outcome_of_an_originate_is_an_event(asterisk: FakeAmi, ami: Ami) -> None:
    """OriginateResponse has the action's id and comes after its answer: subscribers do get it."""
    asterisk.answers["Originate"] = (
        "Response: Success\nMessage: Originate successfully queued\n\n"
        "Event: OriginateResponse\nResponse: Failure\nReason: 0"
    )
    events = collect(ami, "OriginateResponse")
    answer = await ami.send("Originate", {"Channel": "PJSIP/100"})
    await in_time(ami, asterisk)

    assert answer.name == "Success"
    assert [(event.name, event.headers["Reason"]) for event in events] == [
        ("OriginateResponse", "0")
    ]


async def test_stop_logs_off(asterisk: FakeAmi, ami: Ami, caplog: pytest.LogCaptureFixture) -> None:
    """A stop takes leave of Asterisk, closes the socket, and is no loss."""
    losses: list[str] = []
    ami.on_loss(lambda: losses.append("loss"))
    await ami.stop()

    assert asterisk.count("Logoff") == 1
    await until(lambda: not asterisk.sessions)
    assert (ami.state.connected, ami.state.reason) == (False, "stopped")
    assert losses == []
    assert lines(caplog, logging.WARNING) == []


async def test_stop_of_a_half_open_link(asterisk: FakeAmi, ami: Ami) -> None:
    """A stop does not wait long for a server that is gone."""
    asterisk.deaf = True
    began = time.monotonic()
    await ami.stop()

    assert time.monotonic() - began < 1.5


async def test_stop_although_the_logoff_is_refused(asterisk: FakeAmi, ami: Ami) -> None:
    """Nothing that Asterisk answers keeps a link from its stop."""
    asterisk.answers["Logoff"] = "Response: Error\nMessage: Permission denied"
    async with asyncio.timeout(1):
        await ami.stop()

    await until(lambda: not asterisk.sessions)


async def test_stop_while_actions_wait(asterisk: FakeAmi, ami: Ami) -> None:
    """Who waits for an answer at a stop learns that there is none."""
    asterisk.silent.add("Slow")
    waiting = [asyncio.create_task(ami.send("Slow", timeout=30)) for _ in range(3)]
    await asterisk.received("Slow", count=3)
    await ami.stop()

    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [AmiUnavailable] * 3


async def test_stop_during_the_pause(asterisk: FakeAmi, make_ami: MakeAmi) -> None:
    """A stop between two attempts is immediate, and no connection comes back after it."""
    await asterisk.stop()
    ami = make_ami(backoff=(0.1, 0.1))
    await ami.start()
    await until(lambda: "Connect" in ami.state.reason)
    began = time.monotonic()
    await ami.stop()
    assert time.monotonic() - began < 0.05

    await asterisk.start()
    await asyncio.sleep(0.2)

    assert asterisk.sessions_ever == 0


@pytest.mark.parametrize("step", ["Challenge", "Login"])
async def test_stop_during_the_login(asterisk: FakeAmi, make_ami: MakeAmi, step: str) -> None:
    """A stop in the midst of a login leaves neither task nor socket."""
    asterisk.silent.add(step)
    ami = make_ami(action_timeout=30)
    await ami.start()
    await asterisk.received(step)
    await ami.stop()

    await until(lambda: not asterisk.sessions)
    assert ami.state.reason == "stopped"


async def test_stop_right_after_start(asterisk: FakeAmi, make_ami: MakeAmi) -> None:
    """A stop may come at any moment of the connecting; it may also come twice."""
    for steps in range(8):
        ami = make_ami()
        await ami.start()
        for _ in range(steps):
            await asyncio.sleep(0)
        await asyncio.gather(ami.stop(), ami.stop())
        await ami.stop()

    await until(lambda: not asterisk.sessions)


async def test_start_again(asterisk: FakeAmi, ami: Ami) -> None:
    """What was stopped can be started; a second start changes nothing."""
    await ami.stop()
    await bring_up(ami)
    await ami.start()

    assert (await ami.send("Ping")).name == "Success"
    assert asterisk.sessions_ever == 2


async def test_login_without_an_answer(
    asterisk: FakeAmi, make_ami: MakeAmi, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that accepts and says nothing is tried again, and the reason is told."""
    asterisk.deaf = True
    ami = make_ami(action_timeout=0.05)
    await ami.start()
    await until(lambda: asterisk.sessions_ever >= 3)
    assert ami.state.reason == "Asterisk did not answer Challenge within 0.05 s"
    assert len(lines(caplog, logging.WARNING)) == 1

    asterisk.deaf = False

    assert await ami.wait_connected(3)


@asynccontextmanager
async def something_else(greeting: bytes) -> AsyncIterator[int]:
    """A server that is no Asterisk."""

    def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 99])
async def test_no_asterisk_at_all(make_ami: MakeAmi, greeting: bytes) -> None:
    """Another service on that port is no reason to fall over."""
    async with something_else(greeting) as port:
        ami = make_ami(port=port)
        await ami.start()

        assert not await ami.wait_connected(0.1)
        assert ami.state.reason
        await ami.stop()


async def test_impossible_host(make_ami: MakeAmi) -> None:
    """A host that cannot be resolved, or is no name at all, is a reason and no crash."""
    for host in ("asterisk.invalid", "a..b", "x" * 70):
        ami = make_ami(host=host)
        await ami.start()
        await until(lambda ami=ami: ami.state.reason != "not connected yet")  # type: ignore[misc]
        await ami.stop()
