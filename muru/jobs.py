"""Jobs: functions that run at the start, then over and over, and sooner when something asks for it.

A job that fails is run again after its interval; one that hangs holds up nothing but itself.
"""

import asyncio
import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Thread
from time import monotonic
from typing import Any

from aioscheduler import TimedScheduler
from aioscheduler.task import Task as Due

log = logging.getLogger(__name__)

Function = Callable[[], None] | Callable[[], Awaitable[None]]
Outcome = BaseException | None  # how a call ended, as a value: raised, SystemExit ends the loop

SHORTEST_TIMEOUT = 60.0  # seconds that a run may take, however short the interval
LONGEST_INTERVAL = 366 * 24 * 3600.0  # seconds
STOP_TIMEOUT = 5.0  # seconds for jobs that catch their cancellation


@dataclass(frozen=True, slots=True)
class JobState:
    """How a job is doing. A first call that ends in ``NotImplementedError`` is no failure."""

    name: str
    interval: float  # seconds from the end of a run to the start of the next
    running: bool = False
    last_run: datetime | None = None  # start of the last run
    last_duration: float | None = None  # seconds that the last completed run took
    last_error: str | None = None  # None if the last run went well
    next_run: datetime | None = None  # None while running, or if not scheduled
    runs: int = 0  # begun
    failures: int = 0


class Jobs:
    """All jobs of one event loop. Call the methods from its thread only."""

    def __init__(self, *, start_timeout: float = 5.0) -> None:
        self._start_timeout = start_timeout
        self._jobs: dict[str, _Job] = {}
        self._timetable = _Timetable(self._run)

    async def start(self) -> None:
        self._timetable.start()

    async def stop(self) -> None:
        """Cancel and await all runs. A thread that hangs is left to die with the process."""
        for job in self._jobs.values():
            job.unschedule()
        await self._timetable.stop()

    async def add(
        self,
        name: str,
        job: Function,
        interval: float,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # of each run, not of this call
    ) -> bool:
        """Call ``job`` a first time, and schedule it unless that raises NotImplementedError.

        Answer whether it is scheduled. A first call that takes longer than the start timeout goes
        on in the background. Each run may take ``timeout``, else the interval or a minute.
        """
        if not self._timetable.started:
            raise RuntimeError("jobs can be added between start() and stop() only")
        if name in self._jobs:
            raise ValueError(f"there is a job {name!r} already")
        if not 0 < interval <= LONGEST_INTERVAL:
            raise ValueError(f"the interval of job {name!r} is out of range: {interval} s")
        added = _Job(name, job, interval, timeout or max(interval, SHORTEST_TIMEOUT))
        self._jobs[name] = added
        self._timetable.put(added, 0)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._start_timeout):
                await added.tried.wait()
        return added.scheduled

    def run_soon(self, name: str, delay: float = 0.5) -> None:
        """Run the job within ``delay`` seconds, or that long after the end of its present run.

        Many calls make one run. A name that is unknown or not scheduled is ignored.
        """
        job = self._jobs.get(name)
        if job and job.state.running:
            job.pause = min(job.pause, delay)
        elif job and job.scheduled:
            self._timetable.put(job, delay)

    def state(self, name: str) -> JobState | None:
        job = self._jobs.get(name)
        return self._state(job) if job else None

    def states(self) -> list[JobState]:
        return [self._state(job) for job in self._jobs.values()]

    def _state(self, job: "_Job") -> JobState:
        return replace(job.state, next_run=self._timetable.when(job))

    async def _run(self, job: "_Job") -> None:
        await job.run()
        if job.scheduled:
            self._timetable.put(job, job.pause)


class _Job:
    """One job, its place in the timetable, and what has become of it."""

    def __init__(self, name: str, function: Function, interval: float, timeout: float) -> None:
        self.name = name
        self.function = function
        self.timeout = timeout
        self.state = JobState(name, interval)
        self.pause = interval  # seconds from the end of this run to the next
        self.due: Due | None = None
        self.scheduled = True
        self.tried = asyncio.Event()  # the first call has ended

    def unschedule(self) -> None:
        self.scheduled = False
        self.due = None
        self.tried.set()

    async def run(self) -> None:
        """Call the function once; whatever it does, nothing is raised."""
        self.due, self.pause, began = None, self.state.interval, monotonic()
        runs = self.state.runs + 1
        self.state = replace(self.state, running=True, last_run=datetime.now(UTC), runs=runs)
        call = self._call()
        try:
            await self._watch(call)
        finally:
            call.cancel()
            await asyncio.wait({call})
            self.state = replace(self.state, running=False, last_duration=monotonic() - began)
        self.tried.set()

    def _call(self) -> "asyncio.Future[Outcome]":
        if inspect.iscoroutinefunction(self.function):
            return asyncio.create_task(_call_here(self.function), name=f"job {self.name}")
        return _call_in_thread(self.function, f"job {self.name}")

    async def _watch(self, call: "asyncio.Future[Outcome]") -> None:
        await asyncio.wait({call}, timeout=self.timeout)
        if call.done():
            self._end(call.result())
            return
        self._fail(TimeoutError(f"still running after {self.timeout:g} s"))
        if isinstance(call, asyncio.Task):
            call.cancel()  # a thread cannot be stopped, only waited for
        await asyncio.wait({call})
        log.warning("Job %s has ended after its timeout", self.name, exc_info=call.result())
        self._refuse(call.result())

    def _end(self, outcome: Outcome) -> None:
        if outcome is None:
            self.state = replace(self.state, last_error=None)
        elif not self._refuse(outcome):
            self._fail(outcome)

    def _refuse(self, outcome: Outcome) -> bool:
        """Unschedule a job whose first call says that there is none."""
        if self.state.runs > 1 or not isinstance(outcome, NotImplementedError):
            return False
        log.debug("Job %s is not implemented", self.name)
        self.unschedule()
        return True

    def _fail(self, error: BaseException) -> None:
        log.error("Job %s failed", self.name, exc_info=error)
        text = "".join(traceback.format_exception_only(error)).strip()
        self.state = replace(self.state, last_error=text, failures=self.state.failures + 1)


