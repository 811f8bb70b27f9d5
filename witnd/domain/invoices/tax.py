"""The tax of an invoice: what is taxable under each category and rate, and the tax on it.

Tax is computed once per category and rate, on the net sum after credits, as EN 16931 requires (BR-CO-17).
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.invoices.sums import GroupSums, Sums, TaxOverride, is_split, overridden
from witnd.domain.values.money import difference, exact_sum, plus, product, to_minor

_ZERO: Final = Decimal(0)
_ONE: Final = Decimal(1)
_PERCENT: Final = Decimal("0.01")


class TaxClass(NamedTuple):
    """A category of EN 16931 with a rate in percent. Tax is computed once for each."""

    category: str
    rate: Decimal


class TaxTerms(Struct, frozen=True, kw_only=True):
    """What a tax key means for an invoice. `note` is printed."""

    name: str
    category: str
    rate: Decimal
    note: str | None = None

    @property
    def tax_class(self) -> TaxClass:
        return TaxClass(self.category, self.rate)


class TaxTable(Struct, frozen=True):
    """The terms of all tax keys of an invoice, and the customer's key."""

    default: str | None = None
    terms: dict[str, TaxTerms] = {}

    def of(self, key: str) -> TaxTerms | None:
        """Return the terms of a row's key; empty: the customer's. None if the row has no tax."""
        return self.terms.get(key or self.default or "")

    def class_of(self, key: str) -> TaxClass | None:
        terms = self.of(key)
        return None if terms is None else terms.tax_class


class TaxRow(Struct, frozen=True, kw_only=True):
    """The tax of one category and rate."""

    category: str
    rate: Decimal
    taxable: Decimal
    tax: Decimal
    name: str = ""
    note: str | None = None

    @property
    def tax_class(self) -> TaxClass:
        return TaxClass(self.category, self.rate)


class ManualLine(Struct, frozen=True, kw_only=True):
    """A line that a person added. `amount` is quantity × unit price, rounded; `applied` is what remains of a discount
    that would make a taxable amount negative. `tax`: its own tax key, or empty. `added_at` in ms."""

    id: str
    description: str
    quantity: Decimal
    unit_price: Decimal
    tax: str
    amount: Decimal
    applied: Decimal
    added_at: int


class Part(NamedTuple):
    """Rows of one kind with one tax key. `what` describes them for people."""

    what: str
    key: str
    rows: int


class Taxed(Struct, frozen=True, kw_only=True):
    """What the tax of an invoice is computed from. `credited`: the sums of credit rows by tax key."""

    sums: Sums
    overrides: Sequence[TaxOverride]
    manual: Sequence[ManualLine]
    credited: Mapping[str, Decimal]
    commitment_credited: Decimal
    digits: int


def key_of(row: str, own: str, overrides: Iterable[TaxOverride]) -> str:
    """Return the tax key of a row: that of its override, else its own."""
    return next((one.tax for one in overrides if one.row == row), own)


def parts_of(taxed: Taxed) -> list[Part]:
    """Return all rows by what they are and their tax key, without caps and without a commitment that is split."""
    sums = overridden(taxed.sums, taxed.overrides)
    found = [
        Part(f"outcomes of {group.agent}", key, one.rows) for group in sums.groups for key, one in group.sums.items()
    ]
    found += [Part("reversed outcomes", key, one.rows) for key, one in sums.reversed.items()]
    found += [Part("recurring fees", key, one.rows) for key, one in sums.fees.items()]
    if sums.commitment > 0 and (sums.commitment_tax or not is_split(sums)):
        found.append(Part("the commitment", sums.commitment_tax, 1))
    found += [
        Part(f"the line {line.description!r}", key_of(line.id, line.tax, taxed.overrides), 1) for line in taxed.manual
    ]
    return found


def untaxed(taxed: Taxed, table: TaxTable) -> list[Part]:
    """Return the rows without a tax, if others have one: such an invoice cannot be issued."""
    parts = parts_of(taxed)
    without = [part for part in parts if table.of(part.key) is None]
    return without if len(without) < len(parts) else []


