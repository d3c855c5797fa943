"""A phone's temporary account, as the tables have it before the phone is claimed."""

from sqlalchemy.orm import Session

from muru.asterisk.dialplan import CLAIM
from muru.db.realtime import PsAor, PsAuth, PsEndpoint
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
