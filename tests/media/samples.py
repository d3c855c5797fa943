"""Pictures and sounds to upload, made on the spot."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from muru.media.library import Library, Prepared
from tests.conftest import Api

RED, GREEN, BLUE, YELLOW = (220, 20, 20), (20, 180, 20), (20, 20, 220), (230, 230, 20)
QUARTERS = (RED, GREEN, BLUE, YELLOW)


async def adopted(library: Library, upload: Path) -> Prepared:
    """Have an upload kept, as the service does."""
    async with library.prepared(upload) as prepared:
        await library.adopt(prepared)
    return prepared


def quarters(width: int = 400, height: int = 300, mode: str = "RGB") -> Image.Image:
    """Return a picture of four colours: red and green above, blue and yellow below."""
    image = Image.new("RGB", (width, height))
    for at, colour in enumerate(QUARTERS):
        left, top = at % 2 * width // 2, at // 2 * height // 2
        image.paste(colour, (left, top, left + (width + 1) // 2, top + (height + 1) // 2))
    return image.convert(mode)


def picture(format_: str = "PNG", image: Image.Image | None = None, **options: Any) -> bytes:
    """Return a picture as a file of that format."""
    file = io.BytesIO()
    (image or quarters()).save(file, format_, **options)
    return file.getvalue()


def tone(
    format_: str = "WAV",
    subtype: str | None = None,
    *,
    seconds: float = 2.0,
    rate: int = 44100,
    channels: int = 1,
    hertz: float = 440.0,
) -> bytes:
    """Return a tone as a file of that format."""
    times = np.arange(int(seconds * rate)) / rate
    wave = 0.5 * np.sin(2 * math.pi * hertz * times)
    file = io.BytesIO()
    soundfile.write(file, np.column_stack([wave] * channels), rate, subtype, format=format_)
    return file.getvalue()


def strongest(samples: "np.ndarray[Any, Any]", rate: int) -> float:
    """Return the strongest frequency, to a hertz or two."""
    flat = samples if samples.ndim == 1 else samples[:, 0]
    spectrum = np.abs(np.fft.rfft(flat * np.hanning(len(flat))))
    return float(np.argmax(spectrum)) * rate / len(flat)


def silence(seconds: float, rate: int = 8000) -> bytes:
    """Return silence as a WAV file."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(int(seconds * rate), "int16"), rate, "PCM_16", format="WAV")
    return file.getvalue()


async def upload(
    api: Api, content: Any, name: str = "Medium", *, status: int = 201, **query: str
) -> Any:
    """Upload a file, and return the answer."""
    headers = {"Authorization": f"Bearer {api.token}"}
    if isinstance(content, bytes):
        content = io.BytesIO(content)
    async with api.client.post(
        "/api/v1/media", data=content, params={"name": name, **query}, headers=headers
    ) as response:
        answer = await response.json(content_type=None)
        assert response.status == status, answer
        return answer
