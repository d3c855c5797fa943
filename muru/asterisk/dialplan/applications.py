"""All applications that muru writes: ``Application`` is one, told by its field ``app``."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

from muru.asterisk.dialplan import flow, media
from muru.asterisk.dialplan.application import AsteriskApplication
from muru.asterisk.dialplan.fields import Condition
from muru.asterisk.dialplan.places import Location
from muru.asterisk.dialplan.quoting import nests, partition, split
from muru.asterisk.escape import realtime_value
from muru.errors import Invalid

#: Bytes of appdata: what the column holds, and Asterisk keeps of it with all values put in is 512.
LONGEST_APPDATA = 256
_LONGEST_READ = 2000  # characters, which a person may have written with more quotes than needed

_PROGRAM = "it runs programs on the machine"
_LISTENS = "it listens to other people's calls"
_STEERS = "it steers other people's calls"
_REDUCES = "it runs an application that nobody has checked"

#: Applications that muru does not write at all, and why.
REFUSED = {
    **dict.fromkeys(("System", "TrySystem", "ExternalIVR", "JACK"), _PROGRAM),
    **dict.fromkeys(("AGI", "EAGI", "DeadAGI", "MP3Player", "NBScat", "Festival"), _PROGRAM),
    **dict.fromkeys(("MixMonitor", "Monitor", "MinivmNotify", "MinivmGreet"), _PROGRAM),
    **dict.fromkeys(("ChanSpy", "ExtenSpy", "AudioSocket", "Dictate"), _LISTENS),
    **dict.fromkeys(("ChannelRedirect", "SoftHangup", "Originate", "BridgeAdd"), _STEERS),
    **dict.fromkeys(("Pickup", "PickupChan", "Bridge", "ConfKick"), _STEERS),
    **dict.fromkeys(("Exec", "TryExec", "Macro", "MacroExclusive"), _REDUCES),
    "Stasis": "it hands the call to a program, which is muru's own business",
    "DISA": "it gives callers from anywhere a line of this site",
    "MSet": "it sets several variables in one step; use Set several times",
    "ReadFile": "it reads files of the machine",
}


def _refuse(value: Any) -> Any:
    app = value.get("app") if isinstance(value, dict) else getattr(value, "app", None)
    _check_name(str(app))
    return value


def _check_name(name: str) -> None:
    """Check that no application of that name is refused.

    Raises:
        ValueError: it is; the text says why.
    """
    reasons = {refused.lower(): reason for refused, reason in REFUSED.items()}
    reason = reasons.get(name.strip().lower())
    if reason:
        raise ValueError(f"{name} is not allowed in the dialplan: {reason}")


_Plain = (
    media.Answer
    | media.BackGround
    | media.Busy
    | media.ConfBridge
    | media.Congestion
    | media.Dial
    | media.Echo
    | flow.Gosub
    | flow.Goto
    | flow.GotoIf
    | media.Hangup
    | media.MusicOnHold
    | flow.NoOp
    | media.Playback
    | media.Progress
    | media.Queue
    | media.Read
    | media.Record
    | flow.Return
    | media.Ringing
    | media.SayDigits
    | media.SayNumber
    | media.SayUnixTime
    | flow.Set
    | flow.Verbose
    | media.VoiceMail
    | flow.Wait
    | flow.WaitExten
)


def _fits_in_parentheses(application: _Plain) -> _Plain:
    if not nests(application.appdata):
        raise ValueError(
            "Asterisk could not tell where this application ends: it has brackets or quotes that"
            " are not closed; put the text into a variable with Set, before"
        )
    return application


_Branch = Annotated[_Plain, Field(discriminator="app"), BeforeValidator(_refuse)]


class ExecIf(AsteriskApplication):
    """Do one application if a condition is true, another or none if it is false."""

    app: Literal["ExecIf"] = "ExecIf"
    expression: Condition = Field(title="Condition", description='As $["${ANSWER}" = "1"].')
    appiftrue: Annotated[_Branch, AfterValidator(_fits_in_parentheses)] = Field(title="If true")
    appiffalse: _Branch | None = Field(None, title="If false")

    @property
    def appdata(self) -> str:
        true = _in_parentheses(self.appiftrue)
        false = f":{_in_parentheses(self.appiffalse)}" if self.appiffalse else ""
        return f"{self.expression}?{true}{false}"

    @classmethod
    def read(cls, appdata: str) -> dict[str, Any]:
        condition, _, branches = partition(appdata, "?")
        true, *false = split(branches, ":", 2)
        found = {"appiftrue": _read_in_parentheses(true)}
        if false:
            found["appiffalse"] = _read_in_parentheses(false[0])
        return {"expression": condition, **found}

    @property
    def places(self) -> Sequence[Location]:
        return (*self.appiftrue.places, *(self.appiffalse.places if self.appiffalse else ()))

    def moved(self, change: Callable[[Location], Location]) -> Self:
        true, false = self.appiftrue, self.appiffalse
        branches = {"appiftrue": true.moved(change), "appiffalse": false and false.moved(change)}
        return self.model_copy(update=branches)


def _in_parentheses(application: AsteriskApplication) -> str:
    return f"{application.app}({application.appdata})"


def _read_in_parentheses(text: str) -> dict[str, Any]:
    name, _, rest = text.partition("(")
    return _fields(name.strip(), rest.rpartition(")")[0])


Application = Annotated[_Plain | ExecIf, Field(discriminator="app"), BeforeValidator(_refuse)]

_ADAPTER: TypeAdapter[Application] = TypeAdapter(Application)
_CLASSES: dict[str, type[AsteriskApplication]] = {
    each.model_fields["app"].default.lower(): each for each in (*_Plain.__args__, ExecIf)
}

#: The names of all, as Asterisk's documentation writes them.
NAMES = tuple(sorted(each.model_fields["app"].default for each in _CLASSES.values()))


def assemble(application: AsteriskApplication) -> tuple[str, str]:
    """Return the name and the text in parentheses, for Asterisk to read.

    Raises:
        Invalid: the text is longer than Asterisk takes.
    """
    appdata = application.appdata
    # The longest of its forms: some databases need three characters for one.
    if len(realtime_value(appdata, "postgresql").encode()) > LONGEST_APPDATA:
        raise Invalid(
            f"{application.app} has more text than Asterisk takes: {LONGEST_APPDATA} bytes in all.",
            key="application-too-long",
        )
    return application.app, appdata


def parse(app: str, appdata: str | None) -> Application:
    """Return what :func:`assemble` made *app* and *appdata* of, or a person wrote.

    Raises:
        Invalid: there is no such application here, or its arguments do not fit.
    """
    try:
        return _ADAPTER.validate_python(_fields(app, appdata or ""))
    except ValidationError as error:
        raise Invalid.of(error) from error
    except ValueError as error:
        raise Invalid(f"{app}: {error}.", {"appdata": str(error)}) from error


def _fields(app: str, appdata: str) -> dict[str, Any]:
    _check_name(app)
    if len(appdata) > _LONGEST_READ:
        raise ValueError("it has more text than Asterisk takes")
    found = _CLASSES.get(app.strip().lower())
    if found is None:
        raise ValueError(f"there is no application {app[:40]!r} here, but {', '.join(NAMES)}")
    return {"app": found.model_fields["app"].default, **found.read(appdata)}
