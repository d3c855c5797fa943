"""What is behind a number that no phone is at: steps of the dialplan."""

from typing import ClassVar

from sqlalchemy.orm import Session

from muru.asterisk.dialplan.applications import Application
from muru.asterisk.dialplan.numbers import rows_of
from muru.db import realtime
from muru.flavor import Extension, PhoneFlavor, RealtimeRow, User


class Dialled(PhoneFlavor):
    """The base of flavors without phones. Their rows are those of :meth:`realtime_rows`."""

    MAX_EXTENSION_NAME_CHARS: ClassVar[int] = 40

    def on_extension_create(
        self, session: Session, asterisk_session: Session, user: User, extension: Extension
    ) -> None:
        del session, user
        realtime.replace(asterisk_session, extension.number, self.realtime_rows(extension))

    def on_extension_update(
        self, session: Session, asterisk_session: Session, user: User, extension: Extension
    ) -> None:
        del session, user
        realtime.replace(asterisk_session, extension.number, self.realtime_rows(extension))

    def on_extension_delete(
        self, session: Session, asterisk_session: Session, user: User, extension: Extension
    ) -> None:
        del session, user
        realtime.replace(asterisk_session, extension.number, [])

    def realtime_rows(self, extension: Extension) -> list[RealtimeRow]:
        return [*rows_of(self.settings.asterisk_context, extension.number, self.steps(extension))]

    def steps(self, extension: Extension) -> list[Application]:
        """Return what is done when *extension* is dialled."""
        raise NotImplementedError
