"""ARI: a reload of a module, and all the ways in which it can fail."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from pydantic import SecretStr

from muru.asterisk.ari import Ari
from muru.errors import AriUnavailable
from tests.conftest import Stack, free_port
from tests.observe import console


@pytest.fixture
async def silent_server() -> AsyncIterator[BaseTestServer]:
    """A server that takes requests and does not answer."""

    async def wait(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", wait)
    async with TestServer(app) as server:
        yield server


def client(port: int, secret: str = "ari secret") -> Ari:
    return Ari(host="127.0.0.1", port=port, username="muru", secret=SecretStr(secret))


async def test_reload(stack: Stack) -> None:
    """When it returns the module is loaded anew."""
    before = stack.asterisk_log.count("is not reloadable, maintaining previous values")

    await client(stack.settings.asterisk_http_port).reload_module("res_pjsip.so")

    log = stack.asterisk_log
    assert log.count("is not reloadable, maintaining previous values") == before + 1
    assert "Running" in await console(stack.asterisk, "module show like res_pjsip.so")


@pytest.mark.parametrize(
    ("secret", "module", "answer"),
    [("ari secret", "no_such_module.so", "404"), ("wrong", "res_pjsip.so", "401")],
)
async def test_refused(stack: Stack, secret: str, module: str, answer: str) -> None:
    """What Asterisk does not do is told with its answer, and without the secret."""
    ari = client(stack.settings.asterisk_http_port, secret)

    with pytest.raises(AriUnavailable, match=answer) as caught:
        await ari.reload_module(module)

    assert secret not in str(caught.value)


async def test_away() -> None:
    """An Asterisk that is away is told as such."""
    with pytest.raises(AriUnavailable, match="not available"):
        await client(free_port()).reload_module("res_pjsip.so")


async def test_no_answer(silent_server: BaseTestServer) -> None:
    """One that does not answer is waited for no longer than said."""
    assert silent_server.port
    async with asyncio.timeout(5):
        with pytest.raises(AriUnavailable, match="Timeout"):
            await client(silent_server.port).reload_module("res_pjsip.so", seconds=0.2)
