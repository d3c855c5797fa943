"""Jobs: when they run, when they don't, and what becomes of the ones that fail or hang."""

import asyncio
import logging
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial

import pytest

from muru.jobs import Jobs, JobState

LONG = 3600.0  # an interval that no test lives to see


class Work:
    """A job that takes its time, and remembers how often it ran and with how many at once."""

    def __init__(self, takes: float = 0.0) -> None:
        self.takes = takes
        self.begun: list[float] = []
        self.running = 0
        self.most_at_once = 0

    def __call__(self) -> None:
        self._enter()
        time.sleep(self.takes)
        self.running -= 1

    async def on_loop(self) -> None:
        self._enter()
        await asyncio.sleep(self.takes)
        self.running -= 1

    def _enter(self) -> None:
        self.begun.append(time.monotonic())
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)

    @property
    def runs(self) -> int:
        return len(self.begun)


@pytest.fixture
async def jobs() -> AsyncIterator[Jobs]:
    jobs = Jobs()
    await jobs.start()
    yield jobs
    await jobs.stop()


@pytest.fixture
async def hasty() -> AsyncIterator[Jobs]:
    """Jobs that don't wait long for a first call."""
    jobs = Jobs(start_timeout=0.1)
    await jobs.start()
    yield jobs
    await jobs.stop()


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What a hanging thread waits for; it is let go when the test ends."""
    event = threading.Event()
    yield event
    event.set()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)


def state_of(jobs: Jobs, name: str) -> JobState:
    state = jobs.state(name)
    assert state is not None
    return state


def other_tasks() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


def not_implemented() -> None:
    raise NotImplementedError


async def not_implemented_on_loop() -> None:
    raise NotImplementedError


def fail(error: BaseException) -> None:
    raise error


async def fail_on_loop(error: BaseException) -> None:
    raise error


# The first call


async def test_add_calls_the_job_at_once(jobs: Jobs) -> None:
    """A job has run once when add() returns, be it an ordinary function or an async one."""
    plain, on_loop = Work(), Work()

    assert await jobs.add("plain", plain, LONG)
    assert await jobs.add("on loop", on_loop.on_loop, LONG)
    assert (plain.runs, on_loop.runs) == (1, 1)


@pytest.mark.parametrize("job", [not_implemented, not_implemented_on_loop])
async def test_add_not_implemented(jobs: Jobs, job: Callable[[], None]) -> None:
    """A first call that raises NotImplementedError means no schedule, and is no failure."""
    assert not await jobs.add("none", job, 0.01)
    jobs.run_soon("none", 0)
    await asyncio.sleep(0.05)

    state = state_of(jobs, "none")
    assert (state.runs, state.failures, state.last_error, state.next_run) == (1, 0, None, None)


async def test_not_implemented_later(jobs: Jobs) -> None:
    """Only the first call decides: a NotImplementedError after that is an error like any other."""
    errors: list[BaseException | None] = [None]

    async def job() -> None:
        if errors:
            errors.pop()
        else:
            raise NotImplementedError("half done")

    assert await jobs.add("half", job, 0.01)
    await eventually(lambda: state_of(jobs, "half").failures > 1)

    assert state_of(jobs, "half").last_error == "NotImplementedError: half done"


async def test_add_slow_first_call_ends_well(hasty: Jobs) -> None:
    """A slow first call does not hold up the start, and goes on in the background."""
    work = Work(takes=0.4)

    before = time.monotonic()
    assert await hasty.add("slow", work, 0.02)
    assert time.monotonic() - before < 0.35
    await eventually(lambda: work.runs == 2)


@pytest.mark.parametrize("allowed", [None, 0.05])
async def test_add_slow_first_call_not_implemented(hasty: Jobs, allowed: float | None) -> None:
    """A slow first call that ends in NotImplementedError, even late, unschedules the job then."""

    def job() -> None:
        time.sleep(0.15)
        raise NotImplementedError

    assert await hasty.add("slow", job, 0.01, timeout=allowed)
    await eventually(lambda: not state_of(hasty, "slow").running)
    hasty.run_soon("slow", 0)
    await asyncio.sleep(0.05)

    assert (state_of(hasty, "slow").runs, state_of(hasty, "slow").next_run) == (1, None)


async def test_add_name_taken(jobs: Jobs) -> None:
    """A second job of the same name is refused; the first one stays."""
    await jobs.add("job", Work(), LONG)

    with pytest.raises(ValueError, match="there is a job 'job' already"):
        await jobs.add("job", Work(), LONG)


@pytest.mark.parametrize("interval", [0, -1, float("inf"), float("nan")])
async def test_add_interval_out_of_range(jobs: Jobs, interval: float) -> None:
    """An interval that would make a busy loop, or never come, is refused before the first call."""
    work = Work()

    with pytest.raises(ValueError, match="out of range"):
        await jobs.add("job", work, interval)
    assert (work.runs, jobs.states()) == (0, [])


async def test_add_not_started() -> None:
    """Jobs are only taken while something runs them."""
    jobs = Jobs()

    with pytest.raises(RuntimeError, match="between start"):
        await jobs.add("job", Work(), LONG)
    await jobs.stop()


# The interval


@pytest.mark.parametrize("kind", ["thread", "loop"])
async def test_interval_counts_from_the_end(jobs: Jobs, kind: str) -> None:
    """A job runs again and again, each time one interval after the end of the run before."""
    work = Work(takes=0.05)

    await jobs.add("job", work if kind == "thread" else work.on_loop, 0.05)
    await eventually(lambda: work.runs == 4)

    gaps = [after - before for before, after in zip(work.begun, work.begun[1:], strict=False)]
    assert min(gaps) >= 0.099
    assert work.most_at_once == 1


async def test_interval_longer_than_the_wait_of_others(jobs: Jobs) -> None:
    """Each job keeps its own interval."""
    often, seldom = Work(), Work()

    await jobs.add("seldom", seldom, LONG)
    await jobs.add("often", often, 0.02)
    await eventually(lambda: often.runs >= 5)

    assert seldom.runs == 1


@pytest.mark.parametrize("days", [1, -1])
async def test_clock_set(jobs: Jobs, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """Setting the clock makes no job run early, nor late."""

    class OtherDay(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=days)

    seldom, often = Work(), Work()
    await jobs.add("seldom", seldom, LONG)
    await jobs.add("often", often, 0.05)
    monkeypatch.setattr("muru.jobs.datetime", OtherDay)
    await eventually(lambda: often.runs == 4)

    assert seldom.runs == 1


# Run soon


async def test_run_soon_coalesces(jobs: Jobs) -> None:
    """Many requests in a short time make one run, within the delay of the first of them."""
    work = Work()
    await jobs.add("job", work, LONG)

    asked = time.monotonic()
    for _ in range(50):
        jobs.run_soon("job", 0.1)
        await asyncio.sleep(0)
    await eventually(lambda: work.runs == 2)
    await asyncio.sleep(0.15)

    assert work.runs == 2
    assert 0.099 <= work.begun[1] - asked < 0.5


@pytest.mark.parametrize("kind", ["thread", "loop"])
async def test_run_soon_while_running(jobs: Jobs, kind: str) -> None:
    """Requests during a run make one more run after its end, never one beside it."""
    work = Work(takes=0.05)
    await jobs.add("job", work if kind == "thread" else work.on_loop, LONG)
    jobs.run_soon("job", 0)
    await eventually(lambda: work.runs == 2)

    for _ in range(10):
        jobs.run_soon("job", 0)
    await eventually(lambda: work.runs == 3)
    await asyncio.sleep(0.15)

    assert (work.runs, work.most_at_once) == (3, 1)


async def test_run_soon_never_overlaps(jobs: Jobs) -> None:
    """A storm of requests at every moment of a run still runs one at a time, and all end."""
    work = Work(takes=0.003)
    await jobs.add("job", work.on_loop, LONG)

    for _ in range(300):
        jobs.run_soon("job", 0)
        await asyncio.sleep(0.0005)
    before = work.runs
    jobs.run_soon("job", 0)
    await eventually(lambda: work.runs > before and not state_of(jobs, "job").running)

    assert work.most_at_once == 1
    assert work.runs > 10


async def test_run_soon_earlier_after_later(jobs: Jobs) -> None:
    """Of two jobs, each runs once, at its own time, though the one due first was asked for last."""
    later, earlier = Work(), Work()
    await jobs.add("later", later, LONG)
    await jobs.add("earlier", earlier, LONG)

    jobs.run_soon("later", 0.15)
    await asyncio.sleep(0)
    jobs.run_soon("earlier", 0.05)
    await eventually(lambda: earlier.runs == 2)
    assert later.runs == 1
    await eventually(lambda: later.runs == 2)
    await asyncio.sleep(0.1)

    assert (later.runs, earlier.runs) == (2, 2)


async def test_run_soon_brings_forward(jobs: Jobs) -> None:
    """A request is never put off by a later one, and never puts off the interval."""
    work = Work()
    await jobs.add("job", work, 0.3)

    jobs.run_soon("job", LONG)
    jobs.run_soon("job", 0.01)
    jobs.run_soon("job", LONG)
    await eventually(lambda: work.runs == 3)

    assert work.begun[1] - work.begun[0] < 0.25
    assert work.begun[2] - work.begun[1] >= 0.299


async def test_run_soon_unknown(jobs: Jobs) -> None:
    """Asking for a job that does not exist does nothing."""
    jobs.run_soon("nobody")

    assert jobs.state("nobody") is None


# Failures


@pytest.mark.parametrize(
    ("job", "shown"),
    [
        (partial(fail, ValueError("no")), "ValueError: no"),
        (partial(fail, SystemExit(3)), "SystemExit: 3"),
        (partial(fail, StopIteration("odd")), "StopIteration: odd"),
        (partial(fail, KeyboardInterrupt()), "KeyboardInterrupt"),
        (partial(fail_on_loop, ValueError("no")), "ValueError: no"),
        (partial(fail_on_loop, SystemExit(3)), "SystemExit: 3"),
        (partial(fail_on_loop, asyncio.CancelledError()), "asyncio.exceptions.CancelledError"),
    ],
)
async def test_failing_job_runs_again(
    jobs: Jobs, caplog: pytest.LogCaptureFixture, job: Callable[[], None], shown: str
) -> None:
    """Whatever a job raises is logged with its traceback and shown, and the job runs again."""
    other = Work()
    assert await jobs.add("bad", job, 0.02)
    await jobs.add("good", other, 0.02)
    await eventually(lambda: state_of(jobs, "bad").failures >= 3 and other.runs >= 3)

    assert shown == state_of(jobs, "bad").last_error
    assert state_of(jobs, "good").last_error is None
    record = caplog.records[0]
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "Job bad failed")
    assert record.exc_info is not None
    assert record.exc_info[2] is not None


async def test_failing_job_recovers(jobs: Jobs) -> None:
    """The error shown is that of the last run; failures are counted in all."""
    errors = [ValueError("still"), ValueError("first")]

    async def job() -> None:
        if errors:
            raise errors.pop()

    await jobs.add("job", job, 0.02)
    assert state_of(jobs, "job").last_error == "ValueError: first"
    await eventually(lambda: state_of(jobs, "job").runs > 2)
    await eventually(lambda: state_of(jobs, "job").last_error is None)

    assert state_of(jobs, "job").failures == 2


async def test_coroutine_from_a_plain_function(jobs: Jobs) -> None:
    """A plain function that answers a coroutine is told so: nobody would await it."""
    work = Work()

    def job() -> object:
        return work.on_loop()

    await jobs.add("job", job, LONG)  # type: ignore[arg-type]

    assert "declare it with `async def`" in str(state_of(jobs, "job").last_error)


async def test_thread_that_does_not_start(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine out of threads is a failure of that run, and the job runs again."""
    work = Work()
    with monkeypatch.context() as patch:
        patch.setattr("muru.jobs.Thread.start", lambda _: fail(RuntimeError("no more threads")))
        await jobs.add("job", work, 0.02)
        assert state_of(jobs, "job").last_error == "RuntimeError: no more threads"
    await eventually(lambda: work.runs == 1)


