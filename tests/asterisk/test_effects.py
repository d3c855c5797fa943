"""What Asterisk is told after a commit: in order, again if need be, and never in the way."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from muru.asterisk.ami import Ami
from muru.asterisk.ari import Ari
from muru.asterisk.effects import CACHES, Effects
from muru.asterisk.registrations import Registrations
from muru.db.realtime import Change
from tests.fake_ami import FakeAmi, Request
from tests.observe import until

ENDPOINT, AUTH, AOR = CACHES["ps_endpoints"], CACHES["ps_auths"], CACHES["ps_aors"]
DONE = "Response: Success\nMessage: Done"


def change(table: str = "ps_endpoints", action: str = "updated", key: str = "2001") -> Change:
    return Change(action, table, key, key)


class Reloads:
    """An ARI that counts what it is asked for; ``status`` is its answer."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.status = 204

    async def handle(self, request: web.Request) -> web.Response:
        assert request.path == "/ari/asterisk/modules/res_pjsip.so"
        self.times.append(time.monotonic())
        return web.Response(status=self.status)


@pytest.fixture
async def asterisk() -> AsyncIterator[FakeAmi]:
    async with FakeAmi() as server:
        server.answers["SorceryMemoryCacheExpireObject"] = DONE
        server.answers["SorceryMemoryCacheExpire"] = DONE
        server.answers["DBPut"] = DONE
        server.answers["DBGetTree"] = "Response: Error\nMessage: Database entry not found"
        server.answers["PJSIPShowContacts"] = "Response: Error\nMessage: No Contacts found"
        yield server


@pytest.fixture
def reloads() -> Reloads:
    return Reloads()


MakeEffects = Callable[..., Awaitable[Effects]]


@pytest.fixture
async def make_effects(asterisk: FakeAmi, reloads: Reloads) -> AsyncIterator[MakeEffects]:
    """Returns a function that starts effects; its Asterisk has been told of the login already."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", reloads.handle)
    secret = SecretStr(asterisk.secret)
    ami = Ami(
        host="127.0.0.1",
        port=asterisk.port,
        username=asterisk.username,
        secret=secret,
        action_timeout=0.5,
        backoff=(0.01, 0.05),
    )
    made: list[Any] = []
    async with TestServer(app) as server:
        assert server.port

        async def make(*, follow: bool = False) -> Effects:
            ari = Ari(host="127.0.0.1", port=server.port or 0, username="muru", secret=secret)
            tracker = Registrations(ami) if follow else None
            effects = Effects(ami, ari, tracker)
            effects.start()
            made.append(effects)
            if tracker:
                await tracker.start()
                made.append(tracker)
            await ami.start()
            await asterisk.received("SorceryMemoryCacheExpire", count=len(CACHES))
            if tracker:
                await tracker.ready.wait()
            return effects

        yield make
        for each in made:
            await each.stop()
        await ami.stop()


@pytest.fixture
async def effects(make_effects: MakeEffects) -> Effects:
    return await make_effects()


def expired(asterisk: FakeAmi) -> list[tuple[str, str]]:
    """What was expired: cache and object, or a cache as a whole."""
    return [
        (request.get("Cache"), request.get("Object"))
        for request in asterisk.requests
        if request.get("Action").startswith("SorceryMemoryCacheExpire")
    ]


@pytest.fixture
def told(asterisk: FakeAmi) -> Callable[[], list[tuple[str, str]]]:
    """Returns a function to what was expired since the login."""
    return lambda: expired(asterisk)[len(CACHES) :]


Told = Callable[[], list[tuple[str, str]]]


async def test_login(asterisk: FakeAmi, effects: Effects) -> None:
    """After a login nothing that Asterisk has cached is trusted."""
    assert expired(asterisk) == [(cache, "") for cache in CACHES.values()]
    assert effects.pending == 0


async def test_only_what_changed(told: Told, effects: Effects) -> None:
    """Just the objects that changed are expired, and are when the answer comes."""
    changes = [change(), change("ps_auths"), change("ps_aors", key="2002"), change("extensions")]

    assert await effects.apply(changes)

    assert sorted(told()) == [(AOR, "2002"), (AUTH, "2001"), (ENDPOINT, "2001")]
    assert effects.pending == 0


async def test_nothing(told: Told, effects: Effects) -> None:
    """No change, or one that is read anew at each call anyway, needs no word."""
    assert await effects.apply([])
    assert await effects.apply([change("extensions")])
    assert told() == []


async def test_many(told: Told, effects: Effects) -> None:
    """Where much changed the caches are emptied."""
    assert await effects.apply([change(key=str(number)) for number in range(1000, 1200)])

    assert told() == [(cache, "") for cache in CACHES.values()]


async def test_not_in_the_cache(asterisk: FakeAmi, told: Told, effects: Effects) -> None:
    """An object that Asterisk never cached is no reason to say that something went wrong."""
    asterisk.answers["SorceryMemoryCacheExpireObject"] = "Response: Error\nMessage: not there"

    assert await effects.apply([change()])
    assert told() == [(ENDPOINT, "2001")]


async def test_people_at_the_same_time(told: Told, effects: Effects) -> None:
    """Each of many answers waits for its own effect."""
    numbers = [str(number) for number in range(1000, 1050)]

    done = await asyncio.gather(*(effects.apply([change(key=number)]) for number in numbers))

    assert all(done)
    assert sorted(told()) == [(ENDPOINT, number) for number in numbers]


async def test_asterisk_away(asterisk: FakeAmi, effects: Effects) -> None:
    """An answer does not wait for an Asterisk that is away; its return empties the caches."""
    await asterisk.stop()
    await until(lambda: _connected(effects), lambda connected: not connected)
    began = time.monotonic()

    assert not await effects.apply([change(), change("ps_aors", "deleted")])

    assert time.monotonic() - began < 0.5
    assert effects.pending == 3  # two objects, and the phones of one
    asterisk.requests.clear()
    await asterisk.start()
    await asterisk.received("SorceryMemoryCacheExpire", count=len(CACHES))
    await until(lambda: _pending(effects), lambda pending: pending == 0)


async def _connected(effects: Effects) -> bool:
    return effects._ami.state.connected


async def _pending(effects: Effects) -> int:
    return effects.pending


async def test_no_answer_at_first(
    asterisk: FakeAmi, told: Told, effects: Effects, caplog: pytest.LogCaptureFixture
) -> None:
    """What Asterisk does not answer is told again; whoever waits is told when it is done."""
    asterisk.silent.add("SorceryMemoryCacheExpireObject")
    waiting = asyncio.create_task(effects.apply([change()]))
    await asterisk.received("SorceryMemoryCacheExpireObject")
    await asyncio.sleep(0.1)
    asterisk.silent.clear()

    assert await waiting
    assert told() == [(ENDPOINT, "2001")] * 2
    assert "trying again" in caplog.text


async def test_no_answer_for_long(
    asterisk: FakeAmi, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person does not wait for long, and is not told that it is done when it is not."""
    monkeypatch.setattr("muru.asterisk.effects.PATIENCE", 0.3)
    asterisk.silent.add("SorceryMemoryCacheExpireObject")

    assert not await effects.apply([change()])

    asterisk.silent.clear()
    await until(lambda: _pending(effects), lambda pending: pending == 0)


