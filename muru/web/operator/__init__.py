"""The operator's pages: how the site is doing, and what may be done about it.

All are for administrators, and below ``/operator``. Templates are in ``templates/operator``, and
extend ``operator/base.html``, which has the menu of these pages.
"""

from muru.web.operator import (
    accounts,
    calls,
    devices,
    dialplan,
    extensions,
    importing,
    invites,
    overview,
    state,
)

MODULES = (overview, extensions, dialplan, importing, accounts, invites, devices, calls, state)
