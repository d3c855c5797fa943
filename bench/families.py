"""The phones that fetch their configuration: a few families, each device with a number of its own.

What they send of themselves is what such phones do.
"""

from dataclasses import dataclass

from muru.provisioning.mac import written


@dataclass(frozen=True)
class Family:
    """A flavor's phones of one type. They ask for *files* one after the other.

    *own* is that with the account among them, which only the phone itself may have. *user_agent*
    is empty for those that come by TFTP.
    """

    flavor: str
    type: str
    own: str
    files: tuple[str, ...]
    user_agent: str = ""

    @property
    def by_http(self) -> bool:
        return bool(self.user_agent)

    def path(self, file: str, number: int) -> str:
        """Return the path of a file for the device *number*: below HTTP's prefix with its token."""
        name = _filled(file, number)
        return f"/telephoning/{self.flavor}/k/{token_of(number)}/{name}" if self.by_http else name

    def agent(self, number: int) -> str:
        """Return what the device *number* sends as User-Agent."""
        return _filled(self.user_agent, number)


HTTP_FAMILIES = (
    Family(
        "yealink",
        "Yealink T42S",
        "{mac}.cfg",
        ("{mac}.boot", "{mac}.cfg", "phonebook.xml"),
        "Yealink SIP-T42S 66.86.0.15 {mac}",
    ),
    Family(
        "grandstream",
        "Grandstream GXP2130",
        "cfg{mac}.xml",
        ("cfg{mac}.xml", "phonebook.xml"),
        "Grandstream Model HW GXP2130 SW 1.0.11.57 DevId {mac}",
    ),
    Family(
        "mitel",
        "Mitel 6920",
        "{MAC}.cfg",
        ("startup.cfg", "{MAC}.cfg", "directory.csv"),
        "Mitel6920 MAC:{MA-C} V:6.3.0.1020-SIP",
    ),
)
TFTP_FAMILY = Family(
    "cisco79xx", "Cisco 7960G", "SIP{MAC}.cnf", ("SIPDefault.cnf", "SIP{MAC}.cnf", "dialplan.xml")
)


def mac_of(number: int) -> str:
    return f"02{number:010x}"


def token_of(number: int) -> str:
    return f"{number:026}"


def address_of(number: int) -> str:
    """Return the device's address of the local machine's own, where it has been seen before."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def _filled(text: str, number: int) -> str:
    mac = mac_of(number)
    return (
        text.replace("{mac}", mac)
        .replace("{MAC}", mac.upper())
        .replace("{MA-C}", written(mac, "-").upper())
    )
