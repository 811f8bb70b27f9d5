"""The fold of one partition: applies the log in order, and merges deadlines into it by their instant.

For each entry with instant `m`: first every outcome with `settles_at <= m` resolves, in order of (`settles_at`, key);
then the entry is applied. So an outcome never resolves before all events that were accepted in time are applied. The
result depends only on log and catalogue, not on batches, restarts, or the content of the cache.

This is synchronous code over values. If an outcome must be loaded first, the step names it (`need`) and stops.
"""

from collections.abc import Iterable, Sequence
from sys import intern

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.routing import Terms, opening_terms
from witnd.domain.outcomes.event import EntryId, Event, Item, Refusal, Retry, read
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.outcomes.report import deliveries
from witnd.domain.outcomes.resolution import resolve
from witnd.fold import on_hold, removal
from witnd.fold.actor import TAIL_BYTES_MAX, TAIL_MAX, Actor, Held, OnHold, Waiting
from witnd.fold.actor_cache import ActorCache
from witnd.fold.history import encode_history
from witnd.fold.on_hold import Poison
from witnd.fold.reversal import mark_window, reverse_outcome
from witnd.fold.step import Entry, Fate, Forward, Forwarded, SettledOutcome, Settling, Step, other_partition

HELD_MAX = 1000  # contract section 4.3: held events per key
# The limits of deliveries (measured: 2000 keep the server busy for 20 to 30 ms, and a delivery costs no less in a
# larger step) and of placed held events in a step (each costs about as much as an event). The work of one outcome is
# never split, so a step may exceed the limits by that.
DELIVER_MAX = 2000
PLACE_MAX = 1000
COUNTERS = (
    "applied", "duplicate", "conflict", "reversed", "late", "held", "rejected", "waiting",
    "OPEN", "PENDING", "CONFIRMED", "FAILED",
)  # fmt: skip


