"""Where flavors and templates lie: those that come with muru, and those that others offer."""

from collections.abc import Collection
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

ENTRY_POINT_GROUP = "muru.flavors"

_PACKAGE = Path(__file__).parent


def bundled(name: str) -> Path:
    """Return the folder *name* (``flavors``, ``provisioning_templates``, ``asterisk_conf``).

    A wheel carries the three folders inside the package as ``muru/_bundled/``; a checkout has them
    beside it.
    """
    packaged = _PACKAGE / "_bundled" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


def template_folders(flavors: Collection[str]) -> list[Path]:
    """Return the folders ``templates`` beside the modules of *flavors* that distributions offer.

    The modules themselves are not imported; one that cannot be found has no folder.
    """
    folders = []
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        if point.name in flavors:
            try:
                spec = find_spec(point.module)
            except Exception:  # noqa: S112  # of a package above it; told when it is imported
                continue
            if spec is not None and spec.origin is not None:
                folders.append(Path(spec.origin).parent / "templates")
    return folders
