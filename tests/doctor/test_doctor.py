"""``muru doctor``: each check, made to fail for real."""

import asyncio
import json
import socket
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from muru import cli, doctor
from muru.asterisk import config, program
from muru.doctor import doors, machine
from muru.doctor.finding import Finding
from muru.settings import Settings
from tests.conftest import AppClient, Stack, asterisk_ports, configured, free_port
from tests.observe import create
from tests.written_flavors import write

MakeSettings = Callable[..., Settings]


async def examine(settings: Settings) -> dict[str, list[Finding]]:
    """Return what is found, by what was looked at; each fault has a remedy."""
    found: dict[str, list[Finding]] = {}
    async for each in doctor.examine(settings):
        assert bool(each.remedy) == (each.level != "ok"), each
        found.setdefault(each.check, []).append(each)
    return found


def level(found: dict[str, list[Finding]], check: str) -> list[str]:
    return [each.level for each in found.get(check, [])]


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let silence be told sooner: all is on this machine."""
    monkeypatch.setattr(doors, "_PATIENCE", 0.5)


@pytest.fixture
def away(make_settings: MakeSettings) -> Settings:
    """A site on a machine without Asterisk, whose ports are free."""
    ports = asterisk_ports()
    return make_settings(**ports, http_port=free_port(), http_host="127.0.0.1")


async def test_healthy_installation(stack: Stack, make_settings: MakeSettings) -> None:
    """Of an installation that works nothing is said but that it works."""
    await create(stack.alice, "2001")
    server = stack.nobody.client.server
    settings = stack.settings.model_copy(
        update={"http_host": "127.0.0.1", "http_port": server.port}
    )

    found = await examine(settings)

    del found["clock"]  # a container's may be unsynchronised
    faults = [each for findings in found.values() for each in findings if each.level != "ok"]
    assert faults == []
    assert found.keys() >= {
        *("data folder", "disk", "settings", "database", "flavors", "templates"),
        *("asterisk", "asterisk version", "AMI rights", "AMI events", "configuration"),
        *("asterisk clock", "ARI", "modules", "HTTP", "SIP"),
    }
    assert "2001" in found["configuration"][0].text


def list_names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


async def test_fresh_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first start there are warnings, and nothing is created by looking."""
    monkeypatch.chdir(tmp_path)
    settings = Settings(
        **asterisk_ports(),
        http_port=free_port(),
        tftp_port=free_port(),
        enabled_phone_flavors=["sip"],
    )

    found = await examine(settings)

    assert list_names(tmp_path) == []
    assert level(found, "data folder") == level(found, "database") == ["warning"]
    assert level(found, "HTTP") == level(found, "SIP") == level(found, "TFTP") == ["ok"]
    (tmp_path / "data").mkdir(mode=0o700)
    await examine(settings)
    assert list_names(tmp_path / "data") == []


# The machine


async def test_data_folder_that_others_may_read(away: Settings) -> None:
    """A folder of passwords that is open to others is told."""
    away.data_dir.chmod(0o755)

    assert level(await examine(away), "data folder") == ["warning"]


def test_data_folder_that_cannot_be_written(away: Settings) -> None:
    """A data folder that is no folder, or another user's, is told."""
    away.data_dir.rename(away.data_dir.with_name("elsewhere"))
    away.data_dir.touch()

    assert machine._data_folder(away.data_dir).level == "fault"


@pytest.mark.parametrize(("free", "expected"), [(5e9, "ok"), (0.5e9, "warning"), (0.05e9, "fault")])
def test_disk_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, expected: str
) -> None:
    """A disk with little space is told before it is full."""

    class Usage:
        def __init__(self) -> None:
            self.free = free

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage())

    assert machine._space(tmp_path / "not" / "there").level == expected


