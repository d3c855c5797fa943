"""Every error is a problem document (RFC 9457), however hostile the request."""

import asyncio
import gzip
import io
import logging
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from pydantic import SecretStr

from muru.app import create_app
from muru.settings import Settings
from tests.conftest import PASSWORD, AppClient, World, free_port
from tests.written_flavors import write

JSON = {"Content-Type": "application/json"}


async def problem(response: ClientResponse, status: int) -> dict[str, Any]:
    """Return the document of an answer, after checking that it is one, of that status."""
    text = await response.text()
    assert response.status == status, text
    assert response.content_type == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    document: dict[str, Any] = await response.json(content_type=None)
    assert document.keys() - {"errors"} == {"type", "title", "status", "detail"}
    assert re.fullmatch(r"urn:muru:problem:[a-z][a-z-]+", document["type"])
    assert document["title"] == HTTPStatus(status).phrase
    assert document["status"] == status
    assert document["detail"]
    return document


async def ask(world: World, method: str, path: str, status: int, **more: Any) -> dict[str, Any]:
    """Ask as alice; return the problem document that is the answer."""
    more["headers"] = {"Authorization": f"Bearer {world.alice.token}", **more.get("headers", {})}
    async with world.nobody.client.request(method, path, **more) as response:
        return await problem(response, status)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "key"),
    [
        (
            "POST",
            "/api/v1/auth/login",
            {"username": "alice", "password": "x"},
            401,
            "unauthenticated",
        ),
        ("GET", "/api/v1/users", None, 403, "forbidden"),
        ("GET", "/api/v1/extensions/9999", None, 404, "not-found"),
        ("GET", "/api/v1/extensions/one", None, 404, "not-found"),
        ("GET", "/api/v2", None, 404, "not-found"),
        ("GET", "/nothing", None, 404, "not-found"),
        ("GET", "/%00%FF/../<script>", None, 404, "not-found"),
        ("PUT", "/api/v1/extensions", None, 405, "method-not-allowed"),
        (
            "POST",
            "/api/v1/auth/register",
            {"username": "root", "password": PASSWORD},
            409,
            "username-taken",
        ),
        ("POST", "/api/v1/extensions", {}, 422, "invalid"),
    ],
)
async def test_problem_document(
    world: World, method: str, path: str, body: Any, status: int, key: str
) -> None:
    """Each kind of error has its status, and a type that programs can rely on."""
    document = await ask(world, method, path, status, json=body)

    assert document["type"] == f"urn:muru:problem:{key}"


async def test_method_that_is_possible_is_told(world: World) -> None:
    """A wrong method is answered with the right ones."""
    async with world.nobody.client.put("/api/v1/extensions") as response:
        await problem(response, 405)
        assert response.headers["Allow"] == "GET,POST"


async def test_all_faults_are_told_at_once(world: World) -> None:
    """Whoever fills in a form wrong is told of every field, not of the first alone."""
    body = {"type": 1, "location": {"lat": 91, "lng": 181}, "nonsense": True}

    document = await ask(world, "POST", "/api/v1/extensions", 422, json=body)

    fields = [each["field"] for each in document["errors"]]
    assert fields == ["type", "name", "location.lat", "location.lng", "nonsense"]
    assert all(each["message"] for each in document["errors"])


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"{", {}),
        (b"{'name': 1}", {}),
        (b'{"name": "\xff"}', {}),
        (b'{"name": "\xed\xa0\x80"}', {}),
        (b"\x00", {}),
        (b"[" * 200_000, {}),
        (b'{"a":' * 100_000, {}),
        (b"9" * 5000, {}),
        (b"{}", {"Content-Type": "application/json; charset=klingon"}),
        (b"no gzip", {"Content-Encoding": "gzip"}),
    ],
)
async def test_body_that_is_no_json(world: World, body: bytes, headers: dict[str, str]) -> None:
    """A body that cannot be read is the client's fault, and it is told which."""
    document = await ask(
        world, "POST", "/api/v1/extensions", 400, data=body, headers=JSON | headers
    )

    assert document["detail"].startswith("The body is no JSON in UTF-8")


@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"text"', b"true", b"NaN"])
async def test_body_that_is_no_object(world: World, body: bytes) -> None:
    """JSON of another shape is refused as a whole."""
    document = await ask(world, "POST", "/api/v1/extensions", 422, data=body, headers=JSON)

    assert [each["field"] for each in document["errors"]] == ["body"]


