"""Finds, checks and holds the phone flavors."""

import difflib
import importlib
import inspect
import logging
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

import muru.flavors
from muru.errors import Invalid
from muru.flavor import (
    CODECS,
    AudioFormat,
    ImageFormat,
    MediaDescriptor,
    MediaType,
    PhoneFlavor,
)
from muru.jobs import LONGEST_INTERVAL
from muru.media import formats
from muru.paths import ENTRY_POINT_GROUP, bundled
from muru.provisioning.check import fault_of
from muru.provisioning.templates import Templates, templates_of
from muru.settings import Settings

_log = logging.getLogger(__name__)

_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FILENAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")
_FEW = 5  # phone types that are named to whoever chose none of them
_HOOK = ("session", "asterisk_session", "user", "extension")
_METHODS = {
    "on_extension_create": _HOOK,
    "on_extension_update": _HOOK,
    "on_extension_delete": _HOOK,
    "generate_routes": ("router",),
    "job": (),
    "get_codec": ("extension",),
    "realtime_rows": ("extension",),
    "sip_login": ("extension",),
    "finish": ("file", "text"),
    "links": ("vocabulary",),
    "line_count": ("phone_type",),
    "resync_headers": ("phone_type",),
    "media_for": ("phone_type",),
    "on_registration_change": ("number", "contacts"),
}
_MAY_BE_ASYNC = {"job", "on_registration_change"}
_FORMATS: dict[MediaType, type] = {
    MediaType.AUDIO: AudioFormat,
    MediaType.IMAGE: ImageFormat,
    MediaType.RAW: type(None),
}


class FlavorFault(Exception):
    """Why a module or class is no working flavor."""


@dataclass(frozen=True, slots=True)
class Source:
    """A module that may hold flavors. *origin* is ``bundled``, a folder, or a distribution."""

    module: str
    origin: str
    place: Path | EntryPoint


@dataclass(slots=True)
class Entry:
    """One line of the list of flavors: a class, or a module that gave none.

    *state* is ``active``, ``disabled`` (not in MURU_ENABLED_PHONE_FLAVORS) or ``faulty``; *reason*
    tells why it is not active. *flavor* is the one instance, if it is.
    """

    module: str
    origin: str
    state: str
    class_name: str | None = None
    phone_types: tuple[str, ...] = ()
    reason: str | None = None
    flavor: PhoneFlavor | None = None

    @property
    def name(self) -> str:
        """The name in paths and listings: that of the class, in lower case."""
        return (self.class_name or self.module).lower()


