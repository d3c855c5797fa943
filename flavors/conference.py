"""A number where all who dial it hear each other."""

from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from muru.asterisk.dialplan import CONFERENCE
from muru.asterisk.dialplan.applications import Application
from muru.asterisk.dialplan.flow import Gosub
from muru.flavor import Extension

from ._dialled import Dialled

_PIN = r"^[0-9]{3,8}$"


class ConferenceFields(BaseModel):
    """What a person fills in for a conference."""

    model_config = ConfigDict(extra="forbid")

    pin: str | None = Field(
        None,
        title="PIN",
        description="What callers have to type, 3 to 8 digits; empty: they need none.",
        pattern=_PIN,
    )
    moderator_pin: str | None = Field(
        None,
        title="Moderator's PIN",
        description="Who types this one may lock the conference and put others out.",
        pattern=_PIN,
    )
    announcements: bool = Field(
        True,
        title="Announcements",
        description="Whether one hears that somebody comes or goes, and how many there are.",
    )

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.pin is not None and self.pin == self.moderator_pin:
            raise ValueError("the moderator's PIN must be another one")
        return self


class Conference(Dialled):
    PHONE_TYPES: ClassVar[list[str]] = ["Conference"]
    DISPLAY_INDEX = -20
    EXTRA_FIELDS: ClassVar[type[BaseModel] | None] = ConferenceFields

    def steps(self, extension: Extension) -> list[Application]:
        fields = ConferenceFields.model_validate(extension.extra_fields)
        sound = "announced" if fields.announcements else "quiet"
        pins = (fields.pin or "", fields.moderator_pin or "")
        return [Gosub(context=CONFERENCE, extension="enter", arg=(extension.number, *pins, sound))]
