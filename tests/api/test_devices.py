"""Phones over the API: one's own, those that wait for somebody, and what strangers see."""

from collections.abc import Callable
from typing import Any

import pytest

from muru.asterisk.registrations import Contact, Status
from muru.db.models import now
from muru.keys import ENGINE, REGISTRATIONS
from muru.provisioning.request import ProvisioningRequest
from muru.services import users
from muru.services.site import OPERATOR
from muru.settings import Settings
from tests.conftest import PASSWORD, Api, World

MAC, OTHER = "000b82aabbcc", "000b82aabb00"
UNKNOWN = "000b82aabb99"
TYPE = "Grandstream GXP2160"
AGENT = "Grandstream Model HW GXP2160 SW 1.0.11.79"
HOME = "192.0.2.7"


@pytest.fixture
def settings(make_settings: Callable[..., Settings], request: pytest.FixtureRequest) -> Settings:
    flavors = {"enabled_phone_flavors": ["sip", "grandstream", "mitel"]}
    return make_settings(**flavors | getattr(request, "param", {}))


@pytest.fixture
async def eve(world: World) -> Api:
    """Somebody who has no phone."""
    await users.create_user(world.site, OPERATOR, "eve", PASSWORD)
    return await world.nobody.log_in("eve")


async def create(api: Api, number: str, mac: str | None = MAC, **more: Any) -> Any:
    body = {"type": TYPE, "name": "Anna", "number": number, "extra_fields": {"mac": mac}}
    return await api.post("/extensions", body | more, status=201)


async def ask(world: World, mac: str = MAC, address: str = HOME) -> int:
    """Ask as a phone at that address does; return the status."""
    path = f"grandstream/cfg{mac}.xml"
    request = ProvisioningRequest("http", path, address, "http://muru.example:8000", AGENT)
    answer = await world.app[ENGINE].answer(request)
    await world.app[ENGINE].journal.flush()
    return answer.status


def register(world: World, number: str) -> None:
    """Let Asterisk have told of a phone."""
    contact = Contact(
        extension=number,
        uri=f"sip:{number}@{HOME}:5060",
        address=f"{HOME}:5060",
        via_address=None,
        user_agent=AGENT,
        status=Status.REACHABLE,
        rtt_ms=None,
        since=now(),
        expires_at=None,
    )
    world.app[REGISTRATIONS]._put(contact)


async def test_own_phone(world: World) -> None:
    """The holder of a phone sees what it is, where it is, and its lines."""
    await create(world.alice, "2001")
    await create(world.alice, "2002", name="Ben")
    assert (await world.alice.get(f"/devices/{MAC}"))["open"] is True
    assert await ask(world) == 200

    [shown] = (await world.alice.get("/devices"))["items"]

    assert shown == await world.alice.get("/devices/00:0B:82:AA:BB:CC")
    assert shown == await world.root.get("/devices/000b.82aa.bbcc")
    assert shown.pop("last_seen") is not None
    assert shown == {
        "mac": MAC,
        "vendor": "Grandstream",
        "flavor": "grandstream",
        "type": TYPE,
        "model": "GXP2160",
        "firmware": "1.0.11.79",
        "address": HOME,
        "last_file": f"grandstream/cfg{MAC}.xml",
        "claimed": True,
        "open": False,
        "registered": False,
        "account": None,
        "lines": [
            {"position": 1, "number": "2001", "name": "Anna", "owner": "alice"},
            {"position": 2, "number": "2002", "name": "Ben", "owner": "alice"},
        ],
        "guests": [],
    }
    register(world, "2002")
    assert (await world.alice.get(f"/devices/{MAC}"))["registered"] is True


