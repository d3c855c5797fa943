"""Files that are broken, or made to break what reads them."""

import asyncio
import io
import math
import os
import random
import resource
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from PIL import Image

from muru.errors import Unavailable
from muru.flavor import AudioFormat, ImageFormat
from muru.media import Refused, converter
from muru.media.converter import Converter
from muru.media.library import Library
from muru.media.worker import MEMORY, Job
from muru.settings import Settings
from tests.media.samples import adopted, picture, quarters, silence, strongest, tone

CHILDREN = resource.RUSAGE_CHILDREN
NOT_TAKEN = "is neither a picture"
CUT_OFF = "is cut off"
DAMAGED = "is damaged"
BEHIND = "has something else behind"
TOO_LARGE = "has more than 50 million pixels"
TOO_LONG = "is longer than"
ANY = ""
PICTURES = ("png", "jpeg", "gif", "bmp", "tiff", "webp", "avif")
SOUNDS = ("wav", "flac", "ogg", "aiff")
NOISE = random.Random(7)
HTML = b"<html><script>alert(1)</script></html>"
ZIP = b"PK\x03\x04" + bytes(26) + b"PK\x05\x06" + bytes(18)
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"


def chunk(name: bytes, data: bytes = b"") -> bytes:
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(width: int, height: int, *chunks: bytes, bits: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND")


def png_bomb(side: int) -> bytes:
    """Return a picture whose pixels take much more memory than the file has bytes."""
    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * side)
    return png(
        side,
        side,
        chunk(b"IDAT", b"".join(packer.compress(row) for _ in range(side)) + packer.flush()),
    )


def with_size(content: bytes, at: int, size: int, order: str = "<I") -> bytes:
    return content[:at] + struct.pack(order, size) + content[at + 4 :]


