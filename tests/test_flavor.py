"""What each part of a flavor does, seen through the API and in both databases."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, update

from muru import flavor as public
from muru.app import create_app
from muru.db import realtime
from muru.db.models import Extension, User
from muru.keys import AMI, REGISTRATIONS, SITE
from muru.settings import Settings
from tests.conftest import Api, AppClient, World
from tests.fake_ami import FakeAmi
from tests.written_flavors import flavors, realtime_rows, write

Start = Callable[..., Awaitable[World]]

# A hook does what the extension's info tells it to, after it noted what it sees.
PROBE = """
from sqlalchemy import select
from muru.db.models import User as Account
from muru.db.realtime import PsEndpoint

class Probe(SIP):
    PHONE_TYPES = ["Probe"]
    EXTRA_FIELDS = None
    SUPPORTED_CODEC = "alaw"

    def __init__(self):
        self.seen = []

    def on_extension_create(self, session, asterisk_session, user, extension):
        super().on_extension_create(session, asterisk_session, user, extension)
        self.act("create", session, asterisk_session, user, extension)

    def on_extension_update(self, session, asterisk_session, user, extension):
        super().on_extension_update(session, asterisk_session, user, extension)
        self.act("update", session, asterisk_session, user, extension)

    def on_extension_delete(self, session, asterisk_session, user, extension):
        super().on_extension_delete(session, asterisk_session, user, extension)
        self.act("delete", session, asterisk_session, user, extension)

    def act(self, hook, session, asterisk_session, user, extension):
        row = session.execute(
            select(Extension.id, Extension.name).where(Extension.number == extension.number)
        ).one()
        same = tuple(row) == (extension.id, extension.name)
        account = asterisk_session.scalar(select(PsEndpoint.callerid))
        self.seen.append((hook, user.username, same, account))
        when, _, what = extension.info.partition(" ")
        if when == hook:
            getattr(self, what)(session, asterisk_session, user, extension)

    def speak(self, *_):
        raise ValueError("This phone is out of paper.")

    def stay_silent(self, *_):
        raise RuntimeError

    def name_field(self, *_):
        raise Invalid("No such phone.", {"extra_fields.mac": "is not one of ours"})

    def clash(self, session, asterisk_session, user, extension):
        session.add(Account(username=user.username, password_hash="x"))

    def commit(self, session, asterisk_session, user, extension):
        session.commit()
        asterisk_session.commit()
        raise ValueError("After a commit.")

    def roll_back(self, session, asterisk_session, user, extension):
        session.rollback()
        asterisk_session.rollback()

    def go_on_after_rollback(self, session, asterisk_session, user, extension):
        self.roll_back(session, asterisk_session, user, extension)
        SIP.on_extension_update(self, session, asterisk_session, user, extension)

    def write_both(self, session, asterisk_session, user, extension):
        extension.location = {"lat": 1.0, "lng": 2.0}
        asterisk_session.scalar(select(PsEndpoint)).dtmf_mode = "info"
"""


@pytest.fixture(params=["one database", "two databases"])
def databases(
    request: pytest.FixtureRequest, tmp_path: Path, empty_database: Path
) -> dict[str, Any]:
    """Settings of a site where Asterisk's tables are in the same database, or in another one."""
    if request.param == "one database":
        return {}
    path = tmp_path / "asterisk.sqlite3"
    shutil.copy(empty_database, path)
    return {"asterisk_database_url": SecretStr(f"sqlite:///{path}")}


@pytest.fixture
def start_with(
    start: Callable[[Settings], Awaitable[World]],
    make_settings: Callable[..., Settings],
    tmp_path: Path,
) -> Start:
    """Return a function that starts the application with flavors: module names to sources."""

    async def start_with_flavors(settings: dict[str, Any] | None = None, **sources: str) -> World:
        return await start(make_settings(**write(tmp_path / "own", **sources) | (settings or {})))

    return start_with_flavors


@pytest.fixture
async def probed(start_with: Start, databases: dict[str, Any]) -> World:
    """The application with the flavor ``Probe``."""
    return await start_with(databases, probe=PROBE)


def instance(world: World, phone_type: str) -> Any:
    return world.site.registry.for_type(phone_type)


def probe(info: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "Probe", "name": "Kitchen", "number": "2001", "info": info, **more}