@dataclass(slots=True)
class Registry:
    """The flavors of one application, and where each phone type belongs."""

    entries: list[Entry] = field(default_factory=list)
    _by_type: dict[str, PhoneFlavor] = field(default_factory=dict)
    _by_name: dict[str, PhoneFlavor] = field(default_factory=dict)

    def active(self) -> list[tuple[Entry, PhoneFlavor]]:
        """Return the working flavors, those with the highest DISPLAY_INDEX first."""
        working = [(entry, entry.flavor) for entry in self.entries if entry.flavor is not None]
        return sorted(working, key=lambda each: (-each[1].DISPLAY_INDEX, each[0].name))

    def listing(self) -> list[Entry]:
        """Return all that was found: the working flavors in their order, then the others."""
        rest = [entry for entry in self.entries if entry.flavor is None]
        return [
            *(entry for entry, _ in self.active()),
            *sorted(rest, key=lambda entry: (entry.state, entry.name)),
        ]

    def for_type(self, phone_type: str) -> PhoneFlavor | None:
        """Return the flavor to which *phone_type* belongs, if it is active."""
        return self._by_type.get(phone_type)

    def require_type(self, phone_type: str) -> PhoneFlavor:
        """Return the flavor of *phone_type*.

        Raises:
            Invalid: there is none, or it is not active; the text names some that are.
        """
        flavor = self._by_type.get(phone_type)
        if flavor is None:
            types = [each for entry, _ in self.active() for each in entry.phone_types]
            close = difflib.get_close_matches(phone_type, types, n=_FEW) or types[:_FEW]
            offered = ", ".join(map(repr, close)) or "none"
            more = "" if len(types) <= len(close) else f", or another of the {len(types)} there are"
            raise Invalid(
                f"There is no phone type {phone_type!r} here.",
                {"type": f"choose one of {offered}{more}"},
            )
        return flavor

    def with_files(self) -> list[tuple[str, PhoneFlavor]]:
        """Return the names and active flavors whose phones fetch files."""
        return [(name, flavor) for name, flavor in self._by_name.items() if flavor.FILES]

    def by_name(self, name: str) -> PhoneFlavor | None:
        """Return the active flavor with that name, that of its class in small letters."""
        return self._by_name.get(name)

    def entry_of(self, flavor: PhoneFlavor) -> Entry:
        """Return the entry of an active *flavor*."""
        return next(entry for entry in self.entries if entry.flavor is flavor)

    def add(self, entry: Entry, flavor: PhoneFlavor) -> None:
        entry.flavor, entry.state = flavor, "active"
        self._by_name[entry.name] = flavor
        for phone_type in entry.phone_types:
            self._by_type[phone_type] = flavor

    def disable(self, entry: Entry, reason: str) -> None:
        """Take a flavor that turned out faulty out of use."""
        _log.error("flavor %s is not used: %s", entry.name, reason)
        if entry.flavor is not None:
            self._by_name.pop(entry.name, None)
        entry.state, entry.reason, entry.flavor = "faulty", reason, None
        for phone_type in entry.phone_types:
            self._by_type.pop(phone_type, None)


def discover(settings: Settings) -> Registry:
    """Find all flavors, and instantiate those that are enabled and sound."""
    registry = Registry()
    templates = templates_of(settings)
    _look_in(_folders(settings))
    taken: dict[str, Source] = {}
    for source in _sources(settings):
        if source.module not in settings.enabled_phone_flavors:
            registry.entries.append(Entry(source.module, source.origin, "disabled"))
        elif source.module in taken:
            reason = f"a module of this name is already there ({taken[source.module].origin})"
            _add_fault(registry, Entry(source.module, source.origin, "faulty"), reason)
        else:
            taken[source.module] = source
            _add_module(registry, source, settings, templates)
    for name in settings.enabled_phone_flavors:
        if name not in taken:
            places = ", ".join(str(folder) for folder in _folders(settings))
            reason = f"enabled, but there is no module {name}.py in {places}"
            _add_fault(registry, Entry(name, "", "faulty"), reason)
    return registry


def _folders(settings: Settings) -> list[Path]:
    return [bundled("flavors"), *(path.absolute() for path in settings.flavor_paths)]


def _sources(settings: Settings) -> Iterator[Source]:
    for folder in _folders(settings):
        origin = "bundled" if folder == bundled("flavors") else str(folder)
        for info in sorted(pkgutil.iter_modules([str(folder)]), key=lambda info: info.name):
            if not info.name.startswith("_"):
                yield Source(info.name, origin, folder)
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        distribution = point.dist.name if point.dist else "unknown distribution"
        yield Source(point.name, distribution, point)


def _add_fault(registry: Registry, entry: Entry, reason: str) -> None:
    registry.entries.append(entry)
    registry.disable(entry, reason)


def _add_module(
    registry: Registry, source: Source, settings: Settings, templates: Templates
) -> None:
    entry = Entry(source.module, source.origin, "faulty")
    try:
        module = _import(source)
    except FlavorFault as fault:
        _add_fault(registry, entry, str(fault))
        return
    except BaseException as error:  # a module may even call sys.exit()
        if isinstance(error, KeyboardInterrupt):
            raise
        _log.error("flavor module %s cannot be imported", source.module, exc_info=error)
        _add_fault(registry, entry, f"cannot be imported: {describe(error)}")
        return
    classes = list(_classes(module))
    if not classes:
        _add_fault(registry, entry, "defines no class that inherits PhoneFlavor")
    for flavor_class in classes:
        _add_class(registry, source, flavor_class, settings, templates)


