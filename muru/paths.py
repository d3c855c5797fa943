"""Where the bundled flavors, provisioning templates and Asterisk templates lie."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def bundled(name: str) -> Path:
    """Return the folder *name* (``flavors``, ``provisioning_templates``, ``asterisk_conf``).

    A wheel carries the three folders inside the package as ``muru/_bundled/``; a checkout has them
    beside it.
    """
    packaged = _PACKAGE / "_bundled" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name
