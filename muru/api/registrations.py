"""Which phone is registered, from where."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel

from muru.api.routing import Call, Endpoints
from muru.asterisk.registrations import Contact
from muru.keys import REGISTRATIONS
from muru.services import extensions

endpoints = Endpoints()


class ContactView(BaseModel):
    """One phone that is registered. *status* is ``unknown`` until Asterisk asked it, if it does."""

    extension: str
    uri: str
    address: str | None
    user_agent: str | None
    status: str
    rtt_ms: float | None
    since: datetime
    expires_at: datetime | None

    @classmethod
    def of(cls, contact: Contact) -> Self:
        return cls(**{name: getattr(contact, name) for name in cls.model_fields})


@endpoints.get("/registrations")
async def list_registrations(call: Call) -> list[ContactView]:
    """List one row per registered phone: of one's own extensions, for administrators of all."""
    registrations = call.request.config_dict[REGISTRATIONS]
    if call.actor.is_admin:
        found = registrations.contacts()
    else:
        own = await extensions.numbers_of(call.site, call.actor)
        found = [contact for number in own for contact in registrations.contacts(number)]
    return [ContactView.of(contact) for contact in found]
