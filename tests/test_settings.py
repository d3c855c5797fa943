"""Settings: where they come from, what is wrong with them, and that the docs tell of all."""

import json
import re
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from muru.errors import MuruError, SettingsError
from muru.settings import PREFIX, Settings, load

DOCS = Path(__file__).parent.parent / "docs/configuration.md"
WORDS: dict[type, str] = {
    Path: "path",
    SecretStr: "secret",
    bool: "yes or no",
    int: "number",
    float: "number",
    str: "text",
    list: "list",
}


def faults(**environment: str) -> dict[str, str]:
    """Return what is found wrong with an environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with pytest.raises(SettingsError) as refusal:
            load()
    return refusal.value.faults


def documented() -> dict[str, tuple[str, str]]:
    """Return the type and the default of each setting, as the docs have them."""
    row = re.compile(r"^\| `(MURU_\w+)` \| (.+?) \| (.+?) \| \S.+\|$", re.MULTILINE)
    rows = row.findall(DOCS.read_text(encoding="utf-8"))
    assert len({name for name, _, _ in rows}) == len(rows)
    return {name: (kind.replace("`", ""), default.strip("`")) for name, kind, default in rows}


def declared(field: FieldInfo) -> tuple[str, str]:
    """Return type and default of a setting, as the docs ought to have them."""
    kind: Any = field.annotation
    while get_origin(kind) in {Union, UnionType, Annotated}:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        *most, last = get_args(kind)
        word = f"{', '.join(most)} or {last}"
    else:
        word = WORDS[get_origin(kind) or kind]
    if field.default is None:
        return word, "none"
    if isinstance(field.default, bool | list):
        return word, json.dumps(field.default)
    return word, str(field.default)


def test_every_setting_is_documented() -> None:
    """The docs name exactly the settings there are, each with its type and default."""
    expected = {
        PREFIX + name.upper(): declared(each) for name, each in Settings.model_fields.items()
    }

    assert documented() == expected


def test_settings_of_a_fresh_machine() -> None:
    """Without any setting all is in one SQLite file, and Asterisk's tables with it."""
    settings = load()

    assert settings.database == f"sqlite:///{Path.cwd()}/data/muru.sqlite3"
    assert settings.asterisk_database == settings.database


def test_environment_wins_over_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are read from .env, those in the environment before them, given ones before all."""
    Path(".env").write_text("MURU_HTTP_PORT=1\nMURU_SIP_PORT=2\nMURU_AMI_PORT=3\n")
    monkeypatch.setenv("MURU_SIP_PORT", "12")
    monkeypatch.setenv("MURU_AMI_PORT", "13")

    settings = load(ami_port=23)

    assert (settings.http_port, settings.sip_port, settings.ami_port) == (1, 12, 23)


def test_lists_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are written as JSON, and read as what they hold."""
    monkeypatch.setenv("MURU_RESERVED_EXTENSIONS", '["1000-1099", "2000"]')
    monkeypatch.setenv("MURU_FLAVOR_PATHS", '["one", "/two"]')

    settings = load()

    assert settings.reserved_extensions == ["1000-1099", "2000"]
    assert settings.flavor_paths == [Path("one"), Path("/two")]


