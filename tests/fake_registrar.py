"""A registrar with phones that come and go, behind a stand-in for Asterisk's manager interface.

Its texts are those of Asterisk 22.
"""

import time
from dataclasses import dataclass, field
from hashlib import md5

from tests.fake_ami import FakeAmi, Request


def soon(seconds: int) -> int:
    return int(time.time()) + seconds


@dataclass
class Phone:
    """One contact as Asterisk's registrar has it."""

    aor: str
    port: int = 5062
    host: str = "192.0.2.7"
    via: str = "192.0.2.7"
    agent: str = "snom"
    status: str = "NonQualified"
    rtt: str = "0"
    expires: int = field(default_factory=lambda: soon(600))

    @property
    def uri(self) -> str:
        return f"sip:{self.aor}@{self.host}:{self.port}"

    def listed(self) -> str:
        return (
            f"Event: ContactList\nObjectName: {self.aor};@{md5(self.uri.encode()).hexdigest()}"
            f"\nUri: {self.uri}\nUserAgent: {self.agent}\nViaAddr: {self.via}\nViaPort: {self.port}"
            f"\nExpirationTime: {self.expires}\nStatus: {self.status}\nRoundtripUsec: {self.rtt}"
        )

    def detail(self) -> str:
        return (
            f"Event: ContactStatusDetail\nAOR: {self.aor}\nURI: {self.uri}"
            f"\nUserAgent: {self.agent}\nViaAddress: {self.via}:{self.port}"
            f"\nRegExpire: {self.expires}\nStatus: {self.status}\nRoundtripUsec: {self.rtt}"
        )


@dataclass
class Registrar:
    """An Asterisk with phones that come and go; it tells of them only when told to."""

    ami: FakeAmi
    phones: list[Phone] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ami.answers["PJSIPShowContacts"] = lambda _: self.show_all()
        self.ami.answers["PJSIPShowEndpoint"] = self._show
        self.ami.answers["DBGetTree"] = "Response: Error\nMessage: Database entry not found"

    def tell(self, phone: Phone, status: str, rtt: str = "0") -> None:
        self.ami.emit(
            "ContactStatus",
            AOR=phone.aor,
            URI=phone.uri,
            ContactStatus=status,
            RoundtripUsec=rtt,
        )

    def add(self, phone: Phone, *, tell: bool = True) -> Phone:
        self.phones.append(phone)
        if tell:
            self.tell(phone, "NonQualified")
        return phone

    def remove(self, phone: Phone, *, tell: bool = True) -> None:
        self.phones.remove(phone)
        if tell:
            self.tell(phone, "Removed")

    def authenticate(self, aor: str, service: str = "PJSIP") -> None:
        self.ami.emit("SuccessfulAuth", Service=service, AccountID=aor)

    def show_all(self) -> str:
        if not self.phones:
            return "Response: Error\nMessage: No Contacts found"
        start = "Response: Success\nEventList: start\nMessage: A listing of Contacts follows"
        end = "Event: ContactListComplete\nEventList: Complete"
        return "\n\n".join([start, *(phone.listed() for phone in self.phones), end])

    def _show(self, request: Request) -> str:
        found = [each.detail() for each in self.phones if each.aor == request.get("Endpoint")]
        if not found:
            return "Response: Error\nMessage: Unable to retrieve endpoint"
        start = "Response: Success\nEventList: start\nMessage: Following are Events"
        end = "Event: EndpointDetailComplete\nEventList: Complete"
        return "\n\n".join([start, "Event: EndpointDetail\nAors: 1", *found, end])
