"""Why does a phone not work? Gathers what is known of it, and names the first broken link."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from muru.asterisk.ami import Ami, AmiMessage
from muru.asterisk.call_log import CallLog
from muru.asterisk.registrations import Contact, Registrations
from muru.asterisk.security import Account, Attempt, Security
from muru.db.models import Device, Extension, ProvisioningLogEntry
from muru.db.realtime import PsAor, PsAuth, RealtimeRow
from muru.errors import AmiRefused, AmiUnavailable
from muru.flavor import PhoneFlavor
from muru.provisioning.identification import Evidence, identify
from muru.services import devices, extensions
from muru.services.causes import CAUSES, Cause, fill
from muru.services.chain import Case, Link, walk
from muru.services.dialing import settled
from muru.services.site import Actor, Site

_log = logging.getLogger(__name__)

_ANSWERS_WITHIN = 2.0  # seconds; Asterisk itself waits for three
_LOOK_EVERY = 0.1  # seconds
_MOST_VISITS = 50
_AT_ONCE = 10  # phones that are asked: the link to Asterisk is for more than that


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """*broken* is the first broken link, None if there is none; its texts are filled in."""

    number: str
    links: list[Link]
    broken: Link | None
    cause: Cause | None

    @property
    def ok(self) -> bool:
        return self.broken is None


@dataclass(frozen=True, slots=True)
class Sources:
    """The parts that know something. *security* and *calls* know what they have heard so far."""

    site: Site
    ami: Ami
    registrations: Registrations
    security: Security
    calls: CallLog
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))


async def diagnose(sources: Sources, actor: Actor, number: str) -> Diagnosis:
    """Walk the chain for an extension of *actor*'s; takes as long as its phone has to answer.

    Raises:
        NotFound: there is no such extension of *actor*'s.
        DatabaseUnavailable: without it nothing is known.
    """
    extension = await extensions.get_extension(sources.site, actor, number)
    links = walk(await _gather(sources, extension))
    broken = next((link for link in links if link.state == "broken"), None)
    cause = CAUSES[broken.cause or ""] if broken else None
    if broken and cause:
        texts = (fill(text, broken.facts) for text in (cause.text, cause.operator_text))
        cause = Cause(cause.key, *texts)
    return Diagnosis(number, links, broken, cause)


async def _gather(sources: Sources, extension: Extension) -> Case:
    site, number = sources.site, extension.number
    flavor = site.registry.for_type(extension.type)
    state = sources.ami.state
    device = await devices.device_of(site, extension)
    visits = await _visits(site, device)
    sip, rows = await _compare(site, flavor, extension)
    contacts = await settled(sources.registrations, number) if state.connected else []
    known, answering = None, dict[str, bool | None]()
    if sip:
        async with sources.turn:
            known, answering = await _ask(sources.ami, number)
    account = sources.security.account(number)
    return Case(
        extension=extension,
        active=flavor is not None,
        faulty=[f"{e.name}: {e.reason}" for e in site.registry.listing() if e.state == "faulty"],
        sip=sip,
        files=bool(flavor and flavor.FILES),
        away=None if state.connected else state.reason,
        rows=rows,
        known=known,
        device=device,
        visits=visits,
        account=_since_created(account, extension),
        suspect=sources.security.suspect(_host(device, visits)),
        since=sources.security.since,
        contacts=contacts,
        answering=answering,
        models={each.uri: _model(site, each) for each in contacts},
        call=sources.calls.last(number),
    )


async def _visits(site: Site, device: Device | None) -> list[ProvisioningLogEntry]:
    """Return the device's requests and those in its name, the newest first."""
    if device is None:
        return []
    query = (
        select(ProvisioningLogEntry)
        .where(ProvisioningLogEntry.device_id == device.id)
        .order_by(ProvisioningLogEntry.id.desc())
        .limit(_MOST_VISITS)
    )
    async with site.database.read() as session:
        return list(await session.scalars(query))


