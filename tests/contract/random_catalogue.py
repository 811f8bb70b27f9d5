"""Random catalogues that change at any instant, outcomes under them, and the rows that the rules lead to.

The rows are reckoned by `groups` and `charges`, in fractions. Nothing here is shared with witnd but the form of
instants.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any, NamedTuple

from tests.contract.charges import Terms
from tests.contract.charges import bill as bill_charges
from tests.contract.groups import Entry, Row, bill
from tests.contract.ledger import ms
from witnd.domain.values import instant

CURRENCIES = {"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4}
AUGUST = ms("2001-08-01T00:00:00+00:00")
START = ms("2001-09-01T00:00:00+00:00")
OCTOBER = ms("2001-10-01T00:00:00+00:00")
END = ms("2001-11-01T00:00:00+00:00")
DAY = 86_400_000
# In seconds. Outcomes of some agents open long before they settle.
AGENTS = {"at-once": 1, "next-day": 86_400, "patient": 10 * 86_400}
# The keys of taxes; `late` exists only after all periods.
TAXES = ("full", "reduced", "zero", "reverse", "exempt")
LATE = "late"
UNITS = ["0", "0.001", "0.5", "1", "1.5", "3", "24.999", "-2"]


def amount(dice: random.Random) -> str:
    return dice.choice(["0", "0.005", "0.333333333333", "1", "2.5", "7.0049", "19.995"])


def tax_of(dice: random.Random) -> tuple[str, str]:
    """Category and rate."""
    if dice.random() < 0.7:
        return "S", dice.choice(["19", "19", "7", "16", "5.5", "0.0001", "33.3333", "100"])
    return dice.choice(["Z", "E", "AE", "K", "G", "O"]), "0"


def taxed(dice: random.Random, taxes: Iterable[str]) -> dict[str, str]:
    """A tax key, or none."""
    keys = sorted(taxes)
    return {"tax": dice.choice(keys)} if keys and dice.random() < 0.6 else {}


def fields_of(dice: random.Random, taxes: Iterable[str] = ()) -> dict[str, Any]:
    """An entry without its agent."""
    kind = dice.choice(["flat", "flat", "graduated", "graduated", "volume", "package", "package", "percentage"])
    fields: dict[str, Any] = {"kind": kind}
    if kind == "flat":
        fields["price_per_unit"] = amount(dice)
    elif kind == "package":
        fields |= {"package_size": dice.choice(["0.7", "1", "10"]), "price_per_package": amount(dice)}
    elif kind == "percentage":
        fields["percent"] = dice.choice(["2.5", "0", "33.333333333333", "150"])
        fields |= bounds_of(dice, "minimum", "maximum")
    else:
        borders = sorted(dice.sample(["1", "3.5", "10", "25"], dice.randint(0, 3)), key=float)
        fields["tiers"] = [
            {"price_per_unit": amount(dice)}
            | ({} if border is None else {"up_to": border})
            | ({"flat_fee": amount(dice)} if dice.random() < 0.4 else {})
            for border in [*borders, None]
        ]
    if dice.random() < 0.4:
        fields["free_quota"] = dice.choice(["0", "0.25", "1", "5", "40"])
    return fields | bounds_of(dice, "period_minimum", "period_cap") | taxed(dice, taxes)


def bounds_of(dice: random.Random, least: str, most: str) -> dict[str, str]:
    low, high = sorted((amount(dice), amount(dice)), key=float)
    return ({least: low} if dice.random() < 0.3 else {}) | ({most: high} if dice.random() < 0.3 else {})


def charges_of(dice: random.Random, digits: int, taxes: Iterable[str] = ()) -> dict[str, Any]:
    """Recurring fees and a commitment of a card or customer."""
    found: dict[str, Any] = {}
    keys = [key for key in ("base", "seats", "support") if dice.random() < 0.25]
    if keys:
        found["fees"] = [
            {"key": key, "amount": money(dice, digits)} | options(dice) | taxed(dice, taxes) for key in keys
        ]
    # With taxes, the interesting ones are those over several of them.
    if dice.random() < (0.8 if taxes else 0.3):
        low, high = sorted((money(dice, digits), money(dice, digits)), key=float)
        if taxes:
            low, high = sorted(dice.choices(["3", "11", "40", "250", "1000"], k=2), key=float)
        both = {"period_minimum": low, "period_cap": high}
        chosen = dice.choice([{"period_minimum": low}, {"period_cap": high}, both])
        if float(low) or "period_cap" in chosen:
            found["commitment"] = chosen | options(dice) | (taxed(dice, taxes) if dice.random() < 0.3 else {})
            if taxes and dice.random() < 0.7:
                found["commitment"]["starts"] = "2001-08-16"
    return found


def money(dice: random.Random, digits: int) -> str:
    return dice.choice(["0", "1", "7", "40", "100"] + ["0.1", "33.3"] * (digits > 0) + ["19.99"] * (digits > 1))


def options(dice: random.Random) -> dict[str, Any]:
    days = ["2001-08-16", "2001-09-01", "2001-09-01", "2001-09-30", "2001-10-01", "2001-10-20", "2001-12-01"]
    starts = None if dice.random() < 0.1 else dice.choice(days)
    return ({} if starts is None else {"starts": starts}) | ({"prorate": True} if dice.random() < 0.5 else {})


class State(NamedTuple):
    """The catalogue from an instant on: the entries of each card and of each customer by agent, and cards."""

    at: int
    currencies: dict[str, str]
    cards: dict[str, dict[str, dict[str, Any]]]
    own: dict[str, dict[str, dict[str, Any]]]
    card_of: dict[str, str]
    charges: dict[str, dict[str, Any]]  # of cards and of customers
    archived: frozenset[str] = frozenset()
    taxes: dict[str, tuple[str, str]] = {}  # category and rate by key
    tax_of: dict[str, str | None] = {}  # the key of each customer

    def terms(self, customer: str) -> Terms | None:
        """What the customer pays in every period now."""
        if customer in self.archived:
            return None
        card = self.card_of[customer]
        of_card, own = self.charges[card], self.charges[customer]
        fees = {fee["key"]: fee for fee in [*of_card.get("fees", ()), *own.get("fees", ())]}
        agreed = own.get("commitment") or of_card.get("commitment")
        return Terms(card, self.currencies[card], CURRENCIES[self.currencies[card]], fees, agreed)

    def entry(self, customer: str, agent: str) -> tuple[str, Entry] | None:
        """The currency and the entry of an outcome that opens now."""
        card = self.card_of[customer]
        fields = self.own[customer].get(agent) or self.cards[card].get(agent)
        currency = self.currencies[card]
        return None if fields is None else (currency, Entry(card, CURRENCIES[currency], fields))

    @property
    def toml(self) -> str:
        parts = [
            f'[[agents]]\nkey = "{key}"\nsettlement_period = {seconds}\nattribution_method = "sum"\n'
            'condition = [{ fact = "done", operator = "seen" }]\n'
            for key, seconds in AGENTS.items()
        ]
        for key, (category, rate) in self.taxes.items():
            parts.append(f'[[taxes]]\nkey = "{key}"\ncategory = "{category}"\nrate = "{rate}"\n')
        for key, entries in self.cards.items():
            parts.append(f'[[rate_cards]]\nkey = "{key}"\ncurrency = "{self.currencies[key]}"\n{entries_text(entries)}')
            parts.append(charges_text(self.charges[key]))
        for key, entries in self.own.items():
            own = entries_text(entries) if entries else ""
            archived = "archived = true\n" if key in self.archived else ""
            tax = self.tax_of.get(key)
            billing = "" if tax is None else f'billing = {{ tax = "{tax}" }}\n'
            parts.append(f'[[customers]]\nkey = "{key}"\nrate_card = "{self.card_of[key]}"\n{archived}{billing}{own}')
            parts.append(charges_text(self.charges[key]))
        return "\n".join(parts)


def charges_text(charges: dict[str, Any]) -> str:
    return "".join(f"{name} = {text(value) if name == 'fees' else table(value)}\n" for name, value in charges.items())


def entries_text(entries: dict[str, dict[str, Any]]) -> str:
    return f"entries = [{', '.join(table({'agent': agent} | fields) for agent, fields in entries.items())}]\n"


def table(fields: dict[str, Any]) -> str:
    return "{ " + ", ".join(f"{name} = {text(value)}" for name, value in fields.items()) + " }"


def text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else "[" + ", ".join(map(table, value)) + "]"


class Outcome(NamedTuple):
    resolved_at: int
    key: str
    customer: str
    agent: str
    unit: Fraction
    opened_at: int


def states(dice: random.Random, customers: list[str], instants: list[int], *, taxes: Sequence[str] = ()) -> list[State]:
    """Versions of everything. After the last opening even entries disappear."""
    keys = [f"card-{number}" for number in range(8)]
    currencies = {key: dice.choice(["EUR", "EUR", *CURRENCIES]) for key in keys}
    first = State(
        0,
        currencies,
        {key: {agent: fields_of(dice, taxes) for agent in AGENTS} for key in keys},
        {key: {agent: fields_of(dice, taxes) for agent in AGENTS if dice.random() < 0.2} for key in customers},
        {key: dice.choice(keys) for key in customers},
        {key: charges_of(dice, CURRENCIES[currencies[key]], taxes) for key in keys},
        taxes={key: tax_of(dice) for key in taxes},
        tax_of={key: customers_tax(dice, taxes) for key in customers},
    )
    first.charges.update({key: charges_of(dice, 0, taxes) if dice.random() < 0.3 else {} for key in customers})
    found = [first]
    for at in instants:
        last = found[-1]
        cards = {key: dict(entries) for key, entries in last.cards.items()}
        own, card_of = {key: dict(entries) for key, entries in last.own.items()}, dict(last.card_of)
        for entries in cards.values():
            for agent in AGENTS:
                if dice.random() < 0.4:
                    entries[agent] = change(dice, entries.get(agent), taxes)
        charges = {key: dict(one) for key, one in last.charges.items()}
        for key in keys:
            if dice.random() < 0.3:
                charges[key] = charges_of(dice, CURRENCIES[currencies[key]], taxes)
        for key in customers:
            if dice.random() < 0.1:
                charges[key] = charges_of(dice, 0, taxes) if dice.random() < 0.6 else {}
            if dice.random() < 0.3:
                # Own prices are in the currency of the card, so they cannot follow to another one.
                kept = own[key] or charges[key]
                others = [one for one in keys if not kept or currencies[one] == currencies[card_of[key]]]
                card_of[key] = dice.choice(others)
            if own[key] and dice.random() < 0.3:
                own[key].pop(dice.choice(sorted(own[key])))
        archived = frozenset(key for key in customers if dice.random() < (0.5 if key in last.archived else 0.05))
        rates = {key: tax_of(dice) if dice.random() < 0.3 else one for key, one in last.taxes.items()}
        of_customers = {
            key: customers_tax(dice, taxes) if dice.random() < 0.3 else one for key, one in last.tax_of.items()
        }
        found.append(State(at, currencies, cards, own, card_of, charges, archived, rates, of_customers))
    gone = {
        key: {agent: it for agent, it in one.items() if dice.random() < 0.7} for key, one in found[-1].cards.items()
    }
    last = found[-1]._replace(at=END - DAY, cards=gone)
    # A tax without a version in a period has its first one there.
    late = {LATE: tax_of(dice)} if taxes else {}
    of_customers = {key: LATE if late and dice.random() < 0.2 else one for key, one in last.tax_of.items()}
    no_charges = {key: {} for key in last.charges}
    return [*found, last, last._replace(at=END, charges=no_charges, taxes=last.taxes | late, tax_of=of_customers)]


def customers_tax(dice: random.Random, taxes: Sequence[str]) -> str | None:
    return dice.choice(taxes) if taxes and dice.random() < 0.8 else None


def change(dice: random.Random, before: dict[str, Any] | None, taxes: Iterable[str]) -> dict[str, Any]:
    """Another entry, or the same with other prices, so that packages and tiers continue."""
    if before is None or dice.random() < 0.4:
        return fields_of(dice, taxes)
    fields = dict(before)
    for name in ("price_per_unit", "price_per_package", "percent"):
        if name in fields and dice.random() < 0.4:
            fields[name] = amount(dice)
    for name in ("free_quota", "period_minimum", "tax"):
        if dice.random() < 0.3:
            fields.pop(name, None)
    return fields


def outcomes(
    dice: random.Random,
    customers: list[str],
    instants: list[int],
    *,
    most: int = 16,
    units: Sequence[str] = UNITS,
    named: Callable[[str], str] = str,
) -> list[Outcome]:
    """At most so many of each customer and agent."""
    found = []
    # Also at the very milliseconds of the borders.
    at_borders = [at + more for at in [*instants, OCTOBER] for more in (-1, 0)]
    for customer in customers:
        for agent, seconds in AGENTS.items():
            for number in range(dice.randint(0, most)):
                opened = dice.choice([dice.randrange(START, END - 12 * DAY), dice.choice(at_borders)])
                if dice.random() < 0.1:
                    opened = OCTOBER - seconds * 1000 - dice.randint(0, 1)
                resolved = opened + seconds * 1000
                if opened >= START and resolved < END - DAY:
                    unit = Fraction(dice.choice(units))
                    key = named(f"outcome-{customer}-{agent}-{dice.randrange(1000)}-{number}")
                    found.append(Outcome(resolved, key, customer, agent, unit, opened))
    return sorted(found, key=lambda one: (one.resolved_at, one.key.encode()))


def invoices(
    versions: list[State], done: list[Outcome], gone: Collection[str] = ()
) -> dict[tuple[str, str, str], list[tuple[str, Row]]]:
    """The rows of all invoices by customer, currency and start. `gone`: the outcomes that were reversed within their
    periods."""

    def state(at: int) -> State:
        return [one for one in versions if one.at <= at][-1]

    lines: dict[tuple[str, str, int], list[tuple[Outcome, Entry]]] = defaultdict(list)
    for one in done:
        opened = state(one.opened_at).entry(one.customer, one.agent)
        assert opened is not None
        start = START if one.resolved_at < OCTOBER else OCTOBER
        lines[one.customer, opened[0], start].append((one, opened[1]))
    found = {}
    ends = {AUGUST: START, START: OCTOBER, OCTOBER: END}
    every = [(customer, currency, start) for customer in versions[0].own for currency in CURRENCIES for start in ends]
    for customer, currency, start in every:
        its, end = lines.get((customer, currency, start), []), ends[start]
        groups: dict[str, list[Row]] = {}
        for agent, members in groupby(sorted(its, key=lambda one: one[0].agent), key=lambda one: one[0].agent):
            group = list(members)
            last = state(end - 1).entry(customer, agent)
            at_end = last[1] if last is not None and last[0] == currency else None
            without = [place for place, (one, _) in enumerate(group) if one.key in gone]
            groups[agent] = bill([(entry, max(one.unit, Fraction(0))) for one, entry in group], at_end, without)
        waiting = {agent: iter([row for row in rows if row.kind == "outcome"]) for agent, rows in groups.items()}
        rows_found = [(one.agent, next(waiting[one.agent])) for one, _ in its] + [
            (agent, row) for agent, rows in sorted(groups.items()) for row in rows if row.kind != "outcome"
        ]
        spent = sum([row.amount for rows in groups.values() for row in rows if not row.is_offset], Fraction(0))
        afters = [*[one.at for one in versions[1:]], END + 1]
        spans = zip(versions, afters, strict=True)
        history = [one.terms(customer) for one, after in spans if one.at < end and after > start]
        is_due, charges = bill_charges(
            lambda ms, customer=customer: state(ms).terms(customer), history, start, end, currency, spent
        )
        if its or is_due:
            found[customer, currency, instant.render(start)] = [*rows_found, *[("", row) for row in charges]]
    return found
