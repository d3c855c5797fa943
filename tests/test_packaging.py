"""What is installed: the wheel holds all that muru needs and nothing else, and both kinds start."""

import configparser
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import venv
import zipfile
from contextlib import closing
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

import muru

ROOT = Path(__file__).parent.parent
SCRIPTS = Path(sysconfig.get_path("scripts"))
BUNDLED = ("flavors", "provisioning_templates", "asterisk_conf")

# Run by the installed wheel.
PROBE = """
import json
import muru.flavors.sip
from muru.paths import bundled

print(json.dumps({
    "muru": muru.__file__,
    "sip": muru.flavors.sip.__file__,
    "templates": [str(path) for path in bundled("asterisk_conf").iterdir()],
}))
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Return what *command* prints, run in *cwd* without this checkout's or the user's settings."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MURU_", "PYTHON", "GIT_"))
    }
    done = subprocess.run(
        command,
        cwd=cwd,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def installation() -> Distribution:
    """Return what pip noted of muru, not the like of it that a build leaves in the checkout."""
    (found,) = distributions(name="muru", path=[sysconfig.get_path("purelib")])
    return found


def files_of_the_project(scratch: Path) -> list[Path]:
    """Return all that git does not ignore, whether or not it was committed yet."""
    repository = scratch / "git"
    run("git", "init", "-q", "--bare", repository, cwd=scratch)
    git = ("git", f"--git-dir={repository}", f"--work-tree={ROOT}")
    listing = run(*git, "ls-files", "-o", "-z", "--exclude-standard", cwd=ROOT)
    return [Path(name) for name in listing.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project as a fresh clone would be."""
    copy = tmp_path_factory.mktemp("project")
    for file in files_of_the_project(tmp_path_factory.mktemp("scratch")):
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, copy / file)
    return copy


@pytest.fixture(scope="module")
def wheel(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a release makes it: from the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "-o", folder, project, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a virtual environment that has the wheel and, by a link, its dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "-q", "--no-deps", "--no-index", wheel, cwd=folder)
    # A folder named in a .pth file only lengthens sys.path: the hook in it, by which this test's
    # own Python finds the checkout, does not run, and cannot stand in for what the wheel lacks.
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin"


def listed_flavors(program: Path, cwd: Path, **environment: str) -> dict[str, dict[str, object]]:
    output = run(program, "flavors", "--json", cwd=cwd, MURU_DATA_DIR=str(cwd), **environment)
    return {entry["name"]: entry for entry in json.loads(output)}


def test_every_package_is_listed_in_setup_cfg() -> None:
    """No package of the tree is forgotten in setup.cfg, and each one listed there exists."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")

    listed = config["options"]["packages"].split()

    code = {
        ".".join(file.parent.relative_to(ROOT).parts) for file in ROOT.glob("muru/**/__init__.py")
    }
    bundled = {f"muru._bundled.{name}" for name in BUNDLED}
    assert sorted(code | bundled) == sorted(listed)


def test_version_is_the_same_everywhere() -> None:
    """The code, what is installed and the CHANGELOG agree on the version."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert muru.__version__ == installation().version
    assert re.search(rf"^## \[?{re.escape(muru.__version__)}\b", changelog, re.MULTILINE)


def test_wheel_holds_the_project_and_nothing_else(wheel: Path, project: Path) -> None:
    """All files of muru/ and the three bundled folders are in the wheel: no tests, no .pyc."""
    homes = {"muru": "muru"} | {name: f"muru/_bundled/{name}" for name in BUNDLED}
    expected = {
        f"{home}/{file.relative_to(project / name).as_posix()}"
        for name, home in homes.items()
        for file in (project / name).rglob("*")
        if file.is_file() and not file.name.startswith(".")
    }

    names = zipfile.ZipFile(wheel).namelist()

    packed = {name for name in names if ".dist-info/" not in name}
    assert sorted(expected) == sorted(packed)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_wheel_finds_its_parts_far_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    """What is installed finds flavors and templates in itself."""
    found = json.loads(run(installed / "python", "-c", PROBE, cwd=tmp_path))

    templates = [Path(name) for name in found["templates"]]
    for path in (Path(found["muru"]), Path(found["sip"]), *templates):
        assert path.is_relative_to(installed.parent)
    assert "pjsip.conf" in {path.name for path in templates}


def test_wheel_installs_a_working_program(installed: Path, tmp_path: Path) -> None:
    """The program of the wheel tells its version, lists the flavors and makes its tables."""
    program = installed / "muru"

    assert run(program, "--version", cwd=tmp_path) == f"muru {muru.__version__}\n"
    assert {"sip", "dummy"} <= set(listed_flavors(program, tmp_path))
    run(program, "db", "upgrade", cwd=tmp_path, MURU_DATA_DIR=str(tmp_path))
    with closing(sqlite3.connect(tmp_path / "muru.sqlite3")) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert {"muru_alembic_own", "muru_alembic_realtime"} <= tables


def test_new_flavor_needs_no_reinstall(tmp_path: Path) -> None:
    """An editable install sees a flavor as soon as its file lies in a folder of flavors."""
    origin = json.loads(installation().read_text("direct_url.json") or "{}")
    program = SCRIPTS / "muru"
    folder = tmp_path / "flavors"
    folder.mkdir()
    environment = {
        "MURU_FLAVOR_PATHS": json.dumps([str(folder)]),
        "MURU_ENABLED_PHONE_FLAVORS": json.dumps(["sip"]),
    }
    before = listed_flavors(program, tmp_path, **environment)

    (folder / "lamp.py").write_text(
        "from muru.flavor import PhoneFlavor\n\n\n"
        'class Lamp(PhoneFlavor):\n    PHONE_TYPES = ["Lamp"]\n'
    )
    environment["MURU_ENABLED_PHONE_FLAVORS"] = json.dumps(["sip", "lamp"])
    after = listed_flavors(program, tmp_path, **environment)

    assert origin["dir_info"] == {"editable": True}
    assert "lamp" not in before
    assert after["lamp"]["state"] == "active"
    assert after["lamp"]["origin"] == str(folder)
