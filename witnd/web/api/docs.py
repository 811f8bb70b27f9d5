"""The description of the API, for programs and people. Requires no token."""

from functools import cache
from pathlib import Path
from typing import Any, Final

from witnd.web.api.spec import openapi, reference
from witnd.web.http.route import JSON, ROUTES, Call, Raw, route

HTML: Final = "text/html; charset=utf-8"
CSS: Final = "text/css; charset=utf-8"
SVG: Final = "image/svg+xml"
# Nothing is run, and nothing is fetched but the style sheet beside it.
POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_WEB: Final = Path(__file__).parent.parent


@route("GET", "/openapi.json", says="This API as OpenAPI 3.1.", scope=None)
async def description(_: Call[Any]) -> Raw:
    return Raw(_description(), JSON)


@route("GET", "/docs", says="This page.", scope=None, answer_type=HTML)
async def page(_: Call[Any]) -> Raw:
    return Raw(_page(), HTML, {"Content-Security-Policy": POLICY})


@route("GET", "/docs/style.css", says="The style of the page.", scope=None, answer_type=CSS)
async def style(_: Call[Any]) -> Raw:
    return Raw(_file("templates/reference.css"), CSS)


@route("GET", "/docs/icon.svg", says="The icon of the page.", scope=None, answer_type=SVG)
async def icon(_: Call[Any]) -> Raw:
    return Raw(_file("static/icon.svg"), SVG, {"Content-Security-Policy": POLICY})


# Made when they are first asked for: by then every route is known.
@cache
def _description() -> bytes:
    return openapi.text(ROUTES)


@cache
def _page() -> bytes:
    return reference.page(openapi.document(ROUTES)).encode()


@cache
def _file(name: str) -> bytes:
    return (_WEB / name).read_bytes()
