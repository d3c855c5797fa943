"""Asterisk's REST interface (ARI)."""

from base64 import b64encode

import aiohttp
from pydantic import SecretStr

from muru.errors import AriUnavailable


class Ari:
    """A client that opens its connections when they are needed.

    What takes long goes by ARI: each request has a thread of its own in Asterisk, while AMI does
    one action of a link after the other.
    """

    def __init__(self, *, host: str, port: int, username: str, secret: SecretStr) -> None:
        self._url = f"http://{host}:{port}/ari"
        login = f"{username}:{secret.get_secret_value()}".encode()
        self._headers = {"Authorization": f"Basic {b64encode(login).decode()}"}

    async def reload_module(self, name: str, *, seconds: float = 60.0) -> None:
        """Reload a module (``res_pjsip.so``) and wait until that is done.

        Raises:
            AriUnavailable: Asterisk is away, does not let us in, or takes longer than *seconds*.
        """
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=5)
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session,
                session.put(f"{self._url}/asterisk/modules/{name}") as response,
            ):
                if response.status != 204:
                    raise AriUnavailable(f"ARI answered {response.status} to a reload of {name}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AriUnavailable(f"ARI is not available: {error!r}") from error