def available(taxed: Taxed, table: TaxTable) -> dict[TaxClass | None, Decimal]:
    """Return the net sum of each category and rate after credits, without the manual lines below 0."""
    sums = overridden(taxed.sums, taxed.overrides)
    found: dict[TaxClass | None, Decimal] = {}
    for group in sums.groups:
        _add_all(found, _group_classes(group, table, taxed.digits))
    parts = commitment_parts(sums, sums.commitment, table, taxed.digits)
    credited = commitment_parts(sums, taxed.commitment_credited, table, taxed.digits)
    for key, one in (*sums.fees.items(), *sums.reversed.items()):
        _add(found, table.class_of(key), one.amount)
    _add_all(found, parts)
    for class_, amount in credited.items():
        _add(found, class_, amount.copy_negate())
    for line in taxed.manual:
        class_ = table.class_of(key_of(line.id, line.tax, taxed.overrides))
        _add(found, class_, max(line.amount, _ZERO))
    for key, amount in taxed.credited.items():
        _add(found, table.class_of(key), amount.copy_negate())
    return found


def commitment_parts(sums: Sums, amount: Decimal, table: TaxTable, digits: int) -> dict[TaxClass | None, Decimal]:
    """Return the parts of a commitment's amount, or of a credit of it, under each category and rate.

    A commitment with its own tax key has one part. Otherwise, and for a cap, it is in proportion to the sums it acts
    on; over a sum of 0 it has the customer's tax.
    """
    return in_proportion(amount, _commitment_weights(sums, table, digits), digits) if amount else {}


def _commitment_weights(sums: Sums, table: TaxTable, digits: int) -> dict[TaxClass | None, Decimal]:
    """Return the sums of the categories and rates over which a commitment is divided."""
    if sums.commitment > 0 and sums.commitment_tax:
        return {table.class_of(sums.commitment_tax): _ONE}
    over: dict[TaxClass | None, Decimal] = {}
    for group in sums.groups:
        _add_all(over, _group_classes(group, table, digits))
    return over if any(over.values()) else {table.class_of(""): _ONE}