async def test_link_lost_meanwhile(asterisk: FakeAmi, effects: Effects) -> None:
    """A link that goes down amid an effect ends the wait; its return does the rest."""
    asterisk.silent.add("SorceryMemoryCacheExpireObject")
    waiting = asyncio.create_task(effects.apply([change()]))
    await asterisk.received("SorceryMemoryCacheExpireObject")
    asterisk.requests.clear()

    asterisk.cut()

    assert not await waiting
    await asterisk.received("SorceryMemoryCacheExpire", count=len(CACHES))


def store(*aors: str) -> str:
    """The answer to DBGetTree with a phone for each of these."""
    entries = [
        f'Event: DBGetTreeResponse\nKey: /registrar/contact/{aor};@{aor}\nVal: {{"uri":'
        f' "sip:{aor}@192.0.2.7", "expiration_time": "1999999999", "user_agent": "snom"}}'
        for aor in aors
    ]
    start, end = "Response: Success\nEventList: start", "Event: DBGetTreeComplete"
    return "\n\n".join([start, *entries, end])


def expired_contacts(asterisk: FakeAmi) -> list[str]:
    puts = [request for request in asterisk.requests if request.get("Action") == "DBPut"]
    assert all(json.loads(request.get("Val"))["expiration_time"] == "1" for request in puts)
    assert all(json.loads(request.get("Val"))["user_agent"] == "snom" for request in puts)
    return [request.get("Key") for request in puts]


async def test_phones_of_a_deleted_extension(asterisk: FakeAmi, effects: Effects) -> None:
    """They are removed, after the cache was; those of others stay."""
    asterisk.answers["DBGetTree"] = store("2001", "2002", "20010")

    assert await effects.apply([change("ps_aors", "deleted")])

    assert expired_contacts(asterisk) == ["2001;@2001"]
    actions = [request.get("Action") for request in asterisk.requests]
    assert actions.index("SorceryMemoryCacheExpireObject") < actions.index("DBPut")