async def everything(world: World) -> dict[str, Any]:
    """Return all rows that an action on extensions may touch, in both databases."""
    async with world.site.transaction() as transaction:
        own, asterisk = transaction.session, transaction.asterisk_session
        found: dict[str, Any] = {
            name: [row.values() for row in await asterisk.scalars(select(table))]
            for name, table in realtime.TABLES.items()
        }
        columns = (Extension.number, Extension.name, Extension.info, Extension.password)
        found["extensions"] = (await own.execute(select(*columns))).all()
        found["users"] = await own.scalar(select(func.count(User.id)))
        found["owned"] = await asterisk.scalar(select(func.count()).select_from(realtime.Ownership))
    return found


# Hooks


async def test_hooks_run_at_their_time(probed: World) -> None:
    """Create: the row is there. Update: with the new values. Delete: the row is still there.

    The user is who acts, not who owns.
    """
    await probed.root.post("/extensions", probe(owner="alice"), status=201)
    await probed.alice.patch("/extensions/2001", {"name": "Cellar"})
    await probed.root.delete("/extensions/2001")

    assert instance(probed, "Probe").seen == [
        ("create", "root", True, '"Kitchen" <2001>'),
        ("update", "alice", True, '"Cellar" <2001>'),
        ("delete", "root", True, None),
    ]


async def test_any_change_runs_the_update_hook(start_with: Start) -> None:
    """Whatever is changed of an extension, its password too, the flavor hears of it once."""
    world = await start_with(probe=PROBE)
    await world.alice.post("/extensions", probe(), status=201)
    seen = instance(world, "Probe").seen
    changes: list[dict[str, Any]] = [
        {"name": "Cellar"},
        {"info": "Behind the boiler"},
        {"public": True},
        {"location": {"lat": 1, "lng": 2}},
        {"extra_fields": {}},
        {"type": "Probe"},
    ]

    for change in changes:
        seen.clear()
        await world.alice.patch("/extensions/2001", change)
        assert [each[0] for each in seen] == ["update"], change
    seen.clear()
    await world.alice.post("/extensions/2001/password")
    assert [each[0] for each in seen] == ["update"]


async def test_hook_may_write_through_both_sessions(probed: World) -> None:
    """What a hook changes through its sessions is saved with the action, without a commit."""
    created = await probed.alice.post("/extensions", probe("create write_both"), status=201)

    assert created["location"] == {"lat": 1, "lng": 2}
    assert (await probed.alice.get("/extensions/2001"))["location"] == {"lat": 1, "lng": 2}
    assert (await realtime_rows(probed.site, "2001"))["ps_endpoints"]["dtmf_mode"] == "info"


