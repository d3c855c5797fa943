"""Cisco's 7900 series with its SIP firmware.

They know no more of the network than the address of a TFTP server, and ask there under fixed names:
the 7940 and the 7960 for text, all others for XML. So no URL with a secret can be theirs.
"""

from typing import ClassVar

from pydantic import BaseModel

from muru.flavor import (
    CODEC,
    Audience,
    Extension,
    Format,
    Identification,
    ProvisioningFile,
    RealtimeRow,
    SupportedCodec,
)

from .sip import SIP, PhoneFields

# How many buttons each has, of which any can be an account or a speed dial.
_WIDEBAND = {
    "Cisco 7906G": 1,
    "Cisco 7911G": 1,
    "Cisco 7931G": 24,
    "Cisco 7942G": 2,
    "Cisco 7945G": 2,
    "Cisco 7962G": 6,
    "Cisco 7965G": 6,
    "Cisco 7975G": 8,
}
_NARROWBAND = {
    "Cisco 7941G": 2,
    "Cisco 7961G": 6,
    "Cisco 7970G": 8,
    "Cisco 7971G": 8,
}
_TEXT = {
    "Cisco 7940G": 2,
    "Cisco 7960G": 6,
}
_CODECS: tuple[CODEC, ...] = ("g722", "alaw", "ulaw")
_NO_STAMP = "{0000000000000000}"  # differs from the phone's own, which then reads all again
_RESTART = (
    "Event=service-control",
    "Content-Type=text/plain",
    "Content=action=restart",
    "Content=RegisterCallId={}",
    f"Content=ConfigVersionStamp={_NO_STAMP}",
    f"Content=DialplanVersionStamp={_NO_STAMP}",
    f"Content=SoftkeyVersionStamp={_NO_STAMP}",
    "Content=",
)


class Cisco79xx(SIP):
    PHONE_TYPES: ClassVar[list[str]] = [*_WIDEBAND, *_NARROWBAND, *_TEXT]
    DISPLAY_INDEX = 45
    EXTRA_FIELDS: ClassVar[type[BaseModel] | None] = PhoneFields
    SUPPORTED_CODEC: ClassVar[SupportedCodec] = {
        **dict.fromkeys(_WIDEBAND, _CODECS),
        **dict.fromkeys(_NARROWBAND | _TEXT, _CODECS[1:]),
    }
    CODEC_NAMES: ClassVar[dict[CODEC, str]] = {
        "g722": "G722",
        "alaw": "g711alaw",
        "ulaw": "g711ulaw",
    }
    LINES: ClassVar[int | dict[str, int]] = _WIDEBAND | _NARROWBAND | _TEXT
    FILES = (
        ProvisioningFile("SEP{MAC}.cnf.xml", "sep.cnf.xml"),
        ProvisioningFile("SIP{MAC}.cnf", "sip.cnf", format=Format.QUOTED, encoding="iso-8859-1"),
        ProvisioningFile("SIPDefault.cnf", "sipdefault.cnf", Audience.ANYBODY),
        ProvisioningFile("syncinfo.xml", "syncinfo.xml", Audience.ANYBODY),
        ProvisioningFile("dialplan.xml", "dialplan.xml", Audience.ANYBODY),
        ProvisioningFile("phonebook.xml", "phonebook.xml", Audience.PHONES),
    )
    IDENTIFICATION = Identification(
        vendor="Cisco",
        ouis=frozenset({"000653", "001873", "0021a0", "002155", "30e4db", "68efbd", "a44c11"}),
        user_agents=(r"Cisco-CP(?P<model>79\d\dG?)\S*/(?P<firmware>[\w.]+)",),
    )
    RESYNC: ClassVar[tuple[str, ...] | dict[str, tuple[str, ...]]] = {
        **dict.fromkeys(_WIDEBAND | _NARROWBAND, _RESTART),
        **dict.fromkeys(_TEXT, ("Event=check-sync",)),
    }
    KEEPS_URL = False
    PHONEBOOK_LIMIT = 32  # a page of Cisco's XML

    # The names of time zones: by POSIX's rule where there is daylight saving, else by the hours.
    ZONES: ClassVar[dict[str | float, str]] = {
        "AKST9AKDT,M3.2.0,M11.1.0": "Alaskan Standard/Daylight Time",
        "PST8PDT,M3.2.0,M11.1.0": "Pacific Standard/Daylight Time",
        "MST7MDT,M3.2.0,M11.1.0": "Mountain Standard/Daylight Time",
        "CST6CDT,M3.2.0,M11.1.0": "Central Standard/Daylight Time",
        "EST5EDT,M3.2.0,M11.1.0": "Eastern Standard/Daylight Time",
        "AST4ADT,M3.2.0,M11.1.0": "Atlantic Standard/Daylight Time",
        "NST3:30NDT,M3.2.0,M11.1.0": "Newfoundland Standard/Daylight Time",
        "GMT0BST,M3.5.0/1,M10.5.0": "GMT Standard/Daylight Time",
        "IST-1GMT0,M10.5.0,M3.5.0/1": "GMT Standard/Daylight Time",
        "WET0WEST,M3.5.0/1,M10.5.0": "GMT Standard/Daylight Time",
        "CET-1CEST,M3.5.0,M10.5.0/3": "W. Europe Standard/Daylight Time",
        "EET-2EEST,M3.5.0/3,M10.5.0/4": "E. Europe Standard/Daylight Time",
        "ACST-9:30ACDT,M10.1.0,M4.1.0/3": "Cen. Australia Standard/Daylight Time",
        "AEST-10AEDT,M10.1.0,M4.1.0/3": "AUS Eastern Standard/Daylight Time",
        "NZST-12NZDT,M9.5.0,M4.1.0/3": "New Zealand Standard/Daylight Time",
        -10: "Hawaiian Standard Time",
        -7: "US Mountain Standard Time",
        -6: "Canada Central Standard Time",
        -5: "SA Pacific Standard Time",
        -4: "SA Western Standard Time",
        -3: "SA Eastern Standard Time",
        0: "Greenwich Standard Time",
        2: "South Africa Standard Time",
        3: "Saudi Arabia Standard Time",
        4: "Arabian Standard Time",
        4.5: "Afghanistan Standard Time",
        5: "West Asia Standard Time",
        5.5: "India Standard Time",
        6: "Central Asia Standard Time",
        7: "SE Asia Standard Time",
        8: "Taipei Standard Time",
        9: "Tokyo Standard Time",
        9.5: "AUS Central Standard Time",
        10: "E. Australia Standard Time",
        11: "Central Pacific Standard Time",
        12: "Fiji Standard Time",
    }
    # What the 7940 and the 7960 call the hours; the days of change are told to them.
    ABBREVIATIONS: ClassVar[dict[float, str]] = {
        -8: "PST",
        -7: "MST",
        -6: "CST",
        -5: "EST",
        -4: "AST",
        0: "GMT",
        1: "CET",
        2: "EET",
    }

    def realtime_rows(self, extension: Extension) -> list[RealtimeRow]:
        """Send to the port that the phone names, as over UDP it speaks from one that is deaf."""
        rows = super().realtime_rows(extension)
        for row in rows:
            if row.__tablename__ == "ps_endpoints" and self.settings.phone_transport == "udp":
                for column in ("force_rport", "rewrite_contact"):
                    setattr(row, column, "no")
        return rows
