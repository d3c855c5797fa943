"""Who looks at a page: the session cookie of the API."""

from aiohttp import web

from muru.api.routing import COOKIE
from muru.db.models import TokenKind
from muru.errors import Unauthenticated
from muru.keys import SITE
from muru.services import users
from muru.services.site import Actor

NOBODY = Actor(None, "", is_admin=False)


async def identify(request: web.Request) -> tuple[Actor, int | None]:
    """Return who sent *request*, and the id of the login it came with; nobody without one."""
    secret = request.cookies.get(COOKIE)
    if not secret:
        return NOBODY, None
    try:
        return await users.authenticate(request.config_dict[SITE], secret, TokenKind.SESSION)
    except Unauthenticated:
        return NOBODY, None
