"""The operator's own pages, for those who show them elsewhere, as an app does."""

from pydantic import BaseModel, Field

from muru.api.routing import Call, Endpoints, Input
from muru.errors import NotFound
from muru.keys import PAGES_FOLDER

endpoints = Endpoints()


class LanguageQuery(Input):
    """Where a page is not there in *language*, it comes in the one that it has."""

    language: str = Field("en", pattern="^[a-z]{2}$")


class PageHeading(BaseModel):
    name: str
    title: str


class PageView(BaseModel):
    """*html* is made of Markdown, and of nothing else: no script, no style, no foreign picture."""

    name: str
    title: str
    html: str


class PageList(BaseModel):
    items: list[PageHeading]


@endpoints.get("/pages", access="anybody")
async def list_pages(call: Call, query: LanguageQuery) -> PageList:
    """Return the names and titles of all pages, by name."""
    headings = call.request.config_dict[PAGES_FOLDER].headings(query.language)
    return PageList(items=[PageHeading(name=each.name, title=each.title) for each in headings])


@endpoints.get("/pages/{name:[a-z0-9][a-z0-9_-]{0,60}}", access="anybody")
async def get_page(call: Call, query: LanguageQuery) -> PageView:
    name = call.path("name")
    document = call.request.config_dict[PAGES_FOLDER].get(name, query.language)
    if document is None:
        raise NotFound(f"There is nothing at {call.request.path}.")
    return PageView(name=name, title=document.title, html=document.html)
