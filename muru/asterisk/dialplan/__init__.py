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

#: The subroutine that leaves in ``contacts`` where the phones of an account are, for Dial.
CONTACTS = "muru-contacts"

#: The context of call groups: an extension for each, and what rings their members.
GROUP = "muru-group"

#: The context by which a group rings a member: 1, three digits for seconds, and the number.
MEMBER = "muru-member"

#: So many groups may be within each other; a call ends at one more.
GROUP_DEPTH = 5

#: The context whose extension ``enter`` lets a caller into a conference, after its PIN.
CONFERENCE = "muru-conference"

#: How a conference sounds when somebody comes or goes: profiles of confbridge.conf.
CONFERENCE_SOUNDS = ("announced", "quiet")

#: The Stasis application of muru's: what the dialplan hands over to ``muru.asterisk.ari``.
STASIS = "muru"

#: The endpoint in whose name Asterisk sends a NOTIFY to a single contact.
OUTBOUND = "muru-outbound"
