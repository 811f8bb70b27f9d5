"""Who changed what: one entry for each change that was made through the API, in the order in which they were made.

A change is noted after it is made. What a catalogue version was before and after stands in the catalogue itself, and
what was done to an invoice on the invoice: those are written in one step with the change, this is not.
"""

from typing import Any, Final, cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from witnd.store.connection import mapped
from witnd.store.keys import GlobalKeys

# Secrets never get into the log of changes.
_HIDDEN: Final = frozenset(("secret", "digest", "token"))


class Change(Struct, frozen=True, kw_only=True):
    """`id` is that of the stream entry; its first part is the instant in ms. `before` None: it was made new."""

    id: str = ""
    who: str
    what: str  # "customer.update", "token.revoke", …
    key: str
    request_id: str
    before: Any = None
    after: Any = None


class Changes:
    def __init__(self, client: Redis, keys: GlobalKeys) -> None:
        self._client = client
        self._stream = keys.changes

    async def note(self, change: Change) -> None:
        plain = msgspec.to_builtins(change)
        del plain["id"]
        record = msgspec.json.encode(_without_secrets(plain))
        with mapped():
            await self._client.xadd(self._stream, {"data": record})

    async def newest(self, limit: int, behind: str | None = None) -> list[Change]:
        """The last changes first; those before the entry `behind`."""
        start = "+" if behind is None else f"({behind}"
        with mapped():
            found = await self._client.xrevrange(self._stream, start, "-", count=limit)
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", found)
        return [
            msgspec.convert({"id": id_.decode(), **msgspec.json.decode(fields[b"data"])}, Change)
            for id_, fields in entries
        ]


def _without_secrets(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: "(hidden)" if name in _HIDDEN else _without_secrets(inner) for name, inner in node.items()}
    if isinstance(node, list):
        return [_without_secrets(inner) for inner in node]
    return node
