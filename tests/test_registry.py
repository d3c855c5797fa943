"""Which flavors are found, which of them are used, and why one is not."""

import asyncio
import json
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from muru.cli import main
from muru.errors import Invalid
from muru.registry import Entry, Registry, discover
from muru.settings import Settings
from tests.conftest import World
from tests.written_flavors import write

Find = Callable[..., Registry]

# What is wrong with the metadata of a flavor, and what is told of it.
METADATA = {
    'PHONE_TYPES = "Phone"': "PHONE_TYPES must be a list of strings",
    "PHONE_TYPES = [7]": "PHONE_TYPES must be a list of strings",
    'PHONE_TYPES = ["Phone", ""]': "PHONE_TYPES must be a list of strings",
    'PHONE_TYPES = ["Phone", "Phone"]': "PHONE_TYPES names a type twice",
    'PHONE_TYPES = ["x" * 101]': "a phone type has 100 characters at most",
    'DISPLAY_INDEX = "first"': "DISPLAY_INDEX must be an int",
    "EXTRA_FIELDS = dict": "EXTRA_FIELDS must be a pydantic model (the class)",
    'EXTRA_FIELDS = MediaDescriptor(MediaType.RAW, True, "Logo", None)': (
        "EXTRA_FIELDS must be a pydantic model (the class)"
    ),
    "IS_SPECIAL = 1": "IS_SPECIAL must be True or False",
    "JOB_INTERVAL = 0": "JOB_INTERVAL must be a number of seconds above 0, 31622400 at most",
    'JOB_INTERVAL = "60"': "JOB_INTERVAL must be a number of seconds above 0, 31622400 at most",
    "JOB_INTERVAL = True": "JOB_INTERVAL must be a number of seconds above 0, 31622400 at most",
    'JOB_INTERVAL = float("nan")': (
        "JOB_INTERVAL must be a number of seconds above 0, 31622400 at most"
    ),
    'JOB_INTERVAL = float("inf")': (
        "JOB_INTERVAL must be a number of seconds above 0, 31622400 at most"
    ),
    'SUPPORTED_CODEC = "opus"': (
        "SUPPORTED_CODEC: 'opus' is not made of g722, alaw, ulaw, g726, gsm, lpc10"
    ),
    "SUPPORTED_CODEC = ()": "SUPPORTED_CODEC: () is not made of g722, alaw, ulaw, g726, gsm, lpc10",
    "SUPPORTED_CODEC = None": (
        "SUPPORTED_CODEC: None is not made of g722, alaw, ulaw, g726, gsm, lpc10"
    ),
    'SUPPORTED_CODEC = {"Phone": ("g722", "opus")}': (
        "SUPPORTED_CODEC: ('g722', 'opus') is not made of g722, alaw, ulaw, g726, gsm, lpc10"
    ),
    'SUPPORTED_CODEC = {"Another": "g722"}': "SUPPORTED_CODEC says nothing of Phone",
    "MAX_EXTENSION_NAME_CHARS = 0": "MAX_EXTENSION_NAME_CHARS must be an int from 1 to 128",
    "MAX_EXTENSION_NAME_CHARS = 129": "MAX_EXTENSION_NAME_CHARS must be an int from 1 to 128",
    'MAX_EXTENSION_NAME_CHARS = "20"': "MAX_EXTENSION_NAME_CHARS must be an int from 1 to 128",
    "MEDIA = []": "MEDIA must be a dict from names to MediaDescriptor",
    'MEDIA = {"logo": "an image"}': "MEDIA must be a dict from names to MediaDescriptor",
    'MEDIA = {1: MediaDescriptor(MediaType.RAW, True, "Logo", None)}': (
        "MEDIA must be a dict from names to MediaDescriptor"
    ),
    'MEDIA = {"logo": MediaDescriptor(MediaType.IMAGE, True, "Logo", AudioFormat("wav"))}': (
        "MEDIA: the out_format of 'logo' does not fit its media_type"
    ),
    'MEDIA = {"film": MediaDescriptor("video", True, "Film", None)}': (
        "MEDIA: 'film' has a media_type that is no MediaType"
    ),
    'MEDIA = {"ring": MediaDescriptor(MediaType.AUDIO, True, "Ring", AudioFormat("gsm", 16000))}': (
        "MEDIA: 'ring': gsm has 8000 hertz and one channel"
    ),
    'MEDIA = {"../ring": MediaDescriptor(MediaType.RAW, True, "Ring", None)}': (
        "MEDIA: '../ring': a name has letters, digits, _ and -, that of a file dots as well"
    ),
    'MEDIA = {"ring": MediaDescriptor(MediaType.RAW, True, "Ring", None, "/etc/ring")}': (
        "MEDIA: 'ring': a name has letters, digits, _ and -, that of a file dots as well"
    ),
    "def media_for(self, phone_type): return {}[phone_type]": "media_for: KeyError: 'Phone'",
    "def media_for(self, phone_type): return [phone_type]": (
        "MEDIA must be a dict from names to MediaDescriptor"
    ),
    "def media_for(self): return {}": "media_for must take (self, phone_type)",
    "async def on_extension_create(self, *_): ...": (
        "on_extension_create must be an ordinary function, not async"
    ),
    "async def on_extension_update(self, *_): ...": (
        "on_extension_update must be an ordinary function, not async"
    ),
    "async def on_extension_delete(self, *_): ...": (
        "on_extension_delete must be an ordinary function, not async"
    ),
    "async def generate_routes(self, router): ...": (
        "generate_routes must be an ordinary function, not async"
    ),
    "async def get_codec(self, extension): ...": (
        "get_codec must be an ordinary function, not async"
    ),
    "async def realtime_rows(self, extension): ...": (
        "realtime_rows must be an ordinary function, not async"
    ),
    "on_extension_create = None": "on_extension_create must be a method",
    "def on_extension_update(self, extension): ...": (
        "on_extension_update must take (self, session, asterisk_session, user, extension)"
    ),
    "def get_codec(self): ...": "get_codec must take (self, extension)",
    "def job(self, interval): ...": "job must take (self)",
}

