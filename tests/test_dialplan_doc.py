"""docs/dialplan.md: what it shows works as it says."""

import json
import re
from pathlib import Path

from muru.services.dialplan import MOST_STEPS_IN_ALL, MOST_VERSIONS, Draft, create, preview
from muru.services.site import OPERATOR, Site

DOCUMENT = (Path(__file__).parent.parent / "docs/dialplan.md").read_text(encoding="utf-8")
EXAMPLES = [json.loads(each) for each in re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)]


async def test_examples_are_saved_without_a_warning(site: Site) -> None:
    """Whoever copies one has an own number that nothing is wrong with."""
    assert len(EXAMPLES) == 3
    for example in EXAMPLES:
        assert (await create(site, OPERATOR, Draft(**example))).warnings == []


async def test_lines_are_those_of_the_first_example(site: Site) -> None:
    """The preview shows what the document shows."""
    [lines] = re.findall(r"```\n(exten => .*?)```", DOCUMENT, re.DOTALL)

    assert (await preview(site, OPERATOR, Draft(**EXAMPLES[0]))).lines == lines.splitlines()


def test_bounds_are_as_they_are() -> None:
    """The numbers in the text are those in the program."""
    assert f"last\n{MOST_VERSIONS} of each number" in DOCUMENT
    assert f"{MOST_STEPS_IN_ALL:,} steps" in DOCUMENT
