"""Who gets which file: by flavor, device and proof, over HTTP."""

import asyncio
import re
import statistics
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from muru.keys import ENGINE
from muru.provisioning.request import ProvisioningRequest
from muru.settings import Settings
from tests.conftest import World

MAC = "000b82aabbcc"
NAME = f"cfg{MAC}.xml"
FOLDER = "/telephoning/grandstream/"
ANYWHERE = "192.0.2.9"
LOCAL = [ip_network("127.0.0.0/8")]
AGENT = f"Grandstream Model HW GXP2160 SW 1.0.11.10 DevId {MAC}"

Start = Callable[[Settings], Awaitable[World]]
MakeSettings = Callable[..., Settings]


@pytest.fixture
def settings(make_settings: MakeSettings, request: pytest.FixtureRequest) -> Settings:
    overrides = {"claim": False, **getattr(request, "param", {})}
    return make_settings(enabled_phone_flavors=["sip", "grandstream", "yealink"], **overrides)


def configured(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("settings", [pytest.param(settings, id="")], indirect=True)


async def fetch(world: World, path: str, **headers: str) -> tuple[int, str]:
    async with world.nobody.client.get(path, headers=headers) as response:
        return response.status, await response.text()


async def ask(world: World, path: str, address: str = ANYWHERE, **more: Any) -> tuple[int, str]:
    """Ask as a phone at that address does, past the door."""
    request = ProvisioningRequest("http", path, address, "http://muru.example:8000", **more)
    answer = await world.app[ENGINE].answer(request)
    return answer.status, answer.body.decode()


async def create(world: World, number: str = "2001", mac: str | None = MAC, **more: Any) -> Any:
    body = {"type": "Grandstream GXP2160", "name": "Anna", "number": number, **more}
    extra = {"mac": mac, **more.pop("extra_fields", {})}
    return await world.alice.post("/extensions", body | {"extra_fields": extra}, status=201)


def token_in(text: str) -> str:
    """Return the token of the URL in a configuration."""
    found = re.search(r"/k/([a-z0-9]{26})", text)
    assert found, text
    return found.group(1)


async def log(world: World) -> list[Any]:
    await world.app[ENGINE].journal.flush()
    entries: list[Any] = await world.alice.get(f"/devices/{MAC}/log")
    return entries


async def test_first_use_gets_the_configuration(world: World) -> None:
    """After its owner has created it, the first phone that asks gets password and token URL."""
    created = await create(world)

    status, text = await fetch(world, FOLDER + NAME)

    assert status == 200
    assert created["sip"]["password"] in text
    token = token_in(text)
    status, again = await ask(world, f"grandstream/k/{token}/{NAME}")
    assert status == 200
    assert created["sip"]["password"] in again


async def test_mac_alone_gets_nothing_after_the_first_use(world: World) -> None:
    """Somebody else who knows the MAC address gets what they would for one that is unknown."""
    created = await create(world)
    await fetch(world, FOLDER + NAME)

    status, text = await ask(world, f"grandstream/{NAME}")
    unknown = await ask(world, "grandstream/cfg000b82000001.xml")

    assert created["sip"]["password"] not in text
    assert (status, text) == unknown == (404, "")


async def test_same_phone_may_ask_again_until_its_token_came(world: World) -> None:
    """A phone that lost what it got asks again from its address; its token ends that for good."""
    await create(world)
    _, text = await ask(world, f"grandstream/{NAME}", "192.0.2.1")

    assert (await ask(world, f"grandstream/{NAME}", "192.0.2.1"))[0] == 200
    assert (await ask(world, f"grandstream/{NAME}", "192.0.2.2"))[0] == 404

    await ask(world, f"grandstream/k/{token_in(text)}/{NAME}", "192.0.2.1")
    await world.app[ENGINE].journal.flush()
    assert (await ask(world, f"grandstream/{NAME}", "192.0.2.1"))[0] == 404


async def test_only_one_is_first(world: World) -> None:
    """Of many that ask in the same moment from different addresses one gets the password."""
    await create(world)
    asked = (ask(world, f"grandstream/{NAME}", f"192.0.2.{host}") for host in range(1, 30))

    statuses = [status for status, _ in await asyncio.gather(*asked)]

    assert sorted(statuses) == [200] + [404] * 28


async def test_reopened_device(world: World) -> None:
    """Its owner opens a phone that was reset; whoever had the old URL gets nothing any more."""
    await create(world)
    _, text = await ask(world, f"grandstream/{NAME}")
    assert (await ask(world, f"grandstream/{NAME}", "192.0.2.1"))[0] == 404

    await world.alice.post(f"/devices/{MAC}/reopen")

    assert (await ask(world, f"grandstream/k/{token_in(text)}/x{NAME}"))[0] == 404
    status, new = await ask(world, f"grandstream/{NAME}", "192.0.2.1")
    assert status == 200
    assert token_in(new) != token_in(text)
    assert (await ask(world, f"grandstream/k/{token_in(text)}/{NAME}"))[0] == 404


@configured(provisioning_trust="token")
async def test_token_is_all_that_is_trusted(world: World) -> None:
    """Where the site wants tokens, a MAC address opens nothing, not even the first time."""
    created = await create(world)
    url = (await world.alice.get("/extensions/2001/provisioning"))["url"]

    assert (await ask(world, f"grandstream/{NAME}"))[0] == 404
    status, text = await fetch(world, f"/telephoning/{url.partition('/telephoning/')[2]}{NAME}")

    assert status == 200
    assert created["sip"]["password"] in text


@configured(provisioning_trust="open", provisioning_networks=LOCAL)
async def test_open_network(world: World) -> None:
    """Where everybody is trusted it is always the MAC address that counts, in the networks set."""
    await create(world)

    for _ in range(2):
        assert (await ask(world, f"grandstream/{NAME}", "127.0.0.9"))[0] == 200
    assert (await ask(world, f"grandstream/{NAME}", ANYWHERE))[0] == 404


@configured(provisioning_networks=LOCAL)
async def test_first_use_from_elsewhere(world: World) -> None:
    """A first use counts in the networks that are set; one from elsewhere uses nothing up."""
    await create(world)

    assert (await ask(world, f"grandstream/{NAME}", ANYWHERE))[0] == 404
    assert (await ask(world, f"grandstream/{NAME}", "127.0.0.9"))[0] == 200


@configured(trusted_proxies=LOCAL)
async def test_client_certificate(world: World) -> None:
    """A trusted proxy that has checked a certificate with the phone's MAC address is a proof."""
    created = await create(world)
    await ask(world, f"grandstream/{NAME}")  # somebody was first
    headers = {"X-SSL-Client-Verify": "SUCCESS", "X-SSL-Client-S-DN": f"CN={MAC.upper()},O=Phones"}

    status, text = await fetch(world, FOLDER + NAME, **headers)
    assert status == 200
    assert created["sip"]["password"] in text

    other = headers | {"X-SSL-Client-S-DN": "CN=000B82AABBCD"}
    unchecked = headers | {"X-SSL-Client-Verify": "NONE"}
    for wrong in (other, unchecked):
        assert (await fetch(world, FOLDER + NAME, **wrong))[0] == 404


async def test_certificate_from_anybody(world: World) -> None:
    """Nobody but a trusted proxy is believed what it says of certificates or addresses."""
    await create(world)
    await ask(world, f"grandstream/{NAME}")
    headers = {
        "X-SSL-Client-Verify": "SUCCESS",
        "X-SSL-Client-S-DN": f"CN={MAC}",
        "X-Forwarded-For": ANYWHERE,
    }

    assert (await fetch(world, FOLDER + NAME, **headers))[0] == 404
    assert {entry["address"] for entry in await log(world)} == {ANYWHERE, "127.0.0.1"}


@configured(trusted_proxies=LOCAL)
async def test_address_behind_a_proxy(world: World) -> None:
    """Behind trusted proxies the last address that is none of theirs is the phone's."""
    await create(world)
    chain = "198.51.100.1, 192.0.2.7, 127.0.0.5"

    headers = {"X-Forwarded-For": chain, "X-Forwarded-Proto": "https"}
    _, text = await fetch(world, FOLDER + NAME, **headers, **{"X-Forwarded-Host": "phones.example"})

    assert "phones.example" in text
    assert [entry["address"] for entry in await log(world)] == ["192.0.2.7"]


async def test_refusals_take_as_long(world: World) -> None:
    """How long a refusal takes does not tell whether muru knows the address."""
    await create(world)
    await ask(world, f"grandstream/{NAME}")

    async def measure(name: str) -> float:
        times = []
        for _ in range(15):
            began = time.perf_counter()
            await ask(world, f"grandstream/{name}", "192.0.2.1")
            times.append(time.perf_counter() - began)
        return statistics.median(times)

    known, unknown = await measure(NAME), await measure("cfg000b82000001.xml")

    assert known >= 0.05
    assert unknown >= 0.05


@configured(provisioning_rate=3)
async def test_guessing_is_bounded(world: World) -> None:
    """An address that asks without a proof too often is not even looked at; others are."""
    await create(world)
    for guess in range(3):
        await ask(world, f"grandstream/cfg000b8200000{guess}.xml", "192.0.2.1")

    assert (await ask(world, f"grandstream/{NAME}", "192.0.2.2"))[0] == 200
    await ask(world, f"grandstream/{NAME}", "192.0.2.1")
    assert (await log(world))[0]["reason"] == "too many requests without a proof"


async def test_log_tells_the_owner(world: World) -> None:
    """The owner reads when which file was asked for from where, with what proof and result."""
    await create(world)
    _, text = await ask(world, f"grandstream/{NAME}", "192.0.2.1", user_agent=AGENT)
    token = token_in(text)
    await ask(world, f"grandstream/k/{token}/{NAME}", "192.0.2.1")
    await ask(world, f"grandstream/{NAME}", "192.0.2.2")
    await ask(world, f"grandstream/firmware-{MAC}.bin", "192.0.2.1")

    entries = await log(world)

    told = [(each["address"], each["proof"], each["status"]) for each in reversed(entries)]
    assert told == [
        ("192.0.2.1", "first-use", 200),
        ("192.0.2.1", "token", 200),
        ("192.0.2.2", None, 404),
        ("192.0.2.1", None, 404),
    ]
    assert entries[0]["reason"] == "no flavor has such a file"
    assert token not in str(entries)
    device = await world.alice.get(f"/devices/{MAC}")
    assert (device["model"], device["firmware"]) == ("GXP2160", "1.0.11.10")
    assert (device["address"], device["last_file"]) == ("192.0.2.1", f"grandstream/{NAME}")


async def test_no_secret_in_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Neither passwords nor tokens get into any line that is logged, debug lines included."""
    for logger in ("muru", "aiohttp", "jinja2", "asyncio", "panoramisk"):  # aiosqlite's is kept off
        caplog.set_level("DEBUG", logger=logger)
    created = await create(world)
    _, text = await fetch(world, FOLDER + NAME)
    await fetch(world, f"{FOLDER}k/{token_in(text)}/{NAME}")
    await fetch(world, f"{FOLDER}k/{token_in(text)}/none.xml")

    for secret in (created["sip"]["password"], token_in(text), created["token"]):
        assert secret not in caplog.text


async def test_file_without_a_folder(world: World) -> None:
    """A phone that knows no folder gets the same file, by its name, if one family has such."""
    created = await create(world)

    status, text = await fetch(world, f"/telephoning/{NAME}")

    assert status == 200
    assert created["sip"]["password"] in text


async def test_file_of_two_families(world: World) -> None:
    """A name that two families have goes to the one whose phone it is known to be."""
    body = {"type": "Yealink SIP-T46U", "name": "Ben", "extra_fields": {"mac": "805ec0112233"}}
    types = [each["type"] for each in await world.alice.get("/phone-types")]
    body["type"] = next(each for each in types if each.endswith("T46U"))
    created = await world.alice.post("/extensions", body, status=201)

    status, text = await fetch(world, "/telephoning/805ec0112233.cfg")

    assert status == 200
    assert created["sip"]["password"] in text


@pytest.mark.parametrize(
    "path",
    [
        "grandstream",
        "grandstream/",
        "grandstream/k/",
        "grandstream/k//",
        f"grandstream/../grandstream/{NAME}x",
        "grandstream/%00",
        "grandstream/\udcff",
        f"grandstream/{'a' * 5000}",
        f"yealink/{NAME}",
        "none/x",
        "",
    ],
)
async def test_strange_path(world: World, path: str) -> None:
    """Whatever a path may be, it is no file and no error."""
    await create(world)

    assert await ask(world, path, user_agent="\udcff\x00" * 500) == (404, "")
    await world.app[ENGINE].journal.flush()
    assert world.app[ENGINE].journal.dropped == 0


async def test_change_is_seen_by_the_next_request(world: World) -> None:
    """A phone never gets what was, however soon after a change it asks."""
    await create(world)
    _, text = await ask(world, f"grandstream/{NAME}")
    path = f"grandstream/k/{token_in(text)}/{NAME}"
    for name in ("Berta", "Clara"):
        await world.alice.patch("/extensions/2001", {"name": name})
        assert name in (await ask(world, path))[1]
    renewed = await world.alice.post("/extensions/2001/password")
    assert renewed["sip"]["password"] in (await ask(world, path))[1]

    await world.alice.delete("/extensions/2001")
    assert (await ask(world, path))[0] == 404


async def test_phonebook_is_for_phones(world: World) -> None:
    """The phonebook goes to phones that show a token or are where one was seen, and to no other."""
    await create(world, public=True)
    assert (await ask(world, "grandstream/phonebook.xml", "192.0.2.1"))[0] == 404
    _, text = await ask(world, f"grandstream/{NAME}", "192.0.2.1")
    by_token = await ask(world, f"grandstream/k/{token_in(text)}/phonebook.xml", "192.0.2.5")
    await world.app[ENGINE].journal.flush()

    by_address = await ask(world, "grandstream/phonebook.xml", "192.0.2.5")

    assert by_token[0] == by_address[0] == 200
    assert "Anna" in by_token[1]
    assert by_token == by_address
    assert (await ask(world, "grandstream/phonebook.xml", "192.0.2.2"))[0] == 404


@configured(template_paths=["own"])
async def test_operators_template(world: World) -> None:
    """The operator's template wins; a broken one is told with file and line, and is not used."""
    await create(world)
    _, bundled = await ask(world, f"grandstream/{NAME}")
    path = f"grandstream/k/{token_in(bundled)}/{NAME}"
    file = Path("own/grandstream/phone.xml")
    file.parent.mkdir(parents=True)

    async def write(text: str) -> None:
        await asyncio.to_thread(file.write_text, text)
        await asyncio.sleep(0.6)  # it is looked at every half second

    await write("<own>{{ lines[0].name }}</own>")
    assert (await ask(world, path))[1] == "<own>Anna</own>"

    await write("<own>\n{{ lines[0].nothing }}</own>")
    status, text = await ask(world, path)
    assert (status, text) == (200, bundled)
    (fault,) = world.app[ENGINE].templates.faults.values()
    assert f"{file}:2:" in fault.reason
    assert "nothing" in fault.reason
