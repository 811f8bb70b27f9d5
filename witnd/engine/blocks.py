"""The reasons why a partition does not apply entries."""

from typing import ClassVar, TypeAlias

import structlog
from msgspec import Struct

from witnd.domain.outcomes.event import EntryId
from witnd.store.clock.watch import clock_jump

log = structlog.get_logger()


class ClockJumped(Struct, frozen=True):
    """The server's clock jumped and is not trusted."""

    jump_ms: int

    code: ClassVar[str] = "clock_jumped"

    def is_same(self, other: object) -> bool:
        return self == other

    @property
    def reason(self) -> str:
        return clock_jump(self.jump_ms).reason

    @property
    def remedy(self) -> str:
        return clock_jump(self.jump_ms).remedy


class EntryAhead(Struct, frozen=True):
    """The next entry is too far ahead of the server's clock."""

    entry: EntryId
    ahead_ms: int

    code: ClassVar[str] = "entry_ahead"

    def is_same(self, other: object) -> bool:
        """Return whether the entry is the same. Its distance shrinks with time."""
        return isinstance(other, EntryAhead) and self.entry == other.entry

    @property
    def reason(self) -> str:
        return f"entry {self.entry[0]}-{self.entry[1]} is {self.ahead_ms // 1000} s ahead of the server's clock"

    @property
    def remedy(self) -> str:
        return "correct the clock, then move the entry with `witnd repair ahead`"


class RepairUnfinished(Struct, frozen=True):
    """A repair has moved entries out of the log. Later entries must not be applied before them."""

    code: ClassVar[str] = "repair_unfinished"
    reason: ClassVar[str] = "`witnd repair ahead` has not finished moving entries of the log"
    remedy: ClassVar[str] = "wait for it, or run `witnd repair ahead --yes` again"

    def is_same(self, other: object) -> bool:
        return self == other


Block: TypeAlias = ClockJumped | EntryAhead | RepairUnfinished


class Blocks:
    """The blocks of one partition, at most one for each code. Every change is logged."""

    def __init__(self) -> None:
        self._blocks: dict[str, Block] = {}

    @property
    def reasons(self) -> list[str]:
        return [block.reason for block in self._blocks.values()]

    @property
    def first(self) -> Block | None:
        """The block that has lasted longest."""
        return next(iter(self._blocks.values()), None)

    def set(self, block: Block) -> None:
        """Begin a block, or replace the one with the same code."""
        before = self._blocks.get(block.code)
        if before is not None and before.is_same(block):
            return
        self._blocks[block.code] = block
        log.error("log.blocked", code=block.code, reason=block.reason, remedy=block.remedy)

    def clear(self, code: str) -> None:
        """End a block, if there is one."""
        if block := self._blocks.pop(code, None):
            log.info("log.unblocked", code=code, was=block.reason)
