"""Puts the parts together: one application per call, with no state shared between two."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any

from aiohttp import web

from muru import metrics
from muru.addresses import forwarded
from muru.api import (
    auth,
    devices,
    diagnosis,
    diagnostics,
    dialplan,
    extensions,
    groups,
    local,
    media,
    openapi,
    pages,
    provisioning,
    registrations,
    system,
    users,
)
from muru.api.problems import problems
from muru.api.requests import watch
from muru.api.routing import PREFIX, json_response
from muru.asterisk.ami import Ami
from muru.asterisk.ari import Ari
from muru.asterisk.call_log import CallLog
from muru.asterisk.config import secrets_of
from muru.asterisk.effects import Effects
from muru.asterisk.registrations import Registrations
from muru.asterisk.security import Security
from muru.db import migrations
from muru.db.sessions import Database
from muru.errors import DatabaseUnavailable, MuruError
from muru.flavor import PhoneFlavor
from muru.jobs import Jobs
from muru.keys import (
    AMI,
    ARI,
    CALLS,
    DIAGNOSIS,
    DOORS,
    ENGINE,
    FEED,
    HISTORY,
    JOBS,
    LOGIN_LIMITER,
    METRICS,
    OVERVIEW,
    REGISTRATIONS,
    RESYNCS,
    SECURITY,
    SELFTESTS,
    SITE,
    USER_AGENTS,
)
from muru.provisioning import doors
from muru.provisioning.engine import Engine
from muru.registry import Entry, Registry, describe, discover
from muru.services import audit, claims, phones
from muru.services.calls import Calls
from muru.services.diagnosis import Sources
from muru.services.history import History
from muru.services.media import tidy as tidy_media
from muru.services.overview import Overview
from muru.services.reconcile import reconcile, remove_orphan_contacts
from muru.services.registrations import Feed
from muru.services.resync import Resyncs
from muru.services.selftest import SelfTests
from muru.services.site import Site
from muru.services.starcodes import StarCodes
from muru.services.user_agents import UserAgents
from muru.services.users import LoginLimiter
from muru.settings import Settings
from muru.web.app import add_web, as_pages

_log = logging.getLogger(__name__)

_MODULES = (
    *(auth, users, extensions, groups, media, provisioning, devices, registrations),
    *(dialplan, diagnosis, diagnostics, pages, system),
)
_TIDY_JOB, _TIDY_INTERVAL = "muru tidy", 300.0
_SYNC_JOB = "muru sync"  # with a space: the jobs of flavors are named after classes
_START_PATIENCE = 1.0  # seconds that the start waits for the first call of jobs, which go on
_CLI_PATIENCE = 2.0  # seconds that a command waits for Asterisk


def create_app(settings: Settings) -> web.Application:
    """Return the application; nothing is opened or started before it runs."""
    believing = [forwarded(settings.trusted_proxies)] if settings.trusted_proxies else []
    app = web.Application(middlewares=[watch, *believing, as_pages, problems])
    ami = _ami(settings)
    app[AMI] = ami
    app[ARI] = _ari(settings)
    app[REGISTRATIONS] = Registrations(ami)
    app[SITE] = _create_site(settings, Effects(ami, app[ARI], app[REGISTRATIONS]))
    _add_followers(app)
    app[SECURITY] = Security(ami)
    app[DIAGNOSIS] = Sources(app[SITE], ami, app[REGISTRATIONS], app[SECURITY], CallLog(ami))
    app[JOBS] = Jobs(start_timeout=_START_PATIENCE)
    app[LOGIN_LIMITER] = LoginLimiter()
    _add_api(app)
    _add_flavor_routes(app, app[SITE].registry, settings.telephoning_prefix)
    app[ENGINE] = Engine(app[SITE])
    app[RESYNCS] = Resyncs(app[SITE], ami, app[REGISTRATIONS], app[ENGINE].journal)
    app[SELFTESTS] = SelfTests(app[SITE], app[ARI], app[REGISTRATIONS], app[DIAGNOSIS].calls)
    StarCodes(app[SITE], app[ARI])
    app[CALLS] = Calls(app[SITE], app[ARI], app[REGISTRATIONS], app[RESYNCS])
    app[DOORS] = []
    app[METRICS] = metrics.Metrics(app)
    app.router.add_get("/metrics", metrics.serve)
    doors.add_http(app, settings.telephoning_prefix)
    add_web(app)
    # In the order in which they need each other; ended in reverse.
    app.cleanup_ctx.extend((_database, _asterisk, _jobs, _provisioning, local.open_door))
    return app


def _add_followers(app: web.Application) -> None:
    """Add what is made of registrations as they change."""
    site, tracker = app[SITE], app[REGISTRATIONS]
    app[USER_AGENTS] = UserAgents(site.registry)
    app[FEED] = Feed(tracker, site.database, registrations.writer(app[USER_AGENTS]))
    app[HISTORY] = History(site.database, tracker, days=site.settings.history_days)
    app[OVERVIEW] = Overview(site, tracker)

    async def end_streams(_: web.Application) -> None:
        app[FEED].close()

    app.on_shutdown.append(end_streams)


@asynccontextmanager
async def open_site(settings: Settings, *, asterisk: bool = True) -> AsyncIterator[Site]:
    """Open the site for one command, without the web; Asterisk hears of changes if it is there.

    A command that changes nothing does without *asterisk*.
    """
    ami = _ami(settings)
    site = _create_site(settings, Effects(ami, _ari(settings)))
    try:
        await _prepare_tables(site)
        if asterisk:
            site.effects.start()
            await ami.start()
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLI_PATIENCE):
                    await ami.tried.wait()
        yield site
    finally:
        await site.effects.stop()
        await ami.stop()
        await site.database.dispose()


@asynccontextmanager
async def open_sources(settings: Settings) -> AsyncIterator[Sources]:
    """Open what a diagnosis asks, for one command beside no controller."""
    ami = _ami(settings)
    tracker = Registrations(ami)
    site = _create_site(settings, Effects(ami, _ari(settings), tracker))
    sources = Sources(site, ami, tracker, Security(ami), CallLog(ami))
    try:
        await _prepare_tables(site)
        await tracker.start()
        await ami.start()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLI_PATIENCE):
                await ami.tried.wait()
                await tracker.ready.wait()
        yield sources
    finally:
        await ami.stop()
        await tracker.stop()
        await site.database.dispose()


async def check_flavors(settings: Settings) -> list[Entry]:
    """Return all flavors, after those checks that only a running application makes."""
    app = create_app(settings)
    await app[SITE].database.dispose()
    return app[SITE].registry.listing()


def _ami(settings: Settings) -> Ami:
    return Ami(
        host=settings.ami_host,
        port=settings.ami_port,
        username=settings.ami_username,
        secret=secrets_of(settings).ami,
    )


def _ari(settings: Settings) -> Ari:
    return Ari(
        host=settings.asterisk_http_host,
        port=settings.asterisk_http_port,
        username=settings.ari_username,
        secret=secrets_of(settings).ari,
    )


def _create_site(settings: Settings, effects: Effects) -> Site:
    database = Database(settings.database, settings.asterisk_database)
    return Site(settings, database, discover(settings), effects)


def _add_api(app: web.Application) -> None:
    routes = [route for module in _MODULES for route in module.endpoints.routes]

    @cache  # made when it is asked for: that takes as long as all the rest of the start
    def document() -> dict[str, Any]:
        return openapi.document(routes)

    async def describe(_: web.Request) -> web.Response:
        return json_response(document())

    for route in routes:
        app.router.add_route(route.method, route.path, route.handle)
        if route.head:
            app.router.add_route("HEAD", route.path, route.handle)
    app.router.add_get(f"{PREFIX}/openapi.json", describe)


def _add_flavor_routes(app: web.Application, registry: Registry, prefix: str) -> None:
    for entry, flavor in list(registry.active()):
        router = web.RouteTableDef()
        try:
            flavor.generate_routes(router)
            if router:
                subapp = web.Application()
                subapp.add_routes([_as_aiohttp_has_it(route) for route in router])
                if flavor.FILES:
                    doors.add_http(subapp, "")
                app.add_subapp(f"/{prefix}/{entry.name}/", subapp)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            _log.error("flavor %s cannot add its routes", entry.name, exc_info=error)
            registry.disable(entry, f"generate_routes: {describe(error)}")


def _as_aiohttp_has_it(route: web.AbstractRouteDef) -> web.AbstractRouteDef:
    """Let a flavor's handler be plainer than aiohttp's: see ``PhoneFlavor.generate_routes``."""
    if not isinstance(route, web.RouteDef) or inspect.isclass(route.handler):
        return route
    handler: Callable[..., Any] = route.handler
    in_loop, asks = inspect.iscoroutinefunction(handler), inspect.signature(handler).parameters

    async def handle(request: web.Request) -> web.StreamResponse:
        arguments = (request,) if asks else ()
        call = handler(*arguments) if in_loop else asyncio.to_thread(handler, *arguments)
        answer = await call
        if inspect.isawaitable(answer):  # a decorator can hide that the handler is async
            answer = await answer
        return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)

    return web.RouteDef(route.method, route.path, handle, route.kwargs)


async def _database(app: web.Application) -> AsyncIterator[None]:
    site = app[SITE]
    try:
        await _prepare_tables(site)
    except DatabaseUnavailable as error:
        _log.error("%s; muru starts without it, and goes on trying", error)
    except MuruError as error:
        _log.error("%s", error)
    yield
    await site.database.dispose()


async def _prepare_tables(site: Site) -> None:
    """Bring the tables up to date where the database is muru's own.

    Raises:
        MuruError: it is not, and they are not up to date.
        DatabaseUnavailable: it is away.
    """
    if site.settings.database_url is None:
        site.settings.make_data_dir()
        await migrations.upgrade(site.database)
    elif behind := await migrations.behind(site.database):
        raise MuruError(f"The tables ({', '.join(behind)}) are not up to date: run muru db upgrade")


async def _asterisk(app: web.Application) -> AsyncIterator[None]:
    site, registrations = app[SITE], app[REGISTRATIONS]
    site.effects.start()
    await app[HISTORY].load()
    app[HISTORY].start()
    app[FEED].start()
    await registrations.start()
    await app[AMI].start()
    await app[ARI].start()
    yield
    await app[ARI].stop()
    await app[AMI].stop()
    await registrations.stop()
    await app[FEED].stop()
    await app[HISTORY].stop()
    await site.effects.stop()


async def _jobs(app: web.Application) -> AsyncIterator[None]:
    site, jobs = app[SITE], app[JOBS]
    await jobs.start()

    async def sync() -> None:
        await _sync(site)
        if app[AMI].state.connected:
            await remove_orphan_contacts(site, app[AMI])

    async def tidy() -> None:
        if app[REGISTRATIONS].ready.is_set():  # else it is not known who is there
            registered = frozenset(each.extension for each in app[REGISTRATIONS].contacts())
            await claims.forget_unused(site, registered)
        await app[ENGINE].journal.prune()
        await app[HISTORY].prune()
        await audit.prune(site)
        await tidy_media(site)

    app[AMI].on_login(lambda: jobs.run_soon(_SYNC_JOB, 2.0))
    # Its first call mends what a crash may have left behind.
    await asyncio.gather(
        jobs.add(_SYNC_JOB, sync, site.settings.sync_interval),
        jobs.add(_TIDY_JOB, tidy, _TIDY_INTERVAL),
        *(_add_job(site.registry, jobs, *each) for each in list(site.registry.active())),
    )
    runner = asyncio.create_task(
        phones.follow(site, jobs, app[REGISTRATIONS]), name="jobs by registration"
    )
    yield
    runner.cancel()
    await asyncio.gather(runner, return_exceptions=True)
    await jobs.stop()


async def _provisioning(app: web.Application) -> AsyncIterator[None]:
    site, engine = app[SITE], app[ENGINE]
    engine.start()
    app[RESYNCS].start()
    servers = app[DOORS]
    if site.settings.tftp_port != 0:
        servers.append(doors.tftp_server(engine, site.settings))
    if site.settings.pnp:
        servers.append(doors.pnp_server(engine, site.settings))
    for server in list(servers):
        try:
            await server.start()
        except OSError as error:
            servers.remove(server)
            _log.error("phones cannot use %s: %s", type(server).__name__, error)
    yield
    while servers:
        await servers.pop().stop()
    await app[RESYNCS].stop()
    await engine.stop()


async def _add_job(registry: Registry, jobs: Jobs, entry: Entry, flavor: PhoneFlavor) -> None:
    try:
        await jobs.add(entry.name, flavor.job, flavor.JOB_INTERVAL)
    except ValueError as error:
        registry.disable(entry, f"job: {error}")


async def _sync(site: Site) -> None:
    report = await reconcile(site)
    if report.changes:
        _log.warning(
            "Asterisk's tables differed from the extensions: %d rows mended", len(report.changes)
        )
    for change in report.foreign:
        _log.warning("%s %r is not muru's, and in the way", change.table, change.row_key)
    for number, reason in report.skipped.items():
        _log.warning("extension %s is left as it is: %s", number, reason)
