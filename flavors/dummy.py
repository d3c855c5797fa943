"""An extension without a phone: keeps a number, or stands in for one in a test."""

from typing import ClassVar

from muru.flavor import PhoneFlavor


class Dummy(PhoneFlavor):
    PHONE_TYPES: ClassVar[list[str]] = ["Dummy"]
    DISPLAY_INDEX = -100
    MAX_EXTENSION_NAME_CHARS = 40
