"""What a user agent tells, asked of the flavors once."""

import pytest

from muru.provisioning.identification import Candidates, Evidence, Identified, identify
from muru.registry import discover
from muru.services import user_agents
from muru.services.user_agents import UserAgents
from muru.settings import Settings


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The user agents that flavors were asked for."""
    found: list[str] = []

    def note(candidates: Candidates, evidence: Evidence) -> Identified:
        found.append(evidence.user_agent)
        return identify(candidates, evidence)

    monkeypatch.setattr(user_agents, "identify", note)
    return found


async def test_user_agent_is_identified_once(asked: list[str]) -> None:
    """Thousands of phones of one kind cost one look; one that tells nothing costs none."""
    agents = UserAgents(discover(Settings(enabled_phone_flavors=["sip", "snom"])))

    for _ in range(1000):
        told = agents.identify("snomD735/10.1.54.13")
        assert (told.vendor, told.model, told.firmware) == ("Snom", "D735", "10.1.54.13")
        assert agents.identify(None) == agents.identify("") == Identified()

    assert asked == ["snomD735/10.1.54.13"]


async def test_user_agents_are_bounded(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Phones that tell something else each time fill no memory."""
    monkeypatch.setattr(user_agents, "_KEPT", 10)
    agents = UserAgents(discover(Settings(enabled_phone_flavors=["sip"])))
    for number in [*range(50), 49, 0]:
        agents.identify(f"phone/{number}")

    assert agents._identify.cache_info().currsize == 10
    assert len(asked) == 51
