"""Phones that nobody owns yet: they get a temporary account, and become somebody's by a claim.

The account reaches nothing but the claim and the numbers in MURU_CLAIM_NUMBERS. A claim is the call
of an extension's token from that phone, or the choice of the phone by the extension's owner.
"""

import logging
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, exc, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from muru.asterisk.dialplan import CLAIM
from muru.db import realtime
from muru.db.models import Device, Extension, UnclaimedDevice, now
from muru.db.realtime import PsEndpoint, RealtimeRow, batches
from muru.db.sessions import Transaction
from muru.errors import Conflict, DatabaseDeadlock, Forbidden, Invalid, MuruError, NotFound
from muru.flavor import PhoneFlavor
from muru.provisioning import mac as macs
from muru.provisioning.identification import phone_type
from muru.services import lines, passwords
from muru.services.hooks import run_hook
from muru.services.site import Actor, Site, retried

_log = logging.getLogger(__name__)

_SEEN_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A phone that asked without a proof. *type* is the phone type that it most likely is."""

    mac: str
    address: str
    flavor: str
    type: str
    model: str = ""
    firmware: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Claimed:
    """Who has the phone now; *account* was its temporary one."""

    extension: Extension
    device_id: int
    account: str


def temporary_extension(device: UnclaimedDevice) -> Extension:
    """Return what a temporary account is to the flavor; it belongs to no session."""
    return Extension(
        number=device.account,
        name=f"New phone {device.mac[-4:].upper()}",
        type=device.type,
        password=device.password,
        extra_fields={},
        media={},
    )


def _rows(flavor: PhoneFlavor, device: UnclaimedDevice) -> list[RealtimeRow]:
    """Return Asterisk's rows of a temporary account; empty if the flavor has no SIP accounts."""
    try:
        made = flavor.realtime_rows(temporary_extension(device))
    except Exception:  # what a phone is answered does not depend on it
        _log.exception("flavor %s has no rows for a temporary account", device.flavor)
        return []
    own = [row for row in made if row.row_key == device.account]  # it has no number in the dialplan
    for row in own:
        if isinstance(row, PsEndpoint):
            row.context = CLAIM
    return own


@retried
async def meet(site: Site, newcomer: Newcomer, token: str = "") -> UnclaimedDevice | None:
    """Return the temporary account of a phone, after making one if it has none.

    A phone that comes back with the *token* of its account keeps it wherever it comes from. None
    if there are MURU_CLAIM_LIMIT phones already, or the flavor has no SIP accounts.
    """
    flavor = site.registry.by_name(newcomer.flavor)
    if flavor is None:
        return None
    async with site.transaction() as transaction:
        session = transaction.session
        known = await _known(session, newcomer, token)
        if known is not None and known.flavor == newcomer.flavor:
            await _note_seen(session, known)
            return known
        if known is not None:  # it was taken for a phone of another family
            await _forget(transaction, [known])
        count = await session.scalar(select(func.count(UnclaimedDevice.id))) or 0
        if count >= site.settings.claim_limit:
            return None
        return await _make(transaction, flavor, newcomer)


async def _known(session: AsyncSession, newcomer: Newcomer, token: str) -> UnclaimedDevice | None:
    if token:
        query = select(UnclaimedDevice).where(UnclaimedDevice.token == token)
        by_token: UnclaimedDevice | None = await session.scalar(query)
        if by_token is not None and by_token.mac == newcomer.mac:
            return by_token
    found: UnclaimedDevice | None = await session.scalar(
        select(UnclaimedDevice).where(
            UnclaimedDevice.mac == newcomer.mac,
            UnclaimedDevice.address == newcomer.address,
        )
    )
    return found


async def _note_seen(session: AsyncSession, device: UnclaimedDevice) -> None:
    if device.last_seen < now() - _SEEN_AGAIN:  # by a statement: it may be gone in this moment
        await session.execute(
            update(UnclaimedDevice)
            .where(UnclaimedDevice.id == device.id)
            .values(last_seen=now())
            .execution_options(synchronize_session=False)
        )


