"""Shows what the phone of an extension would get, for its operator to read."""

from dataclasses import dataclass, replace

from sqlalchemy import select

from muru.db.models import Device, DeviceLine, Extension
from muru.errors import NotFound
from muru.provisioning import render
from muru.provisioning.files import Audience, ProvisioningFile
from muru.provisioning.lookup import DeviceRecord, LineRecord, Lookup
from muru.provisioning.render import Whereabouts
from muru.provisioning.templates import TemplateFault, Templates
from muru.provisioning.vocabulary import SiteFacts
from muru.services import phonebook
from muru.services.site import Site

_MASK = "********"
_NO_PHONE = "000000000000"


@dataclass(frozen=True, slots=True)
class Preview:
    """A file as the phone asks for it; *text* is None where its template is broken: *fault*."""

    name: str
    content_type: str
    text: str | None
    fault: str | None = None


async def preview(
    site: Site,
    templates: Templates,
    origin: str,
    number: str,
    file: str | None,
    *,
    secrets: bool = False,
) -> list[Preview]:
    """Return the files that the phone of *number* gets: the one named *file*, else all of them.

    Passwords and tokens are masked unless *secrets* are asked for.

    Raises:
        NotFound: there is no such extension or file, or its phones fetch none.
    """
    extension = await _extension(site, number)
    flavor = site.registry.require_type(extension.type)
    if not flavor.FILES:
        raise NotFound(f"{number} is a {extension.type}, which fetches no files.")
    device = await _device(site, extension, site.registry.entry_of(flavor).name)
    facts = render.site_facts(site.settings)
    if not secrets:
        device, facts = _masked(device), _masked_facts(facts)
    mac = device.mac or _NO_PHONE
    names = {each.name_for(mac, device.model or "model"): each for each in flavor.FILES}
    chosen = names if file is None else _chosen(names, file)
    previews = []
    for name, each in chosen.items():
        words = render.vocabulary(
            site.settings,
            facts,
            flavor,
            Whereabouts(origin, device.flavor, _token(device, each)),
            device=None if each.audience is Audience.ANYBODY else device,
            phonebook=await phonebook.part(site, {}, limit=flavor.PHONEBOOK_LIMIT),
        )
        try:
            content, content_type = templates.render(flavor, each, words)
            previews.append(Preview(name, content_type, content.decode(each.encoding)))
        except TemplateFault as fault:
            previews.append(Preview(name, each.media_type, None, str(fault)))
    return previews


async def _extension(site: Site, number: str) -> Extension:
    async with site.database.read() as session:
        found = await session.scalar(select(Extension).where(Extension.number == number))
    if found is None:
        raise NotFound(f"There is no extension {number}.")
    return found


async def _device(site: Site, extension: Extension, flavor: str) -> DeviceRecord:
    """Return the device of an extension; one without a MAC address if it has none yet."""
    async with site.database.read() as session:
        token = await session.scalar(
            select(Device.token)
            .join(DeviceLine, DeviceLine.device_id == Device.id)
            .where(DeviceLine.extension_id == extension.id)
        )
    lookup = Lookup(site.database)
    try:
        device = await lookup.device("token", token) if token else None
    finally:
        lookup.close()
    if device is not None:
        return device
    line = LineRecord(
        1,
        extension.number,
        extension.name,
        extension.type,
        extension.password,
        extension.extra_fields,
        extension.media,
    )
    return DeviceRecord(
        id=0,
        mac=None,
        flavor=flavor,
        type=extension.type,
        token=_MASK,
        is_open=False,
        granted_at=None,
        granted_to=None,
        token_used=False,
        model="",
        firmware="",
        lines=(line,),
    )


def _chosen(names: dict[str, ProvisioningFile], file: str) -> dict[str, ProvisioningFile]:
    for name, each in names.items():
        if each.match(file) or file.lower() in {name.lower(), each.template}:
            return {name: each}
    raise NotFound(f"There is no file {file!r}; there are {', '.join(names)}.")


def _token(device: DeviceRecord, file: ProvisioningFile) -> str:
    return "" if file.audience is Audience.ANYBODY else device.token


def _masked(device: DeviceRecord) -> DeviceRecord:
    lines = tuple(replace(line, password=_MASK) for line in device.lines)
    return replace(device, token=_MASK, lines=lines)


def _masked_facts(facts: SiteFacts) -> SiteFacts:
    return replace(
        facts,
        admin_password=_MASK if facts.admin_password else None,
        wifi=replace(facts.wifi, password=_MASK) if facts.wifi else None,
    )
