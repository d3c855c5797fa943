"""What a registered phone is, by the user agent that it tells Asterisk."""

from functools import lru_cache

from muru.provisioning.identification import Evidence, Identified, identify
from muru.registry import Registry

_KEPT = 2_000  # different user agents; a site has a few dozen


class UserAgents:
    """Identifies phones by the flavors that are active; what was found is kept, within bounds."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._identify = lru_cache(_KEPT)(self._ask_flavors)

    def identify(self, user_agent: str | None) -> Identified:
        """Return vendor, model and firmware, as far as *user_agent* tells. Never raises."""
        return self._identify(user_agent) if user_agent else Identified()

    def _ask_flavors(self, user_agent: str) -> Identified:
        flavors = [(entry.name, flavor) for entry, flavor in self._registry.active()]
        return identify(flavors, Evidence(user_agent=user_agent))