# What is wrong with a module or class as a whole, and what is told of it.
MODULES = {
    "import no_such_module": (
        "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"
    ),
    "class Phone(PhoneFlavor:": "cannot be imported: SyntaxError: ",
    "raise SystemExit(3)": "cannot be imported: SystemExit: 3",
    "assert False": "cannot be imported: AssertionError",
    "from .no_such_sibling import Phone": (
        "cannot be imported: ModuleNotFoundError: No module named 'muru.flavors.no_such_sibling'"
    ),
    "Phone = SIP": "defines no class that inherits PhoneFlavor",
    "class Phone: ...": "defines no class that inherits PhoneFlavor",
    "class Phone(PhoneFlavor):\n  def __init__(self): raise OSError('no dongle')": (
        "cannot be instantiated: OSError: no dongle"
    ),
    "class Phone(PhoneFlavor):\n  def __init__(self): raise SystemExit": (
        "cannot be instantiated: SystemExit"
    ),
    "class Phone(PhoneFlavor):\n  def __init__(self, driver): ...": (
        "cannot be instantiated: TypeError: "
    ),
    'class SIP(PhoneFlavor):\n  PHONE_TYPES = ["Phone"]': (
        "a flavor 'sip' is already there (module sip)"
    ),
    "class Sip(PhoneFlavor): ...": "a flavor 'sip' is already there (module sip)",
    "class Phone(SIP): ...": "phone type 'SIP' is already that of SIP",
    (
        "class Driver: ...\n"
        "class Fields(BaseModel, arbitrary_types_allowed=True):\n  driver: Driver\n"
        "class Phone(PhoneFlavor):\n  EXTRA_FIELDS = Fields"
    ): "EXTRA_FIELDS has no JSON schema: PydanticInvalidForJsonSchema: ",
}

