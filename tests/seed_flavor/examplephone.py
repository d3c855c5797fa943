"""A flavor written from the text that defines flavors, and from nothing else.

Only its imports are muru's. It works from a folder of MURU_FLAVOR_PATHS and, installed, by its
entry point. It uses every attribute, every hook, a route and a job.
"""

# mypy: ignore-errors
# Like that text, it annotates no results, and no attribute as ClassVar.

from aiohttp.web import Request
from aiohttp.web import RouteTableDef as APIRouter
from muru.db.realtime import PsEndpoint
from muru.flavor import (
    CODEC,
    AudioFormat,
    Extension,
    ImageFormat,
    MediaDescriptor,
    MediaType,
    User,
    open_sessions,
)
from muru.flavors.sip import SIP
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session


class Place(BaseModel):
    building: str = Field(min_length=1)
    floor: int | None = None


class ExampleFields(BaseModel):
    mac: str = Field(pattern=r"^[0-9a-f]{12}$")
    volume: int = Field(5, ge=0, le=10)
    place: Place | None = None


class ExamplePhone(SIP):
    PHONE_TYPES: list[str] = ["Example 100", "Example 200"]
    DISPLAY_INDEX: int = 150
    EXTRA_FIELDS: type[BaseModel] | None = ExampleFields
    IS_SPECIAL: bool = True
    JOB_INTERVAL: int = 1
    SUPPORTED_CODEC: CODEC | dict[str, CODEC] = {"Example 100": "alaw", "Example 200": "g722"}
    MAX_EXTENSION_NAME_CHARS = 12
    MEDIA: dict[str, MediaDescriptor] = {
        "ringtone": MediaDescriptor(
            media_type=MediaType.AUDIO,
            required=True,
            label="Ringtone",
            out_format=AudioFormat(out_type="wav", samplerate=16000),
        ),
        "logo": MediaDescriptor(
            media_type=MediaType.IMAGE,
            required=False,
            label="Logo",
            out_format=ImageFormat(out_type="bmp", colormode="1", width=128, height=64),
            endpoint_filename="logo.bmp",
        ),
    }

    def __init__(self):
        self.hooks = []
        self.jobs = 0
        self.pressed = 0

    def on_extension_create(
        self,
        session: Session,
        asterisk_session: Session,
        user: "User",
        extension: "Extension",
    ):
        super().on_extension_create(session, asterisk_session, user, extension)
        self._note("create", session, asterisk_session, user, extension)

    def on_extension_update(
        self,
        session: Session,
        asterisk_session: Session,
        user: "User",
        extension: "Extension",
    ):
        super().on_extension_update(session, asterisk_session, user, extension)
        self._note("update", session, asterisk_session, user, extension)

    def on_extension_delete(
        self,
        session: Session,
        asterisk_session: Session,
        user: "User",
        extension: "Extension",
    ):
        super().on_extension_delete(session, asterisk_session, user, extension)
        self._note("delete", session, asterisk_session, user, extension)

    def generate_routes(self, router: APIRouter):
        @router.post("/")
        def do_something():
            self.pressed += 1

        @router.get("/status")
        async def status(request: Request):
            async with open_sessions(request) as (session, asterisk_session):
                numbers = await session.scalars(
                    select(Extension.number).where(Extension.type.in_(self.PHONE_TYPES))
                )
                accounts = await asterisk_session.scalars(select(PsEndpoint.id))
                return {
                    "extensions": sorted(numbers),
                    "accounts": sorted(accounts),
                    "hooks": self.hooks,
                    "jobs": self.jobs,
                    "pressed": self.pressed,
                }

    def job(self):
        self.jobs += 1

    def get_codec(self, extension: "Extension | None"):
        if extension is not None and extension.extra_fields["volume"] == 0:
            return "gsm"
        return super().get_codec(extension)

    def _note(self, hook, session, asterisk_session, user, extension):
        """Keep what the two sessions show while the hook runs."""
        rows = select(func.count()).select_from(Extension).where(Extension.id == extension.id)
        account = asterisk_session.get(PsEndpoint, extension.number)
        self.hooks.append(
            {
                "hook": hook,
                "user": user.username,
                "number": extension.number,
                "name": extension.name,
                "rows": session.scalar(rows),
                "caller": account.callerid if account else None,
            }
        )
