"""What Prometheus reads: who may, what it is told, and that no label grows without bound."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from muru.app import create_app
from muru.asterisk.ami import AmiMessage
from muru.asterisk.registrations import Contact, RegistrationChange, Status
from muru.errors import Forbidden
from muru.keys import ENGINE, METRICS, SITE
from muru.metrics import serve
from muru.provisioning.journal import Visit
from muru.settings import Settings
from muru.testing import tftp
from tests import sip
from tests.conftest import AppClient, Stack, World, configured, free_port
from tests.observe import create, until

TOKEN = "a token of some length"
#: Each has few values, whatever comes from the network.
LABELS = {
    *("method", "route", "status", "le", "flavor", "state", "transport", "answer", "link"),
    *("queue", "log", "job", "end", "version"),
}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(page: str) -> Samples:
    """Return the values of a page by name and labels, after parsing it as Prometheus does."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


async def scrape(world: World, **more: Any) -> Samples:
    async with world.nobody.client.get("/metrics", **more) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/plain"
        return read(await response.text())


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


async def test_metrics_without_asterisk(world: World) -> None:
    """While Asterisk is away all is told that muru knows by itself, and that it is away."""
    samples = await scrape(world)

    assert value(samples, "muru_asterisk_link_up", link="ami") == 0
    assert value(samples, "muru_asterisk_link_up", link="ari") == 0
    assert value(samples, "muru_database_up") == 1
    assert value(samples, "muru_registrations", flavor="sip", state="reachable") == 0
    assert value(samples, "muru_queue_length", queue="effects") == 0
    assert value(samples, "muru_job_runs_total", job="muru sync") == 1
    assert value(samples, "muru_registrations_corrected_total") == 0


async def test_metrics_without_database(
    aiohttp_client: AppClient, make_settings: Callable[..., Settings]
) -> None:
    """Without its database muru goes on telling all the rest."""
    url = SecretStr(f"mariadb://muru:geheim@127.0.0.1:{free_port()}/muru")
    client = await aiohttp_client(create_app(make_settings(database_url=url)))

    async with client.get("/metrics") as response:
        samples = read(await response.text())

    assert value(samples, "muru_database_up") == 0
    assert value(samples, "muru_asterisk_link_up", link="ami") == 0


async def test_requests_are_told_by_pattern(world: World) -> None:
    """A request is counted under its route's pattern: no number, path or token of its own."""
    for path in ("/extensions/2001", "/extensions/2002", "/no/such/1", "/no/such/2"):
        await world.alice.get(path, status=404)
    async with world.nobody.client.delete("/telephoning/secret-token") as response:
        assert response.status == 405

    samples = await scrape(world)

    def count(method: str, route: str) -> float:
        labels = {"method": method, "route": route, "status": "4xx"}
        return value(samples, "muru_http_request_seconds_count", **labels)

    assert count("GET", "/api/v1/extensions/{number}") == 2
    assert count("any", "none") == 3
    assert "secret-token" not in str(samples)
    assert "2001" not in str(samples)


async def test_streams_are_no_slow_requests(world: World) -> None:
    """How long somebody follows a stream is not taken for the time that an answer took."""
    headers = {"Authorization": f"Bearer {world.alice.token}"}
    url = "/api/v1/registrations/stream"
    async with world.nobody.client.get(url, headers=headers) as response:
        await response.content.readline()
        assert value(await scrape(world), "muru_stream_readers") == 1

    assert not [name for name in await scrape(world) if "stream'" in str(name)]


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Basic " + TOKEN, "Bearer é"])
@configured(metrics_token=SecretStr(TOKEN))
async def test_metrics_with_a_wrong_token(world: World, token: str) -> None:
    """Where a token is set, nobody reads without it, not even on the same machine."""
    headers = {"Authorization": token} if token else {}
    async with world.nobody.client.get("/metrics", headers=headers) as response:
        assert response.status == 401


@configured(metrics_token=SecretStr(TOKEN))
async def test_metrics_with_the_token(world: World) -> None:
    """Whoever has the token reads."""
    assert await scrape(world, headers={"Authorization": f"Bearer {TOKEN}"})


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
async def test_metrics_by_a_proxy(world: World, header: str) -> None:
    """Without a token nobody reads by way of a proxy on this machine, whatever it claims."""
    async with world.nobody.client.get("/metrics", headers={header: "127.0.0.1"}) as response:
        assert response.status == 403


async def test_metrics_from_another_machine(world: World) -> None:
    """Without a token nobody reads from another machine."""
    elsewhere = make_mocked_request("GET", "/metrics", app=world.app).clone(remote="192.0.2.7")

    with pytest.raises(Forbidden):
        await serve(elsewhere)