async def _compare(
    site: Site, flavor: PhoneFlavor | None, extension: Extension
) -> tuple[bool, list[str]]:
    """Return whether the type has a SIP account, and what of its rows is not as it should be."""
    if flavor is None:
        return True, []
    try:
        wanted = flavor.realtime_rows(extension)
    except Exception as error:  # a flavor's code
        _log.exception("flavor %s cannot tell the rows of %s", type(flavor).__name__, extension)
        return True, [f"the flavor fails with {type(error).__name__}"]
    async with site.database.read(asterisk=True) as session:
        faults = await session.run_sync(_faults, wanted)
    return any(isinstance(row, PsAuth | PsAor) for row in wanted), faults


def _faults(session: Session, wanted: Collection[RealtimeRow]) -> list[str]:
    """Name the rows that are missing or have other values; of these the columns alone."""
    faults = []
    for row in wanted:
        key = {name: getattr(row, name) for name in row.NATURAL_KEY}
        found = session.scalar(select(type(row)).filter_by(**key))
        place = f"{row.__tablename__} {row.row_key}"
        if found is None:
            faults.append(f"{place}: missing")
            continue
        is_, shall = found.values(), row.values()
        if differing := [name for name in shall if is_[name] != shall[name]]:
            faults.append(f"{place}: {', '.join(differing)}")
    return faults


# Is it there?


async def _ask(ami: Ami, number: str) -> tuple[bool | None, dict[str, bool | None]]:
    """Return whether Asterisk has the endpoint, and which contacts answer OPTIONS now.

    Asterisk tells of no answer, but of the round trip's time: it is another one after each.
    """
    nobody: dict[str, bool | None] = {}
    try:
        before = await _round_trips(ami, number)
        if not any(status != "NonQualified" for status, _ in before.values()):
            return True, nobody  # it is not asked, or not yet
        await ami.send("PJSIPQualify", {"Endpoint": number})
        return True, await _answers(ami, number, before)
    except AmiRefused:
        return False, nobody
    except AmiUnavailable:
        return None, nobody


async def _answers(
    ami: Ami, number: str, before: Mapping[str, tuple[str, str]]
) -> dict[str, bool | None]:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _ANSWERS_WITHIN
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        after = await _round_trips(ami, number)
        found = {uri: _has_answered(was, after.get(uri)) for uri, was in before.items()}
        if None not in found.values() or loop.time() > deadline:
            # Which was asked and said nothing is not there, as far as a person would wait.
            asked = {uri for uri, (status, _) in before.items() if status != "NonQualified"}
            return {uri: False if uri in asked and a is None else a for uri, a in found.items()}


def _has_answered(before: tuple[str, str], after: tuple[str, str] | None) -> bool | None:
    if after is None or (after[0] == "Unreachable" and before[0] != "Unreachable"):
        return False
    return True if after[0] == "Reachable" and after != before else None


async def _round_trips(ami: Ami, number: str) -> dict[str, tuple[str, str]]:
    """Return status and time of the round trip by URI."""

    def read(message: AmiMessage) -> tuple[str, str]:
        return message.headers.get("Status", ""), message.headers.get("RoundtripUsec", "")

    listed = await ami.list("PJSIPShowEndpoint", {"Endpoint": number}, only={"ContactStatusDetail"})
    return {each.headers.get("URI", ""): read(each) for each in listed}


def _since_created(account: Account, extension: Extension) -> Account:
    """Return what was told of the account since the extension is there."""

    def recent(attempt: Attempt | None) -> Attempt | None:
        return attempt if attempt and attempt.at >= extension.created_at else None

    return Account(recent(account.challenged), recent(account.accepted), recent(account.refused))


def _host(device: Device | None, visits: Collection[ProvisioningLogEntry]) -> str:
    """Return where the phone is, as far as is known."""
    if device is not None and device.address:
        return device.address
    return next((visit.address for visit in visits), "")


def _model(site: Site, contact: Contact) -> str:
    flavors = [(entry.name, flavor) for entry, flavor in site.registry.active()]
    found = identify(flavors, Evidence(user_agent=contact.user_agent or ""))
    return " ".join(filter(None, (found.vendor, found.model, found.firmware)))
