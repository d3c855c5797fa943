"""Media over the API: uploads, who may see them, and what extensions have."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
from PIL import Image
from sqlalchemy import select

from muru.db.models import Media
from muru.services import media as media_service
from muru.services import users
from muru.services.site import OPERATOR
from tests.conftest import PASSWORD, Api, World, configured
from tests.media.samples import picture, quarters, strongest, tone, upload
from tests.observe import until

FLAVOR = """
from muru.flavor import AudioFormat, ImageFormat, MediaDescriptor, MediaType, PhoneFlavor


class Picturephone(PhoneFlavor):
    PHONE_TYPES = ["Picturephone 1", "Picturephone 2"]
    MEDIA = {
        "logo": MediaDescriptor(
            MediaType.IMAGE, True, "Logo", ImageFormat("bmp", "1", 128, 64), "LOGO.bmp"
        ),
        "ring": MediaDescriptor(MediaType.AUDIO, False, "Ring tone", AudioFormat("wav")),
        "firmware": MediaDescriptor(MediaType.RAW, False, "Firmware", None),
    }

    def media_for(self, phone_type):
        if phone_type == "Picturephone 1":
            return self.MEDIA
        big = MediaDescriptor(MediaType.IMAGE, True, "Logo", ImageFormat("png", "RGB", 320, 240))
        return {"logo": big}
