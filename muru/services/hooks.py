"""Runs the hooks of flavors, inside the transaction of a service."""

import logging
from collections.abc import Callable

from sqlalchemy import exc
from sqlalchemy.orm import Session

from muru.db.models import Extension, User
from muru.db.sessions import Transaction
from muru.errors import Conflict, HookRefused, MuruError
from muru.services.site import Actor

_log = logging.getLogger(__name__)

Hook = Callable[[Session, Session, User, Extension], None]


async def run_hook(
    transaction: Transaction, hook: Hook, actor: Actor, extension: Extension
) -> None:
    """Run a flavor's hook inside the transaction; whatever it raises becomes an answer."""
    user_id = actor.user_id if actor.user_id is not None else extension.owner_id
    user = await transaction.session.get_one(User, user_id)
    try:
        await transaction.run(hook, user, extension)
        await transaction.session.flush()
        await transaction.asterisk_session.flush()
        transaction.require_whole()
    except (MuruError, exc.OperationalError, exc.InterfaceError):
        raise
    except exc.IntegrityError as error:
        _log.warning("hook %s met a row that is there already", hook.__qualname__, exc_info=True)
        raise Conflict(
            f"This clashes with something that is there already: {error.orig}"
        ) from error
    except exc.DBAPIError as error:  # e.g. a text is too long for Asterisk's own table
        _log.warning("hook %s failed", hook.__qualname__, exc_info=True)
        raise HookRefused(f"The database refused it: {error.orig}") from error
    except (Exception, SystemExit) as error:
        _log.warning("hook %s failed", hook.__qualname__, exc_info=True)
        raise HookRefused(str(error) or type(error).__name__) from error
