"""MAC addresses in any writing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from muru.provisioning import mac as macs
from muru.provisioning.mac import OptionalMac

WRITINGS = (
    "0004137f0001",
    "0004137F0001",
    "00:04:13:7f:00:01",
    "00-04-13-7F-00-01",
    "0004.137f.0001",
    "00 04 13 7f 00 01",
    " 00:04:13:7F:00:01 ",
)


@pytest.mark.parametrize("written", WRITINGS)
def test_every_writing_is_kept_as_one(written: str) -> None:
    """However people write an address, it is the same twelve small hex digits."""
    assert macs.normalise(written) == "0004137f0001"


@pytest.mark.parametrize(
    "wrong",
    ["", "0004137f000", "0004137f00011", "0004137f000g", "000000000000", "0104137f0001", "ff" * 6],
)
def test_what_no_phone_can_have_is_refused(wrong: str) -> None:
    """Neither a typing error, nor zeros, nor the address of a group is one."""
    with pytest.raises(ValueError, match="label"):
        macs.normalise(wrong)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """Whatever is typed gives an address that stays itself, or a fault that can be shown."""
    try:
        mac = macs.normalise(text)
    except ValueError:
        return
    assert macs.normalise(macs.written(mac)) == mac


@pytest.mark.parametrize(
    "text",
    [
        "snom-0004137F0001.htm",
        "cfg0004137f0001.xml",
        "0004137f0001-calls.xml",
        "Aastra6731i MAC:00-04-13-7F-00-01 V:3.2.0.70-SIP",
        "MAC%3a0004137F0001@224.0.1.75",
        "sip:MAC:00:04:13:7F:00:01",
        "Yealink SIP-T46G 28.72.0.1 00:04:13:7f:00:01",
    ],
)
def test_address_is_found_within_text(text: str) -> None:
    """An address is found in names of files, URLs and user agents."""
    assert macs.find(text) == "0004137f0001"


@given(st.text())
def test_search_never_fails(text: str) -> None:
    """No text, however strange, makes the search fail; what it finds is an address."""
    found = macs.find(text)

    assert found is None or macs.normalise(found) == found


def test_field_of_a_form() -> None:
    """A form's field takes any writing, and an empty one as none; its fault says what to do."""

    class Form(BaseModel):
        mac: OptionalMac = None

    assert Form(mac="00-04-13-7F-00-01").mac == "0004137f0001"
    assert Form(mac=" ").mac is None
    with pytest.raises(ValidationError, match="on the phone's label"):
        Form(mac="none")
