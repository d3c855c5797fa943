"""The SIP account that a phone registers with."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from muru.db.realtime import MusicOnHold, Ownership, PsAor, PsEndpoint
from muru.flavor import CODECS, Extension
from muru.keys import AMI
from muru.settings import Settings
from tests.conftest import World
from tests.fake_ami import FakeAmi
from tests.media.samples import tone, upload
from tests.written_flavors import realtime_rows, write

BODY = {"type": "SIP", "name": "Kitchen", "number": "2001"}


async def test_account_has_all_that_asterisk_needs(world: World) -> None:
    """The four rows of an extension, column by column."""
    created = await world.alice.post("/extensions", BODY, status=201)
    rows = await realtime_rows(world.site, "2001")

    assert rows == {
        "ps_endpoints": {
            "id": "2001",
            "aors": "2001",
            "auth": "2001",
            "context": "muru",
            "disallow": "all",
            "allow": "g722,alaw,ulaw,g726,gsm,lpc10",
            "allow_overlap": "no",
            "callerid": '"Kitchen" <2001>',
            "codec_prefs_incoming_offer": (
                "prefer: configured, operation: intersect, keep: first, transcode: allow"
            ),
            "codec_prefs_outgoing_offer": (
                "prefer: configured, operation: only_preferred, keep: all, transcode: allow"
            ),
            "direct_media": "no",
            "dtmf_mode": "rfc4733",
            "force_rport": "yes",
            "moh_suggest": None,
            "rewrite_contact": "yes",
            "rtp_symmetric": "yes",
            "webrtc": "no",
        },
        "ps_auths": {
            "id": "2001",
            "auth_type": "userpass",
            "username": "2001",
            "password": created["sip"]["password"],
        },
        "ps_aors": {
            "id": "2001",
            "max_contacts": 4,
            "remove_existing": "yes",
            "remove_unavailable": "yes",
            "qualify_frequency": 60,
            "minimum_expiration": 60,
            "default_expiration": 600,
            "maximum_expiration": 3600,
        },
        "extensions": {
            "context": "muru",
            "exten": "2001",
            "priority": 1,
            "app": "Goto",
            "appdata": "muru-sip,2001,1",
        },
    }


async def test_account_follows_the_settings(
    start: Callable[[Settings], Awaitable[World]], make_settings: Callable[..., Settings]
) -> None:
    """What the site sets for all phones is in each account."""
    settings = make_settings(asterisk_context="party", max_contacts=1, qualify_frequency=0)
    world = await start(settings)

    await world.alice.post("/extensions", BODY, status=201)
    rows = await realtime_rows(world.site, "2001")

    assert (rows["ps_endpoints"]["context"], rows["extensions"]["context"]) == ("party", "party")
    assert (rows["ps_aors"]["max_contacts"], rows["ps_aors"]["qualify_frequency"]) == (1, 0)


async def test_change_reaches_the_account(world: World) -> None:
    """Name, codec and password are changed in place; nothing is left of the old ones."""
    created = await world.alice.post("/extensions", BODY, status=201)
    before = await realtime_rows(world.site, "2001")

    change = {"name": 'The "K"', "extra_fields": {"codec": "gsm"}}
    await world.alice.patch("/extensions/2001", change)
    renewed = await world.alice.post("/extensions/2001/password")
    after = await realtime_rows(world.site, "2001")

    assert renewed["sip"]["password"] != created["sip"]["password"]
    before["ps_endpoints"] |= {
        "callerid": '"The \\"K\\"" <2001>',
        "allow": "gsm,g722,alaw,ulaw,g726,lpc10",
    }
    before["ps_auths"]["password"] = renewed["sip"]["password"]
    assert after == before


async def test_nothing_is_left_of_a_deleted_account(world: World) -> None:
    """All rows go with the extension, and so does the note that they are muru's."""
    await world.alice.post("/extensions", BODY, status=201)

    await world.alice.delete("/extensions/2001")

    assert await realtime_rows(world.site, "2001") == {}
    async with world.site.transaction() as transaction:
        assert not (await transaction.asterisk_session.scalars(select(Ownership))).all()