def _look_in(folders: list[Path]) -> None:
    """Have ``muru.flavors`` be what lies in *folders*.

    What another application of this process imported from elsewhere stays its own: it keeps the
    classes, but their modules' names mean something else from now on.
    """
    prefix = muru.flavors.__name__ + "."
    for name, module in list(sys.modules.items()):
        place = Path(getattr(module, "__file__", None) or "")
        if name.startswith(prefix) and not any(place.is_relative_to(each) for each in folders):
            del sys.modules[name]
            vars(muru.flavors).pop(name.removeprefix(prefix), None)
    muru.flavors.__path__[:] = [str(folder) for folder in folders]
    importlib.invalidate_caches()


def _import(source: Source) -> ModuleType:
    if isinstance(source.place, Path):
        # The folders are searched in the order in which they are listed: what is listed is run.
        return importlib.import_module(f"{muru.flavors.__name__}.{source.module}")
    loaded = source.place.load()
    if not isinstance(loaded, ModuleType):
        raise FlavorFault("the entry point must name a module")
    return loaded


def _classes(module: ModuleType) -> Iterator[type[PhoneFlavor]]:
    """Return the classes to instantiate: those that *module* defines, be it in a submodule."""
    for value in dict.fromkeys(filter(inspect.isclass, vars(module).values())):
        home = f"{value.__module__}.".startswith(f"{module.__name__}.")
        if home and issubclass(value, PhoneFlavor) and not inspect.isabstract(value):
            yield value


def _add_class(
    registry: Registry,
    source: Source,
    flavor_class: type[PhoneFlavor],
    settings: Settings,
    templates: Templates,
) -> None:
    entry = Entry(source.module, source.origin, "faulty", flavor_class.__name__)
    try:
        _check(flavor_class)
        fault = fault_of(flavor_class, templates)
        _expect(fault is None, fault or "")
        entry.phone_types = tuple(flavor_class.PHONE_TYPES)
        _check_names(registry, entry)
        flavor = flavor_class()
        flavor.settings = settings
        _check_methods(flavor)
        _check_media_of_types(flavor)
    except FlavorFault as offence:
        entry.phone_types = ()
        _add_fault(registry, entry, str(offence))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        _log.error("flavor %s cannot be instantiated", entry.name, exc_info=error)
        entry.phone_types = ()
        _add_fault(registry, entry, f"cannot be instantiated: {describe(error)}")
    else:
        registry.entries.append(entry)
        registry.add(entry, flavor)


def _check_names(registry: Registry, entry: Entry) -> None:
    for other in registry.entries:
        if other.flavor is None:
            continue
        if other.name == entry.name:
            raise FlavorFault(f"a flavor {entry.name!r} is already there (module {other.module})")
        for phone_type in sorted(set(entry.phone_types) & set(other.phone_types)):
            raise FlavorFault(f"phone type {phone_type!r} is already that of {other.class_name}")


def _check(flavor_class: type[PhoneFlavor]) -> None:
    """Compare the metadata of a flavor with the contract; FlavorFault names the first offence."""
    types = flavor_class.PHONE_TYPES
    _expect(
        isinstance(types, list | tuple) and all(isinstance(each, str) and each for each in types),
        "PHONE_TYPES must be a list of strings",
    )
    _expect(len(set(types)) == len(types), "PHONE_TYPES names a type twice")
    _expect(all(len(each) <= 100 for each in types), "a phone type has 100 characters at most")
    _expect(type(flavor_class.DISPLAY_INDEX) is int, "DISPLAY_INDEX must be an int")
    _expect(isinstance(flavor_class.IS_SPECIAL, bool), "IS_SPECIAL must be True or False")
    interval = flavor_class.JOB_INTERVAL
    _expect(
        isinstance(interval, int | float)
        and not isinstance(interval, bool)
        and 0 < interval <= LONGEST_INTERVAL,
        f"JOB_INTERVAL must be a number of seconds above 0, {LONGEST_INTERVAL:.0f} at most",
    )
    longest = flavor_class.MAX_EXTENSION_NAME_CHARS
    _expect(
        type(longest) is int and 1 <= longest <= 128,
        "MAX_EXTENSION_NAME_CHARS must be an int from 1 to 128",
    )
    _check_codecs(flavor_class.SUPPORTED_CODEC, types)
    _check_extra_fields(flavor_class.EXTRA_FIELDS)
    _check_media(flavor_class.MEDIA)


