"""The phones that extensions hold: who may see them, open them, and have a line on them."""

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from muru.db.models import (
    Device,
    DeviceGuest,
    DeviceLine,
    Extension,
    ProvisioningLogEntry,
    User,
    now,
)
from muru.errors import Forbidden, Invalid, NotFound
from muru.provisioning import mac as macs
from muru.services import audit, claims, lines, passwords
from muru.services.hooks import run_hook
from muru.services.site import Actor, Site, retried


@retried
async def grant(site: Site, device_id: int, address: str) -> bool:
    """Let the phone at *address* have the configuration of an open device; tell if it was first.

    One statement that looks and closes: two that ask at the same moment cannot both be first.
    """
    async with site.transaction() as transaction:
        closed = await transaction.session.execute(
            update(Device)
            .where(Device.id == device_id, Device.is_open.is_(True))
            .values(is_open=False, token_used=False, granted_at=now(), granted_to=address[:45])
            .execution_options(synchronize_session=False)
        )
        first: bool = closed.rowcount == 1  # type: ignore[attr-defined]
        if first:
            await claims.forget_at(transaction, device_id, address)
    return first


async def has_address(site: Site, address: str) -> bool:
    """Tell whether a phone that has proved itself was last seen at *address*."""
    async with site.database.read() as session:
        query = select(Device.id).where(Device.address == address).limit(1)
        return await session.scalar(query) is not None


async def list_devices(site: Site, actor: Actor) -> list[Device]:
    """Return the devices with a line of *actor*'s, for administrators all, with their lines."""
    async with site.database.read() as session:
        query = select(Device.id).order_by(Device.id)
        if not actor.is_admin:
            query = (
                query.join(DeviceLine, DeviceLine.device_id == Device.id)
                .join(Extension, Extension.id == DeviceLine.extension_id)
                .where(Extension.owner_id == actor.user_id)
                .distinct()
            )
        ids = list(await session.scalars(query))
        found: list[Device] = []
        for start in range(0, len(ids), 200):
            found += await session.scalars(lines.loaded(Device.id.in_(ids[start : start + 200])))
    return found


async def find_devices(
    site: Site, actor: Actor, *, search: str, offset: int, limit: int
) -> tuple[list[Device], int]:
    """Return some of the devices with a MAC address that fit, with their lines, and how many do.

    *search* is looked for in what a device is, where it was seen, and whose its lines are.

    Raises:
        Forbidden: *actor* is no administrator.
    """
    actor.require_admin()
    conditions: list[ColumnElement[bool]] = [Device.mac.is_not(None)]
    if search:
        conditions.append(_mentions(search))
    async with site.database.read() as session:
        total = await session.scalar(select(func.count(Device.id)).where(*conditions)) or 0
        query = select(Device.id).where(*conditions).order_by(Device.id)
        ids = list(await session.scalars(query.offset(offset).limit(limit)))
        found = list(await session.scalars(lines.loaded(Device.id.in_(ids))))
    return found, total


def _mentions(search: str) -> ColumnElement[bool]:
    owner = Extension.owner.has(User.username.icontains(search, autoescape=True))
    of_extension = (Extension.number, Extension.name)
    of_device = (Device.flavor, Device.type, Device.model, Device.address, Device.mac)
    extension = or_(owner, *(each.icontains(search, autoescape=True) for each in of_extension))
    return or_(
        *(each.icontains(search, autoescape=True) for each in of_device),
        Device.lines.any(DeviceLine.extension.has(extension)),
    )


async def get_device(site: Site, actor: Actor, mac: str) -> Device:
    """Return a device that *actor* has a line on.

    Raises:
        NotFound: there is none, or it is others' alone.
    """
    async with site.database.read() as session:
        return await _require(session, actor, mac)


async def device_of(site: Site, extension: Extension) -> Device | None:
    """Return the device that *extension* is a line of, if it is."""
    async with site.database.read() as session:
        line = await lines.line_of(session, extension)
        if line is None:
            return None
        found: Device | None = await session.scalar(lines.loaded(Device.id == line.device_id))
    return found


async def by_id(site: Site, device_id: int) -> Device | None:
    """Return a device with its lines, if it is still there."""
    async with site.database.read() as session:
        found: Device | None = await session.scalar(lines.loaded(Device.id == device_id))
    return found


