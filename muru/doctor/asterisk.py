"""Asterisk: whether it is there, what muru may ask it, and whether it is set up as it should be."""

import asyncio
import time
from contextlib import suppress

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from muru.asterisk import config, console, program
from muru.asterisk.ami import Ami, AmiMessage
from muru.asterisk.ari import Ari
from muru.asterisk.effects import CACHES
from muru.db.realtime import PsEndpoint
from muru.db.sessions import Database
from muru.doctor.database import is_there
from muru.doctor.finding import Finding, fault, ok, warning
from muru.errors import AmiRefused, AmiUnavailable, AriUnavailable, DatabaseUnavailable, MuruError
from muru.settings import Settings

_PATIENCE = 6.0  # seconds for a login: Asterisk waits one before it refuses
_EVENT = 2.0  # seconds
_CLOCKS = 2.0  # seconds that two clocks may differ
_CONFIGURE = (
    "Let muru up run Asterisk, or write its configuration with muru asterisk-conf, and restart it."
)

#: What muru asks by AMI. An action lacks where its module does, or the right to it.
_ACTIONS = (
    *("CoreSettings", "CoreStatus", "CoreShowChannels", "DBGet", "DBGetTree", "DBPut", "DBDel"),
    *("PJSIPNotify", "PJSIPQualify", "PJSIPShowContacts", "PJSIPShowEndpoint"),
    *("SorceryMemoryCacheExpire", "SorceryMemoryCacheExpireObject"),
    *("ConfbridgeList", "ConfbridgeKick", "ConfbridgeMute", "ConfbridgeUnmute"),
)
#: Without these phones do not work at all.
_VITAL = ("res_config_", "res_sorcery_", "res_pjsip", "chan_pjsip", "pbx_", "app_dial", "res_ari")


async def examine(settings: Settings) -> list[Finding]:
    """Examine Asterisk by its two interfaces."""
    if not config.has_secrets(settings):
        text = "It was not set up yet: there are no passwords for AMI and ARI."
        return [*_program(settings), warning("asterisk", text, _CONFIGURE)]
    secrets = config.secrets_of(settings)
    ami = _ami(settings, secrets.ami)
    heard = _Heard(ami)
    await ami.start()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await ami.tried.wait()
        if not ami.state.connected:
            return [*_program(settings), _away(settings, ami.state.reason)]
        findings = [ok("asterisk", f"AMI answers at {settings.ami_host}:{settings.ami_port}.")]
        findings += await _by_ami(settings, ami, heard)
    finally:
        await ami.stop()
    return findings + await _by_ari(settings, secrets.ari)


def _ami(settings: Settings, secret: SecretStr) -> Ami:
    return Ami(
        host=settings.ami_host,
        port=settings.ami_port,
        username=settings.ami_username,
        secret=secret,
    )


def _program(settings: Settings) -> list[Finding]:
    try:
        found = program.find(settings)
    except MuruError as error:
        return [warning("asterisk", error.message, "Without one muru serve alone is of use.")]
    return [ok("asterisk", f"muru up would run {found.command[-1]}.")]


def _away(settings: Settings, reason: str) -> Finding:
    place = f"{settings.ami_host}:{settings.ami_port}"
    return fault(
        "asterisk",
        f"There is no link to its manager interface at {place}: {reason}.",
        "Start Asterisk (muru up does); else compare MURU_AMI_HOST, MURU_AMI_PORT,"
        " MURU_AMI_USERNAME and MURU_AMI_SECRET with its manager.conf.",
    )


class _Heard:
    """Which kinds of events come."""

    def __init__(self, ami: Ami) -> None:
        self.missing = {"FullyBooted": "system", "SuccessfulAuth": "security"}  # and their class
        self.all = asyncio.Event()
        ami.subscribe(self._note, *self.missing)

    def _note(self, event: AmiMessage) -> None:
        self.missing.pop(event.name, None)
        if not self.missing:
            self.all.set()


async def _by_ami(settings: Settings, ami: Ami, heard: _Heard) -> list[Finding]:
    findings: list[Finding] = []
    try:
        findings = [await _actions(ami), await _events(settings, heard)]
        if findings[0].level == "ok":
            findings.append(await _version(ami))
            findings += await _caches(ami)
            findings += await _realtime(settings, ami)
        findings.append(await _clock(ami))
    except (AmiUnavailable, AmiRefused) as error:
        text = f"It does not answer as it should: {error.message}."
        findings.append(fault("asterisk", text, f"Look into Asterisk's log. {_CONFIGURE}"))
    return findings


async def _version(ami: Ami) -> Finding:
    core = await console.core(ami)
    number = core.version.removeprefix("certified/").partition(".")[0]
    text = f"It is version {core.version}, and has {core.calls} calls."
    if number.isdecimal() and int(number) < program.OLDEST_VERSION:
        remedy = f"Install Asterisk {program.OLDEST_VERSION} or newer."
        return fault("asterisk version", text, remedy)
    return ok("asterisk version", text)


