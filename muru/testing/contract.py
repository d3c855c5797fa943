"""What holds for every flavor whose phones fetch files, for its author's tests to check."""

import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

from muru.flavor import Audience, PhoneFlavor, ProvisioningFile, Vocabulary
from muru.media.names import filename
from muru.provisioning.check import fault_of
from muru.provisioning.identification import Evidence, identify
from muru.provisioning.templates import TemplateFault
from muru.provisioning.timezone import time_zone
from muru.provisioning.vocabulary import (
    Entry,
    Key,
    Line,
    Phone,
    Phonebook,
    Server,
    SiteFacts,
    Wifi,
)
from muru.settings import Settings
from muru.testing import sample
from muru.testing.structure import structure

#: Texts that end a line, an element, a string, a word or a cell where they are not escaped.
HOSTILE = (
    "<&\"'>; =\n#%$",
    'Eve"\r\nsip line9 proxy ip: 192.0.2.66',
    "]]></Title><x/> --> {{ 7 * 7 }} ${x} %NULL%",
    "a,b;c\t/pwd x \\",
    "\u202e\u05e9\u05dc\u05d5\u05dd \U0001f4de\u2028\x85\v\fx",
    "\\\x00\x07\x1b\ufffe\ud800",
    "N" * 64,
    "\u00e9" * 64,
)

_PLAIN = "Plain"
_KEYS, _ENTRIES = 6, 3
_ZONES = ("Europe/Berlin", "Asia/Kolkata", "Australia/Sydney", "America/New_York", "UTC")
_LONGEST_LOOK = 0.2  # seconds of computing for one user agent
_LONGEST_AGENT = 512
_AGENTS = ("", "\x00\xff\ud800", "%s%n{model}{}${x}", "00:04:13:7f:00")
_REPEATED = ("(", "a", " ", "1", "1.", "A-1 ", "00:")


def check_flavor(
    flavor: PhoneFlavor | type[PhoneFlavor],
    *,
    extra_fields: Mapping[str, Any] | None = None,
    unordered: Collection[str] = (),
) -> None:
    """Check what muru promises of a flavor's files.

    *extra_fields* are what a person has filled in, if its templates need it. *unordered* are the
    phone types that cannot be told an order of codecs.

    - What it declares for provisioning is sound, and each of its files has a template.
    - Each file can be rendered for each phone type: with one line and with all, for a phone that
      nobody owns, at a site that has set everything and at one that has set nothing; those that are
      not for one device also for nobody in particular.
    - Each parses as its format, whatever lines, keys, the phonebook and the site may be called, and
      then has the same elements, lines or cells as with plain names.
    - The order in which a person prefers codecs is told to the phone.
    - Each file is found under its own names, and these speak for the flavor.
    - User agents of any kind neither fail nor take long.
    - Links have a URL without blanks.

    Raises:
        AssertionError: not so; the text has each fault in a line of its own.
    """
    if isinstance(flavor, type):
        flavor = flavor()
    if "settings" not in vars(flavor):
        flavor.settings = Settings(_env_file=None)
    fault = fault_of(type(flavor), sample.templates_for(flavor))
    faults = [fault] if fault else _faults(flavor, extra_fields or {}, unordered)
    if found := list(dict.fromkeys(faults)):
        raise AssertionError(f"{type(flavor).__name__}:\n" + "\n".join(found))


def _faults(
    flavor: PhoneFlavor, extra: Mapping[str, Any], unordered: Collection[str]
) -> Iterator[str]:
    for number, phone_type in enumerate(flavor.PHONE_TYPES):
        for words in situations(flavor, phone_type, extra=extra, zone=number):
            turns = len(HOSTILE) if number == 0 else 1
            for turn in range(number, number + turns):
                at = turn % len(HOSTILE)  # so that each text comes to another place
                yield from changed_structures(flavor, words, HOSTILE[at:] + HOSTILE[:at])
        full, least, _ = situations(flavor, phone_type, extra=extra)
        yield from _codec_faults(flavor, full, ordered=phone_type not in unordered)
        yield from _link_faults(flavor, _with_texts(full, HOSTILE))
        yield from _link_faults(flavor, least)
    yield from _name_faults(flavor)
    yield from _agent_faults(flavor)


def situations(
    flavor: PhoneFlavor, phone_type: str, *, extra: Mapping[str, Any] | None = None, zone: int = 0
) -> list[Vocabulary]:
    """Return the words for a phone with all lines, for a newcomer, and for nobody in particular."""
    count = flavor.line_count(phone_type)
    mac = _example_mac(flavor)
    names = [_PLAIN] * count
    words = sample.vocabulary(flavor, phone_type, mac, names=names)
    words = _with_media(flavor, replace(words, lines=_with_extra(words.lines, extra or {})))
    in_zone = time_zone(_ZONES[zone % len(_ZONES)])
    wifi = Wifi("Camp", "Wifi1")
    full = replace(words, site=SiteFacts(_PLAIN, "de", in_zone, "ntp.example", "Admin1", wifi))
    least = replace(
        words,
        phone=Phone(mac, phone_type, unclaimed=True),
        lines=tuple(replace(line, media={}) for line in words.lines[:1]),
        media={},
        server=Server("2001:db8::1", 5061, "tls"),
        site=SiteFacts(_PLAIN, "xx", time_zone("UTC")),
    )
    return [full, least, replace(full, phone=Phone(), lines=(), media={})]


def _with_extra(lines: Sequence[Line], extra: Mapping[str, Any]) -> tuple[Line, ...]:
    return tuple(replace(line, extra=extra) for line in lines)


