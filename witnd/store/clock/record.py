"""Stores jumps of the server's clock and their acceptance, in one hash of the shared slot.

The field `accepted` has the last acceptance by an operator; `jump:<instance>` has the jump that a daemon observes.
"""

from secrets import token_hex
from typing import Final, cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from witnd.clock import Clock
from witnd.store.access.change_log import Change, encode_change
from witnd.store.clock.guard import TOLERANCE_MS, Reading, boot_name
from witnd.store.errors import Unsafe
from witnd.store.keys import BillingKeys, GlobalKeys, Keys
from witnd.store.server.connection import redis_errors
from witnd.store.server.scripts import Script

ACCEPTED: Final = "accepted"
JUMP: Final = "jump:"

_ACCEPT: Final = Script("clock/accept")


class Acceptance(Struct, frozen=True, kw_only=True):
    """An operator's statement that the server's clock was right at `server_ms`, when the boot time of host `boot` was
    `boot_ms`."""

    v: int = 1
    id: str
    server_ms: int
    boot: str
    boot_ms: int

    def applies_to(self, reading: Reading, boot: str, asked_ms: int | None) -> bool:
        """Return whether the clock has not jumped again since it was accepted.

        `asked_ms`: boot time of this daemon's last read without the acceptance; None if there was none. An acceptance
        on another host happened between that read and now.
        """
        if self.boot == boot and boot:
            low = high = float(self.server_ms - self.boot_ms)
        elif asked_ms is not None:
            low, high = float(self.server_ms - reading.after_ms), float(self.server_ms - asked_ms)
        else:
            return False
        least, most = reading.offset
        return low - TOLERANCE_MS <= most and least <= high + TOLERANCE_MS


class Jump(Struct, frozen=True, kw_only=True):
    """A jump that a daemon observes: `jump_ms` is how far the server's clock is ahead of the expected time."""

    instance: str
    jump_ms: int


class Effect(Struct, frozen=True, kw_only=True):
    """The outcomes and drafts that become due at once when a clock that is ahead is accepted."""

    outcomes: int
    drafts: int


def decode_acceptance(record: bytes) -> Acceptance:
    return msgspec.json.decode(record, type=Acceptance)


def decode_jump(keys: GlobalKeys, name: bytes, ms: bytes) -> int:
    try:
        return int(ms)
    except ValueError:
        field = name.decode(errors="backslashreplace")
        raise Unsafe(
            f"the field {field} of {keys.clock} is damaged: it must be a number of ms, got {ms!r}",
            f"delete the field: HDEL {keys.clock} {field}; a running daemon writes it again",
        ) from None


async def jumps(client: Redis, keys: GlobalKeys) -> tuple[int, list[Jump]]:
    """Return the server's clock in ms, and the jumps that daemons observe now."""
    with redis_errors():
        async with client.pipeline(transaction=False) as reads:
            reads.time()
            reads.hgetall(keys.clock)
            (seconds, micros), fields = cast("tuple[tuple[int, int], dict[bytes, bytes]]", await reads.execute())
    found = [
        Jump(instance=name.decode().removeprefix(JUMP), jump_ms=decode_jump(keys, name, ms))
        for name, ms in fields.items()
        if name.startswith(JUMP.encode())
    ]
    return seconds * 1000 + micros // 1000, sorted(found, key=lambda jump: jump.instance)


async def effect(
    client: Redis, partitions: list[Keys], billing: BillingKeys, now_ms: int, jump_ms: int, grace_ms: int
) -> Effect:
    """Count what is due by the server's clock, and not yet by the expected time."""
    expected = now_ms - max(0, jump_ms)
    with redis_errors():
        async with client.pipeline(transaction=False) as reads:
            reads.zcount(billing.open, f"({expected}", now_ms)
            reads.zcount(billing.to_issue, f"({expected - grace_ms}", now_ms - grace_ms)
            for keys in partitions:
                reads.zcount(keys.due, f"({expected}", now_ms)
            closing, issuing, *due = cast("list[int]", await reads.execute())
    return Effect(outcomes=sum(due), drafts=closing + issuing)


async def accept(client: Redis, keys: GlobalKeys, clock: Clock, change: Change) -> str:
    """Record that the server's clock is right now, with its entry of the change log. Return the record's id."""
    id_, boot_ms = token_hex(8), clock.boot_ms()
    with redis_errors():
        await _ACCEPT.run(client, [keys.clock, keys.changes], [id_, boot_name(), boot_ms, encode_change(change)])
    return id_
