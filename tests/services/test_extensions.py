"""Extensions: numbers, names, and who may have which."""

from collections.abc import Callable
from pathlib import Path

import pytest

from muru.asterisk.dialplan import DIAL_SIP
from muru.db.models import Extension, Role
from muru.errors import Conflict, Forbidden, Invalid, NotFound
from muru.services import extensions, users
from muru.services.extensions import ExtensionChange, NewExtension
from muru.services.site import OPERATOR, Actor, Site
from muru.settings import Settings
from tests.conftest import PASSWORD, configured, open_test_site
from tests.services.test_users import outcomes
from tests.written_flavors import realtime_rows, write

SPECIAL = """
    class Gate(PhoneFlavor):
        PHONE_TYPES = ["Gate"]
        IS_SPECIAL = True
"""


@pytest.fixture
async def owner(site: Site) -> Actor:
    user = await users.get_user(site, OPERATOR, "owner")
    return Actor(user.id, user.username, is_admin=False)


@pytest.fixture
async def root(site: Site) -> Actor:
    user = await users.create_user(site, OPERATOR, "root", PASSWORD, Role.ADMIN)
    return Actor(user.id, user.username, is_admin=True)


async def create(site: Site, actor: Actor, *, name: str = "Desk", **more: object) -> Extension:
    new = NewExtension(**{"type": "SIP", "name": name, **more})  # type: ignore[arg-type]
    return await extensions.create_extension(site, actor, new)


async def change(site: Site, actor: Actor, number: str, **fields: object) -> Extension:
    wanted = ExtensionChange(**fields)  # type: ignore[arg-type]
    return await extensions.change_extension(site, actor, number, wanted)


# Numbers


@pytest.mark.parametrize(
    "number",
    [
        "",
        "1",
        "123",
        "12345",
        "12a4",
        "-123",
        "+123",
        "1 34",
        "1234\n",
        "\uff11\uff12\uff13\uff14",
        "١٢٣٤",
    ],
)
async def test_number_has_the_configured_form(site: Site, owner: Actor, number: str) -> None:
    """A number is made of the configured count of digits 0 to 9, whatever other scripts have."""
    with pytest.raises(Invalid) as refusal:
        await create(site, owner, number=number)

    assert refusal.value.fields == {"number": "exactly 4 digits, 0 to 9"}


@configured(extension_digits=6)
async def test_number_of_another_length(site: Site, owner: Actor) -> None:
    """The count of digits is the site's to set, for chosen and for free numbers."""
    assert (await create(site, owner, number="012345")).number == "012345"
    assert len((await create(site, owner)).number) == 6


@configured(reserved_extensions=["1000-1099", "2000"])
@pytest.mark.parametrize(
    ("number", "reserved"),
    [
        ("0999", False),
        ("1000", True),
        ("1050", True),
        ("1099", True),
        ("1100", False),
        ("1999", False),
        ("2000", True),
        ("2001", False),
    ],
)
async def test_number_that_is_reserved(
    site: Site, owner: Actor, root: Actor, number: str, reserved: bool
) -> None:
    """Reserved numbers and ranges, ends included, are for administrators to give."""
    if reserved:
        with pytest.raises(Conflict, match="reserved"):
            await create(site, owner, number=number)
        await create(site, root, number=number, owner="owner")
    else:
        await create(site, owner, number=number)

    assert (await extensions.get_extension(site, owner, number)).number == number


@configured(extension_digits=2, reserved_extensions=["10-97"])
async def test_free_number_is_neither_taken_nor_reserved(site: Site, owner: Actor) -> None:
    """The free numbers end when all that are not reserved are taken, and that is told."""
    assert sorted(await extensions.free_numbers(site, 10)) == ["98", "99"]
    taken = {(await create(site, owner)).number for _ in range(2)}

    assert taken == {"98", "99"}
    with pytest.raises(Conflict) as refusal:
        await create(site, owner)
    assert refusal.value.key == "no-free-number"


