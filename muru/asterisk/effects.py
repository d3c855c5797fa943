"""What Asterisk must be told after a commit: what it has cached is old, or a phone is gone.

Nothing here is kept on disk, since all of it follows from the state: after each login to AMI the
caches are emptied, and reconciliation removes contacts whose AOR is gone. In between only what
changed is expired. So an Asterisk that was away, or a muru that died between commit and effect,
ends up right as well.
"""

import asyncio
import logging
from collections.abc import Iterable

from muru.asterisk import contacts
from muru.asterisk.ami import Ami
from muru.asterisk.ari import Ari
from muru.asterisk.contacts import StoredContact
from muru.asterisk.registrations import REGISTER_TAKES, Registrations
from muru.db.realtime import Change
from muru.errors import AmiRefused, AmiUnavailable, AriUnavailable

_log = logging.getLogger(__name__)

PATIENCE = 2.0  # seconds that an answer waits for its effects
_BACKOFF = (0.2, 5.0)  # seconds between attempts: first, longest
_COLLECT = 1.0  # seconds in which new AORs are collected
_RELOAD_SHARE = 10  # a reload is followed by a pause of this many times its duration
_MANY = 100  # more changed objects than this, and emptying the whole cache is quicker

#: The sorcery memory caches that asterisk_conf/sorcery.conf sets up, by realtime table.
CACHES = {"ps_endpoints": "muru-endpoint", "ps_auths": "muru-auth", "ps_aors": "muru-aor"}


class Effects:
    """Tells Asterisk of changes, in one task, so that they are told in order."""

    def __init__(self, ami: Ami, ari: Ari, registrations: Registrations | None = None) -> None:
        """*registrations*, where they are followed, spare a search for the contacts to remove."""
        self._ami = ami
        self._ari = ari
        self._registrations = registrations
        self._new_aors = asyncio.Event()
        self._objects: set[tuple[str, str]] = set()  # cache, object
        self._gone: set[str] = set()  # AORs whose contacts are to be removed
        self._everything = False
        self._wake = asyncio.Event()
        self._waiting: list[asyncio.Future[bool]] = []
        self._tasks: list[asyncio.Task[None]] = []
        ami.on_login(self._after_login)

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._run(), name="asterisk effects"),
            asyncio.create_task(self._introduce_aors(), name="new AORs"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    @property
    def pending(self) -> int:
        """How many objects and AORs Asterisk has not been told of yet."""
        return len(self._objects) + len(self._gone)

    async def apply(self, changes: Iterable[Change]) -> bool:
        """Tell Asterisk of *changes*, and wait until it knows, for PATIENCE at most.

        Returns:
            Whether Asterisk knows. If not, it will: the effects go on after this returns, and if
            Asterisk is away they are part of what happens when it is back.
        """
        for change in changes:
            if change.table in CACHES:
                self._objects.add((CACHES[change.table], change.row_key))
            if change.table == "ps_aors" and change.action == "deleted":
                self._gone.add(change.row_key)
            elif change.table == "ps_aors" and change.action == "inserted":
                self._new_aors.set()
        if not self.pending:
            return True
        if not self._ami.state.connected or not self._tasks:
            return False
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(told)
        self._wake.set()
        done, _ = await asyncio.wait([told], timeout=PATIENCE)
        return bool(done) and told.result()

    def _after_login(self) -> None:
        self._everything = True
        self._wake.set()

    async def _run(self) -> None:
        pause = _BACKOFF[0]
        while True:
            await self._wake.wait()
            self._wake.clear()
            everything, self._everything = self._everything, False
            objects, self._objects = self._objects, set()
            gone, self._gone = self._gone, set()
            waiting, self._waiting = self._waiting, []
            told = False
            try:
                await self._expire(objects, everything=everything)
                await self._remove_contacts(gone)
                pause, told = _BACKOFF[0], True
            except AmiUnavailable as error:
                self._gone |= gone
                if not self._ami.state.connected:
                    continue  # after the next login, which empties the caches
                _log.warning("Asterisk did not take an effect, trying again: %s", error)
                self._everything |= everything
                self._objects |= objects
                self._waiting, waiting = waiting + self._waiting, []
                self._wake.set()
                await asyncio.sleep(pause)
                pause = min(pause * 2, _BACKOFF[1])
            except Exception:
                _log.exception("an effect failed")
            finally:
                for each in waiting:
                    each.set_result(told)

    async def _introduce_aors(self) -> None:
        """Have Asterisk read which AORs there are, some time after new ones were written.

        It qualifies, and tells events of, those only that it knew when res_pjsip was last loaded.
        A phone that registers before is not kept waiting, but for each such AOR Asterisk reads all
        endpoints: with thousands of them that takes it a second. Reading them all again does once
        what would then be done for each, and is done no more often than a tenth of the time.
        """
        loop = asyncio.get_running_loop()
        while True:
            await self._new_aors.wait()
            await asyncio.sleep(_COLLECT)
            self._new_aors.clear()
            began = loop.time()
            try:
                await self._ari.reload_module("res_pjsip.so")
            except AriUnavailable as error:
                if self._ami.state.connected:
                    _log.warning("new phones are not qualified yet: %s", error)
                    self._new_aors.set()
                    await asyncio.sleep(_BACKOFF[1])
                continue  # an Asterisk that comes back knows them
            await asyncio.sleep((loop.time() - began) * _RELOAD_SHARE)

    async def _expire(self, objects: set[tuple[str, str]], *, everything: bool) -> None:
        if everything or len(objects) > _MANY:
            for cache in CACHES.values():
                await self._tell("SorceryMemoryCacheExpire", {"Cache": cache})
            return
        await asyncio.gather(
            *(
                self._tell("SorceryMemoryCacheExpireObject", {"Cache": cache, "Object": name})
                for cache, name in sorted(objects)
            )
        )

    async def _remove_contacts(self, gone: set[str]) -> None:
        if not gone:
            return
        stored = await self._find_contacts(gone)
        for each in stored:
            await contacts.expire(self._ami, each)
        if self._registrations is not None:
            for aor in gone:
                self._registrations.forget(aor)

    async def _find_contacts(self, aors: set[str]) -> list[StoredContact]:
        known = self._registrations
        if known is None or not all(map(known.is_settled, aors)):
            await asyncio.sleep(REGISTER_TAKES)  # one that is on its way ends with the old account
            return [each for each in await contacts.read_all(self._ami) if each.aor in aors]
        places = (each for aor in aors for each in known.contacts(aor))
        found = [await contacts.read(self._ami, each.extension, each.uri) for each in places]
        return [each for each in found if each is not None]

    async def _tell(self, action: str, headers: dict[str, str]) -> None:
        try:
            await self._ami.send(action, headers)
        except AmiRefused as error:
            # An object that is not in the cache needs no expiry.
            _log.debug("%s %s: %s", action, headers, error)
