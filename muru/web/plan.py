"""The operator's floor plan: a picture, and what places its corners have.

A place is ``{"lat": …, "lng": …}``: ``lat`` grows upwards, ``lng`` to the right, and both evenly.
``MURU_MAP_BOUNDS`` has the places of the lower left and of the upper right corner. So a plan can
have parts of its height and width (0 to 1, the default), metres, or degrees on the globe: at the
size of a site those are as good as even.
"""

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from muru.media.sniff import HEAD, sniff
from muru.settings import Settings

_log = logging.getLogger(__name__)

_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_SVG = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml|<!--|<!DOCTYPE svg|<svg\b)", re.IGNORECASE)
_STEPS = 10_000  # in which a place is told along each side: finer than anybody points


@dataclass(frozen=True, slots=True)
class Plan:
    """The floor plan in *path*, whose corners have the places *south*, *west*, *north*, *east*."""

    path: Path
    south: float
    west: float
    north: float
    east: float

    @classmethod
    def of(cls, settings: Settings) -> "Plan | None":
        """Return the plan of a site, if it has one; its picture may be missing."""
        if settings.map_image is None:
            return None
        return cls(settings.map_image, *settings.map_bounds)

    @property
    def version(self) -> str:
        """Is another one as soon as the picture is; empty if there is none at the moment."""
        try:
            found = self.path.stat()
        except OSError:
            return ""
        return f"{found.st_mtime_ns:x}-{found.st_size:x}"

    @property
    def decimals(self) -> int:
        """How many decimals of a place are worth telling."""
        side = min(self.north - self.south, self.east - self.west)
        return max(0, math.ceil(math.log10(_STEPS / side)))

    def media_type(self) -> str | None:
        """Return what the picture is by its content; None, and a line in the log: not to be shown.

        Blocks: it reads the file's first bytes.
        """
        try:
            with self.path.open("rb") as file:
                head = file.read(1024)
        except OSError as error:
            _log.warning("MURU_MAP_IMAGE cannot be read: %s", error)
            return None
        found = sniff(head[:HEAD])
        if found is not None and found.format in _TYPES:
            return _TYPES[found.format]
        if _SVG.match(head):
            return "image/svg+xml"
        _log.warning("MURU_MAP_IMAGE is no PNG, JPEG, WebP or SVG file")
        return None

    def spot(self, location: Mapping[str, float] | None) -> tuple[float, float] | None:
        """Return where a place is, in percent from the left and from above; None: not on it."""
        if location is None or not {"lat", "lng"} <= location.keys():
            return None
        x = (location["lng"] - self.west) / (self.east - self.west)
        y = (self.north - location["lat"]) / (self.north - self.south)
        if not (0 <= x <= 1 and 0 <= y <= 1):
            return None
        return round(100 * x, 3), round(100 * y, 3)
