"""Claims by telephone and rings that tell phones apart, at the real Asterisk."""

import asyncio
from typing import Any

import pytest

from muru.testing.message import Message
from muru.testing.sip import UserAgent
from tests import sip
from tests.conftest import StartStack, free_port
from tests.observe import api_contacts, faults, until
from tests.observe import create as create_sip
from tests.services.virtual import Phone, create, known, registered, start
from tests.test_end_to_end import UNKNOWN

MAC, OTHER = "000b82aabbcc", "000b82aabb00"
BUSY = 486  # what a virtual phone says to whoever calls it


async def test_claim_by_telephone(start_stack: StartStack) -> None:
    """A new phone dials an extension's token, hears that it worked, and comes back as its phone."""
    stack = await start(start_stack)
    extension = await create(stack.alice, "2001")
    caller = await create_sip(stack.alice, "2002")

    async with Phone.at(stack, MAC) as phone:
        temporary = await phone.plug_in()
        for dialled in ("2001", "2002", "112", "000000000000000", temporary.username):
            call = await sip.call(stack.sip_server, *known(temporary), dialled)
            assert call.status == UNKNOWN, dialled

        async with sip.Phone(stack.sip_server, *known(temporary)) as handset:
            await handset.dial(extension["token"])
            assert await handset.heard(seconds=0.5) > 0
            await handset.ended(within=15)

        await phone.has("2001")
        assert phone.account.password == extension["sip"]["password"]
        assert "/k/" in phone.requests[-1]
        await registered(stack.alice, "2001")
        assert (await sip.call(stack.sip_server, *caller, "2001")).status == BUSY
        assert (await sip.register(stack.sip_server, *known(temporary))).status == 401

    shown = await stack.alice.get("/devices")
    assert shown["unclaimed"] == []
    assert [(each["mac"], each["lines"][0]["number"]) for each in shown["items"]] == [(MAC, "2001")]
    assert faults(stack.asterisk_log) == []


async def test_two_at_once(start_stack: StartStack) -> None:
    """Of phones behind one address that claim at once each gets its own, one with no token none."""
    stack = await start(start_stack)
    macs = [MAC, OTHER, "000b82aabb01"]
    numbers = ["2001", "2002"]
    tokens = [(await create(stack.alice, number))["token"] for number in numbers]

    async with (
        Phone.at(stack, macs[0]) as one,
        Phone.at(stack, macs[1]) as two,
        Phone.at(stack, macs[2]) as wrong,
    ):
        accounts = [await phone.plug_in() for phone in (one, two, wrong)]

        # They hang up while they are being told, when their accounts are gone already.
        calls = await asyncio.gather(
            *(
                sip.call(stack.sip_server, *known(account), token, hold=1)
                for account, token in zip(accounts, [*tokens, "123456789012"], strict=True)
            )
        )

        assert [call.status for call in calls] == [200, 200, 200]
        for call in calls:
            assert [each.status for each in call.messages if each.method == "BYE"][-1] == 200
        await asyncio.gather(one.has("2001"), two.has("2002"))
        await registered(stack.root, "2001", "2002", accounts[2].username)
        assert wrong.notified == []

    shown = await stack.alice.get("/devices")
    assert {each["mac"]: each["lines"][0]["number"] for each in shown["items"]} == {
        MAC: "2001",
        OTHER: "2002",
    }
    assert [each["mac"] for each in shown["unclaimed"]] == [macs[2]]
    complaints = faults(stack.asterisk_log)
    assert [each for each in complaints if "Playback failed" not in each] == []  # they hung up


async def test_identify_and_claim_from_the_list(start_stack: StartStack) -> None:
    """A phone that is chosen in the list rings, and no other does; claimed, it has the number."""
    stack = await start(start_stack)
    await create(stack.alice, "2001")

    async with Phone.at(stack, MAC) as phone, Phone.at(stack, OTHER) as other:
        for each in (phone, other):
            await each.boot()
        accounts = [known(each.account) for each in (phone, other)]
        assert (await stack.alice.post(f"/devices/{MAC}/identify", status=404))["detail"]
        async with (
            sip.AnsweringPhone(stack.sip_server, *accounts[0]) as handset,
            sip.AnsweringPhone(stack.sip_server, *accounts[1]) as another,
        ):
            await registered(stack.root, *(account.number for account in accounts))

            ringing = await stack.alice.post(f"/devices/{MAC}/identify")

            assert ringing == {"number": accounts[0].number}
            assert (await handset.request()).caller == ("It is me", "000")
            await handset.request("BYE")

            claimed = await stack.alice.post(f"/devices/{MAC}/claim", {"extension": "2001"})

            assert [line["number"] for line in claimed["lines"]] == ["2001"]
            assert (await handset.request("NOTIFY")).get("Event") == "check-sync"
            assert another.requests == []

        await phone.boot()
        async with sip.AnsweringPhone(stack.sip_server, *known(phone.account)) as handset:
            await registered(stack.alice, "2001")
            await stack.alice.post(f"/devices/{MAC}/identify", status=200)
            await handset.request()
            await handset.request("BYE")
    assert faults(stack.asterisk_log) == []


async def test_identify_over_tcp(start_stack: StartStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone that keeps a connection is rung by it: its own, and not the other at the number."""
    stack = await start(start_stack, phone_transport="tcp")
    extension = await create(stack.alice, "2001", MAC)
    rung: list[str] = []
    answer = UserAgent._answer

    def noting(agent: UserAgent, wire: Any, request: Message) -> None:
        rung.append(request.method)
        answer(agent, wire, request)

    monkeypatch.setattr(UserAgent, "_answer", noting)
    other = sip.Account("2001", extension["sip"]["password"])
    async with (
        Phone.at(stack, MAC) as phone,
        sip.AnsweringPhone(stack.sip_server, *other) as another,
    ):
        await phone.plug_in()
        await registered(stack.alice, "2001", "2001")

        await stack.alice.post(f"/devices/{MAC}/identify", status=200)

        uris = [uri.lower() for _, uri in await api_contacts(stack.alice)]
        assert len([uri for uri in uris if "transport=tcp" in uri]) == 1
        await until(lambda: asyncio.sleep(0, rung), lambda found: "INVITE" in found)
        assert another.requests == []
    assert faults(stack.asterisk_log) == []


async def test_identify_behind_nat(start_stack: StartStack) -> None:
    """A phone that takes a private address for its own is rung where its packets come from."""
    stack = await start(start_stack)
    port = free_port()
    packets: asyncio.Queue[bytes] = asyncio.Queue()

    class Socket(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            del addr
            packets.put_nowait(data)

    async with Phone.at(stack, MAC) as phone:
        await phone.boot()
        behind = "192.168.1.2:5060"
        account = known(phone.account)
        outcome = await sip.register(stack.sip_server, *account, port=port, behind=behind)
        assert outcome.status == 200
        await registered(stack.root, account.number)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Socket, local_addr=("127.0.0.1", port))

        await stack.alice.post(f"/devices/{MAC}/identify", status=200)

        packet = await asyncio.wait_for(packets.get(), 5)
        transport.close()
    assert packet.startswith(f"INVITE sip:{account.number}@127.0.0.1:{port} SIP/2.0\r\n".encode())
