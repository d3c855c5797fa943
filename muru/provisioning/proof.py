"""Which proof a request gives that the phone may have its configuration.

====================  ==============================================================================
``token``             the URL has the device's token
``certificate``       a trusted proxy has checked a client certificate with the phone's MAC address
``first-use``         the owner has just created or opened it, and nobody has asked since
``address``           it is where the first use came from: for a while, until the token is used; for
                      good if such phones cannot be told a URL
``open``              the operator trusts everybody who knows a MAC address
====================  ==============================================================================

All but the first two hold in MURU_PROVISIONING_NETWORKS alone, where these are set, and
MURU_PROVISIONING_TRUST says which of them count at all.
"""

import secrets
from datetime import timedelta

from muru.addresses import is_within
from muru.db.models import now
from muru.flavor import PhoneFlavor
from muru.provisioning.lookup import DeviceRecord
from muru.provisioning.request import Proof, ProvisioningRequest
from muru.settings import Settings

GRACE = timedelta(minutes=10)  # in which a phone that lost what it got may ask again


def prove(
    settings: Settings,
    flavor: PhoneFlavor,
    device: DeviceRecord,
    request: ProvisioningRequest,
    token: str,
) -> Proof:
    """Return the proof, empty if there is none; ``first-use`` has still to be granted."""
    if token and secrets.compare_digest(token.encode(), device.token.encode()):
        return "token"
    if device.mac is not None and request.certificate_mac == device.mac:
        return "certificate"
    return _by_mac(settings, flavor, device, request.address)


def _by_mac(settings: Settings, flavor: PhoneFlavor, device: DeviceRecord, address: str) -> Proof:
    """Return what the MAC address alone is worth; an app's device has none."""
    networks, trust = settings.provisioning_networks, settings.provisioning_trust
    outside = bool(networks) and not is_within(address, networks)
    if device.mac is None or trust == "token" or outside:
        return ""
    if trust == "open":
        return "open"
    if device.is_open:
        return "first-use"
    return "address" if _is_back(flavor, device, address) else ""


def _is_back(flavor: PhoneFlavor, device: DeviceRecord, address: str) -> bool:
    """Tell whether a request comes from where the configuration went the last time."""
    if device.granted_to is None or device.granted_to != address or device.granted_at is None:
        return False
    return not flavor.KEEPS_URL or (not device.token_used and device.granted_at + GRACE > now())
