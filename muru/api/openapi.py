"""The OpenAPI 3.1 document, made from the endpoints' signatures."""

import re
from collections.abc import Iterable
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from muru import __version__
from muru.api.routing import Route

_REFERENCE = "#/components/schemas/{model}"


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the OpenAPI document of *routes*."""
    routes = list(routes)
    inputs = {model for route in routes for model in (route.body, route.query) if model}
    answers = {model for route in routes if (model := _model(route.answer))}
    schemas, definitions = models_json_schema(
        [
            *((model, "validation") for model in inputs),
            *((model, "serialization") for model in answers),
        ],
        ref_template=_REFERENCE,
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = re.sub(r"\{(\w+):.*?\}(?=/|$)", r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, path, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "µURU", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, path: str, schemas: Any) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.function.__name__,
        "summary": (route.function.__doc__ or route.function.__name__.replace("_", " "))
        .strip()
        .splitlines()[0],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"\{(\w+)\}", path)
        ],
        "responses": {
            str(route.status): {"description": "done", **_answer(route, schemas)},
            "default": {"description": "a problem document (RFC 9457)"},
        },
    }
    if route.access != "anybody":
        operation["security"] = [{"bearer": []}]
    if route.query:
        for name, schema in route.query.model_json_schema()["properties"].items():
            operation["parameters"].append({"name": name, "in": "query", "schema": schema})
    if route.upload:
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    if route.body:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[route.body, "validation"]}},
        }
    return operation


def _answer(route: Route, schemas: Any) -> dict[str, Any]:
    model = _model(route.answer)
    if model is None:
        return {}
    schema = schemas[model, "serialization"]
    if get_origin(route.answer) is list:
        schema = {"type": "array", "items": schema}
    return {"content": {"application/json": {"schema": schema}}}


def _model(answer: Any) -> type[BaseModel] | None:
    if get_origin(answer) is list:
        answer = get_args(answer)[0]
    return answer if isinstance(answer, type) and issubclass(answer, BaseModel) else None
