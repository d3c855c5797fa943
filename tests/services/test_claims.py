"""Phones that nobody owns: temporary accounts, and how they become somebody's."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from muru.asterisk.dialplan import CLAIM
from muru.db.models import Role, UnclaimedDevice, now
from muru.errors import Conflict, Invalid, MuruError, NotFound
from muru.services import claims, devices, extensions
from muru.services.reconcile import reconcile
from muru.services.site import OPERATOR, Actor, Site
from muru.settings import Settings
from tests.conftest import configured, open_test_site
from tests.databases import Databases, read_rows
from tests.services.grandstreams import (
    MAC,
    OTHER,
    SMALL,
    TYPE,
    actor,
    create,
    device,
    make_settings,  # noqa: F401  # a fixture
    meet,
    positions,
    temporary,
)
from tests.services.test_consistency import outcomes
from tests.written_flavors import realtime_rows, write

pytestmark = pytest.mark.usefixtures("make_settings")


@pytest.fixture
async def alice(site: Site) -> Actor:
    return await actor(site, "alice")


@pytest.fixture
async def eve(site: Site) -> Actor:
    return await actor(site, "eve")


async def waiting(site: Site) -> set[str]:
    """Return the accounts of the phones that wait for somebody."""
    return {each.account for each in await claims.list_unclaimed(site)}


async def not_seen_for(site: Site, minutes: int, account: str) -> None:
    """Let it be so long ago that a phone has asked."""
    async with site.transaction() as transaction:
        await transaction.session.execute(
            update(UnclaimedDevice)
            .where(UnclaimedDevice.account == account)
            .values(last_seen=now() - timedelta(minutes=minutes))
        )


# Temporary accounts


async def test_account(any_site: Site, databases: Databases) -> None:
    """A phone gets an account that is named as such, has no number, and reaches the claim alone."""
    phone = await temporary(any_site)

    [endpoint] = await read_rows(databases.asterisk, "ps_endpoints")
    [auth] = await read_rows(databases.asterisk, "ps_auths")
    [aor] = await read_rows(databases.asterisk, "ps_aors")
    assert endpoint["id"] == auth["id"] == aor["id"] == phone.account
    assert endpoint["context"] == CLAIM
    assert endpoint["callerid"] == f'"New phone BBCC" <{phone.account}>'
    assert (auth["username"], auth["password"]) == (phone.account, phone.password)
    assert await read_rows(databases.asterisk, "extensions") == []


async def test_codecs_of_the_model(site: Site) -> None:
    """The account has the codecs of the phone's own type."""
    phone = await temporary(site, type="Grandstream HT801")

    rows = await realtime_rows(site, phone.account)

    assert rows["ps_endpoints"]["allow"] == "alaw,ulaw,g726"


async def test_asked_again(any_site: Site) -> None:
    """A phone that asks again has the same account, from elsewhere if it has its token."""
    first = await temporary(any_site)

    assert (await temporary(any_site)).account == first.account
    moved = await temporary(any_site, MAC, "192.0.2.8", first.token)
    assert moved.account == first.account
    assert await claims.mac_of(any_site, first.token) == MAC
    assert await claims.accounts_of(any_site, MAC) == [first.account]


@pytest.mark.parametrize(
    ("mac", "address", "with_token"),
    [(MAC, "192.0.2.8", False), (OTHER, "192.0.2.7", False), (OTHER, "192.0.2.8", True)],
)
async def test_another_phone(site: Site, mac: str, address: str, with_token: bool) -> None:
    """Another address, or another MAC address whatever it shows besides, is another phone."""
    first = await temporary(site)

    second = await temporary(site, mac, address, first.token if with_token else "")

    assert second.account != first.account
    assert {second.password, second.token} & {first.password, first.token} == set()


