"""Lists deliveries of all outboxes, finds one, resends and resumes them.

This works without a daemon. When deliveries are queued, the owner of the outbox is notified.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from typing import Final, cast

from msgspec import Struct
from redis.asyncio import Redis

from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.webhooks.delivery import HEALTHY, EndpointState, Progress, Standing, request_resend, resume
from witnd.domain.webhooks.notification import delivery_id
from witnd.domain.webhooks.sources import DELIVERY_TYPES
from witnd.store.deliveries.outbox import Outbox, Row, read_row
from witnd.store.deliveries.pages import Cursor, MergedSources, SortedSetSource, page
from witnd.store.keys import BillingKeys, GlobalKeys, Keys, OutboxKeys
from witnd.store.page import Page
from witnd.store.server.connection import redis_errors

# Rows per read and write: a millisecond or two of the server's time.
PAGE: Final = 500
# Deliveries that are read for one page. The cursor leads to the others.
LOOKED_AT_MAX: Final = 100_000
LOOKED_AT_REQUEST: Final = 2_000
#: States that only an operator's request changes.
ENDED: Final[tuple[Standing, ...]] = ("delivered", "dead", "parked")


class FoundDelivery(Struct, frozen=True):
    """A delivery and the number of its partition; None for one about a billing event."""

    partition: int | None
    row: Row


class QueueSizes(Struct, frozen=True, kw_only=True):
    """The number of pending deliveries of a rule, and of those parked until the rule is resumed."""

    pending: int
    parked: int


class Deliveries:
    """Deliveries of all partitions, and of billing events. `rules` are the ids of all rules that ever existed: no other
    key names their lists."""

    def __init__(self, client: Redis, partitions: Sequence[Keys], shared: GlobalKeys, rules: Iterable[str]) -> None:
        self._client = client
        self._partitions = len(partitions)
        # The outbox of billing events is last. Its place is no partition.
        self._keys: list[OutboxKeys] = [*partitions, BillingKeys(shared.prefix)]
        self._outboxes = [Outbox(client, keys, shared) for keys in self._keys]
        self._rules = sorted(rules)

    async def find(self, id_: str) -> FoundDelivery | None:
        for number, outbox in enumerate(self._outboxes):
            for row in await outbox.rows([id_]):
                return self._found(number, row)
        return None

    def _found(self, place: int, row: Row) -> FoundDelivery:
        return FoundDelivery(place if place < self._partitions else None, row)

    async def of_outcome(self, outcome_key: str) -> list[FoundDelivery]:
        """Return the deliveries of one outcome. Their ids are derived, so no search is needed."""
        number = partition_of(outcome_key, self._partitions)
        ids = [delivery_id(rule, outcome_key, type_) for rule in self._rules for type_ in DELIVERY_TYPES]
        outbox = self._outboxes[number]
        # First, because deliveries that are queued meanwhile are then among the rows.
        waiting = await outbox.unqueued.deliveries(outcome_key)
        rows = await outbox.rows(ids)
        if waiting is not None:
            known = {row.id for row in rows}
            rows += [read_row(row.id, row.row, waiting.message, None) for row in waiting.rows if row.id not in known]
        return [FoundDelivery(number, row) for row in rows]

    async def newest(self, standings: Sequence[Standing], rule_id: str | None, limit: int) -> list[FoundDelivery]:
        """Return the first page. Unless only pending ones are requested, sort it by resolution, newest first."""
        found = (await self.page(standings, rule_id, limit, looked_at_max=LOOKED_AT_MAX)).data
        return found if _only_pending(standings) else sorted(found, key=_by_creation)

    async def page(
        self,
        standings: Sequence[Standing],
        rule_id: str | None,
        limit: int,
        after: str | None = None,
        *,
        looked_at_max: int = LOOKED_AT_REQUEST,
    ) -> Page[FoundDelivery]:
        """Return a page, newest resolution first; if only pending ones are requested, those due next. Raises
        InvalidCursor.

        Among others, pending deliveries are sorted by when they are due. A page may have fewer than `limit` entries and
        still a cursor, if few deliveries match.
        """
        sources = [
            SortedSetSource(key, number, standing)
            for standing in standings
            for number, keys in enumerate(self._keys)
            for key in self._lists(keys, standing, rule_id)
        ]
        merged = MergedSources(self._client, sources, newest_first=not _only_pending(standings))

        def matches(source: SortedSetSource, row: Row) -> bool:
            known = None if row.delivery is None else row.delivery.rule_id
            return row.progress.standing == source.standing and rule_id in (None, known)

        entries = merged.entries(None if after is None else Cursor.parse(after))
        found = await page(entries, self._load_rows, matches, limit, looked_at_max)
        return Page([self._found(source.outbox, row) for source, row in found.data], found.cursor)

    async def _load_rows(self, number: int, ids: Sequence[str]) -> dict[str, Row]:
        return {row.id: row for row in await self._outboxes[number].rows(ids)}

    async def resend(self, ids: Iterable[str], now_ms: int) -> list[str]:
        """Queue deliveries for now. Return the ids that have no message."""
        missing = list(ids)
        for outbox in self._outboxes:
            rows = [row for row in await outbox.rows(missing) if row.delivery is not None]
            await _change(outbox, rows, partial(_resend_step, now_ms=now_ms))
            known = {row.id for row in rows}
            missing = [id_ for id_ in missing if id_ not in known]
        return missing

    async def count_between(
        self, from_ms: int, to_ms: int, rule_id: str | None, standings: Sequence[Standing] = ENDED
    ) -> int:
        """Count the deliveries that `resend_between` would read. Lists of all rules count those of other rules too."""
        with redis_errors():
            async with self._client.pipeline(transaction=False) as counts:
                for keys in self._keys:
                    for standing in standings:
                        for key in self._lists(keys, standing, rule_id):
                            counts.zcount(key, from_ms, f"({to_ms}")
                return sum(await counts.execute())

    async def resend_between(
        self, from_ms: int, to_ms: int, rule_id: str | None, now_ms: int, standings: Sequence[Standing] = ENDED
    ) -> int:
        """Resend delivered, parked or given-up deliveries of resolutions in [from, to). Return how many."""
        count = 0
        for keys, outbox in zip(self._keys, self._outboxes, strict=True):
            for standing in standings:
                for key in self._lists(keys, standing, rule_id):
                    async for ids in self._id_pages(key, from_ms, to_ms):
                        rows = [
                            row
                            for row in await outbox.rows(ids)
                            if row.delivery is not None
                            and rule_id in (None, row.delivery.rule_id)
                            and row.progress.standing == standing
                        ]
                        again = partial(_resend_step, now_ms=now_ms)
                        count += await _change(outbox, rows, again)
        return count

    async def endpoint(self, rule_id: str) -> EndpointState:
        return await self._outboxes[0].endpoint(rule_id)

    async def endpoints(self, rule_ids: Sequence[str]) -> list[EndpointState]:
        return await self._outboxes[0].endpoints(rule_ids)

    async def queue_sizes(self, rule_ids: Sequence[str]) -> list[QueueSizes]:
        """Return the queue sizes of these rules, in the same order."""
        with redis_errors():
            async with self._client.pipeline(transaction=False) as counts:
                for rule in rule_ids:
                    for keys in self._keys:
                        counts.zcard(keys.outbox(rule))
                        counts.zcard(keys.parked(rule))
                found = cast("list[int]", await counts.execute())
        size = 2 * len(self._keys)
        rows = [found[start : start + size] for start in range(0, len(found), size)]
        return [QueueSizes(pending=sum(row[::2]), parked=sum(row[1::2])) for row in rows]

    async def resume(self, rule_id: str, most: int | None = None) -> int:
        """End the suspension of a rule's endpoint and queue its parked deliveries, oldest first. Return how many.

        With `most`, stop at the end of the page that reaches it; more may be parked then.
        """
        state = await self.endpoint(rule_id)
        while not await self._outboxes[0].swap_endpoint(rule_id, state, HEALTHY):
            state = await self.endpoint(rule_id)
        count = 0
        for keys, outbox in zip(self._keys, self._outboxes, strict=True):
            start = 0
            while ids := await self._ids(keys.parked(rule_id), start, PAGE):
                moved = await _change(outbox, await outbox.rows(ids), _resume_step)
                count += moved
                start += len(ids) - moved
                if most is not None and count >= most:
                    return count
        return count

    def _lists(self, keys: OutboxKeys, standing: str, rule_id: str | None) -> list[str]:
        rules = self._rules if rule_id is None else [rule_id]
        match standing:
            case "pending":
                return [keys.outbox(rule) for rule in rules]
            case "parked":
                return [keys.parked(rule) for rule in rules]
            case "dead":
                return [keys.dead]
            case _:
                return [keys.delivered]

    async def _ids(self, key: str, start: int, count: int) -> list[str]:
        with redis_errors():
            found = await self._client.zrange(key, start, start + count - 1)
        return [cast(bytes, id_).decode() for id_ in found]

    async def _id_pages(self, key: str, from_ms: int, to_ms: int) -> AsyncIterator[list[str]]:
        """Iterate over pages of ids with scores in [from, to). Rows may leave the list meanwhile."""
        low, seen = from_ms, set[bytes]()
        while True:
            with redis_errors():
                found = await self._client.zrangebyscore(key, low, f"({to_ms}", 0, PAGE + len(seen), withscores=True)
            scored = cast("list[tuple[bytes, float]]", found)
            if fresh := [id_.decode() for id_, _ in scored if id_ not in seen]:
                yield fresh
            else:
                return
            # The next page starts at the last instant of this one, which may have more members.
            last = int(scored[-1][1])
            seen = {id_ for id_, score in scored if score == last} | (seen if last == low else set())
            low = last


def _only_pending(standings: Sequence[Standing]) -> bool:
    return list(standings) == ["pending"]


def _by_creation(found: FoundDelivery) -> tuple[int, str]:
    return (-found.row.created_ms, found.row.id)


def _resend_step(row: Row, *, now_ms: int) -> Progress:
    return request_resend(row.progress, now_ms)


def _resume_step(row: Row) -> Progress | None:
    if row.progress.standing != "parked":
        return None
    return resume(row.progress, row.created_ms)


async def _change(outbox: Outbox, rows: list[Row], step: Callable[[Row], Progress | None]) -> int:
    """Write the next progress of each row, from its current state. Return how many changed."""
    count = 0
    while rows:
        again: list[str] = []
        for rule_id in {row.delivery.rule_id for row in rows if row.delivery is not None}:
            mine = [row for row in rows if row.delivery and row.delivery.rule_id == rule_id]
            steps = [(row, to) for row in mine if (to := step(row)) is not None]
            written = await outbox.write(rule_id, steps, call=True)
            again += [row.id for (row, _), done in zip(steps, written, strict=True) if not done]
            count += sum(written)
        rows = await outbox.rows(again)
    return count