def wav(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WAVE" + b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def fmt(code: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16) -> tuple[bytes, bytes]:
    block = channels * bits // 8
    return b"fmt ", struct.pack(
        "<HHIIHH", code, channels, rate & 0xFFFFFFFF, rate * block & 0xFFFFFFFF, block, bits
    )


def hostile() -> Iterator[tuple[str, bytes, str]]:
    """Yield a name, a file, and the begin of the reason why it is refused (ANY: some reason)."""
    yield "empty", b"", "is empty"
    yield "one byte", b"\x89", NOT_TAKEN
    yield "zeros", bytes(100_000), NOT_TAKEN
    yield "ones", b"\xff" * 100_000, NOT_TAKEN
    yield "noise", b"\x00" + NOISE.randbytes(100_000), NOT_TAKEN
    others = {
        "html": HTML,
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
        "zip": ZIP,
        "pdf": PDF,
        "elf": b"\x7fELF" + bytes(100),
        "exe": b"MZ" + bytes(100),
        "php": b"<?php ?>",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n",
        "xml": b'<?xml version="1.0"?><!DOCTYPE x>',
        "mp4": b"\0\0\0\x18ftypmp42" + bytes(100),
        "midi": b"MThd" + bytes(100),
        "psd": b"8BPS" + bytes(100),
        "ico": b"\0\0\1\0" + bytes(100),
        "gzip": b"\x1f\x8b" + bytes(100),
        "text": b"a tone\n" * 100,
        "playlist": b"#EXTM3U\nfile:///etc/passwd\n",
        "avi": b"RIFF\0\0\0\0AVI " + bytes(100),
        "matroska": b"\x1a\x45\xdf\xa3" + bytes(100),
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0" + bytes(100),
    }
    for name, content in others.items():
        yield name, content, NOT_TAKEN
        padded = content + picture("PNG")
        yield f"{name}, then a picture", padded, NOT_TAKEN
    pictures = {name: picture(name) for name in PICTURES}
    sounds = {name: tone(name) for name in SOUNDS}
    for name, content in {**pictures, **sounds}.items():
        for part in (0.5, 0.05):
            yield f"{name}, {part:%} of it", content[: int(len(content) * part)], ANY
        yield f"{name}, the begin alone", content[:64], ANY
        holes = bytearray(content)
        if name not in {"bmp", "wav", "aiff", "tiff", "jpeg"}:  # where any bytes are samples
            holes[len(holes) // 3 : len(holes) // 2] = NOISE.randbytes(
                len(holes) // 2 - len(holes) // 3
            )
            yield f"{name} with other bytes in it", bytes(holes), ANY
    for name in ("png", "gif", "webp", "bmp", "wav", "aiff"):
        content = {**pictures, **sounds}[name]
        yield f"{name}, then a page", content + HTML, BEHIND
        yield f"{name}, then an archive", content + ZIP, BEHIND
    yield "png bomb", png_bomb(9000), TOO_LARGE
    yield (
        "png, sides that overflow",
        png(2**31 - 1, 2**31 - 1, chunk(b"IDAT", zlib.compress(b""))),
        ANY,
    )
    yield "png without a side", png(0, 10, chunk(b"IDAT", zlib.compress(b""))), ANY
    yield "png without pixels", png(100, 100), ANY
    yield "png of sixteen bits, no depth", png(10, 10, chunk(b"IDAT", b"x"), bits=13), ANY
    yield (
        "png with a bomb of text",
        png(
            4, 4, chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(200_000_000))), chunk(b"IDAT", b"")
        ),
        ANY,
    )
    yield (
        "png with a bomb of a profile",
        png(
            4, 4, chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(200_000_000))), chunk(b"IDAT", b"")
        ),
        ANY,
    )
    yield (
        "gif, huge screen",
        b"GIF89a" + struct.pack("<HH", 65535, 65535) + pictures["gif"][10:],
        ANY,
    )
    yield "bmp, huge", with_size(with_size(pictures["bmp"], 18, 60000), 22, 60000), ANY
    yield "bmp, negative", with_size(pictures["bmp"], 18, 0x80000000), ANY
    yield "tiff, a loop of pages", b"II*\0\x08\0\0\0\x00\x00\x08\0\0\0" + bytes(40), ANY
    yield (
        "tiff, huge",
        picture("TIFF", Image.new("1", (20000, 20000)), compression="group4"),
        TOO_LARGE,
    )
    yield (
        "webp, huge canvas",
        pictures["webp"][:12] + b"VP8X\x0a\0\0\0" + b"\0" * 4 + b"\xff" * 6,
        ANY,
    )
    yield "avif of nothing", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(200), ANY
    yield (
        "jpeg of 65535 pixels a side",
        pictures["jpeg"].replace(struct.pack(">HH", 300, 400), struct.pack(">HH", 65535, 65535), 1),
        TOO_LARGE,
    )
    yield "an hour", tone("FLAC", seconds=3600, rate=4000, hertz=100), TOO_LONG
    yield "an hour of silence", silence(3600), TOO_LONG
    yield "an hour of ogg", tone("OGG", "OPUS", seconds=660, rate=8000), TOO_LONG
    yield "wav without samples", wav(fmt(), (b"data", b"")), ANY
    yield "wav without a format", wav((b"data", bytes(1000))), ANY
    yield "wav of no channels", wav(fmt(channels=0), (b"data", bytes(1000))), ANY
    yield "wav of 1000 channels", wav(fmt(channels=1000), (b"data", bytes(100_000))), ANY
    yield "wav of 0 Hz", wav(fmt(rate=0), (b"data", bytes(1000))), ANY
    yield "wav of 2 Hz", wav(fmt(rate=2), (b"data", bytes(1000))), ANY
    yield "wav of 4 GHz", wav(fmt(rate=4_000_000_000), (b"data", bytes(1000))), ANY
    yield "wav of no known kind", wav(fmt(code=0x1234), (b"data", bytes(1000))), ANY
    yield "mp3, tag alone", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(1000), ANY
    yield "mp3, a frame of noise", b"\xff\xfb\x90\x64" + NOISE.randbytes(300), ANY


