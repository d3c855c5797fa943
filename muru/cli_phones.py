"""The commands that are about phones: ``muru render`` and ``muru identify``."""

import argparse
import sys
from dataclasses import asdict

from muru.settings import Settings

# The other modules are imported where they are used, so that --help and a typo answer at once.


def add_render(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("number", help="the extension")
    parser.add_argument("file", nargs="?", help="a file by its name; all of them if left out")
    parser.add_argument("--secrets", action="store_true", help="show passwords and tokens")
    parser.add_argument("--json", action="store_true", help="print data as JSON")


def add_identify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user-agent", default="", metavar="UA", help="of HTTP or SIP")
    parser.add_argument("--path", default="", help="path of a URL, or name of a file by TFTP")
    parser.add_argument("--mac", default="", help="its MAC address, in any writing")
    parser.add_argument("--json", action="store_true", help="print data as JSON")


async def render(settings: Settings, options: argparse.Namespace) -> int:
    from muru.app import open_site
    from muru.cli import print_json
    from muru.provisioning.doors import own_origin
    from muru.provisioning.preview import preview
    from muru.provisioning.templates import templates_of

    async with open_site(settings, asterisk=False) as site:
        templates = templates_of(settings)
        previews = await preview(
            site,
            templates,
            own_origin(settings),
            options.number,
            options.file,
            secrets=options.secrets,
        )
    if options.json:
        print_json([asdict(each) for each in previews])
    else:
        for each in previews:
            if len(previews) > 1:
                print(f"==> {each.name} <==")
            print(each.text or f"({each.fault})", end="" if each.text else "\n")
    faults = [each.reason for each in templates.faults.values()]
    faults += [each.fault for each in previews if each.fault]
    for fault in faults:
        print(f"muru: {fault}", file=sys.stderr)
    return 1 if any(each.fault for each in previews) else 0


async def identify(settings: Settings, options: argparse.Namespace) -> int:
    from muru.cli import print_json, print_table
    from muru.provisioning.identification import Evidence
    from muru.provisioning.identification import identify as tell
    from muru.provisioning.request import take_apart
    from muru.registry import discover

    place = take_apart(options.path, settings.telephoning_prefix)
    registry = discover(settings)
    known = registry.by_name(place.folder) is not None
    evidence = Evidence(
        path=place.name if known else options.path,
        folder=place.folder if known else "",
        user_agent=options.user_agent,
        mac=options.mac,
    )
    found = asdict(tell(registry.with_files(), evidence))
    if options.json:
        print_json(found)
    else:
        print_table((name, "unknown" if value is None else value) for name, value in found.items())
    return 0 if found["flavor"] else 1