"""


@pytest.fixture
def settings(make_settings: Callable[..., Any], tmp_path: Path, request: Any) -> Any:
    folder = tmp_path / "flavors"
    folder.mkdir()
    (folder / "picturephone.py").write_text(FLAVOR)
    more = {"flavor_paths": [folder], "enabled_phone_flavors": ["sip", "dummy", "picturephone"]}
    return make_settings(**more, **getattr(request, "param", {}))


async def download(api: Api, path: str, *, method: str = "GET", **headers: str) -> Any:
    """Return status, headers and content."""
    sent = {"Authorization": f"Bearer {api.token}", **headers} if api.token else headers
    async with api.client.request(method, f"/api/v1{path}", headers=sent) as response:
        return response.status, response.headers, await response.read()


async def picturephone(api: Api, logo: int, number: str = "1234", **more: Any) -> Any:
    body = {"type": "Picturephone 1", "name": "P", "number": number, "media": {"logo": logo}}
    return await api.post("/extensions", {**body, **more}, status=201)


async def test_upload(world: World) -> None:
    """A picture is told by its content, kept, listed, and its file comes back."""
    uploaded = await upload(world.alice, picture("JPEG"), "Sunset.exe")

    assert uploaded["type"] == "image"
    assert uploaded["details"] == {"width": 400, "height": 300, "mode": "RGB"}
    assert (uploaded["owner"], uploaded["used_by"]) == ("alice", [])
    assert await world.alice.get("/media") == {"items": [uploaded], "total": 1}
    assert await world.alice.get(f"/media/{uploaded['id']}") == uploaded
    for suffix in ("", ".png", ".PNG"):
        status, headers, content = await download(
            world.alice, f"/media/byid/{uploaded['id']}{suffix}"
        )
        assert (status, headers["Content-Type"]) == (200, "image/png")
        assert headers["X-Content-Type-Options"] == "nosniff"
        with Image.open(io.BytesIO(content)) as image:
            assert image.size == (400, 300)
    assert (await download(world.alice, f"/media/byid/{uploaded['id']}.gif"))[0] == 404


async def test_upload_in_pieces(world: World) -> None:
    """What comes in small pieces, without a length, is one file."""
    content = tone(seconds=1)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 5000):
            yield content[start : start + 5000]

    assert (await upload(world.alice, pieces()))["details"]["seconds"] == 1.0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"<html>", "is neither a picture"),
        (picture()[:500], "is cut off"),
        (picture() + b"<html>" * 9, "has something else behind its end"),
    ],
)
async def test_upload_of_what_is_not_taken(world: World, content: bytes, reason: str) -> None:
    """The reason is told at the field, and nothing is left of the file."""
    answer = await upload(world.alice, content, status=422)

    assert answer["type"] == "urn:muru:problem:media-refused"
    assert answer["errors"][0]["field"] == "file"
    assert reason in answer["errors"][0]["message"]
    folder = world.site.settings.data_dir / "media"
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert (await world.alice.get("/media"))["total"] == 0


@configured(media_max_mb=1, media_quota_mb=2)
async def test_limits_of_users(world: World) -> None:
    """A file, and all files together, have limits for users, and none for administrators."""
    large = picture("BMP", quarters(800, 600))  # 1.4 MB, of which little is kept

    async def pieces() -> AsyncIterator[bytes]:
        yield large[:700_000]
        yield large[700_000:]

    assert (await upload(world.alice, large, status=413))["type"] == "urn:muru:problem:too-large"
    assert (await upload(world.alice, pieces(), status=413))["type"] == "urn:muru:problem:too-large"
    await upload(world.root, large)
    noise = [tone("FLAC", seconds=15, hertz=hertz, rate=48000) for hertz in (300, 301, 302, 303)]
    statuses = []
    for content in noise * 3:
        assert len(content) < 2**20
        async with world.alice.client.post(
            "/api/v1/media",
            data=content,
            params={"name": "x"},
            headers={"Authorization": f"Bearer {world.alice.token}"},
        ) as response:
            statuses.append(response.status)
    assert statuses[0] == 201
    assert statuses[-1] == 409
    sizes = [each["size"] for each in (await world.alice.get("/media"))["items"]]
    assert sum(sizes) <= 2 * 2**20


@configured(media_max_mb=1, media_limit_admins=True)
async def test_limits_of_administrators(world: World) -> None:
    """Where the operator wants it so, they hold for administrators too."""
    await upload(world.root, picture("BMP", quarters(800, 600)), status=413)


async def test_uploads_at_once(world: World) -> None:
    """A user has a few uploads at a time; one more is to wait, and gets through later."""
    release = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield picture()[:100]
        await release.wait()
        yield picture()[100:]

    running = [asyncio.create_task(upload(world.alice, slow())) for _ in range(3)]

    async def going_on() -> int:
        return world.site.media.uploads.total()

    await until(going_on, lambda count: count == 3)
    await upload(world.alice, picture(), status=429)
    release.set()
    await asyncio.gather(*running)

    assert world.site.media.uploads == {}
    await upload(world.alice, picture())


async def test_raw_files(world: World) -> None:
    """Files of another kind are for administrators, and are handed out as nothing but bytes."""
    page = b"<html><script>alert(1)</script>"
    refused = await upload(world.alice, page, raw="true", status=403)
    assert refused["type"] == "urn:muru:problem:media-raw"

    uploaded = await upload(world.root, page, raw="true")

    assert (uploaded["type"], uploaded["size"]) == ("raw", len(page))
    for suffix in ("", ".html"):
        status, headers, content = await download(
            world.root, f"/media/byid/{uploaded['id']}{suffix}"
        )
        assert (status, content) == (200, page)
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Content-Disposition"] == "attachment"
        assert "sandbox" in headers["Content-Security-Policy"]


@configured(media_raw=True)
async def test_raw_files_of_users(world: World) -> None:
    """Where the operator allows it, users upload such files as well."""
    assert (await upload(world.alice, b"\0firmware", raw="true"))["type"] == "raw"


async def test_media_of_others(world: World) -> None:
    """Whose a medium is not neither sees, gets, renames, deletes nor assigns it."""
    await users.create_user(world.site, OPERATOR, "ben", PASSWORD)
    ben = await world.nobody.log_in("ben")
    logo = (await upload(world.alice, picture()))["id"]

    assert (await ben.get("/media"))["total"] == 0
    for method, path, body in (
        ("GET", f"/media/{logo}", None),
        ("GET", f"/media/byid/{logo}", None),
        ("PATCH", f"/media/{logo}", {"name": "x"}),
        ("DELETE", f"/media/{logo}", None),
    ):
        await ben.call(method, path, body, status=404)
    picturephone_of_ben = {"type": "Picturephone 1", "name": "P", "media": {"logo": logo}}
    answer = await ben.post("/extensions", picturephone_of_ben, status=422)
    assert [each["field"] for each in answer["errors"]] == ["media.logo"]
    assert (await download(world.nobody, f"/media/byid/{logo}"))[0] == 401
    await picturephone(world.alice, logo)
    assert (await download(ben, "/media/byextension/1234/logo"))[0] == 404
    assert (await download(world.root, "/media/byextension/1234/logo"))[0] == 200
    assert (await world.root.get("/media"))["total"] == 1


async def test_medium_that_an_administrator_gave(world: World) -> None:
    """The owner keeps it while changing others, and cannot give it to another extension."""
    logo = (await upload(world.root, picture()))["id"]
    ring = (await upload(world.alice, tone()))["id"]
    await picturephone(world.root, logo, owner="alice")

    media = {"media": {"logo": logo, "ring": ring}}
    await world.alice.call("PUT", "/extensions/1234/media", media)

    other = {"type": "Picturephone 1", "name": "P", "media": {"logo": logo}}
    await world.alice.post("/extensions", other, status=422)


async def test_rename(world: World) -> None:
    """A medium gets another name, and not an empty one."""
    logo = (await upload(world.alice, picture()))["id"]

    assert (await world.alice.patch(f"/media/{logo}", {"name": " Zoë "}))["name"] == "Zoë"
    await world.alice.patch(f"/media/{logo}", {"name": " "}, status=422)
    await world.alice.patch(f"/media/{logo}", {"name": "x" * 101}, status=422)


@pytest.mark.parametrize(
    ("media", "fields"),
    [
        ({}, ["media.logo"]),
        ({"logo": None}, ["media.logo"]),
        ({"logo": 9999}, ["media.logo"]),
        ({"logo": "sound"}, ["media.logo"]),
        ({"logo": "picture", "nonsense": "picture"}, ["media.nonsense"]),
        ({"logo": "sound", "ring": "picture"}, ["media.logo", "media.ring"]),
        ({"logo": "picture", "firmware": "picture"}, ["media.firmware"]),
    ],
)
async def test_media_that_do_not_fit(
    world: World, media: dict[str, Any], fields: list[str]
) -> None:
    """What is required, and of which kind, is enforced by the name of the field."""
    ids = {
        "picture": (await upload(world.alice, picture()))["id"],
        "sound": (await upload(world.alice, tone()))["id"],
    }
    given: dict[str, Any] = {
        key: ids.get(value, value) if value else None for key, value in media.items()
    }
    body: dict[str, Any] = {"type": "Picturephone 1", "name": "P", "number": "1234"}
    body["media"] = given

    answer = await world.alice.post("/extensions", body, status=422)

    assert [each["field"] for each in answer["errors"]] == fields
    assert (await world.alice.get("/extensions"))["total"] == 0
    await picturephone(world.alice, ids["picture"])
    answer = await world.alice.call("PUT", "/extensions/1234/media", {"media": given}, status=422)
    assert [each["field"] for each in answer["errors"]] == fields


async def test_extension_has_media(world: World) -> None:
    """What was assigned is told, found by each of its names, and in the phone's own format."""
    logo = (await upload(world.alice, picture(), "Logo"))["id"]
    ring = (await upload(world.alice, tone(), "Ring"))["id"]
    await picturephone(world.alice, logo)

    found = await world.alice.call(
        "PUT", "/extensions/1234/media", {"media": {"logo": logo, "ring": ring}}
    )

    assert {each["key"]: each["media_id"] for each in found} == {
        "logo": logo,
        "ring": ring,
        "firmware": None,
    }
    assert found == await world.alice.get("/extensions/1234/media")
    assert found[0]["url"] == "/api/v1/media/byextension/1234/LOGO.bmp"
    assert (await world.alice.get(f"/media/{logo}"))["used_by"] == [
        {"number": "1234", "key": "logo"}
    ]
    for name in ("logo", "logo.bmp", "LOGO.bmp", "logo.BMP"):
        status, headers, content = await download(world.alice, f"/media/byextension/1234/{name}")
        assert (status, headers["Content-Type"]) == (200, "image/bmp")
        with Image.open(io.BytesIO(content)) as image:
            assert (image.size, image.mode) == ((128, 64), "1")
    for name in ("ring", "ring.wav"):
        status, headers, content = await download(world.alice, f"/media/byextension/1234/{name}")
        assert (status, headers["Content-Type"]) == (200, "audio/wav")
        samples, rate = soundfile.read(io.BytesIO(content))
        assert rate == 8000
        assert strongest(samples, rate) == pytest.approx(440, abs=2)
    for name in ("ring.mp3", "firmware", "nonsense", "..%2Fring", "%00"):
        assert (await download(world.alice, f"/media/byextension/1234/{name}"))[0] == 404


