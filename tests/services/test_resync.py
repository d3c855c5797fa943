"""Resyncs at the real Asterisk, and which contact of a number is the phone in question."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest

from muru.asterisk.registrations import Contact, Status
from muru.db.models import Device, now
from muru.keys import RESYNCS
from muru.registry import discover
from muru.services.resync import choose
from muru.settings import Settings
from tests import sip
from tests.conftest import Stack, StartStack
from tests.observe import faults, until
from tests.services.virtual import Phone, create, registered, start

MAC, OTHER = "000b82aabbcc", "000b82aabb00"
AGENT = "Grandstream Model HW GXP2160 SW 1.0.11.79"
_NOW = now()


async def resync(stack: Stack, number: str = "2001", within: float = 5) -> Any:
    return await stack.alice.post(f"/extensions/{number}/resync", {"within": within}, status=200)


async def test_how_far_it_got(start_stack: StartStack) -> None:
    """The answer tells whether the phone was told, has fetched its files, and registered again."""
    stack = await start(start_stack, resync_rate=100)
    await create(stack.alice, "2001", MAC)
    await create(stack.alice, "2002")
    await create(stack.alice, "2003", type="SIP", extra_fields={})
    for number in ("2002", "2003"):
        assert (await resync(stack, number))["state"] == "no-device"
    assert (await resync(stack))["state"] == "not-registered"

    async with Phone.at(stack, MAC) as phone:
        await phone.plug_in()
        await registered(stack.alice, "2001")
        phone.obeys = False
        sent = await resync(stack, within=0.3)
        assert (sent["state"], sent["fetched_at"], sent["registered_at"]) == ("sent", None, None)
        assert sent["sent_at"] is not None
        assert sent["contact"].startswith("sip:2001@127.0.0.1:")

        phone.obeys, phone.registers = True, False
        fetched = await resync(stack, within=0.5)
        assert (fetched["state"], fetched["registered_at"]) == ("fetched", None)
        assert fetched["sent_at"] <= fetched["fetched_at"]

        phone.registers = True
        await asyncio.sleep(1)  # Asterisk counts the expiry of a registration in whole seconds
        done = await resync(stack)
        assert done["state"] == "registered"
        assert done["sent_at"] <= done["fetched_at"] <= done["registered_at"]
        assert len(phone.notified) == 3

    assert faults(stack.asterisk_log) == []


async def test_only_the_phone_in_question(start_stack: StartStack) -> None:
    """Of several phones at a number, all at one address, the one in question alone is told."""
    stack = await start(start_stack, resync_rate=100)
    extension = await create(stack.alice, "2001", MAC)
    account = sip.Account("2001", extension["sip"]["password"])

    async with (
        Phone.at(stack, MAC) as phone,
        Phone.at(stack, OTHER) as double,
        sip.AnsweringPhone(stack.sip_server, *account) as app,
    ):
        await phone.plug_in()
        double.accounts = phone.accounts  # typed in by hand: another of the family
        assert await double.register() == [200]
        await registered(stack.alice, "2001", "2001", "2001")

        answer = await resync(stack, within=0.5)

        assert answer["fetched_at"] is not None
        assert len(phone.notified) == 1
        assert double.notified == []
        assert app.requests == []


async def test_changes(start_stack: StartStack) -> None:
    """A change that concerns the phone has it come back with it by itself, over TCP as well."""
    stack = await start(start_stack, phone_transport="tcp", resync_rate=100)
    await create(stack.alice, "2001", MAC)

    async with Phone.at(stack, MAC) as phone, Phone.at(stack, OTHER) as new:
        await phone.plug_in()
        await registered(stack.alice, "2001")

        async def account() -> tuple[str, str, str]:
            found = phone.accounts[0]
            return found.name, found.password, found.codecs[0]

        old = await account()
        await stack.alice.patch("/extensions/2001", {"name": "Zoë"})
        await until(account, lambda found: found[0] == "Zoë", within=5)
        await stack.alice.patch("/extensions/2001", {"extra_fields": {"mac": MAC, "codec": "ulaw"}})
        await until(account, lambda found: found[2] == "PCMU", within=5)
        await stack.alice.post("/extensions/2001/password")
        await until(account, lambda found: found[1] != old[1], within=5)

        # A further line, and one that goes to a phone that is plugged in already.
        await create(stack.alice, "2002", MAC)
        await until(lambda: _numbers(phone), lambda found: found == ["2001", "2002"], within=5)
        await registered(stack.alice, "2001", "2002")
        temporary = await new.plug_in()
        await registered(stack.root, "2001", "2002", temporary.username)
        await stack.alice.patch("/extensions/2002", {"extra_fields": {"mac": OTHER}})
        await new.has("2002")
        await phone.has("2001")
        await registered(stack.root, "2001", "2002")
        assert (await stack.alice.get("/devices"))["unclaimed"] == []

    assert faults(stack.asterisk_log) == []


async def _numbers(phone: Phone) -> list[str]:
    return [account.username for account in phone.accounts]


async def test_many_at_once(start_stack: StartStack) -> None:
    """Phones that change at the same moment are told one after the other, so many in a second."""
    stack = await start(start_stack, resync_rate=5)
    macs = [f"000b82aabb{at:02x}" for at in range(5)]
    numbers = [f"200{at}" for at in range(5)]
    for number, mac in zip(numbers, macs, strict=True):
        await create(stack.alice, number, mac)
    phones = [Phone.at(stack, mac) for mac in macs]
    try:
        for phone in phones:
            await phone.plug_in()
        await registered(stack.alice, *numbers)

        await asyncio.gather(
            *(stack.alice.patch(f"/extensions/{number}", {"name": "Zoë"}) for number in numbers)
        )
        began = time.monotonic()
        asked = await resync(stack, numbers[0], within=0)

        assert asked["state"] == "sent"
        assert time.monotonic() - began < 1  # who asks waits for a turn, not for all others

        async def times() -> list[float]:
            return sorted(at for phone in phones for at in phone.notified_at)

        told = await until(times, lambda found: len(found) == 6, within=5)
        assert told[-1] - told[0] > 0.95
        assert stack.app[RESYNCS].waiting == 0
    finally:
        for phone in phones:
            await phone.close()


# Which contact it is


def contact(host: str, agent: str | None, *, age: int = 0) -> Contact:
    """Return a phone that is registered for that many seconds."""
    return Contact(
        extension="2001",
        uri=f"sip:2001@{host}:5060",
        address=f"{host}:5060",
        via_address=None,
        user_agent=agent,
        status=Status.REACHABLE,
        rtt_ms=None,
        since=_NOW - timedelta(seconds=age),
        expires_at=None,
    )


HOME, AWAY, HOME6 = "192.0.2.7", "192.0.2.8", "[2001:db8::7]"


@pytest.mark.parametrize(
    ("contacts", "address", "chosen"),
    [
        ([], HOME, None),
        # Its MAC address tells, and that of another phone.
        ([(HOME, AGENT), (AWAY, f"{AGENT} DevId {MAC}")], HOME, 1),
        ([(HOME, f"{AGENT} DevId {OTHER}")], HOME, None),
        ([(HOME, f"{AGENT} DevId {OTHER}"), (AWAY, AGENT)], HOME, 1),
        # Its family and address tell, also that of IPv6.
        ([(AWAY, AGENT), (HOME, AGENT)], HOME, 1),
        ([(HOME, "unknown"), (HOME, AGENT)], HOME, 1),
        ([(AWAY, AGENT), (HOME6, AGENT)], "2001:db8::7", 1),
        ([(AWAY, AGENT), (HOME, None)], HOME, 1),
        ([(AWAY, "unknown"), (AWAY, AGENT)], HOME, 1),
        # Another family's never is.
        ([(HOME, "Mitel-6869i/5.1")], HOME, None),
        ([(HOME, "Mitel-6869i/5.1"), (AWAY, AGENT)], HOME, 1),
        # One that may be will do; of several that may be none.
        ([(AWAY, "unknown")], HOME, 0),
        ([(AWAY, None)], None, 0),
        ([(AWAY, "unknown"), (AWAY, None)], HOME, None),
    ],
)
def test_choice(
    contacts: list[tuple[str, str | None]], address: str | None, chosen: int | None
) -> None:
    """A number's contact is taken for the phone by what it shows of itself and where it is."""
    registry = discover(Settings(_env_file=None, enabled_phone_flavors=["grandstream", "mitel"]))
    device = Device(mac=MAC, flavor="grandstream", address=address)
    given = [contact(host, agent) for host, agent in contacts]

    found = choose(given, device, registry.with_files())

    assert found == (None if chosen is None else given[chosen])


def test_choice_of_what_it_was_before() -> None:
    """Of contacts that look the same the newest is the phone, the others are what it was before."""
    registry = discover(Settings(_env_file=None, enabled_phone_flavors=["grandstream"]))
    device = Device(mac=MAC, flavor="grandstream", address=HOME)
    given = [contact(HOME, AGENT, age=age) for age in (60, 5, 30)]

    assert choose(given, device, registry.with_files()) is given[1]
