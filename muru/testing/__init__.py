"""For the tests of flavors: a phone that is none, but asks for its files and registers as one.

::

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

from muru.testing.phone import HttpError, Reply, VirtualPhone
from muru.testing.sip import Account
from muru.testing.tftp import TftpError

__all__ = ["Account", "HttpError", "Reply", "TftpError", "VirtualPhone"]
