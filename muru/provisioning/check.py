"""Compares what a flavor declares for provisioning with the contract, at start."""

import re
from typing import Any

from muru.flavor import CODECS, Identification, PhoneFlavor, ProvisioningFile
from muru.provisioning.files import Audience, check_pattern
from muru.provisioning.templates import Templates

_OUI = re.compile(r"[0-9a-f]{6,12}")
_HEADER = re.compile(r"[A-Za-z0-9-]+=[^\r\n]*")


def fault_of(flavor: type[PhoneFlavor], templates: Templates) -> str | None:
    """Return the first thing that is wrong with a class's declarations, None if all is well."""
    checks = (
        _fault_of_files(flavor.FILES),
        _fault_of_lines(flavor.LINES, flavor.PHONE_TYPES),
        _fault_of_identification(flavor.IDENTIFICATION),
        _fault_of_resync(flavor.RESYNC, flavor.PHONE_TYPES),
        None if isinstance(flavor.KEEPS_URL, bool) else "KEEPS_URL must be True or False",
        None if isinstance(flavor.FILES_VARY, bool) else "FILES_VARY must be True or False",
        _fault_of_names(flavor.CODEC_NAMES, flavor.PHONEBOOK_LIMIT),
        _fault_of_templates(flavor, templates),
    )
    return next((fault for fault in checks if fault), None)


def _fault_of_files(files: Any) -> str | None:
    if not isinstance(files, tuple) or not all(
        isinstance(each, ProvisioningFile) for each in files
    ):
        return "FILES must be a tuple of ProvisioningFile"
    for file in files:
        if not isinstance(file.audience, Audience):
            return f"FILES: the audience of {file.pattern!r} is no Audience"
        for pattern in (file.pattern, *file.also):
            if fault := check_pattern(pattern):
                return f"FILES: {pattern!r}: {fault}"
    return None


def _fault_of_templates(flavor: type[PhoneFlavor], templates: Templates) -> str | None:
    folder = flavor.__name__.lower()
    for file in flavor.FILES if isinstance(flavor.FILES, tuple) else ():
        name = f"{folder}/{file.template}"
        if not templates.exists(name):
            return f"there is no template {name} in {', '.join(map(str, templates.folders))}"
    return None


def _fault_of_lines(lines: Any, types: list[str]) -> str | None:
    counts = list(lines.values()) if isinstance(lines, dict) else [lines]
    if not all(type(count) is int and count >= 1 for count in counts):
        return "LINES must be an int of 1 or more, or a dict with one for each phone type"
    missing = sorted(set(types) - set(lines)) if isinstance(lines, dict) else []
    return f"LINES says nothing of {', '.join(missing)}" if missing else None


def _fault_of_identification(given: Any) -> str | None:
    if not isinstance(given, Identification):
        return "IDENTIFICATION must be an Identification"
    for oui in given.ouis:
        if not isinstance(oui, str) or not _OUI.fullmatch(oui):
            return f"IDENTIFICATION: {oui!r} is not the begin of a MAC address in small hex digits"
    for expression in given.user_agents:
        try:
            re.compile(expression)
        except (re.error, TypeError) as error:
            return f"IDENTIFICATION: {expression!r} is no regular expression: {error}"
    return None


def _fault_of_resync(resync: Any, types: list[str]) -> str | None:
    ways = list(resync.values()) if isinstance(resync, dict) else [resync]
    for way in ways:
        if not isinstance(way, tuple) or not all(
            isinstance(each, str) and _HEADER.fullmatch(each) for each in way
        ):
            return "RESYNC must be a tuple of headers, each like Event=check-sync"
    strange = sorted(set(resync) - set(types)) if isinstance(resync, dict) else []
    return f"RESYNC names {strange[0]!r}, which is no phone type" if strange else None


def _fault_of_names(codec_names: Any, limit: Any) -> str | None:
    if not isinstance(codec_names, dict) or not set(codec_names) <= set(CODECS):
        return f"CODEC_NAMES must be a dict whose keys are of {', '.join(CODECS)}"
    if type(limit) is not int or limit < 1:
        return "PHONEBOOK_LIMIT must be an int of 1 or more"
    return None