async def test_number_that_many_want_at_once(any_site: Site) -> None:
    """Of 20 people who want the same number at the same moment one gets it."""
    asked = [create(any_site, OPERATOR, owner="owner", number="1234") for _ in range(20)]

    assert await outcomes(*asked) == {"ok": 1, "number-taken": 19}
    assert (await extensions.list_extensions(any_site, OPERATOR))[1] == 1


async def test_free_numbers_that_many_want_at_once(any_site: Site) -> None:
    """20 people who ask for any number at the same moment get 20 different ones."""
    asked = [create(any_site, OPERATOR, owner="owner") for _ in range(20)]

    assert await outcomes(*asked) == {"ok": 20}
    assert (await extensions.list_extensions(any_site, OPERATOR))[1] == 20


async def test_quota_holds_at_once(any_site: Site) -> None:
    """Who asks for many extensions at the same moment gets no more than one may have."""
    settings = any_site.settings.model_copy(update={"extensions_per_user": 3})
    site = Site(settings, any_site.database, any_site.registry, any_site.effects)

    done = await outcomes(*(create(site, OPERATOR, owner="owner") for _ in range(10)))

    assert done == {"ok": 3, "too-many-extensions": 7}


# Names


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Anna", '"Anna"'),
        ("  Anna\r\n", '"Anna"'),
        ('"', r'"\""'),
        ('";<>;"', r'"\";<>;\""'),
        ("\\", r'"\\"'),
        ("${SHELL(id)},1", '"${SHELL(id)},1"'),
        ("' OR 1=1 --", '"\' OR 1=1 --"'),
        ("Zoë ☎ 🦄", '"Zoë ☎ 🦄"'),
        ("Zoe\u0308", '"Zoë"'),
        ("مرحبا", '"مرحبا"'),
        ("👩‍🚀", '"👩‍🚀"'),
    ],
)
async def test_name_reaches_the_caller_id(site: Site, owner: Actor, name: str, shown: str) -> None:
    """What can be shown stands in the caller id as Asterisk quotes it, and not in the dialplan."""
    created = await create(site, owner, name=name)

    rows = await realtime_rows(site, created.number)
    assert rows["ps_endpoints"]["callerid"] == f"{shown} <{created.number}>"
    assert rows["extensions"]["appdata"] == f"{DIAL_SIP},{created.number},1"


@pytest.mark.parametrize(
    "name",
    [
        "",
        " \t\n",
        "\u200b",
        "\u2060\ufeff",
        "x" * 41,
        "🦄" * 41,
        "An\r\nna",
        "An\0na",
        "An\x7fna",
        "An\x85na",
        "An\u2028na",
        "An\u202ena",
        "An\u2066na",
        "An\ud800na",
    ],
)
@pytest.mark.parametrize("act", ["create", "change"])
async def test_name_that_cannot_be_shown(site: Site, owner: Actor, name: str, act: str) -> None:
    """A name that is empty, too long, breaks the line or turns the writing around is refused."""
    number = (await create(site, owner, name="Desk")).number

    with pytest.raises(Invalid) as refusal:
        await (
            create(site, owner, name=name)
            if act == "create"
            else change(site, owner, number, name=name)
        )

    assert list(refusal.value.fields) == ["name"]
    assert (await extensions.list_extensions(site, owner))[1] == 1
    assert (await extensions.get_extension(site, owner, number)).name == "Desk"


