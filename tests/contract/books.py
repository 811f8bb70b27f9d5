"""A second reckoning of invoices: what is due, what a customer has left, and what must be refused.

It counts in Fractions, keeps every movement of money, and shares no code with witnd.
"""

from fractions import Fraction
from typing import Any

ZERO = Fraction(0)


class Refused(Exception):  # noqa: N818 - what the rules say
    """The rules do not allow it."""


class Invoice:
    """An invoice by its rows: id → amount. `account` is the customer's balance in its currency."""

    def __init__(self, account: "Account", rows: dict[str, Fraction]) -> None:
        self.account = account
        self.rows = rows
        self.given: dict[str, Fraction] = {}  # row → what was credited of it, on the draft and by notes
        self.drafted = ZERO
        self.status = "draft"
        self.edition = 1
        self.used = ZERO
        self.payments: list[dict[str, Any]] = []
        self.notes: list[tuple[Fraction, Fraction]] = []  # amount, what of it was applied

    @property
    def subtotal(self) -> Fraction:
        return sum(self.rows.values(), ZERO)

    @property
    def total(self) -> Fraction:
        return self.subtotal - self.drafted

    @property
    def due(self) -> Fraction | None:
        if self.status in ("draft", "void"):
            return None
        live = sum((one["applied"] for one in self.payments if not one["reversed"]), ZERO)
        return self.total - live - sum((applied for _, applied in self.notes), ZERO) - self.used

    def _settle(self) -> None:
        self.status = "issued" if self.due else "paid"

    def issue(self) -> None:
        live = [one for one in self.payments if not one["reversed"]]
        if self.status == "issued" or (self.status == "paid" and not live and not self.notes):
            return
        if self.status != "draft":
            raise Refused
        self.used = min(self.account.balance, self.total)
        self.account.balance -= self.used
        self.status = "issued"
        self._settle()

    def pay(self, amount: Fraction | None) -> None:
        if self.due is None:
            raise Refused
        if amount is None:
            if not self.due:
                return
            amount = self.due
        applied = min(amount, self.due)
        self.payments.append({"amount": amount, "applied": applied, "reversed": False})
        self.account.balance += amount - applied
        self._settle()

    def reverse(self, number: int) -> None:
        one = self.payments[number]
        if one["reversed"]:
            return
        rest = one["amount"] - one["applied"]
        if self.account.balance < rest:
            raise Refused
        self.account.balance -= rest
        one["reversed"] = True
        self._settle()

    def credit(self, items: dict[str, Fraction | None]) -> None:
        if self.status == "void":
            raise Refused
        left_of_all = self.subtotal - sum(self.given.values(), ZERO)
        amounts: dict[str, Fraction] = {}
        for row, wanted in items.items():
            left = min(self.rows[row] - self.given.get(row, ZERO), left_of_all - sum(amounts.values(), ZERO))
            if left <= 0 or (wanted is not None and wanted > left):
                raise Refused
            amounts[row] = left if wanted is None else wanted
        total = sum(amounts.values(), ZERO)
        for row, amount in amounts.items():
            self.given[row] = self.given.get(row, ZERO) + amount
        if self.due is None:
            self.drafted += total
            return
        applied = min(total, self.due)
        self.notes.append((total, applied))
        self.account.balance += total - applied
        self._settle()

    def cancel(self) -> None:
        """Void it, or revise it."""
        if self.status == "void":
            return
        live = [one for one in self.payments if not one["reversed"]]
        if self.status == "draft" or live or self.notes:
            raise Refused
        self.account.balance += self.used
        self.used = ZERO
        self.status = "void"

    def next_edition(self) -> "Invoice":
        draft = Invoice(self.account, self.rows)
        draft.given, draft.drafted, draft.edition = dict(self.given), self.drafted, self.edition + 1
        return draft


class Account:
    """What a customer has left in one currency."""

    def __init__(self) -> None:
        self.balance = ZERO
        self.refunded = ZERO

    def refund(self, amount: Fraction) -> None:
        if amount > self.balance:
            raise Refused
        self.balance -= amount
        self.refunded += amount
