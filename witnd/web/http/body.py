"""Read the body of a request within the limits of its route for size and time.

Whether it holds what the route asks for is seen later.
"""

import asyncio

from aiohttp import ClientPayloadError, HttpVersion11, hdrs
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_request import BaseRequest

from witnd.app.errors import Refused, invalid
from witnd.web.errors import ApiError
from witnd.web.http.route import Route


async def body_of(request: BaseRequest, route: Route, seconds: float) -> bytes:
    """Return the body. Refuse a body that is too large while reading it."""
    if not request.body_exists:
        return b""
    if (request.content_length or 0) > route.most_bytes:
        raise _too_large(route)
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise ApiError("UNSUPPORTED_MEDIA_TYPE", "Content-Encoding is not supported; send the body without it")
    if request.version >= HttpVersion11 and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
    parts: list[bytes] = []
    size = 0
    try:
        if request.content.is_eof():
            # All of it came with the headers, as nearly always; a timer would cost more than reading it.
            data: bytes = request.content.read_nowait(-1)
            if len(data) > route.most_bytes:
                raise _too_large(route)
            return data
        async with asyncio.timeout(seconds):
            while part := await request.content.readany():
                size += len(part)
                if size > route.most_bytes:
                    raise _too_large(route)
                parts.append(part)
    except TimeoutError:
        raise ApiError(
            "REQUEST_TIMEOUT", f"body did not arrive within {seconds:g} s", headers={"Connection": "close"}
        ) from None
    except (ClientPayloadError, HttpProcessingError):
        raise invalid("", "body is incomplete, or its framing is invalid") from None
    return b"".join(parts)


def _too_large(route: Route) -> Refused:
    return ApiError(
        "PAYLOAD_TOO_LARGE", f"body must have at most {route.most_bytes} bytes", headers={"Connection": "close"}
    )
