"""A number that plays a sound to whoever dials it."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from muru.asterisk.dialplan.applications import Application
from muru.asterisk.dialplan.flow import Goto, Set, Wait
from muru.asterisk.dialplan.media import Answer, Hangup, Playback
from muru.flavor import AudioFormat, Extension, MediaDescriptor, MediaType

from ._dialled import Dialled

_LONGEST = 3600  # seconds: a phone that died tells nobody
_NONE = "beep"  # while there is nothing to play


class AnnouncementFields(BaseModel):
    """What a person fills in for an announcement."""

    model_config = ConfigDict(extra="forbid")

    repeat: bool = Field(
        False, title="Round and round", description="Until the caller hangs up; else once."
    )


class Announcement(Dialled):
    PHONE_TYPES: ClassVar[list[str]] = ["Announcement"]
    DISPLAY_INDEX = -30
    EXTRA_FIELDS: ClassVar[type[BaseModel] | None] = AnnouncementFields
    MEDIA: ClassVar[dict[str, MediaDescriptor]] = {
        "announcement": MediaDescriptor(
            MediaType.AUDIO,
            required=True,
            label="Announcement",
            out_format=AudioFormat("wav", samplerate=16000),
        )
    }
    ASTERISK_MEDIA: ClassVar[frozenset[str]] = frozenset(MEDIA)

    def steps(self, extension: Extension) -> list[Application]:
        play: list[Application] = [Answer(delay=500), Playback(filenames=(self._sound(extension),))]
        if not extension.extra_fields.get("repeat"):
            return [*play, Hangup()]
        # A pause, or a sound that is missing would be looked for without end.
        again: list[Application] = [Wait(seconds=1), Goto(priority=3)]
        return [Set(name="TIMEOUT(absolute)", value=str(_LONGEST)), *play, *again]

    def _sound(self, extension: Extension) -> str:
        digest = extension.media.get("announcement")
        return f"{self.settings.asterisk_media}/{digest}/sound" if digest else _NONE
