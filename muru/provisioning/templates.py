"""Renders the files of phones. Escaping follows from the file's format, not from its template.

Every value that a template writes passes through the escape of its format; nothing that a person
typed can end a line, an element or a string. A template has Jinja2's ``StrictUndefined``: a word
that is not in the vocabulary is an error and no empty text.

An operator's template wins over that of the same name that comes with its flavor, which it can
extend as ``bundled/…``. If it is broken, that is told with file and line, and the one that came
along is used.
"""

import csv
import io
import json
import logging
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import Any

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateError,
    nodes,
)
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import TemplateNotFound, TemplateSyntaxError
from markupsafe import Markup, escape

from muru.flavor import PhoneFlavor
from muru.paths import bundled, template_folders
from muru.provisioning import mac as macs
from muru.provisioning.files import Format, ProvisioningFile
from muru.provisioning.vocabulary import Vocabulary
from muru.settings import Settings

_log = logging.getLogger(__name__)

# What XML 1.0 cannot hold, not even as an entity; and, for all, what ends a line or hides in it.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_NO_WORD = re.compile(r"[\s\x00-\x1f\x7f-\x9f\"'%#\\]+")
_LOOK = 0.5  # seconds
_REMEMBERED = 2_000  # escaped values, for each format
_NAMES = tuple(field.name for field in fields(Vocabulary))


class TemplateFault(Exception):
    """A template cannot be rendered; the text tells file, line and reason."""


def _xml(text: str) -> str:
    return str(escape(_NOT_XML.sub("", _CONTROLS.sub(" ", text))))


def _line(text: str) -> str:
    return _CONTROLS.sub(" ", text).strip()


def _quoted(text: str) -> str:
    return _line(text).replace("\\", "/").replace('"', "'")


def _word(text: str) -> str:
    return _NO_WORD.sub("_", text.strip()).lstrip("/")  # a slash begins the next parameter


def _json(value: Any) -> str:
    return json.dumps(str(value) if isinstance(value, StrictUndefined) else value)


def _cell(value: Any) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="").writerow([_line(str(value))])
    return buffer.getvalue()


def _of_text(clean: Callable[[str], str]) -> Callable[[Any], str]:
    """Return the escape of a format whose values are texts.

    Most of what is in a file is the same for all phones, and is escaped once.
    """

    @lru_cache(_REMEMBERED)
    def cleaned(value: str | int) -> str:
        return clean(str(value))

    def escaped(value: Any) -> str:
        if type(value) is str or type(value) is int:
            return cleaned(value)
        if isinstance(value, Markup):
            return value
        return "" if value is None else clean(str(value))

    return escaped


def _of_json(value: Any) -> str:
    return value if isinstance(value, Markup) else _json(value)


