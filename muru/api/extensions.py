"""Phone types, extensions and the phonebook."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import inspect

from muru.api.registrations import ContactView
from muru.api.routing import Call, Endpoints, Input, PageQuery
from muru.db.models import Extension
from muru.db.realtime import PsAuth
from muru.flavor import PhoneFlavor
from muru.keys import REGISTRATIONS, USER_AGENTS
from muru.services import extensions
from muru.services.groups import is_group

endpoints = Endpoints()

Number = Annotated[str, Field(max_length=15)]
MediaIds = Annotated[dict[str, int | None], Field(max_length=50)]


class PhoneTypeView(BaseModel):
    """*extra_fields* is the JSON schema of what to fill in; *may_create* is about whoever asks.

    *provisioned* says that such a phone fetches its configuration here, *lines* how many extensions
    one can have.
    """

    model_config = ConfigDict(protected_namespaces=())

    type: str
    flavor: str
    special: bool
    may_create: bool
    max_name_chars: int
    codecs: list[str]
    lines: int
    provisioned: bool
    extra_fields: dict[str, Any] | None
    media: dict[str, dict[str, Any]]


class Location(Input):
    """A place on the site's map, in the map's own coordinates."""

    lat: float = Field(ge=-90, le=90)
    lng: float = Field(ge=-180, le=180)


class NewExtensionBody(Input):
    """Without *number* a free one is chosen; *owner* is for administrators.

    *media* are ids by the names in the phone type's media.
    """

    type: str = Field(max_length=100)
    name: str = Field(max_length=500)
    number: Number | None = None
    info: str = Field("", max_length=2000)
    public: bool = False
    location: Location | None = None
    extra_fields: dict[str, Any] = Field(default_factory=dict)
    media: MediaIds = Field(default_factory=dict)
    owner: str | None = Field(None, max_length=64)


class ExtensionPatch(Input):
    """Only what is given changes. *extra_fields* and *media* are replaced as a whole."""

    type: str = Field("", max_length=100)
    name: str = Field("", max_length=500)
    info: str = Field("", max_length=2000)
    public: bool = False
    location: Location | None = None
    extra_fields: dict[str, Any] = Field(default_factory=dict)
    media: MediaIds = Field(default_factory=dict)

    def change(self) -> extensions.ExtensionChange:
        return extensions.ExtensionChange(**self.model_dump(exclude_unset=True))


class ExtensionView(BaseModel):
    number: str
    name: str
    type: str
    info: str
    public: bool
    location: dict[str, float] | None
    extra_fields: dict[str, Any]
    owner: str
    created_at: datetime
    updated_at: datetime
    registered: bool

    @classmethod
    def of(cls, call: Call, extension: Extension, **more: Any) -> Self:
        columns = cls.model_fields.keys() & inspect(Extension).columns.keys()
        return cls(
            **{name: getattr(extension, name) for name in columns - more.keys()},
            owner=extension.owner.username,
            registered=bool(call.request.config_dict[REGISTRATIONS].contacts(extension.number)),
            **more,
        )


class SipAccount(BaseModel):
    """What to type into a phone."""

    username: str
    password: str
    domain: str
    port: int
    transports: list[str]


class ExtensionDetail(ExtensionView):
    """What the owner may know: also the SIP account, and the token that can be dialled."""

    token: str
    sip: SipAccount | None


class ExtensionPage(BaseModel):
    items: list[ExtensionView]
    total: int


class FreeQuery(Input):
    count: int = Field(10, ge=1, le=100)


class FreeNumbers(BaseModel):
    numbers: list[str]


class RegistrationView(BaseModel):
    number: str
    registered: bool
    contacts: list[ContactView]


class PhonebookEntry(BaseModel):
    """*group* says that it is no phone, but rings several."""

    number: str
    name: str
    group: bool
    info: str
    location: dict[str, float] | None
    registered: bool


class PhonebookPage(BaseModel):
    items: list[PhonebookEntry]
    total: int


@endpoints.get("/phone-types")
async def list_phone_types(call: Call) -> list[PhoneTypeView]:
    """List the phone types in the order in which they are to be offered."""
    return [
        _phone_type(call, entry.name, flavor, phone_type)
        for entry, flavor in call.site.registry.active()
        for phone_type in entry.phone_types
    ]


def _phone_type(call: Call, name: str, flavor: PhoneFlavor, phone_type: str) -> PhoneTypeView:
    supported = flavor.SUPPORTED_CODEC
    codecs = supported[phone_type] if isinstance(supported, dict) else supported
    public = not flavor.IS_SPECIAL or call.site.settings.all_extension_types_public
    return PhoneTypeView(
        type=phone_type,
        flavor=name,
        special=flavor.IS_SPECIAL,
        may_create=public or call.actor.is_admin,
        max_name_chars=flavor.MAX_EXTENSION_NAME_CHARS,
        codecs=[codecs] if isinstance(codecs, str) else list(codecs),
        lines=flavor.line_count(phone_type),
        provisioned=bool(flavor.FILES),
        extra_fields=flavor.EXTRA_FIELDS.model_json_schema() if flavor.EXTRA_FIELDS else None,
        media={key: asdict(each) for key, each in flavor.media_for(phone_type).items()},
    )


@endpoints.get("/extensions")
async def list_extensions(call: Call, query: PageQuery) -> ExtensionPage:
    """List one's own extensions, for administrators all."""
    found, total = await extensions.list_extensions(call.site, call.actor, **query.model_dump())
    return ExtensionPage(items=[ExtensionView.of(call, each) for each in found], total=total)


