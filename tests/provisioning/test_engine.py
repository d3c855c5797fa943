"""Who gets which file: by flavor, device and proof, over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest

from muru.settings import Settings
from tests.conftest import World

MAC = "000b82aabbcc"
FILE = f"/telephoning/grandstream/cfg{MAC}.xml"


@pytest.fixture
def settings(make_settings: Callable[..., Settings], request: pytest.FixtureRequest) -> Settings:
    overrides = getattr(request, "param", {})
    return make_settings(enabled_phone_flavors=["sip", "grandstream"], **overrides)


async def fetch(world: World, path: str, **more: Any) -> tuple[int, str]:
    async with world.nobody.client.get(path, **more) as response:
        return response.status, await response.text()


async def create(world: World, number: str = "2001", mac: str | None = MAC, **more: Any) -> Any:
    body = {"type": "Grandstream GXP2160", "name": "Anna", "number": number, **more}
    return await world.alice.post("/extensions", body | {"extra_fields": {"mac": mac}})


async def test_first_use_gets_the_configuration_and_a_token(world: World) -> None:
    """The first phone that asks gets password and token URL; by MAC alone nobody else does."""
    created = await create(world)
    status, text = await fetch(world, FILE)
    print(text)
    assert status == 200 and created["sip"]["password"] in text
