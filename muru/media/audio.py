"""Sounds, by libsndfile and soxr, block by block. Runs in the worker."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from muru.media import Refused

HIGHEST_RATE = 48_000  # hertz, of what is kept
_RATES = range(4_000, 192_001)
_MOST_CHANNELS = 8
_BLOCK = 16_384  # frames
_SLACK = 0.5  # seconds that the header of a whole file may be wrong
_NAMES = {"wav": {"WAV", "WAVEX", "RF64"}, "aiff": {"AIFF"}, "mp3": {"MP3"}}
_FINE = {"PCM_24", "PCM_32", "FLOAT", "DOUBLE"}
_SUBTYPES = {
    ("wav", 8): "PCM_U8",
    ("flac", 8): "PCM_S8",
    ("wav", 16): "PCM_16",
    ("flac", 16): "PCM_16",
    ("wav", 24): "PCM_24",
    ("flac", 24): "PCM_24",
    ("wav", 32): "PCM_32",
}
_CODED = {"gsm": ("RAW", "GSM610"), "ogg": ("OGG", "VORBIS"), "mp3": ("MP3", "MPEG_LAYER_III")}

Block = NDArray[np.float32]


class _Stream(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A file that is read once, from its begin to its end."""

    def seekable(self) -> bool:
        """Keep soundfile from seeking after each block: an MP3 loses a moment by that."""
        return False


def store(source: Path, target: Path, format_: str, *, seconds: float) -> dict[str, Any]:
    """Write the sound in *source*, of *seconds* at most, as FLAC to *target*.

    Raises:
        Refused: it is too long, cut off, or no sound.
    """
    with _Stream(source) as sound:
        _check(sound, format_, seconds)
        rate, channels = min(sound.samplerate, HIGHEST_RATE), min(sound.channels, 2)
        subtype = "PCM_24" if sound.subtype in _FINE else "PCM_16"
        with soundfile.SoundFile(target, "w", rate, channels, subtype, format="FLAC") as out:
            read = _copy(sound, out, most=int(seconds * sound.samplerate))
        if read + _SLACK * sound.samplerate < sound.frames:
            raise Refused("is cut off")
        if not read:
            raise Refused("has no sound in it")
        length = read / sound.samplerate
    return {"seconds": round(length, 3), "samplerate": rate, "channels": channels}


def convert(
    source: Path, target: Path, *, out_type: str, samplerate: int, channels: int, bitdepth: int
) -> dict[str, Any]:
    """Write the FLAC in *source* in another format: see :class:`muru.flavor.AudioFormat`."""
    container, subtype = _CODED.get(out_type) or (
        out_type.upper(),
        _SUBTYPES[out_type, bitdepth],
    )
    with (
        _Stream(source) as sound,
        soundfile.SoundFile(target, "w", samplerate, channels, subtype, format=container) as out,
    ):
        read = _copy(sound, out)
        return {"seconds": read / sound.samplerate, "samplerate": samplerate, "channels": channels}


def _check(sound: soundfile.SoundFile, format_: str, seconds: float) -> None:
    if sound.format not in _NAMES.get(format_, {format_.upper()}):
        raise Refused("is not what it looks like")
    if sound.samplerate not in _RATES:
        raise Refused(f"has a sample rate of {sound.samplerate} Hz")
    if sound.channels > _MOST_CHANNELS:
        raise Refused(f"has {sound.channels} channels")
    if sound.frames > seconds * sound.samplerate:
        raise Refused(f"is longer than {seconds:g} seconds")


def _copy(sound: soundfile.SoundFile, out: soundfile.SoundFile, most: int | None = None) -> int:
    """Write all of *sound* with the rate and channels of *out*; return the frames read."""
    resampler = None
    if sound.samplerate != out.samplerate:
        resampler = soxr.ResampleStream(
            sound.samplerate, out.samplerate, out.channels, dtype="float32"
        )
    read = 0
    for block, last in _blocks(sound):
        read += len(block)
        if most is not None and read > most:
            raise Refused("is longer than its header says")
        mixed = _mix(np.clip(np.nan_to_num(block), -1.0, 1.0), out.channels)
        if resampler is not None:
            mixed = np.clip(resampler.resample_chunk(mixed, last=last), -1.0, 1.0)
        out.write(mixed)
    return read


def _blocks(sound: soundfile.SoundFile) -> Iterator[tuple[Block, bool]]:
    block = sound.read(_BLOCK, dtype="float32", always_2d=True)
    while len(block):
        following = sound.read(_BLOCK, dtype="float32", always_2d=True)
        yield block, not len(following)
        block = following


def _mix(block: Block, channels: int) -> Block:
    if block.shape[1] == channels:
        return block
    if channels == 1:
        mean: Block = block.mean(axis=1, keepdims=True, dtype=np.float32)
        return mean
    if block.shape[1] == 1:
        return np.repeat(block, channels, axis=1)
    return np.ascontiguousarray(block[:, :channels])
