"""Tells which flavor, vendor, model and firmware a phone is, from whatever it shows of itself.

What tells a family's phones apart is data beside its flavor: :class:`Identification`. Each hint
that fits adds to the confidence in a flavor; where two flavors are about as likely, or none is,
nothing is guessed.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from muru.provisioning import mac as macs

if TYPE_CHECKING:
    from muru.flavor import PhoneFlavor

_LONGEST = 512  # characters of a user agent or path that are looked at
_REMEMBERED = 2_000  # user agents that were read
_MARGIN = 0.2  # two flavors that are closer than this are a tie
_FOLDER, _AGENT, _BARE_AGENT, _NAME, _OUI, _FILE = 1.0, 0.9, 0.7, 0.7, 0.6, 0.5


@dataclass(frozen=True, slots=True)
class Identification:
    """How phones of a family are told apart from others.

    *ouis* are the begins of their MAC addresses, six small hex digits or more. *user_agents* are
    regular expressions for HTTP's and SIP's User-Agent, matched from the begin in any letter case;
    their groups ``model``, ``firmware`` and ``mac`` tell what they are named after. *names* are
    other names of the vendor, in small letters, as in SIP PnP.
    """

    vendor: str = ""
    ouis: frozenset[str] = frozenset()
    user_agents: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a phone. *folder* is the flavor whose path it asked below, if it did."""

    path: str = ""
    folder: str = ""
    user_agent: str = ""
    mac: str = ""
    vendor: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Identified:
    """*confidence* is from 0 to 1; *flavor* is the name of the flavor, None where it is 0."""

    flavor: str | None = None
    vendor: str | None = None
    model: str | None = None
    firmware: str | None = None
    mac: str | None = None
    confidence: float = 0.0


_Matches = dict[str, re.Match[str] | None]
Candidates = Iterable[tuple[str, "PhoneFlavor"]]  # name and flavor


def identify(candidates: Candidates, evidence: Evidence) -> Identified:
    """Return what *evidence* tells. Never raises, whatever a phone may send."""
    flavors = list(candidates)
    path, agent = evidence.path[:_LONGEST].strip("/"), evidence.user_agent[:_LONGEST]
    found = {name: _agent_match(flavor, agent) for name, flavor in flavors}
    mac = macs.find(evidence.mac) or macs.find(path) or _mac_in_agent(flavors, found, agent)
    named = [name for name, flavor in flavors if path and _has_file(flavor, path)]
    scores = {}
    for name, flavor in flavors:
        hints = [
            _FOLDER if evidence.folder == name else 0.0,
            _agent_score(found[name]),
            _NAME if _is_named(flavor.IDENTIFICATION, evidence.vendor) else 0.0,
            _OUI if mac and _has_oui(flavor.IDENTIFICATION, mac) else 0.0,
            _FILE / len(named) if name in named else 0.0,
        ]
        scores[name] = _together(hints)
    ranked = sorted(scores, key=lambda name: -scores[name])
    best = ranked[0] if ranked else ""
    second = scores[ranked[1]] if len(ranked) > 1 else 0.0
    if not best or scores[best] - second < _MARGIN:
        return Identified(mac=mac)
    flavor = dict(flavors)[best]
    told = found[best].groupdict() if found[best] else {}  # type: ignore[union-attr]
    return Identified(
        flavor=best,
        vendor=flavor.IDENTIFICATION.vendor or None,
        model=told.get("model") or evidence.model or _model_in(flavor, path),
        firmware=told.get("firmware"),
        mac=mac,
        # What speaks for another flavor as well makes it less sure.
        confidence=round(scores[best] * (1 - second / 2), 2),
    )


@lru_cache(_REMEMBERED)
def told_by(flavor: "PhoneFlavor", user_agent: str) -> tuple[str, str]:
    """Return the model and the firmware that a phone of *flavor* names there; empty where not."""
    match = _agent_match(flavor, user_agent[:_LONGEST])
    told = match.groupdict("") if match else {}
    return told.get("model", ""), told.get("firmware", "")


def phone_type(flavor: "PhoneFlavor", model: str) -> str | None:
    """Return the phone type of *flavor* that is meant by a vendor's *model* (``D735``), if any.

    That is the one whose name ends with the model, whatever blanks and signs are in between.
    """
    wanted = _plain(model)
    if not wanted:
        return None
    ending = [each for each in flavor.PHONE_TYPES if _plain(each).endswith(wanted)]
    exact = [each for each in ending if _plain(each.rpartition(" ")[2]) == wanted]
    chosen = exact or ending
    return chosen[0] if len(chosen) == 1 else None


def _agent_match(flavor: "PhoneFlavor", agent: str) -> re.Match[str] | None:
    if not agent:
        return None
    matches = (_pattern(each).match(agent) for each in flavor.IDENTIFICATION.user_agents)
    return next((match for match in matches if match), None)


@cache
def _pattern(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.IGNORECASE)


def _mac_in_agent(
    flavors: Sequence[tuple[str, "PhoneFlavor"]], found: _Matches, agent: str
) -> str | None:
    """Return the address in a user agent: what a family has there, else what is surely one.

    Twelve hex digits may be a serial number. So they have to begin as a known vendor's addresses,
    unless nobody knows the user agent at all.
    """
    for match in found.values():
        if match and (told := match.groupdict().get("mac")):
            return macs.find(told)
    mac = macs.find(agent)
    if mac is None or not any(found.values()):
        return mac
    return mac if any(_has_oui(flavor.IDENTIFICATION, mac) for _, flavor in flavors) else None


def _agent_score(match: re.Match[str] | None) -> float:
    if match is None:
        return 0.0
    return _AGENT if match.groupdict().get("model") else _BARE_AGENT


def _has_file(flavor: "PhoneFlavor", path: str) -> bool:
    names = (path, path.rpartition("/")[2])
    return any(file.match(name) for file in flavor.FILES for name in names)


def _model_in(flavor: "PhoneFlavor", path: str) -> str | None:
    for file in flavor.FILES:
        match = file.match(path) or file.match(path.rpartition("/")[2])
        if match and match.groupdict().get("model"):
            return match.group("model")
    return None


def _has_oui(identification: Identification, mac: str) -> bool:
    # Their lengths differ: one vendor may have a part of another's range.
    return any(mac[:length] in identification.ouis for length in range(6, 13))


def _is_named(identification: Identification, vendor: str) -> bool:
    name = vendor.strip().lower()
    return bool(name) and name in {identification.vendor.lower(), *identification.names}


def _together(hints: Sequence[float]) -> float:
    doubt = 1.0
    for hint in hints:
        doubt *= 1 - hint
    return 1 - doubt


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
