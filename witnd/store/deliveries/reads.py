"""What people ask about deliveries, over all partitions: lists, one in full, resend, resume.

The daemon is not needed for any of it. What is queued here, the owner of the partition is told.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from typing import Final, cast

from msgspec import Struct
from redis.asyncio import Redis

from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.webhooks.delivery import HEALTHY, EndpointState, Progress, Standing, request_resend, resume
from witnd.domain.webhooks.notification import TYPE_OF_STATUS, delivery_id
from witnd.store.deliveries.outbox import Outbox, Row, read_row
from witnd.store.deliveries.pages import Cursor, MergedSources, SortedSetSource, page
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.page import Page
from witnd.store.server.connection import redis_errors

# Rows per read and write: a millisecond or two of the server's time.
PAGE: Final = 500
# How many are looked at for one page. What lies further is reached with its cursor.
LOOKED_AT_MAX: Final = 100_000
LOOKED_AT_REQUEST: Final = 2_000
#: Where a delivery stands when nothing is going to be done about it by itself.
ENDED: Final[tuple[Standing, ...]] = ("delivered", "dead", "parked")


class FoundDelivery(Struct, frozen=True):
    """A delivery and the partition it is in."""

    partition: int
    row: Row


class QueueSizes(Struct, frozen=True, kw_only=True):
    """Deliveries of a rule that are to be sent, now or later, and those that wait until it is resumed."""

    pending: int
    parked: int


class Deliveries:
    """`rules` are the ids of all rules there ever were: nothing else names the parked lists."""

    def __init__(self, client: Redis, partitions: Sequence[Keys], shared: GlobalKeys, rules: Iterable[str]) -> None:
        self._client = client
        self._partitions = partitions
        self._outboxes = [Outbox(client, keys, shared) for keys in partitions]
        self._rules = sorted(rules)

    async def find(self, id_: str) -> FoundDelivery | None:
        for number, outbox in enumerate(self._outboxes):
            for row in await outbox.rows([id_]):
                return FoundDelivery(number, row)
        return None

    async def of_outcome(self, outcome_key: str) -> list[FoundDelivery]:
        """The deliveries of one outcome. Their ids are derived, so nothing is searched for."""
        number = partition_of(outcome_key, len(self._partitions))
        ids = [delivery_id(rule, outcome_key, type_) for rule in self._rules for type_ in TYPE_OF_STATUS.values()]
        outbox = self._outboxes[number]
        # Read first: whatever is queued meanwhile is among the rows.
        waiting = await outbox.unqueued.deliveries(outcome_key)
        rows = await outbox.rows(ids)
        if waiting is not None:
            known = {row.id for row in rows}
            rows += [read_row(one.id, one.row, waiting.message, None) for one in waiting.rows if one.id not in known]
        return [FoundDelivery(number, row) for row in rows]

    async def newest(self, standings: Sequence[Standing], rule_id: str | None, limit: int) -> list[FoundDelivery]:
        """The first of `page`, the newest resolution first where not only pending ones are asked for."""
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
        """The newest by their resolution; if only pending ones are asked for, those due next. Raises InvalidCursor.

        Among others, pending ones stand by when they are due: what was just committed, and what is being retried.
        A page may have fewer than `limit` and still a cursor, where a rare thing is looked for.
        """
        shelves = [
            SortedSetSource(key, number, standing)
            for standing in standings
            for number, keys in enumerate(self._partitions)
            for key in self._lists(keys, standing, rule_id)
        ]
        sets = MergedSources(self._client, shelves, newest_first=not _only_pending(standings))

        def wanted(shelf: SortedSetSource, row: Row) -> bool:
            known = None if row.delivery is None else row.delivery.rule_id
            return row.progress.standing == shelf.standing and rule_id in (None, known)

        entries = sets.merged(None if after is None else Cursor.parse(after))
        found = await page(entries, self._loaded, wanted, limit, looked_at_max)
        return Page([FoundDelivery(shelf.partition, row) for shelf, row in found.data], found.cursor)

    async def _loaded(self, number: int, ids: Sequence[str]) -> dict[str, Row]:
        return {row.id: row for row in await self._outboxes[number].rows(ids)}

    async def resend(self, ids: Iterable[str], now_ms: int) -> list[str]:
        """Send these (again) now. Answers those that there is no message of."""
        missing = list(ids)
        for outbox in self._outboxes:
            rows = [row for row in await outbox.rows(missing) if row.delivery is not None]
            await _change(outbox, rows, partial(_resent, now_ms=now_ms))
            known = {row.id for row in rows}
            missing = [id_ for id_ in missing if id_ not in known]
        return missing

    async def count_between(
        self, from_ms: int, to_ms: int, rule_id: str | None, standings: Sequence[Standing] = ENDED
    ) -> int:
        """How many `resend_between` would look at: those of other rules too, where a list has all of them."""
        with redis_errors():
            async with self._client.pipeline(transaction=False) as counts:
                for keys in self._partitions:
                    for standing in standings:
                        for key in self._lists(keys, standing, rule_id):
                            counts.zcount(key, from_ms, f"({to_ms}")
                return sum(await counts.execute())

    async def resend_between(
        self, from_ms: int, to_ms: int, rule_id: str | None, now_ms: int, standings: Sequence[Standing] = ENDED
    ) -> int:
        """Send again what was delivered, parked or given up of these resolutions; how many."""
        count = 0
        for keys, outbox in zip(self._partitions, self._outboxes, strict=True):
            for standing in standings:
                for key in self._lists(keys, standing, rule_id):
                    async for ids in self._between(key, from_ms, to_ms):
                        rows = [
                            row
                            for row in await outbox.rows(ids)
                            if row.delivery is not None
                            and rule_id in (None, row.delivery.rule_id)
                            and row.progress.standing == standing
                        ]
                        again = partial(_resent, now_ms=now_ms)
                        count += await _change(outbox, rows, again)
        return count

    async def endpoint(self, rule_id: str) -> EndpointState:
        return await self._outboxes[0].endpoint(rule_id)

    async def endpoints(self, rule_ids: Sequence[str]) -> list[EndpointState]:
        return await self._outboxes[0].endpoints(rule_ids)

    async def queue_sizes(self, rule_ids: Sequence[str]) -> list[QueueSizes]:
        """How many deliveries of these rules wait, in the same order."""
        with redis_errors():
            async with self._client.pipeline(transaction=False) as counts:
                for rule in rule_ids:
                    for keys in self._partitions:
                        counts.zcard(keys.outbox(rule))
                        counts.zcard(keys.parked(rule))
                found = cast("list[int]", await counts.execute())
        size = 2 * len(self._partitions)
        rows = [found[start : start + size] for start in range(0, len(found), size)]
        return [QueueSizes(pending=sum(row[::2]), parked=sum(row[1::2])) for row in rows]

    async def resume(self, rule_id: str, most: int | None = None) -> int:
        """Lift the suspension of a rule's endpoint and queue what is parked, the oldest first.

        With `most` it stops at the end of a page when it has queued so many; there may be more then.
        """
        state = await self.endpoint(rule_id)
        while not await self._outboxes[0].swap_endpoint(rule_id, state, HEALTHY):
            state = await self.endpoint(rule_id)
        count = 0
        for keys, outbox in zip(self._partitions, self._outboxes, strict=True):
            start = 0
            while ids := await self._ids(keys.parked(rule_id), start, PAGE):
                moved = await _change(outbox, await outbox.rows(ids), _resumed)
                count += moved
                start += len(ids) - moved
                if most is not None and count >= most:
                    return count
        return count

    def _lists(self, keys: Keys, standing: str, rule_id: str | None) -> list[str]:
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

    async def _between(self, key: str, from_ms: int, to_ms: int) -> AsyncIterator[list[str]]:
        """Ids with scores in [from, to), by page. Rows may leave the list meanwhile."""
        low, seen = from_ms, set[bytes]()
        while True:
            with redis_errors():
                found = await self._client.zrangebyscore(key, low, f"({to_ms}", 0, PAGE + len(seen), withscores=True)
            scored = cast("list[tuple[bytes, float]]", found)
            if fresh := [id_.decode() for id_, _ in scored if id_ not in seen]:
                yield fresh
            else:
                return
            # The next page begins with the last instant of this one, of which there may be more.
            last = int(scored[-1][1])
            seen = {id_ for id_, score in scored if score == last} | (seen if last == low else set())
            low = last


def _only_pending(standings: Sequence[Standing]) -> bool:
    return list(standings) == ["pending"]


def _by_creation(one: FoundDelivery) -> tuple[int, str]:
    return (-one.row.created_ms, one.row.id)


def _resent(row: Row, *, now_ms: int) -> Progress:
    return request_resend(row.progress, now_ms)


def _resumed(row: Row) -> Progress | None:
    if row.progress.standing != "parked":
        return None
    return resume(row.progress, row.created_ms)


async def _change(outbox: Outbox, rows: list[Row], step: Callable[[Row], Progress | None]) -> int:
    """Take a step with each row, from wherever it stands when it is written; how many took one."""
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
