"""Counts the outcomes of a partition whose fold fails, and stops when there are too many."""

from typing import Final

import structlog

from witnd.fold.on_hold import Poison
from witnd.store.errors import Unsafe

# The limit of outcomes of a partition that one process puts on hold because their fold fails. More indicate a bug in
# this version, which would put all outcomes on hold.
POISON_MAX: Final = 20

log = structlog.get_logger()


class Poisons:
    """Counts the outcomes of a partition whose fold fails."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._count = 0

    def extract(self, group: BaseExceptionGroup[BaseException]) -> Poison | None:
        """Return the outcome whose fold failed, if nothing else went wrong. Raise `Unsafe` if there are too many."""
        found, other = group.split(Poison)
        if found is None or other is not None:
            return None
        poison: BaseException = found
        while isinstance(poison, BaseExceptionGroup):
            poison = poison.exceptions[0]
        assert isinstance(poison, Poison), poison
        log.error(
            "outcome.fold_failed", partition=self._partition, key=poison.key, reason=str(poison), exc_info=poison.error
        )
        self._count += 1
        if self._count > POISON_MAX:
            raise Unsafe(
                f"the fold failed for {self._count} outcomes of partition {self._partition}, last {poison.key!r}: "
                f"{poison}",
                "this is a bug in this version of witnd: run the previous version, and report it with this log",
            ) from poison
        return poison
