"""One reading for all who ask at the same moment."""

import asyncio

import pytest

from muru.provisioning.together import Together


class Source:
    """A text that takes a turn of the loop to read; *reads* counts how often it was."""

    def __init__(self) -> None:
        self.text, self.reads = "old", 0
        self.began = asyncio.Event()
        self.error: Exception | None = None

    async def read(self) -> str:
        self.reads += 1
        self.began.set()
        text = self.text
        await asyncio.sleep(0.01)
        if self.error:
            raise self.error
        return text


async def test_reading_is_shared_by_all_who_wait() -> None:
    """However many ask at once, it is read once for them."""
    together, source = Together[str](), Source()

    texts = await asyncio.gather(*(together.get("book", source.read) for _ in range(100)))

    assert texts == ["old"] * 100
    assert source.reads == 1


async def test_reading_never_began_before_the_question() -> None:
    """Who asks while it is read waits for the next reading, which has the newest change."""
    together, source = Together[str](), Source()
    early = asyncio.create_task(together.get("book", source.read))
    await source.began.wait()

    source.text = "new"
    late = await asyncio.gather(*(together.get("book", source.read) for _ in range(10)))

    assert (await early, late, source.reads) == ("old", ["new"] * 10, 2)


async def test_different_questions_do_not_wait_for_each_other() -> None:
    """Each key has a reading of its own."""
    together, source, other = Together[str](), Source(), Source()
    other.text = "other"

    texts = await asyncio.gather(together.get(1, source.read), together.get(2, other.read))

    assert list(texts) == ["old", "other"]


async def test_error_reaches_all_and_is_not_kept() -> None:
    """A reading that fails fails for those who waited for it; the next one begins anew."""
    together, source = Together[str](), Source()
    source.error = OSError("away")

    asking = (together.get("book", source.read) for _ in range(3))
    answers = await asyncio.gather(*asking, return_exceptions=True)
    source.error = None

    assert [str(each) for each in answers] == ["away"] * 3
    assert await together.get("book", source.read) == "old"


async def test_one_who_gives_up_takes_nothing_from_the_others() -> None:
    """A client that goes away does not end the reading for those who still wait."""
    together, source = Together[str](), Source()
    gone, waits = (asyncio.create_task(together.get("book", source.read)) for _ in range(2))
    await asyncio.sleep(0)

    gone.cancel()

    assert await waits == "old"
    with pytest.raises(asyncio.CancelledError):
        await gone
