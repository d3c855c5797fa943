"""What an extension may be: its number, its name, its phone type's further fields."""

import json
import logging
import unicodedata
from typing import Any

from pydantic import BaseModel, ValidationError

from muru.errors import Conflict, Forbidden, HookRefused, Invalid
from muru.flavor import PhoneFlavor
from muru.services.site import Actor
from muru.settings import Settings

_log = logging.getLogger(__name__)

# Marks, embeddings and overrides of writing direction: they can make a list read as something else.
_DIRECTION_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_reserved(settings: Settings, number: str) -> bool:
    """Tell whether *number* is kept for administrators, or for the self-test of phones."""
    if number == settings.selftest_number:
        return True
    for entry in settings.reserved_extensions:
        first, _, last = entry.partition("-")
        if len(number) == len(first) and first <= number <= (last or first):
            return True
    return False


def check_special(settings: Settings, actor: Actor, flavor: PhoneFlavor) -> None:
    if flavor.IS_SPECIAL and not (actor.is_admin or settings.all_extension_types_public):
        raise Forbidden("Only administrators create extensions of this type.", key="special-type")


def check_number(settings: Settings, actor: Actor, number: str) -> None:
    digits = settings.extension_digits
    if not (number.isascii() and number.isdigit() and len(number) == digits):
        raise Invalid(
            f"{number!r} is no number here.", {"number": f"exactly {digits} digits, 0 to 9"}
        )
    if number == settings.selftest_number or (not actor.is_admin and is_reserved(settings, number)):
        raise Conflict(f"The number {number} is reserved; choose another.", key="number-reserved")


def clean_name(settings: Settings, actor: Actor, flavor: PhoneFlavor, name: str) -> str:
    cleaned = clean_text("name", name, flavor.MAX_EXTENSION_NAME_CHARS)
    if not any(map(str.isprintable, cleaned)):
        raise Invalid("An extension needs a name.", {"name": "must not be empty"})
    if not actor.is_admin:
        for prefix in settings.reserved_name_prefixes:
            if _as_seen(cleaned).startswith(_as_seen(prefix)):
                raise Invalid(
                    "This name is reserved.",
                    {"name": f"names that begin with {prefix!r} are reserved"},
                    key="name-reserved",
                )
    return cleaned


def _as_seen(text: str) -> str:
    """Return *text* without what the eye hardly sees: case, width, invisible characters."""
    plain = unicodedata.normalize("NFKC", text)
    return "".join(each for each in plain if unicodedata.category(each) != "Cf").casefold().lstrip()


def clean_text(field_name: str, value: str, longest: int) -> str:
    """Return *value* normalised (NFC) and stripped, as phones and Asterisk can take it."""
    cleaned = unicodedata.normalize("NFC", value).strip()
    if len(cleaned) > longest:
        raise Invalid("This text is too long.", {field_name: f"{longest} characters at most"})
    for character in cleaned:
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or (
            character in _DIRECTION_CONTROLS
        ):
            raise Invalid(
                "This text has a character that phones cannot show.",
                {field_name: f"remove the invisible character U+{ord(character):04X}"},
            )
    return cleaned


def clean_extra_fields(flavor: PhoneFlavor, given: dict[str, Any]) -> dict[str, Any]:
    model: type[BaseModel] | None = flavor.EXTRA_FIELDS
    if model is None:
        if given:
            faults = {f"extra_fields.{name}": "this phone type has no such field" for name in given}
            raise Invalid("This phone type takes no further fields.", faults)
        return {}
    try:
        # As JSON, so that a strict model takes what JSON has no type for (dates, UUIDs).
        return model.model_validate_json(json.dumps(given)).model_dump(mode="json")
    except ValidationError as error:
        raise Invalid.of(error, "extra_fields") from error
    except Exception as error:
        _log.warning("EXTRA_FIELDS of %s failed", type(flavor).__name__, exc_info=True)
        raise HookRefused(str(error) or type(error).__name__) from error
