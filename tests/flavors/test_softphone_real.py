"""The real linphonec and the real baresip, configured by muru alone, call each other."""

import asyncio
import re
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import pytest
from sqlalchemy import select

from muru.db.models import Device, DeviceLine, Extension
from tests import sip
from tests.conftest import Stack, StartStack
from tests.observe import asterisk_contacts, until


class Linphone:
    """The program ``linphonec`` (Debian: linphone-cli) with a file of settings of its own.

    It is driven by its prompt. Sound comes from a file and goes to another, as there is no card.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        self._folder = folder
        self._settings = settings
        self._output = bytearray()

    async def __aenter__(self) -> Self:
        (self._folder / ".local/share/linphone").mkdir(parents=True)  # it makes none by itself
        self.rc.write_text(self._settings)
        self._process = await asyncio.create_subprocess_exec(
            *("linphonec", "-c", str(self.rc)),
            cwd=self._folder,
            env={"HOME": str(self._folder), "PATH": "/usr/bin:/bin"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reader = asyncio.create_task(self._read())
        self.command("soundcard use files")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.command("quit")
        try:
            await asyncio.wait_for(self._process.wait(), 5)
        except TimeoutError:
            self._process.kill()
        await self._reader

    @property
    def rc(self) -> Path:
        return self._folder / "linphonerc"

    @property
    def said(self) -> str:
        return self._output.decode(errors="replace")

    def command(self, text: str) -> None:
        assert self._process.stdin
        with suppress(ConnectionError):
            self._process.stdin.write(f"{text}\n".encode())

    async def says(self, pattern: str, within: float = 15) -> re.Match[str]:
        """Wait until it says something."""

        async def search() -> re.Match[str] | None:
            return re.search(pattern, self.said)

        found = await until(search, within=within)
        assert found
        return found

    async def _read(self) -> None:
        assert self._process.stdout
        while part := await self._process.stdout.read(4096):
            self._output += part


class Baresip(sip.Phone):
    """The program ``baresip``, with the files that muru has for it."""

    def __init__(self, server: sip.Server, files: dict[str, str], folder: Path) -> None:
        super().__init__(server, "2002", "in-its-file", folder=folder)
        self._files = files
        folder.mkdir()
        (folder / "contacts").write_text(files["contacts"])

    def _config(self) -> str:
        """Put a tone in the place of the sound card, and a socket in that of the keyboard."""
        config = self._files["config"]
        assert "module alsa.so\n" in config
        config = config.replace("audio_source alsa,default", "audio_source ausine,440")
        config = config.replace("module alsa.so", "module ausine.so")
        more = [
            f"sip_listen 127.0.0.1:{self.port}",
            f"ctrl_tcp_listen 127.0.0.1:{self.port + 2}",
            f"rtp_ports {self.port + 4}-{self.port + 7}",
            "ausrc_srate 48000",
            "ausrc_channels 2",
            "module_app debug_cmd.so",
            "module_app ctrl_tcp.so",
        ]
        return "\n".join([config, *more, ""])

    def _accounts(self) -> str:
        return self._files["accounts"]

    async def _register(self) -> None:
        """It has begun to by itself."""

        async def state() -> str:
            return await self.command("reginfo")

        await until(state, lambda text: "OK" in text)


async def url(stack: Stack, number: str) -> str:
    """Where an extension's app finds its files."""
    async with stack.site.database.read() as session:
        token = await session.scalar(
            select(Device.token)
            .join(DeviceLine, DeviceLine.device_id == Device.id)
            .join(Extension, Extension.id == DeviceLine.extension_id)
            .where(Extension.number == number)
        )
    return str(stack.nobody.client.make_url(f"/telephoning/softphone/k/{token}/"))


async def downloaded(base: str, *names: str) -> dict[str, str]:
    """What somebody has saved who followed the links."""
    async with aiohttp.ClientSession(base) as session:
        found = {}
        for name in names:
            async with session.get(f"baresip/{name}", raise_for_status=True) as response:
                found[name] = await response.text()
    return found


async def registered(stack: Stack) -> set[str]:
    return {number for number, _ in await asterisk_contacts(stack.asterisk)}


@pytest.fixture
async def apps(start_stack: StartStack) -> Stack:
    """A stack with 2001 for Linphone and 2002 for baresip, with names that are hard to write."""
    stack = await start_stack(enabled_phone_flavors=["sip", "softphone"])
    for number, kind, name in (("2001", "Linphone", 'Anna "A" <x>'), ("2002", "baresip", "B;=<\\")):
        body = {"type": kind, "number": number, "name": name, "public": True}
        await stack.alice.post("/extensions", body)
    return stack


async def test_linphone_and_baresip_call_each_other(apps: Stack, tmp_path: Path) -> None:
    """Both are configured by what they fetch alone, and hold a call in either direction."""
    seed = f"[misc]\nconfig-uri={await url(apps, '2001')}linphone.xml\n"
    files = await downloaded(await url(apps, "2002"), "accounts", "config", "contacts")
    async with (
        Linphone(tmp_path / "linphone", seed) as linphone,
        Baresip(apps.sip_server, files, tmp_path / "baresip") as baresip,
    ):
        await until(lambda: registered(apps), lambda numbers: numbers == {"2001", "2002"})
        assert "Anna 'A' (x) <sip:2001@" in await baresip.command("contacts")

        linphone.command("call 2002")
        call = await baresip.answer()
        assert (call.sends, call.receives) == ("g722", "g722")
        assert "belcard" not in linphone.said  # the phonebook was in order
        await linphone.says(r"Media streams established with \S*sip:2002@")
        linphone.command("terminate")
        await baresip.ended()

        await baresip.command("dial", "2001")
        await linphone.says(r'Receiving new incoming call from "B;=<\S+ <sip:2002@')
        linphone.command("answer")
        call = await baresip.established()
        assert (call.sends, call.receives) == ("g722", "g722")
        await baresip.hangup()


async def test_linphone_takes_over_a_change(apps: Stack, tmp_path: Path) -> None:
    """With a new password at the server, Linphone is registered again after its next start."""
    seed = f"[misc]\nconfig-uri={await url(apps, '2001')}linphone.xml\n"
    async with Linphone(tmp_path / "first", seed) as linphone:
        await until(lambda: registered(apps), lambda numbers: numbers == {"2001"})
    kept = linphone.rc.read_text()
    assert "ha1=" in kept
    await until(lambda: registered(apps), lambda numbers: numbers == set())

    await apps.alice.post("/extensions/2001/password")

    async with Linphone(tmp_path / "second", kept):
        await until(lambda: registered(apps), lambda numbers: numbers == {"2001"})