def _check_methods(flavor: PhoneFlavor) -> None:
    for name, arguments in _METHODS.items():
        method = getattr(flavor, name)
        _expect(callable(method), f"{name} must be a method")
        _expect(
            name in _MAY_BE_ASYNC or not inspect.iscoroutinefunction(method),
            f"{name} must be an ordinary function, not async",
        )
        try:
            inspect.signature(method).bind(*arguments)
        except TypeError:
            expected = ", ".join(("self", *arguments))
            raise FlavorFault(f"{name} must take ({expected})") from None


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise FlavorFault(otherwise)


def _check_codecs(supported: Any, types: Iterable[str]) -> None:
    values = list(supported.values()) if isinstance(supported, dict) else [supported]
    if isinstance(supported, dict):
        missing = sorted(set(types) - set(supported))
        _expect(not missing, f"SUPPORTED_CODEC says nothing of {', '.join(missing)}")
    for value in values:
        codecs = (value,) if isinstance(value, str) else value
        _expect(
            isinstance(codecs, list | tuple)
            and bool(codecs)
            and all(codec in CODECS for codec in codecs),
            f"SUPPORTED_CODEC: {value!r} is not made of {', '.join(CODECS)}",
        )


def _check_extra_fields(extra_fields: Any) -> None:
    if extra_fields is None:
        return
    _expect(
        inspect.isclass(extra_fields) and issubclass(extra_fields, BaseModel),
        "EXTRA_FIELDS must be a pydantic model (the class)",
    )
    try:
        extra_fields.model_json_schema()
    except Exception as error:
        raise FlavorFault(f"EXTRA_FIELDS has no JSON schema: {describe(error)}") from error


def _check_media(media: Any) -> None:
    _expect(
        isinstance(media, dict)
        and all(isinstance(name, str) for name in media)
        and all(isinstance(descriptor, MediaDescriptor) for descriptor in media.values()),
        "MEDIA must be a dict from names to MediaDescriptor",
    )
    for name, descriptor in media.items():
        expected = _FORMATS.get(descriptor.media_type)
        _expect(expected is not None, f"MEDIA: {name!r} has a media_type that is no MediaType")
        _expect(
            isinstance(descriptor.out_format, expected or object),
            f"MEDIA: the out_format of {name!r} does not fit its media_type",
        )
        fault = formats.fault_of(descriptor.out_format) if descriptor.out_format else None
        _expect(fault is None, f"MEDIA: {name!r}: {fault}")
        file = descriptor.endpoint_filename
        _expect(
            bool(_KEY.fullmatch(name)) and (file is None or bool(_FILENAME.fullmatch(file))),
            f"MEDIA: {name!r}: a name has letters, digits, _ and -, that of a file dots as well",
        )


def _check_media_of_types(flavor: PhoneFlavor) -> None:
    for phone_type in flavor.PHONE_TYPES:
        try:
            media = flavor.media_for(phone_type)
        except Exception as error:
            raise FlavorFault(f"media_for: {describe(error)}") from error
        _check_media(media)


def describe(error: BaseException) -> str:
    """Return what is told of an error in a flavor's code."""
    name, text = type(error).__name__, str(error)
    return f"{name}: {text}" if text else name
