"""How pages are written: templates with everything escaped, and the words and forms that all of them share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from witnd.app.errors import Refused
from witnd.web.dashboard.files import address
from witnd.web.dashboard.present import words
from witnd.web.errors import headers_of, status_of
from witnd.web.http.route import Raw

PREFIX: Final = "/dashboard"
HTML: Final = "text/html; charset=utf-8"
# Everything comes from here, nothing is run or styled from inside a page, and nobody may frame it.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Unlike answers of the API, forms must say where they come from.
HEADERS: Final[Mapping[str, str]] = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}

_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent.parent / "templates" / "dashboard"),
    autoescape=True,
    auto_reload=False,  # a daemon shows what it was started with, also while a newer one is installed beside it
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters.update(words.FILTERS)
_TEMPLATES.globals.update(link=words.link, new=words.new, file=address)
# What every page has; a visit puts its own in their place.
_NOBODY: Final[Mapping[str, Any]] = {
    "form_key": None, "may_change": False, "who": None, "here": "", "target": "", "told": "", "sent": False,
}  # fmt: skip


def rendered(template: str, values: Mapping[str, Any]) -> str:
    return _TEMPLATES.get_template(template).render({**_NOBODY, **values})


def html(template: str, values: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Raw:
    """A page as an answer."""
    # Of headers anything may come that is no text, such as the name by which somebody calls this host.
    return Raw(rendered(template, values).encode("utf-8", "replace"), HTML, {**HEADERS, **(headers or {})}, status)


def refused_page(error: Refused, request_id: str, values: Mapping[str, Any] | None = None) -> Raw:
    """A refusal for people. `values`: of the visit, where somebody is known to be signed in."""
    shown = {**(values or {}), "error": error, "status": status_of(error), "request_id": request_id}
    return html("error.html", shown, status_of(error), headers_of(error))
