"""What most tests stand on: a site on a SQLite file of its own, its API, and a real Asterisk."""

import asyncio
import logging
import os
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from argon2 import PasswordHasher
from pydantic import SecretStr

from muru.app import create_app
from muru.asterisk import config, program
from muru.asterisk.ami import Ami
from muru.asterisk.ari import Ari
from muru.asterisk.effects import Effects
from muru.db import migrations
from muru.db.models import Role
from muru.db.sessions import Database
from muru.keys import AMI, REGISTRATIONS, SITE
from muru.registry import discover
from muru.services import passwords, users
from muru.services.site import OPERATOR, Site
from muru.settings import Settings
from muru.web import language
from tests import sip
from tests.databases import (  # noqa: F401  # fixtures
    Databases,
    create_database,
    database_url,
    databases,
    kept_databases,
    mariadb,
    postgresql,
)

AppTestClient = TestClient[web.Request, web.Application]
AppClient = Callable[[web.Application], Awaitable[AppTestClient]]

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make argon2 cheap: what is tested is that it is used, not that it is slow."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", hasher)
    passwords._nobody.cache_clear()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in [name for name in os.environ if name.startswith("MURU_")]:
        if name != "MURU_ASTERISK_ROOT":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def log_and_language() -> Iterator[None]:
    """Let no test that sets up the log, or reads a page in German, do so for those after it."""
    names = [None, *logging.root.manager.loggerDict]
    before = {name: logging.getLogger(name).level for name in names}
    yield
    for name, level in before.items():
        if logging.getLogger(name).level != level:
            logging.getLogger(name).setLevel(level)
    language.use("en")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file with all tables, to be copied."""
    path = tmp_path_factory.mktemp("template") / "muru.sqlite3"
    url = f"sqlite:///{path}"

    async def make() -> None:
        database = Database(url, url)
        await migrations.upgrade(database)
        await database.dispose()

    asyncio.run(make())
    # Closing the last connection folds the write-ahead log into the file.
    assert not path.with_name("muru.sqlite3-wal").exists()
    return path


@pytest.fixture
def make_settings(tmp_path: Path, empty_database: Path) -> Callable[..., Settings]:
    """Return a function from overrides to settings with a database that is ready for use."""

    def make(**overrides: Any) -> Settings:
        data = tmp_path / "data"
        data.mkdir(mode=0o700, exist_ok=True)
        if not (data / "muru.sqlite3").exists():
            shutil.copy(empty_database, data / "muru.sqlite3")
        defaults: dict[str, Any] = {
            "data_dir": data,
            "ami_port": free_port(),
            "ami_secret": SecretStr("ami secret"),
            "ari_secret": SecretStr("ari secret"),
            "tftp_port": 0,
            # Not all there are: a test that needs more says so, and the others are quick.
            "enabled_phone_flavors": ["sip", "dummy"],
        }
        return Settings(**{**defaults, **overrides})

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings], request: pytest.FixtureRequest) -> Settings:
    """Return settings of a site whose Asterisk is away; see :func:`configured`."""
    return make_settings(**getattr(request, "param", {}))


def configured(**settings: Any) -> pytest.MarkDecorator:
    """Mark a test that needs certain settings."""
    return pytest.mark.parametrize("settings", [pytest.param(settings, id="")], indirect=True)


@asynccontextmanager
async def open_test_site(settings: Settings) -> AsyncIterator[Site]:
    """Open a site without web and without an Asterisk."""
    secret = SecretStr("none")
    ami = Ami(host="127.0.0.1", port=settings.ami_port, username="muru", secret=secret)
    ari = Ari(host="127.0.0.1", port=settings.ami_port, username="muru", secret=secret)
    database = Database(settings.database, settings.asterisk_database)
    try:
        yield Site(settings, database, discover(settings), Effects(ami, ari))
    finally:
        await database.dispose()


@pytest.fixture
async def site(settings: Settings) -> AsyncIterator[Site]:
    """A site with a user ``owner``, whose Asterisk is away."""
    async with open_test_site(settings) as opened:
        await users.create_user(opened, OPERATOR, "owner", PASSWORD)
        yield opened


@pytest.fixture
async def any_site(
    make_settings: Callable[..., Settings],
    databases: Databases,  # noqa: F811
) -> AsyncIterator[Site]:
    """As ``site``, on each kind of database, and on each pair of two, in turn."""
    own, asterisk = map(SecretStr, databases)
    settings = make_settings(database_url=own, asterisk_database_url=asterisk)
    async with open_test_site(settings) as opened:
        await users.create_user(opened, OPERATOR, "owner", PASSWORD)
        yield opened


@dataclass
class Api:
    """A client of the API, logged in as *username* if *token* is set."""

    client: AppTestClient
    token: str | None = None
    username: str = ""

    async def call(
        self, method: str, path: str, body: Any = None, *, status: int | None = None, **more: Any
    ) -> Any:
        """Return the JSON of the answer (None for an empty one), after checking its status."""
        headers = {**more.pop("headers", {})}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        async with self.client.request(
            method, f"/api/v1{path}", json=body, headers=headers, **more
        ) as response:
            text = await response.text()
            expected = status or {"POST": response.status, "DELETE": 204}.get(method, 200)
            assert response.status == expected, f"{method} {path}: {response.status} {text}"
            if status is None:
                assert response.status < 400, f"{method} {path}: {response.status} {text}"
            return await response.json(content_type=None) if text else None

    async def get(self, path: str, **more: Any) -> Any:
        return await self.call("GET", path, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return await self.call("POST", path, body, **more)

    async def patch(self, path: str, body: Any, **more: Any) -> Any:
        return await self.call("PATCH", path, body, **more)

    async def delete(self, path: str, **more: Any) -> Any:
        return await self.call("DELETE", path, **more)

    async def log_in(self, username: str, password: str = PASSWORD) -> "Api":
        """Return a client that is logged in."""
        login = await self.post("/auth/login", {"username": username, "password": password})
        return Api(self.client, login["token"], username)


@dataclass
class World:
    """A running application, seen from outside: as nobody, as ``alice``, and as ``root``."""

    app: web.Application
    nobody: Api
    alice: Api
    root: Api

    @property
    def site(self) -> Site:
        return self.app[SITE]


@pytest.fixture
def start(aiohttp_client: AppClient) -> Callable[[Settings], Awaitable[World]]:
    """Return a function that starts the application, with users ``alice`` and ``root`` (admin)."""

    async def start_application(settings: Settings) -> World:
        app = create_app(settings)
        client = await aiohttp_client(app)
        await users.create_user(app[SITE], OPERATOR, "alice", PASSWORD)
        await users.create_user(app[SITE], OPERATOR, "root", PASSWORD, Role.ADMIN)
        nobody = Api(client)
        return World(app, nobody, await nobody.log_in("alice"), await nobody.log_in("root"))

    return start_application


@pytest.fixture
async def world(start: Callable[[Settings], Awaitable[World]], settings: Settings) -> World:
    """The application on a database of its own; its Asterisk is away."""
    return await start(settings)


@dataclass
class Stack(World):
    """An application and the real Asterisk that it works with."""

    asterisk: program.Process = field(kw_only=True)

    @property
    def settings(self) -> Settings:
        return self.site.settings

    @property
    def sip_server(self) -> sip.Server:
        """Where phones register."""
        return sip.Server(self.settings.sip_port)

    @property
    def asterisk_log(self) -> str:
        return (self.settings.data_dir / "asterisk/log/messages").read_text()


StartStack = Callable[..., Awaitable[Stack]]


@pytest.fixture
async def start_stack(
    make_settings: Callable[..., Settings],
    start: Callable[[Settings], Awaitable[World]],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[StartStack]:
    """Return a function that starts Asterisk and the application, as ``muru up`` does.

    Its keyword arguments are settings. The Asterisk is a process of its own with its own ports and
    folders, so any number of tests may run one at the same time.
    """
    running: list[program.Process] = []

    async def start_both(**overrides: Any) -> Stack:
        settings = make_settings(**{**asterisk_ports(), **overrides})
        found = program.find(settings)
        folder = settings.data_dir.absolute() / "asterisk/etc"
        config.write(settings, found, folder)
        asterisk = program.Process(found, folder)
        running.append(asterisk)
        await asterisk.start()
        world = await start(settings)
        assert await world.app[AMI].wait_connected(30), world.app[AMI].state.reason
        # Before that it lets muru log in, but not phones.
        await asyncio.to_thread(asterisk.command_line, "core waitfullybooted")
        await world.app[REGISTRATIONS].ready.wait()
        return Stack(world.app, world.nobody, world.alice, world.root, asterisk=asterisk)

    yield start_both
    monkeypatch.setattr(program, "_STOP_TRIES", 0)  # killed: it takes a second to end by itself
    for asterisk in running:
        await asterisk.stop()


@pytest.fixture
async def stack(start_stack: StartStack) -> Stack:
    """Asterisk and the application, with settings as they come."""
    return await start_stack()


def asterisk_ports() -> dict[str, Any]:
    first = free_port()
    rtp = 20000 + sip.rtp_slot(first * 11, 400) * 100
    return {
        "sip_host": "127.0.0.1",
        "sip_port": free_port(),
        "ami_port": free_port(),
        "asterisk_http_port": free_port(),
        "rtp_port_first": rtp,
        "rtp_port_last": rtp + 99,
        "qualify_frequency": 0,
    }


_given: set[int] = set()


def free_port() -> int:
    """Return a port that nobody uses, for TCP and UDP; never the same twice in one run."""
    while True:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port