HOOKS = ("create", "update", "delete")
FAILURES = {
    "speak": (422, "flavor-refused", "This phone is out of paper."),
    "stay_silent": (422, "flavor-refused", "RuntimeError"),
    "name_field": (422, "invalid", "No such phone."),
    "clash": (409, "conflict", "This clashes with something that is there already: "),
    "commit": (422, "flavor-refused", "After a commit."),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_failing_hook_leaves_no_trace(probed: World, failure: str) -> None:
    """A hook that fails undoes the whole action in both databases; the person reads its text."""
    status, key, text = FAILURES[failure]

    for hook in HOOKS:
        problem = await fail(probed, hook, failure, status)

        assert problem["type"] == f"urn:muru:problem:{key}"
        assert problem["detail"].startswith(text)
        field = {"field": "extra_fields.mac", "message": "is not one of ours"}
        assert problem.get("errors") == ([field] if failure == "name_field" else None)


@pytest.mark.parametrize("failure", ["roll_back", "go_on_after_rollback"])
async def test_hook_that_rolls_back_saves_nothing(probed: World, failure: str) -> None:
    """A hook that ends the transaction undoes the whole action, whatever it does afterwards."""
    for hook in HOOKS:
        problem = await fail(probed, hook, failure, 500)

        assert problem["detail"].startswith("A flavor ended the transaction that it was given")


async def fail(world: World, hook: str, failure: str, status: int) -> Any:
    """Have *hook* fail; return the answer, after a look whether anything was saved."""
    info = f"{hook} {failure}"
    if hook == "update":
        await world.alice.post("/extensions", probe(), status=201)
    if hook != "create":
        async with world.site.transaction() as transaction:
            await transaction.session.execute(update(Extension).values(info=info))
    before = await everything(world)
    if hook == "create":
        problem = await world.alice.post("/extensions", probe(info), status=status)
    elif hook == "update":
        problem = await world.alice.patch("/extensions/2001", {"name": "Cellar"}, status=status)
    else:
        problem = await world.alice.delete("/extensions/2001", status=status)

    assert await everything(world) == before, hook
    return problem


async def test_number_is_free_after_a_failed_create(probed: World) -> None:
    """Who corrects what the hook complained of gets the same number."""
    await probed.alice.post("/extensions", probe("create speak"), status=422)

    await probed.alice.post("/extensions", probe(), status=201)


async def test_flavor_without_hooks_needs_none(start_with: Start) -> None:
    """A class with nothing but phone types has extensions, and nothing in Asterisk's tables."""
    world = await start_with(lamp='class Lamp(PhoneFlavor): PHONE_TYPES = ["Lamp"]')

    created = await world.alice.post("/extensions", {"type": "Lamp", "name": "L"}, status=201)
    await world.alice.patch(f"/extensions/{created['number']}", {"name": "M"})

    assert created["sip"] is None
    assert await realtime_rows(world.site, created["number"]) == {}
    await world.alice.delete(f"/extensions/{created['number']}")


# Attributes


@pytest.mark.parametrize(
    ("supported", "listed", "allow"),
    [
        ('"alaw"', [["alaw"], ["alaw"]], ["alaw", "alaw"]),
        ('("ulaw", "gsm")', [["ulaw", "gsm"]] * 2, ["ulaw,gsm"] * 2),
        ('{"One": "g726", "Two": "lpc10"}', [["g726"], ["lpc10"]], ["g726", "lpc10"]),
        (
            '{"One": ("g722", "alaw"), "Two": "gsm", "Three": "ulaw"}',
            [["g722", "alaw"], ["gsm"]],
            ["g722,alaw", "gsm"],
        ),
    ],
)
async def test_codecs_follow_from_the_declaration(
    start_with: Start, supported: str, listed: list[list[str]], allow: list[str]
) -> None:
    """SUPPORTED_CODEC is one codec, several, or either by phone type."""
    world = await start_with(
        lamp=f"""
        class Lamp(SIP):
            PHONE_TYPES = ["One", "Two"]
            SUPPORTED_CODEC = {supported}
        """
    )
    first = instance(world, "One").get_codec(None)

    found = []
    for number, phone_type in (("2001", "One"), ("2002", "Two")):
        body = {"type": phone_type, "name": "Lamp", "number": number}
        await world.alice.post("/extensions", body, status=201)
        found.append((await realtime_rows(world.site, number))["ps_endpoints"]["allow"])
    await world.alice.patch("/extensions/2001", {"type": "Two"})
    rows = await realtime_rows(world.site, "2001")

    types = {each["type"]: each for each in await world.alice.get("/phone-types")}
    assert [types["One"]["codecs"], types["Two"]["codecs"]] == listed
    assert found == allow
    assert rows["ps_endpoints"]["allow"] == allow[1]
    assert (first if isinstance(first, str) else ",".join(first)) == allow[0]


async def test_get_codec_has_the_last_word(start_with: Start) -> None:
    """An overridden get_codec decides for each extension, and again at each change."""
    world = await start_with(
        lamp="""
        class Lamp(SIP):
            PHONE_TYPES = ["Lamp"]
            def get_codec(self, extension):
                return ("gsm", "alaw") if extension and extension.info else super().get_codec(None)
        """
    )
    body = {"type": "Lamp", "name": "Lamp", "number": "2001", "info": "far away"}

    await world.alice.post("/extensions", body, status=201)
    far = await realtime_rows(world.site, "2001")
    await world.alice.patch("/extensions/2001", {"info": ""})
    near = await realtime_rows(world.site, "2001")

    assert far["ps_endpoints"]["allow"] == "gsm,alaw"
    assert near["ps_endpoints"]["allow"] == ",".join(public.CODECS)


FIELDS = """
from datetime import date
from pydantic import Field, field_validator

class Fields(BaseModel):
    mac: str = Field(pattern="^[0-9a-f]{12}$")
    built: date | None = None
    lines: list[int] = []
    @field_validator("mac")
    @classmethod
    def known(cls, mac):
        if mac == "0" * 12:
            raise ValueError("is nobody's")
        return mac

class Lamp(PhoneFlavor):
    PHONE_TYPES = ["Lamp"]
    EXTRA_FIELDS = Fields
"""


async def test_extra_fields_are_kept_as_json(start_with: Start) -> None:
    """They are validated, completed with defaults, kept as JSON, and replaced as a whole."""
    world = await start_with(lamp=FIELDS)
    fields = {"mac": "0123456789ab", "built": "2001-02-03", "more": "is not asked for"}
    body = {"type": "Lamp", "name": "Lamp", "number": "2001", "extra_fields": fields}

    created = await world.alice.post("/extensions", body, status=201)
    other = {"mac": "ba9876543210", "lines": [1, 2]}
    await world.alice.patch("/extensions/2001", {"extra_fields": other})
    await world.alice.patch("/extensions/2001", {"name": "Renamed"})
    changed = await world.alice.get("/extensions/2001")

    assert created["extra_fields"] == {"mac": "0123456789ab", "built": "2001-02-03", "lines": []}
    assert changed["extra_fields"] == {"mac": "ba9876543210", "built": None, "lines": [1, 2]}


async def test_extra_fields_that_do_not_fit_are_named(start_with: Start) -> None:
    """Each field at fault is named, on create and on update, and nothing is saved."""
    world = await start_with(lamp=FIELDS)
    good = {"mac": "0123456789ab"}
    kept = {"type": "Lamp", "name": "Lamp", "number": "2001", "extra_fields": good}
    await world.alice.post("/extensions", kept, status=201)
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["extra_fields.mac"]),
        ({"mac": "0123", "built": "later"}, ["extra_fields.mac", "extra_fields.built"]),
        (good | {"lines": [1, "two"]}, ["extra_fields.lines.1"]),
        ({"mac": "000000000000"}, ["extra_fields.mac"]),
    ]

    for fields, faulty in cases:
        body = kept | {"number": "2002", "extra_fields": fields}
        refused = await world.alice.post("/extensions", body, status=422)
        again = await world.alice.patch("/extensions/2001", {"extra_fields": fields}, status=422)

        assert [each["field"] for each in refused["errors"]] == faulty
        assert again["errors"] == refused["errors"]
    await world.alice.get("/extensions/2002", status=404)
    assert (await world.alice.get("/extensions/2001"))["extra_fields"]["mac"] == good["mac"]