async def test_medium_in_use(world: World) -> None:
    """What an extension has cannot be deleted, and the answer says which one; later it can."""
    logo = (await upload(world.alice, picture(), "Logo"))["id"]
    other = (await upload(world.alice, picture("PNG", quarters(40, 30))))["id"]
    await picturephone(world.alice, logo)

    answer = await world.alice.delete(f"/media/{logo}", status=409)
    assert answer["detail"] == "Logo is in use: 1234 (logo)."
    assert answer["type"] == "urn:muru:problem:media-in-use"
    await world.alice.call("PUT", "/extensions/1234/media", {"media": {"logo": other}})
    await world.alice.delete(f"/media/{logo}")
    await world.alice.delete("/extensions/1234")
    await world.alice.delete(f"/media/{other}")

    assert list((world.site.settings.data_dir / "media/kept").iterdir()) == []


async def test_same_content_twice(world: World) -> None:
    """Two that uploaded the same have a file in common, which stays until both have deleted it."""
    mine = (await upload(world.alice, picture()))["id"]
    theirs = (await upload(world.root, picture()))["id"]

    await world.root.delete(f"/media/{theirs}")

    assert (await download(world.alice, f"/media/byid/{mine}"))[0] == 200
    await world.alice.delete(f"/media/{mine}")
    assert list((world.site.settings.data_dir / "media/kept").iterdir()) == []