async def test_account_of_somebody_else_is_in_the_way(world: World) -> None:
    """A number that the operator's own tables use is refused, and their row is left as it is."""
    async with world.site.transaction() as transaction:
        transaction.asterisk_session.add(PsAor(id="2001", max_contacts=9))

    refused = await world.alice.post("/extensions", BODY, status=409)

    assert refused["type"] == "urn:muru:problem:number-taken"
    assert "ps_aors" in refused["detail"]
    await world.alice.get("/extensions/2001", status=404)
    rows = await realtime_rows(world.site, "2001")
    assert list(rows) == ["ps_aors"]
    assert rows["ps_aors"]["max_contacts"] == 9


async def test_codec_is_offered_as_a_choice(world: World) -> None:
    """The schema lists the codecs; what is none of them, or no field, is refused by name."""
    types = {each["type"]: each for each in await world.alice.get("/phone-types")}
    choice = types["SIP"]["extra_fields"]["properties"]["codec"]
    opus = BODY | {"extra_fields": {"codec": "opus"}}
    typo = BODY | {"extra_fields": {"codecs": "gsm"}}

    assert types["SIP"]["codecs"] == list(CODECS)
    assert {"enum": list(CODECS), "type": "string"} in choice["anyOf"]
    for body, field in ((opus, "extra_fields.codec"), (typo, "extra_fields.codecs")):
        refused = await world.alice.post("/extensions", body, status=422)
        assert [each["field"] for each in refused["errors"]] == [field]


async def test_codec_must_be_one_that_the_phone_has(
    start: Callable[[Settings], Awaitable[World]],
    make_settings: Callable[..., Settings],
    tmp_path: Path,
) -> None:
    """In a flavor that inherits the choice, one that its phones lack is refused by name."""
    lamp = 'class Lamp(SIP): PHONE_TYPES, SUPPORTED_CODEC = ["Lamp"], ("ulaw", "alaw")'
    world = await start(make_settings(**write(tmp_path / "own", lamp=lamp)))
    body: dict[str, Any] = BODY | {"type": "Lamp"}

    refused = await world.alice.post(
        "/extensions", body | {"extra_fields": {"codec": "gsm"}}, status=422
    )
    await world.alice.post("/extensions", body | {"extra_fields": {"codec": "alaw"}}, status=201)

    assert refused["errors"] == [
        {"field": "extra_fields.codec", "message": "choose one of ulaw, alaw"}
    ]
    assert (await realtime_rows(world.site, "2001"))["ps_endpoints"]["allow"] == "alaw,ulaw"


async def test_codec_that_went_out_of_use_can_be_replaced(world: World) -> None:
    """An account with a codec that its phone type supports no more is shown, and can be mended."""
    await world.alice.post("/extensions", BODY, status=201)
    async with world.site.transaction() as transaction:
        await transaction.session.execute(update(Extension).values(extra_fields={"codec": "opus"}))

    seen = await world.alice.get("/extensions/2001")
    refused = await world.alice.patch("/extensions/2001", {"name": "Cellar"}, status=422)
    mended = {"name": "Cellar", "extra_fields": {"codec": "ulaw"}}
    await world.alice.patch("/extensions/2001", mended)

    assert seen["sip"]["username"] == "2001"
    assert [each["field"] for each in refused["errors"]] == ["extra_fields.codec"]
    allow = (await realtime_rows(world.site, "2001"))["ps_endpoints"]["allow"]
    assert allow.startswith("ulaw,g722")


async def test_field_of_an_inheriting_flavor_is_its_own(
    start: Callable[[Settings], Awaitable[World]],
    make_settings: Callable[..., Settings],
    tmp_path: Path,
) -> None:
    """A flavor with a model of its own may mean something else by ``codec``."""
    lamp = """
    class Fields(BaseModel):
        codec: str
    class Lamp(SIP):
        PHONE_TYPES, SUPPORTED_CODEC, EXTRA_FIELDS = ["Lamp"], "alaw", Fields
    """
    world = await start(make_settings(**write(tmp_path / "own", lamp=lamp)))
    body: dict[str, Any] = BODY | {"type": "Lamp", "extra_fields": {"codec": "of morse"}}

    await world.alice.post("/extensions", body, status=201)

    assert (await realtime_rows(world.site, "2001"))["ps_endpoints"]["allow"] == "alaw"


