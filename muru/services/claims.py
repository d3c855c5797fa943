"""Phones that nobody owns yet: they get a temporary account, and become somebody's by a claim.

The account reaches nothing but the claim and the numbers in MURU_CLAIM_NUMBERS. A claim is the call
of an extension's token from that phone, or the choice of the phone by the extension's owner.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import exc, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from muru.asterisk.dialplan import CLAIM
from muru.db import realtime
from muru.db.models import Device, Extension, UnclaimedDevice, now
from muru.db.realtime import PsEndpoint, RealtimeRow
from muru.db.sessions import Transaction
from muru.errors import Conflict, DatabaseDeadlock, Forbidden, Invalid, MuruError, NotFound
from muru.flavor import PhoneFlavor
from muru.provisioning import mac as macs
from muru.services import lines, passwords
from muru.services.hooks import run_hook
from muru.services.site import Actor, Site, retried

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


def rows(flavor: PhoneFlavor, account: str, password: str, mac: str) -> list[RealtimeRow]:
    """Return Asterisk's rows of a temporary account; empty if the flavor has no SIP accounts."""
    extension = temporary_extension(flavor, account, password, mac)
    made = [row for row in flavor.realtime_rows(extension) if row.row_key == account]
    for row in made:
        if isinstance(row, PsEndpoint):
            row.context = CLAIM
    return made


def temporary_extension(flavor: PhoneFlavor, account: str, password: str, mac: str) -> Extension:
    """Return what a temporary account is to the flavor; it belongs to no session."""
    return Extension(
        number=account,
        name=f"New phone {mac[-4:].upper()}",
        type=flavor.PHONE_TYPES[0],
        password=password,
        extra_fields={},
    )


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
        if known is not None:
            if known.last_seen < now() - _SEEN_AGAIN:
                known.last_seen = now()
            return known
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
            UnclaimedDevice.flavor == newcomer.flavor,
        )
    )
    return found


async def _make(
    transaction: Transaction, flavor: PhoneFlavor, newcomer: Newcomer
) -> UnclaimedDevice | None:
    account, password = passwords.temporary_account(), passwords.sip_password()
    wanted = rows(flavor, account, password, newcomer.mac)
    if not wanted:
        return None
    made = UnclaimedDevice(
        mac=newcomer.mac,
        address=newcomer.address[:45],
        flavor=newcomer.flavor,
        type=newcomer.type,
        model=newcomer.model[:100],
        firmware=newcomer.firmware[:100],
        user_agent=newcomer.user_agent[:255],
        account=account,
        password=password,
        token=passwords.device_token(),
    )
    transaction.session.add(made)
    try:
        await transaction.session.flush()
    except exc.IntegrityError as error:  # it asked twice at the same moment
        raise DatabaseDeadlock("the phone asked twice at the same moment") from error
    await transaction.run(lambda _, asterisk: realtime.replace(asterisk, account, wanted))
    return made


async def mac_of(site: Site, token: str) -> str | None:
    """Return the MAC address of the unclaimed phone with that token, if there is one."""
    async with site.database.read() as session:
        query = select(UnclaimedDevice.mac).where(UnclaimedDevice.token == token)
        found: str | None = await session.scalar(query)
    return found


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
        # In the order in which all others lock: extension, device, unclaimed device.
        extension = await session.scalar(
            select(Extension).where(Extension.number == number).with_for_update(of=Extension)
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
        await session.flush()
        await run_hook(transaction, flavor.on_extension_update, actor, extension)
        owner = Actor(extension.owner_id, "", is_admin=False)  # an operator takes no phone away
        changed = await lines.hold(session, site.registry, owner, extension)
        device = await _bound(session, unclaimed)
        await _take_over(transaction, device, unclaimed)
    site.resync_soon(changed - {device.id})
    return Claimed(extension, device.id, account)


async def _bound(session: AsyncSession, unclaimed: UnclaimedDevice) -> Device:
    device = await lines.find(session, unclaimed.mac, for_update=True)
    if device is None:
        raise MuruError("The flavor of this phone has no files.")
    return device


async def _take_over(transaction: Transaction, device: Device, unclaimed: UnclaimedDevice) -> None:
    """Let the phone that was claimed, and none other with its address, have the configuration."""
    session = transaction.session
    device.token, device.is_open, device.token_used = unclaimed.token, False, False
    device.granted_at, device.granted_to = now(), unclaimed.address
    for name in ("model", "firmware", "user_agent", "address"):
        setattr(device, name, getattr(unclaimed, name))
    account = unclaimed.account
    await session.delete(unclaimed)
    await session.flush()
    await transaction.run(lambda _, asterisk: realtime.replace(asterisk, account, []))


async def forget_unused(site: Site, in_use: frozenset[str] = frozenset()) -> int:
    """Delete the accounts of phones not seen for MURU_CLAIM_MINUTES, but those *in_use*."""
    oldest = now() - timedelta(minutes=site.settings.claim_minutes)
    async with site.transaction() as transaction:
        query = select(UnclaimedDevice).where(UnclaimedDevice.last_seen < oldest)
        old = list(await transaction.session.scalars(query))
        gone = [each for each in old if each.account not in in_use]
        for each in gone:
            await transaction.session.delete(each)
        await transaction.session.flush()
        await transaction.run(_remove_rows, [each.account for each in gone])
    return len(gone)


def _remove_rows(session: Session, asterisk_session: Session, accounts: list[str]) -> None:
    del session
    realtime.replace_many(asterisk_session, {account: [] for account in accounts})


def check_enabled(site: Site) -> None:
    """Raise Forbidden where phones cannot be claimed."""
    if not site.settings.claim:
        raise Forbidden("Phones cannot be claimed here.", key="no-claims")
