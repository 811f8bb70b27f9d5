"""Decide whether a loss of data concerns only what was not confirmed."""

import structlog

from witnd.daemon.partition.confirmed_steps import ConfirmedSteps
from witnd.daemon.side_task import describe
from witnd.store.errors import LostData

log = structlog.get_logger()


class Losses:
    """The losses of one partition."""

    def __init__(self, partition: int, steps: ConfirmedSteps) -> None:
        self._partition = partition
        self._steps = steps
        self._at: int | None = None  # the step at which the last loss was found

    def is_undone(self, failed: BaseExceptionGroup[BaseException], sequence: int) -> bool:
        """Return whether Redis may have lost only what was not confirmed, as after a failover. It is decided again.

        What the new primary has is compared with all confirmed steps when the partition is loaded. A second loss at the
        same step is not undone: loading again would not help.
        """
        lost, other = failed.split(LostData)
        if lost is None or other is not None or not self._steps.is_needed or self._at == sequence:
            return False
        self._at = sequence
        log.warning("partition.reloading", partition=self._partition, reason=describe(lost))
        return True
