"""Compress responses (pages, lists and files) for clients that accept gzip.

The length of a compressed answer tells something about its content. Where an answer holds a secret (the form key of a
page) and repeats what an address says, somebody who makes a browser send requests and watches their length could guess
the secret. So pages are compressed only if their address has no query, and those about signing in and tokens never.
Answers of the API are safe: a browser does not send the token automatically.
"""

import asyncio
import gzip
from typing import Final

from aiohttp import hdrs, web
from aiohttp.web_request import BaseRequest

# Below this, compressing saves no packet.
LEAST_BYTES: Final = 1024
# Above this it takes long enough to be done beside the event loop.
_THREAD_BYTES: Final = 64 * 1024
_LEVEL: Final = 5
_KINDS: Final = frozenset(
    ("text/html", "text/css", "text/javascript", "text/plain", "text/csv", "image/svg+xml", "application/json")
)
_WITH_SECRETS: Final = ("/dashboard/sign-in", "/dashboard/tokens", "/v1/tokens")


def accepts_gzip(header: str) -> bool:
    """Return whether `Accept-Encoding` accepts gzip, by name or by `*`."""
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        name, _, rest = part.partition(";")
        weight = rest.partition("=")[2].strip() if rest.strip().startswith("q") else "1"
        try:
            weights[name.strip()] = float(weight)
        except ValueError:
            weights[name.strip()] = 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def may_be_compressed(request: BaseRequest, response: web.Response) -> bool:
    """Return whether this response may be compressed."""
    path, kind = request.rel_url.raw_path, response.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0]
    return (
        request.method in ("GET", "HEAD")
        and response.status == 200
        and kind in _KINDS
        and isinstance(response.body, bytes)
        and len(response.body) >= LEAST_BYTES
        and hdrs.CONTENT_ENCODING not in response.headers
        and not path.startswith(_WITH_SECRETS)
        and not (kind == "text/html" and request.rel_url.raw_query_string)
    )


async def compress(request: BaseRequest, response: web.Response) -> None:
    """Compress the answer if it may be compressed and the client accepts gzip."""
    if not may_be_compressed(request, response):
        return
    response.headers.add(hdrs.VARY, hdrs.ACCEPT_ENCODING)
    if not accepts_gzip(",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, []))):
        return
    body = response.body
    assert isinstance(body, bytes)
    if len(body) > _THREAD_BYTES:
        response.body = await asyncio.to_thread(_gzip, body)
    else:
        response.body = _gzip(body)
    response.headers[hdrs.CONTENT_ENCODING] = "gzip"


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, _LEVEL, mtime=0)