@retried
async def reopen(site: Site, actor: Actor, mac: str) -> Device:
    """Let the next request that has the MAC address alone get the configuration once more.

    For a phone that was reset. Its old URL ends: the token is a new one.
    """
    async with site.transaction() as transaction:
        device = await _require_own(transaction.session, actor, mac)
        device.is_open, device.token_used = True, False
        device.granted_at = device.granted_to = None
        device.token = passwords.device_token()
        if actor.user_id not in lines.hosts(device):
            audit.note(transaction.session, actor, "device.reopen", mac)
    return device


@retried
async def renew_token(site: Site, actor: Actor, extension: Extension) -> None:
    """Give the device of an extension a new token; what has the old one gets nothing any more.

    Raises:
        NotFound: it has no device.
        Forbidden: it is a guest there.
    """
    async with site.transaction() as transaction:
        line = await lines.line_of(transaction.session, extension)
        if line is None or not actor.may_touch(extension.owner_id):
            raise NotFound(f"{extension.number} has no device.")
        query = lines.loaded(Device.id == line.device_id).with_for_update(of=Device)
        device = (await transaction.session.scalars(query)).one()
        _check_decides(actor, device)
        device.token, device.token_used = passwords.device_token(), False


def decides(actor: Actor, device: Device) -> bool:
    """Tell whether *actor* may have what opens all lines of a device; its guests may not."""
    return actor.is_admin or actor.user_id in lines.hosts(device)


@retried
async def invite_guest(site: Site, actor: Actor, mac: str, username: str) -> None:
    """Let the extensions of *username* become lines of a device."""
    async with site.transaction() as transaction:
        session = transaction.session
        device = await _require_own(session, actor, mac)
        name = username.strip().lower()
        user = await session.scalar(select(User).where(User.username == name))
        if user is None:
            raise Invalid("There is no such user.", {"username": "name an existing user"})
        if user.id not in lines.hosts(device) | {guest.user_id for guest in device.guests}:
            session.add(DeviceGuest(device_id=device.id, user_id=user.id))


@retried
async def remove_guest(site: Site, actor: Actor, mac: str, username: str) -> None:
    """Take the consent back, and the guest's lines off the device.

    The extensions stay the guest's, without a phone.
    """
    async with site.transaction() as transaction:
        session = transaction.session
        device = await _require_own(session, actor, mac)
        name = username.strip().lower()
        guest = next((each for each in device.guests if each.user.username == name), None)
        if guest is None:
            raise NotFound(f"{name!r} is no guest of this phone.")
        await session.delete(guest)
        for line in list(device.lines):
            extension = line.extension
            if extension.owner_id == guest.user_id:
                extension.extra_fields = {**extension.extra_fields, "mac": None}
                await lines.release(session, line)
                flavor = site.registry.for_type(extension.type)
                if flavor is not None:
                    await run_hook(transaction, flavor.on_extension_update, actor, extension)
    site.resync_soon({device.id})


async def log_of(
    site: Site, actor: Actor, mac: str, *, offset: int = 0, limit: int = 50
) -> list[ProvisioningLogEntry]:
    """Return what a device asked for, and what others asked in its name, the newest first."""
    async with site.database.read() as session:
        device = await _require(session, actor, mac)
        query = (
            select(ProvisioningLogEntry)
            .where(ProvisioningLogEntry.device_id == device.id)
            .order_by(ProvisioningLogEntry.id.desc())
            .offset(offset)
            .limit(limit)
        )
        return list(await session.scalars(query))


async def _require(
    session: AsyncSession, actor: Actor, mac: str, *, for_update: bool = False
) -> Device:
    device = await lines.find(session, mac, for_update=for_update)
    if device is None or not (actor.is_admin or actor.user_id in lines.holders(device)):
        raise NotFound(f"You have no phone with the address {macs.written(mac)}.")
    return device


async def _require_own(session: AsyncSession, actor: Actor, mac: str) -> Device:
    """Return a device that *actor* decides on, for a change."""
    device = await _require(session, actor, mac, for_update=True)
    _check_decides(actor, device)
    return device


def _check_decides(actor: Actor, device: Device) -> None:
    if not decides(actor, device):
        raise Forbidden("You are a guest on this phone: its owner decides on it.", key="guest")
