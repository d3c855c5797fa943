"""Adding a phone, connecting it, and seeing how it is."""

import pytest

from tests.conftest import World, configured
from tests.web.conftest import Visitor
from tests.web.pages import FLAVORS


@configured(enabled_phone_flavors=FLAVORS)
@pytest.mark.parametrize("phone_type", ["SIP", "Snom D785", "Call group", "Dummy", "Linphone"])
async def test_form_is_made_of_what_the_type_has(visitor: Visitor, phone_type: str) -> None:
    """Each type has its own form, which is good to be sent as it is but for the name."""
    await visitor.log_in()
    page = f"/phones/add?type={phone_type}"
    answer = await visitor.get(page)
    assert answer.status == 200, answer.seen

    done = await visitor.submit(page, "/phones/add", name="Mine")

    assert done.status == 200
    assert done.url.path.startswith("/phones/")
    assert "Mine" in done.seen
