"""``muru doctor`` examines the installation, ``muru doctor NUMBER`` the phone of an extension.

For the latter the running controller is asked, by the socket in the data folder. Where none runs,
the command looks for itself; what only a controller can have heard is then unknown.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from muru.errors import MuruError, NotFound
from muru.settings import Settings

# The other modules are imported where they are used, so that --help and a typo answer at once.

_ANSWERS_WITHIN = 30.0  # seconds


def add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "number", nargs="?", help="an extension whose phone does not work; else all is examined"
    )
    parser.add_argument("--json", action="store_true", help="print data as JSON")


async def doctor(settings: Settings, options: argparse.Namespace) -> int:
    """Print the diagnosis; 1 if something is wrong."""
    from muru.cli import print_json

    if options.number is None:
        return await _examine(settings, as_json=options.json)
    found = await _ask_controller(settings, options.number)
    if found is None:
        print(
            "muru: No controller runs on these data: who logged in, and the last call, is unknown.",
            file=sys.stderr,
        )
        found = await _look(settings, options.number)
    if options.json:
        print_json(found)
    else:
        _print(found)
    return 0 if found["ok"] else 1


async def _examine(settings: Settings, *, as_json: bool) -> int:
    """Print what is found of the installation; 1 if there is a fault. A warning is none."""
    from muru.cli import print_json
    from muru.doctor import examine

    findings = []
    async for each in examine(settings):
        findings.append(each)
        if not as_json:
            print(f"{each.level:8}{each.check}: {each.text}")
            if each.remedy:
                print(f"{'':8}-> {each.remedy}")
    if as_json:
        print_json([asdict(each) for each in findings])
    return 1 if any(each.level == "fault" for each in findings) else 0


async def _ask_controller(settings: Settings, number: str) -> dict[str, Any] | None:
    """Return what the controller says; None if none runs."""
    import aiohttp

    from muru.api.local import socket_path

    if not (number.isascii() and number.isdecimal()):
        raise NotFound(f"{number!r} is no number.")
    timeout = aiohttp.ClientTimeout(total=_ANSWERS_WITHIN)
    connector = aiohttp.UnixConnector(str(socket_path(settings)))
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(f"http://muru/extensions/{number}/diagnosis") as response,
        ):
            answer: dict[str, Any] = json.loads(await response.text())
    except aiohttp.ClientConnectionError:
        return None
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise MuruError(f"The controller does not answer as it should: {error!r}") from error
    if response.status != 200:
        raise MuruError(answer.get("detail") or f"The controller answers {response.status}.")
    return answer


async def _look(settings: Settings, number: str) -> dict[str, Any]:
    from muru.api.diagnosis import DiagnosisView
    from muru.app import open_sources
    from muru.services.diagnosis import diagnose
    from muru.services.site import OPERATOR

    async with open_sources(settings) as sources:
        found = await diagnose(sources, OPERATOR, number)
    return DiagnosisView.of(found).model_dump(mode="json")


def _print(found: Mapping[str, Any]) -> None:
    from muru.cli import print_table

    if found["ok"]:
        print(f"Nothing is known to be wrong with {found['number']}.")
    else:
        print(
            f"{found['number']}: {found['cause']}", found["text"], found["operator_text"], sep="\n"
        )
    print()
    print_table((link["state"], link["name"], _shown(link["facts"])) for link in found["links"])


def _shown(facts: Mapping[str, Any]) -> str:
    """Return the facts of a link on one line; of lists the first entry."""
    firsts = {
        name: value[0] if isinstance(value, list) and value else value
        for name, value in facts.items()
    }
    parts = []
    for name, value in firsts.items():
        if isinstance(value, Mapping):
            parts.append(_shown(value))
        elif value not in (None, "", []):
            parts.append(f"{name}={value}")
    return ", ".join(filter(None, parts))
