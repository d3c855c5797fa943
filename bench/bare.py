"""``python -m bench.bare PORT``: aiohttp and nothing else, to compare with.

A PUT keeps the JSON, or the text, that GET and POST answer from then on; a POST's body is read as
JSON.
"""

import sys
from typing import Any

from aiohttp import web

_answers: dict[str, Any] = {}


async def keep(request: web.Request) -> web.Response:
    is_text = request.content_type == "text/plain"
    _answers[request.path] = await (request.read() if is_text else request.json())
    return web.Response()


async def get(request: web.Request) -> web.Response:
    answer = _answers.get(request.path)
    if isinstance(answer, bytes):
        return web.Response(body=answer, content_type="text/plain")
    return web.json_response(answer)


async def post(request: web.Request) -> web.Response:
    assert await request.json()
    return web.json_response(_answers.get(request.path), status=201)


if __name__ == "__main__":
    app = web.Application(client_max_size=2**26)
    for method, handler in (("PUT", keep), ("GET", get), ("POST", post)):
        app.router.add_route(method, "/{path:.*}", handler)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
