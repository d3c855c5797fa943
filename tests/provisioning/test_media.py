"""Phones fetch their media below the URL that is theirs, in the format of their model."""

import asyncio
import io
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import soundfile
from PIL import Image

from muru.keys import ENGINE
from muru.provisioning.engine import Engine
from muru.provisioning.journal import Visit
from muru.services import users
from muru.services.site import OPERATOR
from muru.settings import Settings
from muru.testing.tftp import read
from tests.conftest import PASSWORD, Api, World, free_port
from tests.flavors.phones import fanvil, innovaphone, snom, yealink
from tests.media.samples import QUARTERS, picture, strongest, tone, upload

MACS = {"snom": "0004137f0001", "yealink": "0015657f0001", "fanvil": "0c383e7f0001"}


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(
        enabled_phone_flavors=["sip", "snom", "yealink", "fanvil", "innovaphone"],
        tftp_port=free_port(),
        tftp_host="127.0.0.1",
    )


async def provisioned(
    api: Api, type_: str, number: str, mac: str, **media: bytes
) -> tuple[dict[str, Any], str]:
    """Create a phone with media; return their ids, and the path below which it fetches."""
    ids = {key: (await upload(api, content, key))["id"] for key, content in media.items()}
    fields = {"mac": mac}
    body = {"type": type_, "name": "P", "number": number, "extra_fields": fields, "media": ids}
    await api.post("/extensions", body, status=201)
    found = await api.get(f"/extensions/{number}/provisioning")
    return ids, urlsplit(found["url"]).path


async def fetch(world: World, url: str, **headers: str) -> tuple[int, str, bytes]:
    """Return what a phone gets, which has no login."""
    async with world.nobody.client.get(urlsplit(url).path, headers=headers) as response:
        return response.status, response.headers["Content-Type"], await response.read()


