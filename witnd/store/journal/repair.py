"""Accepts a loss of data, so that the daemon can start again. Numbers continue after the last one issued."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

from msgspec import Struct
from redis.asyncio import Redis

from witnd.store.access.change_log import Change, encode_change
from witnd.store.errors import Unsafe
from witnd.store.journal.journal import Journal, Loss
from witnd.store.journal.marks import read_marks
from witnd.store.keys import BillingKeys, GlobalKeys, Keys
from witnd.store.meta import open_meta, read_meta
from witnd.store.records.state_fields import StateFields
from witnd.store.server.connection import redis_errors
from witnd.store.server.scripts import Script

_NUMBERS: Final = Script("journal/repair_numbers")


class Acceptance(Struct, frozen=True, kw_only=True):
    """The result: what Redis lost, by the journal. `numbers`: series → the number after which it continues."""

    journal: str
    needed: bool
    done: bool
    losses: Sequence[Loss]
    numbers: dict[str, int]


async def accept_losses(
    client: Redis, directory: Path, prefix: str, partitions: int, *, do: bool, who: str
) -> Acceptance:
    """Compare the journal with Redis. With `do`, accept the state of Redis, and continue numbers after the
    journal's."""
    shared, journal = GlobalKeys(prefix), Journal(directory, prefix)
    meta = await read_meta(client, shared, partitions)
    losses: list[Loss] = []
    try:
        journal.open(None if meta is None else meta.deployment)
    except Unsafe as error:
        if journal.deployment is None:  # the journal cannot be read
            raise
        losses.append(Loss(error.reason, error.remedy))
    sequences = await _sequences(client, prefix, partitions)
    marks = await read_marks(client, shared)
    if not losses:
        losses = [*journal.lost_steps(sequences), *journal.lost_marks(marks)]
    behind = {name: number for name, number in journal.numbers.items() if marks.series.get(name, 0) < number}
    if losses and do:
        meta = meta or await open_meta(client, shared, partitions)
        await _continue_numbers(client, shared, journal, losses, behind, who)
        journal.accept(meta.deployment, sequences, await read_marks(client, shared))
    return Acceptance(
        journal=str(journal.path), needed=bool(losses), done=bool(losses) and do, losses=losses, numbers=behind
    )


async def _continue_numbers(
    client: Redis, shared: GlobalKeys, journal: Journal, losses: Sequence[Loss], behind: dict[str, int], who: str
) -> None:
    billing = BillingKeys(shared.prefix)
    change = Change(
        who=who,
        source="cli",
        what="journal.accept",
        key=str(journal.path),
        request_id="",
        after={"lost": [loss.reason for loss in losses], "numbers_continue_after": behind},
    )
    words = [word for name, number in behind.items() for word in (name, number)]
    with redis_errors():
        await _NUMBERS.run(
            client, [billing.series, billing.lost_numbers, shared.changes], [encode_change(change), *words]
        )


async def _sequences(client: Redis, prefix: str, partitions: int) -> dict[int, int]:
    with redis_errors():
        async with client.pipeline(transaction=False) as reads:
            for number in range(partitions):
                reads.hget(Keys(prefix, number).state, "seq")
            found = cast("list[bytes | None]", await reads.execute())
    return {
        number: StateFields.from_value(Keys(prefix, number).state, "seq", sequence).number("seq")
        for number, sequence in enumerate(found)
    }


async def compare_with_journal(client: Redis, directory: Path, prefix: str, partitions: int) -> list[Loss]:
    """Return what Redis lost, by the journal of this host; an empty list without a journal."""
    try:
        found = await accept_losses(client, directory, prefix, partitions, do=False, who="")
    except Unsafe as error:
        return [Loss(error.reason, error.remedy)]
    return list(found.losses)
