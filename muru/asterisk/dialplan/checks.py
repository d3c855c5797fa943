"""What is wrong with own numbers, found before anybody dials them."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from muru.asterisk.dialplan import DIAL_SIP
from muru.asterisk.dialplan.application import AsteriskApplication
from muru.asterisk.dialplan.applications import ExecIf
from muru.asterisk.dialplan.callers import caller_steps
from muru.asterisk.dialplan.flow import GotoIf
from muru.asterisk.dialplan.media import Dial
from muru.asterisk.dialplan.numbers import Dialplan, OwnNumber
from muru.asterisk.dialplan.places import Location

Fault = Literal[
    "duplicate-number",
    "extension-number",
    "unknown-number",
    "unknown-step",
    "unknown-context",
    "loop",
    "unreachable",
    "caller-text",
    "outdated",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault at a step of an own number; without a *priority* it is the number's."""

    number: str
    priority: int | None
    fault: Fault
    text: str


class _Node(NamedTuple):
    number: str
    priority: int


_Graph = dict[_Node, list[_Node]]


def check(
    numbers: Sequence[OwnNumber], *, context: str, extensions: Collection[str]
) -> list[Finding]:
    """Return what is wrong with *numbers*, fault by fault.

    Args:
        numbers: all own numbers of the site.
        context: where these and the phones are.
        extensions: the numbers of phones.
    """
    dialplan = Dialplan(context, numbers)
    given = [own.number for own in numbers]
    return [
        *_duplicates(given),
        *_taken(given, extensions),
        *_unknown_targets(dialplan, extensions),
        *_loops(dialplan),
        *_unreachable(dialplan),
        *_caller_text(dialplan),
    ]


def _duplicates(given: list[str]) -> Iterator[Finding]:
    for number in sorted({number for number in given if given.count(number) > 1}):
        yield Finding(number, None, "duplicate-number", f"{number} is there twice.")


def _taken(given: list[str], extensions: Collection[str]) -> Iterator[Finding]:
    for number in sorted(set(given) & set(extensions)):
        yield Finding(number, None, "extension-number", f"{number} is the number of a phone.")


def _caller_text(dialplan: Dialplan) -> Iterator[Finding]:
    for number, priority in caller_steps(dialplan):
        text = (
            "What a caller determines, as their name, may add arguments or jumps here. Let only"
            " harmless characters through: ${FILTER(0-9A-Za-z,${CALLERID(name)})}."
        )
        yield Finding(number, priority, "caller-text", text)


def _steps(dialplan: Dialplan) -> Iterator[tuple[_Node, AsteriskApplication]]:
    for number, own in dialplan.numbers.items():
        for priority, step in enumerate(own.steps, 1):
            yield _Node(number, priority), step.application


# --- targets --------------------------------------------------------------------------------------


def _unknown_targets(dialplan: Dialplan, extensions: Collection[str]) -> Iterator[Finding]:
    for node, application in _steps(dialplan):
        for place in application.places:
            yield from _unknown_place(dialplan, extensions, node, place)
        for target in _dialled(application):
            yield from _unknown_phone(dialplan, extensions, node, target)


def _dialled(application: AsteriskApplication) -> Iterator[str]:
    """Yield what is dialled, as far as it is known beforehand."""
    for inner in _with_branches(application):
        if isinstance(inner, Dial):
            yield from (each for each in inner.technology_resource if isinstance(each, str))


def _with_branches(application: AsteriskApplication) -> list[AsteriskApplication]:
    if not isinstance(application, ExecIf):
        return [application]
    branches = (application.appiftrue, application.appiffalse)
    return [branch for branch in branches if branch is not None]


def _unknown_place(
    dialplan: Dialplan, extensions: Collection[str], node: _Node, place: Location
) -> Iterator[Finding]:
    number = place.extension or node.number
    if not isinstance(number, str):
        return  # an expression, known during the call alone
    own = dialplan.find(node.number, place)
    if own is not None:
        if own.priority(place.priority) is None:
            text = f"{own.number} has no step {place.priority}."
            yield Finding(*node, "unknown-step", text)
    elif place.context not in {None, dialplan.context, DIAL_SIP}:
        text = f"{place.context} is no context that muru knows of."
        yield Finding(*node, "unknown-context", text)
    elif number not in extensions:
        text = f"{number} is neither an own number nor that of a phone."
        yield Finding(*node, "unknown-number", text)
    elif place.context != DIAL_SIP and place.priority != 1:
        yield Finding(*node, "unknown-step", f"{number} is a phone, and has step 1 only.")