# Hanging


async def test_hanging_thread_harms_nobody(release: threading.Event) -> None:
    """A function that never returns holds up neither start nor stop nor any other job."""
    before = time.monotonic()
    jobs = Jobs(start_timeout=0.05)
    await jobs.start()
    names = [f"hanging {number}" for number in range(40)]  # more than a pool has threads
    added = [jobs.add(name, release.wait, LONG) for name in names]  # type: ignore[arg-type]
    assert all(await asyncio.gather(*added))
    other = Work()
    await jobs.add("other", other, 0.02)
    await eventually(lambda: other.runs >= 3)
    await jobs.stop()

    assert time.monotonic() - before < 1.5


async def test_hanging_thread_reported(hasty: Jobs, release: threading.Event) -> None:
    """A function that exceeds its timeout is reported, not started again till it really ends."""
    runs: list[None] = []

    def job() -> None:
        runs.append(None)
        if len(runs) == 1:
            release.wait()

    await hasty.add("job", job, 0.02, timeout=0.15)
    await eventually(lambda: state_of(hasty, "job").failures == 1)
    hasty.run_soon("job", 0)
    await asyncio.sleep(0.1)
    hanging = state_of(hasty, "job")
    assert hanging.last_error == "TimeoutError: still running after 0.15 s"
    assert (
        hanging.running,
        hanging.runs,
        hanging.last_duration,
        hanging.next_run,
    ) == (True, 1, None, None)

    release.set()
    await eventually(lambda: len(runs) > 2)
    await eventually(lambda: state_of(hasty, "job").last_error is None)
    assert state_of(hasty, "job").failures == 1