FILES = list(hostile())


async def test_hostile_files_are_refused(settings: Settings, tmp_path: Path) -> None:
    """Each of more than a hundred is refused with its reason, and none takes much memory."""
    library = Library(settings)

    async def refusal(at: int, content: bytes) -> str | None:
        path = tmp_path / str(at)
        path.write_bytes(content)
        try:
            await adopted(library, path)
        except Refused as refused:
            return str(refused)
        return None

    reasons = await asyncio.gather(*(refusal(at, each[1]) for at, each in enumerate(FILES)))

    assert len(FILES) >= 100
    wrong = {
        name: reason
        for (name, _, expected), reason in zip(FILES, reasons, strict=True)
        if reason is None or not reason.startswith(expected)
    }
    assert wrong == {}
    # A process begins as a copy of the one that starts it.
    own, peak = (
        resource.getrusage(each).ru_maxrss * 1024 for each in (resource.RUSAGE_SELF, CHILDREN)
    )
    assert peak <= max(MEMORY, own)
    folder = settings.data_dir / "media"
    assert [path for path in folder.rglob("*") if path.is_file()] == []


async def test_picture_with_an_archive_behind_it(settings: Settings, tmp_path: Path) -> None:
    """Of a JPEG, which cameras make longer, nothing but the picture is kept."""
    library, path = Library(settings), tmp_path / "upload"
    path.write_bytes(picture("JPEG") + ZIP + HTML)

    kept = await adopted(library, path)

    for format_ in (None, ImageFormat("jpeg"), ImageFormat("gif")):
        content = (await library.get(kept.digest, format_)).read_bytes()
        assert b"PK\x05\x06" not in content
        assert b"<script" not in content


async def test_large_photograph(settings: Settings, tmp_path: Path) -> None:
    """A picture as today's cameras make it is taken, and made smaller."""
    library, path = Library(settings), tmp_path / "upload"
    path.write_bytes(picture("JPEG", quarters(8000, 6000), quality=80))

    kept = await adopted(library, path)

    assert kept.details == {"width": 2048, "height": 1536, "mode": "RGB"}


async def test_longest_sound(settings: Settings, tmp_path: Path) -> None:
    """One as long as is allowed is taken, and one that is a little longer is not."""
    library, path = Library(settings), tmp_path / "upload"
    path.write_bytes(silence(settings.media_max_seconds))
    assert (await adopted(library, path)).details["seconds"] == settings.media_max_seconds

    path.write_bytes(silence(settings.media_max_seconds + 1))
    with pytest.raises(Refused, match="is longer than 600 seconds"):
        await adopted(library, path)


