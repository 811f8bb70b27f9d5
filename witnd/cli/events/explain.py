"""`witnd explain`: the whole story of one outcome, event by event, and why it ended as it did."""

from collections.abc import Sequence
from pathlib import Path

import click
from msgspec import UNSET, Struct

from witnd.app.outcomes.on_hold import OnHold, damaged
from witnd.app.outcomes.view import (
    HeldEvent,
    Listed,
    OnInvoice,
    Terms,
    Told,
    deliveries_told,
    found_of,
    listed,
    on_invoice,
    terms,
)
from witnd.cli.console.context import Session, as_json, config_option, json_option, load_catalogue, run, session, table
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.explain import (
    STATUS_TEXT,
    ExplainedEvent,
    Reasoning,
    duration_text,
    event_values_text,
    explanation,
)
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.outcomes.resolution import Line, Resolution, resolve
from witnd.domain.pricing.working import working_text
from witnd.domain.webhooks.notification import rule_id
from witnd.exit_codes import USAGE
from witnd.fold.history import HistoryItem
from witnd.store.deliveries.reads import Deliveries
from witnd.store.errors import Unreadable
from witnd.store.keys import Keys
from witnd.store.query.reads import Reads, open_reads


class Explanation(Struct, frozen=True, kw_only=True):
    """What `--json` prints. For a key without an outcome all but `key` and `held` is null."""

    key: str
    outcome: Listed | None
    terms: Terms | None
    story: Reasoning | None
    resolution: Resolution | None
    line: Line | None
    invoice: OnInvoice | None
    deliveries: list[Told]
    held: list[HeldEvent]
    on_hold: OnHold | None = None


@click.command()
@click.argument("key", type=TEXT)
@click.option(
    "--events",
    "shown",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="Show this many events, the last ones; JSON has all.",
)
@json_option
@config_option
def explain(key: str, shown: int, json_output: bool, config_path: Path | None) -> None:
    """Show why the outcome KEY is what it is.

    Every event with each check of the condition after it, what it flipped, and when the outcome was
    due from then on; then what it became, why, its invoice line and its deliveries. For a key whose
    events are held: which they are, and what they wait for.

    \b
    JSON: {"key", "outcome": as in `witnd outcomes --json` or null, "terms", "story": {"condition",
    "events": [{"entry", "accepted_at", "action", "timestamp", "value", "attribution", "pin",
    "placed_at", "leaves": [{"path", "words", "holds", "flipped"}…], "holds", "status",
    "settles_at", "words"}…], "why", "unit"}, "resolution", "line", "invoice", "deliveries", "held",
    "on_hold": {"reason", "since", "status", "waiting"} or null}

    \b
    Examples:
      witnd explain ticket-4711
      witnd explain ticket-4711 --json | jq -r .story.why
    """
    run(_explain(key, shown, json_output, config_path))