async def _actions(ami: Ami) -> Finding:
    offered = (await ami.send("ListCommands")).headers
    missing = [action for action in _ACTIONS if action not in offered]
    if missing:
        text = f"muru may not, or cannot, ask for {', '.join(missing)}."
        remedy = f"In manager.conf: write = system,reporting,call. {_CONFIGURE}"
        return fault("AMI rights", text, remedy)
    return ok("AMI rights", "All that muru asks for is allowed.")


async def _events(settings: Settings, heard: _Heard) -> Finding:
    """Log in once more: of a login Asterisk tells those who may hear of security."""
    other = _ami(settings, config.secrets_of(settings).ami)
    await other.start()
    try:
        await other.wait_connected(_PATIENCE)
        with suppress(TimeoutError):
            async with asyncio.timeout(_EVENT):
                await heard.all.wait()
    finally:
        await other.stop()
    if heard.missing:
        classes = " and ".join(heard.missing.values())
        text = f"Events of the class {classes} do not come, so phones are seen late."
        remedy = f"In manager.conf: read = system,security,call. {_CONFIGURE}"
        return fault("AMI events", text, remedy)
    return ok("AMI events", "They come.")


async def _caches(ami: Ami) -> list[Finding]:
    missing = []
    for table, cache in CACHES.items():
        headers = {"Cache": cache, "Object": "muru doctor"}  # which there is none of
        try:
            await ami.send("SorceryMemoryCacheExpireObject", headers)
        except AmiRefused as error:
            if "does not exist" in error.message:
                missing.append(f"{cache} ({table})")
    if not missing:
        return []
    text = f"It does not keep accounts in the caches {', '.join(missing)}."
    return [warning("configuration", text, f"Take over sorcery.conf. {_CONFIGURE}")]


async def _realtime(settings: Settings, ami: Ami) -> list[Finding]:
    """Ask Asterisk for an account that is in the database."""
    account = await _some_account(settings)
    if account is None:
        return []
    try:
        await ami.list("PJSIPShowEndpoint", {"Endpoint": account})
    except AmiRefused:
        return [
            fault(
                "configuration",
                f"It does not see the account {account}, which is in the database.",
                "Asterisk has to read the very database that muru writes: compare extconfig.conf,"
                f" sorcery.conf and MURU_ASTERISK_DATABASE_URL. {_CONFIGURE}",
            )
        ]
    return [ok("configuration", f"It reads accounts from the database (asked for {account}).")]


async def _some_account(settings: Settings) -> str | None:
    if not is_there(settings):
        return None
    database = Database(settings.database, settings.asterisk_database)
    try:
        async with database.read(asterisk=True) as session:
            return await session.scalar(select(PsEndpoint.id).order_by(PsEndpoint.id).limit(1))
    except (DatabaseUnavailable, SQLAlchemyError):  # told elsewhere
        return None
    finally:
        await database.dispose()


async def _clock(ami: Ami) -> Finding:
    answer: AmiMessage = await ami.send("Ping")
    try:
        apart = abs(float(answer.headers.get("Timestamp", "")) - time.time())
    except ValueError:
        return ok("asterisk clock", "It does not tell the time.")
    if apart > _CLOCKS:
        text = f"Its clock and muru's are {apart:.0f} s apart."
        return warning("asterisk clock", text, "Have a time service set both clocks.")
    return ok("asterisk clock", "It agrees with muru's.")


async def _by_ari(settings: Settings, secret: SecretStr) -> list[Finding]:
    ari = Ari(
        host=settings.asterisk_http_host,
        port=settings.asterisk_http_port,
        username=settings.ari_username,
        secret=secret,
    )
    try:
        loaded = await ari.modules()
        await ari.hangup("muru-doctor")  # which is no channel: may muru act at all?
    except AriUnavailable as error:
        return [fault("ARI", f"{error.message}.", _ari_remedy(settings, error.message))]
    return [ok("ARI", "It lets muru in."), *_modules(settings, loaded)]


def _ari_remedy(settings: Settings, reason: str) -> str:
    if "403" in reason:
        return f"In ari.conf: read_only = no for {settings.ari_username}."
    if "401" in reason:
        return "Compare MURU_ARI_USERNAME and MURU_ARI_SECRET with ari.conf."
    return (
        "Compare http.conf (enabled, bindaddr, bindport) with MURU_ASTERISK_HTTP_HOST and"
        f" MURU_ASTERISK_HTTP_PORT. {_CONFIGURE}"
    )


def _modules(settings: Settings, loaded: dict[str, str]) -> list[Finding]:
    wanted = config.modules_of(settings)
    missing = [name for name in wanted if loaded.get(name) != "Running"]
    vital = [name for name in missing if name.startswith(_VITAL)]
    others = [name for name in missing if name not in vital]
    findings = []
    remedy = f"Load them in modules.conf; Asterisk's log tells why one does not run. {_CONFIGURE}"
    if vital:
        findings.append(fault("modules", f"These do not run: {', '.join(vital)}.", remedy))
    if others:
        findings.append(warning("modules", f"These do not run: {', '.join(others)}.", remedy))
    return findings or [ok("modules", f"All {len(wanted)} that muru needs run.")]
