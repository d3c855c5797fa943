"""The command ``muru``, as people and scripts run it, on a machine whose Asterisk is away."""

import asyncio
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp
import pytest

import muru as package
from muru import cli
from muru.settings import Settings
from tests.conftest import free_port
from tests.written_flavors import write

DATABASE = Path("data/muru.sqlite3")


@dataclass(frozen=True)
class Done:
    """What became of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def table(self) -> dict[str, str]:
        """Lines of a name and a value."""
        return dict(
            re.split(r"\s{2,}|(?<=name) ", line, maxsplit=1) for line in self.out.splitlines()
        )


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in an empty folder."""
    monkeypatch.setenv("MURU_AMI_PORT", str(free_port()))

    def run_command(*arguments: str) -> Done:
        try:
            code = cli.main(arguments)
        except SystemExit as end:  # argparse's
            code = int(end.code or 0)
        return Done(code, *capsys.readouterr())

    return run_command


@pytest.fixture
def muru(run: Run, settings: Settings) -> Run:
    """As ``run``, in a folder whose data folder has the tables; a failure fails the test."""

    def run_well(*arguments: str) -> Done:
        done = run(*arguments)
        assert (done.code, done.err) == (0, ""), done
        return done

    return run_well


def execute(statement: str) -> None:
    """Change the database by hand."""
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute(statement)


def as_process(*arguments: str, **environment: str) -> Done:
    """Run a command as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "muru", *arguments],
        env=_environment(environment),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    # What is run is the muru under test, wherever it is started.
    path = str(Path(package.__file__).parent.parent)
    return {**os.environ, "PYTHONPATH": path, "MURU_AMI_PORT": str(free_port()), **more}


def test_version_is_told() -> None:
    """``muru --version`` answers without any set-up, whatever the settings are."""
    assert as_process("--version", MURU_HTTP_PORT="x") == Done(
        0, f"muru {package.__version__}\n", ""
    )


@pytest.mark.parametrize(
    "command",
    [
        "",
        "up",
        "serve",
        "flavors",
        "asterisk-conf",
        "sync",
        "db",
        "db upgrade",
        "user",
        "user create",
        "user list",
        "user password",
        "user role",
        "user delete",
        "extension",
        "extension create",
        "extension list",
        "extension show",
        "extension password",
        "extension delete",
    ],
)
def test_help_is_offered(run: Run, command: str) -> None:
    """Every command, and every group of them, explains itself."""
    done = run(*command.split(), "--help")

    assert done.code == 0
    assert done.out.startswith(f"usage: muru {command}".rstrip())


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("user",),
        ("user", "create"),
        ("user", "role", "alice", "god"),
        ("extension", "create", "--type", "SIP"),
        ("sync", "--nonsense"),
    ],
)
def test_command_line_that_is_wrong(run: Run, arguments: Sequence[str]) -> None:
    """A wrong command line is explained, and ends with 2."""
    done = run(*arguments)

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("usage: muru")


def test_arguments_that_are_no_text() -> None:
    """Bytes that are no UTF-8 are refused as such."""
    done = as_process("user", "create", b"\xff".decode(errors="surrogateescape"))

    assert done.code == 2
    assert done.err.endswith("error: the arguments are not in UTF-8\n")


def test_settings_that_are_wrong() -> None:
    """Wrong settings end every command with 2, before anything is done, and all are named."""
    done = as_process("db", "upgrade", MURU_HTTP_PORT="eighty", MURU_NONSENSE="1")

    assert (done.code, done.out) == (2, "")
    first, *faults = done.err.splitlines()
    assert first == "muru: 2 wrong setting(s):"
    assert [fault.split(":")[0].strip() for fault in faults] == ["MURU_NONSENSE", "MURU_HTTP_PORT"]
    assert not list(Path().iterdir())


# Accounts


@pytest.mark.parametrize("flags", [(), ("--admin",)])
def test_user_create(muru: Run, flags: Sequence[str]) -> None:
    """A created account's password is told once, and is another one for each."""
    first = muru("user", "create", "Alice", *flags)
    second = muru("user", "create", "bob", "--json", *flags)

    role = "admin" if flags else "user"
    assert first.table.keys() == {"user name", "password", "role"}
    assert (first.table["user name"], first.table["role"]) == ("alice", role)
    assert second.json == {"username": "bob", "password": second.json["password"], "role": role}
    assert len({first.table["password"], second.json["password"]} - {""}) == 2


