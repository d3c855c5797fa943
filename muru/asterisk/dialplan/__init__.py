"""Names in the dialplan that asterisk_conf/extensions.conf sets up."""

#: The context that rings the phones registered for the SIP account of the dialled number.
DIAL_SIP = "muru-sip"

#: The same, but the caller hears a class of music on hold: RINGBACK and the number.
DIAL_SIP_RINGBACK = f"{DIAL_SIP}-ringback"

#: Begins of the classes of music on hold that extensions have, each before its number.
RINGBACK, ON_HOLD = "muru-ringback-", "muru-moh-"

#: The context of phones that nobody has claimed yet. A token of 12 digits that is dialled there
#: enters ``Stasis(muru,claim,<endpoint>,<digits>)``.
CLAIM = "muru-claim"

#: After so many seconds a claim's call ends, whatever became of muru.
CLAIM_SECONDS = 90

#: The context with what the self-test of a phone needs. Its extension ``echo`` sends back what it
#: hears.
SELFTEST = "muru-selftest"

#: The context of a call from the web, once one's own phone has answered: it calls the number as the
#: phone itself would, and says so if there is no such.
WEB = "muru-web"

#: The Stasis application of muru's: what the dialplan hands over to ``muru.asterisk.ari``.
STASIS = "muru"

#: The endpoint in whose name Asterisk sends a NOTIFY to a single contact.
OUTBOUND = "muru-outbound"
