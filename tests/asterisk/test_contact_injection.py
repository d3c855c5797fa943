"""What a phone registers as is where it is rung, and never more than that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace

import pytest

from muru.testing import sip as testing_sip
from muru.testing.message import Message
from muru.testing.sip import Account, UserAgent
from tests import sip
from tests.conftest import Stack
from tests.observe import create, faults

# What Asterisk takes for the user part of a URI; it ignores a REGISTER with anything else there.
HOSTILE = (
    *("x&Local/2003", "x&PJSIP/2003/sip:2003", "x,30,S(1)", "x,30,gA(beep)"),
    *("x)(", "x=$", "x&&y", "x&", "&", ",", "(", "x'y"),
)
HARMLESS = ("2002", "a-b_c.d+e~f*g", "2002%40x", "x;line=abc123")


@asynccontextmanager
async def registered(stack: Stack, account: sip.Account) -> AsyncIterator[None]:
    """A phone that is busy, for as long as the block takes."""
    place = Account("127.0.0.1", stack.settings.sip_port, "udp", *account)
    with closing(UserAgent(place, "X", lambda _: None)) as agent:
        assert await agent.register(60) == 200
        yield
        assert await agent.register(0) == 200
    await asyncio.sleep(0)  # in which its socket is closed


@pytest.fixture
def contact(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list whose only item is what the phone registers as instead of its number."""
    user = ["2002"]
    send = testing_sip._Wire.send

    def changed(wire: testing_sip._Wire, message: Message) -> None:
        headers = [
            (name, value.replace("<sip:2002@", f"<sip:{user[0]}@") if name == "Contact" else value)
            for name, value in message.headers
        ]
        send(wire, replace(message, headers=headers))

    monkeypatch.setattr(testing_sip._Wire, "send", changed)
    return user


async def test_contact_adds_nothing_to_the_call(stack: Stack, contact: list[str]) -> None:
    """Neither another phone nor an option of Dial gets into a call by where a phone says it is."""
    anna, evil, ben = [await create(stack.alice, number) for number in ("2001", "2002", "2003")]
    async with sip.AnsweringPhone(stack.sip_server, *ben) as phone:
        for contact[0] in HOSTILE:
            async with registered(stack, evil):
                outcome = await sip.call(stack.sip_server, *anna, "2002", ring=2)
                assert outcome.status in {404, 480, 486, 503}, contact[0]
        assert phone.requests == []
    assert [line for line in faults(stack.asterisk_log) if "option" in line] == []


async def test_usual_contacts_are_rung(stack: Stack, contact: list[str]) -> None:
    """What phones do register as is no hindrance."""
    anna, ben = [await create(stack.alice, number) for number in ("2001", "2002")]
    for contact[0] in HARMLESS:
        async with registered(stack, ben):
            outcome = await sip.call(stack.sip_server, *anna, "2002", ring=2)
            assert outcome.status == 486, contact[0]