async def _explain(key: str, shown: int, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened, open_reads(opened.server) as reads:
        catalogue = await load_catalogue(opened)
        keys = opened.keys(partition_of(key, opened.partitions))
        found = await _explanation(opened, reads, keys, key, catalogue)
    if as_document:
        as_json(found)
    elif found.outcome is None or found.terms is None or found.story is None:
        _print_held(found)
    else:
        _print(found, found.outcome, found.terms, found.story, shown)
    if found.outcome is None and not found.held and found.on_hold is None:
        raise click.exceptions.Exit(USAGE)


async def _explanation(opened: Session, reads: Reads, keys: Keys, key: str, catalogue: Catalogue) -> Explanation:
    outcome, held, held_back = await found_of(reads, keys, key, catalogue)
    history: list[HistoryItem] = []
    try:
        async for page in reads.history(keys, key, most=0 if outcome is None else outcome.events):
            history += page
    except Unreadable:
        held_back = await damaged(reads, keys, key)
    if outcome is None or held_back is not None:
        return Explanation(
            key=key, outcome=None, terms=None, story=None, resolution=None, line=None,
            invoice=None, deliveries=[], held=held, on_hold=held_back,
        )  # fmt: skip
    resolution, line = resolve(outcome) if outcome.is_final else (None, None)
    return Explanation(
        key=key,
        outcome=listed(keys.partition, outcome),
        terms=terms(outcome),
        story=explanation(outcome, history),
        resolution=resolution,
        line=line,
        invoice=None if line is None else await on_invoice(opened.services.invoices, line),
        deliveries=await _told(opened, key, catalogue) if outcome.is_final else [],
        held=[],
    )


async def _told(opened: Session, key: str, catalogue: Catalogue) -> list[Told]:
    rules = [rule_id(name) for name in catalogue.keys("notification_rule")]
    partitions = [opened.keys(number) for number in range(opened.partitions)]
    return deliveries_told(await Deliveries(opened.redis, partitions, opened.global_keys, rules).of_outcome(key))


# -- for people ----------------------------------------------------------------------------------


def _say(text: str = "") -> None:
    click.echo(printable(text))


def _print_held(found: Explanation) -> None:
    if (held_back := found.on_hold) is not None:
        _say(f"{found.key}: on hold, because {held_back.reason}")
        _say(f"it does not settle, and {held_back.waiting} later events wait; all other outcomes continue")
        _say(f"rebuild it from the log with `witnd repair outcome {found.key}`")
        return
    if not found.held:
        _say(f"{found.key}: no outcome has this key, and nothing is held for it")
        _say("an event that was sent for it may be rejected or not read yet: `witnd events --key`")
        return
    many = f"{len(found.held)} event{'' if len(found.held) == 1 else 's'}"
    _say(f"{found.key}: no outcome yet; {many} cannot be placed")
    columns = ("entry", "action", "customer", "agent", "waits because")
    rows = [
        (one.entry, one.action, one.customer_key, one.agent_key or "", _REASONS.get(one.reason, ""))
        for one in found.held
    ]
    table(columns, rows)
    _say("each is tried again when the catalogue changes; `witnd events retry` does so at once")


_REASONS = {
    "UNKNOWN_CUSTOMER": "UNKNOWN_CUSTOMER: the catalogue has no such customer",
    "UNKNOWN_AGENT": "UNKNOWN_AGENT: the catalogue has no such agent, or it is archived",
    "AGENT_AMBIGUOUS": "AGENT_AMBIGUOUS: it names no agent, and not exactly one could be meant",
    "NO_RATE_CARD": "NO_RATE_CARD: the customer has no rate card in force",
    "NO_PRICE": "NO_PRICE: the customer's rate card has no price for the agent",
}


def _print(found: Explanation, outcome: Listed, frozen: Terms, reasoning: Reasoning, shown: int) -> None:
    _say(f"{found.key}: {STATUS_TEXT[outcome.status]}")
    _say(reasoning.why)
    _say()
    _say(f"customer   {outcome.customer_key}")
    _say(f"agent      {frozen.agent_key} ({frozen.agent_name})")
    _say(f"condition  {reasoning.condition}")
    _say(f"settles    {duration_text(frozen.settlement_period)} after the last event")
    _say(f"price      {frozen.price_words} ({frozen.currency}, {_whence(frozen)})")
    _say(f"unit       {reasoning.unit}")
    _print_events(reasoning.events, shown)
    if found.line is not None:
        _say()
        for start, said in zip(("line", "", ""), _line_words(found.line, found.invoice), strict=True):
            _say(f"{start:10} {said}")
        if found.invoice is not None:
            _say(f"invoice    {_invoice_words(found.invoice)}")
    if found.resolution is not None:
        _say()
        _say(f"resolved   {found.resolution.settles_at}, {found.resolution.id}")
        if found.deliveries:
            columns = ("rule", "delivery", "standing", "attempts", "why")
            rows = [(one.rule, one.id, one.standing, one.attempts, one.reason or "") for one in found.deliveries]
            table(columns, rows)
        else:
            _say("deliveries none: no rule in force wanted it")


def _whence(frozen: Terms) -> str:
    own = frozen.price.get("customer")
    return f"rate card {frozen.rate_card}" if own is None else f"agreed with {own}"


def _line_words(line: Line, invoice: OnInvoice | None) -> tuple[str, ...]:
    """What the invoice line is, and how its amount came about."""
    if line.amount is None:
        known = "amount known when the period closes"
        if invoice is not None and invoice.amount is not None:
            known = f"{invoice.amount} {line.currency} by what the period came to"
        return f"{line.unit} units, {known}", f"resolved {line.resolved_at}", line.id
    amount = f"{line.amount} {line.currency}"
    times = f"{line.unit} × {line.price_per_unit} = {amount}"
    said = times if line.working is UNSET else f"{amount}: {working_text(line.working)}"
    return said, f"exactly {line.amount_exact}, resolved {line.resolved_at}", line.id


def _invoice_words(invoice: OnInvoice) -> str:
    stage = "open" if invoice.status == "draft" and not invoice.closed else invoice.status
    return f"{invoice.number or invoice.id}, {stage}, of {invoice.period_start} to {invoice.period_end}"


def _print_events(events: Sequence[ExplainedEvent], shown: int) -> None:
    left_out = max(0, len(events) - shown)
    if left_out:
        _say()
        _say(f"… {left_out} earlier events; --events {len(events)} shows them")
    for number, event in enumerate(events[left_out:], left_out + 1):
        _say()
        carried = event_values_text(event)
        _say(f"{number}. {event.accepted_at}  {event.action}{f'  ({carried})' if carried else ''}")
        _say(f"   entry {event.entry}; {event.words}")
        for leaf in event.leaves:
            mark = "✓" if leaf.holds else "✗"
            _say(f"   {mark} {leaf.words}{'  ← flipped' if leaf.flipped else ''}")
        holds = "holds" if event.holds else "does not hold"
        _say(f"   the condition {holds}; {STATUS_TEXT[event.status]}, due at {event.settles_at}")