@endpoints.post("/extensions", status=201)
async def create_extension(call: Call, body: NewExtensionBody) -> ExtensionDetail:
    """Create an extension; answers with the SIP account, where the type has one."""
    new = extensions.NewExtension(**body.model_dump())
    return _detail(call, await extensions.create_extension(call.site, call.actor, new))


@endpoints.get("/extensions/free")
async def free_numbers(call: Call, query: FreeQuery) -> FreeNumbers:
    """Suggest numbers that nobody has."""
    return FreeNumbers(numbers=await extensions.free_numbers(call.site, query.count))


@endpoints.get("/extensions/{number:\\d{1,15}}")
async def get_extension(call: Call) -> ExtensionDetail:
    return _detail(call, await extensions.get_extension(call.site, call.actor, call.path("number")))


@endpoints.patch("/extensions/{number:\\d{1,15}}")
async def change_extension(call: Call, body: ExtensionPatch) -> ExtensionDetail:
    changed = await extensions.change_extension(
        call.site, call.actor, call.path("number"), body.change()
    )
    return _detail(call, changed)


@endpoints.delete("/extensions/{number:\\d{1,15}}")
async def delete_extension(call: Call) -> None:
    """Delete an extension; its phone cannot register any more."""
    await extensions.delete_extension(call.site, call.actor, call.path("number"))


@endpoints.post("/extensions/{number:\\d{1,15}}/password")
async def renew_password(call: Call) -> ExtensionDetail:
    """Make a new password for the SIP account; the old one is refused from now on."""
    return _detail(
        call, await extensions.renew_password(call.site, call.actor, call.path("number"))
    )


@endpoints.get("/extensions/{number:\\d{1,15}}/registration")
async def get_registration(call: Call) -> RegistrationView:
    """Tell where the extension's phones are registered now."""
    extension = await extensions.get_extension(call.site, call.actor, call.path("number"))
    contacts = call.request.config_dict[REGISTRATIONS].contacts(extension.number)
    return RegistrationView(
        number=extension.number,
        registered=bool(contacts),
        contacts=[
            ContactView.of(contact, call.request.config_dict[USER_AGENTS]) for contact in contacts
        ],
    )


@endpoints.get("/phonebook", access="anybody")
async def list_phonebook(call: Call, query: PageQuery) -> PhonebookPage:
    """List the public extensions; open to everybody."""
    found, total = await extensions.phonebook(call.site, **query.model_dump())
    registrations = call.request.config_dict[REGISTRATIONS]
    return PhonebookPage(
        items=[
            PhonebookEntry(
                number=each.number,
                name=each.name,
                group=is_group(call.site.registry.for_type(each.type)),
                info=each.info,
                location=each.location,
                registered=bool(registrations.contacts(each.number)),
            )
            for each in found
        ],
        total=total,
    )


def _detail(call: Call, extension: Extension) -> ExtensionDetail:
    return ExtensionDetail.of(
        call, extension, token=extension.token, sip=_sip_account(call, extension)
    )


def _sip_account(call: Call, extension: Extension) -> SipAccount | None:
    settings, flavor = call.site.settings, call.site.registry.for_type(extension.type)
    rows = flavor.realtime_rows(extension) if flavor else []
    auth = next((row for row in rows if isinstance(row, PsAuth)), None)
    if auth is None or auth.username is None or auth.password is None:
        return None
    return SipAccount(
        username=auth.username,
        password=auth.password,
        domain=settings.sip_domain or call.request.url.host or "",
        port=settings.sip_port,
        transports=["udp", "tcp", *(["tls"] if settings.tls_certificate else [])],
    )
