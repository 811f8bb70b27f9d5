"""What daemons and commands store about the server's clock, in one hash of the shared slot.

Field `accepted` has the last acceptance by an operator, fields `jump:<instance>` the jump that a daemon sees.
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
    """The server's clock was right at `server_ms`, when the boot time of host `boot` was `boot_ms`."""

    v: int = 1
    id: str
    server_ms: int
    boot: str
    boot_ms: int

    def applies_to(self, reading: Reading, boot: str, asked_ms: int | None) -> bool:
        """Whether the clock in the reading is the one that was accepted, and not one that jumped again since.

        `asked_ms`: boot time when this daemon last saw that the acceptance was not there yet; None if it was always
        there. On another host the acceptance happened between that and now.
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
    """What one daemon sees: `jump_ms` is how far the server's clock is ahead of what it expects."""

    instance: str
    jump_ms: int


class Effect(Struct, frozen=True, kw_only=True):
    """What becomes due at once when a clock that is ahead is accepted."""

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
            f"the field {field} of {keys.clock} is damaged: it must be a number of ms, and is {ms!r}",
            f"delete the field: HDEL {keys.clock} {field}; a running daemon writes it again",
        ) from None


async def jumps(client: Redis, keys: GlobalKeys) -> tuple[int, list[Jump]]:
    """The server's clock in ms, and the jumps that daemons see at the moment."""
    with redis_errors():
        async with client.pipeline(transaction=False) as asked:
            asked.time()
            asked.hgetall(keys.clock)
            (seconds, micros), fields = cast("tuple[tuple[int, int], dict[bytes, bytes]]", await asked.execute())
    found = [
        Jump(instance=name.decode().removeprefix(JUMP), jump_ms=decode_jump(keys, name, ms))
        for name, ms in fields.items()
        if name.startswith(JUMP.encode())
    ]
    return seconds * 1000 + micros // 1000, sorted(found, key=lambda one: one.instance)


async def effect(
    client: Redis, partitions: list[Keys], billing: BillingKeys, now_ms: int, jump_ms: int, grace_ms: int
) -> Effect:
    """What is due by the clock as it is, and not by the one that the daemons expect."""
    believed = now_ms - max(0, jump_ms)
    with redis_errors():
        async with client.pipeline(transaction=False) as asked:
            asked.zcount(billing.open, f"({believed}", now_ms)
            asked.zcount(billing.to_issue, f"({believed - grace_ms}", now_ms - grace_ms)
            for keys in partitions:
                asked.zcount(keys.due, f"({believed}", now_ms)
            closing, issuing, *due = cast("list[int]", await asked.execute())
    return Effect(outcomes=sum(due), drafts=closing + issuing)


async def accept(client: Redis, keys: GlobalKeys, clock: Clock, change: Change) -> str:
    """Record that the server's clock is right now, and log it as a change, in one write. Answers the record's id."""
    id_, boot_ms = token_hex(8), clock.boot_ms()
    with redis_errors():
        await _ACCEPT.run(client, [keys.clock, keys.changes], [id_, boot_name(), boot_ms, encode_change(change)])
    return id_
