"""The operator's view of Asterisk, and what may be done there by hand. For administrators."""

from dataclasses import asdict
from datetime import datetime

from pydantic import BaseModel, Field

from muru.api.routing import Call, Endpoints, Input, PageQuery
from muru.asterisk import console
from muru.asterisk.ami import LinkState
from muru.asterisk.console import Channel
from muru.errors import AriUnavailable
from muru.keys import AMI, ARI, JOBS
from muru.metrics import queues
from muru.services import audit, operations

endpoints = Endpoints()

_NUMBER = "{number:\\d{1,15}}"


class LinkView(BaseModel):
    """*reason* says why it is not connected. *history* has the former states, the oldest first."""

    connected: bool
    since: datetime
    reason: str
    losses: int
    history: list[LinkState]


class AsteriskView(BaseModel):
    """*modules* is None if ARI does not tell, and *modules_reason* says why."""

    version: str
    started_at: datetime | None
    reloaded_at: datetime | None
    calls: int
    ari_connected: bool
    modules: dict[str, str] | None = None
    modules_reason: str = ""


class QueuesView(BaseModel):
    """How much waits, and which jobs run just now.

    *effects* are changes that Asterisk is not told of yet, *resyncs* phones that are to fetch their
    files again; requests and registrations in the other two are not written into the database yet.
    """

    effects: int
    resyncs: int
    provisioning_log: int
    registration_history: int
    running_jobs: list[str]


class ContactChoice(Input):
    uri: str = Field(max_length=500)


class ModuleChoice(Input):
    module: str = Field("res_pjsip.so", max_length=64)


class Command(Input):
    command: str = Field(min_length=1, max_length=200)


class Output(BaseModel):
    output: str


class AuditView(BaseModel):
    """*outcome* is empty for what was done, else says how it ended."""

    at: datetime
    username: str
    action: str
    target: str
    outcome: str


class AuditPage(BaseModel):
    items: list[AuditView]
    total: int


@endpoints.get("/diagnostics/ami", access="admin")
async def get_ami_link(call: Call) -> LinkView:
    """Tell whether Asterisk's manager interface is connected, since when, and if not why."""
    ami = call.request.config_dict[AMI]
    return LinkView(**asdict(ami.state), losses=ami.losses, history=list(ami.history))


@endpoints.get("/diagnostics/asterisk", access="admin")
async def get_asterisk(call: Call) -> AsteriskView:
    """Tell Asterisk's version, since when it runs, how many calls there are, and its modules."""
    ari = call.request.config_dict[ARI]
    core = await console.core(call.request.config_dict[AMI])
    view = AsteriskView(**asdict(core), ari_connected=ari.connected)
    try:
        view.modules = await ari.modules()
    except AriUnavailable as error:
        view.modules_reason = error.message
    return view


@endpoints.get("/diagnostics/channels", access="admin")
async def list_channels(call: Call) -> list[Channel]:
    """List who talks to whom: each side of each call."""
    return await console.channels(call.request.config_dict[AMI])


@endpoints.get("/diagnostics/queues", access="admin")
async def get_queues(call: Call) -> QueuesView:
    """Tell what waits to be done."""
    app = call.request.app
    running = [each.name for each in app[JOBS].states() if each.running]
    return QueuesView(**queues(app), running_jobs=running)


@endpoints.delete("/diagnostics/channels/{id}", access="admin")
async def hang_up(call: Call) -> None:
    """Hang a channel up."""
    ami, ari = call.request.config_dict[AMI], call.request.config_dict[ARI]
    await operations.hang_up(call.site, ami, ari, call.actor, call.path("id"))


@endpoints.post(f"/diagnostics/extensions/{_NUMBER}/qualify", access="admin", status=202)
async def qualify(call: Call) -> None:
    """Have Asterisk ask an extension's phones now whether they are there."""
    ami = call.request.config_dict[AMI]
    await operations.qualify(call.site, ami, call.actor, call.path("number"))


@endpoints.post(f"/diagnostics/extensions/{_NUMBER}/unregister", access="admin", status=202)
async def unregister(call: Call, body: ContactChoice) -> None:
    """Make Asterisk forget a registered phone, until it registers again."""
    ami = call.request.config_dict[AMI]
    await operations.unregister(call.site, ami, call.actor, call.path("number"), body.uri)


@endpoints.post("/diagnostics/reload", access="admin")
async def reload(call: Call, body: ModuleChoice) -> None:
    """Have Asterisk read the configuration of a module again."""
    await operations.reload(call.site, call.request.config_dict[ARI], call.actor, body.module)


@endpoints.post("/diagnostics/console", access="admin")
async def run_command(call: Call, body: Command) -> Output:
    """Run a command of Asterisk's console that MURU_CONSOLE_COMMANDS allows."""
    output = await operations.run_command(call.site, call.actor, body.command)
    return Output(output=output)


@endpoints.get("/audit", access="admin")
async def list_audit_log(call: Call, query: PageQuery) -> AuditPage:
    """List what administrators did, the newest first."""
    found, total = await audit.list_entries(call.site, call.actor, **query.model_dump())
    views = [
        AuditView(**{name: getattr(entry, name) for name in AuditView.model_fields})
        for entry in found
    ]
    return AuditPage(items=views, total=total)
