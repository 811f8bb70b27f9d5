"""What `witnd doctor` makes of the data: partitions, invoices, webhooks, catalogue and tokens."""

from collections.abc import Iterator
from typing import Final

from witnd.config import Config
from witnd.doctor.check import STATES, Check, count, note, ok, problem, span, warning
from witnd.doctor.data_probe import Books, Data, Part
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.values import instant
from witnd.domain.webhooks.notification import rule_id
from witnd.store.errors import Unsafe
from witnd.store.journal.journal import Journal, refuse_losses
from witnd.store.journal.marks import Marks
from witnd.store.server.lease import Holder

# A working daemon is behind by less, except after an outage.
LAG: Final = 10_000
LATE_MS: Final = 5_000
COLLECTED_MS: Final = 60_000
CLOSED_MS: Final = 60_000
# So many partitions are told one by one; of more, only those where something is to be told.
PARTITIONS: Final = 8
TOLD: Final = 20
NAMED: Final = 5

START: Final = "start a daemon: `systemctl start witnd`, or `witnd run`"


def read_journal(journal: Journal, deployment: str | None) -> Exception | None:
    """Take up what this host remembers; answers what is wrong with it, `FileNotFoundError` where there is nothing."""
    try:
        if not journal.path.exists():
            return FileNotFoundError()
        journal.open(deployment)
    except (Unsafe, OSError) as wrong:
        return wrong
    return None


def judge_journal(journal: Journal, wrong: Exception | None, data: Data, marks: Marks, *, counts: bool) -> Check:
    """Whether Redis has less than this host remembers. `counts`: the daemon is sure to use this state directory."""
    if wrong is None:
        losses = [*journal.lost_steps({part.number: part.sequence for part in data.parts}), *journal.lost_marks(marks)]
        try:
            refuse_losses(losses)
        except Unsafe as lost:
            wrong = lost
    if isinstance(wrong, FileNotFoundError):
        return note("data", "journal", f"none at {journal.path}", "nothing to do if no daemon ran on this host")
    if isinstance(wrong, OSError):
        return note("data", "journal", f"{journal.path} cannot be read: {wrong.strerror}", "run this command as root")
    if isinstance(wrong, Unsafe):
        if counts:
            return problem("data", "journal", wrong.reason, wrong.remedy)
        found = f"{wrong.reason}; only a daemon with this state directory minds"
        return warning("data", "journal", found, f"set daemon.state_dir, or remove {journal.path} if it is of another")
    return ok("data", "journal", "Redis has all that this host remembers")


def judge_data(data: Data, catalogue: Catalogue | None, config: Config) -> Iterator[Check]:
    """`catalogue` is None where it is too large to be looked through."""
    yield from _partitions(data, config)
    yield from _on_hold(data)
    if data.unreadable_tokens:
        found = (
            f"{count(len(data.unreadable_tokens), 'token')} damaged and refused: {', '.join(data.unreadable_tokens)}"
        )
        remedy = "remove each with `witnd tokens revoke ID`, and create another with `witnd tokens create`"
        yield warning("data", "tokens", found, remedy)
    yield from _held(data)
    yield from _invoices(data, config)
    yield from _webhooks(data, catalogue)
    yield _tokens(data)
    if catalogue is None:
        yield note("data", "catalogue", f"{data.catalogue} versions: too many to look through here")
    else:
        yield from _catalogue(catalogue, data.now_ms)


def _partitions(data: Data, config: Config) -> Iterator[Check]:
    found = [_partition(part, config) for part in data.parts]
    if len(found) <= PARTITIONS:
        yield from found
        return
    idle = sum(one.state == "note" for one in found)
    fine = sum(one.state == "ok" for one in found)
    told = [one for one in found if one.state not in ("ok", "note")]
    told.sort(key=lambda one: STATES.index(one.state))
    if fine:
        yield ok("data", "partitions", f"{fine} of {len(found)} are owned and up to date")
    if idle:
        yield note("data", "partitions", f"{idle} of {len(found)} have no owner, and nothing waits in them", START)
    yield from told[:TOLD]
    if len(told) > TOLD:
        yield warning("data", "partitions", f"{len(told) - TOLD} more like these", "see the ones above")


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
    if late or part.lag > LAG:
        remedy = f"see what {part.owner.instance} waits for: /readyz, its log, the clock and memory above"
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
    named = [key for part in data.parts for key in part.on_hold][:NAMED]
    found = f"{count(total, 'outcome')} cannot be read and wait: {', '.join(named)}{'…' if total > len(named) else ''}"
    yield warning("data", "on hold", found, f"rebuild each with `witnd repair outcome {named[0] if named else 'KEY'}`")


def _held(data: Data) -> Iterator[Check]:
    held = sum(part.held for part in data.parts)
    since = min((part.held_since for part in data.parts if part.held_since is not None), default=None)
    if held and since is not None:
        found = f"events of {count(held, 'key')} cannot be placed, the first for {span(data.now_ms - since)}"
        yield warning(
            "data", "held events", found, "see why with `witnd events --fate held`, and apply what is missing"
        )
    else:
        yield ok("data", "held events", "none")
    if rejected := sum(part.rejected for part in data.parts):
        found = f"{count(rejected, 'event')} within the last day"
        yield note("data", "rejected events", found, "see why with `witnd events --fate rejected`")


