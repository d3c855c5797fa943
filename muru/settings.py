"""Everything that can be set, read once from the environment and ``.env``.

Each key is an environment variable with the prefix ``MURU_``; docs/configuration.md explains them
all, and a test compares the two. Lists are written as JSON.
"""

import difflib
import itertools
import json
import os
import re
import zoneinfo
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from muru.errors import MuruError, SettingsError

PREFIX = "MURU_"

PNP_PORT = 5060  # of SIP plug and play; phones know no other

#: First parts of the paths of muru's own API and pages.
TAKEN_PATHS = frozenset(
    {
        *("api", "metrics", "static"),
        *("account", "login", "logout", "map", "media", "operator", "pages"),
        *("phones", "preferences", "register"),
    }
)

Port = Annotated[int, Field(ge=1, le=65535)]
StarCode = Annotated[str, Field(pattern=r"^\*[0-9]{1,4}$")]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
Seconds = Annotated[int, Field(ge=0)]


def _module_name(name: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        raise ValueError(f"{name!r} is no module name: small letters, digits and _ only")
    return name


def _number_range(entry: str) -> str:
    if not re.fullmatch(r"\d+(-\d+)?", entry):
        raise ValueError(f"{entry!r} is neither a number (1000) nor a range (1000-1099)")
    first, _, last = entry.partition("-")
    if last and (len(first) != len(last) or first > last):
        raise ValueError(f"in {entry!r} both ends need the same length, the smaller first")
    return entry


def _list(given: object) -> object:
    """Read a list as the environment gives it."""
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except ValueError:
        raise ValueError('not valid JSON; write lists as ["one", "two"]') from None


def _database(url: SecretStr) -> SecretStr:
    from muru.db.sessions import parse_url

    parse_url(url.get_secret_value())
    return url


def _path_segment(prefix: str) -> str:
    stripped = prefix.strip("/")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", stripped):
        raise ValueError("must be one path segment of letters, digits, - and _")
    if stripped in TAKEN_PATHS:
        raise ValueError(f"{stripped!r} is taken by muru itself")
    return stripped


def _area_level(entry: str) -> str:
    # Only muru's own: some libraries tell passwords at DEBUG.
    if not re.fullmatch(r"muru(\.\w+)*=(DEBUG|INFO|WARNING|ERROR)", entry):
        raise ValueError(f"{entry!r} is not like muru.asterisk=DEBUG")
    return entry


def _console_command(command: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+( ([A-Za-z0-9_.@/-]+|\*))*", command):
        raise ValueError(f"{command!r} is no console command; * stands for one word of any kind")
    return command


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
        raise ValueError("write the begin of all URLs: http://phones.example.org:8000")
    return f"{parts.scheme}://{parts.netloc}"


def _network(given: object) -> object:
    if not isinstance(given, str):
        return given
    try:
        return ip_network(given)
    except ValueError as error:
        raise ValueError(f"{error}; write e.g. 192.0.2.0/24 or 2001:db8::1") from None


def _zone(name: str) -> str:
    if name not in zoneinfo.available_timezones():
        close = difflib.get_close_matches(name, zoneinfo.available_timezones(), n=1)
        raise ValueError("no time zone" + (f"; did you mean {close[0]}?" if close else ""))
    return name


def _map_corners(bounds: list[float]) -> list[float]:
    if len(bounds) != 4:
        raise ValueError("write four numbers: the south, west, north and east of the picture")
    south, west, north, east = bounds
    if not (-90 <= south < north <= 90 and -180 <= west < east <= 180):
        raise ValueError("south must be below north (-90 to 90), west below east (-180 to 180)")
    return bounds


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
T = TypeVar("T")
# Decoded here, not by pydantic-settings, which would stop at the first that is no JSON.
JsonList = Annotated[list[T], NoDecode, BeforeValidator(_list)]


class Settings(BaseSettings):
    """The settings of one site. Immutable; pass it on, never read the environment elsewhere."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    # Where things lie
    data_dir: Path = Path("data")
    database_url: Annotated[SecretStr, AfterValidator(_database)] | None = None
    asterisk_database_url: Annotated[SecretStr, AfterValidator(_database)] | None = None

    # Flavors
    enabled_phone_flavors: JsonList[Annotated[str, AfterValidator(_module_name)]] = [
        "sip",
        "softphone",
        "snom",
        "yealink",
        "grandstream",
        "polycom",
        "fanvil",
        "gigaset",
        "mitel",
        "innovaphone",
        "ciscospa",
        "cisco79xx",
        "iot",
        "callgroup",
        "conference",
        "announcement",
        "services",
        "dummy",
    ]
    flavor_paths: JsonList[Path] = []
    all_extension_types_public: bool = False
    telephoning_prefix: Annotated[str, AfterValidator(_path_segment)] = "telephoning"

    # Accounts
    account_registration: Literal["open", "invite"] = "open"
    username_characters: str = Field("abcdefghijklmnopqrstuvwxyz0123456789._-", min_length=1)
    session_days: int = Field(30, ge=1, le=3650)

    # Extensions
    extension_digits: int = Field(4, ge=2, le=15)
    reserved_extensions: JsonList[Annotated[str, AfterValidator(_number_range)]] = []
    reserved_name_prefixes: JsonList[str] = []
    extensions_per_user: int = Field(50, ge=1)
    number_kept_hours: int = Field(24, ge=0, le=8760)
    group_join_code: StarCode = "*80"
    group_leave_code: StarCode = "*81"
    group_pause_code: StarCode = "*82"

    # The controller's own doors
    http_host: str = "0.0.0.0"  # noqa: S104  # phones on the local network must reach it
    http_port: Port = 8000
    tftp_host: str = "0.0.0.0"  # noqa: S104  # as above
    tftp_port: int | None = Field(None, ge=0, le=65535)
    pnp: bool = False
    trusted_proxies: JsonList[Network] = []
    public_url: Annotated[str, AfterValidator(_web_address)] | None = None
    log_level: LogLevel = "INFO"
    log_levels: JsonList[Annotated[str, AfterValidator(_area_level)]] = []
    log_format: Literal["text", "json"] = "text"
    metrics_token: SecretStr | None = Field(None, min_length=16)
    console_commands: JsonList[Annotated[str, AfterValidator(_console_command)]] = [
        "core show channels",
        "core show channel *",
        "core show uptime",
        "core show version",
        "pjsip show contacts",
        "pjsip show endpoint *",
        "pjsip show endpoints",
        "pjsip show transports",
        "module show",
    ]
    audit_log_days: int = Field(365, ge=1)

    # Provisioning
    provisioning_trust: Literal["first-use", "token", "open"] = "first-use"
    provisioning_networks: JsonList[Network] = []
    provisioning_rate: int = Field(120, ge=1)
    provisioning_interval: int = Field(3600, ge=60)
    provisioning_log_days: int = Field(14, ge=1)
    template_paths: JsonList[Path] = []
    claim: bool = True
    claim_numbers: JsonList[Annotated[str, Field(pattern=r"^[0-9]{1,15}$")]] = []
    selftest_number: str | None = Field(None, pattern=r"^[0-9]{1,15}$")
    claim_limit: int = Field(200, ge=1)
    claim_minutes: int = Field(60, ge=5)
    resync_rate: float = Field(5, gt=0, le=100)

    # Media
    media_max_mb: int = Field(20, ge=1)
    media_quota_mb: int = Field(200, ge=1)
    media_max_seconds: int = Field(600, ge=1, le=3000)
    media_limit_admins: bool = False
    media_raw: bool = False
    media_cache_mb: int = Field(500, ge=10)
    media_asterisk_dir: Path | None = None

    # Pages
    pages_path: Path | None = None
    map_image: Path | None = None
    map_bounds: Annotated[JsonList[float], AfterValidator(_map_corners)] = [0, 0, 1, 1]

    # What phones are told
    site_name: str = Field("µURU", min_length=1, max_length=40)
    site_slogan: str | None = Field(None, max_length=120)
    phone_language: str = Field("en", pattern="^[a-z]{2}$")
    phone_time_zone: Annotated[str, AfterValidator(_zone)] | None = None
    phone_transport: Literal["udp", "tcp", "tls"] = "udp"
    phone_admin_password: SecretStr | None = None
    ntp_server: str | None = None
    wifi_ssid: str | None = Field(None, min_length=1, max_length=32)
    wifi_password: SecretStr | None = None

    # Asterisk
    asterisk_root: Path | None = None
    asterisk_context: str = Field("muru", pattern=r"^[a-z][a-z0-9_-]{0,30}$")
    sip_host: str = "0.0.0.0"  # noqa: S104  # as above
    sip_port: Port = 5060
    sip_tls_port: Port = 5061
    tls_certificate: Path | None = None
    tls_private_key: Path | None = None
    rtp_port_first: Port = 10000
    rtp_port_last: Port = 20000
    asterisk_http_host: str = "127.0.0.1"
    asterisk_http_port: Port = 8088
    sip_domain: str | None = None
    max_contacts: int = Field(4, ge=1, le=20)
    qualify_frequency: Seconds = 60
    ami_host: str = "127.0.0.1"
    ami_port: Port = 5038
    ami_username: str = Field("muru", pattern=r"^[A-Za-z0-9_-]+$")
    ami_secret: SecretStr | None = None
    ari_username: str = Field("muru", pattern=r"^[A-Za-z0-9_-]+$")
    ari_secret: SecretStr | None = None
    sync_interval: int = Field(300, ge=5)
    history_days: int = Field(14, ge=1)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_private_key is None):
            raise ValueError("MURU_TLS_CERTIFICATE and MURU_TLS_PRIVATE_KEY go together")
        if self.pnp and self.sip_host in {"0.0.0.0", "::"} and self.sip_port == PNP_PORT:  # noqa: S104
            raise ValueError(
                "MURU_PNP needs MURU_SIP_HOST to be this machine's address: at all addresses "
                "Asterisk leaves nobody else the port"
            )
        if self.rtp_port_first >= self.rtp_port_last:
            raise ValueError("MURU_RTP_PORT_FIRST must be below MURU_RTP_PORT_LAST")
        codes = [self.group_join_code, self.group_leave_code, self.group_pause_code]
        if any(one.startswith(other) for one, other in itertools.permutations(codes, 2)):
            raise ValueError("none of the MURU_GROUP_..._CODE may begin with another one")
        return self

    @property
    def group_codes(self) -> dict[str, str]:
        """What is dialled before the number of a call group, and what that does."""
        return {
            self.group_join_code: "join",
            self.group_leave_code: "leave",
            self.group_pause_code: "pause",
        }

    @property
    def database(self) -> str:
        """SQLAlchemy URL of muru's own tables; by default one SQLite file in ``data_dir``."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self._embedded_file}"

    @property
    def _embedded_file(self) -> Path:
        return (self.data_dir / "muru.sqlite3").absolute()

    @property
    def asterisk_database(self) -> str:
        """SQLAlchemy URL of Asterisk's realtime tables; by default the same database."""
        if self.asterisk_database_url is not None:
            return self.asterisk_database_url.get_secret_value()
        return self.database

    @property
    def asterisk_media(self) -> Path:
        """Folder of the sounds that Asterisk plays."""
        return (self.media_asterisk_dir or self.data_dir / "asterisk/media").absolute()

    def make_data_dir(self) -> None:
        """Create the data folder and the embedded database, for the owner of the process alone.

        Raises:
            MuruError: it cannot be created.
        """
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.database_url is None:
                # SQLite would create it for everybody to read, in a folder that may be open.
                self._embedded_file.touch(mode=0o600)
        except OSError as error:
            raise MuruError(f"The data folder cannot be used: {error}") from error


def load(**overrides: object) -> Settings:
    """Read the settings from the environment and ``.env``; *overrides* win.

    Raises:
        SettingsError: with every wrong or unknown setting by name, and what to do about it.
    """
    env_file = _env_file()
    faults = dict(_unknown(_names_given(env_file)))
    try:
        settings = Settings(_env_file=env_file, **overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        for fault in error.errors():
            name = PREFIX + str(fault["loc"][0]).upper() if fault["loc"] else "together"
            faults[name] = fault["msg"].removeprefix("Value error, ")
    else:
        if not faults:
            return settings
    raise SettingsError(faults)


def source_of(settings: Settings, name: str) -> str:
    """Tell where a setting comes from: ``environment``, ``.env``, ``start`` or ``default``."""
    if name not in settings.model_fields_set:
        return "default"
    written = (PREFIX + name).upper()
    if any(each.upper() == written for each in os.environ):
        return "environment"
    try:
        in_file = {each.upper() for each in _names_given(_env_file())}
    except SettingsError:
        in_file = set()
    return ".env" if written in in_file else "start"


def _env_file() -> Path | None:
    """Return ``.env`` if there is one to be seen from here: a folder may be closed to its user."""
    path = Path(".env")
    try:
        path.stat()
    except OSError:
        return None
    return path


def _names_given(env_file: Path | None) -> set[str]:
    try:
        names = {*os.environ, *(dotenv_values(env_file) if env_file else ())}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError({".env": f"cannot be read: {error}"}) from error
    return {name for name in names if name.startswith(PREFIX)}


def _unknown(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    known = [field.upper() for field in Settings.model_fields]
    for name in sorted(set(names) - {PREFIX + each for each in known}):
        close = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1)
        yield name, "unknown setting" + (f"; did you mean {PREFIX}{close[0]}?" if close else "")