def largest_commitment_credit(taxed: Taxed, table: TaxTable, wanted: Decimal) -> Decimal:
    """Return how much of a commitment can be credited, at most `wanted`: no taxable amount may fall below 0."""
    sums, net = overridden(taxed.sums, taxed.overrides), available(taxed, table)
    credited = taxed.commitment_credited
    before = commitment_parts(sums, credited, table, taxed.digits)
    # What all credits of it may come to under each category and rate.
    room = {class_: plus(before.get(class_, _ZERO), max(left, _ZERO)) for class_, left in net.items()}
    parts = commitment_parts(sums, plus(credited, wanted), table, taxed.digits)
    if all(room[class_] >= part for class_, part in parts.items()):
        return wanted
    # A part is less than a minor unit above its share, so it fits if its share does.
    weights = {
        class_: _units(weight, taxed.digits)
        for class_, weight in _commitment_weights(sums, table, taxed.digits).items()
    }
    whole = sum(weights.values())
    shares = [_units(room[class_], taxed.digits) * whole // weight for class_, weight in weights.items() if weight]
    most = product(Decimal(min(shares)), Decimal((0, (1,), -taxed.digits)))
    return max(difference(most, credited), _ZERO)


def _group_classes(group: GroupSums, table: TaxTable, digits: int) -> dict[TaxClass | None, Decimal]:
    """Return the sum of a group under each category and rate, after its cap."""
    found = _uncapped_classes(group, table)
    if group.cap:
        _add_all(found, cap_parts(group, table, digits))
    return found


def cap_parts(group: GroupSums, table: TaxTable, digits: int) -> dict[TaxClass | None, Decimal]:
    """Return the parts of a group's cap under each category and rate, in proportion to what it acts on."""
    return in_proportion(group.cap, _uncapped_classes(group, table), digits)


def _uncapped_classes(group: GroupSums, table: TaxTable) -> dict[TaxClass | None, Decimal]:
    found: dict[TaxClass | None, Decimal] = {}
    for key, one in group.sums.items():
        _add(found, table.class_of(key), one.amount)
    return found


def in_proportion(
    amount: Decimal, sums: Mapping[TaxClass | None, Decimal], digits: int
) -> dict[TaxClass | None, Decimal]:
    """Divide an amount in proportion to sums: each part is rounded down in size, and the remaining minor units go to
    the largest remainders, ties by category and rate. Not all sums may be 0."""
    unit = Decimal((amount < 0, (1,), -digits))
    total = _units(amount.copy_abs(), digits)
    weights = {class_: _units(one, digits) for class_, one in sums.items()}
    divisor = sum(weights.values())
    shares = {class_: divmod(total * weight, divisor) for class_, weight in weights.items()}
    left = total - sum(share for share, _ in shares.values())
    largest = sorted(shares, key=lambda class_: (-shares[class_][1], class_ or ("", _ZERO)))
    more = set(largest[:left])
    return {class_: product(Decimal(share + (class_ in more)), unit) for class_, (share, _) in shares.items()}


def _units(amount: Decimal, digits: int) -> int:
    """Return an amount in minor units."""
    return int(product(amount, Decimal((0, (1,), digits))))


def reduced(taxed: Taxed, table: TaxTable) -> tuple[ManualLine, ...]:
    """Return the manual lines with their applied amounts: discounts are reduced, the newest first, so that no taxable
    amount is below 0."""
    room = {class_: max(amount, _ZERO) for class_, amount in available(taxed, table).items()}
    found = []
    for line in taxed.manual:
        applied = line.amount
        if applied < 0:
            class_ = table.class_of(key_of(line.id, line.tax, taxed.overrides))
            left = room.get(class_, _ZERO)
            applied = max(applied, left.copy_negate()) if left else _ZERO
            room[class_] = plus(left, applied)
        found.append(replace(line, applied=applied))
    return tuple(found)


def tax_rows(taxed: Taxed, table: TaxTable) -> tuple[TaxRow, ...]:
    """Return the tax of each category and rate, sorted; none if no row has a tax. The manual lines must be reduced."""
    net = available(taxed, table)
    for line in taxed.manual:
        if line.applied < 0:
            _add(net, table.class_of(key_of(line.id, line.tax, taxed.overrides)), line.applied)
    terms = _terms_by_class(taxed, table)
    rows = []
    for class_ in sorted(one for one in net if one is not None):
        taxable = net[class_]
        first, *others = terms[class_]
        notes = dict.fromkeys(one.note for one in (first, *others) if one.note)
        rows.append(
            TaxRow(
                category=class_.category,
                rate=class_.rate,
                taxable=taxable,
                tax=tax_on(taxable, class_.rate, taxed.digits),
                name=first.name,
                note=" ".join(notes) or None,
            )
        )
    return tuple(rows)


def _terms_by_class(taxed: Taxed, table: TaxTable) -> dict[TaxClass, list[TaxTerms]]:
    """Return the terms in use of each category and rate, in order of their keys."""
    keys = {part.key or table.default or "" for part in parts_of(taxed)} | {table.default or ""}
    found: dict[TaxClass, list[TaxTerms]] = {}
    for key in sorted(keys):
        if (terms := table.terms.get(key)) is not None:
            found.setdefault(terms.tax_class, []).append(terms)
    return found


def tax_on(taxable: Decimal, rate: Decimal, digits: int) -> Decimal:
    """Return the tax on an amount, halves rounded away from zero."""
    return to_minor(product(product(taxable, rate), _PERCENT), digits)


def tax_sum(rows: Iterable[TaxRow]) -> Decimal:
    return exact_sum(row.tax for row in rows)


def _add(sums: dict[TaxClass | None, Decimal], class_: TaxClass | None, amount: Decimal) -> None:
    sums[class_] = plus(sums.get(class_, _ZERO), amount)


def _add_all(sums: dict[TaxClass | None, Decimal], parts: Mapping[TaxClass | None, Decimal]) -> None:
    for class_, amount in parts.items():
        _add(sums, class_, amount)
