"""Languages: which one is used, that nothing is left in English, and what services say."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from muru.web import language
from tests.web.conftest import Visitor

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def german() -> None:
    language.use("de")


def test_every_text_is_translated() -> None:
    """What pages and services say is there in each language; `make catalogue` tells what is not."""
    done = subprocess.run(
        [sys.executable, "scripts/catalogue.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stdout


WISHES = [
    ("", "en"),
    ("de", "de"),
    ("de-AT,en;q=0.9", "de"),
    ("en-GB,de;q=0.9", "en"),
    ("fr,de;q=0.5,en;q=0.3", "de"),
    ("fr", "en"),
    ("en;q=0,de", "de"),
    (";;;,q=, *", "en"),
    ("de;q=1.0000000", "en"),
    ("x" * 5000, "en"),
]


async def test_language_is_the_browsers_wish(visitor: Visitor) -> None:
    """The best of the wished languages is used, English if there is none; nothing is an error."""
    for wish, used in WISHES:
        answer = await visitor.get("/login", headers={"Accept-Language": wish})
        assert f'<html lang="{used}"' in answer.text, wish
        assert ("Anmelden" in answer.seen) == (used == "de")


async def test_language_that_is_chosen_wins(visitor: Visitor) -> None:
    """Who switches stays with it; what is no language changes nothing."""
    await visitor.submit("/", "/preferences", language="de")
    answer = await visitor.submit("/", "/preferences", language="xx", theme="<b>")

    assert '<html lang="de">' in answer.text
    assert '<html lang="de">' in (await visitor.get("/", headers={"Accept-Language": "en"})).text


async def test_services_speak_the_language_of_the_page(visitor: Visitor) -> None:
    """What is wrong with a field is told in German to Germans."""
    await visitor.submit("/", "/preferences", language="de")
    fields = {"username": "alice", "password": "correct horse"}
    answer = await visitor.submit("/register", "/register", **fields)

    assert "Der Benutzername &#39;alice&#39; ist vergeben; wähl einen anderen." in answer.seen


@pytest.mark.usefixtures("german")
def test_values_in_sentences_stay_as_they_are() -> None:
    """Whatever a service puts into its sentence comes out unchanged, braces and all."""
    for value in ("'{0}'", "'%s'", "'%(x)s'", "a; choose another.", "\n"):
        told = language.told(f"The user name {value} is taken; choose another.")
        assert told == f"Der Benutzername {value} ist vergeben; wähl einen anderen."
    for text in ("", "What nobody says {0}", "x" * 10_000):
        assert language.told(text) == text


@pytest.mark.usefixtures("german")
def test_times_are_told_as_people_write_them() -> None:
    """Times are in the page's language, and never in the future by a clock's difference."""
    time = datetime(2026, 12, 27, 13, 37, tzinfo=UTC)

    assert language.moment(time) == "27.12.2026, 13:37:00 UTC"
    assert language.day(time) == "27. Dezember 2026"
    assert language.ago(datetime.now(UTC) - timedelta(minutes=3)) == "vor 3 Minuten"
    assert language.ago(datetime.now(UTC) + timedelta(minutes=3)) == "vor 1 Sekunde"
