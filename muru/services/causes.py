"""Why a phone does not work: the table of causes, each with its texts.

*text* is for the person whose phone it is, who knows nothing of SIP: what is wrong, and what to do
next. *operator_text* is for the operator. Braces name facts of the link that is broken.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from muru.provisioning import mac as macs


@dataclass(frozen=True, slots=True)
class Cause:
    key: str
    text: str
    operator_text: str


_ALL = (
    Cause(
        "flavor-faulty",
        "Phones of this type cannot be used at the moment. Tell the operator.",
        "No active flavor has the type {type!r}. Faulty are: {faulty}."
        " MURU_ENABLED_PHONE_FLAVORS names those in use; muru flavors lists all.",
    ),
    Cause(
        "asterisk-away",
        "The telephone system is not running at the moment, so no phone works. Try again in some"
        " minutes; if it lasts, tell the operator.",
        "muru has no link to Asterisk's manager interface: {reason}. Is Asterisk running?",
    ),
    Cause(
        "account-differs",
        "The account of this number was damaged. It is repaired by itself within minutes; if it"
        " is not, tell the operator.",
        "Rows in Asterisk's tables are not as the extension wants them: {rows}. muru sync mends"
        " them; who else writes there?",
    ),
    Cause(
        "account-unseen",
        "The telephone system does not know this number yet. Try again in a minute; if it lasts,"
        " tell the operator.",
        "The rows are right, but Asterisk does not have the endpoint: does it read this very"
        " database (extconfig.conf, sorcery.conf)? In its console: pjsip show endpoint {number}",
    ),
    Cause(
        "no-device",
        "No phone is bound to this number yet. Type the phone's MAC address, which is on the label"
        " on its back, into this extension; or plug a new phone in and dial this extension's token"
        " on it.",
        "The extension has no MAC address, and nobody has tried its SIP account. Does the phone"
        " wait among those that nobody owns (GET /api/v1/devices)?",
    ),
    Cause(
        "device-unseen",
        "The phone has never asked for its configuration. Is it plugged in and has it an address on"
        " its display? Compare the MAC address on its label with {mac}. Then type the address of"
        " the configuration, which this extension shows, into its web page, and restart it.",
        "Nothing with the MAC address {mac} has asked over HTTP or TFTP. DHCP option 66, firewall,"
        " VLAN? Phones that had another server need a factory reset.",
    ),
    Cause(
        "wrong-file",
        "The phone asks for its configuration, but in a place where there is none. Compare the"
        " address of the configuration in its web page with the one that this extension shows.",
        "It asks for files that no flavor has, the last one is {file}: wrong path or other model.",
    ),
    Cause(
        "template-broken",
        "The configuration of this type of phone is broken. Tell the operator.",
        "The template of {file} does not render; muru render {number} says why.",
    ),
    Cause(
        "proof-refused",
        "Somebody asks in the name of this phone, and is not let in: it was reset, or moved to"
        " another network, or it is somebody else. If it is you, press “let it in once more”, and"
        " restart the phone.",
        "{address} asks with the MAC address and without the phone's token; the configuration was"
        " given to {granted_to}. POST /api/v1/devices/{mac}/reopen lets it in once more.",
    ),
    Cause(
        "asks-too-often",
        "The phone asks too often, or something else in its network does. Wait a minute.",
        "{address} is beyond MURU_PROVISIONING_RATE requests in a minute without a proof.",
    ),
    Cause(
        "no-register",
        "The phone has not tried to log in. Check on the phone that the account is switched on, and"
        " that the server is the one that this extension shows; then restart it.",
        "No REGISTER of this account was seen since {since}. Wrong server or port, a firewall, or"
        " the phone did not take its configuration.",
    ),
    Cause(
        "challenge-unanswered",
        "The phone knocks at the door, but sends no password: it has none, or our answers do not"
        " reach it. Check that the password is filled in; then restart the phone, and the router"
        " that is between.",
        "{address} was challenged and did not answer. The way back is blocked (NAT, firewall, ALG)"
        " or the account has no password.",
    ),
    Cause(
        "wrong-password",
        "The phone sends a wrong password. Type the password that this extension shows once more;"
        " mind capitals, and that the field for the authentication name has the number too. A phone"
        " that fetches its configuration needs a restart.",
        "The last attempt came from {address}. After a new password the phone has to fetch its"
        " configuration: POST /api/v1/extensions/{number}/resync",
    ),
    Cause(
        "unknown-account",
        "The phone logs in with a user name that there is not: {account}. Type {number} as user"
        " name and as authentication name.",
        "{address} tries {account}, which is no endpoint.",
    ),
    Cause(
        "wrong-name",
        "The phone has the right password, but registers under another name. Type {number} wherever"
        " it asks for a user name, number or line; the display name is free.",
        "The address-of-record in To of its REGISTER, from {address}, is none of its own.",
    ),
    Cause(
        "not-allowed",
        "The telephone system does not let the phone in from where it is. Tell the operator.",
        "Asterisk refused {address} by an access list, or the method is not allowed.",
    ),
    Cause(
        "gone",
        "The phone was logged in and is not any more. Is it plugged in, and is the network there?"
        " Restart it.",
        "It was let in last at {accepted_at} from {accepted_from}; no contact is left.",
    ),
    Cause(
        "not-registered",
        "The phone is not logged in. Restart it.",
        "Asterisk has no contact of it, and muru has not listened for long enough to know why.",
    ),
    Cause(
        "unreachable",
        "The phone does not answer. Is it plugged in, and is the network there? Restart it.",
        "Registered from {address}, and no answer to OPTIONS: unplugged, or a NAT that forgot its"
        " binding (let the phone register more often or send keep-alive packets), or a firewall.",
    ),
    Cause(
        "codec-mismatch",
        "The last call failed since the phone and the telephone system speak no common language of"
        " sound. Switch more codecs on in the phone (PCMA, PCMU), or choose none in the extension.",
        "The call with {peer} ended with SIP {sip}, cause {cause}. Asterisk offers the codecs in"
        " allow of ps_endpoints; which does the phone have?",
    ),
    Cause(
        "busy",
        "The phone says that it is busy. Is it off the hook, or is “do not disturb” on?",
        "The phone answered the call of {peer} with SIP {sip}.",
    ),
    Cause(
        "declined",
        "The phone declines calls. Did somebody press “reject”, or is “do not disturb” or a block"
        " of callers on?",
        "The phone answered the call of {peer} with SIP {sip}.",
    ),
    Cause(
        "call-failed",
        "The last call to this phone failed. Restart the phone; if it goes on, show this to the"
        " operator.",
        "The call of {peer} ended in state {state} with SIP {sip}, cause {cause} ({cause_text}).",
    ),
    Cause(
        "no-audio-from-phone",
        "In the last call nothing was heard of this phone. Is it muted? If not, its sound does not"
        " get through the network: restart the phone and the router that is between.",
        "Call with {peer}: no RTP packet came from the phone, {sent} went to it. NAT or firewall"
        " blocks UDP to MURU_RTP_PORT_FIRST…LAST, or the phone sends it elsewhere.",
    ),
    Cause(
        "no-audio-to-phone",
        "In the last call the phone got no sound. The way to it is blocked: restart the phone and"
        " the router that is between.",
        "Call with {peer}: of {sent} packets the phone missed {lost_there} %. NAT or firewall?",
    ),
    Cause(
        "bad-audio",
        "In the last call much sound was lost on the way. If the phone is on WiFi, move it, or use"
        " a cable.",
        "Call with {peer}: {lost} % lost on the way here, {lost_there} % on the way there, jitter"
        " {jitter} ms.",
    ),
)

#: By key.
CAUSES: Mapping[str, Cause] = {cause.key: cause for cause in _ALL}


def fill(text: str, facts: Mapping[str, Any]) -> str:
    """Return a text with the facts in it, as people read them."""
    return text.format_map({name: _shown(name, value) for name, value in facts.items()})


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if name == "mac" and value:
        return macs.written(value)
    return "unknown" if value is None else value