_ESCAPES: dict[Format, Callable[[Any], str]] = {
    Format.XML: _of_text(_xml),
    Format.LINES: _of_text(_line),
    Format.QUOTED: _of_text(_quoted),
    Format.WORDS: _of_text(_word),
    Format.JSON: _of_json,
    Format.CSV: _of_text(_cell),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """An operator's template that is not used, and why."""

    template: str
    reason: str


def templates_of(settings: Settings) -> "Templates":
    """Return the templates of a site: the operator's, those beside its flavors, muru's own."""
    beside = [path.absolute() / "templates" for path in settings.flavor_paths]
    return Templates(
        [path.absolute() for path in settings.template_paths],
        [
            *beside,
            *template_folders(settings.enabled_phone_flavors),
            bundled("provisioning_templates"),
        ],
    )


class Templates:
    """The templates of all flavors; *own* are the operator's folders, the first one first."""

    def __init__(self, own: Iterable[Path], others: Iterable[Path]) -> None:
        own, others = list(own), list(others)
        self.folders = [*own, *others]
        self.faults: dict[str, Fault] = {}  # of the operator's templates, by name
        self._bundled = {each: _environment(each, [], others) for each in Format}
        self._own = {each: _environment(each, own, others) for each in Format} if own else {}
        self._version, self._stamps, self._look_at = 0, _stamps(self.folders), 0.0

    @property
    def version(self) -> int:
        """A number that is another one after any change of a template, or a new one.

        The folders are looked at no more often than every half second: a hall full of phones asks
        at once.
        """
        time = monotonic()
        if time >= self._look_at:
            self._look_at, stamps = time + _LOOK, _stamps(self.folders)
            if stamps != self._stamps:
                self._version, self._stamps = self._version + 1, stamps
                for environment in (*self._bundled.values(), *self._own.values()):
                    assert environment.cache is not None
                    environment.cache.clear()
        return self._version

    def exists(self, name: str) -> bool:
        """Tell whether there is a template ``folder/name``."""
        return any((folder / name).is_file() for folder in self.folders)

    def faults_of(self, folder: str) -> list[str]:
        """Return what is wrong with the operator's templates for one flavor."""
        return [
            fault.reason for name, fault in self.faults.items() if name.startswith(f"{folder}/")
        ]

    def render(
        self, flavor: PhoneFlavor, file: ProvisioningFile, vocabulary: Vocabulary
    ) -> tuple[bytes, str]:
        """Return the bytes of *file* and its content type.

        Raises:
            TemplateFault: its template is missing or broken.
        """
        _ = self.version  # what has changed is read anew
        name = f"{type(flavor).__name__.lower()}/{file.template}"
        text = self._render_own(name, file, flavor, vocabulary)
        if text is None:
            try:
                text = _render(self._bundled[file.escaped_as], name, flavor, vocabulary)
            except Exception as error:
                raise TemplateFault(_describe(name, error)) from error
        errors = "xmlcharrefreplace" if file.escaped_as is Format.XML else "replace"
        content = flavor.finish(file, text).encode(file.encoding, errors)
        return content, f"{file.media_type}; charset={file.encoding}"

    def _render_own(
        self, name: str, file: ProvisioningFile, flavor: PhoneFlavor, vocabulary: Vocabulary
    ) -> str | None:
        """Render with the operator's templates; None if there are none, or they are broken."""
        if not self._own:
            return None
        try:
            text = _render(self._own[file.escaped_as], name, flavor, vocabulary)
        except Exception as error:
            reason = _describe(name, error)
            if self.faults.get(name) != Fault(name, reason):
                _log.error("template is not used: %s", reason)
            self.faults[name] = Fault(name, reason)
            return None
        self.faults.pop(name, None)
        return text


def _stamps(folders: Iterable[Path]) -> dict[str, tuple[int, int]]:
    """Return what tells that a file below *folders* has changed."""
    stamps = {}
    for folder in folders:
        for place, _, names in os.walk(folder, followlinks=True):
            for name in names:
                path = f"{place}/{name}"
                with suppress(OSError):  # gone meanwhile
                    status = os.stat(path)  # noqa: PTH116  # a Path would take longer than this
                    stamps[path] = status.st_mtime_ns, status.st_size
    return stamps


class _Writer(CodeGenerator):
    """Writes what ``finalize`` returns, without Jinja2's own escape after it, which is for HTML."""

    def _output_child_to_const(
        self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo
    ) -> str:
        const = node.as_const(frame.eval_ctx)
        if isinstance(node, nodes.TemplateData) or finalize.const is None:
            return str(const)
        return finalize.const(const)

    def _output_child_pre(
        self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo
    ) -> None:
        del node, frame
        self.write(finalize.src or "(")

    def _output_child_post(
        self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo
    ) -> None:
        del node, frame, finalize
        self.write(")")


class _Environment(Environment):
    code_generator_class = _Writer


def _environment(written_as: Format, own: list[Path], others: list[Path]) -> Environment:
    """Return an environment that escapes values for one format.

    All values pass through ``finalize``. With ``autoescape``, what macros and blocks have written
    is marked as such, and stays as it is.
    """
    environment = _Environment(
        loader=ChoiceLoader(
            [PrefixLoader({"bundled": FileSystemLoader(others)}), FileSystemLoader([*own, *others])]
        ),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_ESCAPES[written_as],
        auto_reload=False,  # Templates looks
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.do"],
    )
    environment.filters["mac"] = macs.written
    environment.filters["quoted"] = _quoted_string
    return environment


def _quoted_string(text: str) -> str:
    """Return *text* as SIP's quoted-string (RFC 3261, 25.1), for a display name."""
    return '"{}"'.format(_line(text).replace("\\", "\\\\").replace('"', '\\"'))


def _render(
    environment: Environment, name: str, flavor: PhoneFlavor, vocabulary: Vocabulary
) -> str:
    values = {each: getattr(vocabulary, each) for each in _NAMES}
    return environment.get_template(name).render(values, flavor=flavor)


def _describe(name: str, error: Exception) -> str:
    """Return where in a template *error* came up, and what it is."""
    if isinstance(error, TemplateNotFound):
        return f"{error.name or name}: there is no such template"
    if isinstance(error, TemplateSyntaxError):
        return f"{error.filename or error.name or name}:{error.lineno}: {error.message}"
    place, traceback = name, error.__traceback__
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if filename.endswith(name.rpartition("/")[2]) or "__jinja_template__" in (
            traceback.tb_frame.f_globals
        ):
            place = f"{filename}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    kind = "" if isinstance(error, TemplateError) else f"{type(error).__name__}: "
    return f"{place}: {kind}{error}"
