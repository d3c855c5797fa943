"""What is logged: one line each, of which request, extension and phone, and for which reader."""

import asyncio
import io
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from muru import logs
from muru.keys import ENGINE
from muru.provisioning.templates import TemplateFault
from muru.settings import Settings
from muru.testing import tftp
from tests.conftest import World, free_port

log = logging.getLogger("muru.tests")
FAULT = ValueError("oh\nno")


@pytest.fixture
def kept_logging() -> Iterator[None]:
    """Put back what the tests' own logging is."""
    root = logging.getLogger()
    names = ("muru", "muru.tests", "aiohttp.access", "alembic", "aiosqlite")
    before = root.level, list(root.handlers), [logging.getLogger(each).level for each in names]
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    for name, level in zip(names, before[2], strict=True):
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def written(
    kept_logging: None, make_settings: Callable[..., Settings]
) -> Iterator[Callable[..., io.StringIO]]:
    """Return a function that sets logging up, and returns where it goes."""
    del kept_logging
    root = logging.getLogger()
    before = list(root.handlers)
    for handler in before:  # basicConfig would close them, and they are pytest's
        root.removeHandler(handler)

    def set_up(**settings: Any) -> io.StringIO:
        stream = io.StringIO()
        verbose = settings.pop("verbose", True)
        logs.set_up(make_settings(**settings), verbose=verbose, stream=stream)
        return stream

    yield set_up
    root.handlers[:] = before


def test_text_is_for_people(written: Callable[..., io.StringIO]) -> None:
    """As it comes, a line has time, level, place and message, and nothing else."""
    stream = written()

    log.info("all is well")
    log.debug("not told")

    pattern = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO muru\.tests: all is well\n"
    assert re.fullmatch(pattern, stream.getvalue())


def test_facts_are_told(written: Callable[..., io.StringIO]) -> None:
    """Within a block its facts are told, and after it not any more."""
    stream = written()

    with logs.about(request="abc", extension=None):
        logs.add(device="000413aabbcc")
        log.info("within")
    log.info("after")

    within, after = stream.getvalue().splitlines()
    assert within.endswith("within [request=abc device=000413aabbcc]")
    assert after.endswith("after")


def test_line_stays_one_line(written: Callable[..., io.StringIO]) -> None:
    """What comes from the network ends no line, begins none, and steers no terminal."""
    stream = written()

    with logs.about(extension="1\n2\x1b[2J" + "9" * 1000):
        log.info("a %s", "b\r\nERROR forged\u2028\x1b[31m\ud800")

    (line,) = stream.getvalue().splitlines()
    assert r"a b\r\nERROR forged\u2028\x1b[31m\ud800 [extension=1\n2\x1b[2J999" in line
    assert len(line) < 250


def test_traceback_follows_for_people(written: Callable[..., io.StringIO]) -> None:
    """A traceback is readable at a terminal."""
    stream = written()

    log.error("it failed", exc_info=FAULT)

    lines = stream.getvalue().splitlines()
    assert lines[0].endswith("ERROR muru.tests: it failed")
    assert lines[1:] == ["ValueError: oh", "no"]


def test_json_is_for_programs(written: Callable[..., io.StringIO]) -> None:
    """As JSON each entry is one line with the same keys, the traceback in it."""
    stream = written(log_format="json")

    with logs.about(request="abc", extension="2001"):
        log.error("it failed: %s", "\n\ud800", exc_info=FAULT)
    log.warning("plain")

    failed, plain = map(json.loads, stream.getvalue().splitlines())
    assert failed["exception"] == "ValueError: oh\nno"
    assert (failed["request"], failed["extension"]) == ("abc", "2001")
    assert plain.keys() == {"time", "level", "logger", "message"}
    assert plain["time"].endswith("+00:00")
    assert (plain["level"], plain["logger"]) == ("WARNING", "muru.tests")


def test_levels_by_area(written: Callable[..., io.StringIO]) -> None:
    """A part of muru can tell more, or less, than the rest."""
    stream = written(log_level="ERROR", log_levels=["muru.tests=DEBUG"])

    log.debug("told")
    logging.getLogger("muru.other").warning("not told")

    assert "told" in stream.getvalue()
    assert "not told" not in stream.getvalue()


@pytest.mark.parametrize(
    "entry", ["aiosqlite=DEBUG", "muru=LOUD", "muru.asterisk", "murux=DEBUG", "sqlalchemy=INFO"]
)
def test_level_that_does_not_fit(make_settings: Callable[..., Settings], entry: str) -> None:
    """Levels are for areas of muru: some libraries would tell passwords."""
    with pytest.raises(ValueError, match=r"is not like muru\.asterisk=DEBUG"):
        make_settings(log_levels=[entry])


def test_commands_are_quiet(written: Callable[..., io.StringIO]) -> None:
    """A command logs errors alone, and as text, as its reader is at a terminal."""
    stream = written(log_format="json", log_levels=["muru.tests=DEBUG"], verbose=False)

    log.warning("not told")
    log.error("told")

    assert stream.getvalue().endswith("ERROR muru.tests: told\n")


async def test_facts_of_two_tasks_are_apart() -> None:
    """What one request is about is not told of another that is handled at the same time."""

    async def handle(name: str) -> str:
        with logs.about(request=name):
            await asyncio.sleep(0)
            return logs.request_id()

    assert list(await asyncio.gather(handle("a"), handle("b"))) == ["a", "b"]
    assert logs.request_id() == ""


async def test_request_has_an_id(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Each request is told by an id of its own, which its answer has, and never by its path."""
    caplog.set_level("DEBUG", "muru.api.requests")
    ids = []
    for path in ("/api/v1/health/live", "/nothing", "/telephoning/snom/k/secret/file"):
        headers = {"X-Request-ID": "forged"}
        async with world.nobody.client.get(path, headers=headers) as response:
            ids.append(response.headers["X-Request-ID"])

    assert len(set(ids)) == 3
    assert all(re.fullmatch("[0-9a-f]{12}", each) for each in ids)
    lines = [each.getMessage() for each in caplog.records if each.name == "muru.api.requests"]
    assert [re.sub(r"[\d.]+ ms", "t", line) for line in lines] == [
        "GET /api/v1/health/live: 200 in t",
        "any none: 404 in t",
        "GET /telephoning/{path}: 404 in t",
    ]


@pytest.mark.parametrize("door", ["http", "tftp"])
async def test_phone_is_told(
    start: Callable[[Settings], Awaitable[World]],
    make_settings: Callable[..., Settings],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    door: str,
) -> None:
    """What is logged about a phone's request tells its MAC address, and the request's id."""
    port = free_port()
    settings = make_settings(
        tftp_host="127.0.0.1", tftp_port=port, enabled_phone_flavors=["sip", "snom"]
    )
    world = await start(settings)
    formatter, lines = logs._Json(), []
    monkeypatch.setattr(
        caplog.handler, "emit", lambda record: lines.append(json.loads(formatter.format(record)))
    )

    def fail(*_: object, **__: object) -> None:
        raise TemplateFault("broken")

    monkeypatch.setattr(world.app[ENGINE].templates, "render", fail)
    name = "snom-000413AABBCC.xml"
    if door == "http":
        async with world.nobody.client.get(f"/telephoning/snom/{name}") as response:
            assert response.status == 404
    else:
        assert await tftp.read("127.0.0.1", port, name) is None

    (line,) = [each for each in lines if "cannot be served" in each["message"]]
    assert line["device"] == "000413aabbcc"
    assert re.fullmatch("[0-9a-f]{12}", line["request"])