async def test_inheriting_flavor_may_change_the_account(
    start: Callable[[Settings], Awaitable[World]],
    make_settings: Callable[..., Settings],
    tmp_path: Path,
) -> None:
    """What an overridden realtime_rows returns is written, without any hook overridden."""
    lamp = """
    from muru.db.realtime import PsEndpoint
    class Lamp(SIP):
        PHONE_TYPES = ["Lamp"]
        def realtime_rows(self, extension):
            rows = super().realtime_rows(extension)
            for row in rows:
                if isinstance(row, PsEndpoint):
                    row.dtmf_mode = "info"
            return rows
    """
    world = await start(make_settings(**write(tmp_path / "own", lamp=lamp)))

    await world.alice.post("/extensions", BODY | {"type": "Lamp"}, status=201)

    assert (await realtime_rows(world.site, "2001"))["ps_endpoints"]["dtmf_mode"] == "info"


@pytest.fixture
async def asterisk() -> AsyncIterator[FakeAmi]:
    """A manager interface that takes every expiry."""
    async with FakeAmi(secret="ami secret") as fake:
        fake.answers["SorceryMemoryCacheExpire"] = "Response: Success"
        fake.answers["SorceryMemoryCacheExpireObject"] = "Response: Success"
        yield fake


async def test_asterisk_is_told_after_the_commit(
    start: Callable[[Settings], Awaitable[World]],
    make_settings: Callable[..., Settings],
    asterisk: FakeAmi,
) -> None:
    """What changed is expired in Asterisk's caches, just that; after a failure nothing is."""
    world = await start(make_settings(ami_port=asterisk.port))
    assert await world.app[AMI].wait_connected(5)
    await asterisk.received("SorceryMemoryCacheExpire", count=3)

    def told() -> set[tuple[str, str]]:
        found = {
            (request.get("Cache"), request.get("Object"))
            for request in asterisk.requests
            if request.get("Action") == "SorceryMemoryCacheExpireObject"
        }
        asterisk.requests.clear()
        return found

    await world.alice.post("/extensions", BODY, status=201)
    created = told()
    await world.alice.post("/extensions", BODY, status=409)
    refused = told()
    await world.alice.patch("/extensions/2001", {"name": "Cellar"})
    changed = told()
    await world.alice.patch("/extensions/2001", {"info": "Behind the boiler"})
    same = told()
    await world.alice.delete("/extensions/2001")
    deleted = told()

    caches = {("muru-endpoint", "2001"), ("muru-auth", "2001"), ("muru-aor", "2001")}
    assert (created, refused, changed, same, deleted) == (
        caches,
        set(),
        {("muru-endpoint", "2001")},
        set(),
        caches,
    )


async def test_account_is_only_told_where_there_is_one(world: World) -> None:
    """The SIP account in the API's answer is what Asterisk's tables have."""
    created = await world.alice.post("/extensions", BODY, status=201)
    async with world.site.transaction() as transaction:
        endpoint = await transaction.asterisk_session.get_one(PsEndpoint, "2001")

    assert created["sip"]["username"] == endpoint.auth
    assert set(created["sip"]) == {"username", "password", "domain", "port", "transports"}


async def test_sounds_of_an_extension_are_rows(world: World) -> None:
    """Ringback and music on hold are classes of the number, of folders that tell the content."""
    ids = {key: (await upload(world.alice, tone(), key))["id"] for key in ("ringback", "moh")}
    await world.alice.post("/extensions", {**BODY, "media": ids}, status=201)

    rows = await realtime_rows(world.site, "2001")

    (folder,) = world.site.settings.asterisk_media.iterdir()
    assert rows["ps_endpoints"]["moh_suggest"] == "muru-moh-2001"
    assert rows["extensions"]["appdata"] == "muru-sip-ringback,2001,1"
    async with world.site.database.transaction() as transaction:
        classes = list(await transaction.asterisk_session.scalars(select(MusicOnHold)))
    assert sorted(each.name for each in classes) == ["muru-moh-2001", "muru-ringback-2001"]
    assert {(each.mode, each.directory) for each in classes} == {("files", str(folder))}
    assert [path.name for path in folder.iterdir()] == ["sound.wav16"]

    await world.alice.call("PUT", "/extensions/2001/media", {"media": {}})

    rows = await realtime_rows(world.site, "2001")
    assert "musiconhold" not in rows
    assert rows["ps_endpoints"]["moh_suggest"] is None
    assert rows["extensions"]["appdata"] == "muru-sip,2001,1"
