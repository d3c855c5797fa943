"""A phone's temporary account, and who takes its calls in the place of muru's claim."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr
from sqlalchemy.orm import Session

from muru.asterisk.ari import Ari
from muru.asterisk.dialplan import CLAIM
from muru.db.realtime import PsAor, PsAuth, PsEndpoint
from muru.keys import ARI
from tests.conftest import Stack
from tests.sip import Account

PASSWORD = "temporary"


async def create_temporary(stack: Stack, name: str) -> Account:
    """Writes the account; not as muru's own, so that no comparison with the extensions minds it."""
    rows = [
        PsEndpoint(
            id=name,
            aors=name,
            auth=name,
            context=CLAIM,
            disallow="all",
            allow="alaw",
            callerid='"New phone" <0>',
            allow_overlap="no",
            codec_prefs_incoming_offer="prefer: configured, operation: intersect, keep: first",
            codec_prefs_outgoing_offer="prefer: configured, operation: intersect, keep: all",
            dtmf_mode="rfc4733",
            webrtc="no",
            direct_media="no",
            force_rport="yes",
            rewrite_contact="yes",
            rtp_symmetric="yes",
        ),
        PsAuth(id=name, auth_type="userpass", username=name, password=PASSWORD),
        PsAor(
            id=name,
            max_contacts=1,
            remove_existing="yes",
            qualify_frequency=0,
            minimum_expiration=60,
            default_expiration=600,
            maximum_expiration=3600,
        ),
    ]

    def write(own: Session, asterisk: Session) -> None:
        del own
        asterisk.add_all(rows)

    async with stack.site.database.transaction() as transaction:
        await transaction.run(write)
    return Account(name, PASSWORD)


@asynccontextmanager
async def own_ari(stack: Stack, **more: Any) -> AsyncIterator[Ari]:
    """A client without handlers, to which all calls come instead of to the application's."""
    await stack.app[ARI].stop()
    ari = Ari(
        host="127.0.0.1",
        port=stack.settings.asterisk_http_port,
        username="muru",
        secret=SecretStr("ari secret"),
        **more,
    )
    await ari.start()
    try:
        assert await ari.wait_connected(10)
        yield ari
    finally:
        await ari.stop()
