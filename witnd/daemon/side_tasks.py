"""The side tasks of a partition."""

from collections.abc import Awaitable, Callable

from witnd.daemon.side_task import SideTask
from witnd.engine.deadline_audit import DeadlineAudit
from witnd.engine.forwarding import Forwarding
from witnd.engine.held_retries import HeldRetries
from witnd.notify.relay import Relay


def side_tasks(
    number: int,
    sending: Relay,
    watch: Callable[[], Awaitable[None]],
    retries: HeldRetries,
    check: DeadlineAudit,
    forwarding: Forwarding,
) -> list[SideTask]:
    """Return the side tasks of a partition. The first one sends webhooks, and needs a moment to stop."""
    return [
        SideTask(f"webhooks of partition {number}", sending.run, kind="webhooks"),
        SideTask(f"health checks of partition {number}", watch, kind="health checks"),
        SideTask(f"retries of partition {number}", retries.run, kind="retries"),
        SideTask(f"deadline checks of partition {number}", check.run, kind="deadline checks"),
        SideTask(f"forwarding of partition {number}", forwarding.run, kind="forwarding"),
    ]
