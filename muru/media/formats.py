"""How a format is named in a file's suffix and over HTTP, and which formats there are."""

from dataclasses import asdict
from typing import Any

from muru.flavor import AudioFormat, ImageFormat, MediaType

#: What is kept of an upload, by type.
KEPT = {MediaType.IMAGE: "png", MediaType.AUDIO: "flac", MediaType.RAW: "bin"}

BYTES = "application/octet-stream"
_CONTENT_TYPES = {
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "tiff": "image/tiff",
    "webp": "image/webp",
    "flac": "audio/flac",
    "gsm": "audio/x-gsm",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
}
_SUFFIXES = {"jpeg": "jpg", "tiff": "tif"}
_MP3_RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}
_BIT_DEPTHS = {"wav": {8, 16, 24, 32}, "flac": {8, 16, 24}}
_LARGEST = 4096  # pixels


def content_type(name: str) -> str:
    """Return the type for HTTP of a format; what nobody looked into is just bytes."""
    return _CONTENT_TYPES.get(name, BYTES)


def suffix(name: str) -> str:
    """Return the usual ending of a file's name, without a dot."""
    return _SUFFIXES.get(name, name)


def options(format_: ImageFormat | AudioFormat) -> dict[str, Any]:
    """Return *format_* as the worker takes it."""
    return asdict(format_)


def fault_of(format_: ImageFormat | AudioFormat) -> str | None:
    """Return why nothing can be written in this format, None if all is well."""
    if isinstance(format_, ImageFormat):
        return _fault_of_image(format_)
    return _fault_of_audio(format_)


def _fault_of_image(format_: ImageFormat) -> str | None:
    if format_.out_type not in {"avif", "bmp", "gif", "jpeg", "png", "tiff", "webp"}:
        return f"there is no image format {format_.out_type!r}"
    if format_.colormode not in {"1", "L", "RGB"}:
        return f"there is no colormode {format_.colormode!r}"
    for side in (format_.width, format_.height):
        if side is not None and not (type(side) is int and 1 <= side <= _LARGEST):
            return f"width and height are 1 to {_LARGEST} pixels"
    return None


def _fault_of_audio(format_: AudioFormat) -> str | None:
    kind, rate = format_.out_type, format_.samplerate
    faults = {
        f"there is no audio format {kind!r}": kind not in {"gsm", "wav", "ogg", "mp3", "flac"},
        "a samplerate is 4000 to 192000 hertz": type(rate) is not int
        or not 4000 <= rate <= 192_000,
        "there are 1 or 2 channels": format_.channels not in {1, 2},
        "gsm has 8000 hertz and one channel": kind == "gsm"
        and (rate, format_.channels) != (8000, 1),
        f"mp3 has no samplerate of {rate} hertz": kind == "mp3" and rate not in _MP3_RATES,
        f"{kind} has no bitdepth of {format_.bitdepth}": kind in _BIT_DEPTHS
        and format_.bitdepth not in _BIT_DEPTHS[kind],
    }
    return next((fault for fault, holds in faults.items() if holds), None)
