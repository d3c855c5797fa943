"""Numbers that anybody may need once: an echo, the own number, the time."""

from typing import ClassVar

from muru.asterisk.dialplan.applications import Application
from muru.asterisk.dialplan.fields import Expression
from muru.asterisk.dialplan.flow import Goto, Set, Wait
from muru.asterisk.dialplan.media import (
    Answer,
    Echo,
    Hangup,
    Playback,
    SayDigits,
    SayUnixTime,
)
from muru.flavor import Extension

from ._dialled import Dialled

_LONGEST = Set(name="TIMEOUT(absolute)", value="300")  # seconds: a phone that died tells nobody
# Digits alone, whatever a phone says of itself.
_CALLER = Expression(expression="${FILTER(0-9,${CALLERID(num)})}")


class Services(Dialled):
    """Each type is one of them; the operator chooses the numbers."""

    PHONE_TYPES: ClassVar[list[str]] = ["Echo test", "Own number", "Speaking clock"]
    DISPLAY_INDEX = -40
    IS_SPECIAL = True

    def steps(self, extension: Extension) -> list[Application]:
        begin: list[Application] = [_LONGEST, Answer(delay=500)]
        match extension.type:
            case "Echo test":
                return [*begin, Playback(filenames=("beep",)), Echo(), Hangup()]
            case "Own number":
                digits = SayDigits(digits=_CALLER)
                return [*begin, digits, Wait(seconds=1), digits, Hangup()]
            case _:
                time = SayUnixTime(timezone=self.settings.phone_time_zone, format="HMS")
                beep = Playback(filenames=("beep",))
                return [*begin, time, beep, Wait(seconds=3), Goto(priority=3)]