async def test_flavor_without_extra_fields_takes_none(world: World) -> None:
    """Fields for a phone type that has none are refused, not dropped."""
    body = {"type": "Dummy", "name": "Lamp", "extra_fields": {"mac": "0123456789ab"}}

    refused = await world.alice.post("/extensions", body, status=422)

    assert [each["field"] for each in refused["errors"]] == ["extra_fields.mac"]


SPECIAL = 'class Lamp(PhoneFlavor): PHONE_TYPES, IS_SPECIAL = ["Lamp"], True'


async def test_special_types_are_for_administrators(start_with: Start) -> None:
    """IS_SPECIAL keeps others from creating an extension, and says so in the list of types."""
    world = await start_with(lamp=SPECIAL)
    body = {"type": "Lamp", "name": "Lamp", "number": "2001", "owner": "alice"}

    refused = await world.alice.post("/extensions", body, status=403)
    await world.root.post("/extensions", body, status=201)
    await world.alice.patch("/extensions/2001", {"name": "Mine to change"})

    assert refused["type"] == "urn:muru:problem:special-type"
    assert [await may_create(api) for api in (world.alice, world.root)] == [False, True]


async def test_special_types_can_be_made_public(start_with: Start) -> None:
    """MURU_ALL_EXTENSION_TYPES_PUBLIC lets everybody create them."""
    world = await start_with({"all_extension_types_public": True}, lamp=SPECIAL)

    await world.alice.post("/extensions", {"type": "Lamp", "name": "Lamp"}, status=201)

    assert await may_create(world.alice)


async def may_create(api: Api) -> bool:
    types = {each["type"]: each for each in await api.get("/phone-types")}
    assert types["Lamp"]["special"] is True
    answer: bool = types["Lamp"]["may_create"]
    return answer


