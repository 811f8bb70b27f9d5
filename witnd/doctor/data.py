"""Check the stored data: partitions, invoices, webhooks, catalogue and tokens."""

from collections.abc import Iterator
from typing import Final

from witnd.config import Config
from witnd.doctor.check import STATES, Check, count, note, ok, problem, span, warning
from witnd.doctor.data_probe import BillingProgress, Data, Part
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.values import instant
from witnd.domain.webhooks.notification import rule_id
from witnd.store.errors import Unsafe
from witnd.store.journal.journal import Journal, refuse_losses
from witnd.store.journal.marks import Marks
from witnd.store.server.lease import Holder

# A working daemon lags less, except after an outage.
MAX_LAG: Final = 10_000
LATE_MS: Final = 5_000
COLLECTED_MS: Final = 60_000
CLOSED_MS: Final = 60_000
# Up to this many partitions are listed; with more, only those with problems.
MAX_SINGLE_PARTITIONS: Final = 8
MAX_PARTITION_LINES: Final = 20
MAX_NAMES: Final = 5

START: Final = "start a daemon: `systemctl start witnd`, or `witnd run`"


def read_journal(journal: Journal, deployment: str | None) -> Exception | None:
    """Read the journal of this host. Return its error, `FileNotFoundError` if there is no journal."""
    try:
        if not journal.path.exists():
            return FileNotFoundError()
        journal.open(deployment)
    except (Unsafe, OSError) as wrong:
        return wrong
    return None


def check_journal(journal: Journal, wrong: Exception | None, data: Data, marks: Marks, *, counts: bool) -> Check:
    """Check whether Redis has less than the journal records. `counts`: the daemon uses this state directory."""
    if wrong is None:
        losses = [*journal.lost_steps({part.number: part.sequence for part in data.parts}), *journal.lost_marks(marks)]
        try:
            refuse_losses(losses)
        except Unsafe as lost:
            wrong = lost
    if isinstance(wrong, FileNotFoundError):
        return note("data", "journal", f"none at {journal.path}", "nothing to do if no daemon has run on this host")
    if isinstance(wrong, OSError):
        return note("data", "journal", f"{journal.path} cannot be read: {wrong.strerror}", "run this command as root")
    if isinstance(wrong, Unsafe):
        if counts:
            return problem("data", "journal", wrong.reason, wrong.remedy)
        found = f"{wrong.reason}; this affects only a daemon with this state directory"
        return warning(
            "data",
            "journal",
            found,
            f"set daemon.state_dir, or remove {journal.path} if it belongs to another deployment",
        )
    return ok("data", "journal", "Redis has everything that the journal records")


def check_data(data: Data, catalogue: Catalogue | None, config: Config) -> Iterator[Check]:
    """Check the data. `catalogue` is None if it is too large to check."""
    yield from _partitions(data, config)
    yield from _on_hold(data)
    if data.unreadable_tokens:
        ids = ", ".join(data.unreadable_tokens)
        found = f"{count(len(data.unreadable_tokens), 'token')} damaged; the API refuses them: {ids}"
        remedy = "remove each with `witnd tokens revoke ID`, and create a new one with `witnd tokens create`"
        yield warning("data", "tokens", found, remedy)
    yield from _held_events(data)
    yield from _invoices(data, config)
    yield from _webhooks(data, catalogue)
    yield _tokens(data)
    if catalogue is None:
        yield note("data", "catalogue", f"{data.catalogue} versions: too many to check here")
    else:
        yield from _catalogue(catalogue, data.now_ms)


def _partitions(data: Data, config: Config) -> Iterator[Check]:
    found = [_partition(part, config) for part in data.parts]
    if len(found) <= MAX_SINGLE_PARTITIONS:
        yield from found
        return
    idle = sum(one.state == "note" for one in found)
    fine = sum(one.state == "ok" for one in found)
    told = [one for one in found if one.state not in ("ok", "note")]
    told.sort(key=lambda one: STATES.index(one.state))
    if fine:
        yield ok("data", "partitions", f"{fine} of {len(found)} are owned and up to date")
    if idle:
        yield note("data", "partitions", f"{idle} of {len(found)} have no owner; no events wait", START)
    yield from told[:MAX_PARTITION_LINES]
    if len(told) > MAX_PARTITION_LINES:
        yield warning("data", "partitions", f"{len(told) - MAX_PARTITION_LINES} more like these", "as above")


