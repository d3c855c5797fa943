"""The machine: the folder that holds everything, space, the clock, and certificates."""

import asyncio
import ctypes
import os
import shutil
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile

from muru.db.models import now
from muru.doctor.finding import Finding, fault, ok, warning
from muru.settings import Settings

_GIGABYTE = 1024**3
_LITTLE, _TOO_LITTLE = 1.0, 0.1  # gigabytes
_EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)  # a clock before this is that of a flat battery
_SOON = timedelta(days=14)
_UNSYNCHRONISED = 5  # what adjtimex(2) returns then: TIME_ERROR
_TIMEX = 512  # bytes; struct timex has 208


async def examine(settings: Settings) -> list[Finding]:
    """Examine the data folder, the space in it, trust in phones, the clock, the certificate."""
    return await asyncio.to_thread(_examine, settings)


def _examine(settings: Settings) -> list[Finding]:
    findings = [_data_folder(settings.data_dir), _space(settings.data_dir), _clock()]
    findings += _settings(settings)
    if settings.tls_certificate and settings.tls_private_key:
        findings.append(_certificate(settings.tls_certificate, settings.tls_private_key))
    return findings


def _settings(settings: Settings) -> list[Finding]:
    found = []
    for name, folders in (
        ("MURU_FLAVOR_PATHS", settings.flavor_paths),
        ("MURU_TEMPLATE_PATHS", settings.template_paths),
    ):
        found += [
            fault("settings", f"{name}: {folder} is no folder.", "Create it, or correct the path.")
            for folder in folders
            if not folder.is_dir()
        ]
    if settings.provisioning_trust == "open" and not settings.provisioning_networks:
        found.append(
            warning(
                "settings",
                "Whoever knows a MAC address gets that phone's password, from everywhere"
                " (MURU_PROVISIONING_TRUST is open).",
                "Set MURU_PROVISIONING_NETWORKS to the phones' network, or trust first-use.",
            )
        )
    return found or [ok("settings", "They fit together.")]


def _data_folder(folder: Path) -> Finding:
    check, place = "data folder", folder.absolute()
    if not place.exists():
        return warning(
            check, f"{place} does not exist yet.", "It is created by the first muru up or serve."
        )
    try:
        with TemporaryFile(dir=place):
            mode = place.stat().st_mode
    except OSError as error:
        remedy = f"Give {place} to the user who runs muru, or set MURU_DATA_DIR."
        return fault(check, f"It cannot be written: {error.strerror}.", remedy)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        text = f"Others may look into {place}, which holds passwords."
        return warning(check, text, f"chmod 700 {place}")
    return ok(check, f"{place} belongs to muru alone.")


def _space(folder: Path) -> Finding:
    place = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    free = shutil.disk_usage(place).free / _GIGABYTE
    text = f"{free:.1f} GB are free in {place}."
    if free >= _LITTLE:
        return ok("disk", text)
    report = fault if free < _TOO_LITTLE else warning
    return report("disk", text, "Delete what is not needed; without space nothing can be changed.")


def _clock() -> Finding:
    remedy = "Run a time service, such as systemd-timesyncd or chrony."
    if now() < _EARLIEST:
        text = f"It is not {now():%Y-%m-%d}: passwords and certificates count as too old or new."
        return fault("clock", text, remedy)
    if _adjtimex() == _UNSYNCHRONISED:
        return warning("clock", "Nothing sets this machine's clock.", remedy)
    return ok("clock", f"It is {now():%Y-%m-%d %H:%M:%S} UTC.")


def _adjtimex() -> int:
    """Return what the kernel thinks of its clock, without changing anything; -1: it tells not."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "adjtimex", None)
    return int(function(ctypes.create_string_buffer(_TIMEX))) if function else -1


def _certificate(certificate: Path, key: Path) -> Finding:
    check = "certificate"
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password="")
        ends = _end_of(certificate)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        text = f"{certificate} and {key} cannot be used: {error}."
        return fault(check, text, "Give a certificate and its key, both PEM, readable by muru.")
    remedy = "Renew it, and restart Asterisk."
    if ends < now():
        return fault(check, f"It ended on {ends:%Y-%m-%d}: phones refuse TLS.", remedy)
    if ends < now() + _SOON:
        return warning(check, f"It ends on {ends:%Y-%m-%d}.", remedy)
    return ok(check, f"It is valid until {ends:%Y-%m-%d}.")


def _end_of(certificate: Path) -> datetime:
    # Python has no public function that reads a certificate which nobody has shown to it.
    told = ssl._ssl._test_decode_cert(os.fspath(certificate))  # type: ignore[attr-defined]  # noqa: SLF001
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(told["notAfter"]), UTC)
