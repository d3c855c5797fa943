r"""The pages that people see: rendered here, and moved a little by scripts in the browser.

How a page is made::

    pages = Pages()                              # muru/web/routing.py; listed in muru/web/app.py

    @pages.get("/phones/{number:\\d{1,15}}")     # access="user"; also "anybody" and "admin"
    async def show(visit: Visit) -> web.Response:
        extension = await extensions.get_extension(visit.site, visit.actor, visit.path("number"))
        return visit.render("phone.html", extension=extension)

    @pages.post("/phones/{number:\\d{1,15}}/name")   # its CSRF token is checked before this runs
    async def rename(visit: Visit) -> web.Response:
        form = await visit.form()                # form["name"]: the text of a field, "" without
        try:
            ...                                  # call a service
        except MuruError as error:               # form.take: the faults, at their fields
            return visit.render("name.html", form=form.take(error), status=form.status)
        return visit.redirect("/phones", flash=_("Saved."))

A template extends ``base.html`` and builds from the macros in ``ui.html``
(``{% import "ui.html" as ui with context %}``): ``ui.form`` (method, CSRF token, what is wrong
in general), ``ui.field``, ``ui.select``, ``ui.checkbox``, ``ui.button``, ``ui.card``, ``ui.badge``,
``ui.state`` (reachable or not), ``ui.icon`` (symbols of ``static/icons.svg``), ``ui.empty``,
``ui.copyable``, ``ui.search``, ``ui.pager``, ``ui.tabs``, ``ui.table`` (cards on small screens:
give each ``td`` a ``data-label``). Texts are English in ``_("...")``, in Python
(``from muru.web.language import _``) and in templates; ``make catalogue`` brings new ones into
``locale/de/LC_MESSAGES/messages.po``, where a test wants each translated. What a service says is
translated by ``told(text)``; ``form.take`` and the error pages do so. Times are shown by the
filters ``day``, ``moment`` and ``ago``.

An error that a page raises becomes an error page; ``Unauthenticated`` leads to the login page and
back. First parts of paths are listed in ``muru.settings.TAKEN_PATHS``, entries of the menu in
``navigation.py``.

All works without scripts, but for what is live. Scripts are ES modules in ``static/``, added in
``{% block scripts %}`` with ``{{ ui.script("phones.js") }}``; ``static/muru.js`` has ``api`` (the
JSON API, throws ``Problem``), ``follow`` (server-sent events), ``refresh`` (renders a part of a
page anew), ``toast``, ``announce``, ``words`` (translated texts, given by ``ui.words``),
``element``, ``icon``, ``debounce`` and ``enliven``. Without a script of its own a page has
``data-refresh="15"`` on an element with an id (fetched anew every 15 s), ``data-live="id"`` on a
GET form (that element follows while somebody types), ``data-copy="text"`` on a button, and
``data-scripted hidden`` on what is of use with scripts only. No inline script or style: the
Content-Security-Policy forbids them.

Tests: ``tests/web/conftest.py`` has a browser (``open_window(look, user="alice")``, whose
``check()`` looks for overflow, errors in the console, requests to other hosts, and what axe finds)
and ``visitor``, a client that fills in forms without a browser. ``make screenshots`` shows pages.
"""
