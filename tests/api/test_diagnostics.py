"""The operator's view of Asterisk, what may be done there by hand, and that all of it is noted."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import update

from muru.db.models import AuditEntry, now
from muru.keys import SITE
from muru.services import audit
from tests import sip
from tests.conftest import PASSWORD, Stack, World, configured
from tests.fake_ami import FakeAmi
from tests.observe import create, until

ACTIONS: list[tuple[str, str, Any]] = [
    ("DELETE", "/diagnostics/channels/1700000000.1", None),
    ("POST", "/diagnostics/extensions/2001/qualify", None),
    ("POST", "/diagnostics/extensions/2001/unregister", {"uri": "sip:2001@192.0.2.7"}),
    ("POST", "/diagnostics/reload", {}),
    ("POST", "/diagnostics/console", {"command": "core show channels"}),
]
LOOKS = ["ami", "asterisk", "channels", "queues"]


async def noted(world: World, **more: Any) -> list[tuple[str, str, str, str]]:
    """Return who did what to what, and how it ended, the newest first."""
    page = await world.root.get("/audit", params=more)
    assert page["total"] >= len(page["items"])
    keys = ("username", "action", "target", "outcome")
    return [tuple(each[key] for key in keys) for each in page["items"]]


async def test_link_to_asterisk_is_explained(world: World) -> None:
    """An administrator reads whether Asterisk is connected, since when, and if not why."""
    link = await world.root.get("/diagnostics/ami")

    assert link["connected"] is False
    assert "Connect call failed" in link["reason"]
    assert link["since"].endswith("Z")
    assert link["losses"] == 0
    assert [each["reason"] for each in link["history"]][-1] == link["reason"]


async def test_link_has_a_history(world: World) -> None:
    """Each loss and return of the link is remembered, with its time and reason, up to a bound."""
    ami = world.app[SITE].effects._ami
    async with FakeAmi(username="muru", secret="ami secret") as asterisk:
        ami._port, ami._backoff, ami._pause = asterisk.port, (0.01, 0.01), 0.01
        assert await ami.wait_connected(5)
        asterisk.cut()
        await until_lost(world)

    link = await world.root.get("/diagnostics/ami")

    assert link["losses"] >= 1
    assert True in [each["connected"] for each in link["history"]]
    times = [each["since"] for each in link["history"]]
    assert times == sorted(times)
    assert ami.history.maxlen == 100


async def until_lost(world: World) -> None:
    async def losses() -> int:
        return int((await world.root.get("/diagnostics/ami"))["losses"])

    await until(losses)


@pytest.mark.parametrize(("method", "path", "body"), ACTIONS)
async def test_actions_are_for_administrators(
    world: World, method: str, path: str, body: Any
) -> None:
    """Nobody else does anything at Asterisk, and the attempt is not even noted."""
    assert (await world.nobody.call(method, path, body, status=401))["status"] == 401
    assert (await world.alice.call(method, path, body, status=403))["status"] == 403
    assert ("alice",) not in {entry[:1] for entry in await noted(world)}


@pytest.mark.parametrize("path", [*(f"/diagnostics/{name}" for name in LOOKS), "/audit"])
async def test_views_are_for_administrators(world: World, path: str) -> None:
    """Nobody else sees what an operator sees."""
    await world.alice.get(path, status=403)


@pytest.mark.parametrize(("method", "path", "body"), ACTIONS)
async def test_actions_without_asterisk(world: World, method: str, path: str, body: Any) -> None:
    """While Asterisk is away an action fails, and is noted all the same, with the reason."""
    document = await world.root.call(method, path, body, status=503)

    assert document["type"] == "urn:muru:problem:asterisk-unavailable"
    (entry, *_) = await noted(world)
    assert entry[0] == "root"
    assert entry[3] == document["detail"]


async def test_views_without_asterisk(world: World) -> None:
    """While Asterisk is away it is told so, and what muru knows by itself is told."""
    await world.root.get("/diagnostics/asterisk", status=503)
    await world.root.get("/diagnostics/channels", status=503)

    assert await world.root.get("/diagnostics/queues") == {
        "effects": 0,
        "resyncs": 0,
        "provisioning_log": 0,
        "registration_history": 0,
        "running_jobs": [],
    }


@pytest.mark.parametrize(
    "command",
    [
        "core stop now",
        "core show channels; core stop now",
        "core show channels\r\nAction: Originate",
        "core  show channels",
        "pjsip show endpoint",
        "pjsip show endpoint *",
        "pjsip show endpoint a b",
        'pjsip show endpoint "2001"',
        "pjsip show auth 2001",
        "!id",
    ],
)
async def test_command_that_is_not_allowed(world: World, command: str) -> None:
    """What is not on the list is not run, however it is written; and the attempt is noted."""
    body = {"command": command}
    document = await world.root.post("/diagnostics/console", body, status=422)

    assert "MURU_CONSOLE_COMMANDS" in document["errors"][0]["message"]
    assert (await noted(world))[0][1] == "console.command"


@configured(console_commands=[])
async def test_no_command_is_allowed(world: World) -> None:
    """A site can have no command run at all."""
    body = {"command": "core show channels"}
    await world.root.post("/diagnostics/console", body, status=422)


async def test_administration_is_noted(world: World) -> None:
    """What an administrator does to others is noted with who, what and when; one's own is not."""
    root = world.root
    await root.post("/users", {"username": "bob", "password": PASSWORD})
    await root.patch("/users/bob", {"role": "admin"})
    await root.patch("/users/bob", {"password": PASSWORD + "!"})
    await root.delete("/users/bob")
    invite = await root.post("/invites", {"note": "for the crew"})
    await root.delete(f"/invites/{invite['code']}")
    await create(world.alice, "2001", "Alice")
    await world.alice.patch("/extensions/2001", {"info": "mine"})
    await root.patch("/extensions/2001", {"info": "not hers any more"})
    await root.post("/extensions/2001/password")
    await root.delete("/extensions/2001")

    entries = await noted(world, limit=9)

    assert [entry[:3] for entry in reversed(entries)] == [
        ("root", "user.create", "bob (user)"),
        ("root", "user.role", "bob: admin"),
        ("root", "user.password", "bob"),
        ("root", "user.delete", "bob"),
        ("root", "invite.create", "for the crew"),
        ("root", "invite.delete", ""),
        ("root", "extension.change", "2001: info"),
        ("root", "extension.password", "2001"),
        ("root", "extension.delete", "2001 Alice"),
    ]
    assert PASSWORD not in str(entries)
    assert invite["code"] not in str(entries)