async def test_asked_at_once(any_site: Site, databases: Databases) -> None:
    """A phone that asks for several files at the same moment gets one account."""
    found = await asyncio.gather(*(temporary(any_site) for _ in range(6)))

    assert len({each.account for each in found}) == 1
    assert len(await read_rows(databases.own, "muru_unclaimed_devices")) == 1
    assert len(await read_rows(databases.asterisk, "ps_endpoints")) == 1


async def test_taken_for_another_family(any_site: Site, databases: Databases) -> None:
    """A phone that turns out to be of another family has an account of that in place of the old."""
    first = await temporary(any_site)

    second = await temporary(any_site, flavor="mitel", type="Mitel 6869i")

    assert await waiting(any_site) == {second.account} != {first.account}
    [endpoint] = await read_rows(databases.asterisk, "ps_endpoints")
    assert endpoint["id"] == second.account


@configured(claim_limit=3)
async def test_limit(site: Site) -> None:
    """There are no more than MURU_CLAIM_LIMIT; those that there are go on."""
    known = [await temporary(site, f"000b82aabb{at:02x}") for at in range(3)]

    assert await meet(site, "000b82aabb99") is None

    assert (await temporary(site, "000b82aabb00")).account == known[0].account
    assert len(await waiting(site)) == 3


async def test_forgotten(any_site: Site, databases: Databases) -> None:
    """What is not seen for MURU_CLAIM_MINUTES goes, unless it is registered; the rest stays."""
    old, registered, seen = [await temporary(any_site, mac) for mac in (MAC, OTHER, "000b82aabb01")]
    for phone in (old, registered):
        await not_seen_for(any_site, 61, phone.account)
    await not_seen_for(any_site, 59, seen.account)

    assert await claims.forget_unused(any_site, frozenset({registered.account})) == 1

    left = {registered.account, seen.account}
    assert await waiting(any_site) == left
    for table in ("ps_endpoints", "ps_auths", "ps_aors"):
        assert {row["id"] for row in await read_rows(databases.asterisk, table)} == left
    again = await temporary(any_site, MAC, "192.0.2.7", old.token)
    assert again.account != old.account


async def test_seen(any_site: Site) -> None:
    """Each time that a phone asks counts."""
    phone = await temporary(any_site)
    await not_seen_for(any_site, 61, phone.account)

    await temporary(any_site)

    assert await claims.forget_unused(any_site) == 0


async def test_sync_leaves_them(any_site: Site) -> None:
    """Reconciliation keeps the rows of temporary accounts, and removes what a crash left of one."""
    phone = await temporary(any_site)
    gone = await temporary(any_site, OTHER)
    async with any_site.database.transaction() as transaction:
        lost = await transaction.session.get_one(UnclaimedDevice, gone.id)
        await transaction.session.delete(lost)

    report = await reconcile(any_site, grace=0)

    assert {change.number for change in report.changes} == {gone.account}
    assert set(await realtime_rows(any_site, phone.account)) == {
        "ps_endpoints",
        "ps_auths",
        "ps_aors",
    }
    assert (await reconcile(any_site, grace=0)).changes == []


