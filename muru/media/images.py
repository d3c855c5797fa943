"""Pictures, by Pillow. Runs in the worker."""

import io
import warnings
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms, ImageOps

from muru.media import Refused

MOST_PIXELS = 50_000_000  # as many as a telephone's camera makes
LONGEST_SIDE = 2048  # of what is kept: no phone's display has more
_LONGEST_MADE = 4096
_WHITE = (255, 255, 255, 255)
_SAVE: dict[str, dict[str, Any]] = {
    "avif": {"quality": 80, "speed": 8},
    "jpeg": {"quality": 90},  # not progressive: many phones cannot show that
    "tiff": {"compression": "tiff_lzw"},
    "webp": {"quality": 90},
}


def store(source: Path, target: Path, format_: str) -> dict[str, Any]:
    """Write the picture in *source*, upright and without all else, as PNG to *target*.

    Raises:
        Refused: it is too large, or has no picture.
    """
    warnings.simplefilter("ignore")  # what is wrong with a file is told otherwise
    Image.MAX_IMAGE_PIXELS = None  # checked here, by a bound that does not depend on a warning
    with Image.open(source, formats=[format_.upper()]) as opened:
        if opened.width * opened.height > MOST_PIXELS:
            raise Refused(f"has more than {MOST_PIXELS // 1_000_000} million pixels")
        if format_ == "jpeg":  # decodes a large one smaller at once
            opened.draft(None, (LONGEST_SIDE, LONGEST_SIDE))
        opened.load()
        image = _in_srgb(_plain(ImageOps.exif_transpose(opened)), opened.info.get("icc_profile"))
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    _save(image, target, "png")
    return {"width": image.width, "height": image.height, "mode": image.mode}


def convert(
    source: Path,
    target: Path,
    *,
    out_type: str,
    colormode: str,
    width: int | None,
    height: int | None,
) -> dict[str, Any]:
    """Write the PNG in *source* in another format: see :class:`muru.flavor.ImageFormat`."""
    with Image.open(source, formats=["PNG"]) as opened:
        image = _on_white(opened)
    if width and height:
        image = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    elif width or height:
        image = image.resize(_kept_aspect(image, width, height), Image.Resampling.LANCZOS)
    image = image.convert(colormode)
    options = {"lossless": True} if out_type == "webp" and colormode == "1" else {}
    _save(image, target, out_type, **options)
    return {"width": image.width, "height": image.height, "mode": image.mode}


def _plain(image: Image.Image) -> Image.Image:
    """Return *image* in one of the modes 1, L, LA, RGB and RGBA."""
    if image.mode in {"1", "L", "LA", "RGB", "RGBA"} and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value / 256).convert("L")
    if image.mode in {"I", "F"}:
        raise Refused("has a kind of pixels that is not for pictures")
    has_alpha = "transparency" in image.info or image.mode in {"PA", "La", "RGBa"}
    return image.convert("RGBA" if has_alpha else "RGB")


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return *image* in the colours that phones expect; one without a profile has them."""
    if not profile or image.mode not in {"RGB", "RGBA"}:
        return image
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return (
            ImageCms.profileToProfile(
                image, own, ImageCms.createProfile("sRGB"), outputMode=image.mode
            )
            or image
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image  # a little off in colour is better than no picture


def _on_white(image: Image.Image) -> Image.Image:
    """Return *image* in L or RGB, so that it can be resized: no phone shows transparency."""
    if image.mode in {"LA", "RGBA"}:
        coloured = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), coloured).convert("RGB")
    return image.convert("L" if image.mode in {"1", "L"} else "RGB")


def _kept_aspect(image: Image.Image, width: int | None, height: int | None) -> tuple[int, int]:
    if width:
        size = width, max(1, round(image.height * width / image.width))
    else:
        assert height
        size = max(1, round(image.width * height / image.height)), height
    if max(size) > _LONGEST_MADE:
        raise Refused("is too long and narrow for this")
    return size


def _save(image: Image.Image, target: Path, out_type: str, **options: Any) -> None:
    image.info = {}  # comments, place, camera, profile
    if out_type == "jpeg" and image.mode == "1":
        image = image.convert("L")
    elif out_type in {"webp", "avif"}:
        image = image.convert("RGB")
    image.save(target, out_type.upper(), **(_SAVE.get(out_type, {}) | options))