@configured(reserved_name_prefixes=["POC", "Emergency "])
@pytest.mark.parametrize(
    ("name", "reserved"),
    [
        ("POC", True),
        ("poc desk", True),
        ("\uff30\uff2f\uff23", True),
        ("P\u200bOC", True),
        ("\u200bpoc", True),
        ("emergency exit", True),
        ("Emergencyexit", False),
        ("My POC", False),
        ("PO", False),
    ],
)
async def test_name_prefix_that_is_reserved(
    site: Site, owner: Actor, root: Actor, name: str, reserved: bool
) -> None:
    """Names that read as if they began with a reserved prefix are for administrators to give."""
    if not reserved:
        await create(site, owner, name=name)
        return
    with pytest.raises(Invalid) as refusal:
        await create(site, owner, name=name)
    assert refusal.value.key == "name-reserved"
    number = (await create(site, owner, name="Desk")).number
    with pytest.raises(Invalid):
        await change(site, owner, number, name=name)

    given = await change(site, root, number, name=name)

    assert (await change(site, owner, number, name=given.name, info="new")).info == "new"


# People


async def test_extension_of_another_is_not_found(site: Site, owner: Actor) -> None:
    """Nobody but the owner and administrators can tell an extension from none at all."""
    await users.create_user(site, OPERATOR, "other", PASSWORD)
    await create(site, OPERATOR, number="1234", owner="other")

    for number in ("1234", "9999"):
        for action in (
            extensions.get_extension(site, owner, number),
            change(site, owner, number, name="Mine"),
            extensions.renew_password(site, owner, number),
            extensions.delete_extension(site, owner, number),
        ):
            with pytest.raises(NotFound, match=rf"^There is no extension {number} of yours\.$"):
                await action
    assert await extensions.list_extensions(site, owner) == ([], 0)
    assert (await extensions.get_extension(site, OPERATOR, "1234")).name == "Desk"


async def test_owner_is_oneself(site: Site, owner: Actor) -> None:
    """Only administrators create extensions for others."""
    await users.create_user(site, OPERATOR, "other", PASSWORD)

    assert (await create(site, owner)).owner_id == owner.user_id
    assert (await create(site, owner, owner="Owner")).owner_id == owner.user_id
    with pytest.raises(Forbidden, match="for others"):
        await create(site, owner, owner="other")
    with pytest.raises(Invalid) as refusal:
        await create(site, OPERATOR, owner="nobody")
    assert list(refusal.value.fields) == ["owner"]


async def test_owner_may_be_called_operator(site: Site) -> None:
    """At the command line, too, a user with the name ``operator`` is a user as any other."""
    await users.create_user(site, OPERATOR, "operator", PASSWORD)

    assert (await create(site, OPERATOR, owner="operator")).owner.username == "operator"


@configured(extensions_per_user=2)
async def test_quota_is_for_users(site: Site, owner: Actor, root: Actor) -> None:
    """A user has so many extensions at most; administrators have as many as they like."""
    for _ in range(2):
        await create(site, owner)
    with pytest.raises(Conflict) as refusal:
        await create(site, owner)

    assert refusal.value.key == "too-many-extensions"
    for _ in range(3):
        await create(site, root)


@pytest.mark.parametrize("public", [False, True])
async def test_special_type_is_for_administrators(
    make_settings: Callable[..., Settings], tmp_path: Path, public: bool
) -> None:
    """A special flavor is for administrators, unless MURU_ALL_EXTENSION_TYPES_PUBLIC is on."""
    flavors = write(tmp_path / "flavors", gate=SPECIAL)
    settings = make_settings(all_extension_types_public=public, **flavors)
    async with open_test_site(settings) as site:
        user = await users.create_user(site, OPERATOR, "owner", PASSWORD)
        owner = Actor(user.id, user.username, is_admin=False)

        if public:
            await create(site, owner, type="Gate")
        else:
            with pytest.raises(Forbidden, match="Only administrators"):
                await create(site, owner, type="Gate")
        await create(site, OPERATOR, type="Gate", owner="owner")


# What belongs to an extension


async def test_extension_has_secrets_of_its_own(site: Site, owner: Actor) -> None:
    """SIP passwords and dial tokens are made anew for each extension."""
    made = [await create(site, owner) for _ in range(10)]

    assert len({each.password for each in made}) == 10
    assert len({each.token for each in made}) == 10


