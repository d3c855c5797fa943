"""QR codes, for the links that apps are configured by."""

from io import BytesIO

import segno


def svg(text: str) -> str:
    """Return a QR code of *text* as an SVG image, as large as what it is put into.

    It is dark on light with the quiet zone around it, so that it can be scanned from a dark page
    too. A quarter of it may be hidden or dirty.

    Raises:
        ValueError: *text* is longer than some 1,600 bytes.
    """
    code = segno.make_qr(text, error="q")
    image = BytesIO()
    code.save(
        image,
        kind="svg",
        xmldecl=False,
        nl=False,
        omitsize=True,
        dark="#000",
        light="#fff",
        svgclass=None,
        lineclass=None,
    )
    return image.getvalue().decode()
