"""Any application with any arguments, hostile text among them, for hypothesis."""

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from pydantic import ValidationError

from muru.asterisk.dialplan import flow, media
from muru.asterisk.dialplan.application import AsteriskApplication
from muru.asterisk.dialplan.applications import ExecIf
from muru.asterisk.dialplan.fields import Expression
from muru.asterisk.dialplan.places import Location

HOSTILE = [
    *",;\\\"()[]{}$&|?:='`^%#<>~ ",
    *("${", "$[", "${X}", "$[1+1]", "${F(a,b)}", "\\,", "\\\\", ";--", "--;", ")", "=>", "exten"),
    *("same => n,System(id)", "&&", "a", "1", "é", "🐈", "System(id)", "),System(id"),
]
texts = st.lists(st.sampled_from(HOSTILE), max_size=8).map("".join).map(str.strip)
names = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
labels = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)
sounds = st.from_regex(r"/?[a-z0-9_+-]{1,6}(/[a-z0-9_+-][a-z0-9.]{0,3}){0,2}", fullmatch=True)
seconds = st.integers(1, 86_400)
fractions = st.floats(0.01, 86_400)
digits = st.text("0123456789*#", min_size=1)
variables = st.sampled_from(["ANSWER", "__X", "CALLERID(name)", "GROUP()", "CHANNEL(language)"])
conditions = st.sampled_from(
    ['$["${X}" = "a,b?c:d)"]', "${EXISTS(${X})}", "$[${A[1]} > 2]", "$[1]", '$["${X:-1:2}" = ";"]']
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def several(strategy: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[Any]:
    return st.lists(strategy, min_size=least, max_size=3).map(tuple)


def valid(build: Any, *arguments: Any, **fields: Any) -> st.SearchStrategy[Any]:
    """Build a model; what it refuses is no example."""

    def make(*given: Any, **chosen: Any) -> Any:
        try:
            return build(*given, **chosen)
        except ValidationError:
            assume(False)

    return st.builds(make, *arguments, **fields)


expressions = valid(Expression, expression=texts)
values = texts | expressions
sound_values = sounds | expressions
places = valid(
    Location,
    context=maybe(names),
    extension=maybe(names | expressions),
    priority=st.integers(1, 9999) | labels,
)


def letters(alphabet: str) -> st.SearchStrategy[str | None]:
    return maybe(st.text(alphabet, min_size=1, max_size=4))


def goto(kind: type[AsteriskApplication], **more: Any) -> st.SearchStrategy[Any]:
    return valid(lambda place, **fields: kind(**dict(place), **fields), places, **more)


PLAIN: dict[type[AsteriskApplication], st.SearchStrategy[Any]] = {
    media.Answer: valid(media.Answer, delay=maybe(st.integers(0, 60_000)), options=letters("i")),
    media.BackGround: valid(
        media.BackGround,
        filenames=several(sound_values, 1),
        options=letters("snmp"),
        langoverride=maybe(names),
        context=maybe(names),
    ),
    media.Busy: valid(media.Busy, timeout=maybe(seconds)),
    media.ConfBridge: valid(
        media.ConfBridge,
        conference=values,
        bridge_profile=maybe(names),
        user_profile=maybe(names),
        menu=maybe(names),
    ),
    media.Congestion: valid(media.Congestion, timeout=maybe(seconds)),
    media.Dial: valid(
        media.Dial,
        technology_resource=several(
            st.sampled_from(["PJSIP/2001", "Local/1@a-b/n", "PJSIP/a/sip:1@x;y=z"]) | expressions, 1
        ),
        timeout=maybe(seconds | expressions),
        options=maybe(st.sampled_from(["tT", "m(default)g", "S(10)L(1:2:3)", "rXm"])),
        url=maybe(st.just("https://example.org/?a=b")),
    ),
    media.Echo: st.just(media.Echo()),
    flow.Gosub: goto(flow.Gosub, arg=several(values)),
    flow.Goto: goto(flow.Goto),
    flow.GotoIf: valid(
        flow.GotoIf, condition=conditions, labeliftrue=maybe(places), labeliffalse=maybe(places)
    ),
    media.Hangup: valid(media.Hangup, causecode=maybe(st.integers(1, 127))),
    media.MusicOnHold: valid(
        media.MusicOnHold, class_=maybe(names | expressions), duration=maybe(seconds)
    ),
    flow.NoOp: valid(flow.NoOp, text=maybe(values)),
    media.Playback: valid(
        media.Playback,
        filenames=several(sound_values, 1),
        options=several(st.sampled_from(["skip", "noanswer"])),
    ),
    media.Progress: st.just(media.Progress()),
    media.Queue: valid(
        media.Queue,
        queuename=values,
        options=maybe(st.sampled_from(["c", "m(class)n", "tT"])),
        url=maybe(st.just("http://example.org/")),
        announceoverride=several(sound_values),
        timeout=maybe(seconds | expressions),
    ),
    media.Read: valid(
        media.Read,
        variable=variables,
        filenames=several(sound_values),
        maxdigits=maybe(st.integers(1, 255)),
        options=maybe(st.sampled_from(["n", "t(*)", "t"])),
        attempts=maybe(st.integers(1, 20)),
        timeout=maybe(fractions),
    ),
    media.Record: valid(
        media.Record,
        filename=st.sampled_from(["x", "a/b-%d"]) | expressions,
        format=st.sampled_from(["wav", "sln16"]),
        silence=maybe(seconds),
        maxduration=maybe(seconds),
        options=letters("anoqstuxky"),
    ),
    flow.Return: valid(flow.Return, value=maybe(values)),
    media.Ringing: st.just(media.Ringing()),
    media.SayDigits: valid(media.SayDigits, digits=digits | expressions),
    media.SayNumber: valid(
        media.SayNumber,
        digits=st.integers(-(2**31) + 1, 2**31 - 1) | expressions,
        gender=maybe(st.sampled_from("fmcn")),
    ),
    media.SayUnixTime: valid(
        media.SayUnixTime,
        unixtime=maybe(st.integers(0, 2**31 - 1) | expressions),
        timezone=maybe(st.sampled_from(["UTC", "Europe/Berlin", "Etc/GMT+1"])),
        format=maybe(st.sampled_from(["HMS", "ABdY"])),
        options=maybe(st.just("j")),
    ),
    flow.Set: valid(flow.Set, name=variables, value=values),
    flow.Verbose: valid(flow.Verbose, level=st.integers(0, 4), message=values),
    media.VoiceMail: valid(
        media.VoiceMail,
        mailbox=several(st.sampled_from(["2001", "2001@default"]) | expressions, 1),
        options=maybe(st.sampled_from(["u", "bd(ctx)", "s"])),
    ),
    flow.Wait: valid(flow.Wait, seconds=fractions | expressions),
    flow.WaitExten: valid(
        flow.WaitExten,
        seconds=maybe(fractions | expressions),
        options=maybe(st.sampled_from(["m", "m(x)d", "d"])),
    ),
}


def arguments(kind: type[AsteriskApplication]) -> st.SearchStrategy[Any]:
    return PLAIN[kind]


plain = st.sampled_from(list(PLAIN)).flatmap(arguments)
APPLICATIONS: dict[type[AsteriskApplication], st.SearchStrategy[Any]] = {
    **PLAIN,
    ExecIf: valid(ExecIf, expression=conditions, appiftrue=plain, appiffalse=maybe(plain)),
}
