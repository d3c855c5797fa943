"""Adding a phone and changing it: what type it is, and the form that this type has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from muru.db.models import Extension, Media
from muru.errors import Conflict, Forbidden, Invalid, MuruError, NotFound
from muru.flavor import MediaDescriptor, PhoneFlavor
from muru.provisioning.mac import written
from muru.services import extension_media, extensions, media
from muru.services.extensions import UNSET, ExtensionChange, NewExtension
from muru.services.site import Actor
from muru.web import places, schema
from muru.web.forms import Form
from muru.web.kinds import families, kind_of
from muru.web.language import _, told
from muru.web.plan import Plan
from muru.web.routing import Pages, Visit

pages = Pages()

_SUGGESTED = 5  # free numbers
_MOST_MEDIA = 200  # to choose from
_OPEN_FOR = 12  # found types: so many are shown without opening their family
_NUMBER = "/phones/{number:\\d{1,15}}"


@dataclass(frozen=True, slots=True)
class Slot:
    """A medium that the phone type can have, and those of the person's that fit."""

    name: str
    descriptor: MediaDescriptor
    choices: list[Media]

    @property
    def options(self) -> list[tuple[int, str]]:
        return [(each.id, each.name) for each in self.choices]


@pages.get("/phones/add")
async def add(visit: Visit) -> web.Response:
    """Choose a type; with ``type`` the form for one of that type."""
    phone_type = visit.query("type", 100)
    if phone_type:
        form = Form()
        flavor = _flavor(visit, phone_type)
        schema.fill(form, schema.inputs_of(flavor.EXTRA_FIELDS), {})
        numbers = await _free(visit)
        form.values["number"] = numbers[0] if numbers else ""
        return await _show_new(visit, flavor, phone_type, form, numbers)
    search = visit.query("search", 100).strip()
    found = families(visit.site, visit.actor, search)
    total = sum(len(each.types) for each in found)
    return visit.render(
        "phone_types.html",
        families=found,
        search=search,
        total=total,
        opened=bool(search) and total <= _OPEN_FOR,
    )


@pages.get("/phones/add/number")
async def check_number(visit: Visit) -> web.Response:
    """Tell a script whether a number could be had; ``fault`` says why not."""
    try:
        await extensions.check_free(visit.site, visit.actor, visit.query("number", 15))
    except (Invalid, Conflict) as error:
        faults = error.fields if isinstance(error, Invalid) else {}
        return web.json_response({"fault": told(faults.get("number", error.public))})
    return web.json_response({"fault": ""})


@pages.post("/phones/add")
async def create(visit: Visit) -> web.Response:
    form = await visit.form()
    phone_type = form["type"]
    flavor = _flavor(visit, phone_type)
    inputs = schema.inputs_of(flavor.EXTRA_FIELDS)
    new = NewExtension(
        type=phone_type,
        name=form["name"],
        number=form["number"].strip() or None,
        info=form["info"],
        public="public" in form,
        extra_fields=schema.read(form, inputs),
        media=_chosen(form, flavor.media_for(phone_type)),
    )
    try:
        extension = await extensions.create_extension(visit.site, visit.actor, new)
    except MuruError as error:
        _take(form, error, inputs)
        return await _show_new(visit, flavor, phone_type, form, await _free(visit))
    after = "" if kind_of(flavor, phone_type) == "number" else "/connect"
    return visit.redirect(f"/phones/{extension.number}{after}")


@pages.get(_NUMBER + "/edit")
async def edit(visit: Visit) -> web.Response:
    extension = await extensions.get_extension(visit.site, visit.actor, visit.path("number"))
    flavor = visit.site.registry.require_type(extension.type)
    form = Form({"name": extension.name, "info": extension.info, "type": extension.type})
    if extension.public:
        form.values["public"] = "yes"
    schema.fill(form, schema.inputs_of(flavor.EXTRA_FIELDS), extension.extra_fields)
    if mac := form[f"{schema.ROOT}.mac"]:
        form.values[f"{schema.ROOT}.mac"] = written(mac)
    places.fill(form, extension)
    for slot in await extension_media.slots(visit.site, extension):
        if slot.media is not None:
            form.values[f"media.{slot.key}"] = str(slot.media.id)
    return await _show_edit(visit, extension, flavor, form)


