"""A phone that is set up by hand with its SIP account; the base of every flavor that has one."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from muru.asterisk.dialplan import DIAL_SIP, DIAL_SIP_RINGBACK, ON_HOLD, RINGBACK
from muru.asterisk.dialplan.flow import Goto
from muru.asterisk.dialplan.numbers import rows_of
from muru.asterisk.escape import caller_id
from muru.db import realtime
from muru.db.realtime import MusicOnHold, PsAor, PsAuth, PsEndpoint
from muru.flavor import (
    CODEC,
    CODECS,
    AudioFormat,
    DeviceFields,
    Extension,
    Invalid,
    MediaDescriptor,
    MediaType,
    PhoneFlavor,
    RealtimeRow,
    SupportedCodec,
    User,
)


class SIPFields(BaseModel):
    """What a person may choose for a SIP account."""

    model_config = ConfigDict(extra="forbid")

    codec: CODEC | None = Field(
        None,
        title="Preferred codec",
        description="Calls use it where both sides can; leave empty for the best that they can.",
    )


class PhoneFields(SIPFields, DeviceFields):
    """What a person may fill in for a SIP phone that fetches its configuration."""


_SOUND = AudioFormat("wav", samplerate=16000)


class SIP(PhoneFlavor):
    """Any SIP phone or app. Inherit it for a phone that needs an account at Asterisk.

    An inheriting flavor that overrides a hook calls ``super()``: here the account is written,
    changed and removed. One that wants other values in it overrides :meth:`realtime_rows`. One that
    has media of its own adds those here, which Asterisk plays: ``{**SIP.MEDIA, …}``.
    """

    PHONE_TYPES: ClassVar[list[str]] = ["SIP"]
    DISPLAY_INDEX = 100
    EXTRA_FIELDS: ClassVar[type[BaseModel] | None] = SIPFields
    SUPPORTED_CODEC: ClassVar[SupportedCodec] = CODECS
    MAX_EXTENSION_NAME_CHARS = 40
    MEDIA: ClassVar[dict[str, MediaDescriptor]] = {
        "ringback": MediaDescriptor(
            MediaType.AUDIO,
            required=False,
            label="What callers hear while it rings",
            out_format=_SOUND,
        ),
        "moh": MediaDescriptor(
            MediaType.AUDIO, required=False, label="Music on hold", out_format=_SOUND
        ),
    }
    ASTERISK_MEDIA: ClassVar[frozenset[str]] = frozenset(MEDIA)

    def on_extension_create(
        self, session: Session, asterisk_session: Session, user: User, extension: Extension
    ) -> None:
        del session, user
        self._write_account(asterisk_session, extension)

    def on_extension_update(
        self, session: Session, asterisk_session: Session, user: User, extension: Extension
    ) -> None:
        del session, user
        self._write_account(asterisk_session, extension)

    def on_extension_delete(
        self, session: Session, asterisk_session: Session, user: User, extension: Extension
    ) -> None:
        del session, user
        realtime.replace(asterisk_session, extension.number, [])

    def get_codec(self, extension: Extension | None) -> CODEC | tuple[CODEC, ...]:
        """Put the codec that the person chose before the others that the phone type supports."""
        supported = super().get_codec(extension)
        chosen = self._chosen_codec(extension)
        if chosen is None or chosen not in _tuple(supported):
            return supported
        return (chosen, *(codec for codec in _tuple(supported) if codec != chosen))

    def realtime_rows(self, extension: Extension) -> list[RealtimeRow]:
        number, codecs = extension.number, self.get_codec(extension)
        media = extension.media or {}  # that of a flavor's own making may have none
        username, password = self.sip_login(extension)
        dial = DIAL_SIP_RINGBACK if "ringback" in media else DIAL_SIP
        return [
            PsEndpoint(
                id=number,
                aors=number,
                auth=number,
                context=self.settings.asterisk_context,
                disallow="all",
                allow=codecs if isinstance(codecs, str) else ",".join(codecs),
                # A phone that calls gets the one best codec in *our* order, not in that of its
                # offer; one that is called is offered ours, not those of whoever calls.
                codec_prefs_incoming_offer=(
                    "prefer: configured, operation: intersect, keep: first, transcode: allow"
                ),
                codec_prefs_outgoing_offer=(
                    "prefer: configured, operation: only_preferred, keep: all, transcode: allow"
                ),
                allow_overlap="no",  # numbers are dialled whole: what is none is answered at once
                callerid=caller_id(extension.name, number),
                dtmf_mode="rfc4733",
                webrtc="no",
                # Phones sit behind whatever the event's network is; media stays with Asterisk.
                direct_media="no",
                force_rport="yes",
                moh_suggest=f"{ON_HOLD}{number}" if "moh" in media else None,
                rewrite_contact="yes",
                rtp_symmetric="yes",
            ),
            PsAuth(id=number, auth_type="userpass", username=username, password=password),
            PsAor(
                id=number,
                max_contacts=self.settings.max_contacts,
                remove_existing="yes",
                remove_unavailable="yes",
                qualify_frequency=self.settings.qualify_frequency,
                default_expiration=600,
                minimum_expiration=60,
                maximum_expiration=3600,
            ),
            *rows_of(
                self.settings.asterisk_context, number, [Goto(context=dial, extension=number)]
            ),
            *(
                MusicOnHold(
                    name=f"{begin}{number}",
                    mode="files",
                    directory=str(self.settings.asterisk_media / media[key]),
                )
                for key, begin in (("ringback", RINGBACK), ("moh", ON_HOLD))
                if key in media
            ),
        ]

    def _write_account(self, asterisk_session: Session, extension: Extension) -> None:
        # Checked here and not in get_codec: an account must be readable also when its phone type
        # does not support any more what was chosen once.
        supported, chosen = _tuple(super().get_codec(extension)), self._chosen_codec(extension)
        if chosen is not None and chosen not in supported:
            raise Invalid(
                f"This phone type does not support {chosen}.",
                {"extra_fields.codec": f"choose one of {', '.join(supported)}"},
            )
        realtime.replace(asterisk_session, extension.number, self.realtime_rows(extension))

    def _chosen_codec(self, extension: Extension | None) -> CODEC | None:
        """Return the codec in the extra fields, unless a flavor has fields of its own there."""
        if extension is None or not issubclass(self.EXTRA_FIELDS or BaseModel, SIPFields):
            return None
        chosen: CODEC | None = extension.extra_fields.get("codec")
        return chosen


def _tuple(codecs: CODEC | tuple[CODEC, ...]) -> tuple[CODEC, ...]:
    return (codecs,) if isinstance(codecs, str) else tuple(codecs)
