"""What Prometheus reads. Most of it is looked up when it is scraped, in the parts that know it.

One registry per application, so that two in one process share nothing. Each label has few values,
all of them of muru's own making: no path, address, number or token becomes one.
"""

import asyncio
from collections import Counter as Count
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from hmac import compare_digest
from ipaddress import ip_network

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

import muru
from muru.addresses import is_within
from muru.asterisk.ami import AmiMessage
from muru.asterisk.registrations import RegistrationChange, Status
from muru.errors import DatabaseUnavailable, Forbidden, Unauthenticated
from muru.keys import (
    AMI,
    ARI,
    DOORS,
    ENGINE,
    FEED,
    HISTORY,
    JOBS,
    METRICS,
    REGISTRATIONS,
    RESYNCS,
    SITE,
)
from muru.provisioning.journal import Visit
from muru.provisioning.pnp import PnpServer
from muru.provisioning.tftp.server import TftpServer
from muru.services import phones

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_DATABASE_PATIENCE = 2.0  # seconds
_AWAITED = 10_000  # phones whose registration is about to be seen
_STALE = 60.0  # seconds; a proof of a password that is older was of something else
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_FORWARDED = {"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP"}
_NOBODY = "none"  # the flavor of a number that is no extension's, and of a file that nobody has

#: How a request of a phone ended, by the reason that is in its log.
_ANSWERS = {
    "": "given",
    "no proof: a temporary account": "temporary",
    "no proof": "no-proof",
    "only phones get this": "no-proof",
    "too many requests without a proof": "too-many",
    "no flavor has such a file": "unknown-file",
    "its template is broken": "fault",
}
# Of the counters of a server: which of them are ends of a request, each of which has one.
_TFTP_ENDS = ("repeated", "busy", "refused", "failed", "served", "timeouts", "aborted")
_PNP_ENDS = ("answered", "ignored", "repeated", "busy", "failed")


