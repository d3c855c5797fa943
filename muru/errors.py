"""The errors that muru raises on purpose.

::

    MuruError                 500  something is wrong here, and the text says what
    ├── Invalid               422  the input does not fit; ``fields`` says where
    │   └── HookRefused       422  a flavor's hook said no, in its own words
    ├── Unauthenticated       401  no proof of who is asking
    ├── Forbidden             403  known, but not allowed
    ├── NotFound              404
    ├── Conflict              409  it would clash with what is there
    ├── TooLarge              413  more than may be sent
    ├── TooManyRequests       429
    ├── Unavailable           503  a part that is needed is away; try again
    │   ├── DatabaseUnavailable
    │   │   └── DatabaseDeadlock   undone in favour of another transaction; try it again
    │   ├── AmiUnavailable         Asterisk's manager interface is not connected
    │   │   └── AmiTimeout         it is connected and did not answer in time
    │   ├── AriUnavailable         Asterisk's REST interface does not answer as it should
    │   └── ConsoleUnavailable     Asterisk's console is on another machine, or does not answer
    ├── AmiRefused            502  Asterisk answered ``Response: Error``
    └── SettingsError         the settings are wrong; told at the start, all at once

Every message is written for the person who reads it: what is wrong and what to do. Only the API's
middleware and the command line turn these into answers.
"""

from collections.abc import Mapping
from typing import Self

from pydantic import ValidationError


class MuruError(Exception):
    """Base of all; ``status`` is the HTTP status, ``key`` the stable name of the problem."""

    status = 500
    key = "internal"

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if key is not None:
            self.key = key

    @property
    def public(self) -> str:
        """What anybody may read of it; ``message`` is for the operator."""
        return self.message


class Invalid(MuruError):
    """The input does not fit. ``fields`` maps paths of fields (``extra_fields.mac``) to faults."""

    status = 422
    key = "invalid"

    def __init__(
        self, message: str, fields: Mapping[str, str] | None = None, *, key: str | None = None
    ) -> None:
        super().__init__(message, key=key)
        self.fields = dict(fields or {})

    @classmethod
    def of(cls, error: ValidationError, *path: str) -> Self:
        """Return what pydantic found, as the faults of fields below *path*."""
        fields = {
            ".".join((*path, *map(str, fault["loc"]))) or "body": fault["msg"].removeprefix(
                "Value error, "
            )
            for fault in error.errors()
        }
        return cls("Some fields do not fit.", fields)


class HookRefused(Invalid):
    key = "flavor-refused"


class Unauthenticated(MuruError):
    status = 401
    key = "unauthenticated"


class Forbidden(MuruError):
    status = 403
    key = "forbidden"


class NotFound(MuruError):
    status = 404
    key = "not-found"


class Conflict(MuruError):
    status = 409
    key = "conflict"


class TooLarge(MuruError):
    status = 413
    key = "too-large"


class TooManyRequests(MuruError):
    """``retry_after`` is in whole seconds."""

    status = 429
    key = "too-many-requests"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(MuruError):
    status = 503
    key = "unavailable"


class DatabaseUnavailable(Unavailable):
    key = "database-unavailable"

    @property
    def public(self) -> str:
        return (
            "The database is not available at the moment; try again."  # its address is not theirs
        )


class DatabaseDeadlock(DatabaseUnavailable):
    key = "database-deadlock"


class AmiUnavailable(Unavailable):
    key = "asterisk-unavailable"


class AmiTimeout(AmiUnavailable):
    key = "asterisk-timeout"


class AriUnavailable(Unavailable):
    key = "asterisk-unavailable"


class ConsoleUnavailable(Unavailable):
    key = "asterisk-unavailable"


class AmiRefused(MuruError):
    status = 502
    key = "asterisk-refused"


class SettingsError(MuruError):
    """``faults`` maps the name of each wrong setting to what is wrong with it."""

    key = "settings"

    def __init__(self, faults: Mapping[str, str]) -> None:
        self.faults = dict(faults)
        lines = "".join(f"\n  {name}: {fault}" for name, fault in self.faults.items())
        super().__init__(f"{len(self.faults)} wrong setting(s):{lines}")
