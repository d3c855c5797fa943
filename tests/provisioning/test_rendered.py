"""What was rendered counts as long as it would be the same again."""

from dataclasses import replace

import pytest

from muru.flavor import PhoneFlavor, ProvisioningFile
from muru.provisioning.lookup import DeviceRecord, LineRecord
from muru.provisioning.rendered import Ingredients, Rendered
from muru.provisioning.request import Answer

FILE = ProvisioningFile("{mac}.cfg", "phone.cfg")
ANSWER = Answer(200, b"x" * 1_000)
LINE = LineRecord(1, "2001", "Anna", "Acme 100", "secret", {"codec": "g722"})
DEVICE = DeviceRecord(
    id=1,
    mac="02ab4c7f0001",
    flavor="acme",
    type="Acme 100",
    token="abcdefghjkmnpqrstuvwxyz234",
    is_open=False,
    granted_at=None,
    granted_to=None,
    token_used=True,
    model="100",
    firmware="1.0",
    lines=(LINE,),
)
MADE_OF = Ingredients(DEVICE, "http://muru.example:8000", DEVICE.token, templates=1)


class Acme(PhoneFlavor):
    PHONE_TYPES = ("Acme 100",)  # type: ignore[assignment]


class Clock(Acme):
    FILES_VARY = True


class Busy(Acme):
    def job(self) -> None:
        """Fetch what its files may have."""


def test_same_again_is_what_was_kept() -> None:
    """A device that was read anew, with the same in it, gets the very same answer."""
    kept = Rendered()
    kept.keep(Acme(), FILE, MADE_OF, ANSWER)

    again = replace(DEVICE, lines=(replace(LINE, extra_fields={"codec": "g722"}),))

    assert kept.get(Acme(), FILE, replace(MADE_OF, device=again)) is ANSWER


@pytest.mark.parametrize(
    "made_of",
    [
        replace(MADE_OF, device=replace(DEVICE, lines=(replace(LINE, name="Eve"),))),
        replace(MADE_OF, device=replace(DEVICE, lines=(replace(LINE, password="new"),))),
        replace(MADE_OF, device=replace(DEVICE, lines=(replace(LINE, extra_fields={}),))),
        replace(MADE_OF, device=replace(DEVICE, lines=(LINE, replace(LINE, position=2)))),
        replace(MADE_OF, device=replace(DEVICE, token="another")),
        replace(MADE_OF, device=replace(DEVICE, firmware="2.0")),
        replace(MADE_OF, origin="https://muru.example"),
        replace(MADE_OF, templates=2),
    ],
)
def test_any_change_is_rendered_anew(made_of: Ingredients) -> None:
    """Name, password, fields, lines, token, firmware, address or template: none is out of date."""
    kept = Rendered()
    kept.keep(Acme(), FILE, MADE_OF, ANSWER)

    assert kept.get(Acme(), FILE, made_of) is None


def test_flavor_whose_files_may_vary_is_rendered_each_time() -> None:
    """What else such a flavor writes into its files cannot be told, so nothing of it is kept."""
    kept, stateful = Rendered(), Acme()
    stateful.greeting = "Hello"  # type: ignore[attr-defined]

    for flavor in (Busy(), Clock(), stateful):
        kept.keep(flavor, FILE, MADE_OF, ANSWER)
        assert kept.get(flavor, FILE, MADE_OF) is None


def test_memory_is_bounded() -> None:
    """Where it is full, what was asked for longest ago goes first; a change takes no room."""
    kept = Rendered(bound=10_000)
    made_of = [replace(MADE_OF, device=replace(DEVICE, id=number)) for number in range(1, 6)]
    for each in made_of[:4] * 5:
        kept.keep(Acme(), FILE, each, ANSWER)
    assert kept.get(Acme(), FILE, made_of[0]) is ANSWER

    kept.keep(Acme(), FILE, made_of[4], ANSWER)

    there = [kept.get(Acme(), FILE, each) is not None for each in made_of]
    assert there == [True, False, True, True, True]


def test_secrets_are_in_no_text_of_it() -> None:
    """Neither token nor password shows in what a log or a traceback might print."""
    assert DEVICE.token not in repr(MADE_OF)
    assert "secret" not in repr(MADE_OF)