def test_user_list(muru: Run) -> None:
    """The accounts are listed by name, for people or as data."""
    for name in ("bob", "alice"):
        muru("user", "create", name)

    assert muru("user", "list").out == "USER NAME  ROLE\nalice      user\nbob        user\n"
    listed = muru("user", "list", "--json").json
    assert [each["username"] for each in listed] == ["alice", "bob"]
    assert listed[0].keys() == {"username", "role", "created_at"}


def test_user_password(muru: Run) -> None:
    """The operator gives anybody a new password, without knowing the old one."""
    before = muru("user", "create", "alice", "--json").json

    after = muru("user", "password", "alice", "--json").json

    assert after == {**before, "password": after["password"]}
    assert after["password"] != before["password"]


def test_user_role(muru: Run) -> None:
    """The operator makes administrators, and users of them again."""
    for name in ("alice", "bob"):
        muru("user", "create", name)
        muru("user", "role", name, "admin")
    muru("user", "role", "bob", "user")

    roles = {each["username"]: each["role"] for each in muru("user", "list", "--json").json}
    assert roles == {"alice": "admin", "bob": "user"}


def test_user_delete(muru: Run) -> None:
    """A deleted account is gone."""
    muru("user", "create", "alice")

    assert muru("user", "delete", "alice").out == ""

    assert muru("user", "list", "--json").json == []


# Extensions


@pytest.fixture
def alice(muru: Run) -> str:
    """A user."""
    muru("user", "create", "alice")
    return "alice"


def create(muru: Run, *arguments: str, name: str = "Desk") -> Any:
    common = ("--type", "SIP", f"--name={name}", "--owner=alice", "--json")
    return muru("extension", "create", *arguments, *common).json


def test_extension_create(muru: Run, alice: str) -> None:
    """A created extension is told with its SIP account, while Asterisk is away, without a word."""
    extra = ("--public", "--info", "Hall 3", "--extra", '{"codec": "alaw"}')

    created = create(muru, "1234", *extra)

    assert (created["number"], created["owner"], created["public"]) == ("1234", "alice", True)
    assert created["extra_fields"] == {"codec": "alaw"}
    assert len(created["password"]) == 20
    assert re.fullmatch(r"\d{12}", created["token"])
    assert len(create(muru)["number"]) == 4  # any free one
    with closing(sqlite3.connect(DATABASE)) as database:
        rows = database.execute("SELECT password FROM ps_auths WHERE id = '1234'").fetchall()
    assert rows == [(created["password"],)]


@pytest.mark.parametrize("name", ['"<>;', "Zoë ☎ 🦄", "--help", "x" * 40])
def test_extension_show(muru: Run, alice: str, name: str) -> None:
    """What is shown of an extension is what was created, whatever its name."""
    created = create(muru, "1234", name=name)

    assert created["name"] == name
    assert muru("extension", "show", "1234", "--json").json == created
    assert muru("extension", "show", "1234").table["password"] == created["password"]


def test_extension_list(muru: Run, alice: str) -> None:
    """The list can be searched, has no secrets, and is data if that is wanted."""
    created = create(muru, "1234", name="Bar ☎")
    create(muru, "2000", name="Desk")

    everything = muru("extension", "list")
    found = muru("extension", "list", "bar", "--json")

    assert everything.out.splitlines()[0].split() == ["NUMBER", "NAME", "TYPE", "OWNER"]
    assert len(everything.out.splitlines()) == 3
    assert found.json == [{"number": "1234", "name": "Bar ☎", "type": "SIP", "owner": "alice"}]
    assert created["password"] not in everything.out + found.out


def test_extension_password(muru: Run, alice: str) -> None:
    """The SIP account gets a new password, and all else stays."""
    created = create(muru, "1234")

    renewed = muru("extension", "password", "1234", "--json").json

    assert renewed == {**created, "password": renewed["password"]}
    assert renewed["password"] != created["password"]