async def test_what_fails_is_not_noted_as_done(world: World) -> None:
    """What the database undoes leaves no entry behind."""
    await world.root.post("/users", {"username": "alice", "password": PASSWORD}, status=409)
    await world.root.delete("/invites/nonsense", status=404)

    assert {entry[1] for entry in await noted(world)} <= {"user.create"}
    assert "alice (user)" not in [entry[2] for entry in await noted(world, search="root")]


async def test_audit_log_is_searched(world: World) -> None:
    """An administrator finds entries by who, what, and to whom."""
    await world.root.post("/users", {"username": "bob", "password": PASSWORD})
    await world.root.post("/invites", {"note": "for bob"})

    assert [each[1] for each in await noted(world, search="BOB")] == [
        "invite.create",
        "user.create",
    ]
    assert [each[1] for each in await noted(world, search="invite.")] == ["invite.create"]


async def test_audit_log_is_bounded(world: World) -> None:
    """Entries go when they are older than the site keeps them."""
    await world.root.post("/invites", {"note": "old"})
    async with world.site.transaction() as transaction:
        old = now().replace(year=now().year - 2)
        await transaction.session.execute(update(AuditEntry).values(at=old))
    await world.root.post("/invites", {"note": "new"})

    await audit.prune(world.site)

    assert [each[2] for each in await noted(world)] == ["new"]


async def test_operators_view(stack: Stack) -> None:
    """Of the real Asterisk an administrator reads version, times, modules, and no call yet."""
    told = await stack.root.get("/diagnostics/asterisk")

    assert int(told["version"].split(".")[0]) >= 20
    assert told["started_at"].endswith("Z")
    assert told["calls"] == 0
    assert told["modules"]["res_pjsip.so"] == "Running"
    assert await stack.root.get("/diagnostics/channels") == []
    assert (await stack.root.get("/diagnostics/ami"))["connected"] is True


