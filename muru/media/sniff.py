"""What a file is by its content, whatever it is called."""

import struct
from collections.abc import Callable
from typing import IO, Literal, NamedTuple

from muru.media import Refused

Kind = Literal["audio", "image"]
HEAD = 64  # bytes that tell a file's format

_PNG = b"\x89PNG\r\n\x1a\n"
_IMAGES = {
    "png": (_PNG,),
    "jpeg": (b"\xff\xd8\xff",),
    "gif": (b"GIF87a", b"GIF89a"),
    "tiff": (b"II*\0", b"MM\0*"),
}
_AVIF_BRANDS = {b"avif", b"avis"}
_STREAMED = {0, 0xFFFFFFFF}  # lengths in a header that was written before the end was known
_PADDING = 16  # bytes behind the end that some programs leave
_EOS = 4  # flag of the last page of an Ogg stream
_LONGEST_PAGE = 27 + 255 + 255 * 255


class Sniffed(NamedTuple):
    """*format* is a name as in :class:`muru.flavor.ImageFormat`, or wav, flac, ogg, mp3, aiff."""

    kind: Kind
    format: str


def sniff(head: bytes) -> Sniffed | None:
    """Return what a file is that begins with *head*; None if it is nothing that muru takes."""
    image = _image(head)
    if image:
        return Sniffed("image", image)
    audio = _audio(head)
    return Sniffed("audio", audio) if audio else None


def check_end(file: IO[bytes], format_: str) -> None:
    """Check that a file ends where its format says.

    What ends earlier is cut off. What goes on is another file as well, to whoever reads it from its
    end, as ZIP and PDF are read. JPEG is spared: cameras put a second picture or a film there.

    Raises:
        Refused: it does not.
    """
    check = _ENDS.get(format_)
    if check is not None:
        size = file.seek(0, 2)
        file.seek(0)
        check(file, size)


def _image(head: bytes) -> str | None:
    for format_, begins in _IMAGES.items():
        if head.startswith(begins):
            return format_
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return "bmp"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, 48, 4))}
    return "avif" if head[4:8] == b"ftyp" and brands & _AVIF_BRANDS else None


def _audio(head: bytes) -> str | None:
    if head.startswith((b"RIFF", b"RF64")) and head[8:12] == b"WAVE":
        return "wav"
    if head.startswith(b"fLaC"):
        return "flac"
    if head.startswith(b"OggS"):
        return "ogg"
    if head.startswith(b"FORM") and head[8:12] in {b"AIFF", b"AIFC"}:
        return "aiff"
    return "mp3" if head.startswith(b"ID3") or _is_mp3_frame(head) else None


def _is_mp3_frame(head: bytes) -> bool:
    """Tell whether a frame of MPEG audio, layer III, begins here."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return False
    version, bitrate, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and bitrate not in {0, 15} and rate != 3


def _check_png(file: IO[bytes], size: int) -> None:
    at = len(_PNG)
    while True:
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            raise Refused("is cut off")
        length, name = struct.unpack(">I4s", header)
        at += 12 + length
        if name == b"IEND":
            break
    _check_size(at, size)


def _check_gif(file: IO[bytes], size: int) -> None:
    header = file.read(13)
    if len(header) < 13:
        raise Refused("is cut off")
    at = 13 + _colours(header[10])
    while (mark := _read(file, at, 1)) != b";":
        if mark == b"!":
            at += 2
        elif mark == b",":
            at += 10 + _colours(_read(file, at + 9, 1)[0]) + 1
        else:
            raise Refused("is damaged")
        while (length := _read(file, at, 1)[0]) != 0:
            at += 1 + length
        at += 1
    _check_size(at + 1, size)


def _colours(flags: int) -> int:
    """Return the size of the table of colours that a byte of flags announces."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _check_riff(file: IO[bytes], size: int) -> None:
    header = file.read(12)
    stated: int = struct.unpack("<I", header[4:8])[0]
    if stated not in _STREAMED and not header.startswith(b"RF64"):
        _check_size(8 + stated, size)


def _check_form(file: IO[bytes], size: int) -> None:
    _check_size(8 + struct.unpack(">I", file.read(8)[4:])[0], size)


def _check_bmp(file: IO[bytes], size: int) -> None:
    stated: int = struct.unpack("<I", file.read(6)[2:])[0]
    if stated:
        _check_size(stated, size)


def _check_ogg(file: IO[bytes], size: int) -> None:
    """Look for the last page of the stream: it has a flag, and nothing behind it."""
    start = max(0, size - _LONGEST_PAGE)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"OggS")
    page = tail[at:]
    if at < 0 or len(page) < 27 or not page[5] & _EOS:
        raise Refused("is cut off")
    segments = page[27 : 27 + page[26]]
    _check_size(start + at + 27 + len(segments) + sum(segments), size)


def _check_size(end: int, size: int) -> None:
    if size < end:
        raise Refused("is cut off")
    if size > end + _PADDING:
        raise Refused("has something else behind its end")


def _read(file: IO[bytes], at: int, count: int) -> bytes:
    file.seek(at)
    found = file.read(count)
    if len(found) < count:
        raise Refused("is cut off")
    return found


_ENDS: dict[str, Callable[[IO[bytes], int], None]] = {
    "png": _check_png,
    "gif": _check_gif,
    "bmp": _check_bmp,
    "webp": _check_riff,
    "wav": _check_riff,
    "aiff": _check_form,
    "ogg": _check_ogg,
}