def _invoices(data: Data, config: Config) -> Iterator[Check]:
    books, now_ms = data.books, data.now_ms
    late = {n: ms for n, ms in books.uncollected.items() if now_ms - ms > COLLECTED_MS}
    waits = bool(late or (books.first_end or now_ms) < now_ms or books.past_grace)
    who = _owner(books.owner, config)
    if books.owner is None:
        yield (warning if waits else note)("data", "invoices", f"{who}: nobody makes them at the moment", START)
    else:
        yield ok("data", "invoices", who)
    if late:
        since = span(now_ms - min(late.values()))
        found = f"lines of {count(len(late), 'partition')} are in no draft, the first for {since}"
        yield warning("data", "lines", found, "see what `billing.` events the daemon's log has")
    yield from _period(books, data)
    if config.billing.issue == "manual":
        if books.to_issue:
            found = f"{count(books.to_issue, 'draft')} to be issued by hand"
            yield note("data", "drafts", found, "look at them with `witnd invoices`, then `witnd invoices issue`")
    elif books.past_grace and books.first_past is not None:
        past = now_ms - books.first_past - config.billing.grace * 1000
        found = f"{count(books.past_grace, 'draft')} past the time of review and not issued, the first for {span(past)}"
        remedy = START if books.owner is None else "see what `invoice.` and `billing.` events the daemon's log has"
        yield warning("data", "drafts", found, remedy)


def _period(books: Books, data: Data) -> Iterator[Check]:
    end = books.first_end
    if end is None or data.now_ms - end < CLOSED_MS:
        return
    found = f"the period that ended at {instant.render(end)} is not closed"
    behind = [part.number for part in data.parts if part.cursor[0] < end]
    if books.owner is None:
        yield warning("data", "period", f"{found}: nobody makes invoices", START)
    elif behind:
        which = ", ".join(map(str, behind[:NAMED])) + (" and others" if len(behind) > NAMED else "")
        yield warning(
            "data",
            "period",
            f"{found}: it waits for partition {which} to be applied past it",
            "see the partitions above",
        )
    else:
        yield warning("data", "period", found, "see what `billing.` events the daemon's log has")


def _webhooks(data: Data, catalogue: Catalogue | None) -> Iterator[Check]:
    names = {} if catalogue is None else {rule_id(name): name for name in catalogue.keys("notification_rule")}
    parked: dict[str, int] = {}
    for part in data.parts:
        for rule, number in part.parked.items():
            parked[rule] = parked.get(rule, 0) + number
    suspended = [rule for rule, state in data.endpoints.items() if state.suspended]
    for rule in suspended[:TOLD]:
        state, name = data.endpoints[rule], names.get(rule, rule)
        since = span(data.now_ms - (state.suspended_at or data.now_ms))
        found = f"that of {name} is suspended for {since}: {state.reason or 'it failed'}"
        found += f"; {count(parked.get(rule, 0), 'delivery', 'deliveries')} parked"
        yield warning("data", "endpoint", found, f"mend it, then `witnd deliveries resume {name}`")
    for rule in [rule for rule in parked if rule not in suspended][:TOLD]:
        found = f"{count(parked[rule], 'delivery', 'deliveries')} of {names.get(rule, rule)} parked"
        yield warning(
            "data", "endpoint", found, f"enable the rule, then `witnd deliveries resume {names.get(rule, rule)}`"
        )
    failing = [
        rule for rule, state in data.endpoints.items() if state.failing_since is not None and not state.suspended
    ]
    if failing:
        which = ", ".join(names.get(rule, rule) for rule in failing[:NAMED]) + ("…" if len(failing) > NAMED else "")
        yield note("data", "endpoint", f"failing, and tried again: {which}", "see why with `witnd deliveries`")
    if dead := sum(part.dead for part in data.parts):
        found = f"{count(dead, 'delivery', 'deliveries')} given up"
        yield warning("data", "dead letters", found, "mend the endpoint, then `witnd deliveries resend`")
    if unqueued := sum(part.unqueued for part in data.parts):
        found = f"the deliveries of {count(unqueued, 'outcome')} are not queued yet"
        yield note("data", "webhooks", found, "wait: the daemon queues them; until then lists do not have them")
    if not (suspended or parked or failing or dead or unqueued):
        yield ok("data", "webhooks", "no endpoint fails, nothing was given up")


def _tokens(data: Data) -> Check:
    living = [token for token in data.tokens if token.revoked_at is None]
    if not any(token.has_scope("admin") for token in living):
        found = f"{count(len(living), 'token')}, and none for administration"
        return note("data", "tokens", found, "`witnd tokens create NAME --scope admin`, if the API is used")
    return ok("data", "tokens", f"{count(len(living), 'token')} in use")


def _catalogue(catalogue: Catalogue, now_ms: int) -> Iterator[Check]:
    living: dict[str, list[str]] = {}
    for kind in ("customer", "agent", "rate_card", "notification_rule"):
        entries = [catalogue.entry(kind, key) for key in catalogue.keys(kind)]
        living[kind] = [entry.key for entry in entries if entry is not None and not entry.archived]
    found = ", ".join(count(len(keys), kind.replace("_", " ")) for kind, keys in living.items())
    missing = [words for words, kind in (("no agent", "agent"), ("no customer", "customer")) if not living[kind]]
    if missing:
        remedy = "put one into force with `witnd apply`; until then events are held"
        yield note("data", "catalogue", f"{found}: {' and '.join(missing)}", remedy)
    else:
        yield ok("data", "catalogue", found)
    without = [key for key in living["customer"] if not _has_card(catalogue, key, now_ms)]
    if without:
        which = ", ".join(without[:NAMED]) + (f" and {len(without) - NAMED} more" if len(without) > NAMED else "")
        found = f"{count(len(without), 'customer')} without one: {which}"
        yield warning("data", "rate cards", found, "give them a rate_card; their events are held")


def _has_card(catalogue: Catalogue, key: str, now_ms: int) -> bool:
    """Now, or by the version that has yet to come into force."""
    versions = (catalogue.entry("customer", key, now_ms), catalogue.entry("customer", key))
    return any(one is not None and one.content["rate_card"] for one in versions)
