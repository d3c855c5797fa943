"""All that the author of a phone flavor imports, beside ``from muru.flavors.sip import SIP``.

A flavor is one Python module in ``flavors/`` (or in a folder of ``MURU_FLAVOR_PATHS``, or offered
by a distribution through the entry point group ``muru.flavors``) with a class that inherits
:class:`PhoneFlavor`, or another flavor. It is enabled by naming the module in
``MURU_ENABLED_PHONE_FLAVORS``. At start every class *defined* in an enabled module is validated and
instantiated once, its routes are registered, and its job is called a first time. A flavor that
fails at any of this is listed with the reason (``muru flavors``) and harms no other.

docs/flavors.md leads through a whole example.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal, TypeAlias, get_args

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from muru.db import open_sessions
from muru.db.models import Device, Extension, User
from muru.db.realtime import RealtimeRow
from muru.errors import Invalid
from muru.provisioning.files import Audience, Format, ProvisioningFile
from muru.provisioning.identification import Identification
from muru.provisioning.mac import Mac, OptionalMac
from muru.provisioning.vocabulary import Link, Vocabulary
from muru.settings import Settings

__all__ = [
    "CODEC",
    "CODECS",
    "Audience",
    "AudioFormat",
    "Device",
    "DeviceFields",
    "Extension",
    "Format",
    "Identification",
    "ImageFormat",
    "Invalid",
    "Link",
    "Mac",
    "MediaDescriptor",
    "MediaType",
    "Member",
    "MemberFields",
    "PhoneFlavor",
    "ProvisioningFile",
    "RealtimeRow",
    "Settings",
    "SpeedDial",
    "SupportedCodec",
    "User",
    "Vocabulary",
    "open_sessions",
]

CODEC: TypeAlias = Literal["g722", "alaw", "ulaw", "g726", "gsm", "lpc10"]
CODECS: tuple[CODEC, ...] = get_args(CODEC)
SupportedCodec: TypeAlias = CODEC | tuple[CODEC, ...] | dict[str, CODEC | tuple[CODEC, ...]]


class MediaType(StrEnum):
    AUDIO = "audio"
    IMAGE = "image"
    RAW = "raw"


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """With one of *width* and *height* (pixels) the aspect is kept; with both the image is cropped.

    *colormode* is Pillow's: ``1`` (black and white), ``L`` (grey) or ``RGB``.
    """

    out_type: Literal["avif", "bmp", "gif", "jpeg", "png", "tiff", "webp"]
    colormode: Literal["1", "L", "RGB"] = "RGB"
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """*samplerate* is in hertz, *bitdepth* in bits per sample."""

    out_type: Literal["gsm", "wav", "ogg", "mp3", "flac"]
    samplerate: int = 8000
    channels: int = 1
    bitdepth: int = 16


@dataclass(frozen=True, slots=True)
class MediaDescriptor:
    """A file that a phone type needs (*required*) or can use, under the key it has in ``MEDIA``.

    *label* is shown to the person who uploads it; *out_format* is what the phone gets (None for
    ``MediaType.RAW``: it is handed over as it is); *endpoint_filename* is the name under which the
    phone asks for it, if it insists on one.
    """

    media_type: MediaType
    required: bool
    label: str
    out_format: ImageFormat | AudioFormat | None
    endpoint_filename: str | None = None


class SpeedDial(BaseModel):
    """A function key that dials a number."""

    model_config = ConfigDict(extra="forbid")

    number: str = Field(title="Number", pattern=r"^[0-9*#+]{1,32}$")
    label: str = Field("", title="Label", max_length=32, pattern=r"^[^\x00-\x1f\x7f]*$")


class DeviceFields(BaseModel):
    """What a person may fill in for a phone that fetches its configuration.

    A flavor whose ``EXTRA_FIELDS`` inherits this has its phones known by their MAC addresses.
    """

    mac: OptionalMac = Field(
        None,
        title="MAC address",
        description="On a label on the phone; leave empty to claim the phone later.",
    )
    keys: list[SpeedDial] = Field(
        default_factory=list, title="Keys", description="Numbers on function keys.", max_length=50
    )


class Member(BaseModel):
    """One of those that a group rings."""

    model_config = ConfigDict(extra="forbid")

    number: str = Field(title="Number", pattern=r"^[0-9]{1,15}$")
    delay: int = Field(
        0, title="Delay", description="Seconds after which it rings.", ge=0, le=300, strict=True
    )
    paused: bool = Field(False, title="Paused", description="It does not ring for now.")


class MemberFields(BaseModel):
    """What a person may fill in for a group of other extensions.

    A flavor whose ``EXTRA_FIELDS`` inherits this is a group: its members are phones and other
    groups, which may join, leave and pause by themselves.
    """

    members: list[Member] = Field(
        default_factory=list, title="Members", description="Who is rung.", max_length=50
    )
    open: bool = Field(
        False, title="Open", description="Anybody may join, by phone or here; else the owner alone."
    )


class PhoneFlavor:
    """The base of all phone flavors. Exactly one instance of each enabled class exists.

    A constructor is allowed; it takes no arguments. ``settings`` is there once it has returned.
    """

    settings: Settings

    #: The phone types, as the person who creates an extension reads them in the list.
    PHONE_TYPES: ClassVar[list[str]] = []

    #: Flavors with a higher value are listed further up.
    DISPLAY_INDEX: ClassVar[int] = 0

    #: What the person fills in besides number and name. Validated when an extension is created and
    #: changed, kept in ``extension.extra_fields``, and offered to clients as a JSON schema.
    EXTRA_FIELDS: ClassVar[type[BaseModel] | None] = None

    #: Only administrators may create such extensions, unless MURU_ALL_EXTENSION_TYPES_PUBLIC is on.
    IS_SPECIAL: ClassVar[bool] = False

    #: Seconds between the end of one run of :meth:`job` and the start of the next.
    JOB_INTERVAL: ClassVar[float] = 60

    #: One codec, or several in order of preference, for all phone types; or a dict with either for
    #: each of PHONE_TYPES.
    SUPPORTED_CODEC: ClassVar[SupportedCodec] = "g722"

    #: The longest name that an extension may have, in characters.
    MAX_EXTENSION_NAME_CHARS: ClassVar[int] = 20

    #: The media that a phone type needs or can use.
    MEDIA: ClassVar[dict[str, MediaDescriptor]] = {}

    #: Those of the names in MEDIA whose sounds Asterisk plays by itself. They are put into a folder
    #: each, ``settings.asterisk_media / extension.media[name]``.
    ASTERISK_MEDIA: ClassVar[frozenset[str]] = frozenset()

    #: The files that phones fetch over HTTP and TFTP, each with its template.
    FILES: ClassVar[tuple[ProvisioningFile, ...]] = ()

    #: How many extensions a phone can have, for all phone types or for each of them.
    LINES: ClassVar[int | dict[str, int]] = 1

    #: Whether a file has more in it than extensions, settings and templates make, such as the time:
    #: it is then rendered at every request, and else only when one of these has changed.
    FILES_VARY: ClassVar[bool] = False

    #: What tells these phones from others.
    IDENTIFICATION: ClassVar[Identification] = Identification()

    #: The headers of the SIP NOTIFY that makes a phone fetch its files again, as ``Name=value``,
    #: for all phone types or for each of them; empty where there is no such.
    RESYNC: ClassVar[tuple[str, ...] | dict[str, tuple[str, ...]]] = ()

    #: Whether a phone fetches its files from any URL that it is told, so that this can be a secret
    #: one. Those that cannot are known by their address after the first time.
    KEEPS_URL: ClassVar[bool] = True

    #: The most entries that a phonebook of these phones can have.
    PHONEBOOK_LIMIT: ClassVar[int] = 1000

    #: muru's codecs by the names that the phones have for them, for templates.
    CODEC_NAMES: ClassVar[dict[CODEC, str]] = {}

    def on_extension_create(
        self, session: Session, asterisk_session: Session, user: User, extension: Extension
    ) -> None:
        """Act on a new extension of this flavor, created by *user*.

        Called inside the transaction, after the row is there (``extension.id`` is set). *session*
        holds muru's own tables, *asterisk_session* Asterisk's; neither needs a commit. Whatever is
        raised undoes the whole action in both databases, and its text is shown to the person;
        raise :class:`Invalid` to name the field at fault. Runs in place of the event loop's other
        work only while it computes: waiting for the database blocks nobody, anything else would.
        """

    def on_extension_update(
        self, session: Session, asterisk_session: Session, user: User, extension: Extension
    ) -> None:
        """Act on any change to *extension*, which holds the new values. Else as for create."""

    def on_extension_delete(
        self, session: Session, asterisk_session: Session, user: User, extension: Extension
    ) -> None:
        """Act before *extension* is deleted. Else as for create."""

    def generate_routes(self, router: web.RouteTableDef) -> None:
        """Add this flavor's own HTTP routes; called once, at start.

        The routes live under ``/{TELEPHONING_PREFIX}/{name of this class in lower case}/``::

            @router.get("/{mac}.cfg")
            async def configuration(request: web.Request) -> web.Response:
                async with open_sessions(request) as (session, asterisk_session):
                    ...

        A handler may do without the request, and return anything that JSON has instead of a
        response. One that is not ``async`` runs in a thread, and cannot open the sessions.

        The routes are open to anybody: what a phone must prove is up to the handler.
        """

    def job(self) -> None:
        """Do what is to be done regularly; may be ``async def``.

        Called once at start. If that call raises NotImplementedError, as this one does, the job is
        not scheduled; otherwise it runs every ``JOB_INTERVAL`` seconds, and soon after the
        registration of one of the flavor's extensions has changed. An ordinary function runs in a
        thread of its own. It never overlaps itself. What it raises is logged and listed.
        """
        raise NotImplementedError

    def get_codec(self, extension: Extension | None) -> CODEC | tuple[CODEC, ...]:
        """Return the codec, or the codecs in order of preference, for *extension*'s SIP account.

        Without an extension: what the flavor's first phone type gets.
        """
        supported = self.SUPPORTED_CODEC
        if not isinstance(supported, dict):
            return supported
        return supported[extension.type if extension else self.PHONE_TYPES[0]]

    def realtime_rows(self, extension: Extension) -> list[RealtimeRow]:
        """Return all rows that *extension* is to have in Asterisk's realtime tables.

        Not in the transaction of a hook only: reconciliation calls it too, to mend what differs.
        It computes from *extension* and the settings, and nothing else.
        """
        del extension
        return []

    def sip_login(self, extension: Extension) -> tuple[str, str]:
        """Return the user name and the password with which the phone of *extension* registers."""
        return extension.number, extension.password

    def finish(self, file: ProvisioningFile, text: str) -> str:
        """Return a file's *text* as its phones want it, for what no template can do.

        That is a checksum or a version that follows from the text, or other ends of lines. Called
        after the template was rendered. Quick, without waiting for anything.
        """
        del file
        return text

    def links(self, vocabulary: Vocabulary) -> list[Link]:
        """Return the links and QR codes by which an app takes over its configuration, if any.

        Shown to the owner of the extension alone, as they hold the phone's token.
        """
        del vocabulary
        return []

    def on_registration_change(self, number: str, contacts: int) -> None:
        """Act on the coming or going of a phone: *contacts* are registered at *number* now.

        May be ``async def``; what it raises is logged. Changes are collected for half a second.
        """

    def line_count(self, phone_type: str) -> int:
        """Return how many extensions a phone of that type can have."""
        return self.LINES if isinstance(self.LINES, int) else self.LINES[phone_type]

    def media_for(self, phone_type: str) -> dict[str, MediaDescriptor]:
        """Return the media that phones of that type need or can use, each as it wants them."""
        del phone_type
        return self.MEDIA

    def resync_headers(self, phone_type: str) -> tuple[str, ...]:
        """Return the headers of the NOTIFY for a phone of that type."""
        return self.RESYNC.get(phone_type, ()) if isinstance(self.RESYNC, dict) else self.RESYNC
