"""What the parts of an audit share: where they read, what they know, where they tell differences."""

from collections import Counter
from decimal import Decimal
from typing import Final

from msgspec import Struct, field

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.recount import restore_outcome
from witnd.fold.hold import Hold
from witnd.store.errors import Unreadable
from witnd.store.keys import Keys
from witnd.store.query.reads import FATES, Reads
from witnd.store.records.codec import OutcomeRecord, outcome_record

# More than anybody reads; all are counted.
KEPT: Final = 1000
_RESTORE: Final = "copy the data, audit again with the daemon stopped; if it stays, restore a backup"


class Mismatch(Struct, frozen=True, kw_only=True):
    """One difference. `key` is the outcome's, or empty for one that concerns more than one. What concerns invoices has
    no partition, and the id of the invoice where it is of one."""

    partition: int | None
    invoice: str = ""
    key: str
    what: str
    expected: str
    found: str
    remedy: str


class Damaged(Struct, frozen=True):
    """An outcome that cannot be counted again. `status` is what the lists say it was, None where none has it."""

    status: str | None
    is_on_hold: bool  # the daemon has taken it out of its lists and counters


class Repaired(Struct, frozen=True, kw_only=True):
    """A line that was late because its outcome was on hold when it was due."""

    partition: int
    key: str
    resolved_at: str
    repaired_at: str


class Sum(Struct, kw_only=True):
    """Invoice lines of one currency. Those that are rated when their period closes have no amount in here. `digits`:
    the most after the point that one of them has."""

    digits: int = 0
    lines: int = 0
    amount: Decimal = Decimal(0)


class Totals(Struct, kw_only=True):
    """What was counted on the way. The marks are sums of digests: equal sums are equal sets."""

    statuses: Counter[str] = field(default_factory=Counter)
    fates: Counter[str] = field(default_factory=Counter)
    sums: dict[str, Sum] = field(default_factory=dict)
    held_items: int = 0
    events_on_record: int = 0
    deliveries: int = 0
    resolutions: int = 0
    lines: int = 0
    resolutions_mark: int = 0
    lines_mark: int = 0
    resolutions_found_mark: int = 0
    lines_found_mark: int = 0
    last_line: int = 0  # its number
    history_mark: int = 0
    log_mark: int = 0
    log_entries: int = 0
    unrated: int = 0  # lines without an amount
    # What outcomes are found by: sizes of the sets by status ("" of all keys), and of those of customers together.
    found_by: Counter[str] = field(default_factory=Counter)
    found_by_customer: int = 0
    days: Counter[str] = field(default_factory=Counter)
    day_money: dict[str, Decimal] = field(default_factory=dict)  # by currency


class Scope:
    """One run over one partition. With `seen` every key counts once, however often it is met."""

    def __init__(self, reads: Reads, keys: Keys, catalogue: Catalogue, *, quick: bool, precise: bool) -> None:
        self.reads = reads
        self.keys = keys
        self.catalogue = catalogue
        self.quick = quick
        self.precise = precise
        self.totals = Totals()
        self.differences: list[Mismatch] = []
        self.count = 0
        # Only where sums differed: per outcome key, what its log and its history say, and how often
        # the streams name it.
        self.seen: set[bytes] = set()
        # What the sums have to do without: outcomes on hold, and damaged ones that the daemon has not met yet.
        self.damaged: dict[str, Damaged] = {}
        self.repaired: list[Repaired] = []
        self.log_marks: Counter[str] = Counter()
        self.history_marks: Counter[str] = Counter()
        self.resolved: Counter[str] = Counter()
        self.billed: Counter[str] = Counter()

    def differ(self, key: str, what: str, expected: object, found: object) -> None:
        self.count += 1
        if len(self.differences) < KEPT:
            one = Mismatch(
                partition=self.keys.partition,
                key=key,
                what=what,
                expected=str(expected),
                found=str(found),
                remedy=f"compare with `witnd explain {key}`; {_RESTORE}" if key else _RESTORE,
            )
            self.differences.append(one)

    def compare(self, key: str, what: str, expected: object, found: object) -> None:
        if expected != found:
            self.differ(key, what, expected, found)

    def hold(self, key: str, hold: Hold) -> None:
        """Report an outcome on hold."""
        self.damaged[key] = Damaged(hold.status, is_on_hold=True)
        self._damage(key, f"on hold: {hold.reason}")

    def damage(self, key: str, reason: str, status: str | None = None) -> None:
        """Report an outcome that cannot be read, once."""
        if key not in self.damaged:
            self.damaged[key] = Damaged(status, is_on_hold=False)
            self._damage(key, reason)

    def _damage(self, key: str, reason: str) -> None:
        self.count += 1
        if len(self.differences) < KEPT:
            one = Mismatch(
                partition=self.keys.partition,
                key=key,
                what="stored outcome",
                expected="stored data that can be counted again",
                found=reason,
                remedy=f"run `witnd repair outcome {key}`",
            )
            self.differences.append(one)

    def record(self, key: str, sealed: bytes | None) -> OutcomeRecord | None:
        """The record of a key; None where there is none, or none that can be read, which is reported."""
        if key in self.damaged:
            return None
        record = outcome_record(key, sealed)
        if isinstance(record, Unreadable):
            self.damage(key, f"its record is unreadable: {record.reason}")
            return None
        return record

    def of_damaged(self, status: str, *, also_on_hold: bool) -> int:
        """How many damaged outcomes the lists have with a status ("" for any)."""
        return sum(
            one.status is not None and status in ("", one.status) and (also_on_hold or not one.is_on_hold)
            for one in self.damaged.values()
        )

    def fresh(self, name: bytes) -> bool:
        """Whether a key of Redis is met for the first time, as far as that is kept account of."""
        if not self.precise:
            return True
        if name in self.seen:
            return False
        self.seen.add(name)
        return True

    def outcome(self, key: str, record: OutcomeRecord) -> Outcome | None:
        """The stored outcome; None where its terms are lost, which is told."""
        try:
            contract = self.catalogue.contract(record.contract_hash)
            price = self.catalogue.price_by_hash(record.price_hash)
        except KeyError as missing:
            self.differ(key, "terms", "in the catalogue", f"unknown: {missing}")
            return None
        return restore_outcome(key, record, contract, price)


def accepted(fates: Counter[str]) -> int:
    return fates["applied"] + sum(fates[fate] for fate in FATES)
