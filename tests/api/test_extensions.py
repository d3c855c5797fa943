"""Extensions, phone types and the phonebook over the API."""

import asyncio
import re
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from muru.settings import Settings
from tests.conftest import PASSWORD, Api, World, configured
from tests.media.samples import tone, upload
from tests.written_flavors import realtime_rows, write

SIP = {"type": "SIP", "name": "Desk"}
SECRETS = {"password", "token", "sip"}


async def ask_at_once(api: Api, count: int, body: Any) -> list[tuple[int, Any]]:
    """Post *body* so many times at the same moment; return statuses and answers."""

    async def ask() -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {api.token}"}
        url = "/api/v1/extensions"
        async with api.client.post(url, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    return await asyncio.gather(*(ask() for _ in range(count)))


async def test_create_tells_what_to_type_into_the_phone(world: World) -> None:
    """Whoever creates an extension gets its SIP account, and finds it again later."""
    created = await world.alice.post("/extensions", {**SIP, "number": "1234"}, status=201)

    assert created["sip"]["username"] == "1234"
    assert len(created["sip"]["password"]) == 20
    assert (created["sip"]["domain"], created["sip"]["port"]) == ("127.0.0.1", 5060)
    assert created["owner"] == "alice"
    assert created["registered"] is False
    assert await world.alice.get("/extensions/1234") == created
    assert (await world.root.get("/extensions/1234"))["sip"]["password"] == created["sip"][
        "password"
    ]


async def test_create_without_a_phone(world: World) -> None:
    """A type without a SIP account has none to tell."""
    assert (await world.alice.post("/extensions", {"type": "Dummy", "name": "Desk"}))["sip"] is None


async def test_number_that_many_want_at_once(world: World) -> None:
    """Of 20 requests for one number at the same moment one gets it, the others a clear 409."""
    answers = await ask_at_once(world.alice, 20, {**SIP, "number": "1234"})

    assert Counter(status for status, _ in answers) == {201: 1, 409: 19}
    refusals = [answer for status, answer in answers if status == 409]
    assert {each["type"] for each in refusals} == {"urn:muru:problem:number-taken"}
    assert {each["detail"] for each in refusals} == {"The number 1234 is taken; choose another."}
    assert (await world.root.get("/extensions"))["total"] == 1


async def test_any_number_that_many_want_at_once(world: World) -> None:
    """20 requests for any number at the same moment get 20 different ones."""
    answers = await ask_at_once(world.alice, 20, SIP)

    assert Counter(status for status, _ in answers) == {201: 20}
    assert len({answer["number"] for _, answer in answers}) == 20
    assert len({answer["sip"]["password"] for _, answer in answers}) == 20


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "Desk"}, "type"),
        ({"type": "SIP"}, "name"),
        ({**SIP, "type": "Nonsense"}, "type"),
        ({**SIP, "type": ["SIP"]}, "type"),
        ({**SIP, "name": ""}, "name"),
        ({**SIP, "name": 7}, "name"),
        ({**SIP, "name": None}, "name"),
        ({**SIP, "name": "x" * 41}, "name"),
        ({**SIP, "name": "x" * 100_000}, "name"),
        ({**SIP, "name": "An\r\nna"}, "name"),
        ({**SIP, "name": "An\0na"}, "name"),
        ({**SIP, "name": "\u202eannA"}, "name"),
        ({**SIP, "name": "\ud83d"}, "name"),
        ({**SIP, "name": "\udc00\ud800"}, "name"),
        ({**SIP, "info": "x" * 1001}, "info"),
        ({**SIP, "info": "\0"}, "info"),
        ({**SIP, "number": "12a4"}, "number"),
        ({**SIP, "number": 1234}, "number"),
        ({**SIP, "number": "1" * 16}, "number"),
        ({**SIP, "location": {"lat": 91, "lng": 0}}, "location.lat"),
        ({**SIP, "location": {"lat": float("nan"), "lng": 0}}, "location.lat"),
        ({**SIP, "location": {"lat": 0, "lng": float("inf")}}, "location.lng"),
        ({**SIP, "location": {"lat": 0, "lng": 0, "alt": 1}}, "location.alt"),
        ({**SIP, "extra_fields": {"codec": "opus"}}, "extra_fields.codec"),
        ({**SIP, "extra_fields": {"\ud800": 1}}, "extra_fields"),
        ({**SIP, "extra_fields": []}, "extra_fields"),
        ({**SIP, "public": "perhaps"}, "public"),
        ({**SIP, "password": "chosen"}, "password"),
        ({**SIP, "token": "123456789012"}, "token"),
        ({**SIP, "owner_id": 2}, "owner_id"),
    ],
)
async def test_create_with_a_field_that_does_not_fit(
    world: World, body: dict[str, Any], field: str
) -> None:
    """Whatever cannot be kept, or is not for people to choose, is refused by the field's name."""
    answer = await world.alice.post("/extensions", body, status=422)

    assert [each["field"] for each in answer["errors"]] == [field]
    assert (await world.root.get("/extensions"))["total"] == 0


