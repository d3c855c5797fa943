"""The sounds that Asterisk plays by itself: each alone in a folder, named by its content.

So a class of music on hold is a folder, which never changes, and what Asterisk opens it does so
without a process: 16 kHz, which it takes to the codec of the call.
"""

import asyncio
import os
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from muru.errors import Unavailable
from muru.flavor import AudioFormat
from muru.media.library import Library
from muru.settings import Settings

FORMAT = AudioFormat("wav", samplerate=16000)

_NAME = "sound.wav16"  # the suffix tells Asterisk the rate
_OLD = 3600.0  # seconds after which a folder that nothing refers to is left over


async def place(library: Library, settings: Settings, digest: str) -> None:
    """Put a sound where Asterisk finds it, in a folder that is named like its digest.

    Raises:
        Refused, Unavailable: as :meth:`Library.get`.
    """
    folder = settings.asterisk_media / digest
    if not await asyncio.to_thread(_is_there, folder):
        made = await library.get(digest, FORMAT)
        await asyncio.to_thread(_put, made, folder)


async def sweep(settings: Settings, digests: Collection[str]) -> None:
    """Delete the folders that are none of *digests*, if they are no longer new."""
    await asyncio.to_thread(_sweep, settings.asterisk_media, frozenset(digests))


def _is_there(folder: Path) -> bool:
    try:
        os.utime(folder)  # it is about to be referred to
    except OSError:
        return False
    return (folder / _NAME).exists()


def _put(made: Path, folder: Path) -> None:
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        draft = folder / f".{os.getpid()}"
        shutil.copyfile(made, draft)
        draft.chmod(0o640)
        draft.replace(folder / _NAME)
    except OSError as error:
        raise Unavailable("Media cannot be written at the moment.") from error


def _sweep(root: Path, digests: frozenset[str]) -> None:
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.name not in digests and (folder / _NAME).exists() and _is_old(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_old(folder: Path) -> bool:
    try:
        return time.time() - folder.stat().st_mtime > _OLD
    except FileNotFoundError:
        return False