async def test_requests_of_phones_are_told(
    start: Callable[[Settings], Awaitable[World]], make_settings: Callable[..., Settings]
) -> None:
    """What phones ask for is counted by flavor, door and answer."""
    settings = make_settings(
        tftp_host="127.0.0.1", tftp_port=free_port(), enabled_phone_flavors=["sip", "snom"]
    )
    world = await start(settings)
    for _ in range(2):
        async with world.nobody.client.get("/telephoning/snom/nonsense") as response:
            assert response.status == 404
    assert await tftp.read("127.0.0.1", settings.tftp_port or 0, "nonsense") is None

    samples = await scrape(world)

    asked = {"flavor": "none", "answer": "unknown-file"}
    assert value(samples, "muru_provisioning_requests_total", transport="http", **asked) == 2
    assert value(samples, "muru_provisioning_requests_total", transport="tftp", **asked) == 1
    assert value(samples, "muru_tftp_requests_total", end="refused") == 1
    assert value(samples, "muru_tftp_transfers") == 0


async def test_reason_nobody_foresaw_makes_no_label(world: World) -> None:
    """A reason in the log of phones' requests that is not known counts as a refusal."""
    visit = Visit("192.0.2.7", "http", "file", 404, reason="something with 2001 in it")
    world.app[ENGINE].journal.note(visit)

    samples = await scrape(world)

    labels = {"flavor": "none", "transport": "http", "answer": "refused"}
    assert value(samples, "muru_provisioning_requests_total", **labels) == 1


async def test_applications_share_nothing(
    aiohttp_client: AppClient, make_settings: Callable[..., Settings]
) -> None:
    """Two applications in one process count each for itself."""
    first = await aiohttp_client(create_app(make_settings()))
    second = await aiohttp_client(create_app(make_settings()))
    async with first.get("/api/v1/health/live") as response:
        assert response.status == 200

    async with second.get("/metrics") as response:
        assert "health/live" not in await response.text()


def proof(at: datetime, account: str = "2001", service: str = "PJSIP") -> AmiMessage:
    told = at.strftime("%Y-%m-%dT%H:%M:%S.%f%z")
    return AmiMessage("SuccessfulAuth", {"Service": service, "AccountID": account, "EventTV": told})


CONTACT = Contact(
    extension="2001",
    uri="sip:2001@192.0.2.7:5060",
    address="192.0.2.7:5060",
    via_address=None,
    user_agent=None,
    status=Status.UNQUALIFIED,
    rtt_ms=None,
    since=datetime.now(UTC),
    expires_at=None,
)


async def test_lag_is_from_asterisks_event(settings: Settings) -> None:
    """The lag is told by Asterisk's time of the event, and only of phones that were not there."""
    app = create_app(settings)
    lag = app[METRICS]._lag
    ago = datetime.now(UTC) - timedelta(seconds=0.3)

    lag.begin(proof(ago))
    lag.end(RegistrationChange("added", CONTACT))
    lag.begin(proof(ago))
    lag.end(RegistrationChange("updated", CONTACT))  # maybe it called somebody
    lag.begin(proof(ago - timedelta(hours=1)))
    lag.end(RegistrationChange("added", CONTACT))
    lag.begin(proof(ago, service="AMI"))
    lag.begin(AmiMessage("SuccessfulAuth", {"Service": "PJSIP", "EventTV": "nonsense"}))
    lag.end(RegistrationChange("added", replace(CONTACT, extension="")))
    lag.begin(proof(datetime.now(UTC) + timedelta(seconds=5)))  # of a clock that is ahead
    lag.end(RegistrationChange("added", CONTACT))

    samples = read((await app[METRICS].page()).decode())
    await app[SITE].database.dispose()
    assert value(samples, "muru_registration_lag_seconds_count") == 2
    assert 0.3 <= value(samples, "muru_registration_lag_seconds_sum") < 1


async def test_lag_forgets(settings: Settings) -> None:
    """Proofs of passwords after which no phone came are not kept without bound."""
    app = create_app(settings)
    lag = app[METRICS]._lag
    for number in range(10_100):
        lag.begin(proof(datetime.now(UTC), account=str(number)))

    assert len(lag._awaited) == 10_000
    await app[SITE].database.dispose()


async def test_metrics_with_asterisk(stack: Stack) -> None:
    """A phone that registers at the real Asterisk shows by its flavor and state, and its lag."""
    await sip.register(stack.sip_server, *await create(stack.alice, "2001"))
    await until(lambda: stack.alice.get("/registrations"))

    samples = await scrape(stack)

    assert {label for _, labels in samples for label, _ in labels} <= LABELS
    assert value(samples, "muru_asterisk_link_up", link="ami") == 1
    assert value(samples, "muru_registrations", flavor="sip", state="unqualified") == 1
    assert value(samples, "muru_extensions", flavor="sip") == 1
    assert value(samples, "muru_registration_lag_seconds_count") == 1
    assert value(samples, "muru_registration_lag_seconds_sum") < 5
    assert value(samples, "muru_ami_events_total") > 1