async def test_hanging_coroutine_cancelled(jobs: Jobs) -> None:
    """An async job is cancelled at its timeout, reported as timed out, and runs again."""
    cancelled: list[None] = []

    async def job() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(None)

    await jobs.add("job", job, 0.02, timeout=0.05)
    await eventually(lambda: state_of(jobs, "job").runs >= 3)

    assert len(cancelled) >= 2
    assert state_of(jobs, "job").last_error == "TimeoutError: still running after 0.05 s"


async def test_coroutine_that_raises_timeout_error(jobs: Jobs) -> None:
    """A TimeoutError of the job's own is shown in its own words."""
    await jobs.add("job", partial(fail_on_loop, TimeoutError("no answer")), LONG)

    assert state_of(jobs, "job").last_error == "TimeoutError: no answer"


# States


async def test_states(jobs: Jobs) -> None:
    """A state tells when the job ran, how long, and when it will run again, in aware UTC."""
    before = datetime.now(UTC)
    await jobs.add("one", Work(takes=0.02), 60)
    await jobs.add("two", Work(), 5)

    assert [state.name for state in jobs.states()] == ["one", "two"]
    state = state_of(jobs, "one")
    assert (state.interval, state.running, state.runs, state.failures) == (60, False, 1, 0)
    assert state.last_run is not None
    assert state.last_run.utcoffset() == timedelta(0)
    assert before <= state.last_run <= datetime.now(UTC)
    assert state.last_duration is not None
    assert 0.02 <= state.last_duration < 1
    assert state.next_run is not None
    assert state.next_run.utcoffset() == timedelta(0)
    assert timedelta(seconds=55) < state.next_run - datetime.now(UTC) <= timedelta(seconds=60)