@pytest.mark.parametrize(
    "name", ['"<>;', '\\"', "🦄 ☎", "Zoë", "${EXTEN}", "'; DROP TABLE muru_users; --", "{{7*7}}"]
)
async def test_name_comes_back_as_it_was(world: World, name: str) -> None:
    """A name that phones can show comes back as it was given, and is quoted for Asterisk."""
    created = await world.alice.post("/extensions", {**SIP, "name": name, "number": "1234"})

    assert created["name"] == name
    assert (await world.alice.get("/extensions"))["items"][0]["name"] == name
    callerid = (await realtime_rows(world.site, "1234"))["ps_endpoints"]["callerid"]
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    assert callerid == f'"{quoted}" <1234>'


@configured(
    reserved_extensions=["1000-1099"], reserved_name_prefixes=["POC"], extensions_per_user=1
)
@pytest.mark.parametrize(
    ("body", "status", "key"),
    [
        ({"number": "1050"}, 409, "number-reserved"),
        ({"name": "poc"}, 422, "name-reserved"),
        ({"owner": "root"}, 403, "forbidden"),
        ({}, 409, "too-many-extensions"),
    ],
)
async def test_what_administrators_alone_may(
    world: World, body: dict[str, Any], status: int, key: str
) -> None:
    """Reserved numbers and names, other owners, and more than the quota are not for users."""
    await world.alice.post("/extensions", SIP)

    answer = await world.alice.post("/extensions", {**SIP, **body}, status=status)

    assert answer["type"] == f"urn:muru:problem:{key}"
    await world.root.post("/extensions", SIP)
    await world.root.post("/extensions", {**SIP, **body}, status=201)


async def test_special_type(
    start: Callable[[Settings], Awaitable[World]],
    make_settings: Callable[..., Settings],
    tmp_path: Path,
) -> None:
    """A special type is listed for all, as not for all to create; a user who tries is refused."""
    gate = 'class Gate(PhoneFlavor):\n    PHONE_TYPES = ["Gate"]\n    IS_SPECIAL = True\n'
    world = await start(make_settings(**write(tmp_path / "flavors", gate=gate)))
    body = {"type": "Gate", "name": "Gate"}

    listed = [
        {each["type"]: each["may_create"] for each in await api.get("/phone-types")}
        for api in (world.alice, world.root)
    ]
    answer = await world.alice.post("/extensions", body, status=403)

    assert answer["type"] == "urn:muru:problem:special-type"
    await world.root.post("/extensions", {**body, "owner": "alice"}, status=201)
    assert [each["Gate"] for each in listed] == [False, True]