async def test_unclaimed_phone(world: World, eve: Api) -> None:
    """Everybody sees that a phone waits, the operator alone where it is; nobody its secrets."""
    assert await ask(world) == 200

    for api in (world.alice, eve, world.root):
        listed = await api.get("/devices")
        assert listed["items"] == []
        [shown] = listed["unclaimed"]
        assert (shown["mac"], shown["model"], shown["claimed"]) == (MAC, "GXP2160", False)
        assert shown["address"] == (HOME if api is world.root else None)
        assert len(shown["account"]) == 15
        assert not {"password", "token"} & shown.keys()
        await api.get(f"/devices/{MAC}", status=404)
    [before] = (await eve.get("/devices"))["unclaimed"]
    register(world, before["account"])
    [after] = (await eve.get("/devices"))["unclaimed"]
    assert (before["registered"], after["registered"]) == (False, True)


ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("GET", "/log", None),
    ("POST", "/reopen", None),
    ("POST", "/identify", None),
    ("POST", "/claim", {"extension": "2009"}),
    ("POST", "/guests", {"username": "eve"}),
    ("DELETE", "/guests/eve", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_stranger(world: World, eve: Api, method: str, path: str, body: Any) -> None:
    """To a stranger a phone that somebody holds looks like one that nobody has ever seen."""
    await create(world.alice, "2001")
    await create(eve, "2009", None)

    answers = [
        await eve.call(method, f"/devices/{mac}{path}", body, status=404) for mac in (MAC, UNKNOWN)
    ]

    for answer, mac in zip(answers, (MAC, UNKNOWN), strict=True):
        assert answer["type"] == "urn:muru:problem:not-found"
        written = ":".join(mac[at : at + 2] for at in range(0, 12, 2))
        answer["detail"] = answer["detail"].replace(written, "it")
    assert answers[0] == answers[1]
    assert (await eve.get("/devices"))["items"] == []


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_nobody(world: World, method: str, path: str, body: Any) -> None:
    """Who is not logged in is asked to, whether there is such a phone or not."""
    await create(world.alice, "2001")

    for mac in (MAC, UNKNOWN):
        answer = await world.nobody.call(method, f"/devices/{mac}{path}", body, status=401)
        assert answer["type"] == "urn:muru:problem:unauthenticated"
    await world.nobody.get("/devices", status=401)


@pytest.mark.parametrize(
    "mac", ["ff:ff:ff:ff:ff:ff", "000000000000", "00-0b-82-aa-bb", "0123456789abcd", "............"]
)
async def test_no_mac(world: World, mac: str) -> None:
    """What looks like a MAC address and is none is told as such."""
    answer = await world.alice.get(f"/devices/{mac}", status=422)

    assert answer["type"] == "urn:muru:problem:invalid"
    assert [each["field"] for each in answer["errors"]] == ["mac"]


@pytest.mark.parametrize("mac", ["phone", "000b82aabbcg", "000b82aabbcc0000000", "%00" * 12])
async def test_nothing_like_a_mac(world: World, mac: str) -> None:
    """Anything else is no place of the API."""
    answer = await world.alice.get(f"/devices/{mac}", status=404)

    assert answer["type"] == "urn:muru:problem:not-found"


async def test_guests(world: World, eve: Api) -> None:
    """A phone's owner lets somebody onto it, and takes that back; a guest decides nothing."""
    await create(world.alice, "2001")
    refused = await eve.post(
        "/extensions",
        {"type": TYPE, "name": "Eve", "number": "2002", "extra_fields": {"mac": MAC}},
        status=409,
    )
    assert refused["type"] == "urn:muru:problem:device-taken"

    shown = await world.alice.post(f"/devices/{MAC}/guests", {"username": "eve"}, status=200)
    assert shown["guests"] == ["eve"]
    await create(eve, "2002")
    assert [line["owner"] for line in (await eve.get(f"/devices/{MAC}"))["lines"]] == [
        "alice",
        "eve",
    ]
    forbidden = await eve.post(f"/devices/{MAC}/reopen", status=403)
    assert forbidden["type"] == "urn:muru:problem:guest"
    assert (await eve.get("/extensions/2002/provisioning"))["url"] is None
    assert (await world.alice.get("/extensions/2001/provisioning"))["url"] is not None
    await eve.post("/extensions/2002/provisioning/renew", status=403)

    await world.alice.delete(f"/devices/{MAC}/guests/eve")

    shown = await world.alice.get(f"/devices/{MAC}")
    assert (shown["guests"], [line["number"] for line in shown["lines"]]) == ([], ["2001"])
    await eve.get(f"/devices/{MAC}", status=404)
    await world.alice.delete(f"/devices/{MAC}/guests/eve", status=404)
    unknown = await world.alice.post(f"/devices/{MAC}/guests", {"username": "zoe"}, status=422)
    assert [each["field"] for each in unknown["errors"]] == ["username"]


async def test_reopen(world: World) -> None:
    """A phone that was reset has its configuration once more after its owner said so."""
    await create(world.alice, "2001")
    await ask(world)

    shown = await world.alice.post(f"/devices/{MAC}/reopen", status=200)

    assert shown["open"] is True
    await ask(world, address="192.0.2.8")
    assert (await world.alice.get(f"/devices/{MAC}"))["open"] is False


async def test_log(world: World, eve: Api) -> None:
    """The owner reads who asked for what, with which proof, and why there was nothing."""
    await create(world.alice, "2001")
    await ask(world)
    await ask(world, address="192.0.2.66")

    log = await world.alice.get(f"/devices/{MAC}/log")

    assert [(each["address"], each["status"], each["proof"]) for each in log] == [
        ("192.0.2.66", 200, None),
        (HOME, 200, "first-use"),
    ]
    assert log[0]["reason"] == "no proof: a temporary account"
    assert (log[1]["file"], log[1]["user_agent"]) == (f"grandstream/cfg{MAC}.xml", AGENT)
    assert await world.alice.get(f"/devices/{MAC}/log?offset=1&limit=1") == log[1:]
    await eve.get(f"/devices/{MAC}/log", status=404)
    for query in ("limit=0", "limit=1001", "offset=-1", "other=1"):
        answer = await world.alice.get(f"/devices/{MAC}/log?{query}", status=422)
        assert answer["errors"][0]["field"] == query.partition("=")[0]


async def test_claim(world: World, eve: Api) -> None:
    """A phone that waits is bound to an extension of one's own, once."""
    await create(world.alice, "2001", None)
    await create(eve, "2002", None)
    await create(world.alice, "2003", None, type="Mitel 6869i")
    await ask(world)
    account = (await world.alice.get("/devices"))["unclaimed"][0]["account"]

    for number in ("2002", "2999"):
        await world.alice.post(f"/devices/{MAC}/claim", {"extension": number}, status=404)
    wrong = await world.alice.post(f"/devices/{MAC}/claim", {"extension": "2003"}, status=422)
    assert [each["field"] for each in wrong["errors"]] == ["extension"]
    shown = await world.alice.post(f"/devices/{MAC}/claim", {"extension": "2001"}, status=200)

    assert (shown["claimed"], shown["open"], shown["account"]) == (True, False, None)
    assert [line["number"] for line in shown["lines"]] == ["2001"]
    after = await world.alice.get("/devices")
    assert (after["items"], after["unclaimed"]) == ([shown], [])
    for body in ({"extension": "2001"}, {"extension": "2001", "account": account}):
        await world.alice.post(f"/devices/{MAC}/claim", body, status=404)


async def test_ambiguous_claim(world: World) -> None:
    """Where several phones show one address, the account tells which is meant."""
    await create(world.alice, "2001", None)
    for address in (HOME, "192.0.2.66"):
        await ask(world, address=address)
    shown = (await world.root.get("/devices"))["unclaimed"]
    accounts = {each["address"]: each["account"] for each in shown}
    body = {"extension": "2001"}

    for path, sent in (("claim", body), ("identify", {})):
        answer = await world.alice.post(f"/devices/{MAC}/{path}", sent, status=409)
        assert answer["type"] == "urn:muru:problem:ambiguous-device"
    body["account"] = accounts[HOME]
    claimed = await world.alice.post(f"/devices/{MAC}/claim", body, status=200)

    assert claimed["address"] == HOME


@pytest.mark.parametrize(
    "settings", [{"enabled_phone_flavors": ["sip", "cisco79xx"]}], indirect=True
)
async def test_claim_of_a_phone_that_keeps_no_url(world: World) -> None:
    """A phone that can be told no URL is known by the address from which it was claimed."""
    created = await create(world.alice, "2001", None, type="Cisco 7975G")
    name = "cisco79xx/SEP000B82AABBCC.cnf.xml"

    async def fetch(address: str) -> str:
        request = ProvisioningRequest("tftp", name, address, "http://muru.example:8000")
        return (await world.app[ENGINE].answer(request)).body.decode()

    password = created["sip"]["password"]
    assert password not in await fetch(HOME)
    await world.alice.post(f"/devices/{MAC}/claim", {"extension": "2001"}, status=200)

    for _ in range(2):
        assert password in await fetch(HOME)
    assert password not in await fetch("192.0.2.66")


@pytest.mark.parametrize("settings", [{"claim": False}], indirect=True)
async def test_no_claims(world: World) -> None:
    """Where the operator wants no claims, none are taken and no phone waits."""
    await create(world.alice, "2001", None)
    assert await ask(world) == 404

    answer = await world.alice.post(f"/devices/{MAC}/claim", {"extension": "2001"}, status=403)

    assert answer["type"] == "urn:muru:problem:no-claims"
    assert (await world.alice.get("/devices"))["unclaimed"] == []


async def test_identify(world: World, eve: Api) -> None:
    """A phone that is not registered cannot ring, and without Asterisk none can: both are told."""
    await ask(world, OTHER)
    await create(world.alice, "2001")
    for mac in (MAC, OTHER):
        answer = await world.alice.post(f"/devices/{mac}/identify", status=404)
        assert "not registered" in answer["detail"]

    register(world, "2001")
    register(world, (await eve.get("/devices"))["unclaimed"][0]["account"])

    for api, mac in ((world.alice, MAC), (world.alice, OTHER), (eve, OTHER)):
        answer = await api.post(f"/devices/{mac}/identify", status=503)
        assert answer["type"] == "urn:muru:problem:asterisk-unavailable"
    await eve.post(f"/devices/{MAC}/identify", status=404)


async def test_resync(world: World, eve: Api) -> None:
    """Without a phone the answer says so; without Asterisk it is an error; others' is unknown."""
    await create(world.alice, "2001")
    await create(world.alice, "2002", None)
    await create(world.alice, "2003", type="SIP", extra_fields={})

    for number, state in (("2001", "not-registered"), ("2002", "no-device"), ("2003", "no-device")):
        answer = await world.alice.post(f"/extensions/{number}/resync", status=200)
        assert (answer["number"], answer["state"]) == (number, state)
        assert answer["text"].endswith(".")
        assert answer["sent_at"] is None
    register(world, "2001")
    away = await world.alice.post("/extensions/2001/resync", {"within": 0.1}, status=503)
    assert away["type"] == "urn:muru:problem:asterisk-unavailable"
    await eve.post("/extensions/2001/resync", status=404)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/extensions/2001/resync", {"within": 61}, "within"),
        ("/extensions/2001/resync", {"within": -1}, "within"),
        ("/extensions/2001/resync", {"within": "nan"}, "within"),
        ("/extensions/2001/resync", {"other": 1}, "other"),
        (f"/devices/{MAC}/claim", {}, "extension"),
        (f"/devices/{MAC}/claim", {"extension": 2001}, "extension"),
        (f"/devices/{MAC}/claim", {"extension": "1" * 16}, "extension"),
        (f"/devices/{MAC}/claim", {"extension": "2001", "account": "\0"}, "account"),
        (f"/devices/{MAC}/identify", {"account": []}, "account"),
        (f"/devices/{MAC}/guests", {}, "username"),
        (f"/devices/{MAC}/guests", {"username": "\0"}, "username"),
    ],
)
async def test_wrong_input(world: World, path: str, body: Any, field: str) -> None:
    """What does not fit is refused with the field at fault."""
    await create(world.alice, "2001")

    answer = await world.alice.post(path, body, status=422)

    assert answer["type"] == "urn:muru:problem:invalid"
    assert [each["field"] for each in answer["errors"]] == [field]


async def test_described(world: World) -> None:
    """The OpenAPI document has every place of the phones, with what goes in and comes out."""
    document = await world.nobody.get("/openapi.json")

    described = {
        (method.upper(), path.removeprefix("/api/v1/devices"))
        for path, methods in document["paths"].items()
        if path.startswith("/api/v1/devices")
        for method in methods
    }
    assert described == {
        ("GET", ""),
        *((method, f"/{{mac}}{path}") for method, path, _ in ROUTES[:-1]),
        ("DELETE", "/{mac}/guests/{username}"),
    }
    fields = document["components"]["schemas"]["DeviceView"]["properties"]
    assert {"mac", "vendor", "model", "firmware", "address", "lines", "guests"} <= fields.keys()
    assert "post" in document["paths"]["/api/v1/extensions/{number}/resync"]
