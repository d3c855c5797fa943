"""Answers the requests of phones, whichever door they come through.

Which flavor and file? Which device? Which proof? Then the template. A phone without a proof gets a
temporary account, or nothing, and it cannot tell an address that muru does not know from one whose
configuration it may not have: neither by what it gets nor by how long that takes.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from muru import logs
from muru.db.models import UnclaimedDevice
from muru.flavor import PhoneFlavor
from muru.provisioning import mac as macs
from muru.provisioning import render
from muru.provisioning.files import Audience, ProvisioningFile
from muru.provisioning.identification import Evidence, Identified, identify, phone_type, told_by
from muru.provisioning.journal import Journal, Visit
from muru.provisioning.limiter import Limiter
from muru.provisioning.lookup import DeviceRecord, LineRecord, Lookup
from muru.provisioning.media import FOLDER
from muru.provisioning.media import answer as media_answer
from muru.provisioning.proof import prove
from muru.provisioning.render import Whereabouts
from muru.provisioning.rendered import Ingredients, Rendered
from muru.provisioning.request import Answer, Place, Proof, ProvisioningRequest, take_apart
from muru.provisioning.templates import TemplateFault, templates_of
from muru.provisioning.together import Together
from muru.provisioning.vocabulary import Link, Phonebook
from muru.registry import Registry
from muru.services import claims, devices, lines, phonebook
from muru.services.site import Site

_log = logging.getLogger(__name__)

_REFUSAL_TAKES = 0.05  # seconds at least, so that its duration tells nothing
_MISSING = Answer(404)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The file that a request is for, of which flavor, and for which MAC address if it tells."""

    folder: str
    flavor: PhoneFlavor
    file: ProvisioningFile
    mac: str | None
    token: str


@dataclass(frozen=True, slots=True)
class _Case:
    """A request, and what was found for it."""

    request: ProvisioningRequest
    place: Place
    wanted: Wanted | None
    device: DeviceRecord | None

    @property
    def token(self) -> str:
        """The token that the request has, be it in the path or the name of the file."""
        return self.place.token or (self.wanted.token if self.wanted else "")


