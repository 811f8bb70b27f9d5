"""Static files of the pages. They need no session."""

from typing import Any, Final

from witnd.app.errors import not_found
from witnd.web.dashboard.files import FILES
from witnd.web.dashboard.page import add, redirect
from witnd.web.dashboard.view import POLICY, PREFIX
from witnd.web.errors import ApiError
from witnd.web.http.route import Call, Raw

# The content never changes under an address.
_KEPT: Final = "public, max-age=31536000, immutable"


async def static(call: Call[Any]) -> Raw:
    name = call.path["name"]
    if name not in FILES:
        raise not_found("file", name)
    found = FILES[name]
    return Raw(found.content, found.content_type, {"Cache-Control": _KEPT, "Content-Security-Policy": POLICY})


async def home(call: Call[Any]) -> Raw:
    """Redirect browsers to the dashboard. Programs get the same error as for any unknown path."""
    if "text/html" in call.headers.get("Accept", ""):
        return redirect(PREFIX)
    if "Authorization" in call.headers:
        raise ApiError("NOT_FOUND", "no such path: /; the API is below /v1, its description at /docs")
    raise ApiError("TOKEN_INVALID", "Missing token", headers={"WWW-Authenticate": "Bearer"})


async def overview(_: Call[Any]) -> Raw:
    """Redirect the address with a trailing slash."""
    return redirect(PREFIX)


add("GET", "/dashboard/static/{name}", static)
add("GET", "/", home)
add("GET", f"{PREFIX}/", overview)
