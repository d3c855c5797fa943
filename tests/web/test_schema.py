"""Forms out of JSON schemas: whatever fields a flavor has, they can be filled in."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from muru.errors import Invalid
from muru.flavor import PhoneFlavor
from muru.services.rules import clean_extra_fields
from muru.web import schema
from muru.web.forms import Form


class Place(BaseModel):
    room: str
    floor: int = Field(0, ge=-1, le=9)


class Key(BaseModel):
    number: str = Field(pattern=r"^[0-9]{2,4}$")
    loud: bool = False


class Fields(BaseModel):
    place: Place
    elsewhere: Place | None = None
    ratio: float = Field(0.5, gt=0)
    colour: Literal["red", "green"] | None = None
    level: Literal[1, 2] = 1
    bright: bool = True
    tags: list[Annotated[str, Field(max_length=5)]] = Field(default_factory=list, max_length=4)
    keys: list[Key] = Field(default_factory=list)


class Odd(PhoneFlavor):
    EXTRA_FIELDS = Fields


INPUTS = schema.inputs_of(Fields)


def _form(**typed: str) -> Form:
    return Form({f"extra_fields.{name.replace('__', '.')}": text for name, text in typed.items()})


def test_form_as_it_comes_has_the_defaults() -> None:
    """What is shown first is what would be taken if it were sent as it is."""
    form = Form()
    schema.fill(form, INPUTS, {})
    form.values["extra_fields.place.room"] = "Hall"

    fields = clean_extra_fields(Odd(), schema.read(form, INPUTS))

    assert fields == Fields(place=Place(room="Hall")).model_dump(mode="json")


def test_what_is_typed_is_what_the_model_gets() -> None:
    """Nested, optional, lists, choices that are numbers, and boxes that are not ticked."""
    form = _form(
        place__room="Hall",
        place__floor="3",
        elsewhere__room="",
        ratio="0.25",
        colour="green",
        level="2",
        tags__0="",
        tags__3="one",
        tags__10="two",
        keys__1__number="",
        keys__2__number="42",
        keys__2__loud="yes",
    )

    fields = clean_extra_fields(Odd(), schema.read(form, INPUTS))

    assert fields == {
        "place": {"room": "Hall", "floor": 3},
        "elsewhere": None,
        "ratio": 0.25,
        "colour": "green",
        "level": 2,
        "bright": False,
        "tags": ["one", "two"],
        "keys": [{"number": "42", "loud": True}],
    }


def test_faults_are_at_fields_that_there_are() -> None:
    """Each fault has its place, rows are counted as they are shown, patterns are put in words."""
    form = _form(place__floor="high", ratio="x", tags__2="too long", keys__4__number="1")
    try:
        clean_extra_fields(Odd(), schema.read(form, INPUTS))
    except Invalid as error:
        form.take(error)
    schema.explain(form, INPUTS)

    assert {name.removeprefix("extra_fields."): form.errors[name] for name in form.errors} == {
        "place.room": "Field required",
        "place.floor": "Input should be a valid integer, unable to parse string as an integer",
        "ratio": "Input should be a valid number, unable to parse string as a number",
        "tags.0": "String should have at most 5 characters",
        "keys.0.number": "Digits alone, 2 to 4 of them.",
    }
    assert form["extra_fields.keys.0.number"] == "1"


def test_what_strangers_send_harms_nothing() -> None:
    """Thousands of rows, huge indices and numbers, names that are none: read, bounded, refused."""
    names = [f"tags__{index}" for index in range(5000)]
    form = _form(
        **dict.fromkeys(names, "x"),
        **{"tags__-1": "x", "tags__٣": "x", "tags__99999999999": "x", "keys__x__number": "1"},
        ratio="9" * 400,
        nothing__0="x",
    )

    read = schema.read(form, INPUTS)

    assert len(read["tags"]) == 100
    assert read["keys"] == []
    assert read["ratio"] == "9" * 400
