"""The fold of an event that reverses a confirmed outcome."""

from typing import Final

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.event import Event
from witnd.domain.outcomes.report import reversal_deliveries
from witnd.domain.outcomes.reversal import reverse
from witnd.fold.actor import Actor
from witnd.fold.history import encode_history, mark_of
from witnd.fold.step import SettledOutcome, Step

MARK_WINDOW_MS: Final = 35 * 86_400_000  # contract section 4.3: how long a mark is checked after resolution


def mark_window(actor: Actor) -> int:
    """Return how long (ms) after its resolution the idempotency keys of an outcome are checked."""
    return max(MARK_WINDOW_MS, actor.contract.reversal_ms)


def reverse_outcome(step: Step, catalogue: Catalogue, actor: Actor, ms: int, seq: int, event: Event, at: int) -> None:
    """Reverse a confirmed outcome at an instant (ms). The event resets no timer and is not counted."""
    actor.reverse((ms, seq), at)
    actor.reversal = encode_history(ms, seq, event, None if at == ms else at)
    actor.add_marks(mark_of(actor.reversal))
    if not actor.dirty:
        actor.dirty = True
        step.actors.append(actor)
    resolution, line = reverse(actor)
    fan_out = reversal_deliveries(catalogue, actor, line)
    step.deliveries += fan_out.cost if fan_out else 0
    step.settled.append(SettledOutcome(actor, resolution, line, fan_out))