async def test_phone_types_in_order(world: World) -> None:
    """The types come in the order in which to offer them, with all that a form needs."""
    sip, dummy = await world.alice.get("/phone-types")

    assert (sip["type"], sip["flavor"], dummy["type"]) == ("SIP", "sip", "Dummy")
    assert sip["extra_fields"]["properties"]["codec"]["title"] == "Preferred codec"
    assert sip["codecs"][0] == "g722"
    assert (sip["max_name_chars"], sip["special"], dummy["extra_fields"]) == (40, False, None)


async def test_extension_of_another_looks_like_none(world: World) -> None:
    """For anybody else an extension is as absent as one that does not exist."""
    await world.root.post("/extensions", {**SIP, "number": "1234"})

    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "Mine"}),
        ("DELETE", "", None),
        ("POST", "/password", None),
        ("GET", "/registration", None),
    ):
        answers = [
            await world.alice.call(method, f"/extensions/{number}{path}", body, status=404)
            for number in ("1234", "9999")
        ]
        assert answers[0]["detail"].replace("1234", "9999") == answers[1]["detail"]
        await world.nobody.call(method, f"/extensions/1234{path}", body, status=401)
    assert await world.alice.get("/extensions") == {"items": [], "total": 0}
    assert (await world.root.get("/extensions/1234"))["name"] == "Desk"


async def test_lists_have_no_secrets(world: World) -> None:
    """Neither the list of extensions nor the phonebook has passwords or tokens in it."""
    created = await world.alice.post("/extensions", {**SIP, "public": True})

    for api, path in (
        (world.alice, "/extensions"),
        (world.root, "/extensions"),
        (world.nobody, "/phonebook"),
    ):
        listed = await api.get(path)
        assert [each["number"] for each in listed["items"]] == [created["number"]]
        assert not SECRETS & listed["items"][0].keys()
        assert created["sip"]["password"] not in str(listed)
        assert created["token"] not in str(listed)


async def test_phonebook_is_open(world: World) -> None:
    """Everybody sees the public extensions, without a login and without their owners."""
    await world.alice.post("/extensions", {**SIP, "number": "1001", "public": True})
    await world.alice.post("/extensions", {**SIP, "number": "1002"})

    book = await world.nobody.get("/phonebook")

    assert book == {
        "items": [
            {
                "number": "1001",
                "name": "Desk",
                "group": False,
                "info": "",
                "location": None,
                "registered": False,
            }
        ],
        "total": 1,
    }


async def test_change_of_some_fields(world: World) -> None:
    """Only what is given changes; a location goes by saying null."""
    where = {"lat": 53.5, "lng": 9.9}
    created = await world.alice.post("/extensions", {**SIP, "location": where, "info": "Hall 3"})
    path = f"/extensions/{created['number']}"

    renamed = await world.alice.patch(path, {"name": "Zoë"})
    moved = await world.alice.patch(path, {"location": None})

    assert renamed == {**created, "name": "Zoë", "updated_at": renamed["updated_at"]}
    assert renamed["updated_at"] > created["updated_at"]
    assert (moved["location"], moved["info"]) == (None, "Hall 3")


@pytest.mark.parametrize("field", ["number", "owner", "password", "token", "sip", "id", "nonsense"])
async def test_change_of_what_stays(world: World, field: str) -> None:
    """Number, owner and secrets are not for a change to set, and that is said."""
    created = await world.alice.post("/extensions", SIP)

    answer = await world.alice.patch(
        f"/extensions/{created['number']}", {field: "alice"}, status=422
    )

    assert [each["field"] for each in answer["errors"]] == [field]


async def test_password_is_renewed(world: World) -> None:
    """A new SIP password is told to the owner; all else stays."""
    created = await world.alice.post("/extensions", SIP)

    renewed = await world.alice.post(f"/extensions/{created['number']}/password", status=200)

    assert renewed["sip"]["password"] != created["sip"]["password"]
    assert renewed["token"] == created["token"]