def test_extension_delete(muru: Run, alice: str) -> None:
    """A deleted extension is gone, and its number free."""
    create(muru, "1234")

    assert muru("extension", "delete", "1234").out == ""

    assert muru("extension", "list", "--json").json == []
    create(muru, "1234")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("user create alice", "The user name 'alice' is taken"),
        ("user create al/ice", "'/' cannot be used"),
        ("user role nobody admin", "There is no user 'nobody'."),
        ("user password nobody", "There is no user 'nobody'."),
        ("user delete nobody", "There is no user 'nobody'."),
        ("user delete alice", "alice still has extensions (1234)"),
        ("user role root user", "This is the last administrator."),
        ("extension show 9999", "There is no extension 9999."),
        ("extension password 9999", "There is no extension 9999."),
        ("extension delete 9999", "There is no extension 9999."),
        ("extension create 1234 --type SIP --name x --owner alice", "The number 1234 is taken"),
        ("extension create 12 --type SIP --name x --owner alice", "number: exactly 4 digits"),
        ("extension create --type SIP --name x --owner nobody", "owner: name an existing user"),
        (
            "extension create --type Nil --name x --owner alice",
            "type: choose one of 'SIP', ",
        ),
        ("extension create --type SIP --name \0 --owner alice", "U+0000"),
        ("extension create --type SIP --name x --owner alice --extra {", "--extra is no JSON"),
        ("extension create --type Dummy --name x --owner alice --extra 5", "no JSON object"),
        ('extension create --type SIP --name x --owner alice --extra {"a":1}', "extra_fields.a"),
    ],
)
def test_what_does_not_work_is_told(
    run: Run, muru: Run, alice: str, command: str, told: str
) -> None:
    """What cannot be done is told in one line on stderr, and ends with 1."""
    muru("user", "create", "root", "--admin")
    create(muru, "1234")

    done = run(*command.split(" "))

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("muru: ")
    assert told in done.err
    assert done.err.count("\n") == 1


# The rest


def test_flavors(muru: Run) -> None:
    """The flavors are listed with where they are from and what they are for."""
    listed = muru("flavors", "--json").json

    assert listed[0] == {
        "name": "sip",
        "module": "sip",
        "origin": "bundled",
        "class_name": "SIP",
        "phone_types": ["SIP"],
        "state": "active",
        "reason": None,
    }
    assert muru("flavors").out.splitlines()[1].split() == ["sip", "active", "sip", "bundled", "SIP"]


def test_flavors_with_a_faulty_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A faulty flavor is listed with the reason, and makes the command end with 1."""
    write(Path("flavors"), broken="class Broken(SIP): JOB_INTERVAL = 0")
    monkeypatch.setenv("MURU_FLAVOR_PATHS", '["flavors"]')
    monkeypatch.setenv("MURU_ENABLED_PHONE_FLAVORS", '["sip", "broken"]')

    done = run("flavors")

    assert done.code == 1
    assert "\nbroken is faulty: JOB_INTERVAL" in done.out
    states = {each["name"]: each["state"] for each in run("flavors", "--json").json}
    used = {name: state for name, state in states.items() if state != "disabled"}
    assert used == {"sip": "active", "broken": "faulty"}


def test_sync_has_nothing_to_do(muru: Run, alice: str) -> None:
    """After whatever was done the tables are as they should be."""
    create(muru, "1234")

    assert muru("sync").out == "nothing to mend\n"
    assert muru("sync", "--json").json == {"changes": [], "foreign": [], "skipped": {}}


def test_sync_mends(run: Run, muru: Run, alice: str) -> None:
    """What was done to the tables by hand is told and mended; what is not muru's is left alone."""
    created = create(muru, "1234")
    execute("DELETE FROM ps_aors")
    execute("UPDATE ps_auths SET password = 'known to all'")
    execute("INSERT INTO ps_auths (id, password) VALUES ('trunk', 'of somebody else')")

    assert muru("sync").out.splitlines() == [
        "updated ps_auths 1234 (password)",
        "inserted ps_aors 1234",
    ]

    assert muru("sync").out == "nothing to mend\n"
    with closing(sqlite3.connect(DATABASE)) as database:
        rows = database.execute("SELECT id, password FROM ps_auths ORDER BY id").fetchall()
    assert rows == [("1234", created["password"]), ("trunk", "of somebody else")]


