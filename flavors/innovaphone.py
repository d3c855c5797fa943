"""innovaphone's desk phones, which poll a script of commands."""

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from aiohttp import web
from pydantic import BaseModel
from sqlalchemy import select

from muru.flavor import (
    CODEC,
    Device,
    Format,
    Identification,
    ImageFormat,
    MediaDescriptor,
    MediaType,
    ProvisioningFile,
    SupportedCodec,
    open_sessions,
)

from .sip import SIP, PhoneFields

WIDE: tuple[CODEC, ...] = ("g722", "alaw", "ulaw")
NARROW: tuple[CODEC, ...] = ("alaw", "ulaw")
GONE = timedelta(days=1)  # after which a phone's address may be somebody else's


class Innovaphone(SIP):
    """There is no phonebook: these phones take one from an LDAP server alone."""

    PHONE_TYPES: ClassVar[list[str]] = [
        "Innovaphone IP111",
        "Innovaphone IP112",
        "Innovaphone IP200A",
        "Innovaphone IP222",
        "Innovaphone IP232",
        "Innovaphone IP240",
        "Innovaphone IP241",
    ]
    DISPLAY_INDEX = 55
    EXTRA_FIELDS: ClassVar[type[BaseModel] | None] = PhoneFields
    SUPPORTED_CODEC: ClassVar[SupportedCodec] = {
        "Innovaphone IP111": WIDE,
        "Innovaphone IP112": WIDE,
        "Innovaphone IP200A": NARROW,
        "Innovaphone IP222": WIDE,
        "Innovaphone IP232": WIDE,
        "Innovaphone IP240": NARROW,
        "Innovaphone IP241": WIDE,
    }
    CODEC_NAMES: ClassVar[dict[CODEC, str]] = {"g722": "G722", "alaw": "G711A", "ulaw": "G711U"}
    FILES = (
        ProvisioningFile("update", "update.txt", format=Format.WORDS),
        ProvisioningFile("config", "config.txt", format=Format.WORDS),
    )
    IDENTIFICATION = Identification(vendor="innovaphone", ouis=frozenset({"009033"}))
    MEDIA: ClassVar[dict[str, MediaDescriptor]] = {
        **SIP.MEDIA,
        "background_image": MediaDescriptor(
            media_type=MediaType.IMAGE,
            required=False,
            label="Background image",
            out_format=ImageFormat("png", width=320, height=240),
        ),
    }

    PROTOCOLS: ClassVar[dict[str, str]] = {"udp": "SIP", "tcp": "TSIP", "tls": "SIPS"}
    #: The longest time in minutes from one poll to the next: nothing else tells them of changes.
    POLL = 5
    #: By which the phones that service-discovery lists answer to SNMP, read only; None: not at all.
    SNMP_COMMUNITY: ClassVar[str | None] = None

    def generate_routes(self, router: web.RouteTableDef) -> None:
        @router.get("/service-discovery")
        async def service_discovery(request: web.Request) -> web.Response:
            """Tell Prometheus (HTTP SD) where phones are; not whose, and no MAC address."""
            async with open_sessions(request) as (session, _):
                found = await session.execute(
                    select(Device.address, Device.type)
                    .where(Device.flavor == "innovaphone")
                    .where(Device.last_seen >= datetime.now(UTC) - GONE)
                    .order_by(Device.address)
                )
                return web.json_response(
                    [_target(address, model) for address, model in found if address]
                )


def _target(address: str, model: str) -> dict[str, object]:
    host = f"[{address}]" if ":" in address else address
    return {"targets": [host], "labels": {"__meta_model": model}}
