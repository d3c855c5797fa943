"""Applications that the caller hears, or that bring the caller to others."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from muru.asterisk.dialplan.application import AsteriskApplication
from muru.asterisk.dialplan.fields import (
    NAME_PATTERN,
    Expression,
    Fraction,
    Line,
    Name,
    Seconds,
    Sound,
    Variable,
    carries,
    letters,
    matching,
    value_of,
    written,
)
from muru.asterisk.dialplan.quoting import partition, split

_Sounds = Annotated[tuple[Sound, ...], Field(min_length=1, max_length=20)]
# Quoted, so that any text can be a name, also with commas in it.
_FreeName = Line | Expression
_Target = (
    Annotated[str, matching(r"(?:Local|PJSIP|[A-Z][A-Za-z0-9]*)/[A-Za-z0-9_.@/:;=+*#~-]+")]
    | Annotated[Expression, AfterValidator(carries("&"))]
)
_Mailbox = (
    Annotated[str, matching(rf"[A-Za-z0-9_.-]+(?:@{NAME_PATTERN})?")]
    | Annotated[Expression, AfterValidator(carries("&"))]
)
_URL = Annotated[str, matching(r"https?://[A-Za-z0-9_.:/?=%~#+-]+")]


class Answer(AsteriskApplication):
    """Answer the call, if it is not yet."""

    app: Literal["Answer"] = "Answer"
    delay: int | None = Field(
        None, title="Delay", description="Milliseconds to wait after it.", ge=0, le=60_000
    )
    options: Annotated[str, letters("i")] | None = Field(
        None, title="Options", description="i: do not wait for sound."
    )


class Hangup(AsteriskApplication):
    """End the call."""

    ENDS: ClassVar[bool] = True

    app: Literal["Hangup"] = "Hangup"
    causecode: int | None = Field(
        None, title="Cause", description="By Q.850: 17 is busy, 21 refused.", ge=1, le=127
    )


class Dial(AsteriskApplication):
    """Ring one or more phones, and connect the caller with the first that answers."""

    LISTS: ClassVar[Mapping[str, str]] = {"technology_resource": "&"}

    app: Literal["Dial"] = "Dial"
    technology_resource: Annotated[tuple[_Target, ...], Field(min_length=1, max_length=50)] = Field(
        title="Phones", description="As PJSIP/2001, or Local/2001@muru for all phones of a number."
    )
    timeout: Seconds | Expression | None = Field(
        None, title="Timeout", description="Seconds after which the next step is done."
    )
    options: Annotated[str, letters("cCdgHhiIkKNtTwWxXz", "AmrSLQ")] | None = Field(
        None,
        title="Options",
        description="m(class): music instead of ringback; r: ringback in any case; g: go on when"
        " the called side hangs up; t, T: called side, caller may transfer; S(x): end after x"
        " seconds; A(sound): play it to the called side.",
    )
    url: _URL | None = Field(None, title="URL", description="Sent to the called side.")


class Playback(AsteriskApplication):
    """Play sounds from their beginning to their end."""

    LISTS: ClassVar[Mapping[str, str]] = {"filenames": "&", "options": ","}

    app: Literal["Playback"] = "Playback"
    filenames: _Sounds = Field(title="Sounds", description="Without an ending, as tt-weasels.")
    options: tuple[Literal["skip", "noanswer"], ...] = Field(
        (),
        title="Options",
        description="skip: not if the call is not answered yet; noanswer: without answering it.",
        max_length=2,
    )


class BackGround(AsteriskApplication):
    """Play sounds until the caller dials a digit, which begins another number."""

    LISTS: ClassVar[Mapping[str, str]] = {"filenames": "&"}

    app: Literal["BackGround"] = "BackGround"
    filenames: _Sounds = Field(title="Sounds", description="Without an ending, as tt-weasels.")
    options: Annotated[str, letters("snmp")] | None = Field(
        None,
        title="Options",
        description="s: not if the call is not answered yet; n: without answering it; m: only"
        " digits that begin a number end it; p: the caller cannot end it.",
    )
    langoverride: Name | None = Field(None, title="Language", description="As en, or de.")
    context: Name | None = Field(
        None, title="Context", description="Where the number is that the caller dials."
    )


class SayDigits(AsteriskApplication):
    """Read digits out, one by one."""

    app: Literal["SayDigits"] = "SayDigits"
    digits: Annotated[str, matching("[0-9*#-]+")] | Expression = Field(title="Digits")

    @property
    def appdata(self) -> str:
        return written(self.digits)

    @classmethod
    def read(cls, appdata: str) -> dict[str, Any]:
        return {"digits": value_of(appdata)}


class SayNumber(AsteriskApplication):
    """Read a number out."""

    app: Literal["SayNumber"] = "SayNumber"
    digits: (
        Annotated[int, Field(ge=-(2**31) + 1, lt=2**31)]
        | Annotated[Expression, AfterValidator(carries(","))]
    ) = Field(title="Number")
    gender: Literal["f", "m", "c", "n"] | None = Field(
        None, title="Gender", description="Feminine, masculine, common or neuter, where it matters."
    )

    @property
    def appdata(self) -> str:
        return written(self.digits) + (f",{self.gender}" if self.gender else "")

    @classmethod
    def read(cls, appdata: str) -> dict[str, Any]:
        digits, _, gender = partition(appdata, ",")
        return {"digits": value_of(digits), "gender": gender.strip() or None}


class SayUnixTime(AsteriskApplication):
    """Read a time out."""

    app: Literal["SayUnixTime"] = "SayUnixTime"
    unixtime: Annotated[int, Field(ge=0, lt=2**31)] | Expression | None = Field(
        None, title="Time", description="Seconds since 1970; by default, now."
    )
    timezone: Annotated[str, matching(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")] | None = Field(
        None, title="Time zone", description="As Europe/Berlin; by default, that of the machine."
    )
    format: Annotated[str, matching(r"[A-Za-z]+")] | None = Field(
        None, title="Format", description="H, M, S: hours, minutes, seconds; A, d, B, Y: the date."
    )
    options: Literal["j"] | None = Field(
        None, title="Options", description="j: a digit that is pressed begins another number."
    )


class ConfBridge(AsteriskApplication):
    """Join a conference."""

    PAUSES: ClassVar[bool] = True

    app: Literal["ConfBridge"] = "ConfBridge"
    conference: _FreeName = Field(title="Conference")
    bridge_profile: Name | None = Field(None, title="Profile of the conference")
    user_profile: Name | None = Field(None, title="Profile of the caller")
    menu: Name | None = Field(None, title="Menu", description="What the caller's digits do.")


class Queue(AsteriskApplication):
    """Wait in a queue for somebody who answers."""

    LISTS: ClassVar[Mapping[str, str]] = {"announceoverride": "&"}

    app: Literal["Queue"] = "Queue"
    queuename: _FreeName = Field(title="Queue")
    options: Annotated[str, letters("CcdhHiIkKnRtTxX", "mr")] | None = Field(
        None,
        title="Options",
        description="c: go on when the called side hangs up; n: no second try; r: ringback instead"
        " of music; t, T: called side, caller may transfer.",
    )
    url: _URL | None = Field(None, title="URL", description="Sent to the called side.")
    announceoverride: tuple[Sound, ...] = Field(
        (), title="Announcement", description="Played to who answers.", max_length=20
    )
    timeout: Seconds | Expression | None = Field(
        None, title="Timeout", description="Seconds after which the next step is done."
    )


class VoiceMail(AsteriskApplication):
    """Let the caller leave a message."""

    LISTS: ClassVar[Mapping[str, str]] = {"mailbox": "&"}

    app: Literal["VoiceMail"] = "VoiceMail"
    mailbox: Annotated[tuple[_Mailbox, ...], Field(min_length=1, max_length=20)] = Field(
        title="Mailboxes", description="As 2001, or 2001@default."
    )
    options: Annotated[str, letters("besSuUP", "dt")] | None = Field(
        None,
        title="Options",
        description="u, b: with the greeting for unavailable, for busy; s: without instructions.",
    )


class Echo(AsteriskApplication):
    """Send the caller's own sound back, until they press #."""

    PAUSES: ClassVar[bool] = True

    app: Literal["Echo"] = "Echo"


