"""An Asterisk that stands still: its connections stay open, and nothing comes by them."""

import asyncio
import os
import signal
from typing import Any

import pytest

from muru.errors import MuruError
from muru.keys import AMI
from tests.conftest import Stack
from tests.observe import create


async def test_frozen_asterisk(stack: Stack) -> None:
    """It is noticed within 20 seconds and told with the reason; once it goes on, so does muru."""
    pid = stack.asterisk.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        lost = await _link(stack, connected=False, within=20)
        assert lost["losses"] == 1
        assert "did not answer" in lost["history"][-1]["reason"]
        with pytest.raises(MuruError):
            await stack.app[AMI].send("Ping")
    finally:
        os.kill(pid, signal.SIGCONT)

    back = await _link(stack, connected=True, within=20)
    assert [each["connected"] for each in back["history"]][-1]
    assert stack.asterisk.pid == pid
    await create(stack.alice, "2001", "Anna")
    told = await stack.root.get("/diagnostics/asterisk")
    assert told["calls"] == 0


async def _link(stack: Stack, *, connected: bool, within: float) -> dict[str, Any]:
    """Return what is told of the link as soon as it is *connected*, or is not."""
    async with asyncio.timeout(within):
        while True:
            link: dict[str, Any] = await stack.root.get("/diagnostics/ami")
            if link["connected"] is connected:
                return link
            await asyncio.sleep(0.1)
