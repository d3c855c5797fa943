"""Every format that goes in and every one that comes out is what it promises."""

import io
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pytest
import soundfile
from PIL import Image

from muru.flavor import AudioFormat, ImageFormat, MediaType
from muru.media import formats
from muru.media.library import Library, Prepared
from muru.media.sniff import HEAD, sniff
from muru.settings import Settings
from tests.media.samples import QUARTERS, adopted, picture, quarters, strongest, tone

Keep = Callable[[bytes], Any]

IMAGES_IN: dict[str, bytes] = {
    "avif": picture("AVIF", quality=95),
    "bmp": picture("BMP"),
    "bmp-1": picture("BMP", quarters(mode="1")),
    "gif": picture("GIF"),
    "jpeg": picture("JPEG", quality=95),
    "jpeg-cmyk": picture("JPEG", quarters(mode="CMYK"), quality=95),
    "jpeg-progressive": picture("JPEG", quality=95, progressive=True),
    "png": picture("PNG"),
    "png-grey": picture("PNG", quarters(mode="L")),
    "png-palette": picture("PNG", quarters().quantize(16)),
    "png-alpha": picture("PNG", quarters(mode="RGBA")),
    "tiff": picture("TIFF"),
    "tiff-lzw": picture("TIFF", compression="tiff_lzw"),
    "webp": picture("WEBP", lossless=True),
    "webp-lossy": picture("WEBP", quality=95),
}
SOUNDS_IN: dict[str, bytes] = {
    "wav": tone("WAV", "PCM_16"),
    "wav-8": tone("WAV", "PCM_U8"),
    "wav-24": tone("WAV", "PCM_24", channels=2),
    "wav-float": tone("WAV", "FLOAT", rate=96000),
    "wav-alaw": tone("WAV", "ALAW", rate=8000),
    "wav-six": tone("WAV", "PCM_16", channels=6),
    "flac": tone("FLAC", "PCM_16", rate=48000),
    "ogg": tone("OGG", "VORBIS"),
    "ogg-opus": tone("OGG", "OPUS", rate=48000),
    "mp3": tone("MP3", "MPEG_LAYER_III", channels=2),
    "aiff": tone("AIFF", "PCM_16", rate=22050),
}
OUT_TYPES = get_args(
    Literal["avif", "bmp", "gif", "jpeg", "png", "tiff", "webp"],
)


@pytest.fixture
def library(settings: Settings) -> Library:
    return Library(settings)


@pytest.fixture
def keep(library: Library, tmp_path: Path) -> Keep:
    """Return a function that has a file kept."""

    async def kept(content: bytes) -> Prepared:
        upload = tmp_path / "upload"
        upload.write_bytes(content)
        return await adopted(library, upload)

    return kept


@pytest.mark.parametrize("name", IMAGES_IN)
async def test_picture_of_each_format_is_kept(library: Library, keep: Keep, name: str) -> None:
    """Whatever format a picture has, its size and its colours are kept, as PNG."""
    kept = await keep(IMAGES_IN[name])

    assert kept.type is MediaType.IMAGE
    assert (kept.details["width"], kept.details["height"]) == (400, 300)
    with Image.open(await library.get(kept.digest)) as image:
        assert (image.format, image.size) == ("PNG", (400, 300))
        grey = name in {"png-grey", "bmp-1"}
        expected = quarters(mode="1" if name == "bmp-1" else "L" if grey else "RGB")
        assert_alike(image.convert("RGB"), expected.convert("RGB"), 30 if "cmyk" in name else 12)


@pytest.mark.parametrize("name", SOUNDS_IN)
async def test_sound_of_each_format_is_kept(library: Library, keep: Keep, name: str) -> None:
    """Whatever format a sound has, its length and its tone are kept, as FLAC."""
    kept = await keep(SOUNDS_IN[name])

    assert kept.type is MediaType.AUDIO
    assert kept.details["seconds"] == pytest.approx(2.0, abs=0.1)
    samples, rate = soundfile.read(await library.get(kept.digest))
    assert rate == kept.details["samplerate"] <= 48000
    assert len(samples) / rate == pytest.approx(2.0, abs=0.1)
    assert strongest(samples, rate) == pytest.approx(440, abs=2)
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(0.354, abs=0.02)