@pytest.mark.parametrize("packed", [False, True])
async def test_body_that_is_huge(world: World, packed: bool) -> None:
    """A body beyond a mebibyte is refused, also when it is small on the wire."""
    body = b'{"name": "' + b"x" * 3_000_000 + b'"}'
    data = io.BytesIO(gzip.compress(body) if packed else body)
    headers = JSON | ({"Content-Encoding": "gzip"} if packed else {})

    document = await ask(world, "POST", "/api/v1/extensions", 413, data=data, headers=headers)

    assert document["type"] == "urn:muru:problem:request-entity-too-large"


async def test_too_many_requests(world: World) -> None:
    """Who has to wait is told for how long."""
    body = {"username": "nobody", "password": "wrong password"}
    for _ in range(5):
        await ask(world, "POST", "/api/v1/auth/login", 401, json=body)

    async with world.nobody.client.post("/api/v1/auth/login", json=body) as response:
        document = await problem(response, 429)

    assert document["type"] == "urn:muru:problem:too-many-requests"
    assert response.headers["Retry-After"].isdigit()


async def test_bug_tells_nothing_but_a_reference(
    start: Callable[[Settings], Awaitable[World]],
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What nobody foresaw is answered without a word of what it was; the log has it all."""
    source = """
        class Bug(PhoneFlavor):
            PHONE_TYPES = ["Bug"]

            def generate_routes(self, router):
                @router.get("/")
                async def fail(request):
                    raise ZeroDivisionError("the inner workings")
    """
    world = await start(make_settings(**write(tmp_path / "flavors", bug=source)))

    document = await ask(world, "GET", "/telephoning/bug/", 500)

    assert document["type"] == "urn:muru:problem:internal"
    assert "inner workings" not in str(document)
    reference = document["detail"].split()[-1]
    (record,) = [each for each in caplog.records if reference in each.getMessage()]
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert record.exc_info[0] is ZeroDivisionError


async def test_database_that_is_away(
    aiohttp_client: AppClient, make_settings: Callable[..., Settings]
) -> None:
    """muru starts without its database; what needs one is answered 503, the rest as ever."""
    url = SecretStr(f"postgresql://muru:geheim@127.0.0.1:{free_port()}/muru")
    client = await aiohttp_client(create_app(make_settings(database_url=url)))
    body = {"username": "alice", "password": PASSWORD}

    for method, path, json in (
        ("GET", "/api/v1/phonebook", None),
        ("POST", "/api/v1/auth/login", body),
        ("POST", "/api/v1/auth/register", body),
    ):
        async with client.request(method, path, json=json) as response:
            document = await problem(response, 503)
            assert document["type"] == "urn:muru:problem:database-unavailable"
            assert "geheim" not in str(document)
    async with client.get("/api/v1/openapi.json") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /api/v1/users/me HTTP/1.1\r\nAuthorization: Bearer \xff\xfe\r\n", 401),
        (b"GET /api/v1/users/me HTTP/1.1\r\nCookie: muru_session=\xff\xfe\r\n", 401),
        (b"DELETE /api/v1/users/me HTTP/1.1\r\nCookie: muru_session=x\r\nOrigin: \xff\r\n", 403),
        (b"GET /api/v1/phonebook?search=%ED%A0%80%FF HTTP/1.1\r\n", 200),
        (b"GET /api/v1/phonebook?search=%00 HTTP/1.1\r\n", 422),
        (b"POST /api/v1/auth/login HTTP/1.1\r\nContent-Length: 0\r\n", 422),
        (b"GET //evil.example/api HTTP/1.1\r\n", 404),
        (b"GET http://[/ HTTP/1.1\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n", 400),
        (b"\x16\x03\x01", 400),
    ],
)
async def test_bytes_that_no_client_sends(world: World, request_: bytes, status: int) -> None:
    """Bytes in headers and paths that are no text are the sender's fault, never an error here."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.nobody.client.port or 0)

    writer.write(request_ + b"Host: 127.0.0.1\r\nConnection: close\r\n\r\n")

    async with asyncio.timeout(5):
        answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert int(answer.split()[1]) == status
