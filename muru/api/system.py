"""Flavors and health."""

from datetime import datetime

from aiohttp import web
from pydantic import BaseModel
from sqlalchemy import text

from muru.api.routing import Call, Endpoints, json_response
from muru.errors import DatabaseUnavailable
from muru.keys import AMI, ENGINE, JOBS

endpoints = Endpoints()


class JobView(BaseModel):
    """Times are in UTC, durations and intervals in seconds."""

    interval: float
    running: bool
    last_run: datetime | None
    last_duration: float | None
    last_error: str | None
    next_run: datetime | None
    runs: int
    failures: int


class FlavorView(BaseModel):
    """*state* is active, disabled or faulty; *reason* says why it is not active.

    *template_faults* are about the operator's own templates, which are not used while they last.
    """

    name: str
    module: str
    origin: str
    class_name: str | None
    phone_types: list[str]
    state: str
    reason: str | None
    template_faults: list[str]
    job: JobView | None


class Health(BaseModel):
    status: str
    database: str
    asterisk: str


@endpoints.get("/flavors", access="admin")
async def list_flavors(call: Call) -> list[FlavorView]:
    """List every flavor that was found, with the reason where one is not in use."""
    jobs = call.request.config_dict[JOBS]
    listed = []
    for entry in call.site.registry.listing():
        state = jobs.state(entry.name) if entry.flavor else None
        job = (
            JobView(**{name: getattr(state, name) for name in JobView.model_fields})
            if state
            else None
        )
        listed.append(
            FlavorView(
                name=entry.name,
                module=entry.module,
                origin=entry.origin,
                class_name=entry.class_name,
                phone_types=list(entry.phone_types),
                state=entry.state,
                reason=entry.reason,
                template_faults=call.request.config_dict[ENGINE].templates.faults_of(entry.name),
                job=job,
            )
        )
    return listed


@endpoints.get("/health/live", access="anybody")
async def live(call: Call) -> web.Response:
    """Answer as long as the process works at all."""
    del call
    return json_response({"status": "ok"})


@endpoints.get("/health/ready", access="anybody")
async def ready(call: Call) -> web.Response:
    """Tell whether requests can be served: the database must answer; Asterisk may be away."""
    connected = call.request.config_dict[AMI].state.connected
    health = Health(status="ok", database="ok", asterisk="ok" if connected else "away")
    try:
        async with call.site.database.read() as session:
            await session.execute(text("SELECT 1"))
    except DatabaseUnavailable:
        health.status, health.database = "unavailable", "away"
    return json_response(health, 200 if health.status == "ok" else 503)