async def test_attributes_have_the_defaults_of_the_text(start_with: Start) -> None:
    """A class that declares nothing but its types gets the documented defaults."""
    world = await start_with(lamp='class Lamp(PhoneFlavor): PHONE_TYPES = ["Lamp"]')
    lamp = instance(world, "Lamp")
    types = {each["type"]: each for each in await world.alice.get("/phone-types")}

    assert types["Lamp"] == {
        "type": "Lamp",
        "flavor": "lamp",
        "special": False,
        "may_create": True,
        "max_name_chars": 20,
        "codecs": ["g722"],
        "extra_fields": None,
        "lines": 1,
        "provisioned": False,
        "media": {},
    }
    assert (lamp.DISPLAY_INDEX, lamp.JOB_INTERVAL, lamp.get_codec(None)) == (0, 60, "g722")
    body = {"type": "Lamp", "number": "2001"}
    await world.alice.post("/extensions", body | {"name": "x" * 21}, status=422)
    await world.alice.post("/extensions", body | {"name": "\N{BELL}" * 20}, status=201)


async def test_flavor_that_is_gone_leaves_its_extensions(
    start_with: Start, make_settings: Callable[..., Settings], aiohttp_client: AppClient
) -> None:
    """When a flavor is not enabled any more, its extensions are seen, kept, and can be deleted."""
    world = await start_with(probe=PROBE)
    await world.alice.post("/extensions", probe(), status=201)
    await world.alice.client.close()

    app = create_app(make_settings())
    alice = await Api(await aiohttp_client(app)).log_in("alice")

    seen = await alice.get("/extensions/2001")
    assert (seen["type"], seen["sip"]) == ("Probe", None)
    refused = await alice.patch("/extensions/2001", {"name": "Cellar"}, status=422)
    assert refused["detail"] == "There is no phone type 'Probe' here."
    assert "ps_endpoints" in await realtime_rows(app[SITE], "2001")
    await alice.delete("/extensions/2001")
    assert await realtime_rows(app[SITE], "2001") == {}


# Routes


ROUTES = """
import functools
from aiohttp import web

def hidden(handler):
    @functools.wraps(handler)
    def call(request):
        return handler(request)
    return call

class API(SIP):
    PHONE_TYPES = ["Lamp"]

    def generate_routes(self, router):
        @router.post("/")
        def do_something():
            pass

        @router.get("/plain")
        def plain(request):
            return {"path": request.path}

        @router.get("/async")
        async def without_request():
            return ["a", "list"]

        @router.get("/hidden")
        @hidden
        async def decorated(request):
            return web.Response(text="seen")

        @router.get("/{mac}.cfg")
        async def configuration(request):
            return web.Response(text=request.match_info["mac"], status=203)

        @router.get("/gone")
        async def gone(request):
            raise web.HTTPGone

        @router.get("/broken")
        def broken():
            raise LookupError

        @router.post("/rename/{name}")
        async def rename(request):
            async with open_sessions(request) as (session, asterisk_session):
                extension = await session.get(Extension, 1)
                extension.name = request.match_info["name"]
                await session.flush()
                if extension.name == "bad":
                    raise Invalid("Not this name.")

        @router.view("/view")
        class Methods(web.View):
            async def put(self):
                return web.Response(text="put")

        router.static("/files", ".")
"""


async def fetch(world: World, method: str, path: str) -> tuple[int, str]:
    async with world.nobody.client.request(method, path) as response:
        return response.status, await response.text()


async def test_routes_are_served_under_the_class_name(start_with: Start) -> None:
    """Each kind of handler answers below the name of the class in lower case, to anybody."""
    world = await start_with({"telephoning_prefix": "telephones"}, lamp=ROUTES)
    Path("ringtone.txt").write_text("ding")  # noqa: ASYNC240  # as good as in a fixture

    assert [
        await fetch(world, method, f"/telephones/api/{path}")
        for method, path in [
            ("POST", ""),
            ("GET", "plain"),
            ("GET", "async"),
            ("GET", "hidden"),
            ("GET", "000413.cfg"),
            ("PUT", "view"),
            ("GET", "files/ringtone.txt"),
        ]
    ] == [
        (200, "null"),
        (200, '{"path": "/telephones/api/plain"}'),
        (200, '["a", "list"]'),
        (200, "seen"),
        (203, "000413"),
        (200, "put"),
        (200, "ding"),
    ]
    assert (await fetch(world, "GET", "/telephoning/api/plain"))[0] == 404
    await world.nobody.get("/health/live")  # muru's own /api is still there


async def test_faults_in_routes_are_answered(start_with: Start) -> None:
    """A handler's error is a problem document, and the flavor goes on working."""
    world = await start_with(lamp=ROUTES)

    assert [
        (await fetch(world, "GET", f"/telephoning/api/{path}"))[0]
        for path in ("gone", "broken", "nowhere", "plain")
    ] == [410, 500, 404, 200]