async def test_faulty_flavor(
    make_settings: Callable[..., Settings],  # noqa: F811
    tmp_path: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A flavor that has no account, or fails at it, leaves the phone without one."""
    source = """
        class Faulty(SIP):
            PHONE_TYPES = ["Faulty"]

            def realtime_rows(self, extension):
                raise RuntimeError("no such codec")


        class Plain(PhoneFlavor):
            PHONE_TYPES = ["Plain"]
    """
    settings = make_settings(**write(tmp_path / "flavors", faulty=source))
    async with open_test_site(settings) as site:
        with caplog.at_level(logging.ERROR):
            assert await meet(site, flavor="faulty", type="Faulty") is None
        assert await meet(site, flavor="plain", type="Plain") is None
        assert await meet(site, flavor="unknown", type="Unknown") is None
        assert await waiting(site) == set()

    assert "faulty" in caplog.text


# Claims


async def test_claim_by_token(any_site: Site, databases: Databases) -> None:
    """Who dials an extension's token has the phone, at the URL that the phone has already."""
    alice = await actor(any_site, "alice")
    extension = await create(any_site, alice, "2001", None)
    phone = await temporary(any_site, firmware="1.0")

    claimed = await claims.claim_by_token(any_site, phone.account, extension.token)

    held = await device(any_site)
    assert (claimed.extension.number, claimed.account) == ("2001", phone.account)
    assert claimed.device_id == held.id
    assert (held.token, held.is_open, held.granted_to) == (phone.token, False, "192.0.2.7")
    assert (held.model, held.firmware, held.address) == ("GXP2160", "1.0", "192.0.2.7")
    kept = await extensions.get_extension(any_site, alice, "2001")
    assert kept.extra_fields["mac"] == MAC
    assert await waiting(any_site) == set()
    assert [row["id"] for row in await read_rows(databases.asterisk, "ps_endpoints")] == ["2001"]


async def test_claim_from_the_list(site: Site, alice: Actor) -> None:
    """Who chooses a phone has it as well; where several show its address one has to say which."""
    await create(site, alice, "2001", None)
    spoofed, phone = await temporary(site, MAC, "192.0.2.66"), await temporary(site)

    with pytest.raises(Conflict) as refusal:
        await claims.claim(site, alice, MAC, "2001")
    assert refusal.value.key == "ambiguous-device"
    await claims.claim(site, alice, MAC, "2001", phone.account)

    assert (await device(site)).token == phone.token
    assert await waiting(site) == {spoofed.account}


@pytest.mark.parametrize("token", ["", "000000000000", "123456789012"])
async def test_wrong_token(site: Site, alice: Actor, token: str) -> None:
    """A token that is nobody's binds nothing."""
    await create(site, alice, "2001", None)
    phone = await temporary(site)

    with pytest.raises(NotFound):
        await claims.claim_by_token(site, phone.account, token)

    assert await waiting(site) == {phone.account}


async def test_unknown_phone(site: Site, alice: Actor) -> None:
    """An account that is no more, or a MAC address that nobody has shown, cannot be claimed."""
    extension = await create(site, alice, "2001", None)

    with pytest.raises(NotFound):
        await claims.claim_by_token(site, "000123456789012", extension.token)
    for account in (None, "000123456789012"):
        with pytest.raises(NotFound):
            await claims.claim(site, alice, MAC, "2001", account)


async def test_somebody_elses_extension(site: Site, alice: Actor, eve: Actor) -> None:
    """A phone is chosen for one's own extensions only."""
    await create(site, alice, "2001", None)
    await temporary(site)

    with pytest.raises(NotFound):
        await claims.claim(site, eve, MAC, "2001")

    assert await positions(site) == {}


@pytest.mark.parametrize("type_", ["Mitel 6869i", "SIP"])
async def test_phone_of_another_family(site: Site, alice: Actor, type_: str) -> None:
    """A phone cannot become an extension of another family, which stays as it was."""
    new = extensions.NewExtension(type_, "Anna", "2001")
    extension = await extensions.create_extension(site, alice, new)
    phone = await temporary(site)

    with pytest.raises(Invalid) as refusal:
        await claims.claim_by_token(site, phone.account, extension.token)

    assert set(refusal.value.fields) == {"extension"}
    after = await extensions.get_extension(site, alice, "2001")
    assert (after.type, after.extra_fields) == (type_, extension.extra_fields)
    assert await waiting(site) == {phone.account}


async def test_another_model_of_the_family(site: Site, alice: Actor) -> None:
    """An extension takes the type of the phone that was claimed for it: the phone is what it is."""
    extension = await create(site, alice, "2001", None, type_=SMALL)
    unnamed = await create(site, alice, "2002", None, type_=SMALL)
    phone, shy = await temporary(site), await temporary(site, OTHER, model="")

    await claims.claim_by_token(site, phone.account, extension.token)
    await claims.claim_by_token(site, shy.account, unnamed.token)

    after = await extensions.get_extension(site, alice, "2001")
    assert after.type == (await device(site)).type == TYPE
    assert (await device(site, OTHER)).type == SMALL


async def test_phone_that_others_hold(site: Site, alice: Actor, eve: Actor) -> None:
    """Nobody takes over a phone that is held by showing its MAC, no administrator either."""
    await create(site, alice, "2001")
    before = await device(site)
    extension = await create(site, eve, "2002", None)
    await create(site, eve, "2003", OTHER)
    root = await actor(site, "root", Role.ADMIN)
    phone = await temporary(site)

    for attempt in (
        claims.claim_by_token(site, phone.account, extension.token),
        claims.claim(site, eve, MAC, "2002"),
        claims.claim(site, eve, MAC, "2003"),
        claims.claim(site, root, MAC, "2002"),
    ):
        with pytest.raises(Conflict) as refusal:
            await attempt
        assert refusal.value.key == "device-taken"

    after = await device(site)
    assert (after.token, after.is_open) == (before.token, before.is_open)
    assert await positions(site) == {1: "2001"}
    assert await positions(site, OTHER) == {1: "2003"}


async def test_guest_takes_nothing_over(site: Site, alice: Actor, eve: Actor) -> None:
    """The consent to lines on a phone is none to another phone with its address."""
    await create(site, alice, "2001")
    await devices.invite_guest(site, alice, MAC, "eve")
    before = await device(site)
    extension = await create(site, eve, "2002", None)
    phone = await temporary(site)

    for _ in range(2):
        with pytest.raises(Conflict):
            await claims.claim_by_token(site, phone.account, extension.token)
        await extensions.change_extension(
            site, eve, "2002", extensions.ExtensionChange(extra_fields={"mac": MAC})
        )

    assert (await device(site)).token == before.token
    assert await positions(site) == {1: "2001", 2: "2002"}


async def test_own_phone_that_was_reset(site: Site, alice: Actor, eve: Actor) -> None:
    """Who holds a phone claims it anew after a reset, with all its lines; the old URL ends."""
    extension = await create(site, alice, "2001")
    await devices.invite_guest(site, alice, MAC, "eve")
    await create(site, eve, "2002")
    before = await device(site)
    phone = await temporary(site)

    await claims.claim_by_token(site, phone.account, extension.token)

    after = await device(site)
    assert after.id == before.id
    assert after.token == phone.token != before.token
    assert await positions(site) == {1: "2001", 2: "2002"}


async def test_second_line(site: Site, alice: Actor) -> None:
    """A phone that has all its lines in use is not claimed for one more."""
    await create(site, alice, "2001", type_=SMALL)
    second = await create(site, alice, "2002", None, type_=SMALL)
    phone = await temporary(site, model="GXP1610", type=SMALL)

    with pytest.raises(Conflict) as refusal:
        await claims.claim_by_token(site, phone.account, second.token)

    assert refusal.value.key == "no-free-line"
    assert await waiting(site) == {phone.account}


async def test_old_phone_is_told(site: Site, alice: Actor) -> None:
    """An extension that leaves a phone for a claimed one changes what the old one fetches."""
    await create(site, alice, "2001", OTHER)
    extension = await create(site, alice, "2002", OTHER)
    old, phone = await device(site, OTHER), await temporary(site)
    changed: list[set[int]] = []
    site.on_changed_devices(lambda ids: changed.append(set(ids)))

    await claims.claim_by_token(site, phone.account, extension.token)

    assert changed == [{old.id}]
    assert (await positions(site), await positions(site, OTHER)) == ({1: "2002"}, {1: "2001"})


async def test_hook_that_says_no(site: Site, alice: Actor) -> None:
    """What a flavor refuses undoes the whole claim."""
    new = extensions.NewExtension(
        SMALL, "Anna", "2001", extra_fields={"mac": None, "codec": "g722"}
    )
    extension = await extensions.create_extension(site, alice, new)
    phone = await temporary(site, model="HT801", type="Grandstream HT801")

    with pytest.raises(Invalid):
        await claims.claim_by_token(site, phone.account, extension.token)

    assert await positions(site) == {}
    assert (await extensions.get_extension(site, alice, "2001")).type == SMALL
    assert await waiting(site) == {phone.account}


async def test_address_that_is_typed_later(any_site: Site, databases: Databases) -> None:
    """A phone whose address somebody types has its own account, and waits for nobody any more."""
    phone, spoofed = await temporary(any_site), await temporary(any_site, MAC, "192.0.2.66")
    await create(any_site, await actor(any_site, "alice"), "2001")

    assert await devices.grant(any_site, (await device(any_site)).id, phone.address)

    assert await waiting(any_site) == {spoofed.account}
    accounts = {row["id"] for row in await read_rows(databases.asterisk, "ps_endpoints")}
    assert accounts == {spoofed.account, "2001"}


# At the same moment


async def test_two_phones_at_once(any_site: Site) -> None:
    """Of phones behind one address that claim at the same moment each becomes the right one."""
    alice, bob = await actor(any_site, "alice"), await actor(any_site, "bob")
    macs = [f"000b82aabb{at:02x}" for at in range(4)]
    owned = [await create(any_site, (alice, bob)[at % 2], f"200{at}", None) for at in range(4)]
    phones = [await temporary(any_site, mac) for mac in macs]

    await asyncio.gather(
        *(
            claims.claim_by_token(any_site, phone.account, extension.token)
            for phone, extension in zip(phones, owned, strict=True)
        )
    )

    for at, (mac, phone) in enumerate(zip(macs, phones, strict=True)):
        assert await positions(any_site, mac) == {1: f"200{at}"}
        assert (await device(any_site, mac)).token == phone.token


async def test_one_phone_claimed_twice_at_once(any_site: Site) -> None:
    """A phone that two people want at the same moment becomes one's, and the other is told."""
    people = [await actor(any_site, name) for name in ("alice", "bob")]
    owned = [await create(any_site, each, f"200{at}", None) for at, each in enumerate(people)]
    phone = await temporary(any_site)

    claimed, refused = await outcomes(
        *(claims.claim_by_token(any_site, phone.account, each.token) for each in owned)
    )

    assert [type(each) for each in refused] == [NotFound]
    assert await positions(any_site) == {1: claimed[0].extension.number}
    loser = {"2000", "2001"} - {claimed[0].extension.number}
    left = await extensions.get_extension(any_site, OPERATOR, loser.pop())
    assert left.extra_fields["mac"] is None


async def test_claimed_while_it_asks_and_is_tidied(any_site: Site, databases: Databases) -> None:
    """Whatever is asked and tidied in the moment of a claim, nothing is left over."""
    extension = await create(any_site, await actor(any_site, "alice"), "2001", None)
    phone = await temporary(any_site)
    await not_seen_for(any_site, 61, phone.account)

    claim = claims.claim_by_token(any_site, phone.account, extension.token)
    asked, _ = await outcomes(claim, meet(any_site), claims.forget_unused(any_site), meet(any_site))

    assert len(asked) >= 3
    await claims.forget_unused(any_site)
    accounts = await waiting(any_site)
    found = {row["id"] for row in await read_rows(databases.asterisk, "ps_endpoints")}
    assert found == accounts | {"2001"}


async def test_disabled(make_settings: Callable[..., Settings]) -> None:  # noqa: F811
    """Where the operator wants no claims they are refused."""
    async with open_test_site(make_settings(claim=False)) as site:
        with pytest.raises(MuruError, match="cannot be claimed"):
            claims.check_enabled(site)
    async with open_test_site(make_settings()) as site:
        claims.check_enabled(site)
