"""Support for a proxy in front of the daemon: headers and address prefixes.

A proxy that serves the daemon below a path sends it as `X-Forwarded-Prefix`. Answers name places from the root, so the
prefix is put in front of them, at one point, when the answer is complete. Templates escape every quote that comes from
data, so a pattern with a quote matches nothing but the markup itself. The same holds for JSON.
"""

import re
from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy

PREFIX_HEADER: Final = "X-Forwarded-Prefix"
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_IN_HTML: Final = re.compile(rb'(\s(?:href|src|action|formaction|data-live)=")(?=/(?!/))')
_IN_JSON: Final = re.compile(rb'("(?:doc_url|href|[a-z]+_href)": ?")(?=/(?!/))')
_SERVER: Final = re.compile(rb'("servers": \[\s*\{\s*"url": ")/(?=")')
_COOKIE_PATH: Final = re.compile(r"(; Path=)(?=/)")

Headers = CIMultiDict[str] | CIMultiDictProxy[str]


def forwarded_prefix(headers: Headers) -> str:
    """Return the path below which clients reach the daemon; empty for the root and invalid headers."""
    prefix = _first(headers, PREFIX_HEADER).rstrip("/")
    return prefix if _PREFIX.fullmatch(prefix) and not {".", ".."} & set(prefix.split("/")) else ""


def is_over_tls(headers: Headers) -> bool:
    """Return whether the client's connection used TLS. With several proxies, the first value counts."""
    return _first(headers, "X-Forwarded-Proto").lower() == "https"


def _first(headers: Headers, name: str) -> str:
    return headers.get(name, "").partition(",")[0].strip()


def add_prefix(prefix: str, response: web.Response) -> None:
    """Add the prefix to every address in a response."""
    headers = response.headers
    if headers.get(hdrs.LOCATION, "").startswith("/"):
        headers[hdrs.LOCATION] = prefix + headers[hdrs.LOCATION]
    if cookies := headers.popall(hdrs.SET_COOKIE, []):
        for one in cookies:
            headers.add(hdrs.SET_COOKIE, _COOKIE_PATH.sub(rf"\1{prefix}", one, count=1))
    body = response.body
    if not isinstance(body, bytes) or not body:
        return
    kind = headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0]
    place = prefix.encode()
    if kind == "text/html":
        response.body = _IN_HTML.sub(rb"\1" + place, body)
    elif kind == "application/json":
        response.body = _SERVER.sub(rb"\1" + place, _IN_JSON.sub(rb"\1" + place, body))