class _Timetable(TimedScheduler):  # type: ignore[misc]  # aioscheduler has no types
    """Which job is due when: aioscheduler's order and cancelling, with another loop.

    Its own loop does not run on Python 3.11 or later, and loses a wake-up that comes while it is
    not waiting. It takes any object to be scheduled, so jobs wait here as themselves: a coroutine
    that is taken off would be one that was never awaited.

    aioscheduler compares naive datetimes: in here, and only here, they are UTC without saying so.
    They follow the monotonic clock from the start on, so that no job minds when the time is set.
    """

    def __init__(self, run: Callable[[_Job], Coroutine[Any, Any, None]]) -> None:
        super().__init__()
        self._run = run
        self._wakeup = asyncio.Event()  # cleared by the loop alone, before it looks what is next
        self._monotonic_epoch = monotonic()
        self._epoch = datetime.now(UTC).replace(tzinfo=None)
        # Only schedule() asks this clock, to refuse what is past. Here that is due at once.
        self._datetime_func = lambda: self._epoch

    @property
    def started(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        if not self.started:
            self._task = asyncio.create_task(self.loop(), name="jobs")

    async def stop(self) -> None:
        while self._next:
            self.cancel(self._next)
        if not self.started:
            return
        tasks = {self._task, *(task for _, task in self._running)}
        for task in tasks:
            task.cancel()
        _, stubborn = await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
        for task in stubborn:
            log.error("Task %r does not let itself be cancelled", task.get_name())

    def put(self, job: _Job, delay: float) -> None:
        """Let ``job`` be due after ``delay`` seconds, unless it is due before that anyway."""
        due = self._now() + timedelta(seconds=max(delay, 0))
        if job.due and job.due.priority <= due:
            return
        if job.due:
            self.cancel(job.due)
        job.due = self.schedule(job, due)
        self._wakeup.set()

    def when(self, job: _Job) -> datetime | None:
        return job.due and datetime.now(UTC) + (job.due.priority - self._now())

    async def loop(self) -> None:
        while True:
            self._wakeup.clear()
            delay = self._next and (self._next.priority - self._now()).total_seconds()
            if delay is not None and delay <= 0:
                self._launch(self._next)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._wakeup.wait()

    def _now(self) -> datetime:
        return self._epoch + timedelta(seconds=monotonic() - self._monotonic_epoch)

    def _launch(self, due: Due) -> None:
        self.cancel(due)  # takes it off the list
        task = asyncio.create_task(self._run(due.callback), name=f"watch job {due.callback.name}")
        self._running.append((due, task))
        task.add_done_callback(partial(self._callback, task_obj=due))


async def _call_here(function: Callable[[], Awaitable[None]]) -> Outcome:
    try:
        await function()
    except (GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # it is reported, with its traceback
        return error
    return None


def _call_in_thread(function: Callable[[], object], name: str) -> "asyncio.Future[Outcome]":
    """Call it in a thread of its own, which takes no place in a pool and lets the process exit."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Outcome] = loop.create_future()

    def settle(outcome: Outcome) -> None:
        if not ended.done():
            ended.set_result(outcome)

    def work() -> None:
        outcome = _call_there(function)
        with suppress(RuntimeError):  # the loop is closed: nobody is waiting any more
            loop.call_soon_threadsafe(settle, outcome)

    try:
        Thread(target=work, name=name, daemon=True).start()
    except RuntimeError as error:  # there are too many threads
        settle(error)
    return ended


def _call_there(function: Callable[[], object]) -> Outcome:
    try:
        result = function()
        if inspect.iscoroutine(result):
            result.close()
            raise TypeError("it returned a coroutine: declare it with `async def`")  # noqa: TRY301
    except BaseException as error:  # it is reported, with its traceback
        return error
    return None
