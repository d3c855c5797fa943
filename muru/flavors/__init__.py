"""The namespace under which every phone flavor is imported, wherever its file lies.

The bundled folder comes first; the registry appends the operator's ``MURU_FLAVOR_PATHS``.
"""

from muru.paths import bundled

__path__ = [str(bundled("flavors"))]
