"""What people type into forms, what is wrong with it, and that it comes from a page of ours."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web

from muru.api.routing import refuse_other_sites
from muru.errors import Forbidden, Invalid, MuruError
from muru.web.language import told

CSRF_COOKIE = "muru_csrf"
CSRF_FIELD = "csrf_token"

SHORTEST_COOKIE = 20


@dataclass(slots=True)
class Form:
    """What was typed, by field; ``errors`` says what is wrong with a field, ``error`` in general.

    ``status`` is the HTTP status of the page that shows it again.
    """

    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    error: str = ""
    status: int = 200
    lists: dict[str, list[str]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """Return what was typed into the field *name*; empty where nothing was."""
        return self.values.get(name, "")

    def __contains__(self, name: str) -> bool:
        """Tell whether the field *name* came along, as a ticked box does."""
        return name in self.values

    def all(self, name: str) -> list[str]:
        """Return all values of a field of which there may be several."""
        return self.lists.get(name, [])

    def take(self, error: MuruError, at: Mapping[str, str] | None = None) -> Self:
        """Take what a service said is wrong, to be shown at its fields.

        *at* maps keys of problems (``username-taken``) to the fields that they are about. What is
        nobody's fault here, such as a database that is away, is raised again.
        """
        at = at or {}
        if error.status >= 500 or (error.status in {401, 404} and error.key not in at):
            raise error
        self.status = 422 if error.status == 401 else error.status  # 401 asks for other headers
        if isinstance(error, Invalid) and error.fields:
            self.errors |= {name: told(fault) for name, fault in error.fields.items()}
        elif error.key in at:
            self.errors[at[error.key]] = told(error.public)
        else:
            self.error = told(error.public)
        return self


async def read(request: web.Request) -> Form:
    """Return what was typed into the form that *request* brings, files left out.

    Raises:
        Forbidden: it was not filled in on a page of ours.
    """
    refuse_other_sites(request)
    given = await request.post()
    lists: dict[str, list[str]] = {}
    for name, value in given.items():
        if isinstance(value, str):
            lists.setdefault(name, []).append(clean(value))
    form = Form({name: values[-1] for name, values in lists.items()}, lists=lists)
    expected = csrf_token(request.cookies.get(CSRF_COOKIE, ""))
    if not hmac.compare_digest(expected.encode(), form[CSRF_FIELD].encode(errors="replace")):
        raise Forbidden(
            "This form is too old, or your browser takes no cookies. Go back, load the page anew, "
            "and send it again.",
            key="form-expired",
        )
    return form


def clean(text: str) -> str:
    """Return *text* without what no database takes, and with the line ends that others expect."""
    plain = text.replace("\0", "\ufffd").replace("\r\n", "\n")
    return plain.encode("utf-8", "replace").decode("utf-8")


def new_csrf_cookie() -> str:
    return secrets.token_urlsafe(32)


def csrf_token(cookie: str) -> str:
    """Return the token that belongs to a cookie: who cannot read the cookie cannot know it."""
    if len(cookie) < SHORTEST_COOKIE:
        cookie = new_csrf_cookie()  # whose token nobody has
    return hmac.new(cookie.encode(errors="replace"), b"form", hashlib.sha256).hexdigest()


def relative(path: str, otherwise: str = "/") -> str:
    """Return *path* if it leads to a page of this site, else *otherwise*."""
    fits = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if fits and path.isprintable() and "\\" not in path else otherwise