async def test_call_is_seen_and_hung_up(stack: Stack) -> None:
    """An administrator sees who talks to whom, and ends it."""
    anna = await create(stack.alice, "2001", "Anna")
    ben = await create(stack.alice, "2002", "Ben")
    async with (
        sip.Phone(stack.sip_server, *anna) as caller,
        sip.Phone(stack.sip_server, *ben, auto_answer=True),
    ):
        await caller.dial("2002")

        def talking(channels: list[dict[str, Any]]) -> bool:
            return len({each["bridge"] for each in channels}) == 1 and len(channels) == 2

        channels = await until(lambda: stack.root.get("/diagnostics/channels"), talking)

        pairs = {(each["number"], each["peer_number"]) for each in channels}
        assert pairs == {("2001", "2002"), ("2002", "2001")}
        assert len({each["call"] for each in channels}) == 1
        assert {each["state"] for each in channels} == {"up"}

        await stack.root.delete(f"/diagnostics/channels/{channels[0]['id']}")
        await until(lambda: stack.root.get("/diagnostics/channels"), lambda left: not left)
    await stack.root.delete(f"/diagnostics/channels/{channels[0]['id']}", status=404)
    await stack.root.delete("/diagnostics/channels/..%2F..%2Fmodules", status=404)

    assert ("root", "channel.hangup", channels[0]["id"], "") in await noted(stack)


async def test_contact_is_asked_and_forgotten(stack: Stack) -> None:
    """An administrator has a phone asked whether it is there, and has it unregistered."""
    account = await create(stack.alice, "2001")
    await sip.register(stack.sip_server, *account)
    (contact,) = await until(lambda: stack.alice.get("/registrations"))

    await stack.root.post("/diagnostics/extensions/2001/qualify")
    await stack.root.post("/diagnostics/extensions/2999/qualify", status=404)
    body = {"uri": contact["uri"]}
    await stack.root.post("/diagnostics/extensions/2001/unregister", body)
    await until(lambda: stack.alice.get("/registrations"), lambda left: not left)
    await stack.root.post("/diagnostics/extensions/2001/unregister", {"uri": "sip:x"}, status=404)

    entries = [each[1:3] for each in await noted(stack)]
    assert ("contact.unregister", f"2001 {contact['uri']}") in entries


async def test_module_is_reloaded(stack: Stack) -> None:
    """An administrator has a module reloaded that Asterisk has, and no other."""
    before = (await stack.root.get("/diagnostics/asterisk"))["reloaded_at"]
    await stack.root.post("/diagnostics/reload", {"module": "res_pjsip.so"})
    for module in ("res_nonsense.so", "../channels", "res_pjsip"):
        await stack.root.post("/diagnostics/reload", {"module": module}, status=404)

    assert before is not None
    assert ("root", "module.reload", "res_pjsip.so", "") in await noted(stack)


async def test_allowed_command_is_run(stack: Stack) -> None:
    """A command on the list is run, also with a word of one's own where the list has a star."""
    await create(stack.alice, "2001")

    async def output(command: str) -> str:
        return str((await stack.root.post("/diagnostics/console", {"command": command}))["output"])

    assert "0 active channels" in await output("core show channels")
    assert "2001" in await output("pjsip show endpoint 2001")
    assert ("root", "console.command", "core show channels", "") in await noted(stack)


async def test_console_that_is_full_of_colours(world: World) -> None:
    """What is no text in a command's output, and what is too much of it, is left out."""
    control = world.site.settings.data_dir.absolute() / "asterisk/run/asterisk.ctl"
    control.parent.mkdir(parents=True)
    asked = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"host/1/22.10.1\n")
        asked.append(await reader.readuntil(b"\0"))
        writer.write(b"\x1b[1;32mred\x1b[0m \x7f\xff\ttext\r\n" + b"x" * 1_000_000)
        writer.close()

    async with await asyncio.start_unix_server(answer, control):
        body = {"command": "core show uptime"}
        output = (await world.root.post("/diagnostics/console", body))["output"]

    assert asked == [b"cli quit after core show uptime\0"]
    assert output.startswith("red \ufffd\ttext\nxxx")
    assert len(output) < 400_000