class Partition:
    """The state of the fold: cached keys, deadlines, cursor and counters."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        partition: int = 0,
        partitions: int = 1,
        earlier: Sequence[int] = (),
        cursor: EntryId = (0, 0),
        read: int = 0,
        lines: int = 0,
        counters: dict[str, int] | None = None,
        held_max: int = HELD_MAX,
        deliver_max: int = DELIVER_MAX,
        place_max: int = PLACE_MAX,
    ) -> None:
        self.catalogue = catalogue
        self.partition, self.partitions = partition, partitions
        self.earlier = earlier  # earlier numbers of partitions, since this one exists
        self.cursor = cursor
        self.read = read  # entries up to the cursor
        self.lines = lines  # the number of the last invoice line
        self.counters = dict.fromkeys(COUNTERS, 0) | (counters or {})
        self.cache = cache = ActorCache()
        self.known, self.deadlines = cache.known, cache.deadlines
        self.removals: dict[str, list[EntryId]] = {}  # held events to remove, by outcome key
        # Keys with a stored deadline and no outcome: another program changed the index.
        self.orphaned_deadlines: list[str] = []
        self._held_max = held_max
        self._deliver_max = deliver_max
        self._place_max = place_max
        self._batch = 0

    def plan(self, rows: Iterable[tuple[bytes, list[bytes]]], batch: int) -> tuple[list[Entry], list[str]]:
        """Parse the rows of a batch. Return its entries, and the keys that must be loaded before the fold."""
        known, partitions = self.known, self.partitions
        entries: list[Entry] = []
        cold: dict[str, None] = {}  # an ordered set
        last_ms, ms = b"", 0
        for entry_id, fields in rows:
            ms_text, _, seq = entry_id.partition(b"-")
            if ms_text != last_ms:  # in a busy log, many entries share their ms
                last_ms, ms = ms_text, int(ms_text)
            item: Item | Forward = read(fields)
            actor = None
            if type(item) is Event or type(item) is Retry:
                key = item.key
                if partitions > 1 and partition_of(key, partitions) != self.partition:
                    item = other_partition(item, fields, self.partition, partitions, self.earlier)
                else:
                    cached = known.get(key)
                    if cached is None:
                        cold[key] = None
                    else:
                        cached.touched = batch
                        if type(cached) is Actor:
                            actor = cached
            entries.append((ms, int(seq), item, fields, actor))
        return entries, list(cold)

    # -- the fold ------------------------------------------------------------------------------------------------

    def fold(self, entries: Sequence[Entry], start: int, settle_max: int, batch: int) -> tuple[Step, int]:
        """Fold entries from index `start` on. Return the changes, and the index of the first entry that is not applied.

        The step stops early at its limits: `settle_max` settled outcomes, the maximum of deliveries, or of placed held
        events. It also stops when something must be loaded (`need`, `repair`). Raises `Poison`.
        """
        step = Step()
        self._batch = batch
        for actor in self.cache.take_stale():
            actor.dirty = True
            step.actors.append(actor)
        on_hold.take_new_holds(step, self.cache, self.counters)
        heap, horizon = self.deadlines.heap, self.deadlines.horizon
        index = start
        for index in range(start, len(entries)):
            if len(step.unfated) >= self._place_max:
                break
            ms, seq, item, raw, known = entries[index]
            if ms > horizon:
                step.need = "horizon"
                break
            if heap and heap[0][0] <= ms and not self._settle_due(step, ms, seq, settle_max, entries[-1][0]):
                break
            if type(item) is Event or type(item) is Retry:
                try:
                    if type(item) is Event:
                        done = self._event(step, ms, seq, item, known)
                    else:
                        done = self._retry(step, ms, seq, item.key)
                except Exception as error:
                    raise Poison(item.key, error) from error
                if not done:
                    step.need = [item.key] if step.repair is None else None
                    break
            elif isinstance(item, Refusal):
                reason = "WRONG_PARTITION" if item.misplaced else "INVALID_EVENT"
                self._fate(step, Fate((ms, seq), "rejected", reason, None, item.message, raw))
            elif isinstance(item, Forward):
                step.forwards.append(Forwarded((ms, seq), item.partition, raw))
            step.settling = None
        else:
            index = len(entries)
        if index > start:
            self.read += index - start
            self.cursor = entries[index - 1][:2]
        return step, index

    def _settle_due(self, step: Step, ms: int, seq: int, most: int, last_ms: int) -> bool:
        """Settle all outcomes due at or before `ms`. Return False if the step must stop before.

        Missing outcomes are requested together with all that the batch may need up to its last instant: a load for each
        entry would cost a commit for each (measured on a backlog: 176 entries a second instead of 3587).
        """
        deadlines = self.deadlines
        while (due := deadlines.peek()) is not None and due[0] <= ms:
            if len(step.settled) >= most or step.deliveries >= self._deliver_max:
                return False
            actor = self.known.get(due[1])
            if actor is None:
                step.need = deadlines.unloaded(last_ms, most)
                return False
            deadlines.pop()
            if not isinstance(actor, Actor):
                self.orphaned_deadlines.append(due[1])
                continue
            try:
                self._settle(step, actor, ms)
            except Exception as error:
                raise Poison(actor.key, error) from error
            step.settling = Settling((ms, seq), actor.settles_at, actor.key)
        return True

    def _settle(self, step: Step, actor: Actor, ms: int) -> None:
        counters = self.counters
        counters[actor.status] -= 1
        actor.settle(ms)
        counters[actor.status] += 1
        actor.slot = None
        actor.touched = max(actor.touched, self._batch)  # the next batch may already be planned
        if not actor.dirty:
            actor.dirty = True
            step.actors.append(actor)
        resolution, line = resolve(actor)
        fan_out = deliveries(self.catalogue, actor, resolution, line)
        step.deliveries += fan_out.cost if fan_out else 0
        step.settled.append(SettledOutcome(actor, resolution, line, fan_out))

    def _event(self, step: Step, ms: int, seq: int, event: Event, known: Actor | None, at: int | None = None) -> bool:
        """Decide the fate of an event, in the order of contract section 4.3. Return False if its key must be loaded
        first. `at`: the instant (ms) of the repair that it waited for."""
        cached = known or self.known.get(event.key)
        if cached is None:
            return False
        mark = event.mark
        if mark is not None and (content := cached.find(mark)) is not None:
            is_expired = type(cached) is Actor and cached.is_final and ms >= cached.settles_at + mark_window(cached)
            if not is_expired:
                is_same = content == event.content
                fate = Fate((ms, seq), "duplicate" if is_same else "conflict", None, event.key)
                self._fate(step, fate)
                return True
        if type(cached) is OnHold:
            on_hold.wait(step, cached, Waiting((ms, seq), event), self._fate)
        elif type(cached) is not Actor:
            self._hold_or_open(step, cached, ms, seq, event)  # type: ignore[arg-type]
        elif event.customer_key != cached.customer_key or (
            event.agent_key is not None and event.agent_key != cached.contract.agent
        ):
            self._fate(step, Fate((ms, seq), "rejected", "IDENTITY_MISMATCH", event.key))
        elif cached.processed_at is None:
            self._apply(step, cached, ms, seq, event, None)
        elif cached.can_be_reversed(event.action, ms):
            reverse_outcome(step, self.catalogue, cached, ms, seq, event, ms if at is None else at)
            self._fate(step, Fate((ms, seq), "reversed", None, event.key))
        else:
            self._fate(step, Fate((ms, seq), "late", "OUTCOME_NOT_OPEN", event.key))
        return True

    def _apply(self, step: Step, actor: Actor, ms: int, seq: int, event: Event, placed_at: int | None) -> None:
        before = actor.status
        actor.apply(event, ms, ms if placed_at is None else placed_at)
        counters = self.counters
        if actor.status is not before:
            counters[before] -= 1
            counters[actor.status] += 1
        counters["applied"] += 1
        if actor.tailed >= TAIL_MAX or len(actor.tail) > TAIL_BYTES_MAX:
            step.spilled.setdefault(actor.key, []).extend(actor.spill())
        actor.tail += encode_history(ms, seq, event, placed_at)
        actor.tailed += 1
        slot = actor.slot
        if slot is None or actor.settles_at < slot:
            self.deadlines.arm(actor)
        if not actor.dirty:
            actor.dirty = True
            step.actors.append(actor)

    # -- events without an outcome ---------------------------------------------------------------------------------

    def _hold_or_open(self, step: Step, held: Held, ms: int, seq: int, event: Event) -> None:
        terms = self._place(event, ms)
        if isinstance(terms, Terms):
            actor = self._open(step, held, ms, event.customer_key, terms)
            self._apply(step, actor, ms, seq, event, None)
        elif len(held.waiting) >= self._held_max:
            self._fate(step, Fate((ms, seq), "rejected", "HELD_LIMIT", event.key))
        else:
            held.wait(Waiting((ms, seq), event))
            if not held.fresh:
                held.fresh = True
                step.held.append(held)
            self._fate(step, Fate((ms, seq), "held", terms, event.key))

    def _retry(self, step: Step, ms: int, seq: int, key: str) -> bool:
        """Place held events, or install the repair of an outcome on hold. Return False if something must be loaded
        first."""
        cached = self.known.get(key)
        if cached is None:
            return False
        if isinstance(cached, OnHold):
            if cached.is_refused:
                cached.is_refused = False
                return True
            if cached.checked != (ms, seq):
                step.repair = key, (ms, seq)
                return False
            on_hold.repair(step, cached, ms, self.cache, self.counters, decide=self._event, settle=self._settle)
        elif isinstance(cached, Held):
            if key in self.removals:
                removal.remove(step, cached, self.removals.pop(key), self.counters)
            for waiting in cached.waiting:
                terms = self._place(waiting.event, ms)
                if isinstance(terms, Terms):
                    self._open(step, cached, ms, waiting.event.customer_key, terms)
                    break
        return True

    def _place(self, event: Event, at: int) -> Terms | str:
        return opening_terms(
            self.catalogue, action=event.action, agent_key=event.agent_key, customer_key=event.customer_key, at=at
        )

    def _open(self, step: Step, held: Held, ms: int, customer: str, terms: Terms) -> Actor:
        """Open the outcome at `ms` and apply its held events in log order, without checking deadlines in between."""
        # Interned: all outcomes of a customer share the text, which is compared with that of each event.
        actor = Actor(held.key, intern(customer), terms.contract, terms.price, ms, terms.graded)
        actor.touched = held.touched
        self.known[held.key] = actor
        self.counters["OPEN"] += 1
        for entry, event in held.waiting:
            self.counters["held"] -= 1
            step.unfated.append(entry)
            agent = event.agent_key or terms.contract.agent
            if event.customer_key != customer or agent != terms.contract.agent:
                self._fate(step, Fate(entry, "rejected", "IDENTITY_MISMATCH", held.key))
            else:
                self._apply(step, actor, *entry, event, ms)
        if held.waiting or held.stored:
            step.placed.append(held)
        return actor

    def placeable(self, held: Held, at: int) -> bool:
        """Return whether a retry at this instant would place the held events."""
        return any(isinstance(self._place(waiting.event, at), Terms) for waiting in held.waiting)

    def _fate(self, step: Step, fate: Fate) -> None:
        self.counters[fate.fate] += 1
        step.fates.append(fate)
