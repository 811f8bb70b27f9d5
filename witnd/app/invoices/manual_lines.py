"""Add manual lines to an invoice or to a customer's current period, remove them, and change the tax of single rows."""

from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.app.errors import Refused, all_invalid, invalid, not_found, unavailable
from witnd.app.invoices.change import check_reason, do, reuse_error
from witnd.app.invoices.facts import not_confirmed
from witnd.app.services import Services
from witnd.billing.row_taxes import RowTaxes
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices import manual
from witnd.domain.invoices.invoice import Invoice, Row, empty_invoice
from witnd.domain.invoices.issue_terms import tax_table
from witnd.domain.invoices.json_form import InvoiceJson, LineJson, invoice_json, line_json
from witnd.domain.invoices.manual import NewLine, manual_rows
from witnd.domain.invoices.operations import Decision
from witnd.domain.invoices.payment import parse_words
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.money import decimal_string, minor_digits
from witnd.store.access.change_log import Author
from witnd.store.errors import StoreUnavailable
from witnd.store.invoices.change import Operation
from witnd.store.invoices.change_arguments import Snapshot

MAX_DESCRIPTION_LENGTH: Final = 200
# How often the current period is looked up again because it ended meanwhile.
ATTEMPTS: Final = 3


class LineFacts(Struct, frozen=True, kw_only=True):
    """A manual line as a caller writes it. The unit price may be negative. `tax` defaults to the customer's, `currency`
    to that of the invoice or of the customer's rate card."""

    description: str
    quantity: str
    unit_price: str
    tax: str | None = None
    currency: str | None = None


class LineAdded(LineJson, frozen=True, kw_only=True):
    """A line, and its invoice afterwards."""

    invoice: InvoiceJson


class _PeriodEnded(Exception):  # noqa: N818 - caught here
    """The current period ended before the line was written."""


async def add(
    services: Services,
    author: Author,
    invoice: Invoice,
    facts: LineFacts,
    *,
    token: str | None = None,
    dry_run: bool = False,
) -> LineAdded:
    """Add a line to a draft. `token` and `dry_run` are as in `change.do`."""
    catalogue = await services.learned()
    if facts.currency not in (None, invoice.currency):
        raise invalid("currency", f"must be {invoice.currency}, the currency of the invoice, got {facts.currency!r}")
    new = _parsed(facts, catalogue)

    def decide(seen: Snapshot) -> Decision:
        return manual.add_line(seen.invoice, new, tax_table(catalogue, seen.invoice, seen.at), seen.at)

    try:
        done = await do(services, author, invoice, "add_line", decide, token=token, dry_run=dry_run)
    except StoreUnavailable as silent:
        raise not_confirmed(author, "line", silent) from silent
    assert isinstance(done, Operation), done  # a new line is never there already
    return await _added(services, author, done, new)


async def add_for_customer(
    services: Services,
    author: Author,
    customer_key: str,
    facts: LineFacts,
    *,
    token: str | None = None,
    dry_run: bool = False,
) -> LineAdded:
    """Add a line to the customer's invoice of the current period, which is opened if there is none."""
    catalogue = await services.learned()
    if catalogue.customer(customer_key, services.now_ms()) is None:
        raise not_found("customer", customer_key)
    new = _parsed(facts, catalogue)
    key = author.idempotency_key
    if token is None and key is not None:
        token = derived_id("api", "add_line", key)
    for _ in range(ATTEMPTS):
        known = None if token is None else await services.invoices.line_token(customer_key, token)
        # First, because a repeated request gets its answer also when the customer has another card, or none, by now.
        target = None if known is None else await services.invoices.get(known)
        if target is None:
            target = await _current(services, catalogue, customer_key, facts.currency)

        def decide(seen: Snapshot) -> Decision:
            if seen.at >= seen.invoice.end:
                raise _PeriodEnded
            table = tax_table(catalogue, seen.invoice, seen.at)
            return manual.add_line(seen.invoice, new, table, seen.at, for_customer=True)

        try:
            done = await do(services, author, target, "add_line", decide, token=token, dry_run=dry_run, new=target)
        except _PeriodEnded:
            continue
        except StoreUnavailable as silent:
            raise not_confirmed(author, "line", silent) from silent
        assert isinstance(done, Operation), done
        if done.repeated and facts.currency not in (None, done.invoice.currency):
            raise reuse_error(author, f"added a line in {done.invoice.currency}")
        return await _added(services, author, done, new)
    raise unavailable("the current period is ending; retry")


async def remove(
    services: Services, author: Author, invoice: Invoice, line: str, *, dry_run: bool = False
) -> InvoiceJson:
    """Remove a manual line before the invoice is issued."""
    catalogue, zero = await services.learned(), services.config.billing.zero_invoices

    def decide(seen: Snapshot) -> Decision:
        _check_known(seen.invoice, line)  # here, so that a repeated request is answered
        table = tax_table(catalogue, seen.invoice, seen.at)
        return manual.remove_line(seen.invoice, line, table, credited=seen.credited(line), zero_invoices=zero)

    done = await do(services, author, invoice, "remove_line", decide, rows=[line], dry_run=dry_run)
    if isinstance(done, Operation) and done.made != line:
        raise reuse_error(author, f"removed the line {done.made}")
    return invoice_json(done.invoice)