class Engine:
    """The provisioning of one site; started and stopped with the application."""

    def __init__(self, site: Site) -> None:
        self.journal = Journal(site.database, days=site.settings.provisioning_log_days)
        self.templates = templates_of(site.settings)
        self._site = site
        self._facts = render.site_facts(site.settings)
        self._lookup = Lookup(site.database)
        self._limiter = Limiter(site.settings.provisioning_rate)
        self._kept = Rendered()
        self._books: Together[Phonebook] = Together()

    def start(self) -> None:
        self.journal.start()

    async def stop(self) -> None:
        await self.journal.stop()
        self._lookup.close()

    async def answer(self, request: ProvisioningRequest) -> Answer:
        """Answer a phone. Never raises but DatabaseUnavailable, whatever it sends."""
        began = asyncio.get_running_loop().time()
        case = await self._find(request)
        known = case.device or case.wanted
        logs.add(device=known.mac if known else None)
        if case.wanted is None:
            return await self._other(case)
        match case.wanted.file.audience:
            case Audience.ANYBODY:
                return self._render(case, case.wanted)
            case Audience.PHONES:
                answer = await self._for_phones(case, case.wanted)
            case _:
                answer = await self._for_device(case, case.wanted)
        if answer.status != 200:
            await asyncio.sleep(began + _REFUSAL_TAKES - asyncio.get_running_loop().time())
        return answer

    async def _other(self, case: _Case) -> Answer:
        """Answer for what is no file of a flavor's: media, whose owner the token tells."""
        device, place = case.device, case.place
        if device is None or device.flavor != place.folder or not place.name.startswith(FOLDER):
            return self._note(case, _MISSING, "no flavor has such a file")
        answer = await media_answer(self._site.media, self._site.registry, device, place.name)
        reason = "" if answer.status == 200 else "it has no such medium"
        return self._note(case, answer, reason, "token")

    def identify(self, evidence: Evidence) -> Identified:
        """Return what a phone is, by what it shows of itself."""
        return identify(self._site.registry.with_files(), evidence)

    def url(self, origin: str, folder: str, token: str = "") -> str:
        """Return the URL of a flavor's files, or of those of the device with that token."""
        return render.base_url(self._site.settings, Whereabouts(origin, folder, token))

    async def links(self, origin: str, token: str) -> list[Link]:
        """Return the links by which an app takes over the configuration of a device."""
        device = await self._lookup.device("token", token)
        flavor = self._site.registry.by_name(device.flavor) if device else None
        if device is None or flavor is None:
            return []
        place = Whereabouts(origin, device.flavor, token)
        words = render.vocabulary(self._site.settings, self._facts, flavor, place, device=device)
        return flavor.links(words)

    # Which file, which device

    async def _find(self, request: ProvisioningRequest) -> _Case:
        place = take_apart(request.path, self._site.settings.telephoning_prefix)
        by_token = await self._lookup.device("token", place.token) if place.token else None
        if self._site.registry.by_name(place.folder):
            wanted = _match(self._site.registry, place.folder, place.name, request.query)
        else:
            wanted = await self._match_bare(request, place)
        if wanted is not None and wanted.token:  # the name itself is the token
            by_token = await self._lookup.device("token", wanted.token)
        if wanted is None:
            return _Case(request, place, None, by_token)
        if by_token is not None:
            strange = by_token.flavor != wanted.folder or wanted.mac not in {None, by_token.mac}
            return _Case(request, place, None if strange else wanted, by_token)
        mac = wanted.mac or self._mac_in_agent(request, wanted)
        if mac is None and place.token:
            mac = await claims.mac_of(self._site, place.token)
        device = await self._lookup.device("mac", mac) if mac else None
        if device is not None and device.flavor != wanted.folder:
            device = None
        return _Case(request, place, replace(wanted, mac=mac), device)

    async def _match_bare(self, request: ProvisioningRequest, place: Place) -> Wanted | None:
        """Find the flavor of a file that is asked for without a flavor's folder."""
        registry, name = self._site.registry, place.name.rpartition("/")[2]
        matches = (
            _match(registry, folder, name, request.query) for folder, _ in registry.with_files()
        )
        found = [wanted for wanted in matches if wanted]
        mac = next((each.mac for each in found if each.mac), None)
        device = await self._lookup.device("mac", mac) if mac else None
        if found and device is None:
            evidence = Evidence(path=name, user_agent=request.user_agent, mac=mac or "")
            folder = self.identify(evidence).flavor
        else:
            folder = device.flavor if device else None
        return next((each for each in found if each.folder == folder), None)

    def _mac_in_agent(self, request: ProvisioningRequest, wanted: Wanted) -> str | None:
        if not request.user_agent or not lines.has_mac(wanted.flavor):
            return None
        told = identify([(wanted.folder, wanted.flavor)], Evidence(user_agent=request.user_agent))
        return told.mac if told.confidence else None

    # Who may have it

    async def _for_phones(self, case: _Case, wanted: Wanted) -> Answer:
        site, device = self._site, case.device
        by_token = device is not None and case.token == device.token
        known = by_token or site.settings.provisioning_trust == "open"
        if not known and not await devices.has_address(site, case.request.address):
            return self._note(case, _MISSING, "only phones get this")
        query, limit = case.request.query, wanted.flavor.PHONEBOOK_LIMIT
        book = await self._books.get(
            (limit, *(query.get(name) for name in phonebook.ARGUMENTS)),
            lambda: phonebook.part(site, query, limit=limit),
        )
        if not by_token:  # what is one phone's own goes to no other
            case = replace(case, device=None)
        return self._render(case, wanted, book=book, proof="token" if by_token else "address")

    async def _for_device(self, case: _Case, wanted: Wanted) -> Answer:
        if proof := await self._proof(case, wanted):
            return self._render(case, wanted, proof=proof)
        if not self._limiter.take(case.request.address):
            return self._note(case, _MISSING, "too many requests without a proof")
        unclaimed = await self._meet(case, wanted)
        if unclaimed is None:
            return self._note(case, _MISSING, "no proof")
        case = replace(case, device=_stand_in(unclaimed))
        return self._render(case, wanted, reason="no proof: a temporary account")

    async def _proof(self, case: _Case, wanted: Wanted) -> Proof:
        if case.device is None:
            return ""
        site, request = self._site, case.request
        proof = prove(site.settings, wanted.flavor, case.device, request, case.token)
        if proof == "first-use" and not await devices.grant(site, case.device.id, request.address):
            return ""  # somebody else was first in this very moment
        return proof

    async def _meet(self, case: _Case, wanted: Wanted) -> UnclaimedDevice | None:
        request, mac = case.request, wanted.mac
        if not self._site.settings.claim or mac is None or not lines.has_mac(wanted.flavor):
            return None
        model, firmware = told_by(wanted.flavor, request.user_agent)
        newcomer = claims.Newcomer(
            mac=mac,
            address=request.address,
            flavor=wanted.folder,
            type=phone_type(wanted.flavor, model) or wanted.flavor.PHONE_TYPES[0],
            model=model,
            firmware=firmware,
            user_agent=request.user_agent,
        )
        return await claims.meet(self._site, newcomer, case.place.token)

    # What is answered

    def _render(
        self,
        case: _Case,
        wanted: Wanted,
        *,
        book: Phonebook | None = None,
        proof: Proof = "",
        reason: str = "",
    ) -> Answer:
        case = _updated(case, wanted)
        try:
            answer = self._rendered(case, wanted, book)
        except TemplateFault as fault:
            _log.error("a phone cannot be served: %s", fault)
            return self._note(case, _MISSING, "its template is broken")
        return self._note(case, answer, reason, proof)

    def _rendered(self, case: _Case, wanted: Wanted, book: Phonebook | None) -> Answer:
        """Return the file, rendered now, or before if it was made of just the same."""
        device, shared = case.device, wanted.file.audience is Audience.ANYBODY
        made_of = Ingredients(
            device=None if shared else device,
            origin=case.request.origin,
            # In a file for everybody only a token that came along goes back.
            token=device.token if device and (case.token or not shared) else "",
            templates=self.templates.version,
        )
        if book is None and (known := self._kept.get(wanted.flavor, wanted.file, made_of)):
            return known
        words = render.vocabulary(
            self._site.settings,
            self._facts,
            wanted.flavor,
            Whereabouts(made_of.origin, wanted.folder, made_of.token),
            device=made_of.device,
            phonebook=book,
        )
        body, content_type = self.templates.render(wanted.flavor, wanted.file, words)
        answer = Answer(200, body, content_type)
        if book is None:
            self._kept.keep(wanted.flavor, wanted.file, made_of, answer)
        return answer

    def _note(self, case: _Case, answer: Answer, reason: str, proof: Proof = "") -> Answer:
        request, wanted, device = case.request, case.wanted, case.device
        mac = (device.mac if device else None) or (wanted.mac if wanted else None)
        named_token = wanted is not None and bool(wanted.token)
        self.journal.note(
            Visit(
                address=request.address,
                transport=request.transport,
                file=case.place.folder if named_token else case.place.shown,
                status=answer.status,
                reason=reason,
                mac=mac or macs.find(case.place.name),
                device_id=(device.id or None) if device else None,
                flavor=wanted.folder if wanted else "",
                proof=proof,
                user_agent=request.user_agent,
                model=device.model if device else "",
                firmware=device.firmware if device else "",
                token=case.token,
                is_own=wanted is not None and wanted.file.audience is Audience.DEVICE,
            )
        )
        return answer


