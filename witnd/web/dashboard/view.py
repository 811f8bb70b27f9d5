"""Render pages: templates that escape everything, with the filters and macros that all of them share."""

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
# Load resources only from this site, allow no inline scripts or styles, and forbid framing. Frames show printed pages.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Unlike API responses, forms must send their origin.
HEADERS: Final[Mapping[str, str]] = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}

_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent.parent / "templates" / "dashboard"),
    autoescape=True,
    auto_reload=False,  # keep the templates of the running version while a newer one is installed
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters.update(words.FILTERS)
_TEMPLATES.globals.update(link=words.link, new=words.new, file=address)
# Defaults for every page; a request overrides them.
_NOBODY: Final[Mapping[str, Any]] = {
    "form_key": None, "may_change": False, "who": None, "here": "", "target": "", "message": "", "is_form": False,
}  # fmt: skip


def rendered(template: str, values: Mapping[str, Any]) -> str:
    return _TEMPLATES.get_template(template).render({**_NOBODY, **values})


def html(template: str, values: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Raw:
    """Render a page as a response."""
    # Values from headers, such as Host, can contain bytes that are not valid text.
    return Raw(rendered(template, values).encode("utf-8", "replace"), HTML, {**HEADERS, **(headers or {})}, status)


def refused_page(error: Refused, request_id: str, values: Mapping[str, Any] | None = None) -> Raw:
    """Render the error page. `values`: those of the request, if the user is signed in."""
    shown = {**(values or {}), "error": error, "status": status_of(error), "request_id": request_id}
    return html("error.html", shown, status_of(error), headers_of(error))