@pytest.mark.parametrize("colormode", ["1", "L", "RGB"])
@pytest.mark.parametrize("out_type", OUT_TYPES)
async def test_image_format_comes_out(
    library: Library, keep: Keep, out_type: Any, colormode: Any
) -> None:
    """Each type and mode has the size, the colours and no more colours than were asked for."""
    kept = await keep(picture())
    format_ = ImageFormat(out_type, colormode, width=128, height=96)

    made = await library.get(kept.digest, format_)

    with Image.open(made) as image:
        image.load()
        assert (image.format or "").lower() == out_type
        assert image.size == (128, 96)
        assert image.mode in modes(out_type, colormode)
        seen = image.convert("RGB")
    if colormode == "1":
        if out_type not in {"jpeg", "avif"}:  # which have no such mode, and lose a little
            assert set(seen.get_flattened_data()) == {(0, 0, 0), (255, 255, 255)}
    elif colormode == "L":
        red, green, blue = (np.asarray(band, int) for band in seen.split())
        assert max(np.abs(red - green).max(), np.abs(green - blue).max()) <= 4
        assert_alike(seen, quarters(128, 96).convert("L").convert("RGB"), 25)
    else:
        assert_alike(seen, quarters(128, 96), 25)


def modes(out_type: str, colormode: str) -> set[str]:
    """Return the modes in which Pillow reads what was asked for as *colormode*."""
    if out_type in {"webp", "avif"}:
        return {"RGB"}
    if out_type == "jpeg" and colormode == "1":
        return {"L"}
    if out_type == "gif":
        return {"L", "P", "1", "RGB"}
    return {colormode}


def assert_alike(image: Image.Image, expected: Image.Image, tolerance: int) -> None:
    """Check the colour in the middle of each quarter."""
    for x, y in product((0.25, 0.75), (0.25, 0.75)):
        at = round(image.width * x), round(image.height * y)
        found, wanted = image.getpixel(at), expected.getpixel(at)
        assert isinstance(found, tuple)
        assert isinstance(wanted, tuple)
        assert all(abs(a - b) <= tolerance for a, b in zip(found, wanted, strict=True)), at


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (200, None, (200, 150)),
        (None, 150, (200, 150)),
        (800, None, (800, 600)),
        (300, 300, (300, 300)),
        (480, 100, (480, 100)),
        (None, None, (400, 300)),
    ],
)
async def test_picture_is_cropped_not_stretched(
    library: Library, keep: Keep, width: int | None, height: int | None, size: tuple[int, int]
) -> None:
    """With one side the aspect is kept; with both it fills them, and a circle stays one."""
    circle = Image.new("L", (400, 300))
    for x, y in product(range(110, 290), range(60, 240)):
        if (x - 200) ** 2 + (y - 150) ** 2 < 40**2:
            circle.putpixel((x, y), 255)
    kept = await keep(picture("PNG", circle))

    made = await library.get(kept.digest, ImageFormat("png", "L", width, height))

    with Image.open(made) as image:
        assert image.size == size
        box = image.point(lambda value: 255 * (value > 127)).getbbox()
        assert box
        left, top, right, bottom = box
        assert right - left == pytest.approx(bottom - top, abs=2)


@pytest.mark.parametrize(
    "format_",
    [
        *(AudioFormat("wav", rate, 1, bits) for rate in (8000, 16000) for bits in (8, 16)),
        AudioFormat("wav", 48000, 2, 24),
        AudioFormat("wav", 44100, 2, 32),
        AudioFormat("gsm"),
        AudioFormat("ogg", 16000),
        AudioFormat("ogg", 48000, 2),
        AudioFormat("mp3", 8000),
        AudioFormat("mp3", 44100, 2),
        AudioFormat("flac", 8000, 1, 8),
        AudioFormat("flac", 16000, 1, 16),
        AudioFormat("flac", 48000, 2, 24),
    ],
    ids=str,
)
async def test_audio_format_comes_out(library: Library, keep: Keep, format_: AudioFormat) -> None:
    """Each type has the rate, the channels, the bits, the length and the tone asked for."""
    kept = await keep(tone("WAV", "PCM_16", channels=2))

    made = await library.get(kept.digest, format_)

    raw = {"samplerate": 8000, "channels": 1, "subtype": "GSM610", "format": "RAW"}
    with soundfile.SoundFile(made, **(raw if format_.out_type == "gsm" else {})) as sound:
        assert (sound.samplerate, sound.channels) == (format_.samplerate, format_.channels)
        assert sound.subtype == subtype(format_)
        samples = sound.read(3 * format_.samplerate, always_2d=True)
    assert len(samples) / format_.samplerate == pytest.approx(2.0, abs=0.15)
    assert strongest(samples, format_.samplerate) == pytest.approx(440, abs=2)