async def test_change_of_type(world: World) -> None:
    """Another type keeps what it can use, in its own format, and the rest goes."""
    logo = (await upload(world.alice, picture()))["id"]
    ring = (await upload(world.alice, tone()))["id"]
    await picturephone(world.alice, logo, media={"logo": logo, "ring": ring})

    await world.alice.patch("/extensions/1234", {"type": "Picturephone 2"})

    found = await world.alice.get("/extensions/1234/media")
    assert [(each["key"], each["media_id"]) for each in found] == [("logo", logo)]
    assert (await world.alice.get(f"/media/{ring}"))["used_by"] == []
    _, headers, content = await download(world.alice, "/media/byextension/1234/logo")
    assert headers["Content-Type"] == "image/png"
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (320, 240)


async def test_other_changes_leave_media_alone(world: World) -> None:
    """A change that does not name media keeps them; one that does replaces them all."""
    logo = (await upload(world.alice, picture()))["id"]
    ring = (await upload(world.alice, tone()))["id"]
    await picturephone(world.alice, logo, media={"logo": logo, "ring": ring})

    await world.alice.patch("/extensions/1234", {"name": "Other"})
    kept = {
        each["key"]: each["media_id"] for each in await world.alice.get("/extensions/1234/media")
    }
    await world.alice.patch("/extensions/1234", {"media": {"logo": logo}})
    left = {
        each["key"]: each["media_id"] for each in await world.alice.get("/extensions/1234/media")
    }

    assert kept == {"logo": logo, "ring": ring, "firmware": None}
    assert left == {"logo": logo, "ring": None, "firmware": None}


async def test_parts_of_a_file(world: World) -> None:
    """A client may ask for a part, for the headers alone, and whether it has changed."""
    ring = (await upload(world.alice, tone()))["id"]
    path = f"/media/byid/{ring}"
    _, headers, whole = await download(world.alice, path)

    status, part_headers, part = await download(world.alice, path, Range="bytes=100-199")
    assert (status, part) == (206, whole[100:200])
    assert part_headers["Content-Range"] == f"bytes 100-199/{len(whole)}"
    assert (await download(world.alice, path, Range="bytes=-50"))[2] == whole[-50:]
    assert (await download(world.alice, path, Range=f"bytes={len(whole)}-"))[0] == 416
    status, head_headers, nothing = await download(world.alice, path, method="HEAD")
    assert (status, nothing) == (200, b"")
    assert head_headers["Content-Length"] == str(len(whole))
    etag, modified = headers["ETag"], headers["Last-Modified"]
    assert (await download(world.alice, path, **{"If-None-Match": etag}))[0] == 304
    assert (await download(world.alice, path, **{"If-None-Match": '"x"'}))[0] == 200
    assert (await download(world.alice, path, **{"If-Modified-Since": modified}))[0] == 304
    later = "Wed, 01 Jan 2098 00:00:00 GMT"
    assert (await download(world.alice, path, **{"If-Modified-Since": later}))[0] == 200
    status, _, content = await download(
        world.alice, path, Range="bytes=0-9", **{"If-Range": '"other"'}
    )
    assert (status, content) == (200, whole)


async def test_account_that_goes(world: World) -> None:
    """When an account is deleted its media go, but for what extensions of others have."""
    await users.create_user(world.site, OPERATOR, "ben", PASSWORD)
    ben = await world.nobody.log_in("ben")
    used = (await upload(ben, picture()))["id"]
    await upload(ben, tone())
    await world.alice.post("/extensions", {"type": "Dummy", "name": "D", "number": "1111"})
    await picturephone(world.root, used)
    await world.root.delete("/users/ben")

    await media_service.tidy(world.site)

    async with world.site.database.read() as session:
        assert list(await session.scalars(select(Media.id))) == [used]
    assert len(list((world.site.settings.data_dir / "media/kept").iterdir())) == 1
    assert (await world.root.get(f"/media/{used}"))["owner"] is None


async def test_phone_types_tell_their_media(world: World) -> None:
    """Each phone type tells what it can have, in its own format."""
    found = {each["type"]: each["media"] for each in await world.alice.get("/phone-types")}

    assert found["Picturephone 1"]["logo"]["out_format"]["out_type"] == "bmp"
    assert found["Picturephone 2"]["logo"]["out_format"]["width"] == 320
    assert found["Dummy"] == {}