_LOCAL = re.compile(r"Local/([^@/]+)(?:@([^/]+))?(?:/[a-z]+)?", re.ASCII)
_PHONE = re.compile(r"PJSIP/(\d+)", re.ASCII)


def _local(target: str) -> Location | None:
    """Return the place that a Local channel begins at."""
    found = _LOCAL.fullmatch(target)
    return found and Location.model_construct(
        context=found[2] or "default", extension=found[1], priority=1
    )


def _unknown_phone(
    dialplan: Dialplan, extensions: Collection[str], node: _Node, target: str
) -> Iterator[Finding]:
    place, phone = _local(target), _PHONE.fullmatch(target)
    if place:
        yield from _unknown_place(dialplan, extensions, node, place)
    elif phone and phone[1] not in extensions:
        yield Finding(*node, "unknown-number", f"{phone[1]} is not the number of a phone.")


# --- what follows what ----------------------------------------------------------------------------

_SHOWN = 10  # steps of a circle that are named


def _following(
    dialplan: Dialplan, node: _Node, application: AsteriskApplication
) -> Iterator[_Node]:
    """Yield the steps that may be done after one, as far as they are known beforehand."""
    called = filter(None, map(_local, _dialled(application)))
    for place in (*application.places, *called):
        own = dialplan.find(node.number, place)
        priority = own and own.priority(place.priority)
        if own and priority:
            yield _Node(own.number, priority)
    goes_on = not application.ENDS
    if isinstance(application, GotoIf):
        goes_on = application.labeliftrue is None or application.labeliffalse is None
    elif isinstance(application, ExecIf):
        false = application.appiffalse
        goes_on = not (application.appiftrue.ENDS and false is not None and false.ENDS)
    if goes_on and node.priority < len(dialplan.numbers[node.number].steps):
        yield _Node(node.number, node.priority + 1)


def _loops(dialplan: Dialplan) -> Iterator[Finding]:
    """Yield the first step of each circle in which nothing takes time."""
    graph = {
        node: [] if application.PAUSES else list(_following(dialplan, node, application))
        for node, application in _steps(dialplan)
    }
    for circle in sorted(map(sorted, _circles(graph))):
        first = circle[0]
        steps = ", ".join(f"{node.number} step {node.priority}" for node in circle[:_SHOWN])
        steps += ", and so on" if len(circle) > _SHOWN else ""
        text = (
            f"The call turns in a circle that may take no time at all: {steps}. Sounds that are"
            " missing and phones that are off are no pause; put a Wait into it."
        )
        yield Finding(*first, "loop", text)


def _circles(graph: _Graph) -> Iterator[set[_Node]]:
    """Yield the sets of nodes that reach one another, by Kosaraju's algorithm."""
    backwards: _Graph = {node: [] for node in graph}
    for node, following in graph.items():
        for other in following:
            backwards[other].append(node)
    seen: set[_Node] = set()
    for node in reversed(_finished(graph)):
        if node not in seen:
            circle = _reached(backwards, [node], seen)
            seen |= circle
            if len(circle) > 1 or node in graph[node]:
                yield circle


def _finished(graph: _Graph) -> list[_Node]:
    """Return all nodes, each after those that it leads to, as far as that is possible."""
    order: list[_Node] = []
    seen: set[_Node] = set()
    for start in graph:
        waiting = [(start, False)]
        while waiting:
            node, done = waiting.pop()
            if done:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                waiting.append((node, True))
                waiting += [(other, False) for other in graph[node]]
    return order


def _reached(graph: _Graph, start: Sequence[_Node], without: Collection[_Node] = ()) -> set[_Node]:
    found: set[_Node] = set()
    waiting = list(start)
    while waiting:
        node = waiting.pop()
        if node not in found and node not in without:
            found.add(node)
            waiting += graph[node]
    return found


def _unreachable(dialplan: Dialplan) -> Iterator[Finding]:
    graph = {
        node: list(_following(dialplan, node, application))
        for node, application in _steps(dialplan)
    }
    places = [place for _, application in _steps(dialplan) for place in application.places]
    starts = [_Node(number, 1) for number in dialplan.numbers]
    if any(not isinstance(place.extension, str | None) for place in places):
        # Who jumps to a number known only during the call may mean any step of that priority.
        starts += _anywhere(dialplan, places)
    reached = _reached(graph, starts)
    for node in graph:
        if node not in reached:
            yield Finding(*node, "unreachable", "Nothing leads to this step.")


def _anywhere(dialplan: Dialplan, places: Sequence[Location]) -> Iterator[_Node]:
    for place in places:
        if isinstance(place.extension, str | None):
            continue
        for number, own in dialplan.numbers.items():
            priority = own.priority(place.priority)
            if priority:
                yield _Node(number, priority)
