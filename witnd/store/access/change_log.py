"""The change log: one entry for each change, with its author, in order.

A change in the shared slot and its entry are one write: the script or transaction appends the record from here. A
change in the slot of a partition cannot be one write with its entry, so its request is logged first. Such an entry has
`after.requested` true. It stays if the change then fails.
"""

from typing import Any, Final, Literal, TypeAlias, cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from witnd.domain.values import instant
from witnd.store.errors import Unsafe
from witnd.store.keys import GlobalKeys
from witnd.store.records.json_record import decode_record, encode_record
from witnd.store.server.connection import redis_errors

# Fields that never get into the change log.
_HIDDEN: Final = frozenset(("secret", "digest", "token"))
EFFECTIVE_FROM: Final = "effective_from"
REQUESTED: Final = "requested"

Source: TypeAlias = Literal["api", "dashboard", "cli"]


class Author(Struct, frozen=True, kw_only=True):
    """The author of a change. `who`: name and id of a token, or the operating system user and host of a command.
    `token_id`: None if no token was used. `idempotency_key`: the key under which the request may be repeated.
    """

    who: str
    source: Source
    token_id: str | None = None
    request_id: str = ""
    idempotency_key: str | None = None

    def change(self, what: str, key: str, *, before: Any = None, after: Any = None) -> "Change":
        """Return an entry of the change log by this author."""
        return Change(
            who=self.who,
            source=self.source,
            token_id=self.token_id,
            what=what,
            key=key,
            request_id=self.request_id,
            before=before,
            after=after,
        )


class Change(Struct, frozen=True, kw_only=True):
    """An entry of the change log. `id` is the id of the stream entry, which starts with the instant in ms. `before` is
    None for something new."""

    id: str = ""
    who: str
    source: Source = "api"
    token_id: str | None = None
    what: str  # "customer.update", "token.revoke", …
    key: str
    request_id: str
    before: Any = None
    after: Any = None


def encode_change(change: Change) -> bytes:
    """Return the stored record, without secrets."""
    plain = msgspec.to_builtins(change)
    del plain["id"]
    return encode_record(_without_secrets(plain))


def around_instant(change: Change) -> tuple[bytes, bytes]:
    """Return the record before and after the value of `effective_from`, which the script inserts."""
    return encode_change(change)[:-1] + b',"effective_from":', b"}"


class Changes:
    def __init__(self, client: Redis, keys: GlobalKeys) -> None:
        self._client = client
        self._stream = keys.changes

    async def note(self, change: Change) -> None:
        """Append an entry."""
        with redis_errors():
            await self._client.xadd(self._stream, {"data": encode_change(change)})

    async def note_request(self, author: Author, what: str, key: str, **details: Any) -> None:
        """Log the request for a change in the slot of a partition. Call it before the change."""
        await self.note(author.change(what, key, after={REQUESTED: True, **details}))

    async def newest(self, limit: int, before: str | None = None) -> list[Change]:
        """Return changes, newest first; with `before`, those older than this entry."""
        start = "+" if before is None else f"({before}"
        with redis_errors():
            found = await self._client.xrevrange(self._stream, start, "-", count=limit)
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", found)
        return [_read_entry(id_.decode(), fields) for id_, fields in entries]


def _read_entry(id_: str, fields: dict[bytes, bytes]) -> Change:
    """Return an entry. Show a damaged one as unreadable."""
    try:
        return _decode_entry(id_, fields)
    except (Unsafe, msgspec.MsgspecError) as wrong:
        return Change(id=id_, who="unknown", what="unreadable", key="", request_id="", after={"reason": str(wrong)})


def _decode_entry(id_: str, fields: dict[bytes, bytes]) -> Change:
    record = decode_record(fields.get(b"data", b""), dict, f"entry {id_} of the change log")
    _complete(record)
    return msgspec.convert({**record, "id": id_}, Change)


def _complete(record: dict[str, Any]) -> None:
    """Insert the values that the script added: an instant or a number."""
    after = record.get("after")
    if not isinstance(after, dict):
        return
    if EFFECTIVE_FROM in record:
        record["after"] = {EFFECTIVE_FROM: instant.render(record[EFFECTIVE_FROM]), **after}
    if "made" in record:
        after["made"] = record["made"]
        invoice = after.get("invoice", {})
        for field in record["stamps"]:
            invoice[field] = instant.render(record["at"])
        if record["what"] == "invoice.issue":
            invoice["number"] = record["made"]


def _without_secrets(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: "(hidden)" if name in _HIDDEN else _without_secrets(inner) for name, inner in node.items()}
    if isinstance(node, list):
        return [_without_secrets(inner) for inner in node]
    return node
