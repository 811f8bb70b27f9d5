"""Sending an answer that is made while it is sent: its parts go out as fast as the client takes them, none waits in
memory for another.
"""

import asyncio
from typing import Any, Final

from aiohttp import web
from aiohttp.web_request import BaseRequest

from witnd.web.route import Stream

# Who takes no part of an answer for so long does not get the rest.
PART_SECONDS: Final = 60.0


class Streamed(web.StreamResponse):
    """The response to a `Stream`. Its first part is there already, so that what is refused is refused in form."""

    def __init__(self, stream: Stream, first: str | None, status: int, headers: dict[str, str]) -> None:
        super().__init__(status=status, headers=headers)
        self._first = first
        self._parts = stream.parts

    @classmethod
    async def begun(cls, stream: Stream, status: int, headers: dict[str, str]) -> "Streamed":
        first = await anext(stream.parts, None)
        return cls(stream, first, status, {**headers, **stream.headers, "Content-Type": stream.content_type})

    async def send(self, request: BaseRequest) -> None:
        """Send all of it. Raises what making a part raises, and ConnectionError where nobody takes it."""
        try:
            await self.prepare(request)
            part = None if request.method == "HEAD" else self._first
            while part is not None:
                await self._write(part)
                part = await anext(self._parts, None)
            await self.write_eof()
        finally:
            close: Any = getattr(self._parts, "aclose", None)
            if close is not None:
                await close()

    async def _write(self, part: str) -> None:
        try:
            async with asyncio.timeout(PART_SECONDS):
                await self.write(part.encode())
        except TimeoutError:
            raise ConnectionAbortedError(f"no part of the answer was taken for {PART_SECONDS:g} s") from None
