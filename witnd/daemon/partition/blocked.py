"""Why a partition settles nothing, until someone acts."""

from witnd.daemon.block_watch import Blocked
from witnd.engine.intake import Intake
from witnd.store.errors import LostData


def why_blocked(lost: LostData | None, intake: Intake | None, paused: str | None) -> Blocked | None:
    """Return the first reason. `lost`: why the partition has stopped; `paused`: why Redis is not safe."""
    if lost is not None:
        return Blocked(lost.reason, lost.remedy)
    block = None if intake is None else intake.blocks.first
    if block is not None:
        return Blocked(block.reason, block.remedy)
    return None if paused is None else Blocked(paused, None)