def test_clock_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that has lost the time, and one that nobody sets, is told."""
    monkeypatch.setattr(machine, "_adjtimex", lambda: 5)
    assert machine._clock().level == "warning"
    monkeypatch.setattr(machine, "_adjtimex", lambda: 0)
    assert machine._clock().level == "ok"
    monkeypatch.setattr(machine, "now", lambda: machine._EARLIEST.replace(year=1970))
    assert machine._clock().level == "fault"


def make_certificate(folder: Path, *more: str) -> tuple[Path, Path]:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=muru"]
    subprocess.run([*command, *more], check=True, capture_output=True)
    return certificate, key


@pytest.mark.parametrize(("days", "expected"), [("365", "ok"), ("3", "warning")])
def test_certificate_that_ends(tmp_path: Path, days: str, expected: str) -> None:
    """A certificate is told of before it ends."""
    certificate, key = make_certificate(tmp_path, "-days", days)

    assert machine._certificate(certificate, key).level == expected


def test_certificate_of_another_key(tmp_path: Path) -> None:
    """A certificate that does not belong to its key, or is none, is told."""
    (tmp_path / "other").mkdir()
    certificate, key = make_certificate(tmp_path)
    _, other = make_certificate(tmp_path / "other")

    assert machine._certificate(certificate, other).level == "fault"
    assert machine._certificate(tmp_path / "missing.pem", key).level == "fault"
    assert machine._certificate(key, key).level == "fault"


async def test_settings_that_do_not_fit(make_settings: MakeSettings, tmp_path: Path) -> None:
    """Folders that are not there, and trust without bounds, are told."""
    settings = make_settings(
        flavor_paths=[tmp_path / "flavors"],
        template_paths=[tmp_path / "templates"],
        provisioning_trust="open",
    )

    levels = [each.level for each in machine._settings(settings)]

    assert levels == ["fault", "fault", "warning"]


# Database and flavors


async def test_database_that_is_away(make_settings: MakeSettings) -> None:
    """A database server that does not answer is told, without its password."""
    url = SecretStr(f"mariadb://muru:geheim@127.0.0.1:{free_port()}/muru")
    found = await examine(make_settings(**asterisk_ports(), database_url=url))

    assert level(found, "database") == ["fault"]
    assert "geheim" not in str(found)


async def test_tables_that_are_old(away: Settings) -> None:
    """A database without the tables of this muru is told, with the command that makes them."""
    (away.data_dir / "muru.sqlite3").write_bytes(b"")

    found = await examine(away)

    assert level(found, "database") == ["fault"]
    assert found["database"][0].remedy == "muru db upgrade"
    assert level(found, "templates") == []


async def test_flavor_that_is_faulty(make_settings: MakeSettings, tmp_path: Path) -> None:
    """A flavor that cannot be loaded is told with its reason."""
    own = write(tmp_path / "flavors", broken="class Broken(SIP): JOB_INTERVAL = 0")
    settings = make_settings(
        **asterisk_ports(), **{**own, "enabled_phone_flavors": ["sip", "broken"]}
    )

    found = await examine(settings)

    assert level(found, "flavors") == ["fault", "ok"]
    assert "JOB_INTERVAL" in found["flavors"][0].text


async def test_no_flavor(make_settings: MakeSettings) -> None:
    """A site without any flavor is told that it is of no use."""
    found = await examine(make_settings(**asterisk_ports(), enabled_phone_flavors=[]))

    assert level(found, "flavors") == ["fault"]


async def test_template_that_is_broken(
    make_settings: MakeSettings, start: Callable[[Settings], Any], tmp_path: Path
) -> None:
    """A template of the operator's that cannot be rendered is told."""
    folder = tmp_path / "templates"
    settings = make_settings(
        **asterisk_ports(), enabled_phone_flavors=["snom"], template_paths=[folder]
    )
    world = await start(settings)
    await create(world.alice, "2001", type="Snom 300")
    (folder / "snom").mkdir(parents=True)
    (folder / "snom/phone.xml").write_text("{% if %}")

    found = await examine(settings)

    assert level(found, "templates") == ["warning"]
    assert "phone.xml" in found["templates"][0].text