def _partition(part: Part, config: Config) -> Check:
    name, now_ms = f"partition {part.number}", part.snapshot.now_ms
    words = [_owner(part.owner, config), f"{count(part.lag, 'event')} behind" if part.lag else "up to date"]
    if part.overdue is not None and now_ms - part.overdue > LATE_MS:
        words.append(f"an outcome was due {span(now_ms - part.overdue)} ago")
    elif part.next_due is not None and part.next_due > now_ms:
        words.append(f"next due in {span(part.next_due - now_ms)}")
    found = ", ".join(words)
    if part.missing is not None:
        return problem("data", name, part.missing.reason, part.missing.remedy)
    late = part.overdue is not None and now_ms - part.overdue > LATE_MS
    if part.owner is None:
        return (warning if part.lag or late else note)("data", name, found, START)
    if late or part.lag > MAX_LAG:
        remedy = f"check what {part.owner.instance} waits for: /readyz, its log, and the clock and memory above"
        return warning("data", name, found, remedy)
    return ok("data", name, found)


def _owner(owner: Holder | None, config: Config) -> str:
    if owner is None:
        return "no owner"
    age = config.daemon.lease * 1000 - owner.left_ms
    return f"owned by {owner.instance}" + (f", renewed {span(age)} ago" if age >= 0 else "")


def _on_hold(data: Data) -> Iterator[Check]:
    total = sum(part.on_hold_count for part in data.parts)
    if not total:
        return
    named = [key for part in data.parts for key in part.on_hold][:MAX_NAMES]
    found = f"{count(total, 'outcome')} on hold: {', '.join(named)}{'…' if total > len(named) else ''}"
    yield warning("data", "on hold", found, f"rebuild each with `witnd repair outcome {named[0] if named else 'KEY'}`")


def _held_events(data: Data) -> Iterator[Check]:
    held = sum(part.held for part in data.parts)
    since = min((part.held_since for part in data.parts if part.held_since is not None), default=None)
    if held and since is not None:
        found = f"held events of {count(held, 'key')}, the oldest for {span(data.now_ms - since)}"
        yield warning(
            "data", "held events", found, "run `witnd events --fate held`, and add what is missing to the catalogue"
        )
    else:
        yield ok("data", "held events", "none")
    if rejected := sum(part.rejected for part in data.parts):
        found = f"{count(rejected, 'event')} in the last 24 hours"
        yield note("data", "rejected events", found, "run `witnd events --fate rejected` for the reasons")


def _invoices(data: Data, config: Config) -> Iterator[Check]:
    books, now_ms = data.books, data.now_ms
    late = {n: ms for n, ms in books.uncollected.items() if now_ms - ms > COLLECTED_MS}
    waits = bool(late or (books.first_end or now_ms) < now_ms or books.past_grace)
    who = _owner(books.owner, config)
    if books.owner is None:
        yield (warning if waits else note)("data", "invoices", f"{who}: no daemon makes invoices", START)
    else:
        yield ok("data", "invoices", who)
    if late:
        since = span(now_ms - min(late.values()))
        found = f"lines of {count(len(late), 'partition')} are not in a draft yet, the oldest for {since}"
        yield warning("data", "lines", found, "check the daemon's log for `billing.` events")
    yield from _period(books, data)
    if config.billing.issue == "manual":
        if books.to_issue:
            found = f"{count(books.to_issue, 'draft')} to issue manually"
            yield note("data", "drafts", found, "review them with `witnd invoices`, then run `witnd invoices issue`")
    elif books.past_grace and books.first_past is not None:
        past = now_ms - books.first_past - config.billing.grace * 1000
        found = f"{count(books.past_grace, 'draft')} past the end of grace and not issued, the oldest for {span(past)}"
        remedy = START if books.owner is None else "check the daemon's log for `billing.` events"
        yield warning("data", "drafts", found, remedy)


def _period(books: BillingProgress, data: Data) -> Iterator[Check]:
    end = books.first_end
    if end is None or data.now_ms - end < CLOSED_MS:
        return
    found = f"the period that ended at {instant.render(end)} is not closed"
    behind = [part.number for part in data.parts if part.cursor[0] < end]
    if books.owner is None:
        yield warning("data", "period", f"{found}: no daemon makes invoices", START)
    elif behind:
        which = ", ".join(map(str, behind[:MAX_NAMES])) + (" and others" if len(behind) > MAX_NAMES else "")
        yield warning(
            "data",
            "period",
            f"{found}: it waits for partition {which} to process events up to its end",
            "check the partitions above",
        )
    else:
        yield warning("data", "period", found, "check the daemon's log for `billing.` events")


