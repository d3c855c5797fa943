"""A phone in a network of its own, behind a router that rewrites its address, as at home.

The networks are namespaces of Linux, the router's rules are nftables'. Both need root.
"""

import asyncio
import itertools
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from muru.keys import ARI
from muru.services import selftest
from tests import sip
from tests.conftest import Stack, StartStack
from tests.observe import create, until
from tests.services.test_diagnosis import introduced, link, named

_numbers = itertools.count(os.getpid() % 200)

RULES = """
table ip nat {
  chain post { type nat hook postrouting priority 100; oifname "out" masquerade; }
}
table ip filter {
  chain forward { type filter hook forward priority 0; }
}
"""


def run(*argv: str, text: str | None = None) -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Home:
    """A router with one phone behind it. *outside* is this machine's address on its other side."""

    router: str
    place: sip.Place
    outside: str
    public: str

    def drop(self, what: str) -> None:
        """Has the router drop packets (``udp dport 5060``)."""
        self._nft(f"add rule ip filter forward {what} drop")

    def repair(self) -> None:
        self._nft("flush chain ip filter forward")

    def _nft(self, rules: str) -> None:
        run("ip", "netns", "exec", self.router, "nft", "-f", "-", text=rules)


@contextmanager
def built() -> Iterator[Home]:
    number = next(_numbers)
    router, phone = f"muru-r{number}", f"muru-p{number}"
    wan, control = f"10.213.{number}", f"10.214.{number}"
    run("ip", "netns", "add", router)
    run("ip", "netns", "add", phone)
    try:
        links = (
            (None, f"mw{number}", f"{wan}.1/24", router, "out", f"{wan}.2/24"),
            (router, "in", "192.168.77.1/24", phone, "lan", "192.168.77.2/24"),
            (None, f"mc{number}", f"{control}.1/24", phone, "control", f"{control}.2/24"),
        )
        for near, near_name, near_address, far, far_name, far_address in links:
            _link(near, near_name, far, far_name)
            _up(near, near_name, near_address)
            _up(far, far_name, far_address)
        run("ip", "-n", phone, "route", "add", "default", "via", "192.168.77.1")
        run("ip", "netns", "exec", router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        run("ip", "netns", "exec", router, "nft", "-f", "-", text=RULES)
        place = sip.Place(phone, "192.168.77.2", f"{control}.2")
        yield Home(router, place, f"{wan}.1", f"{wan}.2")
    finally:
        for name in (router, phone):  # their interfaces go with them
            subprocess.run(("ip", "netns", "del", name), check=False, timeout=10)


def _link(near: str | None, near_name: str, far: str, far_name: str) -> None:
    peer = ("type", "veth", "peer", "name", far_name, "netns", far)
    run("ip", *_in(near), "link", "add", near_name, *peer)


def _up(namespace: str | None, name: str, address: str) -> None:
    run("ip", *_in(namespace), "address", "add", address, "dev", name)
    run("ip", *_in(namespace), "link", "set", name, "up")
    if namespace:
        run("ip", *_in(namespace), "link", "set", "lo", "up")


def _in(namespace: str | None) -> tuple[str, ...]:
    return ("-n", namespace) if namespace else ()


@pytest.fixture
async def home() -> AsyncIterator[Home]:
    if os.geteuid() != 0:
        pytest.skip("only root may make networks")
    with built() as made:
        yield made


async def ready(start_stack: StartStack) -> Stack:
    stack = await start_stack(sip_host="0.0.0.0", qualify_frequency=60)
    assert await stack.app[ARI].wait_connected(10)
    return stack


async def test_phone_behind_nat(
    home: Home, start_stack: StartStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both addresses of a phone behind NAT are told, and what its router blocks is named."""
    monkeypatch.setattr(selftest, "_ECHO_SECONDS", 2.0)
    monkeypatch.setattr(selftest, "_ANSWER_SECONDS", 0.5)
    stack = await ready(start_stack)
    account = await create(stack.alice, "2001")
    await introduced(stack)
    server = sip.Server(stack.settings.sip_port, home.outside)
    rtp = f"udp dport {stack.settings.rtp_port_first}-{stack.settings.rtp_port_last}"

    async with sip.Phone(server, *account, tone=550, auto_answer=True, place=home.place) as phone:
        await until(
            lambda: stack.alice.get("/extensions/2001/registration"),
            lambda row: [each["status"] for each in row["contacts"]] == ["reachable"],
            within=10,
        )
        found = await named(stack, "2001", None)
        [contact] = link(found, "registration")["facts"]["contacts"]
        assert contact["address"].startswith(f"{home.public}:")
        assert contact["own_address"].startswith("192.168.77.2:")
        assert contact["behind_nat"] is True

        test = asyncio.create_task(self_test(stack))
        await phone.established(within=15)
        assert await phone.heard(seconds=2.5) == pytest.approx(550, abs=5)
        result = await test
        assert (result["audio_from_phone"], result["cause"]) == (True, None)

        home.drop(rtp)
        result = await self_test(stack)
        assert (result["audio_from_phone"], result["cause"]) == (False, "no-audio-from-phone")
        assert result["audio_to_phone"] is not True
        await named(stack, "2001", "no-audio-from-phone")
        home.repair()

        home.drop(f"udp sport {stack.settings.sip_port}")
        await named(stack, "2001", "unreachable")


async def self_test(stack: Stack) -> Any:
    return await stack.alice.post("/extensions/2001/selftest", {"ring": 10})
