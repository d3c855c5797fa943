"""The typed keys under which an application holds its parts.

Imports nothing of muru at run time, so that everything may import it.
"""

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from muru.asterisk.ami import Ami
    from muru.asterisk.ari import Ari
    from muru.asterisk.registrations import Registrations
    from muru.asterisk.security import Security
    from muru.jobs import Jobs
    from muru.metrics import Metrics
    from muru.provisioning.engine import Engine
    from muru.provisioning.pnp import PnpServer
    from muru.provisioning.tftp.server import TftpServer
    from muru.services.calls import Calls
    from muru.services.diagnosis import Sources
    from muru.services.history import History
    from muru.services.overview import Overview
    from muru.services.registrations import Feed
    from muru.services.resync import Resyncs
    from muru.services.selftest import SelfTests
    from muru.services.site import Site
    from muru.services.user_agents import UserAgents
    from muru.services.users import LoginLimiter
    from muru.web.markdown import PagesFolder

SITE: web.AppKey["Site"] = web.AppKey("muru.site")
AMI: web.AppKey["Ami"] = web.AppKey("muru.ami")
ARI: web.AppKey["Ari"] = web.AppKey("muru.ari")
REGISTRATIONS: web.AppKey["Registrations"] = web.AppKey("muru.registrations")
USER_AGENTS: web.AppKey["UserAgents"] = web.AppKey("muru.user_agents")
FEED: web.AppKey["Feed"] = web.AppKey("muru.feed")
HISTORY: web.AppKey["History"] = web.AppKey("muru.history")
OVERVIEW: web.AppKey["Overview"] = web.AppKey("muru.overview")
JOBS: web.AppKey["Jobs"] = web.AppKey("muru.jobs")
LOGIN_LIMITER: web.AppKey["LoginLimiter"] = web.AppKey("muru.login_limiter")
ENGINE: web.AppKey["Engine"] = web.AppKey("muru.provisioning")
CALLS: web.AppKey["Calls"] = web.AppKey("muru.calls")
SECURITY: web.AppKey["Security"] = web.AppKey("muru.security")
DIAGNOSIS: web.AppKey["Sources"] = web.AppKey("muru.diagnosis")
SELFTESTS: web.AppKey["SelfTests"] = web.AppKey("muru.selftests")
RESYNCS: web.AppKey["Resyncs"] = web.AppKey("muru.resyncs")
METRICS: web.AppKey["Metrics"] = web.AppKey("muru.metrics")
PAGES_FOLDER: web.AppKey["PagesFolder"] = web.AppKey("muru.pages_folder")

#: The servers beside HTTP by which phones come in, as far as they run.
DOORS: web.AppKey["list[TftpServer | PnpServer]"] = web.AppKey("muru.doors")

#: In a request: the MAC address in the client's certificate, as a trusted proxy tells.
CERTIFICATE_MAC: web.RequestKey[str] = web.RequestKey("muru.certificate_mac")
