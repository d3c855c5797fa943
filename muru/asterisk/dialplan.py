"""Names in the dialplan that asterisk_conf/extensions.conf sets up."""

#: The context that rings the phones registered for the SIP account of the dialled number.
DIAL_SIP = "muru-sip"