def _with_media(flavor: PhoneFlavor, words: Vocabulary) -> Vocabulary:
    """Return *words* of a phone whose lines have all media that there can be."""
    media = {
        key: f"{words.provisioning.url}media/2001/0123abcd/{filename(key, descriptor)}"
        for key, descriptor in flavor.media_for(words.phone.type).items()
    }
    lines = tuple(replace(line, media=media) for line in words.lines)
    return replace(words, lines=lines, media=media)


def changed_structures(
    flavor: PhoneFlavor, words: Vocabulary, texts: Sequence[str]
) -> Iterator[str]:
    """Tell in which files of a flavor names change more than themselves.

    *texts* are these names, over and over: those of lines and keys, in the phonebook, of the site.
    """
    plain_words, hostile = _with_texts(words, [_PLAIN]), _with_texts(words, texts)
    for file in flavor.FILES:
        if not words.lines and file.audience is Audience.DEVICE:
            continue
        where = f"{file.template}, {words.phone.type or 'nobody in particular'}"
        try:
            plain, other = (_structure(flavor, file, each) for each in (plain_words, hostile))
        except (TemplateFault, ValueError) as error:
            yield f"{where}: {error}"
            continue
        if plain != other:
            yield f"{where}: names change it: {_difference(plain, other)}"


def _with_texts(words: Vocabulary, texts: Sequence[str]) -> Vocabulary:
    """Return *words* with *texts* wherever a person types one."""
    text = cycle(texts)
    lines = tuple(replace(line, name=next(text)) for line in words.lines)
    count = 0 if words.phone.unclaimed or not lines else _KEYS
    keys = tuple(Key(at, f"*#+{4000 + at}", next(text)) for at in range(1, count + 1))
    entries = tuple(Entry(str(3000 + at), next(text)) for at in range(_ENTRIES))
    site = replace(words.site, name=next(text))
    book = Phonebook(site.name, entries, 1, 2 * _ENTRIES)
    return replace(words, lines=lines, keys=keys, site=site, phonebook=book)


def _structure(flavor: PhoneFlavor, file: ProvisioningFile, words: Vocabulary) -> list[Any]:
    content, _ = sample.templates_for(flavor).render(flavor, file, words)
    return structure(file, content)


def _difference(plain: Sequence[Any], other: Sequence[Any]) -> str:
    pairs = zip(plain, other, strict=False)
    first = next((f"{was!r} became {now!r}" for was, now in pairs if was != now), None)
    return first or f"{len(plain)} parts became {len(other)}"


def _codec_faults(flavor: PhoneFlavor, words: Vocabulary, *, ordered: bool) -> Iterator[str]:
    codecs, phone_type = words.lines[0].codecs, words.phone.type
    for codec in codecs:
        if flavor.CODEC_NAMES and codec not in flavor.CODEC_NAMES:
            yield f"CODEC_NAMES has no {codec}, which {phone_type} supports"
            return
    files = [file for file in flavor.FILES if file.audience is Audience.DEVICE]
    lines = tuple(replace(line, codecs=codecs[::-1]) for line in words.lines)
    other = replace(words, lines=lines)
    changed = (_text(flavor, file, words) != _text(flavor, file, other) for file in files)
    if ordered and files and len(codecs) > 1 and not any(changed):
        yield f"{phone_type}: no file tells which codec is preferred"


def _text(flavor: PhoneFlavor, file: ProvisioningFile, words: Vocabulary) -> str | None:
    try:
        return sample.render(flavor, file, words)
    except TemplateFault:
        return None  # told elsewhere


def _link_faults(flavor: PhoneFlavor, words: Vocabulary) -> Iterator[str]:
    for link in flavor.links(words):
        if not link.label or re.search(r"[\s\x00-\x1f\x7f]", link.url):
            yield f"{words.phone.type}: a link has no label, or a blank in its URL: {link.label!r}"


def _name_faults(flavor: PhoneFlavor) -> Iterator[str]:
    mac, name = _example_mac(flavor), type(flavor).__name__.lower()
    for file in flavor.FILES:
        if "{token}" in file.pattern:
            continue
        own = file.name_for(mac, "100")
        alike = [each for each in flavor.FILES if each.match(own) and each.query == file.query]
        if alike[0] is not file:
            yield f"{own} is never {file.template}: {alike[0].pattern} comes before it"
        told = identify([(name, flavor)], Evidence(path=own, mac=mac))
        if told.flavor != name or ("{mac}" in file.pattern.lower() and told.mac != mac):
            yield f"{own} does not speak for {name}"


def _agent_faults(flavor: PhoneFlavor) -> Iterator[str]:
    for agent in _agents(flavor):
        before = time.process_time()
        identify([("it", flavor)], Evidence(user_agent=agent))
        if time.process_time() - before > _LONGEST_LOOK:
            yield f"IDENTIFICATION: {agent!r} takes too long"
            return  # what is longer still may take for ever


def _agents(flavor: PhoneFlavor) -> Iterator[str]:
    """Return user agents of which a regular expression may make too much, shorter ones first."""
    begins = ("", flavor.IDENTIFICATION.vendor, *flavor.IDENTIFICATION.names)
    length = 8
    while length <= _LONGEST_AGENT:
        for begin in begins:
            yield from (begin + more for more in _AGENTS)
            yield from (begin + (more * length)[:length] for more in _REPEATED)
        length += 1 + length // 6


def _example_mac(flavor: PhoneFlavor) -> str:
    return f"{min(flavor.IDENTIFICATION.ouis, default='02ab4c')}7f0001"[:12].ljust(12, "0")
