"""For the tests of flavors: a contract, a site without a server, and a phone that is none.

:func:`check_flavor` tells what is wrong with a flavor's files; :func:`vocabulary` and
:func:`render` show single ones. A :class:`VirtualPhone` asks for its files and registers as a real
one does::

    class MyBrand100(VirtualPhone):
        user_agent = "MyBrand {model} 1.0 {mac}"

        async def boot(self) -> None:
            settings = parse(await self.get(f"{self.mac}.cfg"))
            self.accounts = [Account(settings["server"], 5060, "udp", settings["user"], ...)]


    async with MyBrand100("00aabbccddee", "100", http="http://host/telephoning/mybrand/") as phone:
        await phone.boot()
        assert await phone.register() == [200]

Nothing here needs pytest, and nothing in muru needs this.
"""

from muru.testing.contract import check_flavor
from muru.testing.phone import HttpError, Reply, VirtualPhone
from muru.testing.sample import render, vocabulary
from muru.testing.sip import Account
from muru.testing.tftp import TftpError

__all__ = [
    "Account",
    "HttpError",
    "Reply",
    "TftpError",
    "VirtualPhone",
    "check_flavor",
    "render",
    "vocabulary",
]
