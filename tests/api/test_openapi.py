"""The OpenAPI document says what the API does."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

import muru
from tests.conftest import World

Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture
async def document(world: World) -> dict[str, Any]:
    found: dict[str, Any] = await world.nobody.get("/openapi.json")
    return found


@pytest.fixture
def operations(document: dict[str, Any]) -> list[Operation]:
    """All operations: method, path, and what is said of it."""
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def references(node: Any) -> Iterator[str]:
    """Return all places that a part of the document refers to."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from references(each)


async def test_every_route_is_described(world: World, operations: list[Operation]) -> None:
    """What the application answers under /api/v1 and what the document lists are the same."""
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in world.app.router.routes()
        if route.resource is not None
        and route.resource.canonical.startswith("/api/v1/")
        and route.method != "HEAD"
    }

    assert served == {
        *((method, path) for method, path, _ in operations),
        ("get", "/api/v1/openapi.json"),  # the document itself
    }


async def test_document_is_whole(document: dict[str, Any]) -> None:
    """It is of a version that tools know, and everything that it refers to is in it."""
    schemas = document["components"]["schemas"]
    places = set(references(document))

    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == muru.__version__
    assert places
    assert places <= {f"#/components/schemas/{name}" for name in schemas}


async def test_operations_can_become_functions(operations: list[Operation]) -> None:
    """Each operation has a name of its own, a summary, and says what it answers."""
    names = [operation["operationId"] for _, _, operation in operations]

    assert len(names) == len(set(names))
    for _, path, operation in operations:
        assert operation["summary"]
        assert {"default"} < operation["responses"].keys()
        named = re.findall(r"\{(\w+)\}", path)
        given = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
        assert named == given


async def test_login_is_described_as_it_is(world: World, operations: list[Operation]) -> None:
    """Exactly those operations are said to need a login that refuse whoever has none."""
    for method, path, operation in operations:
        url = re.sub(r"\{\w+\}", "12", path).replace("devices/12", "devices/0004137f0001")
        async with world.nobody.client.request(method, url) as response:
            is_open = response.status != 401
        assert is_open == ("security" not in operation), f"{method} {path}"


async def test_bodies_are_described_as_they_are(
    document: dict[str, Any], operations: list[Operation]
) -> None:
    """A body refers to a schema that has its fields and takes no others."""
    by_name = {operation["operationId"]: operation for _, _, operation in operations}
    content = by_name["create_extension"]["requestBody"]["content"]["application/json"]
    schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]

    assert {"type", "name", "number", "extra_fields"} < schema["properties"].keys()
    assert schema["required"] == ["type", "name"]
    assert schema["additionalProperties"] is False
    assert "requestBody" not in by_name["list_extensions"]
    assert {each["name"] for each in by_name["list_extensions"]["parameters"]} == {
        *("offset", "limit", "search")
    }