# What only a running application notices, and what is told of it.
ROUTES = {
    "raise LookupError('no template')": "generate_routes: LookupError: no template",
    "raise SystemExit": "generate_routes: SystemExit",
    "router.get('config')(self.answer)": "generate_routes: ValueError: ",
    "router.get('/{mac')(self.answer)": "generate_routes: ValueError: ",
    "router.get('/')(self.answer); router.get('/')(self.answer)": "generate_routes: RuntimeError: ",
}

PHONE = """
class Phone(PhoneFlavor):
    PHONE_TYPES = ["Phone"]
    {}
"""
ROUTER = """
class Phone(PhoneFlavor):
    PHONE_TYPES = ["Phone"]
    async def answer(self, request): ...
    def generate_routes(self, router):
        {}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The operator's own folder of flavors."""
    return tmp_path / "own"


@pytest.fixture
def find(folder: Path, make_settings: Callable[..., Settings]) -> Find:
    """Return a function that writes modules into the folder, and finds what there is."""

    def write_and_find(*, more: dict[str, Any] | None = None, **sources: str) -> Registry:
        return discover(make_settings(**write(folder, **sources) | (more or {})))

    return write_and_find


def entry(registry: Registry, name: str) -> Entry:
    (found,) = (each for each in registry.listing() if each.name == name)
    return found


def active(registry: Registry) -> list[str]:
    return [each.name for each, _ in registry.active()]


# Finding


def test_bundled_flavors_are_used_as_they_come(settings: Settings) -> None:
    """Without any setting, what muru brings along is found and works."""
    registry = discover(settings)

    assert active(registry) == ["sip", "dummy"]
    assert entry(registry, "sip") == Entry(
        "sip", "bundled", "active", "SIP", ("SIP",), None, registry.for_type("SIP")
    )


