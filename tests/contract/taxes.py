"""A second reckoning of taxes, manual lines, credits and cancelled invoices, by sections 10.3 to 10.5 of the contract.

It counts in Fractions. Every question is answered from the rows, credits and lines again; nothing is summed up before.
Nothing here is shared with witnd.

Where the contract is silent, it reads it so: caps act on the sums at close, so credits do not change their parts. A
credit of a draft that would leave a taxable amount below 0 before discounts is refused, and so is the issue of such a
draft. All that remains of a commitment is as much of it as the share of each category and rate allows.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

from tests.contract.books import ZERO, Account, Invoice, Refused

# Category and rate; None of a row without a tax.
Class = tuple[str, Fraction] | None
Taxes = list[tuple[Class, Fraction, Fraction]]  # category and rate, taxable amount, tax

CREDITABLE = ("outcome", "fee", "minimum", "recurring", "commitment", "manual")
MAX_LINES = 100


@dataclass(frozen=True)
class Line:
    """A row of an invoice. `group`: that of its group; `key`: its own tax key. `is_offset`: its group and a commitment
    do without it."""

    id: str
    kind: str
    group: str
    amount: Fraction | None  # None: the period is open
    key: str | None
    is_offset: bool = False


@dataclass
class Manual:
    id: str
    amount: Fraction
    key: str | None
    applied: Fraction


def half_away(amount: Fraction, digits: int) -> Fraction:
    """Round, halves away from zero."""
    size = Fraction(floor(abs(amount) * 10**digits + Fraction(1, 2)), 10**digits)
    return size if amount >= 0 else -size


def divided(amount: Fraction, over: Mapping[Class, Fraction], digits: int) -> dict[Class, Fraction]:
    """In proportion: rounded down in size, what remains to the largest remainders, ties by category and rate."""
    units, whole = abs(amount) * 10**digits, sum(over.values(), ZERO)
    exact = {one: units * weight / whole for one, weight in over.items()}
    parts = {one: floor(share) for one, share in exact.items()}
    waiting = sorted(exact, key=lambda one: (-(exact[one] - parts[one]), one or ("", ZERO)))
    for one in waiting[: int(units) - sum(parts.values())]:
        parts[one] += 1
    sign = 1 if amount >= 0 else -1
    return {one: Fraction(sign * part, 10**digits) for one, part in parts.items()}


def add(sums: dict[Class, Fraction], more: Mapping[Class, Fraction]) -> None:
    for one, amount in more.items():
        sums[one] = sums.get(one, ZERO) + amount


@dataclass
class Rates:
    """The versions of all taxes: key → from when on (ms), category and rate."""

    versions: dict[str, list[tuple[int, str, Fraction]]] = field(default_factory=dict)

    def add(self, key: str, at: int, category: str, rate: str) -> None:
        self.versions.setdefault(key, []).append((at, category, Fraction(rate)))

    def at(self, key: str | None, ms: int) -> Class:
        """What a key means at an instant; before its first version, that one."""
        if key is None:
            return None
        known = sorted(self.versions[key])
        _, category, rate = [one for one in known if one[0] <= ms][-1] if known[0][0] <= ms else known[0]
        return category, rate


class TaxedInvoice(Invoice):
    """An invoice with taxes. `end` is that of its period, `customers`: the customer's tax key as of now."""

    def __init__(
        self, account: Account, digits: int, end: int, rates: Rates, customers: Callable[[], str | None]
    ) -> None:
        super().__init__(account, {})
        self.digits, self.end = digits, end
        self.rates, self.customers = rates, customers
        self.closed = False
        self.lines: dict[str, Line] = {}
        self.manual: list[Manual] = []
        self.other_keys: dict[str, str] = {}
        self.drafted_of: dict[str, Fraction] = {}  # row → credited before issue, on this or an earlier edition
        self.noted_of: dict[str, Fraction] = {}
        self.frozen_key: str | None = None
        self.taxes: Taxes = []  # since issue
        self.note_taxes: list[Taxes] = []  # of each credit note
        self.fixed_total = ZERO

    # -- rows ----------------------------------------------------------------------------------------------------------

    def close(self, lines: Iterable[Line]) -> None:
        self.lines = {one.id: one for one in lines}
        self.closed = True
        self.reduce()

    @property
    def line_sum(self) -> Fraction:
        """The sum of all rows without credits."""
        rows = sum((one.amount or ZERO for one in self.lines.values()), ZERO)
        return rows + sum((one.applied for one in self.manual), ZERO)

    @property
    def drafted_sum(self) -> Fraction:
        return sum(self.drafted_of.values(), ZERO)

    @property
    def net(self) -> Fraction:
        return self.line_sum - self.drafted_sum

    @property
    def total(self) -> Fraction:
        return self.fixed_total if self.status != "draft" else self.net

    # -- the tax of each row -------------------------------------------------------------------------------------------

    def own_key(self, id_: str) -> str | None:
        line = self.lines.get(id_)
        return line.key if line is not None else next(one.key for one in self.manual if one.id == id_)

    @property
    def customers_key(self) -> str | None:
        return self.customers() if self.status == "draft" else self.frozen_key

    def class_of_key(self, key: str | None) -> Class:
        return self.rates.at(key if key is not None else self.customers_key, self.end - 1)

    def class_of(self, id_: str) -> Class:
        return self.class_of_key(self.other_keys.get(id_, self.own_key(id_)))

    def groups(self) -> dict[Class, Fraction]:
        """What a commitment acts on: outcomes, tier fees and minimums of all groups after their caps."""
        found: dict[Class, Fraction] = {}
        for group in sorted({one.group for one in self.lines.values() if one.group}):
            mine: dict[Class, Fraction] = {}
            rows = [one for one in self.lines.values() if one.group == group and not one.is_offset]
            for one in rows:
                if one.kind != "cap":
                    add(mine, {self.class_of(one.id): one.amount or ZERO})
            for one in rows:
                if one.kind == "cap":
                    add(mine, divided(one.amount or ZERO, mine, self.digits))
            add(found, mine)
        return found

    def commitment(self) -> Line | None:
        return next((one for one in self.lines.values() if one.kind in ("commitment", "commitment_cap")), None)

    def is_divided(self, one: Line) -> bool:
        """Whether a commitment has a part for each category and rate of what it acts on."""
        has_key = one.kind == "commitment" and self.other_keys.get(one.id, one.key) is not None
        return not has_key and any(self.groups().values())

    def parts(self, one: Line, amount: Fraction) -> dict[Class, Fraction]:
        """The parts of an amount of a row."""
        if one.kind not in ("commitment", "commitment_cap"):
            return {self.class_of(one.id): amount}
        return divided(amount, self.weights(one), self.digits)

    def weights(self, one: Line) -> dict[Class, Fraction]:
        if self.is_divided(one):
            return self.groups()
        own = one.kind == "commitment"
        return {self.class_of(one.id) if own else self.class_of_key(None): Fraction(1)}

    def before_discounts(self) -> dict[Class, Fraction]:
        """What is taxable under each category and rate after credits, without manual lines below 0."""
        found = self.groups()
        for one in self.lines.values():
            if one.is_offset or one.kind in ("recurring", "commitment", "commitment_cap"):
                add(found, self.parts(one, one.amount or ZERO))
        for id_, amount in self.drafted_of.items():
            row = self.lines.get(id_)
            parts = {self.class_of(id_): amount} if row is None else self.parts(row, amount)
            add(found, {one: -part for one, part in parts.items()})
        for manual in self.manual:
            add(found, {self.class_of(manual.id): max(manual.amount, ZERO)})
        return found

    def reduce(self) -> None:
        """Take from discounts what is too much, from the newest first."""
        if not self.closed or self.status != "draft":
            return
        left = self.before_discounts()
        for one in self.manual:
            one.applied = one.amount
            if one.amount < 0:
                add(left, {self.class_of(one.id): one.amount})
        for one in reversed(self.manual):
            if one.amount < 0 and (missing := -left[self.class_of(one.id)]) > 0:
                back = min(missing, -one.amount)
                one.applied += back
                add(left, {self.class_of(one.id): back})

    def tax_rows(self) -> Taxes:
        """The taxable amount and the tax of each category and rate, as of now or since issue."""
        if self.status != "draft":
            return self.taxes
        self.reduce()
        sums = self.before_discounts()
        for one in self.manual:
            if one.applied < 0:
                add(sums, {self.class_of(one.id): one.applied})
        return [
            (one, sums[one], half_away(sums[one] * one[1] / 100, self.digits))
            for one in sorted(key for key in sums if key is not None)
        ]

    def has_mixed_rows(self) -> bool:
        """Whether some rows have a tax and others have none. What is divided has those of what it acts on."""
        rows = [
            one
            for one in self.lines.values()
            if not (
                one.kind == "cap" or one.kind == "commitment_cap" or (one.kind == "commitment" and self.is_divided(one))
            )
        ]
        classes = [self.class_of(one.id) is not None for one in (*rows, *self.manual)]
        return len(set(classes)) > 1

    # -- operations ----------------------------------------------------------------------------------------------------

    def issue(self) -> None:
        live = [one for one in self.payments if not one["reversed"]]
        if self.status == "issued" or (self.status == "paid" and not live and not self.notes):
            return
        if self.status != "draft" or not self.closed or self.has_mixed_rows():
            raise Refused
        if min(self.before_discounts().values(), default=ZERO) < 0:
            raise Refused
        self.taxes = self.tax_rows()
        self.frozen_key = self.customers()
        self.fixed_total = self.net + sum((tax for *_, tax in self.taxes), ZERO)
        self.used = min(self.account.balance, self.fixed_total)
        self.account.balance -= self.used
        self.status = "issued"
        self._settle()

    def add_line(self, amount: Fraction, key: str | None) -> Callable[[str], None]:
        """Answer what takes the id of the new line."""
        if self.status != "draft" or len(self.manual) >= MAX_LINES:
            raise Refused
        if self.closed and amount < 0:
            self.reduce()
            one = self.class_of_key(key)
            used = [line.applied for line in self.manual if line.applied < 0 and self.class_of(line.id) == one]
            if self.before_discounts().get(one, ZERO) + sum(used, ZERO) + amount < 0:
                raise Refused

        def added(id_: str) -> None:
            self.manual.append(Manual(id_, amount, key, amount))
            self.reduce()

        return added

    def remove_line(self, id_: str) -> None:
        if self.status != "draft" or self.drafted_of.get(id_):
            raise Refused
        self.manual = [one for one in self.manual if one.id != id_]
        self.other_keys.pop(id_, None)
        self.reduce()

    def change_tax(self, id_: str, key: str | None) -> None:
        line = self.lines.get(id_)
        if self.status != "draft" or not self.closed or (line is not None and line.kind in ("cap", "commitment_cap")):
            raise Refused
        self.other_keys.pop(id_, None)
        if key is not None and key != self.own_key(id_):
            self.other_keys[id_] = key
        self.reduce()

    # -- credits -------------------------------------------------------------------------------------------------------

    def credited(self, id_: str) -> Fraction:
        return self.drafted_of.get(id_, ZERO) + self.noted_of.get(id_, ZERO)

    def credit(self, items: dict[str, Fraction | None]) -> None:
        before = dict(self.drafted_of), dict(self.noted_of)
        try:
            for id_, wanted in items.items():
                of = self.drafted_of if self.status == "draft" else self.noted_of
                of[id_] = of.get(id_, ZERO) + self._creditable(id_, wanted)
        except Refused:
            self.drafted_of, self.noted_of = before
            raise
        if self.status == "draft":
            self.reduce()
            return
        self._write_note(before[1])

    def reverse_outcomes(self, ids: Iterable[str]) -> list[tuple[str, Fraction]]:
        """Credit what remains of rows, in their order: the rows on a draft, or one note, and what was credited."""
        before, found = dict(self.noted_of), list[tuple[str, Fraction]]()
        for id_ in ids:
            try:
                amount = self._creditable(id_, None)
            except Refused:
                continue
            of = self.drafted_of if self.status == "draft" else self.noted_of
            of[id_] = of.get(id_, ZERO) + amount
            found.append((id_, amount))
        if self.status != "draft" and found:
            self._write_note(before)
        self.reduce()
        return found

    def _write_note(self, before: Mapping[str, Fraction]) -> None:
        net = sum(self.noted_of.values(), ZERO) - sum(before.values(), ZERO)
        taxes = self._note_taxes(before)
        total = net + sum((tax for *_, tax in taxes), ZERO)
        assert self.due is not None
        applied = min(total, self.due)
        self.notes.append((total, applied))
        self.note_taxes.append(taxes)
        self.account.balance += total - applied
        self._settle()

    def _creditable(self, id_: str, wanted: Fraction | None) -> Fraction:
        """How much of a row is credited."""
        self.reduce()
        line, manual = self.lines.get(id_), next((one for one in self.manual if one.id == id_), None)
        amount = line.amount if line is not None else manual.applied if manual is not None else None
        kind = "manual" if line is None else line.kind
        if self.status == "void" or amount is None or amount < 0 or kind not in CREDITABLE:
            raise Refused
        left = amount - self.credited(id_)
        most = left if wanted is None else wanted
        if left <= 0 or most > left:
            raise Refused
        if self.status != "draft":
            remains = self.net - sum(self.noted_of.values(), ZERO)
        elif not self.closed:
            remains = left
        else:
            remains = self._left_before_discounts(id_, line, most)
        if remains <= 0 or (wanted is not None and wanted > remains):
            raise Refused
        return min(most, remains)

    def _left_before_discounts(self, id_: str, line: Line | None, wanted: Fraction) -> Fraction:
        net = self.before_discounts()
        if line is None or line.kind != "commitment":
            return net.get(self.class_of(id_), ZERO)
        so_far = self.drafted_of.get(id_, ZERO)
        given = self.parts(line, so_far)
        after = self.parts(line, so_far + wanted)
        if all(part - given[one] <= max(net[one], ZERO) for one, part in after.items()):
            return wanted
        weights = self.weights(line)
        room = {one: max(net[one], ZERO) + given[one] for one in weights}
        shares = [room[one] * sum(weights.values(), ZERO) / weight for one, weight in weights.items() if weight]
        return Fraction(floor(min(shares) * 10**self.digits), 10**self.digits) - so_far

    def _noted(self, noted: Mapping[str, Fraction]) -> dict[Class, Fraction]:
        """What credit notes gave back under each category and rate, net."""
        found: dict[Class, Fraction] = {}
        for id_, amount in noted.items():
            row, drafted = self.lines.get(id_), self.drafted_of.get(id_, ZERO)
            if row is None:
                add(found, {self.class_of(id_): amount})
                continue
            add(found, self.parts(row, drafted + amount))
            add(found, {one: -part for one, part in self.parts(row, drafted).items()})
        return found

    def _note_taxes(self, before: Mapping[str, Fraction]) -> Taxes:
        """The taxes of a note: the rounded tax on all net credited so far, at most what was charged, minus before."""
        old, new = self._noted(before), self._noted(self.noted_of)
        charged = {one: tax for one, _, tax in self.taxes}

        def tax(net: Fraction, one: Class) -> Fraction:
            assert one is not None
            return min(half_away(net * one[1] / 100, self.digits), charged[one])

        found = []
        for one in sorted(key for key in new if key is not None):
            taxable = new[one] - old.get(one, ZERO)
            back = tax(new[one], one) - tax(old.get(one, ZERO), one)
            if taxable or back:
                found.append((one, taxable, back))
        return found

    # -- cancelling ----------------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        if self.status == "void":
            return
        super().cancel()
        if self.taxes:
            self.notes.append((self.total, self.total))
            self.note_taxes.append(self.taxes)

    def next_edition(self) -> "TaxedInvoice":
        draft = TaxedInvoice(self.account, self.digits, self.end, self.rates, self.customers)
        draft.edition = self.edition + 1
        draft.lines, draft.closed = self.lines, True
        draft.manual = [Manual(one.id, one.amount, one.key, one.applied) for one in self.manual]
        draft.other_keys, draft.drafted_of = dict(self.other_keys), dict(self.drafted_of)
        return draft
