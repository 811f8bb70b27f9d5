"""Repairs a catalogue that lost versions: restores those of a copy, or accepts the versions in Redis.

A copy is restored byte by byte, so every step has again the catalogue it used. Versions that were written to Redis
after the loss are appended as new ones, dated now: they were planned without the missing versions, and nothing was
billed by them yet.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Final, cast

from msgspec import Struct
from redis.asyncio import Redis

from witnd.domain.catalogue.catalogue import CatalogueEntry
from witnd.domain.catalogue.chain import EMPTY, Head, head_after
from witnd.domain.catalogue.plan import Change
from witnd.store.access.change_log import Change as Logged
from witnd.store.access.change_log import encode_change
from witnd.store.catalogue.loader import decided_head, decode_entry, decode_head
from witnd.store.errors import StoreRefused, Unsafe
from witnd.store.keys import BillingKeys, GlobalKeys, Keys
from witnd.store.server.connection import redis_errors
from witnd.store.server.scripts import Argument, Script

_REPAIR: Final = Script("catalogue/repair")


class StoredCatalogue(Struct, frozen=True, kw_only=True):
    """The catalogue in Redis. `head` is None if it is lost or damaged."""

    head_text: bytes | None
    entries: tuple[bytes, ...]
    decided: Mapping[str, Head]  # partition or billing → the head that its last step used
    states: Mapping[str, str]  # partition or billing → the key of its state
    owners: tuple[str, ...]  # holders of leases

    @property
    def head(self) -> Head | None:
        try:
            return decode_head(self.head_text)
        except Unsafe:
            return None


class Repair(Struct, frozen=True, kw_only=True):
    """A planned repair. `entries`: the catalogue afterwards. `lost`: numbers (from 1) of versions that Redis does not
    have. `behind`: versions that only Redis has, to be written again as new ones. `undecided`: partitions or billing
    whose last step used a catalogue that will not exist.
    """

    needed: bool
    entries: tuple[bytes, ...]
    common: int  # number of first entries that stay
    lost: tuple[int, ...]
    behind: tuple[bytes, ...]
    undecided: tuple[str, ...]


async def read_stored(client: Redis, keys: GlobalKeys, partitions: int) -> StoredCatalogue:
    """Read the stored catalogue, also if it is damaged."""
    owned: dict[str, Keys | BillingKeys] = {
        f"partition {number}": Keys(keys.prefix, number) for number in range(partitions)
    }
    owned["billing"] = BillingKeys(keys.prefix)
    with redis_errors():
        async with client.pipeline(transaction=True) as reads:
            reads.get(keys.catalogue_head)
            reads.lrange(keys.catalogue, 0, -1)
            head, entries = await reads.execute()
        async with client.pipeline(transaction=False) as reads:
            for part in owned.values():
                reads.hget(part.state, "catalogue")
                reads.get(part.owner)
            found = cast("list[bytes | None]", await reads.execute())
    decided = {}
    for what, raw in zip(owned, found[::2], strict=True):
        known = decided_head(None if raw is None else raw.decode())
        if known is not None:
            decided[what] = known
    owners = [
        f"{what} ({owner.decode().rpartition(':')[2]})"
        for what, owner in zip(owned, found[1::2], strict=True)
        if owner is not None
    ]
    states = {what: part.state for what, part in owned.items()}
    return StoredCatalogue(head_text=head, entries=tuple(entries), decided=decided, states=states, owners=tuple(owners))


def plan(found: StoredCatalogue, copy: Sequence[bytes] | None, *, accept: bool) -> Repair:
    """Plan a repair: restore the copy if there is one, or accept the versions in Redis."""
    kept = found.entries if accept or copy is None else tuple(copy)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(found.entries, kept, strict=False)))
    known = set(kept)
    behind = tuple(entry for entry in found.entries[common:] if entry not in known)
    if common == len(kept):
        # Redis has the whole copy and later versions, so nothing is lost.
        kept, common, behind = found.entries, len(found.entries), ()
    heads = _heads(kept)
    undecided = tuple(what for what, head in found.decided.items() if heads.get(head.count) != head)
    stored = found.head
    # Without a copy, only the head shows a loss.
    is_head_lost = copy is None and stored is not None and heads.get(stored.count) != stored
    return Repair(
        needed=common < len(kept) or stored != heads[len(kept)] or bool(undecided),
        entries=kept,
        common=common,
        lost=tuple(range(common + 1, len(kept) + 1)),
        behind=behind,
        undecided=(*undecided, *(["the head of the catalogue"] if is_head_lost else [])),
    )


def _heads(entries: Sequence[bytes]) -> dict[int, Head]:
    head, found = EMPTY, {0: EMPTY}
    for entry in entries:
        head = head_after(head, [entry])
        found[head.count] = head
    return found


async def repair(client: Redis, keys: GlobalKeys, found: StoredCatalogue, wanted: Repair, logged: Logged) -> Head:
    """Write the planned catalogue and its entry of the change log in one step. Raises StoreRefused if the catalogue was
    changed meanwhile."""
    head = head_after(EMPTY, wanted.entries)
    args: list[Argument] = [
        found.head_text or b"", len(found.entries), wanted.common, str(head), encode_change(logged),
        *wanted.entries[wanted.common :],
    ]  # fmt: skip
    with redis_errors():
        reply = await _REPAIR.run(client, [keys.catalogue, keys.catalogue_head, keys.changes], args)
    if cast("list[bytes]", reply)[0] != b"OK":
        raise StoreRefused("the catalogue was changed meanwhile", "run the command again to see the difference")
    return head


async def accept(client: Redis, found: StoredCatalogue, head: Head) -> None:
    """Make all partitions and billing continue from this catalogue. The call may be repeated."""
    for what in found.decided:
        with redis_errors():
            await client.hset(found.states[what], "catalogue", str(head))


def versions_to_rewrite(behind: Sequence[bytes]) -> list[CatalogueEntry]:
    """Return the versions to append after the copy, each once. Skip unreadable ones."""
    found: dict[tuple[str, str, int], CatalogueEntry] = {}
    for place, raw in enumerate(behind):
        try:
            entry = decode_entry(place, raw)
        except Unsafe:
            continue
        found[entry.kind, entry.key, entry.effective_from] = entry
    return sorted(found.values(), key=lambda entry: entry.effective_from)


def changes_now(entries: Sequence[CatalogueEntry], now_ms: int) -> list[Change]:
    """Return the changes that take effect now: the last version of each key that is already in effect."""
    last = {(entry.kind, entry.key): entry for entry in entries if entry.effective_from <= now_ms}
    return [_change(entry) for entry in last.values()]


def changes_later(entries: Sequence[CatalogueEntry], now_ms: int) -> list[tuple[int, Change]]:
    """Return the scheduled changes, each with its instant."""
    return [(entry.effective_from, _change(entry)) for entry in entries if entry.effective_from > now_ms]


def _change(entry: CatalogueEntry) -> Change:
    return Change(kind=entry.kind, key=entry.key, archived=entry.archived, content=entry.content)
