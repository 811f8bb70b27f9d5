"""`witnd explain`: explain an outcome event by event, with its result and price."""

from collections.abc import Sequence
from pathlib import Path

import click

from witnd.app.outcomes.frozen_terms import Terms
from witnd.app.outcomes.list import keys_of, one
from witnd.app.outcomes.reversal import Credit, ReversingEvent
from witnd.app.outcomes.view import Explained, Listed, OnInvoice, without_outcome
from witnd.cli.console.context import as_json, config_option, json_option, run, session, table
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.domain.catalogue.terms.reversal import reversal_text
from witnd.domain.outcomes.explain import STATUS_TEXT, ExplainedEvent, Reasoning, event_values_text
from witnd.domain.outcomes.resolution import Line, amount_text
from witnd.domain.values.duration import duration_text
from witnd.domain.values.fields import short_repr
from witnd.exit_codes import USAGE

# What only an answer with a page of the events needs.
_OF_PAGES = ("partition", "events_next_cursor")


@click.command()
@click.argument("key", type=TEXT)
@click.option(
    "--events",
    "shown",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="Show only the last N events; JSON has all.",
)
@json_option
@config_option
def explain(key: str, shown: int, json_output: bool, config_path: Path | None) -> None:
    """Explain how the outcome KEY was decided and priced.

    For each event, the command shows every check of the condition, what the event changed, and the new
    deadline. The result follows, with its reason, invoice line and deliveries. For a key with held events,
    it shows these events and what they wait for.

    \b
    JSON: {"key", "outcome": as in `witnd outcomes --json` or null, "terms", "story": {"condition",
    "events": [{"entry", "accepted_at", "action", "timestamp", "value", "attribution", "pin",
    "placed_at", "leaves": [{"path", "words", "holds", "flipped"}…], "holds", "status",
    "settles_at", "words"}…], "why", "unit"}, "resolution", "line",
    "invoice", "deliveries", "held", "reversal": {"entry", "accepted_at", "action", "timestamp",
    "value", "attribution", "fate", "words", "bill", "credit": {"invoice", "number", "row", "amount",
    "credit_row", "note", "note_number", "is_pending"}} or null,
    "on_hold": {"reason", "since", "status", "waiting"} or null}

    \b
    Examples:
      witnd explain ticket-4711
      witnd explain ticket-4711 --json | jq -r .story.why
    """
    run(_explain(key, shown, json_output, config_path))


