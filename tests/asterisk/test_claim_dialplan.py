"""What a phone reaches that nobody has claimed yet: the claim, chosen numbers, and no more."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import ValidationError

from muru.asterisk.ari import Ari
from muru.asterisk.ari_channel import AriChannel
from muru.asterisk.dialplan import CLAIM, DIAL_SIP, OUTBOUND
from muru.keys import ARI
from muru.settings import Settings
from tests import sip
from tests.asterisk.temporary import create_temporary, own_ari
from tests.conftest import Stack, StartStack
from tests.observe import console, create, faults, until
from tests.test_end_to_end import NO_EXTENSIONS, NOT_REGISTERED, UNKNOWN

TOKEN = "123456789012"
BUSY = 17  # Q.850, which SIP tells as 486


@pytest.fixture
async def claim_stack(start_stack: StartStack) -> AsyncIterator[Stack]:
    """A stack with a number for unclaimed phones, of which Asterisk has nothing to complain."""
    stack = await start_stack(claim_numbers=["2001", "115", "115"])
    yield stack
    assert faults(stack.asterisk_log) == []


@pytest.fixture
async def ari(claim_stack: Stack) -> AsyncIterator[Ari]:
    """A client whose link is up."""
    async with own_ari(claim_stack) as client:
        yield client


async def test_token(claim_stack: Stack, ari: Ari) -> None:
    """A token that is dialled comes to muru, with the account of the phone that dialled it."""
    seen: list[tuple[str, tuple[str, ...]]] = []

    async def claim(channel: AriChannel, arguments: tuple[str, ...]) -> None:
        seen.append((channel.endpoint, arguments))
        await channel.hangup(BUSY)

    ari.on_enter("claim", claim)
    phones = [await create_temporary(claim_stack, f"claim-{name}") for name in "ab"]

    calls = await asyncio.gather(*(sip.call(claim_stack.sip_server, *p, TOKEN) for p in phones))

    assert [call.status for call in calls] == [486, 486]
    assert sorted(seen) == [(p.number, (p.number, TOKEN)) for p in phones]


async def test_one_phone_calls_often(claim_stack: Stack, ari: Ari) -> None:
    """A phone that calls again and again keeps no other phone from its claim."""
    entered: list[str] = []
    enough = asyncio.Event()

    async def claim(channel: AriChannel, _: tuple[str, ...]) -> None:
        entered.append(channel.endpoint)
        await channel.answer()
        await enough.wait()

    ari.on_enter("claim", claim)
    often, other = [await create_temporary(claim_stack, f"claim-{name}") for name in "ab"]

    def call(phone: sip.Account) -> asyncio.Task[sip.Outcome]:
        return asyncio.create_task(sip.call(claim_stack.sip_server, *phone, TOKEN, hold=10))

    async def who() -> list[str]:
        return sorted(entered)

    calls = [call(often), call(often)]
    await until(who, lambda found: len(found) == 2)
    assert (await call(often)).status == 486
    calls.append(call(other))

    assert await until(who, lambda found: len(found) == 3) == ["claim-a", "claim-a", "claim-b"]
    enough.set()
    assert [outcome.status for outcome in await asyncio.gather(*calls)] == [200] * 3
    assert (await call(often)).status == 200


async def test_chosen_number(claim_stack: Stack) -> None:
    """The numbers that the operator chose ring as they would for anybody."""
    phone = await create_temporary(claim_stack, "claim-abc")
    server = claim_stack.sip_server
    assert (await sip.call(server, *phone, "2001")).status == UNKNOWN
    emergency = await create(claim_stack.alice, "2001")
    assert (await sip.call(server, *phone, "2001")).status == NOT_REGISTERED

    async with sip.AnsweringPhone(server, *emergency) as called:
        assert (await sip.call(server, *phone, "2001")).status == 200
        assert (await called.request()).caller == ("New phone", "0")


async def test_no_way_out(claim_stack: Stack) -> None:
    """Nothing else is reached: no extension, no special name, no other context."""
    phone = await create_temporary(claim_stack, "claim-abc")
    account = await create(claim_stack.alice, "2002")
    others = {*NO_EXTENSIONS, "2002", TOKEN[:-1], f"{TOKEN}3", "claim-abc", f"2002%40{DIAL_SIP}"}
    others |= {CLAIM, OUTBOUND, "%2B23456789012", "12345678901%23", "x" * 12, "12345678901h"}
    others -= {"2001"}

    async with sip.AnsweringPhone(claim_stack.sip_server, *account) as called:
        at_once = asyncio.Semaphore(8)

        async def dial(dialled: str) -> int:
            async with at_once:
                return (await sip.call(claim_stack.sip_server, *phone, dialled)).status

        statuses = dict(zip(others, await asyncio.gather(*map(dial, others)), strict=True))

        assert {d: status for d, status in statuses.items() if status != UNKNOWN} == {}
        assert called.requests == []
    channels = await console(claim_stack.asterisk, "core show channels count")
    assert "0 calls processed" in channels


async def test_extension_reaches_no_claim(claim_stack: Stack) -> None:
    """A token means nothing to the phone of an extension, and a temporary account has no number."""
    await create_temporary(claim_stack, "claim-abc")
    account = await create(claim_stack.alice, "2001")

    for dialled in (TOKEN, "claim-abc"):
        assert (await sip.call(claim_stack.sip_server, *account, dialled)).status == UNKNOWN


async def test_muru_away(stack: Stack) -> None:
    """While muru is away Asterisk says so to whoever dials a token, and hangs up."""
    phone = await create_temporary(stack, "claim-abc")
    assert await stack.app[ARI].wait_connected(10)
    await stack.app[ARI].stop()

    async with sip.Phone(stack.sip_server, *phone, codecs=["alaw"]) as caller:
        await caller.dial(TOKEN)
        assert await caller.heard(seconds=0.5) > 0
        await caller.ended()

    # The only complaint is that Asterisk has nobody to hand the call to.
    assert all("'muru'" in fault for fault in faults(stack.asterisk_log))


async def test_muru_dies(start_stack: StartStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that nobody ends is over after a while."""
    monkeypatch.setattr("muru.asterisk.config.CLAIM_SECONDS", 2)
    stack = await start_stack()
    phone = await create_temporary(stack, "claim-abc")
    async with own_ari(stack) as ari:
        ari.on_enter("claim", lambda _channel, _arguments: asyncio.sleep(30))

        call = await sip.call(stack.sip_server, *phone, TOKEN, ring=10)

    assert call.status >= 400

    async def channels() -> str:
        return await console(stack.asterisk, "core show channels count")

    await until(channels, lambda shown: "0 active channels" in shown, within=2)


@pytest.mark.parametrize("number", ["", "+49", "_X.", "112 ", "1,2", "²"])
def test_wrong_number(number: str) -> None:
    """A number for unclaimed phones has digits only: nothing else gets into the dialplan."""
    with pytest.raises(ValidationError, match="claim_numbers"):
        Settings(claim_numbers=[number])