async def test_extension_does_not_show_its_password() -> None:
    """What a log may print of an extension has none of its secrets."""
    extension = Extension(number="1234", type="SIP", password="geheim", token="123456789012")

    assert repr(extension) == "<Extension 1234 'SIP'>"


async def test_password_is_renewed(site: Site, owner: Actor) -> None:
    """A new SIP password is another one, and the one that Asterisk checks from then on."""
    created = await create(site, owner, number="1234")

    renewed = await extensions.renew_password(site, owner, "1234")

    assert renewed.password != created.password
    assert (await realtime_rows(site, "1234"))["ps_auths"]["password"] == renewed.password


@pytest.mark.parametrize(
    ("phone_type", "fields", "faulty"),
    [
        ("SIP", {"codec": "opus"}, "extra_fields.codec"),
        ("SIP", {"mac": "00:04:13:00:00:01"}, "extra_fields.mac"),
        ("SIP", {"codec": {"$gt": ""}}, "extra_fields.codec"),
        ("Dummy", {"codec": "alaw"}, "extra_fields.codec"),
        ("Nonsense", {}, "type"),
        ("", {}, "type"),
    ],
)
async def test_fields_that_do_not_fit(
    site: Site, owner: Actor, phone_type: str, fields: dict[str, object], faulty: str
) -> None:
    """A phone type that is unknown, and a field that it does not have, are told by name."""
    with pytest.raises(Invalid) as refusal:
        await create(site, owner, type=phone_type, extra_fields=fields)

    assert list(refusal.value.fields) == [faulty]


async def test_type_changes_within_its_flavor_only(site: Site, owner: Actor) -> None:
    """A phone does not become one of another family; that would be another extension."""
    number = (await create(site, owner)).number

    with pytest.raises(Invalid) as refusal:
        await change(site, owner, number, type="Dummy")

    assert refusal.value.fields == {"type": "choose one of SIP"}


async def test_change_leaves_the_rest(site: Site, owner: Actor) -> None:
    """What is not changed stays, in the extension and at Asterisk."""
    before = await create(site, owner, number="1234", info="Hall 3", extra_fields={"codec": "alaw"})

    after = await change(site, owner, "1234", name="Zoë")

    assert (after.name, after.info, after.extra_fields) == ("Zoë", "Hall 3", {"codec": "alaw"})
    assert (after.password, after.token) == (before.password, before.token)
    endpoint = (await realtime_rows(site, "1234"))["ps_endpoints"]
    assert endpoint["callerid"] == '"Zoë" <1234>'
    assert endpoint["allow"].startswith("alaw,")


async def test_delete_leaves_nothing(site: Site, owner: Actor) -> None:
    """A deleted extension is gone from both databases, and its number is free again."""
    await create(site, owner, number="1234")

    await extensions.delete_extension(site, owner, "1234")

    assert await realtime_rows(site, "1234") == {}
    await create(site, owner, number="1234")


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", ["1234", "1235", "2234"]),
        ("123", ["1234", "1235"]),
        ("234", []),
        ("DESK", ["1234", "1235"]),
        ("%", ["1235"]),
        ("_", []),
        ("'", []),
    ],
)
async def test_search(site: Site, owner: Actor, search: str, found: list[str]) -> None:
    """A search looks at the begin of numbers and anywhere in names, and has no wildcards."""
    for number, name in (("1234", "Desk"), ("1235", "100 % Desk"), ("2234", "zoë")):
        await create(site, owner, number=number, name=name)

    listed, total = await extensions.list_extensions(site, owner, search=search)

    assert [each.number for each in listed] == found
    assert total == len(found)


async def test_phonebook_has_the_public_ones(site: Site, owner: Actor) -> None:
    """The phonebook lists whoever wants to be in it, page by page."""
    for number in ("1003", "1001", "1002"):
        await create(site, owner, number=number, public=number != "1002")

    listed, total = await extensions.phonebook(site, limit=1, offset=1)

    assert ([each.number for each in listed], total) == (["1003"], 2)
