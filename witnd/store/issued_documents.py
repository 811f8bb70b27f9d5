"""Documents that are stored when an invoice or credit note is issued, and never change."""

import asyncio
import zlib
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, cast

import msgspec
from redis.asyncio import Redis

from witnd.store.errors import DamagedInvoice, Unreadable, Unsafe
from witnd.store.keys import BillingKeys
from witnd.store.records.sealed import DAMAGE, seal, unseal
from witnd.store.server.connection import redis_errors

Kind: TypeAlias = Literal["json", "cii", "ubl"]
FORMAT: Final = 1
_RESTORE: Final = "restore the documents of this invoice from a backup of Redis; settlement continues meanwhile"

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(tuple[int, bytes]).decode


class StoredDocuments:
    """Reads and writes them, by the id of the invoice or credit note."""

    def __init__(self, client: Redis, keys: BillingKeys) -> None:
        self._client = client
        self._keys = keys

    async def get(self, id_: str, kind: Kind) -> bytes | None:
        """Return a document, or None if it is not stored. Raises `DamagedInvoice`."""
        with redis_errors():
            record = cast("bytes | None", await self._client.hget(self._keys.documents(id_), kind))
        return None if record is None else _decode(id_, record)

    async def kinds(self, id_: str) -> set[str]:
        """Return which documents are stored."""
        with redis_errors():
            names = cast("list[bytes]", await self._client.hkeys(self._keys.documents(id_)))
        return {name.decode() for name in names}

    async def put(self, id_: str, documents: Mapping[Kind, bytes]) -> None:
        """Store the documents that are not there yet. Those that are there stay as they are."""
        records = {kind: await asyncio.to_thread(_encode, id_, document) for kind, document in documents.items()}
        with redis_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for kind, record in records.items():
                    pipe.hsetnx(self._keys.documents(id_), kind, record)
                await pipe.execute()


def _encode(id_: str, document: bytes) -> bytes:
    return seal(id_, _pack((FORMAT, zlib.compress(document, 9))))


def _decode(id_: str, record: bytes) -> bytes:
    try:
        format_, packed = _unpack(unseal(id_, record))
        if format_ > FORMAT:
            raise Unsafe(
                f"a document of {id_} has format {format_}, and this witnd reads formats up to {FORMAT}",
                "run the newer witnd that wrote it",
            )
        return zlib.decompress(packed)
    except (*DAMAGE, Unreadable, zlib.error) as wrong:
        raise DamagedInvoice(f"a stored document of {id_} is unreadable: {wrong!r}", _RESTORE) from None