@pages.post(_NUMBER + "/edit")
async def change(visit: Visit) -> web.Response:
    extension = await extensions.get_extension(visit.site, visit.actor, visit.path("number"))
    flavor = visit.site.registry.require_type(extension.type)
    form = await visit.form()
    inputs = schema.inputs_of(flavor.EXTRA_FIELDS)
    try:
        changes = ExtensionChange(
            type=form["type"] or extension.type,
            name=form["name"],
            info=form["info"],
            public="public" in form,
            location=places.read(form) if places.LAT in form else UNSET,
            extra_fields=schema.read(form, inputs),
            media=_chosen(form, flavor.media_for(_type_of(form, flavor, extension))),
        )
        await extensions.change_extension(visit.site, visit.actor, extension.number, changes)
    except MuruError as error:
        _take(form, error, inputs)
        return await _show_edit(visit, extension, flavor, form)
    return visit.redirect(f"/phones/{extension.number}", flash=_("Saved."))


def _type_of(form: Form, flavor: PhoneFlavor, extension: Extension) -> str:
    """Return the type that *extension* is to have; that it has if what was sent is none of them."""
    return form["type"] if form["type"] in flavor.PHONE_TYPES else extension.type


def _flavor(visit: Visit, phone_type: str) -> PhoneFlavor:
    flavor = visit.site.registry.for_type(phone_type)
    if flavor is None:
        raise NotFound("There is no such type of phone here.")
    public = not flavor.IS_SPECIAL or visit.site.settings.all_extension_types_public
    if not (public or visit.actor.is_admin):
        raise Forbidden("Only administrators create extensions of this type.", key="special-type")
    return flavor


def _take(form: Form, error: MuruError, inputs: tuple[schema.Input, ...]) -> None:
    at = {"number-taken": "number", "number-reserved": "number", "number-kept": "number"}
    form.take(error, at)
    schema.explain(form, inputs)


async def _free(visit: Visit) -> list[str]:
    try:
        return await extensions.free_numbers(visit.site, _SUGGESTED)
    except Conflict:
        return []


def _chosen(form: Form, offered: Mapping[str, MediaDescriptor]) -> dict[str, int | None]:
    """Return the chosen media; what is no id is none that there is."""
    chosen: dict[str, int | None] = {}
    for key in offered:
        text = form[f"media.{key}"]
        if text:
            fits = text.isascii() and text.isdigit() and len(text) < 10
            chosen[key] = int(text) if fits else 0
    return chosen


async def _show_new(
    visit: Visit, flavor: PhoneFlavor, phone_type: str, form: Form, numbers: list[str]
) -> web.Response:
    return await _show(visit, "phone_add.html", flavor, phone_type, form, numbers=numbers)


async def _show_edit(
    visit: Visit, extension: Extension, flavor: PhoneFlavor, form: Form
) -> web.Response:
    types = [(each, each) for each in flavor.PHONE_TYPES]
    return await _show(
        visit,
        "phone_edit.html",
        flavor,
        extension.type,
        form,
        extension=extension,
        types=types,
        plan=Plan.of(visit.site.settings),
    )


async def _show(
    visit: Visit, template: str, flavor: PhoneFlavor, phone_type: str, form: Form, **more: Any
) -> web.Response:
    slots = await _slots(visit, visit.actor, flavor.media_for(phone_type))
    return visit.render(
        template,
        status=form.status,
        form=form,
        phone_type=phone_type,
        flavor=flavor,
        kind=kind_of(flavor, phone_type),
        inputs=schema.inputs_of(flavor.EXTRA_FIELDS),
        root=schema.ROOT,
        rows=schema.rows,
        is_blank=schema.is_blank,
        pairs=_pairs,
        slots=slots,
        digits=visit.site.settings.extension_digits,
        **more,
    )


def _pairs(choices: tuple[Any, ...]) -> list[tuple[Any, str]]:
    return [(each, told(str(each))) for each in choices]


async def _slots(visit: Visit, actor: Actor, offered: Mapping[str, MediaDescriptor]) -> list[Slot]:
    if not offered:
        return []
    own, _total = await media.list_media(visit.site, actor, limit=_MOST_MEDIA)
    return [
        Slot(
            f"media.{key}",
            descriptor,
            [each for each in own if each.type == descriptor.media_type],
        )
        for key, descriptor in offered.items()
    ]
