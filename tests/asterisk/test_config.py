"""The configuration that is written for Asterisk, judged by the real Asterisk."""

import asyncio
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr, ValidationError

from muru.asterisk import config, program
from muru.asterisk.ami import Ami
from muru.asterisk.ari import Ari
from muru.errors import AmiRefused, MuruError
from muru.keys import AMI
from muru.settings import Settings
from tests import sip
from tests.conftest import Stack, StartStack, asterisk_ports, free_port
from tests.observe import api_contacts, console, create, faults, until

MakeSettings = Callable[..., Settings]

PROGRAM = program.Program(("asterisk",), Path("/"), Path("/usr/lib/modules"), Path("/usr/share"))


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", files[0], "-keyout", files[1]),
        ],
        check=True,
        capture_output=True,
    )
    return files


@pytest.fixture
async def tls_stack(start_stack: StartStack, certificate: tuple[Path, Path]) -> Stack:
    """A stack that also speaks TLS."""
    cert, key = certificate
    port = free_port()
    return await start_stack(tls_certificate=cert, tls_private_key=key, sip_tls_port=port)


def reloads(stack: Stack) -> int:
    return stack.asterisk_log.count("is not reloadable, maintaining previous values")


def listeners(asterisk: program.Process) -> set[tuple[str, int]]:
    """Where Asterisk takes TCP connections, read from the kernel."""
    assert asterisk.pid
    inodes = set()
    for each in Path(f"/proc/{asterisk.pid}/fd").iterdir():
        found = re.match(r"socket:\[(\d+)\]", str(each.readlink()))
        inodes |= {found[1]} if found else set()
    places = set()
    for name, any_address in (("tcp", "00000000"), ("tcp6", "0" * 32)):
        for line in Path(f"/proc/{asterisk.pid}/net/{name}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and inode in inodes:
                host, _, port = local.partition(":")
                where = {any_address: "any", "0100007F": "127.0.0.1"}.get(host, host)
                places.add((where, int(port, 16)))
    return places


async def test_nothing_to_complain_of(tls_stack: Stack) -> None:
    """Asterisk's log has no warning and no error: at the start, and after a reload."""
    before = reloads(tls_stack)
    account = await create(tls_stack.alice, "2001")

    async def count() -> int:
        return reloads(tls_stack)

    await until(count, lambda now: now > before)
    assert (await sip.register(tls_stack.sip_server, *account)).status == 200
    assert (await sip.call(tls_stack.sip_server, *account, "2999")).status == 404

    assert faults(tls_stack.asterisk_log) == []


async def test_all_modules_run(stack: Stack) -> None:
    """Each module that is asked for is there, and running."""
    wanted = set(
        re.findall(
            r"^(?:pre)?load = (\S+)",
            (stack.settings.data_dir / "asterisk/etc/modules.conf").read_text(),
            re.MULTILINE,
        )
    )
    shown = await console(stack.asterisk, "module show")
    running = set(re.findall(r"^(\S+\.so) .* Running ", shown, re.MULTILINE))

    assert wanted == running


async def test_loopback_only(tls_stack: Stack) -> None:
    """AMI, ARI and SIP over WebSocket are there for this machine alone."""
    settings = tls_stack.settings

    assert listeners(tls_stack.asterisk) == {
        ("127.0.0.1", port)
        for port in (
            settings.ami_port,
            settings.asterisk_http_port,
            settings.sip_port,
            settings.sip_tls_port,
        )
    }


async def test_loopback_also_with_phones_outside(start_stack: StartStack) -> None:
    """Where phones come from anywhere, as is the default, only SIP listens there."""
    stack = await start_stack(sip_host="0.0.0.0")
    settings = stack.settings

    assert listeners(stack.asterisk) == {
        ("any", settings.sip_port),
        ("127.0.0.1", settings.ami_port),
        ("127.0.0.1", settings.asterisk_http_port),
    }


async def test_rights_of_the_manager(stack: Stack) -> None:
    """The AMI user has no right to run a command or program, to write files, or to make calls.

    Those that there are it may steer, as by ARI: conferences need it.
    """
    shown = await console(stack.asterisk, "manager show user muru")
    rights = {
        kind: set(found.split(","))
        for kind, found in re.findall(r"(read|write) perm: (\S+)", shown)
    }
    assert rights == {
        "read": {"system", "security", "call"},
        "write": {"system", "reporting", "call"},
    }
    for action in ("Command", "UpdateConfig", "CreateConfig", "Originate", "AGI"):
        with pytest.raises(AmiRefused):
            await stack.app[AMI].send(
                action, {"Command": "core show version", "Filename": "manager.conf"}
            )
    with pytest.raises(AmiRefused):
        await stack.app[AMI].send(
            "Originate",
            {"Channel": "Local/x@muru", "Application": "System", "Data": "id", "Async": "true"},
        )


async def test_wrong_secrets(stack: Stack) -> None:
    """Nobody gets in with another secret, or none."""
    for secret in ("wrong", ""):
        ami = Ami(
            host="127.0.0.1",
            port=stack.settings.ami_port,
            username="muru",
            secret=SecretStr(secret),
        )
        await ami.start()

        async def reason(ami: Ami = ami) -> str:
            return ami.state.reason

        assert "Authentication failed" in await until(
            reason, lambda text: "not connected" not in text
        )
        await ami.stop()
    url = f"http://127.0.0.1:{stack.settings.asterisk_http_port}"
    async with aiohttp.ClientSession() as session:
        for path in ("/ari/channels", "/ari/asterisk/info", "/ari/api-docs/resources.json"):
            async with session.get(url + path) as response:
                assert response.status == 401
        for path in ("/httpstatus", "/static/index.html", "/phoneprov/", "/rawman?action=ping"):
            async with session.get(url + path) as response:
                assert response.status in {403, 404}


async def test_websocket(stack: Stack) -> None:
    """SIP over WebSocket answers where ARI is: an OPTIONS for nobody gets an answer."""
    url = f"http://127.0.0.1:{stack.settings.asterisk_http_port}/ws"
    request = (
        "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK1\r\n"
        "From: <sip:2001@x.invalid>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: 1\r\n"
        "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=["sip"]) as socket,
    ):
        assert socket.protocol == "sip"
        await socket.send_str(request)
        answer = await socket.receive(timeout=5)

    assert answer.data.startswith("SIP/2.0 4")


async def test_tls(tls_stack: Stack) -> None:
    """A phone registers over TLS, and is shown as such; older versions of TLS are refused."""
    account = await create(tls_stack.alice, "2001")
    server = sip.Server(tls_stack.settings.sip_tls_port)

    async with sip.Phone(server, *account, transport="tls"):
        ((_, uri),) = await until(lambda: api_contacts(tls_stack.alice), within=3)
        assert "transport=tls" in uri.lower()

    detail = await tls_stack.alice.get("/extensions/2001")
    assert detail["sip"]["transports"] == ["udp", "tcp", "tls"]
    old = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-tls1_1", "-connect", f"127.0.0.1:{server.port}"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await old.wait() != 0


async def test_tcp(stack: Stack) -> None:
    """A phone registers over TCP, and is shown as such."""
    account = await create(stack.alice, "2001")

    async with sip.Phone(stack.sip_server, *account, transport="tcp"):
        ((_, uri),) = await until(lambda: api_contacts(stack.alice), within=3)
        assert "transport=tcp" in uri.lower()


def written(settings: Settings, directory: Path) -> dict[str, str]:
    """The text of each file."""
    return {path.name: path.read_text() for path in config.write(settings, PROGRAM, directory)}


def test_only_the_owner_may_read(make_settings: MakeSettings, tmp_path: Path) -> None:
    """Files with secrets are for their owner, also where files were there before."""
    directory = tmp_path / "state/etc"
    directory.mkdir(parents=True)
    (directory / "manager.conf").write_text("former")
    (directory / "manager.conf").chmod(0o644)
    (directory / "own.conf").write_text("the operator's")

    files = config.write(make_settings(), PROGRAM, directory)

    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    folders = list((tmp_path / "data/asterisk").iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert (directory / "own.conf").read_text() == "the operator's"
    assert "former" not in (directory / "manager.conf").read_text()
    assert {path.name for path in directory.iterdir()} == {path.name for path in files} | {
        "own.conf"
    }


def test_generated_secrets(make_settings: MakeSettings, tmp_path: Path) -> None:
    """Without secrets in the settings there are good ones, kept where only the owner reads them."""
    settings = make_settings(ami_secret=None, ari_secret=None)

    files = written(settings, tmp_path / "state/etc")

    kept = settings.data_dir / "asterisk-secrets.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    secrets = json.loads(kept.read_text())
    assert secrets["ami"] != secrets["ari"]
    assert all(len(secret) >= 32 for secret in secrets.values())
    assert f"secret = {secrets['ami']}\n" in files["manager.conf"]
    assert f"password = {secrets['ari']}\n" in files["ari.conf"]
    assert written(settings, tmp_path / "state/etc") == files
    other = make_settings(ami_secret=None, ari_secret=None, data_dir=tmp_path / "other")
    assert config.secrets_of(other) != config.secrets_of(settings)


def test_secrets_of_many_processes(make_settings: MakeSettings) -> None:
    """Processes that start at the same time agree on the secrets."""
    settings = make_settings(ami_secret=None, ari_secret=None)
    code = (
        "from muru.asterisk.config import secrets_of; from muru.settings import Settings;"
        "from pathlib import Path; import sys;"
        "print(secrets_of(Settings(data_dir=Path(sys.argv[1]))).ami.get_secret_value())"
    )
    command = [sys.executable, "-c", code, str(settings.data_dir)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]

    assert len({process.communicate()[0] for process in running}) == 1
    assert [path.name for path in settings.data_dir.glob(".asterisk-secrets*")] == []


async def test_awkward_values(start_stack: StartStack) -> None:
    """Secrets with characters that mean something to Asterisk still work, and break nothing."""
    awkward = 'a;b #"\\ = [x] => ${y} ü,|'
    stack = await start_stack(ami_secret=SecretStr(awkward), ari_secret=SecretStr(awkward))

    port = stack.settings.asterisk_http_port
    ari = Ari(host="127.0.0.1", port=port, username="muru", secret=SecretStr(awkward))
    await ari.reload_module("res_pjsip.so")
    assert faults(stack.asterisk_log) == []


@pytest.mark.parametrize("secret", ["a\nb", "a\r", "a\0b"])
def test_line_breaks(make_settings: MakeSettings, tmp_path: Path, secret: str) -> None:
    """What would begin a line of its own is refused, by the settings or in one clear line."""
    with pytest.raises((MuruError, ValidationError, ValueError), match=r"line break|control"):
        written(make_settings(ami_secret=SecretStr(secret)), tmp_path / "state/etc")


def test_folder_that_cannot_be_written(make_settings: MakeSettings, tmp_path: Path) -> None:
    """The reason is told in one line."""
    (tmp_path / "state").write_text("")

    with pytest.raises(MuruError, match="cannot be written"):
        written(make_settings(), tmp_path / "state/etc")


async def test_command(make_settings: MakeSettings, tmp_path: Path) -> None:
    """What ``muru asterisk-conf`` writes starts, and lets a muru with the same settings in."""
    settings = make_settings(ami_secret=None, ari_secret=None, **asterisk_ports())
    found = program.find(settings)
    names = ("data_dir", "ami_port", "asterisk_http_port", "sip_port", "sip_host")
    environment = {f"MURU_{name.upper()}": str(getattr(settings, name)) for name in names}
    folder = tmp_path / "elsewhere/etc"

    result = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "muru", "asterisk-conf", str(folder)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.returncode, result.stderr) == (0, "")
    assert str(folder) in result.stdout
    state = settings.data_dir / "asterisk"
    process = program.Process(found, folder, state)
    ami = Ami(
        host="127.0.0.1",
        port=settings.ami_port,
        username=settings.ami_username,
        secret=config.secrets_of(settings).ami,
    )
    await process.start()
    await ami.start()
    try:
        assert await ami.wait_connected(20)
        assert faults((state / "log/messages").read_text()) == []
    finally:
        await ami.stop()
        await process.stop()