async def test_phones_of_an_extension_that_changed(asterisk: FakeAmi, effects: Effects) -> None:
    """A change leaves the phone where it is."""
    asterisk.answers["DBGetTree"] = store("2001")

    assert await effects.apply([change("ps_aors", "updated"), change("ps_endpoints", "deleted")])

    assert asterisk.count("DBGetTree") == asterisk.count("DBPut") == 0


async def test_known_phones(asterisk: FakeAmi, make_effects: MakeEffects) -> None:
    """Where registrations are followed, none has to be searched for, and they are told at once."""

    def one(request: Request) -> str:
        key = request.get("Key")
        return (
            store("2001").replace("DBGetTreeResponse", "DBGetResponse").replace("2001;@2001", key)
        )

    asterisk.answers["DBGet"] = one
    asterisk.answers["PJSIPShowContacts"] = (
        "Response: Success\nEventList: start\n\nEvent: ContactList\nObjectName: 2001;@x\n"
        "Uri: sip:2001@192.0.2.7\nExpirationTime: 1999999999\n\nEvent: ContactListComplete"
    )
    effects = await make_effects(follow=True)
    tracker = effects._registrations
    assert tracker
    assert len(tracker.contacts("2001")) == 1

    assert await effects.apply([change("ps_aors", "deleted")])

    assert len(expired_contacts(asterisk)) == 1
    assert asterisk.count("DBGetTree") == 0
    assert tracker.contacts() == []


async def test_phone_on_its_way(asterisk: FakeAmi, make_effects: MakeEffects) -> None:
    """One of which only its password is known yet is searched for."""
    effects = await make_effects(follow=True)
    asterisk.answers["DBGetTree"] = store("2001")
    asterisk.answers["PJSIPShowEndpoint"] = "Response: Error\nMessage: Unable to retrieve"
    assert effects._registrations
    asterisk.emit("SuccessfulAuth", Service="PJSIP", AccountID="2001")
    tracker = effects._registrations
    await until(lambda: _settled(tracker, "2001"), lambda settled: not settled)

    assert await effects.apply([change("ps_aors", "deleted")])

    assert expired_contacts(asterisk) == ["2001;@2001"]


async def _settled(tracker: Registrations, extension: str) -> bool:
    return tracker.is_settled(extension)


async def test_new_aors(
    reloads: Reloads, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asterisk reads its AORs again some time after there are new ones, once for many of them."""
    monkeypatch.setattr("muru.asterisk.effects._COLLECT", 0.2)
    for number in range(1000, 1010):
        assert await effects.apply([change("ps_aors", "inserted", str(number))])
    assert reloads.times == []

    await until(lambda: _count(reloads), bool, within=3)

    await asyncio.sleep(0.4)
    assert len(reloads.times) == 1


async def _count(reloads: Reloads) -> int:
    return len(reloads.times)


async def test_other_changes_reload_nothing(
    reloads: Reloads, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed or deleted AOR is no new one."""
    monkeypatch.setattr("muru.asterisk.effects._COLLECT", 0.05)

    await effects.apply([change("ps_aors", "deleted"), change("ps_aors"), change("ps_endpoints")])

    await asyncio.sleep(0.3)
    assert reloads.times == []


async def test_reload_fails(
    reloads: Reloads,
    effects: Effects,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A reload that Asterisk does not do is tried again, with a pause, and holds up nobody."""
    monkeypatch.setattr("muru.asterisk.effects._COLLECT", 0.05)
    monkeypatch.setattr("muru.asterisk.effects._BACKOFF", (0.05, 0.2))
    reloads.status = 500

    assert await effects.apply([change("ps_aors", "inserted")])

    await until(lambda: _count(reloads), lambda count: count >= 2, within=3)
    assert all(
        later - earlier > 0.2
        for earlier, later in zip(reloads.times, reloads.times[1:], strict=False)
    )
    reloads.status = 204
    seen = len(reloads.times)
    await until(lambda: _count(reloads), lambda count: count > seen, within=3)
    assert "not qualified yet" in caplog.text


async def test_a_fault_of_ours(
    asterisk: FakeAmi, effects: Effects, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be sent at all is logged, not called done, and does not stop the others."""
    caplog.set_level(logging.ERROR)
    assert not await effects.apply([change(key="20\n01")])
    assert "an effect failed" in caplog.text

    assert await effects.apply([change()])


async def test_nothing_is_left(make_effects: MakeEffects) -> None:
    """Effects that are stopped leave no task, and hold up nobody who comes later."""
    effects = await make_effects()
    await effects.stop()

    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not names & {"asterisk effects", "new AORs"}
    assert not await effects.apply([change()])