def test_all_faults_are_told_at_once() -> None:
    """Whoever set several things wrong reads of all of them, each by name."""
    Path(".env").write_text("MURU_SIP_PROT=1\n")

    found = faults(
        MURU_HTTP_PORT="eighty",
        MURU_SESSION_DAYS="0",
        MURU_RESERVED_EXTENSIONS="1000,1001",
        MURU_RESERVED_NAME_PREFIXES="POC",
        MURU_DATABASE_URL="oracle://host/name",
        MURU_HTTP_PROT="80",
        MURU_NONSENSE="1",
    )

    assert found["MURU_HTTP_PORT"].startswith("Input should be a valid integer")
    assert found["MURU_RESERVED_EXTENSIONS"] == 'not valid JSON; write lists as ["one", "two"]'
    assert found["MURU_RESERVED_NAME_PREFIXES"] == found["MURU_RESERVED_EXTENSIONS"]
    assert found["MURU_DATABASE_URL"].startswith("oracle is not supported")
    assert found["MURU_HTTP_PROT"] == "unknown setting; did you mean MURU_HTTP_PORT?"
    assert found["MURU_SIP_PROT"] == "unknown setting; did you mean MURU_SIP_PORT?"
    assert found["MURU_NONSENSE"] == "unknown setting"
    assert "MURU_SESSION_DAYS" in found
    assert len(found) == 8


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "0"),
        ("HTTP_PORT", "65536"),
        ("HTTP_PORT", ""),
        ("EXTENSION_DIGITS", "1"),
        ("EXTENSION_DIGITS", "16"),
        ("SESSION_DAYS", "3651"),
        ("ENABLED_PHONE_FLAVORS", '["../evil"]'),
        ("ENABLED_PHONE_FLAVORS", '"sip"'),
        ("RESERVED_EXTENSIONS", '["1099-1000"]'),
        ("RESERVED_EXTENSIONS", '["100-1099"]'),
        ("RESERVED_EXTENSIONS", '["10xx"]'),
        ("RESERVED_EXTENSIONS", "[1000]"),
        ("TELEPHONING_PREFIX", "api"),
        ("TELEPHONING_PREFIX", "a/b"),
        ("TELEPHONING_PREFIX", ""),
        ("ACCOUNT_REGISTRATION", "closed"),
        ("USERNAME_CHARACTERS", ""),
        ("LOG_LEVEL", "LOUD"),
        ("ASTERISK_CONTEXT", "muru]\n[evil"),
        ("AMI_USERNAME", "muru]"),
        ("DATABASE_URL", "somewhere"),
        ("DATABASE_URL", ""),
        ("ASTERISK_DATABASE_URL", "postgresql"),
        ("SYNC_INTERVAL", "0"),
    ],
)
def test_value_that_cannot_be(name: str, value: str) -> None:
    """A value that cannot work is refused at start, by the name of its setting."""
    assert faults(**{PREFIX + name: value}).keys() == {PREFIX + name}


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"MURU_TLS_CERTIFICATE": "cert.pem"}, "MURU_TLS_PRIVATE_KEY"),
        ({"MURU_TLS_PRIVATE_KEY": "key.pem"}, "MURU_TLS_CERTIFICATE"),
        ({"MURU_RTP_PORT_FIRST": "20000"}, "MURU_RTP_PORT_LAST"),
    ],
)
def test_values_that_do_not_go_together(environment: dict[str, str], named: str) -> None:
    """Of settings that contradict each other all are named."""
    (fault,) = faults(**environment).values()

    assert named in fault


def test_file_that_cannot_be_read() -> None:
    """A .env that is no text is told of as such."""
    Path(".env").write_bytes(b"MURU_HTTP_PORT=\xff")

    assert faults().keys() == {".env"}


def test_settings_are_frozen() -> None:
    """Nothing changes the settings while muru runs."""
    settings = load()

    with pytest.raises(ValidationError, match="frozen"):
        settings.http_port = 1  # type: ignore[misc]


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret is in what a log or a report of an error may show of the settings."""
    url = "postgresql://muru:geheim@host/name"
    for name in ("AMI_SECRET", "ARI_SECRET", "DATABASE_URL", "ASTERISK_DATABASE_URL"):
        monkeypatch.setenv(PREFIX + name, url)

    settings = load()

    shown = (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json())
    assert not [text for text in shown if "geheim" in text]
    assert settings.database == url
    assert "geheim" not in str(faults(MURU_DATABASE_URL="oracle://muru:geheim@host/name"))


def test_data_folder_is_private(tmp_path: Path) -> None:
    """The data folder is made with all above it, for the owner of the process alone to read."""
    settings = Settings(data_dir=tmp_path / "var/lib/muru")

    settings.make_data_dir()
    settings.make_data_dir()

    assert settings.data_dir.stat().st_mode & 0o777 == 0o700


def test_data_folder_that_cannot_be(tmp_path: Path) -> None:
    """That the data folder cannot be made is told with its path."""
    (tmp_path / "file").touch()

    with pytest.raises(MuruError, match="file/data"):
        Settings(data_dir=tmp_path / "file/data").make_data_dir()


def test_embedded_database_is_private(tmp_path: Path) -> None:
    """The file with all passwords is for its owner alone, also in a folder that is open."""
    tmp_path.chmod(0o755)
    settings = Settings(data_dir=tmp_path)

    settings.make_data_dir()

    assert (tmp_path / "muru.sqlite3").stat().st_mode & 0o777 == 0o600
    settings.make_data_dir()


def test_env_file_out_of_reach(tmp_path: Path) -> None:
    """In a folder that is closed to its user, muru has no ``.env``, and starts all the same."""
    # To root every folder is open; a path that leads through a file is closed to all.
    (tmp_path / "file").write_text("")
    Path(".env").symlink_to(tmp_path / "file/.env")

    assert load().http_port == 8000