async def test_route_writes_in_one_transaction(start_with: Start) -> None:
    """What a handler does with both sessions is saved at the end of the block, or not at all."""
    world = await start_with(lamp=ROUTES)
    body = {"type": "Lamp", "name": "First", "number": "2001"}
    await world.alice.post("/extensions", body, status=201)

    good = await fetch(world, "POST", "/telephoning/api/rename/good")
    bad = await fetch(world, "POST", "/telephoning/api/rename/bad")

    assert (good, bad[0]) == ((200, "null"), 422)
    assert "Not this name." in bad[1]
    assert (await world.alice.get("/extensions/2001"))["name"] == "good"


# Jobs


JOBS = """
import threading

class Plain(SIP):
    PHONE_TYPES, JOB_INTERVAL = ["Plain"], 3600
    threads = []
    def job(self):
        self.threads.append(threading.current_thread() is threading.main_thread())

class InLoop(Plain):
    PHONE_TYPES, threads = ["InLoop"], []
    async def job(self):
        self.threads.append(threading.current_thread() is threading.main_thread())

class Without(Plain):
    PHONE_TYPES = ["Without"]
    def job(self):
        raise NotImplementedError

class Failing(Plain):
    PHONE_TYPES, JOB_INTERVAL = ["Failing"], 1800.5
    def job(self):
        raise OSError("no dongle")

class Sync(Plain):
    PHONE_TYPES, threads = ["Sync"], []
"""


async def test_jobs_run_as_declared(start_with: Start) -> None:
    """At start each job is called once: in a thread, or in the loop if async; its state is seen.

    One that raises NotImplementedError is not scheduled, one that fails is, and neither keeps the
    application from starting.
    """
    world = await start_with(jobs=JOBS)
    listed = await flavors(world.root)
    jobs = {name: listed[name]["job"] for name in ("plain", "inloop", "without", "failing", "sync")}

    assert instance(world, "Plain").threads == [False]
    assert instance(world, "InLoop").threads == [True]
    assert {name: job["runs"] for name, job in jobs.items()} == dict.fromkeys(jobs, 1)
    assert [name for name, job in jobs.items() if job["next_run"] is None] == ["without"]
    assert [job["last_error"] for job in jobs.values()] == [
        None,
        None,
        None,
        "OSError: no dongle",
        None,
    ]
    assert jobs["failing"]["failures"] == 1
    assert jobs["failing"]["interval"] == 1800.5
    assert {listed[name]["state"] for name in jobs} == {"active"}


@pytest.fixture
async def asterisk() -> AsyncIterator[FakeAmi]:
    """A manager interface that tells of no phones until a test has some come."""
    async with FakeAmi(secret="ami secret") as fake:
        for action in ("PJSIPShowContacts", "DBGetTree", "PJSIPShowEndpoint"):
            fake.answers[action] = (
                "Response: Success\nEventList: start\nMessage: Some will follow\n\n"
                "Event: ListComplete\nEventList: Complete\nListItems: 0"
            )
        yield fake


async def test_registration_drives_the_job(start_with: Start, asterisk: FakeAmi) -> None:
    """When a phone of a flavor comes, or goes, its job runs soon, and no other flavor's."""
    world = await start_with({"ami_port": asterisk.port}, jobs=JOBS)
    assert await world.app[AMI].wait_connected(5)
    await world.app[REGISTRATIONS].ready.wait()
    body = {"type": "InLoop", "name": "Phone", "number": "2001"}
    await world.alice.post("/extensions", body, status=201)
    uri = "sip:2001@192.0.2.7:5060"
    none = str(asterisk.answers["PJSIPShowEndpoint"])
    one = f"Event: ContactStatusDetail\nAOR: 2001\nURI: {uri}\nStatus: NonQualified\n\nEvent: List"
    threads = instance(world, "InLoop").threads

    for told, answer in (("NonQualified", none.replace("Event: List", one)), ("Removed", none)):
        before = len(threads)
        asterisk.answers["PJSIPShowEndpoint"] = answer
        asterisk.emit("ContactStatus", AOR="2001", URI=uri, ContactStatus=told)
        async with asyncio.timeout(4):
            while len(threads) == before:  # noqa: ASYNC110  # only its list tells
                await asyncio.sleep(0.02)

    assert len(threads) == 3
    assert len(instance(world, "Plain").threads) == 1
