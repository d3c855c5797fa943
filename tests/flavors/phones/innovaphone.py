"""innovaphone's desk phones.

Modelled on the vendor's description of its update server (UP0 and UP1), and on the commands that
uURU sends to IP112, IP200A and IP241. It was not compared with real phones.
"""

from urllib.parse import unquote

from muru.testing import Account, VirtualPhone

_PROTOCOLS = {"SIP": "udp", "TSIP": "tcp", "SIPS": "tls"}
_FINAL = {"ireset", "reset", "iresetn", "resetn"}

Modules = dict[str, dict[str, str]]


class InnovaphonePhone(VirtualPhone):
    """Polls the URL from DHCP, with its MAC address in it, until its configuration has another.

    It shows no User-Agent that is known, and appends arguments of its own to each URL.
    """

    user_agent = ""
    update_url = ""

    async def boot(self) -> None:
        mac = "-".join(self.mac[at : at + 2] for at in range(0, 12, 2))
        url = self.update_url or f"update?mac={mac}&localip=192.0.2.77"
        script = await self.get(f"{url}&ver=13r3&polling=0")
        for line in (script or b"").decode("ascii").splitlines():
            content = await self.get(loaded(line))
            if content is not None:
                self._take(run(content.decode("ascii")))

    def _take(self, modules: Modules) -> None:
        if "/no-dhcp" in modules.get("UP1", {}):
            self.update_url = modules["UP1"]["/url"]
        account = modules.get("PHONE SIG")
        self.accounts = [_account(account)] if account else []


def loaded(line: str) -> str:
    """Return the URL of the configuration that a line of the update script loads.

    Raises:
        ValueError: it is another command.
    """
    words = line.split(" ")
    if words[:4] != ["mod", "cmd", "UP0", "cfg"] or len(words) != 6 or words[5] not in _FINAL:
        raise ValueError(f"not a command to load a configuration: {line!r}")
    return words[4]


def run(text: str) -> Modules:
    """Return the parameters of each module after all commands of a configuration.

    Raises:
        ValueError: a command is none, or they are not written and activated at the end.
    """
    modules: Modules = {}
    *commands, write, activate = text.splitlines()
    if (write, activate) != ("config write", "config activate"):
        raise ValueError("the configuration would not take effect")
    for command in commands:
        words = command.split(" ")
        if words[0] != "config" or words[1] not in {"change", "add"} or "" in words:
            raise ValueError(f"not a command: {command!r}")
        first = next(at for at, word in enumerate(words) if word.startswith("/"))
        old = modules.get(" ".join(words[2:first]), {}) if words[1] == "add" else {}
        modules[" ".join(words[2:first])] = old | _parameters(words[first:])
    return modules


def _parameters(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for word in words:
        if word.startswith("/"):
            name = word
            found[name] = ""
        elif found[name]:
            raise ValueError(f"{name} has two values")
        else:
            found[name] = unquote(word)
    return found


def _account(parameters: dict[str, str]) -> Account:
    host, _, port = parameters["/gk-addr"].partition(":")
    transport = _PROTOCOLS[parameters["/prot"]]
    return Account(
        server=host,
        port=int(port or (5061 if transport == "tls" else 5060)),
        transport=transport,  # type: ignore[arg-type]
        username=parameters["/auth-name"],
        password=parameters["/gk-pwd"],
        codecs=[parameters["/coder"].split(",")[0]],
    )


PHONE: type[VirtualPhone] = InnovaphonePhone
CASES = [
    ("Innovaphone IP112", "009033010203", "IP112"),
    ("Innovaphone IP200A", "009033010204", "IP200A"),
]
VIA = ("http",)
