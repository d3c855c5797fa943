"""How an extension's phone or app gets its configuration: URL, links, QR codes, resync."""

from datetime import datetime
from typing import Annotated, Self

from aiohttp import web
from pydantic import BaseModel, Field

from muru.api.routing import Call, Endpoints, Input
from muru.db.models import Device, Extension
from muru.errors import NotFound
from muru.keys import ENGINE, RESYNCS
from muru.provisioning import qr
from muru.provisioning.doors import origin_of
from muru.provisioning.vocabulary import Link
from muru.services import devices, extensions
from muru.services.resync import Resync

endpoints = Endpoints()

_EXTENSION = "/extensions/{number:\\d{1,15}}"


class LinkView(BaseModel):
    """*qr* is the path of the link as a QR code, None where scanning it does not help."""

    label: str
    url: str
    hint: str
    qr: str | None


class ProvisioningView(BaseModel):
    """*url* holds the token of the phone: whoever has it gets the configuration.

    *common_url* is the same for all phones of the family, for DHCP or to be typed; *waiting* says
    that the next phone that asks with the MAC address alone gets the configuration. What is set up
    by hand has none of them.
    """

    url: str | None
    common_url: str | None
    mac: str | None
    waiting: bool
    links: list[LinkView]


class ResyncBody(Input):
    """*within* is the number of seconds to wait for what the phone does."""

    within: Annotated[float, Field(ge=0, le=60)] = 15


class ResyncView(BaseModel):
    """*state* is no-device, no-way, not-registered, sent, fetched or registered."""

    number: str
    state: str
    text: str
    contact: str | None
    sent_at: datetime | None
    fetched_at: datetime | None
    registered_at: datetime | None

    @classmethod
    def of(cls, resync: Resync) -> Self:
        return cls(**{name: getattr(resync, name) for name in cls.model_fields})


@endpoints.get(_EXTENSION + "/provisioning")
async def get_provisioning(call: Call) -> ProvisioningView:
    """Tell by which URL, link or QR code the extension's phone or app gets its configuration."""
    extension, device = await _device(call)
    flavor = call.site.registry.require_type(extension.type)
    engine, origin = call.request.config_dict[ENGINE], origin_of(call.request)
    opened = _opened(call, device)
    name = call.site.registry.entry_of(flavor).name
    return ProvisioningView(
        url=engine.url(origin, name, opened.token) if opened else None,
        common_url=engine.url(origin, name) if flavor.FILES else None,
        mac=device.mac if device else None,
        waiting=bool(device and device.mac and device.is_open),
        links=[
            LinkView(
                label=link.label,
                url=link.url,
                hint=link.hint,
                qr=f"{call.request.path}/qr/{index}" if link.qr else None,
            )
            for index, link in enumerate(await _links(call, opened))
        ],
    )


@endpoints.get(_EXTENSION + "/provisioning/qr/{index:\\d{1,2}}")
async def get_qr_code(call: Call) -> web.Response:
    """Return a link as a QR code, an SVG image."""
    _, device = await _device(call)
    links, index = await _links(call, _opened(call, device)), int(call.path("index"))
    if index >= len(links) or not links[index].qr:
        raise NotFound("There is no such QR code.")
    return web.Response(
        text=qr.svg(links[index].url),
        content_type="image/svg+xml",
        headers={"Cache-Control": "no-store"},
    )


@endpoints.post(_EXTENSION + "/provisioning/renew")
async def renew_url(call: Call) -> ProvisioningView:
    """Give the phone or app a new URL; whoever has the old one gets nothing any more."""
    extension = await extensions.get_extension(call.site, call.actor, call.path("number"))
    await devices.renew_token(call.site, call.actor, extension)
    return await get_provisioning(call)  # type: ignore[no-any-return]


@endpoints.post(_EXTENSION + "/resync")
async def resync(call: Call, body: ResyncBody) -> ResyncView:
    """Have the extension's phone fetch its configuration again, and tell how far it got."""
    extension = await extensions.get_extension(call.site, call.actor, call.path("number"))
    resyncs = call.request.config_dict[RESYNCS]
    return ResyncView.of(await resyncs.resync(extension, within=body.within))


async def _device(call: Call) -> tuple[Extension, Device | None]:
    extension = await extensions.get_extension(call.site, call.actor, call.path("number"))
    return extension, await devices.device_of(call.site, extension)


def _opened(call: Call, device: Device | None) -> Device | None:
    """Return *device* if the sender may have its token: all lines come with it, also others'."""
    return device if device and devices.decides(call.actor, device) else None


async def _links(call: Call, device: Device | None) -> list[Link]:
    if device is None:
        return []
    engine, origin = call.request.config_dict[ENGINE], origin_of(call.request)
    return await engine.links(origin, device.token)
