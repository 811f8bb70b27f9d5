"""Random reversals at every stage, against a reckoning of its own that shares no code: `groups`, `charges`, `taxes`."""

import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from fractions import Fraction
from typing import Any, NamedTuple
from zlib import crc32

import pytest

from tests.contract.books import Account, Refused
from tests.contract.ledger import Ledger, ms
from tests.contract.random_catalogue import (
    AGENTS,
    CURRENCIES,
    DAY,
    END,
    OCTOBER,
    START,
    TAXES,
    Outcome,
    State,
    amount,
    invoices,
    outcomes,
    states,
)
from tests.contract.taxes import Line, Rates, TaxedInvoice, Taxes
from tests.support.processes import until
from witnd.domain.values import instant

GRACE = DAY
WINDOW = 40 * DAY
REVERSAL = f'reversal = {{ window = {WINDOW // 1000}, on = ["reopened"] }}\n'
# Persons act at this instant of the log: after September was issued.
PAUSE = OCTOBER + 4 * DAY
LAST = ms("2002-03-01T00:00:00+00:00")
MONTHS = [ms(f"{year}-{month:02}-01T00:00:00+00:00") for year in (2001, 2002) for month in range(1, 13)]
Whose = tuple[str, str, str]  # customer, currency, start


def not_in_last_partition(key: str) -> str:
    """The key with as many letters as bring it to another one of three."""
    return key if crc32(key.encode()) % 3 != 2 else not_in_last_partition(f"{key}x")


def flat(dice: random.Random, state: State) -> State:
    """The same with flat prices alone; every row has a tax if there are any."""
    taxes = sorted(state.taxes)

    def entry() -> dict[str, Any]:
        fields = {"kind": "flat", "price_per_unit": amount(dice)}
        return fields | ({"tax": dice.choice(taxes)} if taxes and dice.random() < 0.6 else {})

    return state._replace(
        cards={key: {agent: entry() for agent in AGENTS} for key in state.cards},
        own={key: {} for key in state.own},
        charges={key: {} for key in state.charges},
        tax_of={key: dice.choice(taxes) if taxes else None for key in state.own},
    )


class Reversed(NamedTuple):
    """An event that reverses an outcome."""

    at: int
    key: str
    customer: str
    agent: str


class Document:
    """An invoice in the reckoning: its newest edition, and the reversals that nothing has credited yet."""

    def __init__(self, mine: TaxedInvoice, start: int, reversals: list[Reversed]) -> None:
        self.mine = mine
        self.start = start
        self.through: int | None = None
        self.pending = sorted(reversals, key=lambda one: (one.at, one.key.encode()))
        self.rows: list[tuple[str, Fraction]] = []  # credit rows: outcome key and amount
        self.notes: list[list[tuple[str, Fraction]]] = []  # those for reversals

    def take(self, before: int) -> list[str]:
        found = [one.key for one in self.pending if one.at < before]
        self.pending = [one for one in self.pending if one.at >= before]
        return found

    def credit(self, before: int) -> None:
        """Credit rows of the draft."""
        self.rows += self.mine.reverse_outcomes(self.take(before))

    def issue(self, through: int) -> None:
        """Issue it, and credit on it what was reversed before an instant."""
        if self.mine.status == "draft":
            self.credit(through)
            self.mine.issue()
            self.through = through
        else:
            self.mine.issue()

    def note(self, end: int) -> None:
        """The note for a period that ends now."""
        keys = self.take(end)
        if keys and self.mine.status in ("issued", "paid") and (found := self.mine.reverse_outcomes(keys)):
            self.notes.append(found)


