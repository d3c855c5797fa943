"""Which extension is which line of which device. Inside the transaction of another service."""

from sqlalchemy import ColumnElement, Select, exc, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from muru.db.models import Device, DeviceGuest, DeviceLine, Extension
from muru.errors import Conflict, DatabaseDeadlock, Invalid
from muru.flavor import DeviceFields, PhoneFlavor
from muru.registry import Registry
from muru.services import passwords
from muru.services.site import Actor

_FIELD = "extra_fields.mac"


def has_mac(flavor: PhoneFlavor) -> bool:
    """Tell whether a flavor's phones are known by MAC addresses; apps are by their token alone."""
    return flavor.EXTRA_FIELDS is not None and issubclass(flavor.EXTRA_FIELDS, DeviceFields)


async def hold(
    session: AsyncSession, registry: Registry, actor: Actor, extension: Extension
) -> set[int]:
    """Make *extension* a line of the device that its fields name, and of no other.

    Returns:
        The devices whose configuration is another one now.

    Raises:
        Conflict: the device is somebody else's, or has no line left.
        Invalid: the device is of another type.
    """
    flavor = registry.require_type(extension.type)
    if not flavor.FILES:
        return set()
    line = await line_of(session, extension)
    mac = extension.extra_fields.get("mac") if has_mac(flavor) else None
    if has_mac(flavor) and mac is None:
        return await release(session, line)
    if line is not None and line.device.mac == mac:
        await _retype(session, line, extension)
        return {line.device_id}
    changed = await release(session, line)
    name = registry.entry_of(flavor).name
    device = await find(session, mac, for_update=True) if mac else None
    if device is None:
        device = await _add_device(session, name, mac, extension.type)
    else:
        _check_holder(session, actor, device, extension)
        _check_same(device, name, extension)  # last: what it is is nobody else's business
    await _add_line(session, device, flavor, extension)
    return changed | {device.id}


async def release(session: AsyncSession, line: DeviceLine | None) -> set[int]:
    """Take an extension off its device, which goes with its last line; return what it was."""
    if line is None:
        return set()
    device = await _lock(session, line.device_id)
    await session.delete(line)
    await session.flush()
    rest = select(DeviceLine.id).where(DeviceLine.device_id == device.id).limit(1)
    if await session.scalar(rest) is None:
        await session.delete(device)
        await session.flush()
        return set()
    return {device.id}


async def line_of(session: AsyncSession, extension: Extension) -> DeviceLine | None:
    """Return the line that *extension* is, with its device."""
    found: DeviceLine | None = await session.scalar(
        select(DeviceLine)
        .where(DeviceLine.extension_id == extension.id)
        .options(selectinload(DeviceLine.device))
    )
    return found


async def find(session: AsyncSession, mac: str, *, for_update: bool = False) -> Device | None:
    """Return the device with that MAC address, with its lines and their extensions."""
    query = loaded(Device.mac == mac)
    found: Device | None = await session.scalar(
        query.with_for_update(of=Device) if for_update else query
    )
    return found


def loaded(condition: ColumnElement[bool]) -> Select[Device]:
    """Return a query for devices together with their lines, extensions, owners and guests."""
    return (
        select(Device)
        .where(condition)
        .order_by(Device.id)
        .options(
            selectinload(Device.lines)
            .selectinload(DeviceLine.extension)
            .selectinload(Extension.owner),
            selectinload(Device.guests).selectinload(DeviceGuest.user),
        )
        .execution_options(populate_existing=True)
    )


def holders(device: Device) -> set[int]:
    """Return the users whose extensions are lines of *device*, which :func:`find` has loaded."""
    return {line.extension.owner_id for line in device.lines}


def hosts(device: Device) -> set[int]:
    """Return the holders who decide on *device*: all but its guests, or these if they are alone."""
    held = holders(device)
    return held - _guests(device) or held


def _guests(device: Device) -> set[int]:
    return {guest.user_id for guest in device.guests}


def _check_holder(
    session: AsyncSession, actor: Actor, device: Device, extension: Extension
) -> None:
    """Refuse somebody else's device; whom an administrator puts there is a guest."""
    owner = extension.owner_id
    if holders(device) <= {owner} or owner in _guests(device):
        return
    if actor.is_admin:
        session.add(DeviceGuest(device_id=device.id, user_id=owner))
        return
    raise Conflict(
        "This phone belongs to somebody else. They can let you have a line on it, or give it up.",
        key="device-taken",
    )


def _check_same(device: Device, flavor: str, extension: Extension) -> None:
    if (device.flavor, device.type) != (flavor, extension.type):
        raise Invalid(
            f"The phone with this MAC address is a {device.type}.",
            {_FIELD: f"this is a {device.type}: choose that type, or check the address"},
        )


async def _retype(session: AsyncSession, line: DeviceLine, extension: Extension) -> None:
    """Let the type of a device follow that of its only line."""
    if line.device.type == extension.type:
        return
    device = await _lock(session, line.device_id)
    others = select(DeviceLine.id).where(
        DeviceLine.device_id == device.id, DeviceLine.extension_id != extension.id
    )
    if await session.scalar(others.limit(1)) is not None:
        raise Invalid(
            f"The phone is a {device.type} for its other lines.", {"type": "change them first"}
        )
    device.type, line.position = extension.type, 1  # the new type may have fewer lines


async def _lock(session: AsyncSession, device_id: int) -> Device:
    """Let nobody else come or go: else two that go at once would each leave it to the other."""
    found = await session.scalars(select(Device).where(Device.id == device_id).with_for_update())
    return found.one()


async def _add_device(session: AsyncSession, flavor: str, mac: str | None, type_: str) -> Device:
    device = Device(mac=mac, flavor=flavor, type=type_, token=passwords.device_token())
    session.add(device)
    await _flush(session)
    return device


async def _add_line(
    session: AsyncSession, device: Device, flavor: PhoneFlavor, extension: Extension
) -> None:
    taken = set(
        await session.scalars(select(DeviceLine.position).where(DeviceLine.device_id == device.id))
    )
    count = flavor.line_count(extension.type)
    free = [position for position in range(1, count + 1) if position not in taken]
    if not free:
        raise Conflict(
            f"A {extension.type} has {count} line{'' if count == 1 else 's'}, and all are in use.",
            key="no-free-line",
        )
    session.add(DeviceLine(device_id=device.id, position=free[0], extension_id=extension.id))
    await _flush(session)


async def _flush(session: AsyncSession) -> None:
    try:
        await session.flush()
    except exc.IntegrityError as error:  # somebody else was quicker: to be done again
        raise DatabaseDeadlock("another line was added at the same moment") from error
