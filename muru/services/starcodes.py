"""What is dialled on a phone to join a call group, to leave it, or to pause.

What is played are sounds of Debian's package asterisk-core-sounds-en.
"""

import logging

from muru.asterisk.ari import Ari
from muru.asterisk.ari_channel import AriChannel
from muru.asterisk.dialplan import GROUP
from muru.errors import Forbidden, Invalid, MuruError, NotFound
from muru.services import groups
from muru.services.extensions import get_extension
from muru.services.groups import Action
from muru.services.site import OPERATOR, Actor, Site

_log = logging.getLogger(__name__)

_DONE: dict[Action, str] = {"join": "activated", "leave": "removed", "pause": "de-activated"}
_UNKNOWN = ("pbx-invalid",)
_REFUSED = ("feature-not-avail-line",)
_LATER = ("please-try-call-later",)


class StarCodes:
    """Takes the calls that extensions.conf hands over with an action, an account and a group."""

    def __init__(self, site: Site, ari: Ari) -> None:
        self._site = site
        ari.on_enter(GROUP, self._take)

    async def _take(self, channel: AriChannel, arguments: tuple[str, ...]) -> None:
        wanted, account, number = arguments
        action = next(each for each in _DONE if each == wanted)
        await channel.answer()
        await channel.play(*await self._do(action, account, number))

    async def _do(self, action: Action, account: str, number: str) -> tuple[str, ...]:
        """Return what the caller is to hear."""
        try:
            member = await get_extension(self._site, OPERATOR, account)
            # A phone may do what its owner may, but is nobody's login: an administrator's phone
            # is not more than others.
            owner = Actor(member.owner_id, member.owner.username, is_admin=False)
            await groups.change(self._site, owner, number, account, action)
        except NotFound:
            return _UNKNOWN
        except (Forbidden, Invalid) as error:
            _log.info("%s did not %s the call group %s: %s", account, action, number, error)
            return _REFUSED
        except MuruError as error:
            _log.warning("a call group was not changed: %s", error)
            return _LATER
        return (_DONE[action], "extension", *(f"digits/{digit}" for digit in number))