class World:
    """A deployment beside the reckoning. `automatic`: the schedule issues invoices."""

    def __init__(
        self, ledger: Ledger, seed: int, taxes: Iterable[str], *, automatic: bool, is_flat: bool = False
    ) -> None:
        self.ledger, self.dice, self.automatic = ledger, random.Random(seed), automatic
        ledger.set(issue="auto" if automatic else "manual", grace="24h", zero_invoices="true")
        dice = self.dice
        self.customers = [f"c-{number:02}" for number in range(12)]
        instants = sorted({*[dice.randrange(START, END - 12 * DAY) for _ in range(3)], OCTOBER - 1, OCTOBER})
        self.versions = states(dice, self.customers, instants, taxes=tuple(taxes))
        self.is_flat = is_flat
        if is_flat:
            self.versions = [flat(dice, one) for one in self.versions]
        for one in self.versions:
            toml = one.toml.replace("settlement_period", f"{REVERSAL}settlement_period")
            ledger.apply_at(toml, instant.render(one.at))
        self.outcomes = outcomes(dice, self.customers, instants, most=8, named=not_in_last_partition)
        self.reversals = [found for one in self.outcomes if (found := self._reversal(one)) is not None]
        self.waiting = sorted(
            [(one.opened_at, 0, one) for one in self.outcomes] + [(one.at, 1, one) for one in self.reversals],
            key=lambda one: one[:2],
        )
        self.documents = self._documents()

    def _reversal(self, one: Outcome) -> Reversed | None:
        dice, end = self.dice, OCTOBER if one.resolved_at < OCTOBER else END
        if dice.random() < 0.3 and not self.is_flat:
            return None
        borders = [end, end + GRACE, PAUSE, one.resolved_at + WINDOW, *MONTHS[9:12]]
        at = dice.choice(
            [
                one.resolved_at,
                dice.randrange(one.resolved_at, end),
                dice.choice(borders) - dice.randint(0, 1),
                dice.randrange(end, end + GRACE),
                dice.randrange(one.resolved_at, one.resolved_at + WINDOW),
            ]
        )
        if self.is_flat:
            at = max(one.resolved_at, min(at, one.resolved_at + WINDOW - 1))
        is_in_time = one.resolved_at <= at < one.resolved_at + WINDOW
        return Reversed(at, one.key, one.customer, one.agent) if is_in_time else None

    def _documents(self) -> dict[Whose, Document]:
        at = {one.key: one.at for one in self.reversals}
        ends = {one.key: OCTOBER if one.resolved_at < OCTOBER else END for one in self.outcomes}
        gone = {key for key, ms_ in at.items() if ms_ < ends[key]}
        self.rates = Rates()
        for one in self.versions:
            for key, (category, rate) in one.taxes.items():
                self.rates.add(key, one.at, category, rate)
        by_outcome = {one.key: one for one in self.reversals}
        accounts: dict[tuple[str, str], Account] = {}
        found = {}
        for whose, rows in invoices(self.versions, self.outcomes, gone).items():
            customer, currency, start = whose
            end = MONTHS[MONTHS.index(ms(start)) + 1]
            account = accounts.setdefault((customer, currency), Account())
            mine = TaxedInvoice(account, CURRENCIES[currency], end, self.rates, self._tax_of(customer))
            lines, its = [], list[Reversed]()
            keys = iter(
                [one.key for one in self.outcomes if self._is_on(one, whose)],
            )
            for number, (agent, row) in enumerate(rows):
                id_ = next(keys) if row.kind == "outcome" else f"{row.kind}-{number}"
                lines.append(Line(id_, row.kind, agent, row.amount, row.tax, row.is_offset))
                if id_ in at and (row.is_offset or id_ not in gone):
                    its.append(by_outcome[id_])
            document = Document(mine, ms(start), its)
            document.mine.close(lines)
            found[whose] = document
        return found

    def _is_on(self, one: Outcome, whose: Whose) -> bool:
        state = [version for version in self.versions if version.at <= one.opened_at][-1]
        priced = state.entry(one.customer, one.agent)
        start = START if one.resolved_at < OCTOBER else OCTOBER
        assert priced is not None
        return (one.customer, priced[0], instant.render(start)) == whose

    def _tax_of(self, customer: str) -> Callable[[], str | None]:
        return lambda: self.versions[-1].tax_of.get(customer)

    # -- the log -------------------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Append all events and a last tick. Another instance holds the last partition, which is applied only up to the
        pause, so nothing later is known to be complete."""
        for _, _, one in self.waiting:
            if isinstance(one, Outcome):
                self.ledger.confirm(
                    one.key,
                    instant.render(one.resolved_at),
                    float(one.unit),
                    accepted_before=one.resolved_at - one.opened_at,
                    customer_key=one.customer,
                    agent_key=one.agent,
                )
            else:
                who = {"customer_key": one.customer, "agent_key": one.agent}
                self.ledger.confirm(one.key, instant.render(one.at), accepted_before=0, action="reopened", **who)
        for partition in range(self.ledger.partitions):
            self.ledger.tick(partition, instant.render(LAST))
        self.ledger.call("SET", "witn:{2}:owner", "1:x:other", "PX", 600_000)

    def pause(self) -> None:
        """Say that the last partition is applied up to the pause."""
        until(lambda: self.ledger.call("EXISTS", "witn:meta"), "the daemon has started")
        self.ledger.call("HSET", "witn:{2}:state", "cursor", f"{PAUSE}-0")

    def resume(self) -> None:
        """Let the last partition go on."""
        self.ledger.call("DEL", "witn:{2}:owner")

    def reckon(self, reached: int) -> None:
        """What the schedule does once all logs are applied up to an instant."""
        documents = sorted(self.documents.values(), key=lambda one: one.start)
        self._note(documents, reached)
        for start in dict.fromkeys(one.start for one in documents):
            self._note(documents, reached)
            for one in [one for one in documents if one.start == start and one.mine.end <= reached]:
                self._schedule(one, reached)
        self._note(documents, reached)

    def _note(self, documents: Iterable[Document], reached: int) -> None:
        for end in MONTHS:
            for one in documents:
                if end <= reached and one.mine.status in ("issued", "paid"):
                    one.note(end)

    def _schedule(self, one: Document, reached: int) -> None:
        through = one.mine.end + GRACE
        if one.mine.status == "void":
            one.take(reached)
        elif one.mine.status != "draft":
            return
        elif not self.automatic:
            one.credit(reached)
        elif through <= reached and one.mine.edition == 1:
            with suppress(Refused):
                one.issue(through)
        else:
            one.credit(min(through, reached))

    # -- comparing -----------------------------------------------------------------------------------------------------

    def wait(self, reached: int) -> None:
        """Until the documents of all periods before an instant look finished. If they never do, the comparison says
        why."""
        mine = {whose: one.mine for whose, one in self.documents.items() if one.mine.end <= reached}
        wanted = {
            whose: (one.status, one.drafted_sum, sum((total for total, _ in one.notes), Fraction(0)))
            for whose, one in mine.items()
        }

        def is_done() -> bool:
            if self.ledger.call("ZCOUNT", "witn:{shared}:billing:open", "-inf", reached):
                return False
            found = {
                whose: (head["status"], Fraction(head["credited"]), Fraction(head["noted"]))
                for whose, head in self.heads().items()
                if whose in wanted
            }
            return found == wanted

        with suppress(AssertionError):
            until(is_done, "documents are as expected", seconds=20)

    def heads(self) -> dict[Whose, dict[str, Any]]:
        return {
            (head["customer_key"], head["currency"], head["period_start"]): head
            for head in self.ledger.invoices()
            if head["revised_by"] is None
        }

    def compare(self) -> None:
        heads = {whose: head for whose, head in self.heads().items() if ms(head["period_end"]) <= LAST}
        assert heads.keys() >= self.documents.keys()
        assert all(
            head["status"] == "draft" and not head["closed"]
            for whose, head in heads.items()
            if whose not in self.documents
        )
        for whose, one in self.documents.items():
            self._compare(whose, one, self.ledger.json("invoices", "show", heads[whose]["id"]))

    def _compare(self, whose: Whose, one: Document, shown: dict[str, Any]) -> None:
        mine, head, rows = one.mine, shown["invoice"], shown["lines"]
        found = [row for row in rows if row["kind"] != "credit"]
        assert [(row["kind"], row["outcome_key"] or "", Fraction(row["amount"])) for row in found] == [
            (line.kind, line.id if line.kind == "outcome" else "", line.amount) for line in mine.lines.values()
        ], whose
        credits_ = [(row["outcome_key"], -Fraction(row["amount"])) for row in rows if row["kind"] == "credit"]
        assert credits_ == one.rows, whose
        assert (head["status"], head["edition"]) == (mine.status, mine.edition), whose
        assert head["issued_through"] == (None if one.through is None else instant.render(one.through)), whose
        assert Fraction(head["credited"]) == mine.drafted_sum, whose
        assert self._taxes(head["tax_rows"]) == mine.tax_rows(), whose
        assert (head["due"] is None, Fraction(head["due"] or 0)) == (mine.due is None, mine.due or 0), whose
        assert mine.due is None or mine.due >= 0
        assert Fraction(head["balance_used"]) == mine.used, whose
        assert Fraction(shown["balance"]) == mine.account.balance, whose
        notes = shown["credit_notes"]
        assert [(Fraction(note["total"]), Fraction(note["applied"])) for note in notes] == mine.notes, whose
        assert [self._taxes(note["tax_rows"]) for note in notes] == mine.note_taxes, whose
        of_reversals = [note for note in notes if note["reason"].startswith("outcomes reversed")]
        assert [
            [(row["outcome_key"], -Fraction(row["amount"])) for row in note["lines"]] for note in of_reversals
        ] == one.notes, whose

    def _taxes(self, rows: list[dict[str, str]]) -> Taxes:
        return [
            ((row["category"], Fraction(row["rate"])), Fraction(row["taxable"]), Fraction(row["tax"])) for row in rows
        ]

    # -- persons -------------------------------------------------------------------------------------------------------

    def act(self) -> None:
        """Pay, credit, void, revise and issue some invoices of September, in both."""
        heads = self.heads()
        for whose, one in self.documents.items():
            if one.mine.end > PAUSE or self.dice.random() < 0.3:
                continue
            self._act(one, heads[whose]["id"])

    def _act(self, one: Document, id_: str) -> None:
        dice, mine = self.dice, one.mine
        if mine.status == "draft":
            with suppress(Refused):
                one.issue(PAUSE)
                [preview] = self.ledger.done("issue", id_, "--dry-run")["data"]
                [done] = self.ledger.done("issue", id_)["data"]
                names = ("status", "subtotal", "credited", "tax_rows", "total", "balance_used", "due")
                assert [preview["invoice"][name] for name in names] == [done["invoice"][name] for name in names]
            if mine.status == "draft":
                return
        match dice.choice(["pay", "pay", "credit", "void", "revise", "reissue"]):
            case "pay":
                amount = max(mine.due or Fraction(0), Fraction(1)) + dice.choice([0, 0, 3])
                mine.pay(amount)
                self.ledger.done("payment", id_, "--amount", self._text(amount, mine.digits))
            case "credit":
                rows = [row.id for row in mine.lines.values() if row.kind == "outcome" and (row.amount or 0) > 0]
                if not rows:
                    return
                key, unit = dice.choice(rows), Fraction(1, 10**mine.digits)
                with suppress(Refused):
                    mine.credit({key: unit})
                    text = self._text(unit, mine.digits)
                    self.ledger.done("credit", key, "--amount", text, "--reason", "r")
            case "void":
                with suppress(Refused):
                    mine.cancel()
                    self.ledger.done("void", id_, "--reason", "r", "--yes")
            case action:
                with suppress(Refused):
                    mine.cancel()
                    next_ = self.ledger.done("revise", id_, "--reason", "r")["id"]
                    one.mine, one.through = mine.next_edition(), None
                    if action == "reissue":
                        one.issue(PAUSE)
                        self.ledger.done("issue", next_)

    def check_open(self) -> None:
        """An open invoice shows what was reversed within its period, although one log is behind."""
        gone = {one.key for one in self.reversals if one.at < END}
        heads = self.heads()
        for whose, one in self.documents.items():
            if one.mine.end == END and whose in heads:
                rows = [row for row in self.ledger.rows(heads[whose]["id"]) if row["kind"] == "outcome"]
                for row in rows:
                    is_reversed = row["outcome_key"] in gone
                    assert (row["reversed_at"] is not None) == is_reversed, row
                    assert row["counted_unit"] == ("0" if is_reversed else row["unit"])

    def _text(self, amount: Fraction, digits: int) -> str:
        return f"{float(amount):.{digits}f}"


@pytest.mark.parametrize("seed", [1, 2, 3, 4, *[pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 25)]])
def test_every_document_and_balance_is_what_the_rules_say(keep: Callable[[int], Ledger], seed: int) -> None:
    ledger = keep(3)
    world = World(ledger, seed, TAXES if seed % 3 == 0 else (), automatic=seed % 4 != 2)
    world.play()
    world.reckon(PAUSE)
    with ledger.working():
        world.pause()
        world.wait(PAUSE)
        world.act()
        world.check_open()
    world.reckon(LAST)
    world.resume()
    with ledger.working():
        world.wait(LAST)
    world.compare()
    assert any(one.rows for one in world.documents.values())
    ledger.audited()


@pytest.mark.parametrize(
    "seed", [101, 102, 103, *[pytest.param(seed, marks=pytest.mark.slow) for seed in range(104, 116)]]
)
def test_if_every_line_has_a_flat_price_and_is_reversed_nothing_remains(
    keep: Callable[[int], Ledger], seed: int
) -> None:
    ledger = keep(3)
    world = World(ledger, seed, TAXES if seed % 2 else (), automatic=seed % 3 != 0, is_flat=True)
    world.play()
    world.reckon(PAUSE)
    with ledger.working():
        world.pause()
        world.wait(PAUSE)
        world.act()
    world.reckon(LAST)
    world.resume()
    with ledger.working():
        world.wait(LAST)
        world.compare()
        assert ledger.witnd("invoices", "issue", "--all-closed").exit_code == 0
    left: dict[tuple[str, str], Fraction] = {}
    for head in ledger.invoices():
        if head["status"] in ("issued", "paid"):
            account = head["customer_key"], head["currency"]
            left[account] = left.get(account, Fraction(0)) + Fraction(head["total"]) - Fraction(head["noted"])
            assert Fraction(head["total"]) >= Fraction(head["noted"]) >= 0
            assert Fraction(head["due"]) == 0
        # Only a next edition without amounts is left.
        assert head["status"] != "draft" or Fraction(head["subtotal"]) == 0, head
    assert left
    assert set(left.values()) == {0}
    notes = ledger.json("invoices", "notes", "--limit", "1000")["data"]
    assert all(Fraction(note["amount"]) >= 0 and Fraction(note["tax"]) >= 0 for note in notes)
    assert all(Fraction(note["amount"]) > 0 for note in notes if note["lines"])
    for numbers in ([head["number"] for head in ledger.invoices()], [note["number"] for note in notes]):
        counted = sorted(int(number.rpartition("-")[2]) for number in numbers if number is not None)
        assert counted == list(range(1, len(counted) + 1))
    assert all(one.mine.account.balance >= 0 for one in world.documents.values())
    ledger.audited()