class Read(AsteriskApplication):
    """Take digits from the caller."""

    LISTS: ClassVar[Mapping[str, str]] = {"filenames": "&"}
    PAUSES: ClassVar[bool] = True

    app: Literal["Read"] = "Read"
    variable: Variable = Field(title="Variable", description="Which one gets the digits.")
    filenames: tuple[Sound, ...] = Field(
        (), title="Sounds", description="Played meanwhile.", max_length=20
    )
    maxdigits: int | None = Field(
        None, title="Most digits", description="Without, # ends it.", ge=1, le=255
    )
    options: Annotated[str, letters("sine", "t")] | None = Field(
        None, title="Options", description="t(*): another key than # ends it."
    )
    attempts: int | None = Field(None, title="Attempts", ge=1, le=20)
    timeout: Fraction | None = Field(None, title="Timeout", description="Seconds for each digit.")


class Record(AsteriskApplication):
    """Record the caller into a file."""

    PAUSES: ClassVar[bool] = True

    app: Literal["Record"] = "Record"
    filename: Annotated[str, matching(r"[A-Za-z0-9_%-]+(?:/[A-Za-z0-9_%-]+)*")] | Expression = (
        Field(title="File", description="Below Asterisk's folder of sounds; %d counts up.")
    )
    format: Literal["wav", "gsm", "sln", "sln16", "ulaw", "alaw"] = Field("wav", title="Format")
    silence: Seconds | None = Field(
        None, title="Silence", description="Seconds of silence that end it."
    )
    maxduration: Seconds | None = Field(None, title="Longest", description="In seconds.")
    options: Annotated[str, letters("anoqstuxky")] | None = Field(
        None,
        title="Options",
        description="q: no beep; k: keep it when the caller hangs up; y: any digit ends it.",
    )

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in super()._names() if name != "format"]

    def _argument(self, name: str) -> str:
        argument = super()._argument(name)
        return f"{argument}.{self.format}" if name == "filename" else argument

    @classmethod
    def read(cls, appdata: str) -> dict[str, Any]:
        first, *rest = split(appdata, ",")
        filename, _, form = first.rpartition(".")
        return {**super().read(",".join((filename, *rest))), "format": form.strip()}


class MusicOnHold(AsteriskApplication):
    """Play music."""

    PAUSES: ClassVar[bool] = True

    app: Literal["MusicOnHold"] = "MusicOnHold"
    class_: Name | Expression | None = Field(
        None, alias="class", title="Class", description="Of musiconhold.conf; by default, default."
    )
    duration: Seconds | None = Field(None, title="Duration", description="In seconds.")


class Ringing(AsteriskApplication):
    """Let the caller hear that it rings."""

    app: Literal["Ringing"] = "Ringing"


class Progress(AsteriskApplication):
    """Let the caller hear what comes, without answering."""

    app: Literal["Progress"] = "Progress"


class Busy(AsteriskApplication):
    """Let the caller hear that it is busy."""

    ENDS: ClassVar[bool] = True

    app: Literal["Busy"] = "Busy"
    timeout: Seconds | None = Field(None, title="Timeout", description="End the call after it.")


class Congestion(AsteriskApplication):
    """Let the caller hear that there is no way through."""

    ENDS: ClassVar[bool] = True

    app: Literal["Congestion"] = "Congestion"
    timeout: Seconds | None = Field(None, title="Timeout", description="End the call after it.")