async def _explain(key: str, shown: int, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        services = opened.services
        found = await one(services, key, is_whole=True) or without_outcome(keys_of(services, key), key)
    if as_document:
        names = [name for name in found.__struct_fields__ if name not in _OF_PAGES]
        as_json({name: getattr(found, name) for name in names})
    else:
        print_explained(found, shown)
    if found.outcome is None and not found.held and found.on_hold is None:
        raise click.exceptions.Exit(USAGE)


# -- for people ----------------------------------------------------------------------------------


def _say(text: str = "") -> None:
    click.echo(printable(text))


def print_explained(found: Explained, shown: int) -> None:
    """Print an explanation with its last `shown` events."""
    if found.outcome is None or found.terms is None or found.story is None:
        _print_held(found)
    else:
        _print(found, found.outcome, found.terms, found.story, shown)


def _print_held(found: Explained) -> None:
    if (held_back := found.on_hold) is not None:
        _say(f"{found.key}: on hold, because {held_back.reason}")
        _say(f"it does not settle, and {held_back.waiting} later events wait; other outcomes are not affected")
        _say(f"rebuild it from the log with `witnd repair outcome {found.key}`")
        return
    if not found.held:
        _say(f"{found.key}: no outcome and no held events with this key")
        _say("its events may be rejected or not processed yet; see `witnd events --key KEY`")
        return
    many = f"{len(found.held)} event{'' if len(found.held) == 1 else 's'}"
    _say(f"{found.key}: no outcome yet; {many} held")
    columns = ("entry", "action", "customer", "agent", "reason")
    rows = [
        (one.entry, one.action, one.customer_key, one.agent_key or "", _REASONS.get(one.reason, ""))
        for one in found.held
    ]
    table(columns, rows)
    _say("the daemon retries them when the catalogue changes; `witnd events retry` retries them now")


_REASONS = {
    "UNKNOWN_CUSTOMER": "UNKNOWN_CUSTOMER: the catalogue has no such customer",
    "UNKNOWN_AGENT": "UNKNOWN_AGENT: the catalogue has no such agent, or it is archived",
    "AGENT_AMBIGUOUS": "AGENT_AMBIGUOUS: the event names no agent, and the customer does not have exactly one",
    "NO_RATE_CARD": "NO_RATE_CARD: the customer has no rate card in effect",
    "NO_PRICE": "NO_PRICE: the customer's rate card has no price for the agent",
}


def _print(found: Explained, outcome: Listed, frozen: Terms, reasoning: Reasoning, shown: int) -> None:
    _say(f"{found.key}: {STATUS_TEXT[outcome.status]}")
    _say(reasoning.why)
    if found.reversal is not None:
        _say(f"{found.reversal.words} {found.reversal.bill}")
    _say()
    _say(f"customer   {outcome.customer_key}")
    _say(f"agent      {frozen.agent_key} ({frozen.agent_name})")
    _say(f"condition  {reasoning.condition}")
    if reasoning.grade is not None:
        _say(f"grade      {reasoning.grade}")
    _say(f"settles    {duration_text(frozen.settlement_period)} after the last event")
    for action, timer in (frozen.timers or {}).items():
        said = "does not change the deadline" if isinstance(timer, str) else f"settles {duration_text(timer)} later"
        _say(f"timer      {action}: {said}")
    if frozen.reversal is not None:
        _say(f"reversal   {reversal_text(frozen.reversal)}")
    if frozen.grades is None or found.line is not None:
        _say(f"price      {frozen.price_words} ({frozen.currency}, {_whence(frozen)})")
    else:
        for grade in frozen.grades:
            _say(f"price      {grade.key}: {grade.price_words} ({frozen.currency}, {_whence(frozen)})")
    _say(f"unit       {reasoning.unit}")
    _print_events(reasoning.events, shown)
    if found.reversal is not None:
        _print_reversal(found.reversal)
    if found.line is not None:
        _say()
        for start, said in zip(("line", "", ""), _line_words(found.line, found.invoice), strict=True):
            _say(f"{start:10} {said}")
        if found.invoice is not None:
            _say(f"invoice    {_invoice_words(found.invoice)}")
        if found.reversal is not None and found.reversal.credit is not None:
            _say(f"credit     {_credit_words(found.reversal.credit)}")
    if found.resolution is not None:
        _say()
        _say(f"resolved   {found.resolution.settles_at}, {found.resolution.id}")
        if found.deliveries:
            columns = ("rule", "delivery", "state", "attempts", "reason")
            rows = [(one.rule, one.id, one.standing, one.attempts, one.reason or "") for one in found.deliveries]
            table(columns, rows)
        else:
            _say("deliveries none: no notification rule in effect matched")


def _print_reversal(event: ReversingEvent) -> None:
    _say()
    value = "" if event.value is None else f"  (value {short_repr(event.value)})"
    _say(f"{event.accepted_at}  {event.action}{value}")
    _say(f"   entry {event.entry}, reversed; {event.words}")


def _credit_words(credit: Credit) -> str:
    row = "the row" if credit.row is None else f"row {credit.row}"
    corrected = f"{row} of {credit.number or credit.invoice}"
    if credit.amount is None:
        return f"of {corrected} {'follows' if credit.is_pending else 'is not needed'}"
    where = f"credit note {credit.note_number}" if credit.note is not None else f"row {credit.credit_row}"
    return f"{credit.amount} of {corrected}: {where}"


def _whence(frozen: Terms) -> str:
    own = frozen.price.get("customer")
    return f"rate card {frozen.rate_card}" if own is None else f"individual price of {own}"


def _line_words(line: Line, invoice: OnInvoice | None) -> tuple[str, ...]:
    """Describe the invoice line and the calculation of its amount."""
    if line.amount is not None:
        return amount_text(line), f"exactly {line.amount_exact}, resolved {line.resolved_at}", line.id
    said = amount_text(line)
    if invoice is not None and invoice.amount is not None:
        said = f"{line.unit} units, {invoice.amount} {line.currency} for the whole period"
    return said, f"resolved {line.resolved_at}", line.id


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