def test_sync_meets_what_is_in_the_way(run: Run, muru: Run, alice: str) -> None:
    """A row of somebody else's in the place of muru's is told, and makes the command end with 1."""
    create(muru, "1234")
    execute("DELETE FROM muru_realtime_rows WHERE table_name = 'ps_auths'")

    done = run("sync")

    assert (done.code, done.err) == (1, "")
    assert done.out.startswith("left alone ps_auths 1234")
    assert [each["table"] for each in run("sync", "--json").json["foreign"]] == ["ps_auths"]


def test_asterisk_conf(muru: Run) -> None:
    """Asterisk's configuration is written, for its owner alone, with the command to start it."""
    done = muru("asterisk-conf", "etc/asterisk")

    files = sorted(Path("etc/asterisk").iterdir())
    first, second = done.out.splitlines()
    assert first == f"{len(files)} files in etc/asterisk"
    assert second.startswith("run: ")
    assert second.endswith("asterisk -C etc/asterisk/asterisk.conf -f")
    assert {"asterisk.conf", "pjsip.conf", "manager.conf"} <= {file.name for file in files}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    muru("asterisk-conf", "etc/asterisk")


@pytest.mark.parametrize(
    "arguments",
    [
        ("user", "list"),
        ("extension", "list"),
        ("sync",),
        ("db", "upgrade"),
    ],
)
def test_first_command_on_a_machine(run: Run, arguments: Sequence[str]) -> None:
    """Whatever command is the first, it makes the data folder and the tables that it needs."""
    done = run(*arguments)

    assert (done.code, done.err) == (0, "")
    assert DATABASE.stat().st_size > 0
    assert Path("data").stat().st_mode & 0o777 == 0o700
    assert run("db", "upgrade") == Done(0, "all tables are up to date\n", "")


@pytest.mark.parametrize("arguments", [("user", "list"), ("extension", "show", "1234"), ("sync",)])
def test_tables_that_are_missing(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str]
) -> None:
    """In a database that was set, tables are made on request only; until then that is told."""
    monkeypatch.setenv("MURU_DATABASE_URL", f"sqlite:///{Path.cwd()}/other.sqlite3")

    done = run(*arguments)

    assert (done.code, done.out) == (1, "")
    assert done.err == "muru: The tables (own, realtime) are not up to date: run muru db upgrade\n"
    assert run("db", "upgrade").out.count("\n") == 2
    assert "up to date" not in run(*arguments).err


@pytest.mark.parametrize(
    "arguments", [("user", "list"), ("extension", "list"), ("sync",), ("db", "upgrade")]
)
@pytest.mark.parametrize("what", ["database", "data folder"])
def test_what_is_away_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], what: str
) -> None:
    """A database or data folder that cannot be reached is told in one line, without a traceback."""
    if what == "database":
        url = f"postgresql://muru:geheim@127.0.0.1:{free_port()}/muru"
        monkeypatch.setenv("MURU_DATABASE_URL", url)
    else:
        Path("file").touch()
        monkeypatch.setenv("MURU_DATA_DIR", "file/data")

    done = run(*arguments)

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"muru: The {what} ")
    assert done.err.count("\n") == 1
    assert "geheim" not in done.err


@pytest.fixture
def log() -> Iterator[BinaryIO]:
    """A file, for what a process says on stderr."""
    with Path("log").open("w+b") as file:
        yield file


async def test_serve_logs_no_secret(log: BinaryIO) -> None:
    """A whole life of ``muru serve`` leaves no secret in its log, not even at its wordiest."""
    port = free_port()
    environment = {"MURU_HTTP_PORT": str(port), "MURU_LOG_LEVEL": "DEBUG"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "muru", "serve"),
        env=_environment(environment),
        stdout=subprocess.PIPE,
        stderr=log,
    )
    assert process.stdout
    async with asyncio.timeout(30):
        greeting = (await process.stdout.readuntil(b"ends it.\n")).decode()
    account = re.search(r"user name (\S+)\npassword  (\S+)", greeting)
    assert account
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        login = {"username": account[1], "password": account[2]}
        async with client.post("/api/v1/auth/login", json=login) as response:
            token = (await response.json())["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        body = {"type": "SIP", "name": "Desk"}
        async with client.post("/api/v1/extensions", json=body) as response:
            created = await response.json()

    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        assert await process.wait() == 0

    log.seek(0)
    logged = log.read().decode()
    assert "No link to Asterisk" in logged
    secrets = (account[2], token, created["token"], created["sip"]["password"])
    assert not [secret for secret in secrets if secret in logged]