# Asterisk


async def test_asterisk_that_is_away(away: Settings) -> None:
    """An Asterisk that does not run is told, and what to compare."""
    found = await examine(away)

    assert level(found, "asterisk") == ["ok", "fault"]
    assert "MURU_AMI_PORT" in found["asterisk"][1].remedy
    assert level(found, "ARI") == []


async def test_no_asterisk_on_the_machine(
    away: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That there is no Asterisk at all is told with the way to get one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = away.model_copy(update={"asterisk_root": tmp_path})

    found = await examine(settings)

    assert level(found, "asterisk") == ["warning", "fault"]
    assert "scripts/get-asterisk" in found["asterisk"][0].text


async def test_wrong_secrets(stack: Stack) -> None:
    """A password that Asterisk refuses is told, of AMI and of ARI."""
    wrong = SecretStr("wrong")
    settings = stack.settings.model_copy(update={"ami_secret": wrong})
    found = await examine(settings)
    assert level(found, "asterisk") == ["ok", "fault"]
    assert "Authentication failed" in found["asterisk"][1].text

    settings = stack.settings.model_copy(update={"ari_secret": wrong})
    found = await examine(settings)
    assert level(found, "ARI") == ["fault"]
    assert "MURU_ARI_SECRET" in found["ARI"][0].remedy


@pytest.fixture
async def changed(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Any]]:
    """Return a function that runs an Asterisk whose configuration was changed, and examines it."""
    running: list[program.Process] = []

    async def run(changes: dict[str, tuple[str, str]]) -> dict[str, list[Finding]]:
        settings = make_settings(**asterisk_ports())
        found = program.find(settings)
        folder = settings.data_dir.absolute() / "asterisk/etc"
        config.write(settings, found, folder)
        for name, (old, new) in changes.items():
            text = (folder / name).read_text()
            assert old in text, text
            (folder / name).write_text(text.replace(old, new))
        asterisk = program.Process(found, folder)
        running.append(asterisk)
        await asterisk.start()
        for _ in range(100):
            booted = await asyncio.to_thread(asterisk.command_line, "core waitfullybooted")
            if "fully booted" in booted:
                break
            await asyncio.sleep(0.1)
        return await examine(settings)

    yield run
    monkeypatch.setattr(program, "_STOP_TRIES", 0)
    for asterisk in running:
        await asterisk.stop()


async def test_rights_that_lack(changed: Callable[..., Any]) -> None:
    """An AMI user that may not ask or hear, and an ARI user that may only read, are told."""
    found = await changed(
        {
            "manager.conf": (
                "read = system,security,call\nwrite = system",
                "read = call\nwrite = call",
            ),
            "ari.conf": ("type = user", "type = user\nread_only = yes"),
        }
    )

    assert level(found, "AMI rights") == level(found, "AMI events") == ["fault"]
    assert "DBPut" in found["AMI rights"][0].text
    assert "system and security" in found["AMI events"][0].text
    assert level(found, "ARI") == ["fault"]
    assert "read_only" in found["ARI"][0].remedy


async def test_modules_that_lack(changed: Callable[..., Any]) -> None:
    """Modules that do not run are told by name; as a fault those that phones cannot do without."""
    found = await changed(
        {
            "modules.conf": (
                "load = res_pjsip_notify.so\n",
                "noload = res_pjsip_notify.so\nnoload = app_echo.so\n",
            )
        }
    )

    assert level(found, "modules") == ["fault", "warning"]
    assert "res_pjsip_notify.so" in found["modules"][0].text
    assert "app_echo.so" in found["modules"][1].text
    assert "PJSIPNotify" in found["AMI rights"][0].text


async def test_caches_that_lack(changed: Callable[..., Any]) -> None:
    """An Asterisk that keeps accounts in no cache is told."""
    found = await changed({"sorcery.conf": ("muru-endpoint", "another")})

    assert level(found, "configuration") == ["warning"]
    assert "muru-endpoint" in found["configuration"][0].text


