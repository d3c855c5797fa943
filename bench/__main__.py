"""``python -m bench [PART ...] [--quick] [--json FILE]``; without a part, all of them."""

import argparse
import asyncio
import logging
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import extensions, pages, provisioning, reads, registrations, start, stream, tftp
from bench.report import Report
from bench.sites import Bench

PARTS: dict[str, Callable[[Bench, Report], Awaitable[None]]] = {
    "extensions": extensions.measure,
    "pages": pages.measure,
    "provisioning": provisioning.measure,
    "reads": reads.measure,
    "registrations": registrations.measure,
    "start": start.measure,
    "stream": stream.measure,
    "tftp": tftp.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description="Measure muru.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default all")
    parser.add_argument("--quick", action="store_true", help="smaller and fewer, to see it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"{', '.join(sorted(unknown))}: no such part; there are {', '.join(PARTS)}")
    for name in [name for name in os.environ if name.startswith("MURU_")]:
        if name != "MURU_ASTERISK_ROOT":  # the settings of whoever runs this are not measured
            del os.environ[name]
    logging.basicConfig(level="ERROR")
    report = Report()
    asyncio.run(_run(options.parts or list(PARTS), report, quick=options.quick))
    if options.json:
        report.write(options.json)


async def _run(parts: list[str], report: Report, *, quick: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="muru-bench-") as folder:
        bench = Bench(Path(folder), quick=quick)
        for name in parts:
            began = time.monotonic()
            report.begin(name)
            await PARTS[name](bench, report)
            print(f"({time.monotonic() - began:.0f} s)", flush=True)


main()
