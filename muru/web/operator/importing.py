"""Extensions out of a table: looked through first, then created."""

from aiohttp import web
from aiohttp.web_request import FileField

from muru.services import extension_import
from muru.services.extension_import import COLUMNS, MOST_LINES, Outcome, Table
from muru.web import forms
from muru.web.forms import Form
from muru.web.language import ngettext
from muru.web.operator.area import show
from muru.web.routing import Pages, Visit

pages = Pages()

_PATH = "/operator/extensions/import"
_SHOWN = 10  # lines of those that are to be created
_MOST_FAULTS = 200


@pages.get(_PATH, access="admin")
async def show_import(visit: Visit) -> web.Response:
    return _page(visit, Form({"mode": "all"}))


@pages.post(_PATH, access="admin")
async def take_table(visit: Visit) -> web.Response:
    """Look through what was sent; ``step`` import creates it as well, if nothing is wrong."""
    form = await visit.form()
    if text := await _uploaded(visit):
        form.values["text"] = text
    table = extension_import.read(form["text"])
    await extension_import.check(visit.site, visit.actor, table)
    if form["step"] != "import" or (table.faults and form["mode"] != "some"):
        return _page(visit, form, table=table, status=422 if table.faults else 200)
    wrong = {fault.line for fault in table.faults}
    outcome = await extension_import.create(
        visit.site,
        visit.actor,
        [row for row in table.rows if row.line not in wrong],
        all_or_nothing=form["mode"] != "some",
    )
    outcome.faults = sorted([*table.faults, *outcome.faults], key=lambda fault: fault.line)
    if not outcome.faults:
        count = len(outcome.created)
        text = ngettext("%(num)s extension created.", "%(num)s extensions created.", count)
        return visit.redirect("/operator/extensions", flash=text % {"num": count})
    return _page(visit, form, outcome=outcome, status=422)


async def _uploaded(visit: Visit) -> str:
    """Return the text of the file that was sent, if one was."""
    file = (await visit.request.post()).get("file")
    if not isinstance(file, FileField):
        return ""
    content = file.file.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")  # as spreadsheets on Windows write it
    return forms.clean(text)


def _page(
    visit: Visit,
    form: Form,
    *,
    table: Table | None = None,
    outcome: Outcome | None = None,
    status: int = 200,
) -> web.Response:
    faults = outcome.faults if outcome else table.faults if table else []
    return show(
        visit,
        "import.html",
        form=form,
        table=table,
        outcome=outcome,
        faults=faults[:_MOST_FAULTS],
        faults_total=len(faults),
        rows=table.rows[:_SHOWN] if table else [],
        columns=COLUMNS,
        most_lines=MOST_LINES,
        status=status,
    )
