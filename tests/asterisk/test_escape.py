"""Text of people in what Asterisk reads. What Asterisk makes of caller ids is tested elsewhere."""

import pytest

from muru.asterisk.escape import caller_id, conf_value, read_realtime_value, realtime_value


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Anna", '"Anna" <2001>'),
        ("", '"" <2001>'),
        ('Dr. "A"', '"Dr. \\"A\\"" <2001>'),
        ("back\\slash", '"back\\\\slash" <2001>'),
        ('\\"', '"\\\\\\"" <2001>'),
        ("<2002>", '"<2002>" <2001>'),
        ("Zoë 🐈 ;", '"Zoë 🐈 ;" <2001>'),
    ],
)
def test_caller_id(name: str, written: str) -> None:
    """A name ends where its quotes end, whatever is in it."""
    assert caller_id(name, "2001") == written


@pytest.mark.parametrize("length", [77, 78, 79, 80, 81])
def test_long_caller_id(length: int) -> None:
    """A name too long for Asterisk is cut between characters, not within one."""
    for character, width in (("é", 2), ("🐈", 4)):
        kept = caller_id("x" * (length % 4) + character * length, "2001")
        assert kept.endswith('" <2001>')
        name = kept[1 : kept.rindex('"')]
        assert 79 - width < len(name.encode()) <= 79


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\0b", "a\tb", "\x1b", "a\x7f"])
def test_caller_id_with_control_characters(name: str) -> None:
    """What could begin a line of its own is refused."""
    with pytest.raises(ValueError, match="control"):
        caller_id(name, "2001")


@pytest.mark.parametrize("number", ["", "h", "20 01", "2001>", "²", "٣", "2001\n"])
def test_caller_id_without_number(number: str) -> None:
    """Only the digits 0 to 9 are a number."""
    with pytest.raises(ValueError, match="no extension number"):
        caller_id("Anna", number)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql", "mariadb"])
@pytest.mark.parametrize("value", ["", "a;b", "^", "^3B", "^5E3B;^", "ü;^;"])
def test_realtime_value(dialect: str, value: str) -> None:
    """Every value comes back as it was; what Asterisk's driver would split at is not in it."""
    written = realtime_value(value, dialect)

    assert read_realtime_value(written, dialect) == value
    assert dialect == "sqlite" or ";" not in written
    assert dialect != "sqlite" or written == value


@pytest.mark.parametrize(
    ("value", "written"),
    [(5060, "5060"), ("a;b", "a\\;b"), ("a\\b", "a\\b"), ("ü = [x]", "ü = [x]"), ("", "")],
)
def test_conf_value(value: object, written: str) -> None:
    """A semicolon begins no comment."""
    assert conf_value(value) == written


@pytest.mark.parametrize("value", ["a\nb", "a\r", "\0"])
def test_conf_value_with_line_breaks(value: str) -> None:
    """What cannot be on one line is refused."""
    with pytest.raises(ValueError, match="line breaks"):
        conf_value(value)
