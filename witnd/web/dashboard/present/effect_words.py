"""Sentences about what an action on an invoice would do."""

from decimal import Decimal

from witnd.app.invoices.change import Effect
from witnd.billing.export import wording
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.values.money import difference


def issue_effect(effect: Effect) -> str:
    after = effect.after
    does = "and fixes the document"
    if after.balance_used:
        does = f"fixes the document, and uses {_money(after.balance_used, after)} of the customer's balance"
    rest = f"{_money(after.due, after)} will be due on {after.due_date}."
    if not after.due:
        rest = "Nothing remains due, so the invoice is paid at once."
    after_that = "After that, only credit notes can correct lines."
    return f"Issuing assigns the next number, {effect.number}, {does}. {rest} {after_that}"


def payment_effect(effect: Effect) -> str:
    before, after = effect.before, effect.after
    applied = difference(after.payments_applied, before.payments_applied)
    over = difference(difference(after.payments_total, before.payments_total), applied)
    parts = []
    if applied and after.due:
        parts.append(f"Pays {_money(applied, after)} of this invoice; {_money(after.due, after)} will still be due.")
    elif applied:
        parts.append(f"Pays the full amount due, {_money(applied, after)}.")
    else:
        parts.append("Nothing is due.")
    if over:
        parts.append(
            f"{_money(over, after)} goes to the customer's balance, which will be {_money(effect.balance, after)}."
        )
    return " ".join(parts)


def void_effect(effect: Effect) -> str:
    before = effect.before
    return (
        f"Writes off {_money(before.total, before)}: the customer no longer owes it, and the outcomes are not billed "
        f"again.{_cancelling(effect)} The number {before.number} is not used again."
    )


def revise_effect(effect: Effect) -> str:
    edition = "" if effect.opens is None else f", edition {effect.opens.edition}"
    return (
        f"Voids {effect.before.number} and replaces it with a draft of the same lines{edition}."
        f"{_cancelling(effect)} The draft gets a new number when it is issued."
    )


def credit_effect(effect: Effect) -> str:
    after, note = effect.after, effect.note
    if note is None:
        amount = difference(after.credited, effect.before.credited)
        return f"Adds a credit of {_money(amount, after)} to this draft. Its sum before tax will be {_net(after)}."
    tax = " with tax" if note.tax_rows else ""
    parts = [f"Creates credit note {effect.number} of {_money(note.total, after)}{tax}."]
    if note.applied:
        parts.append(f"{_money(note.applied, after)} reduces the amount due to {_money(after.due, after)}.")
    if note.to_balance:
        balance = _money(effect.balance, after)
        parts.append(f"{_money(note.to_balance, after)} goes to the customer's balance, which will be {balance}.")
    return " ".join(parts)


def _cancelling(effect: Effect) -> str:
    """The credit note that cancels an invoice, and what it returns to the balance."""
    text = ""
    if effect.note is not None:
        text += f" Credit note {effect.number} of {_money(effect.note.total, effect.after)} cancels it."
    if effect.before.balance_used:
        used, balance = _money(effect.before.balance_used, effect.after), _money(effect.balance, effect.after)
        text += f" The {used} paid from the customer's balance returns to it; the balance will be {balance}."
    return text


def _net(invoice: Invoice) -> str:
    return _money(invoice.net, invoice)


def _money(amount: Decimal | None, invoice: Invoice) -> str:
    return f"{wording.money(amount or Decimal(0), invoice.digits)} {invoice.currency}"