def _updated(case: _Case, wanted: Wanted) -> _Case:
    """Let the model and the firmware of a device be what its phone says of itself just now."""
    device = case.device
    if device is None or not case.request.user_agent:
        return case
    model, firmware = told_by(wanted.flavor, case.request.user_agent)
    model, firmware = model or device.model, firmware or device.firmware
    if (model, firmware) == (device.model, device.firmware):
        return case
    return replace(case, device=replace(device, model=model, firmware=firmware))


def _match(registry: Registry, folder: str, name: str, query: Mapping[str, str]) -> Wanted | None:
    """Return the first file of a flavor that has that name, and what the name tells."""
    flavor = registry.by_name(folder)
    for file in flavor.FILES if flavor else ():
        found = file.match(name)
        if found is None or (file.query and query.get(file.query[0]) != file.query[1]):
            continue
        assert flavor is not None
        told = found.groupdict()
        return Wanted(
            folder=folder,
            flavor=flavor,
            file=file,
            mac=macs.find(told.get("mac") or query.get("mac", "")),
            token=(told.get("token") or "").lower(),
        )
    return None


def _stand_in(unclaimed: UnclaimedDevice) -> DeviceRecord:
    """Return what the template of a phone sees while nobody owns it: its id is 0."""
    extension = claims.temporary_extension(unclaimed)
    line = LineRecord(1, extension.number, extension.name, extension.type, extension.password, {})
    return DeviceRecord(
        id=0,
        mac=unclaimed.mac,
        flavor=unclaimed.flavor,
        type=unclaimed.type,
        token=unclaimed.token,
        is_open=False,
        granted_at=None,
        granted_to=None,
        token_used=False,
        model=unclaimed.model,
        firmware=unclaimed.firmware,
        lines=(line,),
    )