async def override_tax(
    services: Services,
    author: Author,
    invoice: Invoice,
    row: Row,
    tax: str | None,
    reason: str,
    *,
    dry_run: bool = False,
) -> LineAdded:
    """Change the tax of a row of a draft, or restore its own if None. The reason is in the change log."""
    check_reason(reason)
    catalogue = await services.learned()
    _check_tax(tax, catalogue)
    taxes = RowTaxes(catalogue, invoice, services.now_ms())
    own, grade = taxes.own(row), taxes.group_grade(row)

    def decide(seen: Snapshot) -> Decision:
        table = tax_table(catalogue, seen.invoice, seen.at)
        return manual.override_tax(
            seen.invoice, row, own, tax, reason, table, credited=seen.credited(row.id), grade=grade
        )

    done = await do(services, author, invoice, "override_tax", decide, rows=[row.id], dry_run=dry_run)
    after = done.invoice
    if isinstance(done, Operation) and done.repeated:
        _check_override(author, done, row, None if tax == own else tax, reason)
    shown = next((one for one in manual_rows(after) if one.id == row.id), row)
    return await _line(services, after, shown)


def _parsed(facts: LineFacts, catalogue: Catalogue) -> NewLine:
    """Check all facts. Raise VALIDATION_ERROR with every mistake."""
    mistakes: list[Mistake] = []
    quantity = unit_price = Decimal(0)
    try:
        parse_words(facts.description, MAX_DESCRIPTION_LENGTH)
    except ValueError as wrong:
        remedy = "is empty; say what the line is for" if not facts.description.strip() else str(wrong)
        mistakes.append(Mistake("description", remedy))
    try:
        quantity = decimal_string(facts.quantity)
        if not quantity:
            raise ValueError("must be greater than 0")
    except ValueError as wrong:
        mistakes.append(Mistake("quantity", f"{facts.quantity!r} {wrong}"))
    try:
        unit_price = _price(facts.unit_price)
    except ValueError as wrong:
        mistakes.append(Mistake("unit_price", f"{facts.unit_price!r} {wrong}"))
    if facts.tax is not None and not catalogue.instants("tax", facts.tax):
        mistakes.append(Mistake("tax", f"there is no tax {facts.tax!r}; add it to the catalogue"))
    if mistakes:
        raise all_invalid(mistakes)
    return NewLine(description=facts.description, quantity=quantity, unit_price=unit_price, tax=facts.tax or "")


def _price(text: str) -> Decimal:
    """Parse a unit price, which may be negative. Raises ValueError with the reason."""
    return decimal_string(text[1:]).copy_negate() if text.startswith("-") else decimal_string(text)


async def _current(services: Services, catalogue: Catalogue, customer_key: str, currency: str | None) -> Invoice:
    """Return the customer's invoice of the current period, or an empty one that does not exist yet."""
    calendar = await services.invoices.calendar()
    if calendar is None:
        raise Refused("CONFLICT", "there is no period yet", remedy="start the daemon first: it begins the first one")
    now = await services.invoices.server_ms()
    customer = catalogue.customer(customer_key, now)
    card = (
        None
        if customer is None or customer.rate_card is None
        else catalogue.entry("rate_card", customer.rate_card, now)
    )
    if currency is None:
        if card is None:
            raise invalid("currency", f"is missing: customer {customer_key} has no rate card; name a currency")
        currency = str(card.content["currency"])
    digits = None if card is None else catalogue.digits(card.key).get(currency)
    if digits is None and (digits := minor_digits(currency)) is None:
        raise invalid("currency", f"{currency!r} is not an ISO 4217 code; write one such as EUR")
    if now >= calendar.until:
        remedy = "start the daemon: it decides the bounds of the current period"
        raise Refused("CONFLICT", "the current period has no bounds yet", remedy=remedy)
    period = calendar.period_at(now)
    draft = empty_invoice(customer_key, currency, digits, period)
    return await services.invoices.get(draft.id) or draft


async def _added(services: Services, author: Author, done: Operation, new: NewLine) -> LineAdded:
    row = next((one for one in manual_rows(done.invoice) if one.id == done.made), None)
    line = next((one for one in done.invoice.manual if one.id == done.made), None)
    if row is None or line is None:
        raise reuse_error(author, "added a line that was removed since")
    if (line.description, line.quantity, line.unit_price, line.tax) != (
        new.description, new.quantity, new.unit_price, new.tax,
    ):  # fmt: skip
        raise reuse_error(author, f"added the line {line.description!r}")
    return await _line(services, done.invoice, row)


async def shown_line(services: Services, invoice: Invoice, row: Row) -> LineJson:
    """Return a line with its tax key."""
    taxes = RowTaxes(await services.learned(), invoice, services.now_ms())
    return line_json(invoice, row, taxes.shown(row))


async def _line(services: Services, invoice: Invoice, row: Row) -> LineAdded:
    shown = await shown_line(services, invoice, row)
    return LineAdded(
        **{name: getattr(shown, name) for name in LineJson.__struct_fields__}, invoice=invoice_json(invoice)
    )


def _check_override(author: Author, done: Operation, row: Row, tax: str | None, reason: str) -> None:
    """Raise CONFLICT if an earlier request with this key did something else, or if the tax was changed since."""
    if done.made != row.id:
        raise reuse_error(author, f"changed the tax of the line {done.made}")
    found = next((one for one in done.invoice.overrides if one.row == row.id), None)
    if (None if found is None else (found.tax, found.reason)) != (None if tax is None else (tax, reason)):
        raise reuse_error(author, "changed the tax of the line differently, or with another reason")


def _check_known(invoice: Invoice, line: str) -> None:
    known = [one.id for one in invoice.manual]
    if line not in known:
        raise not_found("manual line", line, known, remedy="see the manual lines of the invoice")


def _check_tax(tax: str | None, catalogue: Catalogue) -> None:
    if tax is not None and not catalogue.instants("tax", tax):
        raise invalid("tax", f"there is no tax {tax!r}; add it to the catalogue")