async def test_other_database(stack: Stack, tmp_path: Path) -> None:
    """An Asterisk that reads another database than muru writes is told."""
    await create(stack.alice, "2001")
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    database = copy / "muru.sqlite3"
    with (
        closing(sqlite3.connect(stack.settings.data_dir / "muru.sqlite3")) as source,
        closing(sqlite3.connect(database)) as other,
    ):
        source.backup(other)
        other.execute("UPDATE ps_endpoints SET id = '2999'")
        other.commit()
    settings = stack.settings.model_copy(update={"data_dir": copy})

    found = await examine(settings)

    assert level(found, "configuration") == ["fault"]
    assert "2999" in found["configuration"][0].text


# Ports


async def test_port_of_somebody_else(away: Settings) -> None:
    """A port behind which another program is, is told for each door."""
    with (
        socket.create_server(("127.0.0.1", away.http_port)),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sip,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tftp,
    ):
        sip.bind(("127.0.0.1", away.sip_port))
        tftp.bind(("127.0.0.1", 0))
        settings = away.model_copy(
            update={"tftp_port": tftp.getsockname()[1], "tftp_host": "127.0.0.1"}
        )

        found = await examine(settings)

    assert level(found, "HTTP") == level(found, "SIP") == level(found, "TFTP") == ["fault"]


async def test_another_web_server(away: Settings, aiohttp_client: AppClient) -> None:
    """A web server that is not muru's is not taken for muru."""
    client = await aiohttp_client(web.Application())
    settings = away.model_copy(update={"http_port": client.server.port})

    assert level(await examine(settings), "HTTP") == ["fault"]


@pytest.mark.parametrize("listens", [True, False])
@configured(tftp_host="127.0.0.1", **asterisk_ports())
async def test_tftp_is_asked(
    start: Callable[[Settings], Any], settings: Settings, listens: bool
) -> None:
    """A real request by TFTP tells whether muru answers there."""
    port = free_port()
    world = await start(settings.model_copy(update={"tftp_port": port}))
    here = {"http_host": "127.0.0.1", "http_port": world.nobody.client.server.port}
    asked = {**here, "tftp_port": port if listens else free_port()}

    found = await examine(settings.model_copy(update=asked))

    assert level(found, "HTTP") == ["ok"]
    assert level(found, "TFTP") == ["ok" if listens else "fault"]


# The command


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    return cli.main(("doctor", *arguments)), capsys.readouterr().out


def test_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], away: Settings
) -> None:
    """The command tells each finding with its remedy, and by its exit code whether one is grave."""
    environment: Sequence[tuple[str, object]] = [
        ("DATA_DIR", away.data_dir),
        ("AMI_PORT", away.ami_port),
        ("SIP_PORT", away.sip_port),
        ("HTTP_PORT", away.http_port),
        ("TFTP_PORT", 0),
        ("AMI_SECRET", "secret"),
        ("ARI_SECRET", "secret"),
        ("ENABLED_PHONE_FLAVORS", '["sip"]'),
    ]
    for name, given in environment:
        monkeypatch.setenv(f"MURU_{name}", str(given))

    code, text = run(capsys)
    assert code == 1
    assert "fault   asterisk: There is no link" in text
    assert "        -> Start Asterisk" in text

    code, text = run(capsys, "--json")
    assert code == 1
    assert {"check", "level", "text", "remedy"} == json.loads(text)[0].keys()


def test_check_that_fails_hides_no_other(monkeypatch: pytest.MonkeyPatch, away: Settings) -> None:
    """A check that meets what it did not foresee is a finding itself."""

    async def fail(settings: Settings) -> list[Finding]:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(doctor, "_CHECKS", (fail, *doctor._CHECKS[:1]))
    found = asyncio.run(examine(away))

    assert any(each[0].text == "This could not be examined: oh." for each in found.values())
    assert level(found, "disk") == ["ok"]