async def test_conversion_that_never_ends(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its time is over a conversion is ended, and the next one has its turn."""
    monkeypatch.setattr(converter, "_TIMEOUT", 0.01)
    library, path = Library(settings), tmp_path / "upload"
    path.write_bytes(tone())
    with pytest.raises(Refused, match="too long"):
        await adopted(library, path)

    monkeypatch.undo()
    assert await adopted(library, path)


async def test_conversion_needs_too_much_memory(tmp_path: Path) -> None:
    """A worker has a bound on memory, whatever the file makes it allocate."""
    path = tmp_path / "upload"
    image = Image.new("1", (7000, 7000))
    path.write_bytes(picture("PNG", image))
    job = Job(
        "convert", "image", str(path), str(tmp_path / "out"),
        {"out_type": "png", "colormode": "RGB", "width": 4096 * 8, "height": 4096 * 8},
    )  # fmt: skip

    with pytest.raises(Refused, match="memory"):
        await Converter().run(job)


async def test_worker_knows_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of muru's environment is in that of the process that reads strangers' files."""
    monkeypatch.setenv("MURU_AMI_SECRET", "secret")
    job = Job("store", "image", "/proc/self/environ", "/dev/null", {"format_": "png"})

    with pytest.raises(Refused):
        await Converter().run(job)

    assert not {"MURU_AMI_SECRET", "HOME", "USER"} & converter._ENVIRONMENT.keys()


async def test_same_conversion_is_made_once(settings: Settings, tmp_path: Path) -> None:
    """When many phones ask for the same at the same moment, it is converted once."""
    library, path = Library(settings), tmp_path / "upload"
    path.write_bytes(tone())
    kept = await adopted(library, path)
    jobs: list[Job] = []
    run = library._converter.run

    async def counted(job: Job) -> object:
        jobs.append(job)
        return await run(job)

    library._converter.run = counted  # type: ignore[assignment,method-assign]
    found = await asyncio.gather(
        *(library.get(kept.digest, AudioFormat("wav")) for _ in range(50)),
        *(library.get(kept.digest, AudioFormat("wav", 16000)) for _ in range(50)),
    )

    assert len(jobs) == len(set(found)) == 2
    assert library._making == library._waiting == {}
    assert await library.get(kept.digest, AudioFormat("wav")) == found[0]
    assert len(jobs) == 2


async def test_what_was_made_is_bounded(settings: Settings, tmp_path: Path) -> None:
    """What was asked for longest ago goes, and is made again when somebody asks for it."""
    bounded = settings.model_copy(update={"media_cache_mb": 1})
    library, path = Library(bounded), tmp_path / "upload"
    path.write_bytes(tone(seconds=10))
    kept = await adopted(library, path)
    formats = [AudioFormat("wav", 16000 + 200 * at) for at in range(4)]  # 320 KB and more each

    first, second = [await library.get(kept.digest, each) for each in formats[:2]]
    changed = first.stat().st_mtime_ns
    await asyncio.sleep(0.02)
    assert await library.get(kept.digest, formats[0]) == first  # used again
    for each in formats[2:]:
        await asyncio.sleep(0.02)
        await library.get(kept.digest, each)

    assert first.exists()
    assert first.stat().st_mtime_ns == changed
    assert not second.exists()
    assert sum(each.stat().st_size for each in second.parent.iterdir()) <= 2**20
    samples, rate = soundfile.read(
        io.BytesIO((await library.get(kept.digest, formats[1])).read_bytes())
    )
    assert math.isclose(strongest(samples, rate), 440, abs_tol=2)


async def test_files_are_the_owners_alone(settings: Settings, tmp_path: Path) -> None:
    """Nobody else on the machine can read what people upload."""
    library, path = Library(settings), tmp_path / "upload"
    path.write_bytes(tone())
    kept = await adopted(library, path)
    made = await library.get(kept.digest, AudioFormat("wav"))

    for each in (await library.get(kept.digest), made):
        assert each.stat().st_mode & 0o777 == 0o600
        assert each.parent.stat().st_mode & 0o777 == 0o700


async def test_file_that_is_gone(settings: Settings) -> None:
    """A file that somebody deleted by hand is told as such."""
    with pytest.raises(Unavailable, match="gone"):
        await Library(settings).get("0" * 64, ImageFormat("png"))


async def test_sweep_deletes_what_is_left_over(settings: Settings, tmp_path: Path) -> None:
    """What a crash left behind goes once it is old; what is in use or new stays."""
    library = Library(settings)
    kept = []
    for hertz in (300, 400, 500):
        path = tmp_path / "upload"
        path.write_bytes(tone(hertz=hertz))
        kept.append(await library.get((await adopted(library, path)).digest))
    draft = kept[0].parent.with_name("incoming") / "draft"
    draft.write_bytes(b"x")
    for each in (kept[0], kept[1], draft):
        os.utime(each, (0, 0))

    await library.sweep({kept[0].name})

    assert [each.exists() for each in (*kept, draft)] == [True, False, True, False]
