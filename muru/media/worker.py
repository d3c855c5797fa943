"""Does one conversion in a process of its own, and ends: ``python -m muru.media.worker <job>``.

The job is JSON (:class:`Job`), and so is the answer on standard output: ``facts`` of what was
written, or the ``refusal``.
"""

import json
import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from muru.media import Refused

MEMORY = 1024 * 2**20  # bytes of addresses, of which a part is never used
CPU_SECONDS = 60
LARGEST_MADE = 256 * 2**20  # bytes
_OPEN_FILES = 64


@dataclass(frozen=True, slots=True)
class Job:
    """*task* ``store`` makes what is kept of an upload, ``convert`` makes a format of that.

    *options* are the keyword arguments of the function of that name for *kind*.
    """

    task: Literal["store", "convert"]
    kind: Literal["audio", "image"]
    source: str
    target: str
    options: dict[str, Any]


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    _limit()
    sys.stdout.write(f"{json.dumps(answer(job))}\n")


def answer(job: Job) -> dict[str, Any]:
    """Do *job*; whatever a decoder makes of a file, it is an answer."""
    try:
        return {"facts": _run(job)}
    except Refused as refusal:
        return {"refusal": str(refusal)}
    except MemoryError:
        return {"refusal": "needs too much memory"}
    except Exception as error:
        cut_off = "truncated" in str(error).lower()
        return {"refusal": "is cut off" if cut_off else "is damaged", "error": repr(error)[:500]}


def _run(job: Job) -> dict[str, Any]:
    source, target = Path(job.source), Path(job.target)
    if job.task == "store":
        from muru.media.sniff import check_end

        with source.open("rb") as file:
            check_end(file, job.options["format_"])
    if job.kind == "image":  # each needs libraries that take longer to import than the other's work
        from muru.media import images

        return getattr(images, job.task)(source, target, **job.options)  # type: ignore[no-any-return]
    from muru.media import audio

    return getattr(audio, job.task)(source, target, **job.options)  # type: ignore[no-any-return]


def _limit() -> None:
    """Bound what a file can make a decoder take."""
    for what, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, LARGEST_MADE),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (bound, bound))
    os.nice(10)


if __name__ == "__main__":
    main()