class Metrics:
    """All that is told of one application."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self.registry = CollectorRegistry()
        self._parts = _Parts(app)
        self._requests = Histogram(
            "muru_http_request_seconds",
            "Time that HTTP requests took, by the route's pattern and the class of the status",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._counted: dict[tuple[web.AbstractRoute | None, int], Histogram] = {}
        self._visits = Counter(
            "muru_provisioning_requests",
            "Requests of phones for files, by flavor, transport and what they got",
            ["flavor", "transport", "answer"],
            registry=self.registry,
        )
        self._lag = _Lag(self.registry)
        self.registry.register(self._parts)
        ProcessCollector(registry=self.registry)
        app[ENGINE].journal.subscribe(self._note_visit)
        app[AMI].subscribe(self._lag.begin, "SuccessfulAuth")
        app[REGISTRATIONS].subscribe(self._lag.end)

    async def page(self) -> bytes:
        """Return what is told now, in Prometheus' text format."""
        await self._parts.look_up_types()
        return generate_latest(self.registry)

    def note_request(self, request: web.Request, status: int, seconds: float) -> None:
        route = request.match_info.route
        key = (route if route.resource else None, status // 100)  # else each is an object anew
        counted = self._counted.get(key)
        if counted is None:
            labels = (*route_of(request), f"{status // 100}xx")
            counted = self._counted[key] = self._requests.labels(*labels)
        counted.observe(seconds)

    def _note_visit(self, visit: Visit) -> None:
        answer = _ANSWERS.get(visit.reason, "refused")
        self._visits.labels(visit.flavor or _NOBODY, visit.transport, answer).inc()


def route_of(request: web.Request) -> tuple[str, str]:
    """Return the method and the pattern of the route that a request matches."""
    route = request.match_info.route
    if route.resource is None:
        return "any", "none"
    return route.method, route.resource.canonical


class _Lag:
    """Measures from Asterisk's event that a phone proved its password until muru shows the phone.

    By the time in the event, so that what waits in a socket counts as well. It can be told only of
    phones that were not registered: of others a proof may be about a call.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._awaited: OrderedDict[str, datetime] = OrderedDict()
        self._seconds = Histogram(
            "muru_registration_lag_seconds",
            "Time from Asterisk's event of a new registration until muru shows it",
            buckets=_SECONDS,
            registry=registry,
        )

    def begin(self, event: AmiMessage) -> None:
        if event.headers.get("Service") != "PJSIP":
            return
        try:
            at = datetime.strptime(event.headers.get("EventTV", ""), "%Y-%m-%dT%H:%M:%S.%f%z")
        except ValueError:
            return
        self._awaited[event.headers.get("AccountID", "")] = at
        if len(self._awaited) > _AWAITED:
            self._awaited.popitem(last=False)

    def end(self, change: RegistrationChange) -> None:
        at = self._awaited.pop(change.contact.extension, None)
        if at is None or change.kind != "added":
            return
        seconds = (datetime.now(UTC) - at).total_seconds()
        if seconds <= _STALE:
            self._seconds.observe(max(seconds, 0.0))


class _Parts(Collector):
    """Reads the parts of an application."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._types: Mapping[str, str] | None = None  # by extension

    async def look_up_types(self) -> None:
        """Look up which type each extension has; without its database muru tells all the rest."""
        try:
            async with asyncio.timeout(_DATABASE_PATIENCE):
                self._types = await phones.types_of_all(self._app[SITE])
        except (DatabaseUnavailable, TimeoutError):
            self._types = None

    def collect(self) -> Iterable[Metric]:
        app = self._app
        yield _gauge("muru_info", "Version of muru", {muru.__version__: 1}, "version")
        yield _gauge(
            "muru_database_up", "Whether the database answers", int(self._types is not None)
        )
        yield from self._extensions()
        yield from _asterisk(app)
        yield from _queues(app)
        yield from _jobs(app)
        yield from _doors(app)

    def _extensions(self) -> Iterator[Metric]:
        flavors = [entry.name for entry, _ in self._app[SITE].registry.active()]
        if self._types is not None:
            owned = Count(map(self._flavor, self._types))
            told = {name: owned[name] for name in [*flavors, *owned]}
            yield _gauge("muru_extensions", "Extensions, by flavor", told, "flavor")
        contacts = self._app[REGISTRATIONS].contacts()
        found = Count((self._flavor(each.extension), each.status.value) for each in contacts)
        names = dict.fromkeys([*flavors, _NOBODY, *(flavor for flavor, _ in found)])
        metric = GaugeMetricFamily(
            "muru_registrations", "Registered phones", labels=["flavor", "state"]
        )
        for flavor in names:
            for status in Status:
                metric.add_metric([flavor, status.value], found[flavor, status.value])
        yield metric

    def _flavor(self, number: str) -> str:
        registry = self._app[SITE].registry
        flavor = registry.for_type((self._types or {}).get(number, ""))
        return registry.entry_of(flavor).name if flavor else _NOBODY


def _asterisk(app: web.Application) -> Iterator[Metric]:
    ami, feed = app[AMI], app[FEED]
    links = {"ami": int(ami.state.connected), "ari": int(app[ARI].connected)}
    yield _gauge("muru_asterisk_link_up", "Whether muru is connected to Asterisk", links, "link")
    yield _counter("muru_ami_links_lost", "Links to AMI that were lost", ami.losses)
    yield _counter("muru_ami_events", "Events that Asterisk sent by AMI", ami.traffic.events)
    yield _counter("muru_ami_bytes", "Bytes that Asterisk sent by AMI", ami.traffic.bytes)
    yield _counter(
        "muru_registrations_corrected",
        "Registrations of which no event told, found by a snapshot",
        app[REGISTRATIONS].corrected,
    )
    yield _gauge("muru_stream_readers", "Readers of the stream of registrations", feed.readers)
    yield _counter(
        "muru_stream_readers_dropped", "Readers that were dropped as too slow", feed.dropped
    )


def _queues(app: web.Application) -> Iterator[Metric]:
    yield _gauge("muru_queue_length", "What waits to be done", queues(app), "queue")
    dropped = {
        "provisioning_log": app[ENGINE].journal.dropped,
        "registration_history": app[HISTORY].dropped,
    }
    yield _counter("muru_log_entries_dropped", "Entries of a log that were lost", dropped, "log")


def queues(app: web.Application) -> dict[str, int]:
    """Return how much waits in each queue: changes for Asterisk, phones to tell, log entries."""
    return {
        "effects": app[SITE].effects.pending,
        "resyncs": app[RESYNCS].waiting,
        "provisioning_log": app[ENGINE].journal.waiting,
        "registration_history": app[HISTORY].waiting,
    }


def _jobs(app: web.Application) -> Iterator[Metric]:
    states = app[JOBS].states()
    runs = {each.name: each.runs for each in states}
    failures = {each.name: each.failures for each in states}
    seconds = {each.name: each.last_duration for each in states if each.last_duration is not None}
    yield _counter("muru_job_runs", "Runs of a job", runs, "job")
    yield _counter("muru_job_failures", "Runs of a job that failed", failures, "job")
    yield _gauge("muru_job_last_seconds", "Time that a job's last run took", seconds, "job")


def _doors(app: web.Application) -> Iterator[Metric]:
    for server in app[DOORS]:
        counted = {name: int(count) for name, count in asdict(server.counters).items()}
        match server:
            case TftpServer():
                yield from _server("muru_tftp", "TFTP", counted, _TFTP_ENDS)
                yield _gauge("muru_tftp_transfers", "TFTP transfers under way", server.active)
            case PnpServer():
                yield from _server("muru_pnp", "SIP plug and play", counted, _PNP_ENDS)


def _server(
    prefix: str, name: str, counted: Mapping[str, int], ends: tuple[str, ...]
) -> Iterator[Metric]:
    told = {end: counted[end] for end in ends}
    yield _counter(f"{prefix}_requests", f"{name} requests, by how they ended", told, "end")
    for key, count in counted.items():
        if key not in ends and key != "requests":
            yield _counter(f"{prefix}_{key}", f"{name}: {key}", count)


def _gauge(
    name: str, text: str, values: Mapping[str, float] | float, label: str = ""
) -> GaugeMetricFamily:
    if not isinstance(values, Mapping):
        return GaugeMetricFamily(name, text, value=values)
    metric = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        metric.add_metric([key], value)
    return metric


def _counter(
    name: str, text: str, values: Mapping[str, float] | float, label: str = ""
) -> CounterMetricFamily:
    if not isinstance(values, Mapping):
        return CounterMetricFamily(name, text, value=values)
    metric = CounterMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        metric.add_metric([key], value)
    return metric


async def serve(request: web.Request) -> web.Response:
    """Answer ``GET /metrics``: to whoever has the token, or, where none is set, to this machine.

    Raises:
        Unauthenticated: the token lacks or is wrong.
        Forbidden: no token is set, and the request is from elsewhere.
    """
    _check_reader(request)
    page = await request.app[METRICS].page()
    headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
    return web.Response(body=page, headers=headers)


def _check_reader(request: web.Request) -> None:
    token = request.app[SITE].settings.metrics_token
    if token is None:
        # A proxy on this machine makes everybody come from here: what it tells of them is a no.
        if _FORWARDED.isdisjoint(request.headers) and is_within(request.remote or "", _LOOPBACK):
            return
        raise Forbidden("Set MURU_METRICS_TOKEN to read metrics from another machine.")
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    expected = token.get_secret_value().encode()
    if scheme.lower() != "bearer" or not compare_digest(given.strip().encode(), expected):
        raise Unauthenticated("Reading metrics needs the token MURU_METRICS_TOKEN.")