async def test_state_while_running(jobs: Jobs) -> None:
    """A running job has no next run yet, and keeps what is known of its last one."""
    work = Work()
    await jobs.add("job", work.on_loop, LONG)
    work.takes = LONG
    jobs.run_soon("job", 0)
    await eventually(lambda: work.runs == 2)

    state = state_of(jobs, "job")
    assert (state.running, state.runs, state.next_run) == (True, 2, None)
    assert state.last_duration is not None


# Stop


async def test_stop_leaves_nothing(release: threading.Event) -> None:
    """After stop() there is no task, nothing scheduled, and nothing runs any more."""
    jobs = Jobs(start_timeout=0.02)
    await jobs.start()
    waiting, running = Work(), Work(takes=LONG)
    await jobs.add("waiting", waiting, 0.05)
    await jobs.add("running", running.on_loop, LONG)
    await jobs.add("thread", release.wait, LONG)  # type: ignore[arg-type]
    jobs.run_soon("waiting", 0)
    assert all(not task.get_name().startswith("Task-") for task in other_tasks())

    await jobs.stop()

    assert set() == other_tasks()
    assert {None} == {state.next_run for state in jobs.states()}
    runs = waiting.runs
    jobs.run_soon("waiting", 0)
    await jobs.start()
    await asyncio.sleep(0.1)
    await jobs.stop()
    release.set()
    await asyncio.sleep(0.1)
    assert (runs, set()) == (waiting.runs, other_tasks())


async def test_stop_during_add() -> None:
    """A stop during a first call ends the wait for it, and the job is not scheduled."""
    jobs = Jobs(start_timeout=LONG)
    await jobs.start()
    adding = asyncio.create_task(jobs.add("job", Work(takes=LONG).on_loop, LONG))
    await asyncio.sleep(0.02)

    await jobs.stop()

    assert not await asyncio.wait_for(adding, 1)


async def test_stop_before_anything_began() -> None:
    """A job that was due but not begun is neither run nor left as an un-awaited coroutine."""
    jobs = Jobs()
    await jobs.start()
    work = Work()
    adding = asyncio.create_task(jobs.add("job", work.on_loop, LONG))
    await asyncio.sleep(0)

    await jobs.stop()

    assert not await adding
    assert work.runs == 0


async def test_stop_with_a_stubborn_job(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A coroutine that catches its cancellation is named in the log, and does not hold up stop."""
    monkeypatch.setattr("muru.jobs.STOP_TIMEOUT", 0.05)
    jobs = Jobs(start_timeout=0.02)
    give_up = asyncio.Event()

    async def job() -> None:
        while not give_up.is_set():
            try:
                await give_up.wait()
            except asyncio.CancelledError:
                continue

    await jobs.start()
    await jobs.add("stubborn", job, LONG)
    await jobs.stop()
    assert "'watch job stubborn' does not let itself be cancelled" in caplog.text

    give_up.set()
    await asyncio.wait(other_tasks())


def test_process_exits_with_a_hanging_thread() -> None:
    """A thread that hangs does not keep the process from ending, with nothing on stderr."""
    program = """
        import asyncio, time
        from muru.jobs import Jobs

        async def main():
            jobs = Jobs(start_timeout=0.05)
            await jobs.start()
            await jobs.add("hanging", lambda: time.sleep(60), 60)
            await jobs.add("ends too late", lambda: time.sleep(0.2), 60)
            await jobs.stop()

        asyncio.run(main())
        time.sleep(0.3)  # the second thread ends, and its loop is closed
    """
    before = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert time.monotonic() - before < 5