def _webhooks(data: Data, catalogue: Catalogue | None) -> Iterator[Check]:
    names = {} if catalogue is None else {rule_id(name): name for name in catalogue.keys("notification_rule")}
    parked: dict[str, int] = {}
    outboxes: list[Part | BillingProgress] = [*data.parts, data.books]
    for outbox in outboxes:
        for rule, number in outbox.parked.items():
            parked[rule] = parked.get(rule, 0) + number
    suspended = [rule for rule, state in data.endpoints.items() if state.suspended]
    for rule in suspended[:MAX_PARTITION_LINES]:
        state, name = data.endpoints[rule], names.get(rule, rule)
        since = span(data.now_ms - (state.suspended_at or data.now_ms))
        found = f"the endpoint of {name} is suspended for {since}: {state.reason or 'it failed'}"
        found += f"; {count(parked.get(rule, 0), 'delivery', 'deliveries')} parked"
        yield warning("data", "endpoint", found, f"fix it, then run `witnd deliveries resume {name}`")
    for rule in [rule for rule in parked if rule not in suspended][:MAX_PARTITION_LINES]:
        found = f"{count(parked[rule], 'delivery', 'deliveries')} of {names.get(rule, rule)} parked"
        yield warning(
            "data", "endpoint", found, f"enable the rule, then run `witnd deliveries resume {names.get(rule, rule)}`"
        )
    failing = [
        rule for rule, state in data.endpoints.items() if state.failing_since is not None and not state.suspended
    ]
    if failing:
        which = ", ".join(names.get(rule, rule) for rule in failing[:MAX_NAMES]) + (
            "…" if len(failing) > MAX_NAMES else ""
        )
        yield note("data", "endpoint", f"failing, being retried: {which}", "run `witnd deliveries` for the reasons")
    if dead := sum(outbox.dead for outbox in outboxes):
        found = f"{count(dead, 'delivery', 'deliveries')} given up"
        yield warning("data", "dead letters", found, "fix the endpoint, then run `witnd deliveries resend`")
    if unqueued := sum(part.unqueued for part in data.parts):
        found = f"the deliveries of {count(unqueued, 'outcome')} are not queued yet"
        yield note("data", "webhooks", found, "wait: the daemon queues them; until then, lists do not show them")
    if not (suspended or parked or failing or dead or unqueued):
        yield ok("data", "webhooks", "no endpoint fails; no delivery was given up")


def _tokens(data: Data) -> Check:
    living = [token for token in data.tokens if token.revoked_at is None]
    if not any(token.has_scope("admin") for token in living):
        found = f"{count(len(living), 'token')}, none with the scope admin"
        return note("data", "tokens", found, "to use the API, run `witnd tokens create NAME --scope admin`")
    return ok("data", "tokens", f"{count(len(living), 'token')} in use")


def _catalogue(catalogue: Catalogue, now_ms: int) -> Iterator[Check]:
    living: dict[str, list[str]] = {}
    for kind in ("customer", "agent", "rate_card", "notification_rule"):
        entries = [catalogue.entry(kind, key) for key in catalogue.keys(kind)]
        living[kind] = [entry.key for entry in entries if entry is not None and not entry.archived]
    found = ", ".join(count(len(keys), kind.replace("_", " ")) for kind, keys in living.items())
    missing = [words for words, kind in (("no agent", "agent"), ("no customer", "customer")) if not living[kind]]
    if missing:
        remedy = "add one with `witnd apply`; until then, events are held"
        yield note("data", "catalogue", f"{found}: {' and '.join(missing)}", remedy)
    else:
        yield ok("data", "catalogue", found)
    without = [key for key in living["customer"] if not _has_card(catalogue, key, now_ms)]
    if without:
        which = ", ".join(without[:MAX_NAMES]) + (
            f" and {len(without) - MAX_NAMES} more" if len(without) > MAX_NAMES else ""
        )
        found = f"{count(len(without), 'customer')} without a rate card: {which}"
        yield warning("data", "rate cards", found, "set rate_card for them; until then, their events are held")


def _has_card(catalogue: Catalogue, key: str, now_ms: int) -> bool:
    """Return whether the customer has a rate card, now or in a scheduled version."""
    versions = (catalogue.entry("customer", key, now_ms), catalogue.entry("customer", key))
    return any(one is not None and one.content["rate_card"] for one in versions)