async def _make(
    transaction: Transaction, flavor: PhoneFlavor, newcomer: Newcomer
) -> UnclaimedDevice | None:
    made = UnclaimedDevice(
        mac=newcomer.mac,
        address=newcomer.address[:45],
        flavor=newcomer.flavor,
        type=newcomer.type,
        model=newcomer.model[:100],
        firmware=newcomer.firmware[:100],
        user_agent=newcomer.user_agent[:255],
        account=passwords.temporary_account(),
        password=passwords.sip_password(),
        token=passwords.device_token(),
    )
    wanted = _rows(flavor, made)
    if not wanted:
        return None
    transaction.session.add(made)
    try:
        await transaction.session.flush()
    except exc.IntegrityError as error:  # it asked twice at the same moment
        raise DatabaseDeadlock("the phone asked twice at the same moment") from error
    await transaction.run(lambda _, asterisk: realtime.replace(asterisk, made.account, wanted))
    return made


async def mac_of(site: Site, token: str) -> str | None:
    """Return the MAC address of the unclaimed phone with that token, if there is one."""
    async with site.database.read() as session:
        query = select(UnclaimedDevice.mac).where(UnclaimedDevice.token == token)
        found: str | None = await session.scalar(query)
    return found


async def accounts_of(site: Site, mac: str) -> list[str]:
    """Return the temporary accounts of all that show that MAC address."""
    async with site.database.read() as session:
        query = select(UnclaimedDevice.account).where(UnclaimedDevice.mac == mac)
        return list(await session.scalars(query))


async def list_unclaimed(site: Site) -> list[UnclaimedDevice]:
    """Return the phones that wait for somebody, the newest first."""
    async with site.database.read() as session:
        query = select(UnclaimedDevice).order_by(UnclaimedDevice.created_at.desc())
        return list(await session.scalars(query))


async def claim_by_token(site: Site, account: str, token: str) -> Claimed:
    """Bind the phone with that temporary *account* to the extension whose *token* it dialled.

    Raises:
        NotFound: there is no such extension, or no such account (any more).
        Conflict: the phone is somebody else's, or has no line left.
        Invalid: the extension is of another kind of phone.
    """
    async with site.database.read() as session:
        found = await session.scalar(select(Extension).where(Extension.token == token))
        owner = found.owner if found else None
    if found is None or owner is None or not secrets.compare_digest(found.token, token):
        raise NotFound("No extension has this token.")
    actor = Actor(owner.id, owner.username, is_admin=False)
    return await _claim(site, actor, account, found.number)


async def claim(
    site: Site, actor: Actor, mac: str, number: str, account: str | None = None
) -> Claimed:
    """Bind the unclaimed phone with that MAC address to an extension of *actor*'s.

    *account* tells apart phones that show the same address; else raises as :func:`claim_by_token`.
    """
    chosen = await one_of(site, mac, account)
    return await _claim(site, actor, chosen.account, number)


async def one_of(site: Site, mac: str, account: str | None = None) -> UnclaimedDevice:
    """Return the unclaimed phone with that MAC address, and account if one is given.

    Raises:
        NotFound: there is none.
        Conflict: several phones show this address.
    """
    async with site.database.read() as session:
        query = select(UnclaimedDevice).where(UnclaimedDevice.mac == mac)
        if account is not None:
            query = query.where(UnclaimedDevice.account == account)
        found = list(await session.scalars(query))
    if not found:
        raise NotFound(f"No phone with the address {macs.written(mac)} waits to be claimed.")
    if len(found) > 1:
        raise Conflict(
            "Several phones show this address: say which account, or dial the token on the phone.",
            key="ambiguous-device",
        )
    return found[0]


