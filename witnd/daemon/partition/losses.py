"""Decide whether a loss of data affects only unconfirmed steps."""

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
        """Return whether Redis may have lost only unconfirmed steps, as after a failover. They are decided again.

        Loading the partition compares the data of the new primary with all confirmed steps. A second loss at the same
        step is not undone: loading again would not help.
        """
        lost, other = failed.split(LostData)
        if lost is None or other is not None or not self._steps.is_needed or self._at == sequence:
            return False
        self._at = sequence
        log.warning("partition.reloading", partition=self._partition, reason=describe(lost))
        return True
