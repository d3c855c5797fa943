"""The dashboard in docs/grafana shows what muru tells, under the names by which it tells it."""

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from muru.keys import DOORS, ENGINE, METRICS
from muru.provisioning import doors
from muru.provisioning.journal import Visit
from muru.settings import Settings
from tests.conftest import World

DASHBOARD = Path(__file__).parent.parent / "docs/grafana/muru.json"

#: Those that Prometheus itself adds to what it scrapes.
ADDED = {"instance"}


def expressions() -> Iterator[str]:
    """Yield all queries, those of variables among them."""

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            for key, value in node.items():
                if key in {"expr", "definition"}:
                    yield value
                yield from walk(value)
        elif isinstance(node, list):
            for each in node:
                yield from walk(each)

    return walk(json.loads(DASHBOARD.read_text(encoding="utf-8")))


async def told(world: World) -> dict[str, set[str]]:
    """Return the labels of each metric that an application tells when all parts are in use."""
    app, settings = world.app, world.site.settings
    app[DOORS].append(doors.tftp_server(app[ENGINE], settings))
    app[DOORS].append(doors.pnp_server(app[ENGINE], settings))
    app[ENGINE].journal.note(Visit("192.0.2.7", "http", "file", 200))
    await world.nobody.get("/health/live")
    page = (await app[METRICS].page()).decode()
    names: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            names.setdefault(sample.name, set()).update(sample.labels)
    return names


async def test_dashboard_uses_metrics_that_exist(
    start: Callable[[Settings], Awaitable[World]], make_settings: Callable[..., Settings]
) -> None:
    """Each query names metrics that muru has, and only labels that they have."""
    metrics = await told(await start(make_settings()))
    queries = list(expressions())
    assert len(queries) > 20

    for query in queries:
        names = set(re.findall(r"\b(?:muru|process)_\w+", query))
        assert names, query
        assert names <= metrics.keys(), query
        labels = set().union(*(metrics[name] for name in names)) | ADDED
        grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", query)
        used = {label.strip() for each in grouped for label in each.split(",")}
        used |= set(re.findall(r"(\w+)=~?\"", query))
        assert used <= labels, query


async def test_dashboard_leaves_no_metric_out(
    start: Callable[[Settings], Awaitable[World]], make_settings: Callable[..., Settings]
) -> None:
    """What muru tells is shown, but for details that one looks for when something is wrong."""
    metrics = await told(await start(make_settings()))
    families = {
        re.sub(r"_(bucket|count|sum|created)$", "", name)
        for name in metrics
        if name.startswith("muru_")
    }
    shown = {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for query in expressions()
        for name in re.findall(r"\bmuru_\w+", query)
    }

    details = {
        *("muru_job_runs_total", "muru_tftp_bytes_total", "muru_tftp_malformed_total"),
        *("muru_tftp_transfers", "muru_pnp_confirmed_total", "muru_pnp_refused_total"),
        *("muru_pnp_retransmits_total", "muru_pnp_foreign_total", "muru_pnp_malformed_total"),
        "muru_provisioning_requests",  # its _created
    }
    assert families - shown - details == set()