def test_every_folder_is_searched(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    """Flavors come from each folder of MURU_FLAVOR_PATHS, and tell from which."""
    write(tmp_path / "one", lamp='class Lamp(PhoneFlavor): PHONE_TYPES = ["Lamp"]')
    write(tmp_path / "two", bell='class Bell(PhoneFlavor): PHONE_TYPES = ["Bell"]')
    folders = [tmp_path / "one", tmp_path / "missing", tmp_path / "two"]

    registry = discover(make_settings(flavor_paths=folders, enabled_phone_flavors=["lamp", "bell"]))

    assert active(registry) == ["bell", "lamp"]
    assert entry(registry, "lamp").origin == str(tmp_path / "one")
    assert entry(registry, "bell").origin == str(tmp_path / "two")


def test_relative_folder_is_that_of_the_working_directory(
    find: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder may be named as seen from where muru is started."""
    monkeypatch.chdir(tmp_path)

    registry = find(lamp="class Lamp(PhoneFlavor): ...", more={"flavor_paths": [Path("own")]})

    assert entry(registry, "lamp").origin == str(tmp_path / "own")


def test_only_enabled_modules_are_imported(find: Find, folder: Path) -> None:
    """A module that is not enabled is listed, and none of its code runs."""
    registry = find(
        lamp=f"open({str(folder / 'imported')!r}, 'w').close()",
        more={"enabled_phone_flavors": ["sip"]},
    )

    assert active(registry) == ["sip"]
    assert entry(registry, "lamp") == Entry("lamp", str(folder), "disabled")
    assert entry(registry, "dummy").state == "disabled"
    assert not (folder / "imported").exists()


def test_imported_base_is_no_flavor_of_the_module(find: Find) -> None:
    """A class counts where it is defined, not where it is imported."""
    registry = find(
        lamp='class Lamp(SIP): PHONE_TYPES = ["Lamp"]', more={"enabled_phone_flavors": ["lamp"]}
    )

    assert active(registry) == ["lamp"]
    assert registry.for_type("SIP") is None


def test_module_may_hold_several_classes(find: Find) -> None:
    """Each class of a module is a flavor, but for abstract ones, and none is so twice."""
    registry = find(
        lamps="""
        from abc import ABC, abstractmethod
        class Lamp(PhoneFlavor, ABC):
            @abstractmethod
            def switch(self): ...
        class Red(Lamp):
            def switch(self): ...
        class Green(Red): ...
        Blue = Green
        """,
        more={"enabled_phone_flavors": ["lamps"]},
    )

    assert active(registry) == ["green", "red"]
    assert all(each.state == "active" for each in registry.listing() if each.module == "lamps")


def test_class_has_exactly_one_instance(find: Find) -> None:
    """A class is instantiated once, also if another flavor imports its module before."""
    registry = find(
        apple="from .lamp import Lamp\nclass Apple(Lamp): ...",
        lamp="""
        class Lamp(PhoneFlavor):
            made = []
            def __init__(self): self.made.append(self)
        """,
    )

    apple, lamp = (entry(registry, name).flavor for name in ("apple", "lamp"))
    assert vars(type(lamp))["made"] == [apple, lamp]
    assert isinstance(apple, type(lamp))


def test_flavors_are_ordered(find: Find) -> None:
    """The higher DISPLAY_INDEX, the further up; the same everywhere, by name."""
    registry = find(
        middle="class Beta(PhoneFlavor): ...\nclass Alpha(PhoneFlavor): ...",
        top="class Zulu(PhoneFlavor): DISPLAY_INDEX = 101",
        bottom="class Able(PhoneFlavor): DISPLAY_INDEX = -101",
    )

    assert active(registry) == ["zulu", "sip", "alpha", "beta", "dummy", "able"]


def test_flavors_of_a_folder_import_each_other(find: Find) -> None:
    """Relative imports reach bundled flavors, siblings, and modules that are not enabled."""
    registry = find(
        common="class Common(PhoneFlavor): MAX_EXTENSION_NAME_CHARS = 7",
        lamp="""
        from . import common, sip
        from .common import Common
        class Lamp(Common, sip.SIP): PHONE_TYPES = ["Lamp"]
        """,
        more={"enabled_phone_flavors": ["lamp"]},
    )

    assert active(registry) == ["lamp"]
    assert registry.require_type("Lamp").MAX_EXTENSION_NAME_CHARS == 7
    assert entry(registry, "common").state == "disabled"


def test_package_is_a_module(folder: Path, make_settings: Callable[..., Settings]) -> None:
    """A flavor may be a folder: what its __init__.py offers of its own submodules counts."""
    package = folder / "lamp"
    write(package, __init__="from .bulb import Lamp", bulb="class Lamp(SIP): PHONE_TYPES = ['L']")

    registry = discover(make_settings(flavor_paths=[folder], enabled_phone_flavors=["lamp"]))

    assert active(registry) == ["lamp"]
    assert entry(registry, "lamp").module == "lamp"


def test_unknown_type_is_told_with_those_there_are(settings: Settings) -> None:
    """Who asks for a phone type that is not there reads which ones are."""
    with pytest.raises(Invalid, match="no phone type 'Lamp'") as caught:
        discover(settings).require_type("Lamp")

    assert caught.value.fields == {"type": "choose one of 'SIP', 'Dummy'"}


# Faults


@pytest.mark.parametrize(("line", "reason"), METADATA.items())
def test_faulty_metadata_is_refused(find: Find, line: str, reason: str) -> None:
    """A flavor whose metadata break the contract is listed with what is wrong; others work."""
    registry = find(phone=PHONE.format(line))

    assert active(registry) == ["sip", "dummy"]
    assert registry.for_type("Phone") is None
    assert (entry(registry, "phone").state, entry(registry, "phone").reason) == ("faulty", reason)


@pytest.mark.parametrize(("source", "reason"), MODULES.items())
def test_faulty_module_is_refused(find: Find, source: str, reason: str) -> None:
    """A module that gives no flavor is listed with the reason; others work."""
    registry = find(phone=source)

    (found,) = (each for each in registry.listing() if each.module == "phone")
    assert active(registry) == ["sip", "dummy"]
    assert found.state == "faulty"
    assert (found.reason or "").startswith(reason)


def test_interrupt_while_importing_is_no_fault(find: Find) -> None:
    """Ctrl-C ends muru, whichever module is being imported."""
    with pytest.raises(KeyboardInterrupt):
        find(phone="raise KeyboardInterrupt")


def test_missing_module_is_told(find: Find, folder: Path) -> None:
    """Enabling a module that is nowhere is told, with the folders that were searched."""
    registry = find(more={"enabled_phone_flavors": ["sip", "lamp"]})

    assert active(registry) == ["sip"]
    assert entry(registry, "lamp").state == "faulty"
    reason = entry(registry, "lamp").reason or ""
    assert "there is no module lamp.py in " in reason
    assert str(folder) in reason


def test_doubled_module_is_refused(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    """Of two modules with one name the first is used, the second is listed with the reason."""
    for name in ("one", "two"):
        write(tmp_path / name, lamp=f'class {name.title()}(PhoneFlavor): PHONE_TYPES = ["{name}"]')
    folders = [tmp_path / "one", tmp_path / "two"]

    registry = discover(make_settings(flavor_paths=folders, enabled_phone_flavors=["lamp"]))

    assert active(registry) == ["one"]
    assert entry(registry, "lamp").origin == str(tmp_path / "two")
    assert entry(registry, "lamp").reason == (
        f"a module of this name is already there ({tmp_path / 'one'})"
    )


def test_own_module_cannot_replace_a_bundled_one(find: Find) -> None:
    """A file named as a bundled flavor changes nothing, and is listed with the reason."""
    registry = find(dummy="class Dummy(PhoneFlavor): PHONE_TYPES = ['Evil']")

    assert registry.for_type("Evil") is None
    assert registry.for_type("Dummy") is not None
    (faulty,) = (each for each in registry.listing() if each.state == "faulty")
    assert faulty.reason == "a module of this name is already there (bundled)"


def test_first_of_two_flavors_with_one_type_stays(find: Find) -> None:
    """A phone type belongs to the first flavor that names it, in the order of discovery."""
    registry = find(
        one="class One(PhoneFlavor): PHONE_TYPES = ['Lamp', 'Bell']",
        two="class Two(PhoneFlavor): PHONE_TYPES = ['Lamp', 'Horn']",
    )

    assert registry.for_type("Lamp") is entry(registry, "one").flavor
    assert registry.for_type("Horn") is None
    assert entry(registry, "two").reason == "phone type 'Lamp' is already that of One"


def test_entry_point_must_name_a_module(
    tmp_path: Path, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry point that is no module, or leads nowhere, is a fault as any other."""
    info = tmp_path / "site" / "lamps-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lamps\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        textwrap.dedent("""\
        [muru.flavors]
        lamp = muru.flavor:PhoneFlavor
        ghost = no_such_module
        """)
    )
    monkeypatch.syspath_prepend(tmp_path / "site")

    registry = discover(make_settings(enabled_phone_flavors=["sip", "lamp", "ghost"]))

    assert active(registry) == ["sip"]
    assert entry(registry, "lamp").origin == "lamps"
    assert entry(registry, "lamp").reason == "the entry point must name a module"
    assert "No module named 'no_such_module'" in (entry(registry, "ghost").reason or "")


# The application


@pytest.mark.parametrize(("line", "reason"), ROUTES.items())
async def test_faulty_routes_are_refused(
    folder: Path,
    make_settings: Callable[..., Settings],
    start: Callable[[Settings], Awaitable[World]],
    line: str,
    reason: str,
) -> None:
    """A flavor that cannot add its routes is listed with the reason; the application starts."""
    world = await start(make_settings(**write(folder, phone=ROUTER.format(line))))

    listed = {each["name"]: each for each in await world.root.get("/flavors")}
    assert listed["phone"]["state"] == "faulty"
    assert listed["phone"]["reason"].startswith(reason)
    assert listed["sip"]["state"] == "active"
    types = [each["type"] for each in await world.alice.get("/phone-types")]
    assert types == ["SIP", "Dummy"]


async def test_application_starts_with_every_fault_at_once(
    folder: Path,
    make_settings: Callable[..., Settings],
    start: Callable[[Settings], Awaitable[World]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """However many flavors are faulty, the application serves the others, and lists them all.

    ``muru flavors`` lists the same as the API, and tells by its exit code that something is wrong.
    """
    sources = [
        *(PHONE.format(line) for line in METADATA),
        *MODULES,
        *(ROUTER.format(line) for line in ROUTES),
    ]
    given = write(folder, **{f"fault{index}": source for index, source in enumerate(sources)})
    given["enabled_phone_flavors"] += ["nowhere"]
    settings = make_settings(**given)
    world = await start(settings)
    for name in ("enabled_phone_flavors", "flavor_paths"):
        monkeypatch.setenv(f"MURU_{name.upper()}", json.dumps(given[name], default=str))
    monkeypatch.setenv("MURU_DATA_DIR", str(settings.data_dir))

    listed = await world.root.get("/flavors")
    code = await asyncio.to_thread(main, ["flavors", "--json"])
    printed = json.loads(capsys.readouterr().out)
    await asyncio.to_thread(main, ["flavors"])
    table = capsys.readouterr().out

    faulty = [each for each in listed if each["state"] == "faulty"]
    assert len(faulty) == len(sources) + 1
    assert all(each["reason"] for each in faulty)
    assert [each["name"] for each in listed if each["state"] == "active"] == ["sip", "dummy"]
    assert code == 1
    assert printed == [
        {key: value for key, value in each.items() if key not in {"job", "template_faults"}}
        for each in listed
    ]
    assert all(each["reason"] in table for each in faulty)
    await world.alice.post("/extensions", {"type": "SIP", "name": "Still works"}, status=201)


def test_command_tells_that_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a faulty flavor ``muru flavors`` ends with 0."""
    assert main(["flavors"]) == 0
    _, first, *_ = capsys.readouterr().out.splitlines()
    assert first.split() == ["sip", "active", "sip", "bundled", "SIP"]


# Two applications in one process


def test_applications_do_not_share_flavors(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    """Two sites whose folders have modules of the same names each have their own."""
    registries = []
    for name in ("one", "two"):
        given = write(
            tmp_path / name,
            common=f"NAME = {name!r}",
            lamp="from .common import NAME\nclass Lamp(PhoneFlavor): PHONE_TYPES = [NAME]",
        )
        registries.append(discover(make_settings(**given)))

    one, two = registries
    assert entry(one, "lamp").phone_types == ("one",)
    assert entry(two, "lamp").phone_types == ("two",)
    assert one.for_type("SIP") is not two.for_type("SIP")
    assert one.for_type("two") is None


async def test_fault_in_one_application_is_none_in_another(
    find: Find, start: Callable[[Settings], Awaitable[World]], settings: Settings
) -> None:
    """What one application finds faulty may work in the next, and is nothing to a third."""
    sources = {
        "one": "class One(PhoneFlavor): PHONE_TYPES = ['Lamp']",
        "two": "class Two(PhoneFlavor): PHONE_TYPES = ['Lamp']",
    }
    both = find(**sources)
    only_two = find(**sources, more={"enabled_phone_flavors": ["two"]})
    world = await start(settings)

    assert (entry(both, "two").state, entry(only_two, "two").state) == ("faulty", "active")
    assert active(world.site.registry) == ["sip", "dummy"]
