"""Every virtual phone in ``phones/`` against the application and the real Asterisk: one contract.

A module there has ``PHONE``, a subclass of VirtualPhone, and ``CASES``, each a phone type, a MAC
address (none for apps) and a model. ``VIA``, if it is there, names the transports that the phones
use, else they use both HTTP and TFTP.
"""

import asyncio
import importlib
import os
import pkgutil
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import select

from muru.app import create_app
from muru.asterisk import config, program
from muru.db.models import Device, DeviceLine, Extension
from muru.flavor import PhoneFlavor
from muru.keys import AMI, ENGINE, REGISTRATIONS, SITE
from muru.services import lines, users
from muru.services.site import OPERATOR
from muru.settings import Settings
from muru.testing import VirtualPhone
from tests.conftest import PASSWORD, Api, asterisk_ports, free_port
from tests.flavors import phones
from tests.observe import faults, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

THIRD_PARTY = "127.0.0.2"
FLAVORS = [each.name for each in pkgutil.iter_modules(phones.__path__)]
NUMBERS = count(2001)


@dataclass(frozen=True)
class Case:
    """A phone at a site where it finds its files over one transport."""

    flavor: str
    phone: type[VirtualPhone]
    type: str
    mac: str
    model: str
    via: str

    def __str__(self) -> str:
        return "-".join(filter(None, (self.flavor, self.model, self.via)))


def cases(digit: str, transports: int = 2) -> Iterator[Case]:
    """All of them, by so many transports, with MAC addresses of their own, which have *digit*."""
    for name in FLAVORS:
        module = importlib.import_module(f"tests.flavors.phones.{name}")
        for at, via in enumerate(getattr(module, "VIA", ("http", "tftp"))[:transports]):
            for number, (type_, mac, model) in enumerate(module.CASES):
                own = f"{mac[:6]}{digit}{at:x}{number:04x}" if mac else ""
                yield Case(name, module.PHONE, type_, own, model, via)


@dataclass
class Muru:
    """The application and its Asterisk; *alice* has all the phones."""

    app: web.Application
    settings: Settings
    alice: Api

    def flavor(self, case: Case) -> PhoneFlavor:
        flavor = self.app[SITE].registry.by_name(case.flavor)
        assert flavor, [each for each in self.app[SITE].registry.listing() if each.reason]
        return flavor

    async def extension(self, case: Case) -> tuple[str, str]:
        """The number and password of a new one, on the phone that is meant."""
        number = str(next(NUMBERS))
        fields = {"mac": case.mac} if lines.has_mac(self.flavor(case)) else {}
        body = {"type": case.type, "number": number, "name": "Zoë", "extra_fields": fields}
        made = await self.alice.post("/extensions", body)
        return number, made["sip"]["password"]

    async def token(self, number: str) -> str:
        async with self.app[SITE].database.read() as session:
            token = await session.scalar(
                select(Device.token)
                .join(DeviceLine, DeviceLine.device_id == Device.id)
                .join(Extension, Extension.id == DeviceLine.extension_id)
                .where(Extension.number == number)
            )
        assert token
        return token

    def phone(self, case: Case, mac: str, token: str, address: str = "127.0.0.1") -> VirtualPhone:
        """A phone that knows what DHCP tells; an app knows the URL with its token instead."""
        origin = f"http://127.0.0.1:{self.settings.http_port}"
        base = f"{origin}/{self.settings.telephoning_prefix}/{case.flavor}/"
        flavor = self.flavor(case)
        if not lines.has_mac(flavor):
            named = any("{token}" in file.pattern for file in flavor.FILES)
            base += token if named else f"k/{token}/"
        if case.via == "http":
            return case.phone(mac, case.model, base, local_address=address)
        tftp = "127.0.0.1", self.settings.tftp_port or 0
        return case.phone(mac, case.model, tftp=tftp, local_address=address)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def muru(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path
) -> AsyncIterator[Muru]:
    """One application and one Asterisk for all phones. Nobody can claim a phone there."""
    data = tmp_path_factory.mktemp("phones") / "data"
    data.mkdir(mode=0o700)
    shutil.copy(empty_database, data / "muru.sqlite3")
    with pytest.MonkeyPatch.context() as patch:
        for name in [each for each in os.environ if each.startswith("MURU_")]:
            if name != "MURU_ASTERISK_ROOT":
                patch.delenv(name)
        settings = Settings(
            _env_file=None,
            data_dir=data,
            enabled_phone_flavors=["sip", *FLAVORS],
            http_port=free_port(),
            tftp_host="127.0.0.1",
            tftp_port=free_port(),
            ami_secret="ami secret",
            ari_secret="ari secret",
            claim=False,
            extensions_per_user=1000,
            provisioning_rate=10_000,
            resync_rate=100,
            **asterisk_ports(),
        )
    async with asterisk_at(settings) as asterisk:
        app = create_app(settings)
        async with TestClient(TestServer(app, port=settings.http_port)) as client:
            await users.create_user(app[SITE], OPERATOR, "alice", PASSWORD)
            assert await app[AMI].wait_connected(30), app[AMI].state.reason
            await asyncio.to_thread(asterisk.command_line, "core waitfullybooted")
            await app[REGISTRATIONS].ready.wait()
            yield Muru(app, settings, await Api(client).log_in("alice"))
    assert faults((data / "asterisk/log/messages").read_text()) == []


