"""Brings the texts of the pages into the catalogues of translations, or tells what they lack.

    scripts/catalogue.py            # brings new texts into the messages.po of each language
    scripts/catalogue.py --check    # prints what is not translated, or is there for nothing

Besides what pages have in _("..."), there is what services say when they refuse something: the
sentences that errors are raised with. They are found here by themselves, with {0}, {1} where a
value is put in, and have the context "told".
"""

import argparse
import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

import muru
from muru import errors
from muru.services import resync
from muru.services.causes import CAUSES
from muru.web.language import LANGUAGES, TOLD, catalogue_file

ROOT = Path(__file__).parent.parent
WEB = ROOT / "muru/web"

SOURCES = [("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")]
OPTIONS = {"templates/**.html": {"trimmed": "true", "silent": "false", "newstyle_gettext": "true"}}
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2)}

# Where errors are raised whose text people read on pages, and where such text is returned.
RAISING = ["muru/services", "muru/web", "muru/flavor.py", "muru/registry.py", "muru/api"]
RETURNING = ["muru/errors.py", "muru/api/problems.py"]
ERRORS = {"problem", "Fault"} | {
    name
    for name, each in vars(errors).items()
    if isinstance(each, type) and issubclass(each, errors.MuruError)
}

# What flavors tell people of what they offer, by the names of the classes and arguments.
OFFERED = {"Field": {"title", "description"}, "MediaDescriptor": {"label"}, "Link": {"hint"}}

# What pydantic says of what was filled in, where muru does not say it itself.
PYDANTIC = [
    "Field required",
    "Extra inputs are not permitted",
    "Input should be a valid string",
    "Input should be a valid boolean, unable to interpret input",
    "Input should be a valid integer",
    "Input should be a valid integer, unable to parse string as an integer",
    "Input should be a valid number",
    "Input should be a valid number, unable to parse string as a number",
    "Input should be a valid list",
    "Input should be a valid dictionary",
    "Input should be greater than {0}",
    "Input should be greater than or equal to {0}",
    "Input should be less than {0}",
    "Input should be less than or equal to {0}",
    "Input should be {0}",
    "String should have at least {0} character",
    "String should have at least {0} characters",
    "String should have at most {0} characters",
    "String should match pattern {0}",
    "List should have at least {0} item after validation, not {1}",
    "List should have at least {0} items after validation, not {1}",
    "List should have at most {0} items after validation, not {1}",
]


def extract() -> Catalog:
    """Return all texts that are to be translated."""
    catalogue = Catalog()
    found = extract_from_dir(WEB, SOURCES, OPTIONS, KEYWORDS)
    for _file, _line, message, _comments, _context in found:
        catalogue.add(message)
    for text in [*told(), *offered(), *causes(), *PYDANTIC]:
        catalogue.add(text, context=TOLD)
    return catalogue


def told() -> Iterator[str]:
    """Yield what errors are raised with."""
    for name in RAISING:
        place = ROOT / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            yield from (text for node in told_in(tree) if " " in (text := text_of(node)))
    for name in RETURNING:
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Return) and node.value and " " in (text := text_of(node.value)):
                yield text


def offered() -> Iterator[str]:
    """Yield what flavors call their fields, media and links."""
    for path in [ROOT / "muru/flavor.py", *sorted((ROOT / "flavors").glob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (name := getattr(node.func, "id", "")) in OFFERED:
                given = [each.value for each in node.keywords if each.arg in OFFERED[name]]
                if name == "Link":
                    given += node.args[:1]
                yield from filter(None, map(text_of, given))


def causes() -> Iterator[str]:
    """Yield why phones do not work, and how far they come, as their owners read it."""
    yield from (resync.Resync("", state).text for state in get_args(resync.State))
    for cause in CAUSES.values():
        names = dict.fromkeys(re.findall(r"\{\w+\}", cause.text))
        yield functools.reduce(
            lambda text, name: text.replace(name[1], f"{{{name[0]}}}"),
            enumerate(names),
            cause.text,
        )


def told_in(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield what errors are given: the sentence, faults of fields, and what names stand for."""
    given: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ERRORS:
            dicts = [each for each in node.args if isinstance(each, ast.Dict)]
            given += [each for each in node.args if not isinstance(each, ast.Dict)]
            given += [value for each in dicts for value in each.values]
    names = {each.id for each in given if isinstance(each, ast.Name)}
    yield from given
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in names:
            yield node.value


def text_of(node: ast.expr) -> str:
    """Return a string as it is written, with {0} where a value is put in; empty for all else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return ""
    text, count = "", 0
    for piece in node.values:
        if isinstance(piece, ast.Constant):
            text += str(piece.value)
        else:
            text += f"{{{count}}}"
            count += 1
    return text if any(map(str.isalpha, text)) else ""


def is_translated(message: Message) -> bool:
    texts = message.string if isinstance(message.string, tuple | list) else [message.string]
    return all(texts) and not message.fuzzy


def check(catalogue: Catalog, wanted: Catalog) -> Iterator[str]:
    """Yield what is wrong with the translations in *catalogue*."""
    there = {(message.id, message.context): message for message in catalogue if message.id}
    for message in wanted:
        if message.id and (message.id, message.context) not in there:
            yield f"missing: {message.id!r}"
    for (text, context), message in there.items():
        if wanted.get(text, context) is None:
            yield f"not used any more: {text!r}"
        elif not is_translated(message):
            yield f"not translated: {text!r}"
        else:
            yield from (f"{text!r}: {error}" for error in message.check(catalogue))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, tell what is lacking")
    arguments = parser.parse_args()
    wanted, faults = extract(), []
    for language in LANGUAGES:
        path = catalogue_file(language)
        if language == "en":  # what the texts are written in
            continue
        with path.open("rb") as file:
            catalogue = read_po(file, locale=language)
        if not arguments.check:
            catalogue.project, catalogue.version = "muru", muru.__version__
            catalogue.msgid_bugs_address = catalogue.last_translator = ""
            catalogue.language_team = language
            changed = catalogue.creation_date  # kept: or each run would be a change
            catalogue.update(wanted, no_fuzzy_matching=True, update_header_comment=False)
            catalogue.obsolete.clear()
            catalogue.creation_date = catalogue.revision_date = changed
            with path.open("wb") as file:
                write_po(
                    file,
                    catalogue,
                    width=100,
                    no_location=True,
                    sort_output=True,
                    omit_header=False,
                    ignore_obsolete=True,
                )
        faults += [f"{language}: {fault}" for fault in check(catalogue, wanted)]
    print("\n".join(faults) or "All texts are translated.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
