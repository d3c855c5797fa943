"""Health, flavors, and the link to Asterisk."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from muru.app import create_app
from muru.settings import Settings
from tests.conftest import AppClient, World, free_port
from tests.written_flavors import write


async def test_health_without_asterisk(world: World) -> None:
    """muru is alive and ready while Asterisk is away, says so, and asks for no login."""
    assert await world.nobody.get("/health/live") == {"status": "ok"}
    assert await world.nobody.get("/health/ready") == {
        "status": "ok",
        "database": "ok",
        "asterisk": "away",
    }


async def test_health_without_database(
    aiohttp_client: AppClient, make_settings: Callable[..., Settings]
) -> None:
    """Without its database muru is alive, and not ready."""
    url = SecretStr(f"mariadb://muru:geheim@127.0.0.1:{free_port()}/muru")
    client = await aiohttp_client(create_app(make_settings(database_url=url)))

    async with client.get("/api/v1/health/live") as response:
        assert response.status == 200
    async with client.get("/api/v1/health/ready") as response:
        assert response.status == 503
        assert (await response.json())["database"] == "away"


async def test_flavors_are_explained(
    start: Callable[[Settings], Awaitable[World]],
    make_settings: Callable[..., Settings],
    tmp_path: Path,
) -> None:
    """An administrator reads of each flavor where it is from, its state, and what is wrong."""
    folder = tmp_path / "flavors"
    settings = make_settings(**write(folder, broken="class Broken(SIP): JOB_INTERVAL = 0"))
    world = await start(settings.model_copy(update={"enabled_phone_flavors": ["sip", "broken"]}))

    listed = {each["name"]: each for each in await world.root.get("/flavors")}

    assert listed["sip"].keys() == {
        *("name", "module", "origin", "class_name", "phone_types", "state", "reason"),
        *("template_faults", "job"),
    }
    assert (listed["sip"]["state"], listed["sip"]["origin"]) == ("active", "bundled")
    assert (listed["sip"]["phone_types"], listed["sip"]["reason"]) == (["SIP"], None)
    assert listed["dummy"]["state"] == "disabled"
    assert (listed["broken"]["state"], listed["broken"]["origin"]) == ("faulty", str(folder))
    assert "JOB_INTERVAL" in listed["broken"]["reason"]
    assert [each["type"] for each in await world.alice.get("/phone-types")] == ["SIP"]


@pytest.mark.parametrize("path", ["/registrations", "/extensions", "/phonebook"])
async def test_lists_without_asterisk(world: World, path: str) -> None:
    """All that does not need Asterisk is served while it is away."""
    assert await world.alice.get(path) in ([], {"items": [], "total": 0})
