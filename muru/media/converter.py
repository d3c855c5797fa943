"""Runs the worker: a process for each conversion, a few at a time."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import muru
from muru.errors import Unavailable
from muru.media import Refused
from muru.media.worker import Job

_log = logging.getLogger(__name__)

_AT_ONCE = 2
_PATIENCE = 60.0  # seconds, in the queue
_TIMEOUT = 90.0  # seconds, of one conversion
_ENVIRONMENT = {
    "PATH": os.defpath,
    "LC_ALL": "C.UTF-8",
    "PYTHONPATH": str(Path(muru.__file__).parent.parent),
    "OPENBLAS_NUM_THREADS": "1",  # each thread would take addresses of which there are few
    "OMP_NUM_THREADS": "1",
}


class Converter:
    """The conversions of one application."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self, job: Job) -> dict[str, Any]:
        """Do *job* and return the facts of what was written.

        Raises:
            Refused: the file is not one that can be converted.
            Unavailable: too much is to be converted at the moment.
        """
        try:
            await asyncio.wait_for(self._slots.acquire(), _PATIENCE)
        except TimeoutError:
            raise Unavailable("Many files are being converted; try again in a minute.") from None
        try:
            return await _run(job)
        finally:
            self._slots.release()


async def _run(job: Job) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "muru.media.worker", json.dumps(asdict(job))),
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what libraries write there is a stranger's to choose
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT)
    except TimeoutError:
        raise Refused("takes too long to convert") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    answer = _parse(output)
    if answer is None:
        _log.warning("a conversion of media ended with code %s", process.returncode)
        raise Refused("is damaged, or needs too much memory or time")
    if "facts" in answer:
        facts: dict[str, Any] = answer["facts"]
        return facts
    _log.info("media refused: it %s %s", answer["refusal"], answer.get("error", ""))
    raise Refused(answer["refusal"])


def _parse(output: bytes) -> dict[str, Any] | None:
    """Return the worker's answer; none if it died before it had one."""
    try:
        answer = json.loads(output.splitlines()[-1])
    except (ValueError, IndexError):
        return None
    return answer if isinstance(answer, dict) else None