@retried
async def _claim(site: Site, actor: Actor, account: str, number: str) -> Claimed:
    async with site.transaction() as transaction:
        session = transaction.session
        # Locked in the order in which all do it; the owner by a query of its own, as MariaDB would
        # lock what is joined as well.
        extension = await session.scalar(
            select(Extension)
            .where(Extension.number == number)
            .with_for_update(of=Extension)
            .options(selectinload(Extension.owner))
        )
        if extension is None or not actor.may_touch(extension.owner_id):
            raise NotFound(f"There is no extension {number} of yours.")
        unclaimed = await session.scalar(
            select(UnclaimedDevice).where(UnclaimedDevice.account == account).with_for_update()
        )
        if unclaimed is None:
            raise NotFound("This phone does not wait to be claimed any more.")
        flavor = site.registry.require_type(extension.type)
        if site.registry.entry_of(flavor).name != unclaimed.flavor:
            raise Invalid(
                f"{number} is a {extension.type}, and this phone is none.",
                {"extension": "choose one of the phone's own kind"},
            )
        extension.extra_fields = {**extension.extra_fields, "mac": unclaimed.mac}
        extension.type = await _type_of(session, flavor, unclaimed, extension)
        await session.flush()
        await run_hook(transaction, flavor.on_extension_update, actor, extension)
        owner = Actor(extension.owner_id, "", is_admin=False)  # an operator takes no phone away
        changed = await lines.hold(session, site.registry, owner, extension)
        device = await _bound(session, unclaimed)
        if extension.owner_id not in lines.hosts(device):
            raise Conflict("A guest on a phone cannot take it over.", key="device-taken")
        await _take_over(transaction, device, unclaimed)
    site.resync_soon(changed - {device.id})
    return Claimed(extension, device.id, account)


async def _type_of(
    session: AsyncSession, flavor: PhoneFlavor, unclaimed: UnclaimedDevice, extension: Extension
) -> str:
    """Return the type of its other lines, else what the phone says, else what the person chose."""
    device = await lines.find(session, unclaimed.mac)
    if device is not None:
        return device.type if device.flavor == unclaimed.flavor else extension.type
    return phone_type(flavor, unclaimed.model) or extension.type


async def _bound(session: AsyncSession, unclaimed: UnclaimedDevice) -> Device:
    device = await lines.find(session, unclaimed.mac, for_update=True)
    if device is None:
        raise MuruError("The flavor of this phone has no files.")
    return device


async def _take_over(transaction: Transaction, device: Device, unclaimed: UnclaimedDevice) -> None:
    """Let the phone that was claimed, and none other with its address, have the configuration."""
    device.token, device.is_open, device.token_used = unclaimed.token, False, False
    device.granted_at, device.granted_to = now(), unclaimed.address
    for name in ("model", "firmware", "user_agent", "address"):
        setattr(device, name, getattr(unclaimed, name))
    await _forget(transaction, [unclaimed])


@retried
async def forget_unused(site: Site, in_use: frozenset[str] = frozenset()) -> int:
    """Delete the accounts of phones not seen for MURU_CLAIM_MINUTES, but those *in_use*."""
    oldest = now() - timedelta(minutes=site.settings.claim_minutes)
    async with site.transaction() as transaction:
        query = select(UnclaimedDevice).where(UnclaimedDevice.last_seen < oldest)
        old = list(await transaction.session.scalars(query.with_for_update()))
        gone = [each for each in old if each.account not in in_use]
        await _forget(transaction, gone)
    return len(gone)


async def forget_at(transaction: Transaction, device_id: int, address: str) -> None:
    """End the temporary account of a phone at *address* that has its own from now on."""
    query = (
        select(UnclaimedDevice)
        .join(Device, Device.mac == UnclaimedDevice.mac)
        .where(Device.id == device_id, UnclaimedDevice.address == address)
    )
    if found := list(await transaction.session.scalars(query)):
        await _forget(transaction, found)


async def _forget(transaction: Transaction, devices: Collection[UnclaimedDevice]) -> None:
    """Delete temporary accounts, here and at Asterisk."""
    accounts = [each.account for each in devices]
    for chunk in batches(accounts):
        await transaction.session.execute(
            delete(UnclaimedDevice).where(UnclaimedDevice.account.in_(chunk))
        )
    await transaction.run(
        lambda _, asterisk: realtime.replace_many(asterisk, {each: [] for each in accounts})
    )


def check_enabled(site: Site) -> None:
    """Raise Forbidden where phones cannot be claimed."""
    if not site.settings.claim:
        raise Forbidden("Phones cannot be claimed here.", key="no-claims")
