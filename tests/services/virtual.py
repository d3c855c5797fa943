"""Virtual phones at a real Asterisk, for the tests of claims by telephone and of resyncs."""

import time
from typing import Any

from muru.keys import ARI
from muru.testing import Account
from tests import sip
from tests.conftest import Api, Stack, StartStack
from tests.flavors.phones.grandstream import GrandstreamPhone
from tests.observe import api_contacts, until

TYPE = "Grandstream GXP2160"


async def start(start_stack: StartStack, **settings: Any) -> Stack:
    """Start Asterisk and the application with Grandstream's flavor; both take calls."""
    stack = await start_stack(enabled_phone_flavors=["sip", "grandstream"], **settings)
    assert await stack.app[ARI].wait_connected(10)
    return stack


class Phone(GrandstreamPhone):
    """A Grandstream that tells when it was notified, and can be lazy about it."""

    obeys = True
    registers = True
    notified_at: list[float]

    @classmethod
    def at(cls, stack: Stack, mac: str) -> "Phone":
        """Return the phone with that MAC address, plugged in where the controller runs."""
        phone = cls(mac, "GXP2160", str(stack.nobody.client.make_url("/telephoning/grandstream/")))
        phone.notified_at = []
        return phone

    async def on_notify(self, headers: dict[str, str]) -> None:
        assert headers["Event"] == "check-sync"
        self.notified_at.append(time.monotonic())
        if self.obeys:
            await self.boot()
        if self.obeys and self.registers:
            await self.register()

    async def plug_in(self) -> Account:
        """Boot and register; return the account."""
        await self.boot()
        assert await self.register() == [200]
        return self.account

    @property
    def account(self) -> Account:
        [account] = self.accounts
        return account

    async def has(self, number: str, within: float = 10) -> None:
        """Wait until the phone has an extension's account."""

        async def username() -> str:
            return self.account.username

        await until(username, lambda found: found == number, within)


async def create(api: Api, number: str, mac: str | None = None, **more: Any) -> Any:
    """Create an extension that holds a phone; return what the API tells."""
    body = {"type": TYPE, "name": "Anna", "number": number, "extra_fields": {"mac": mac}}
    return await api.post("/extensions", body | more, status=201)


async def registered(api: Api, *numbers: str) -> None:
    """Wait until the phones of just these numbers are registered."""

    async def found() -> list[str]:
        return sorted(number for number, _ in await api_contacts(api))

    await until(found, lambda answer: answer == sorted(numbers), within=10)


def known(account: Account) -> sip.Account:
    """Return an account as SIP clients of the tests have it."""
    return sip.Account(account.username, account.password)