def subtype(format_: AudioFormat) -> str:
    """Return libsndfile's name."""
    coded = {"gsm": "GSM610", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}
    eight = {"wav": "PCM_U8", "flac": "PCM_S8"}
    if format_.out_type in coded:
        return coded[format_.out_type]
    return eight[format_.out_type] if format_.bitdepth == 8 else f"PCM_{format_.bitdepth}"


async def test_metadata_is_dropped(library: Library, keep: Keep) -> None:
    """Where a picture was taken, by whom and with what is not kept, but it stands upright."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned
    exif[0x010E] = "SECRET camera"
    exif.get_ifd(0x8825)[1] = "N"
    content = picture("JPEG", quarters(400, 300), exif=exif, comment=b"SECRET comment", quality=95)
    assert b"SECRET camera" in content

    kept = await keep(content)

    for path in (
        await library.get(kept.digest),
        *[await library.get(kept.digest, ImageFormat(each)) for each in ("jpeg", "png", "webp")],
    ):
        content = path.read_bytes()
        assert b"SECRET" not in content
        with Image.open(io.BytesIO(content)) as image:
            assert image.size == (300, 400)
            assert not image.getexif()
            found = image.convert("RGB").getpixel((75, 100))
            assert isinstance(found, tuple)
            assert max(abs(a - b) for a, b in zip(found, QUARTERS[2], strict=True)) < 25


async def test_tags_of_a_sound_are_dropped(library: Library, keep: Keep, tmp_path: Path) -> None:
    """Title and artist of a sound are not kept, nor made again."""
    path = tmp_path / "tagged.flac"
    path.write_bytes(tone("FLAC"))
    with soundfile.SoundFile(path, "w", 8000, 1, format="FLAC") as sound:
        sound.title = "SECRET title"
        sound.write(np.zeros(8000))
    assert b"SECRET" in path.read_bytes()

    kept = await keep(path.read_bytes())

    for found in (
        await library.get(kept.digest),
        await library.get(kept.digest, AudioFormat("ogg")),
        await library.get(kept.digest, AudioFormat("mp3")),
    ):
        assert b"SECRET" not in found.read_bytes()


async def test_transparency_is_white(library: Library, keep: Keep) -> None:
    """What is transparent shows white on phones, which know no transparency."""
    image = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    kept = await keep(picture("PNG", image))

    made = await library.get(kept.digest, ImageFormat("bmp"))

    with Image.open(made) as found:
        assert found.getpixel((20, 15)) == (255, 255, 255)


@pytest.mark.parametrize("name", [*IMAGES_IN, *SOUNDS_IN])
def test_content_tells_the_type(name: str) -> None:
    """A file's first bytes tell what it is."""
    content = {**IMAGES_IN, **SOUNDS_IN}[name]
    kind = "image" if name in IMAGES_IN else "audio"

    assert sniff(content[:HEAD]) == (kind, name.partition("-")[0])


@pytest.mark.parametrize(
    ("format_", "fault"),
    [
        (ImageFormat("png", "CMYK"), "colormode"),  # type: ignore[arg-type]
        (ImageFormat("pcx"), "image format"),  # type: ignore[arg-type]
        (ImageFormat("png", width=0), "pixels"),
        (ImageFormat("png", height=5000), "pixels"),
        (AudioFormat("gsm", 16000), "gsm"),
        (AudioFormat("gsm", 8000, 2), "gsm"),
        (AudioFormat("mp3", 10000), "mp3"),
        (AudioFormat("wav", bitdepth=12), "bitdepth"),
        (AudioFormat("flac", bitdepth=32), "bitdepth"),
        (AudioFormat("wav", 1), "samplerate"),
        (AudioFormat("wav", channels=6), "channels"),
        (AudioFormat("opus"), "audio format"),  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_format_that_there_is_not(format_: ImageFormat | AudioFormat, fault: str) -> None:
    """What nothing can be written in is told by name."""
    assert fault in (formats.fault_of(format_) or "")
