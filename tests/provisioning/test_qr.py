"""QR codes as SVG."""

import re
from xml.etree import ElementTree as ET

import pytest
import segno

from muru.provisioning import qr

URL = "http://192.0.2.1:8080/telephoning/softphone/k/abcdefghjkmnpqrstuvwxyz234/linphone.xml"


def drawn(svg: str) -> tuple[int, set[tuple[int, int]]]:
    """How wide a code is with its quiet zone, and its dark modules, as the path has them."""
    element = ET.fromstring(svg)
    side = int(element.attrib["viewBox"].split()[2])
    dark = set()
    stroke = next(each for each in element if each.get("stroke") == "#000")
    x, y = 0.0, 0.0
    for command, values in re.findall(r"([Mmh])([-\d. ]+)", stroke.attrib["d"]):
        numbers = [float(each) for each in re.findall(r"-?[\d.]+", values)]
        if command == "h":
            dark |= {(int(x) + step, int(y)) for step in range(int(numbers[0]))}
            x += numbers[0]
        else:
            x, y = (x, y) if command == "m" else (0.0, 0.0)
            x, y = x + numbers[0], y + numbers[1]
    return side, dark


def test_svg_draws_the_code() -> None:
    """What is drawn is the code of the text, with four light modules all around it."""
    code = segno.make_qr(URL, error="q")
    side, dark = drawn(qr.svg(URL))

    expected = {
        (x + 4, y + 4)
        for y, row in enumerate(code.matrix)
        for x, module in enumerate(row)
        if module
    }
    assert (side, dark) == (len(code.matrix) + 8, expected)


def test_svg_is_an_element_alone() -> None:
    """It can stand in a page: no declaration, no size of its own, nothing that runs."""
    text = qr.svg(URL)

    assert text.startswith("<svg ")
    assert {"width", "height"} & ET.fromstring(text).attrib.keys() == set()
    assert "script" not in text


def test_svg_of_too_much() -> None:
    """What no code can hold is refused."""
    with pytest.raises(ValueError, match="too large"):
        qr.svg("x" * 4000)


@pytest.mark.parametrize("text", ["Zoë 😀", "<&\"'>", "\x00\n"])
def test_svg_of_any_text(text: str) -> None:
    """Any text makes an SVG that can be parsed, and none of it stands in there."""
    assert len(drawn(qr.svg(text))[1]) > 100
    assert text not in qr.svg(text)
