"""Devices: phones that extensions hold, and phones that wait for somebody to claim them."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from muru.api.routing import Call, Endpoints, Input
from muru.db.models import Device, ProvisioningLogEntry, UnclaimedDevice
from muru.errors import Invalid, NotFound
from muru.keys import CALLS, REGISTRATIONS
from muru.provisioning import mac as macs
from muru.services import claims, devices

endpoints = Endpoints()

_MAC = r"/devices/{mac:[0-9A-Fa-f:.\-]{12,17}}"


class LineView(BaseModel):
    position: int
    number: str
    name: str
    owner: str


class DeviceView(BaseModel):
    """*open* says whether the next request with the MAC address alone gets the configuration.

    *registered* says whether any phone is at one of its numbers.
    """

    mac: str
    vendor: str | None
    flavor: str
    type: str
    model: str | None
    firmware: str | None
    address: str | None
    last_seen: datetime | None
    last_file: str | None
    claimed: bool
    open: bool = False
    registered: bool = False
    account: str | None = None
    lines: list[LineView] = []
    guests: list[str] = []

    @classmethod
    def of(cls, call: Call, device: Device) -> Self:
        flavor = call.site.registry.by_name(device.flavor)
        registrations = call.request.config_dict[REGISTRATIONS]
        return cls(
            mac=device.mac or "",
            vendor=(flavor.IDENTIFICATION.vendor if flavor else None) or None,
            flavor=device.flavor,
            type=device.type,
            model=device.model or None,
            firmware=device.firmware or None,
            address=device.address,
            last_seen=device.last_seen,
            last_file=device.last_file or None,
            claimed=True,
            open=device.is_open,
            registered=any(registrations.contacts(line.extension.number) for line in device.lines),
            lines=[
                LineView(
                    position=line.position,
                    number=line.extension.number,
                    name=line.extension.name,
                    owner=line.extension.owner.username,
                )
                for line in device.lines
            ],
            guests=[guest.user.username for guest in device.guests],
        )

    @classmethod
    def of_unclaimed(cls, call: Call, device: UnclaimedDevice) -> Self:
        flavor = call.site.registry.by_name(device.flavor)
        return cls(
            mac=device.mac,
            vendor=(flavor.IDENTIFICATION.vendor if flavor else None) or None,
            flavor=device.flavor,
            type=device.type,
            model=device.model or None,
            firmware=device.firmware or None,
            # Where others' phones are is nobody's business but the operator's.
            address=device.address if call.actor.is_admin else None,
            last_seen=device.last_seen,
            last_file=None,
            claimed=False,
            registered=bool(call.request.config_dict[REGISTRATIONS].contacts(device.account)),
            account=device.account,
        )


class DeviceList(BaseModel):
    """One's own devices, for administrators all; and those that wait to be claimed."""

    items: list[DeviceView]
    unclaimed: list[DeviceView]


class Claim(Input):
    """*account* tells apart phones that show the same MAC address."""

    extension: str = Field(max_length=15)
    account: str | None = Field(None, max_length=15)


class Which(Input):
    account: str | None = Field(None, max_length=15)


class Guest(Input):
    username: str = Field(max_length=64)


class Ringing(BaseModel):
    """*number* is that of the line that rings, or the temporary account."""

    number: str


class LogQuery(Input):
    offset: int = Field(0, ge=0, le=1_000_000_000)
    limit: int = Field(50, ge=1, le=1000)


class LogView(BaseModel):
    """One request: *proof* is what was shown, *reason* why it got nothing or not all."""

    at: datetime
    address: str
    transport: str
    file: str
    status: int
    proof: str | None
    reason: str | None
    user_agent: str | None

    @classmethod
    def of(cls, entry: ProvisioningLogEntry) -> Self:
        return cls(
            at=entry.at,
            address=entry.address,
            transport=entry.transport,
            file=entry.file,
            status=entry.status,
            proof=entry.proof or None,
            reason=entry.reason or None,
            user_agent=entry.user_agent or None,
        )


@endpoints.get("/devices")
async def list_devices(call: Call) -> DeviceList:
    """List one's own devices, for administrators all, and those that nobody has claimed."""
    held = await devices.list_devices(call.site, call.actor)
    waiting = await claims.list_unclaimed(call.site)
    return DeviceList(
        items=[DeviceView.of(call, each) for each in held if each.mac],
        unclaimed=[DeviceView.of_unclaimed(call, each) for each in waiting],
    )


@endpoints.get(_MAC)
async def get_device(call: Call) -> DeviceView:
    """Return one of one's own devices, for administrators any."""
    return await _view(call)


@endpoints.post(_MAC + "/reopen")
async def reopen_device(call: Call) -> DeviceView:
    """Let the phone have its configuration by its MAC address once more; its old URL ends."""
    await devices.reopen(call.site, call.actor, _mac(call))
    return await _view(call)


@endpoints.post(_MAC + "/claim")
async def claim_device(call: Call, body: Claim) -> DeviceView:
    """Bind a phone that nobody has claimed to an extension of one's own."""
    calls = call.request.config_dict[CALLS]
    claimed = await calls.claim(call.actor, _mac(call), body.extension, body.account)
    device = await devices.by_id(call.site, claimed.device_id)
    if device is None:
        raise NotFound("It was given up in this very moment.")
    return DeviceView.of(call, device)


@endpoints.post(_MAC + "/identify")
async def identify_device(call: Call, body: Which) -> Ringing:
    """Make a phone ring, to tell it apart: one's own, or one that nobody has claimed."""
    calls = call.request.config_dict[CALLS]
    return Ringing(number=await calls.identify(call.actor, _mac(call), body.account))


@endpoints.post(_MAC + "/guests")
async def add_guest(call: Call, body: Guest) -> DeviceView:
    """Let the extensions of somebody else become lines of one's phone."""
    await devices.invite_guest(call.site, call.actor, _mac(call), body.username)
    return await _view(call)


@endpoints.delete(_MAC + "/guests/{username}")
async def remove_guest(call: Call) -> None:
    """Take that back, and their lines off the phone."""
    await devices.remove_guest(call.site, call.actor, _mac(call), call.path("username"))


@endpoints.get(_MAC + "/log")
async def get_log(call: Call, query: LogQuery) -> list[LogView]:
    """Tell what a phone asked for and got, and what others asked in its name; the newest first."""
    found = await devices.log_of(call.site, call.actor, _mac(call), **query.model_dump())
    return [LogView.of(each) for each in found]


async def _view(call: Call) -> DeviceView:
    return DeviceView.of(call, await devices.get_device(call.site, call.actor, _mac(call)))


def _mac(call: Call) -> str:
    try:
        return macs.normalise(call.path("mac"))
    except ValueError as error:
        raise Invalid("This is no MAC address.", {"mac": str(error)}) from None