async def test_delete_frees_the_number(world: World) -> None:
    """A deleted extension is gone, and its number can be had again, with other secrets."""
    created = await world.alice.post("/extensions", {**SIP, "number": "1234"})

    await world.alice.delete("/extensions/1234")

    await world.alice.get("/extensions/1234", status=404)
    await world.alice.delete("/extensions/1234", status=404)
    again = await world.root.post("/extensions", {**SIP, "number": "1234"}, status=201)
    assert again["sip"]["password"] != created["sip"]["password"]


async def test_free_numbers(world: World) -> None:
    """As many free numbers as are asked for are suggested, each once."""
    numbers = (await world.alice.get("/extensions/free?count=100"))["numbers"]

    assert len(set(numbers)) == 100
    for count in ("0", "101", "many"):
        await world.alice.get(f"/extensions/free?count={count}", status=422)


async def test_list_is_searched_page_by_page(world: World) -> None:
    """Users search among their own extensions, administrators among all."""
    for number, name in (("1001", "Bar"), ("1002", "Kitchen"), ("1101", "Bar 2")):
        await world.alice.post("/extensions", {**SIP, "number": number, "name": name})
    await world.root.post("/extensions", {**SIP, "number": "1003", "name": "Bar 3"})

    own = await world.alice.get("/extensions?search=bar&limit=1&offset=1")
    every = await world.root.get("/extensions?search=100")

    assert ([each["number"] for each in own["items"]], own["total"]) == (["1101"], 2)
    assert [each["number"] for each in every["items"]] == ["1001", "1002", "1003"]


@configured(enabled_phone_flavors=["sip", "softphone", "snom"])
async def test_no_get_changes_anything(world: World, settings: Settings) -> None:
    """Whatever is read over the API, by whomever, the database stays as it was."""
    mac = "0004137f0001"
    await world.alice.post("/extensions", {**SIP, "type": "Linphone", "number": "1234"})
    phone = {"type": "Snom D735", "name": "Phone", "extra_fields": {"mac": mac}}
    await world.alice.post("/extensions", phone, status=201)
    await world.root.post("/invites", {})
    medium = (await upload(world.alice, tone()))["id"]
    await world.alice.call("PUT", "/extensions/1234/media", {"media": {"moh": medium}})
    values = {"number": "1234", "username": "alice", "id": medium, "mac": mac, "index": 0}
    paths = (await world.nobody.get("/openapi.json"))["paths"]
    before = dump(settings)

    gets = [
        re.sub(r"\{(\w+)\}", lambda found: str(values.get(found[1], "none")), path)
        for path, operations in paths.items()
        if "get" in operations
    ]
    served = 0
    for url in gets:
        for api in (world.nobody, world.alice, world.root):
            headers = {"Authorization": f"Bearer {api.token}"} if api.token else {}
            async with api.client.get(url, headers=headers) as response:
                # Some ask for what is not there, or ask Asterisk, which is away.
                assert response.status in {200, 401, 403, 404, 503}, url
                served += response.status == 200

    assert served > len(gets)
    assert dump(settings) == before


def dump(settings: Settings) -> list[str]:
    """Return all rows of all tables as SQL."""
    with closing(sqlite3.connect(settings.data_dir / "muru.sqlite3")) as database:
        return list(database.iterdump())


async def test_owner_whom_an_administrator_names(world: World) -> None:
    """An administrator creates extensions for others, who then have them as their own."""
    await world.root.post("/users", {"username": "bob", "password": PASSWORD})

    await world.root.post("/extensions", {**SIP, "number": "1234", "owner": "Bob"}, status=201)

    bob = await world.nobody.log_in("bob")
    assert (await bob.get("/extensions/1234"))["owner"] == "bob"
    answer = await world.root.post("/extensions", {**SIP, "owner": "nobody"}, status=422)
    assert [each["field"] for each in answer["errors"]] == ["owner"]