def size_and_colours(content: bytes) -> tuple[str | None, tuple[int, int], list[Any]]:
    with Image.open(io.BytesIO(content)) as image:
        points = [(x * image.width // 4, y * image.height // 4) for y in (1, 3) for x in (1, 3)]
        seen = image.convert("RGB")
        return image.format, image.size, [seen.getpixel(point) for point in points]


def heard(content: bytes) -> tuple[int, float]:
    samples, rate = soundfile.read(io.BytesIO(content))
    return rate, strongest(samples, rate)


async def test_snom_shows_and_rings_what_was_uploaded(world: World) -> None:
    """Its file has URLs by which it gets background and ring tone as that model wants them."""
    _, base = await provisioned(
        world.alice,
        "Snom D785",
        "2001",
        MACS["snom"],
        background=picture("JPEG", quality=95),
        ringtone=tone("MP3"),
    )
    _, _, content = await fetch(world, f"{base}{MACS['snom']}.xml")
    settings, _ = snom.parse(content)

    status, kind, background = await fetch(world, settings["custom_bg_image_url", 0])
    assert (status, kind) == (200, "image/png")
    format_, size, colours = size_and_colours(background)
    assert (format_, size) == ("PNG", (480, 272))
    for found, expected in zip(colours, QUARTERS, strict=True):
        assert found == pytest.approx(expected, abs=12)
    assert settings["user_ringer", 1] == "Custom"
    status, kind, ring = await fetch(world, settings["user_custom", 1])
    assert (status, kind) == (200, "audio/wav")
    rate, hertz = heard(ring)
    assert rate == 8000
    assert hertz == pytest.approx(440, abs=2)


async def test_yealink_shows_and_rings_what_was_uploaded(world: World) -> None:
    """Its file names the files as it will call them."""
    _, base = await provisioned(
        world.alice,
        "Yealink T48S",
        "2001",
        MACS["yealink"],
        wallpaper=picture(),
        ringtone=tone(),
    )
    _, _, content = await fetch(world, f"{base}{MACS['yealink']}.cfg")
    settings = yealink.parse(content)

    assert settings["phone_setting.backgrounds"] == "wallpaper.jpg"
    assert settings["phone_setting.ring_type"] == "ringtone.wav"
    assert settings["wallpaper_upload.url"].endswith("/wallpaper.jpg")
    _, kind, wallpaper = await fetch(world, settings["wallpaper_upload.url"])
    assert (kind, size_and_colours(wallpaper)[:2]) == ("image/jpeg", ("JPEG", (800, 480)))
    assert heard((await fetch(world, settings["ringtone.url"]))[2])[1] == pytest.approx(440, abs=2)


async def test_fanvil_shows_what_was_uploaded(world: World) -> None:
    """Its file has the URL of a bitmap with the pixels of that model."""
    _, base = await provisioned(
        world.alice, "Fanvil X7C", "2001", MACS["fanvil"], background=picture()
    )
    _, _, content = await fetch(world, f"{base}{MACS['fanvil']}.cfg")
    _, configuration = fanvil.parse(content.decode())
    values = {name: value for part in configuration.values() for name, value in part.items()}

    _, kind, background = await fetch(world, values["Auto Etc Url"])
    assert (kind, size_and_colours(background)[:2]) == ("image/bmp", ("BMP", (800, 480)))


async def test_innovaphone_shows_what_was_uploaded(world: World) -> None:
    """Its script has the URL of a picture in its size."""
    _, base = await provisioned(
        world.alice, "Innovaphone IP112", "2001", "009033010203", background_image=picture("GIF")
    )
    _, _, content = await fetch(world, f"{base}config")
    modules = innovaphone.run(content.decode())

    _, kind, background = await fetch(world, modules["PHONE APP"]["/bg-image"])
    assert (kind, size_and_colours(background)[:2]) == ("image/png", ("PNG", (320, 240)))


async def test_url_changes_with_the_medium(world: World) -> None:
    """The phone's file changes when the medium does; the old URL leads to the new one."""
    ids, base = await provisioned(
        world.alice, "Snom D785", "2001", MACS["snom"], ringtone=tone(hertz=440)
    )
    path = f"{base}{MACS['snom']}.xml"
    before, _ = snom.parse((await fetch(world, path))[2])
    other = (await upload(world.alice, tone(hertz=600)))["id"]

    await world.alice.call("PUT", "/extensions/2001/media", {"media": {"ringtone": other}})
    after, _ = snom.parse((await fetch(world, path))[2])
    old, new = before["user_custom", 1], after["user_custom", 1]

    assert old != new
    for url in (old, new, f"{base}media/ringtone", f"{base}media/2001/ringtone.wav"):
        assert heard((await fetch(world, url))[2])[1] == pytest.approx(600, abs=2)
    await world.alice.call("PUT", "/extensions/2001/media", {"media": {}})
    gone, _ = snom.parse((await fetch(world, path))[2])
    assert ("user_custom", 1) not in gone
    assert (await fetch(world, new))[0] == 404
    await world.alice.delete(f"/media/{ids['ringtone']}")


async def test_lines_have_media_of_their_own(world: World) -> None:
    """Each line rings with its own tone; what is the phone's is that of the first that has one."""
    _, base = await provisioned(
        world.alice, "Snom D785", "2001", MACS["snom"], ringtone=tone(hertz=440)
    )
    await provisioned(
        world.alice,
        "Snom D785",
        "2002",
        MACS["snom"],
        ringtone=tone(hertz=600),
        background=picture(),
    )
    settings, _ = snom.parse((await fetch(world, f"{base}{MACS['snom']}.xml"))[2])

    for at, hertz in ((1, 440), (2, 600)):
        content = (await fetch(world, settings["user_custom", at]))[2]
        assert heard(content)[1] == pytest.approx(hertz, abs=2)
    assert "/media/2002/" in settings["custom_bg_image_url", 0]
    assert heard((await fetch(world, f"{base}media/ringtone"))[2])[1] == pytest.approx(440, abs=2)


async def test_media_need_the_token(world: World) -> None:
    """Without the token of the very phone nobody gets its media, also not by another's."""
    _, base = await provisioned(world.alice, "Snom D785", "2001", MACS["snom"], ringtone=tone())
    await users.create_user(world.site, OPERATOR, "ben", PASSWORD)
    ben = await world.nobody.log_in("ben")
    _, other = await provisioned(ben, "Yealink T48S", "2002", MACS["yealink"], ringtone=tone())
    token = base.split("/")[-2]

    assert (await fetch(world, f"{base}media/2001/ringtone"))[0] == 200
    for path in (
        "/telephoning/snom/media/2001/ringtone",
        f"/telephoning/snom/k/{'x' * len(token)}/media/2001/ringtone",
        f"/telephoning/yealink/k/{token}/media/2001/ringtone",
        f"{other}media/2001/ringtone",
        f"{base}media/2002/ringtone",
        f"{base}media/",
        f"{base}media/..%2f..%2fmuru.sqlite3",
        f"{base}media/2001/zzzzzzzz/ringtone",
        f"{base}media/background",
    ):
        assert (await fetch(world, path))[0] == 404, path


async def test_phone_asks_for_a_part(world: World) -> None:
    """A phone may ask for a part, and whether what it has is still right."""
    _, base = await provisioned(world.alice, "Snom D785", "2001", MACS["snom"], ringtone=tone())
    url = f"{base}media/ringtone"
    _, _, whole = await fetch(world, url)

    status, _, part = await fetch(world, url, Range="bytes=44-1043")

    assert (status, part) == (206, whole[44:1044])
    async with world.nobody.client.head(url) as response:
        assert (response.status, response.content_length) == (200, len(whole))
        etag = response.headers["ETag"]
    async with world.nobody.client.get(url, headers={"If-None-Match": etag}) as response:
        assert response.status == 304


async def test_media_over_tftp(world: World) -> None:
    """A phone that has its URL for TFTP gets the same bytes."""
    _, base = await provisioned(world.alice, "Snom D785", "2001", MACS["snom"], ringtone=tone())
    _, _, whole = await fetch(world, f"{base}media/ringtone")
    port = world.site.settings.tftp_port
    assert port

    assert await read("127.0.0.1", port, f"{base}media/ringtone") == whole
    assert await read("127.0.0.1", port, f"{base}media/background") is None


async def test_what_is_asked_for_is_in_the_log(world: World) -> None:
    """The owner sees which media were fetched; it does not count as the configuration."""
    _, base = await provisioned(world.alice, "Snom D785", "2001", MACS["snom"], ringtone=tone())
    seen: list[Visit] = []
    engine: Engine = world.app[ENGINE]
    end = engine.journal.subscribe(seen.append)

    await fetch(world, f"{base}media/ringtone")
    await fetch(world, f"{base}media/background")
    end()

    assert [(each.file, each.status, each.is_own) for each in seen] == [
        ("snom/media/ringtone", 200, False),
        ("snom/media/background", 404, False),
    ]


async def test_many_phones_at_once(world: World) -> None:
    """A hundred that ask for the same medium at the same moment all get it."""
    _, base = await provisioned(world.alice, "Snom D785", "2001", MACS["snom"], ringtone=tone())
    for path in (world.site.settings.data_dir / "media/made").iterdir():
        path.unlink()

    found = await asyncio.gather(*(fetch(world, f"{base}media/ringtone") for _ in range(100)))

    assert {(status, len(content)) for status, _, content in found} == {(200, len(found[0][2]))}