@asynccontextmanager
async def asterisk_at(settings: Settings) -> AsyncIterator[program.Process]:
    found = program.find(settings)
    folder = settings.data_dir.absolute() / "asterisk/etc"
    config.write(settings, found, folder)
    asterisk = program.Process(found, folder)
    await asterisk.start()
    try:
        yield asterisk
    finally:
        await asterisk.stop()


@pytest.mark.parametrize("case", list(cases("0")), ids=str)
async def test_phone_provisions_itself(muru: Muru, case: Case) -> None:
    """A phone boots and registers, and again with proof; who has its MAC alone gets nothing.

    What a third party is answered is, byte for byte, what it is answered for an unknown address
    (which itself may be repeated to it).
    """
    number, password = await muru.extension(case)
    token = await muru.token(number)
    proofs: set[str] = set()
    unsubscribe = muru.app[ENGINE].journal.subscribe(lambda visit: proofs.add(visit.proof))

    async with muru.phone(case, case.mac, token) as phone:
        await phone.boot()
        (account,) = phone.accounts
        assert (account.username, account.password) == (number, password)
        assert await phone.register() == [200]

        before = len(phone.requests)
        await phone.boot()
        assert await phone.register() == [200]
        by_token = muru.flavor(case).KEEPS_URL
        assert (token in f"{phone.http} {phone.requests[before:]}") == by_token
        assert proofs >= {"token" if by_token else "address", *(["first-use"] if case.mac else [])}
    unsubscribe()

    stranger, guess = f"{case.mac[:6]}ffffff" if case.mac else "", token[::-1]
    async with (
        muru.phone(case, case.mac, guess, THIRD_PARTY) as thief,
        muru.phone(case, stranger, guess, THIRD_PARTY) as nobody,
    ):
        await asyncio.gather(thief.boot(), nobody.boot())
        assert thief.accounts == nobody.accounts == []
        assert answers(thief) == answers(nobody)
        assert not any(secret in str(thief.replies) for secret in (token, password))


@pytest.mark.parametrize("case", list(cases("f", transports=1)), ids=str)
async def test_phone_is_resynced(muru: Muru, case: Case) -> None:
    """On the family's own NOTIFY a phone fetches its new name and registers, as the API tells."""
    number, _ = await muru.extension(case)

    async with muru.phone(case, case.mac, await muru.token(number)) as phone:
        await phone.boot()
        # For another while than later: muru tells the two apart by their ends, to the second.
        assert await phone.register(expires=300) == [200]
        await until(lambda: muru.alice.get(f"/extensions/{number}"), lambda e: e["registered"])
        told = await muru.alice.post(f"/extensions/{number}/resync", {"within": 10})

        can = bool(muru.flavor(case).resync_headers(case.type))
        assert (told["state"], len(phone.notified)) == ("registered" if can else "no-way", can)


def answers(phone: VirtualPhone) -> list[tuple[int, bytes]]:
    mac = phone.mac.encode() or b"none"
    return [(status, body.lower().replace(mac, b"{mac}")) for status, body in phone.replies]
