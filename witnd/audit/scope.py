"""Shared state of an audit: data source, totals and differences."""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct, field

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.outcomes.recount import restore_outcome
from witnd.domain.values import money
from witnd.fold.hold import Hold
from witnd.store.errors import Unreadable
from witnd.store.keys import Keys
from witnd.store.query.reads import FATES, Reads
from witnd.store.records.codec import OutcomeRecord, outcome_record

# More than anyone reads. All are counted.
MAX_DIFFERENCES: Final = 1000
_RESTORE: Final = "copy the data and audit again with the daemon stopped; if the difference remains, restore a backup"


class Mismatch(Struct, frozen=True, kw_only=True):
    """A difference. `key` is the outcome's, or empty for a sum. Differences of invoices have no partition, and
    `invoice` if they concern a single one."""

    partition: int | None
    invoice: str = ""
    key: str
    what: str
    expected: str
    found: str
    remedy: str


class DamagedOutcome(Struct, frozen=True):
    """An outcome that cannot be recounted. `status` is the one in the lists, or None."""

    status: str | None
    is_on_hold: bool  # the daemon has removed it from lists and counters


class RepairedLine(Struct, frozen=True, kw_only=True):
    """A line that is late because its outcome was on hold at its deadline."""

    partition: int
    key: str
    resolved_at: str
    repaired_at: str


class LineSum(Struct, kw_only=True):
    """The lines of one currency, without amounts of those rated at close. `digits`: their largest number of minor
    digits."""

    digits: int = 0
    lines: int = 0
    amount: Decimal = Decimal(0)


class Totals(Struct, kw_only=True):
    """Counts and sums of an audit. Marks are sums of digests: equal sums mean equal sets."""

    statuses: Counter[str] = field(default_factory=Counter)
    fates: Counter[str] = field(default_factory=Counter)
    sums: dict[str, LineSum] = field(default_factory=dict)
    held_items: int = 0
    events_on_record: int = 0
    deliveries: int = 0
    resolutions: int = 0
    lines: int = 0
    resolutions_mark: int = 0
    lines_mark: int = 0
    resolutions_found_mark: int = 0
    lines_found_mark: int = 0
    # Outcomes that an event reversed; their entries in the streams of resolutions and of lines, and the marks of each.
    reversals: int = 0
    reversal_entries: int = 0
    reversal_lines: int = 0
    reversals_mark: int = 0
    reversal_entries_mark: int = 0
    reversal_lines_mark: int = 0
    last_line: int = 0  # its number
    history_mark: int = 0
    log_mark: int = 0
    log_entries: int = 0
    unrated: int = 0  # lines without an amount
    # Sizes of the sets by status ("" for all keys), and the total of the sets by customer.
    found_by: Counter[str] = field(default_factory=Counter)
    found_by_customer: int = 0
    days: Counter[str] = field(default_factory=Counter)
    day_money: dict[str, Decimal] = field(default_factory=dict)  # by currency

    def add(self, other: "Totals") -> None:
        """Add the totals of another partition."""
        for name in self.__struct_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, int):
                setattr(self, name, mine + theirs)
            elif isinstance(mine, Counter):
                mine.update(theirs)
        for currency, one in other.sums.items():
            total = self.sums.setdefault(currency, LineSum())
            total.digits = max(total.digits, one.digits)
            total.lines += one.lines
            total.amount = money.exact_sum((total.amount, one.amount))
        for currency, amount in other.day_money.items():
            self.day_money[currency] = money.plus(self.day_money.get(currency, Decimal(0)), amount)


def joined_totals(found: Iterable[Totals]) -> Totals:
    """Return the totals of all partitions together."""
    total = Totals()
    for one in found:
        total.add(one)
    return total


class Family:
    """The partitions that repartitions made of one. Their sums are compared together: logs, resolutions and lines from
    before a repartition are in another partition than their outcomes. Without a repartition, it is one partition.

    `count` is the number of all partitions.
    """

    def __init__(self, partitions: Sequence[Keys], count: int) -> None:
        self.partitions = partitions
        self.count = count
        self._by_number = {keys.partition: keys for keys in partitions}

    def home(self, key: str, keys: Keys) -> Keys:
        """Return the partition of an outcome key, or `keys` if it is in no partition of the family."""
        if len(self.partitions) == 1:
            return keys
        return self._by_number.get(partition_of(key, self.count), keys)


class PassState(Struct, kw_only=True):
    """What one pass over a family has found, by outcome key."""

    # Outcomes that the sums exclude: on hold, or damaged.
    damaged: dict[str, DamagedOutcome] = field(default_factory=dict)
    # Only if sums differed: by outcome key, marks of log and history, and the number of stream entries.
    seen: set[bytes] = field(default_factory=set)
    log_marks: Counter[str] = field(default_factory=Counter)
    history_marks: Counter[str] = field(default_factory=Counter)
    resolved: Counter[str] = field(default_factory=Counter)
    billed: Counter[str] = field(default_factory=Counter)
    reversed: Counter[str] = field(default_factory=Counter)  # in the stream of resolutions
    corrected: Counter[str] = field(default_factory=Counter)  # in the stream of lines


class Scope:
    """One pass over one partition. With `precise`, repeated keys count once. `shared` is common to the family."""

    def __init__(
        self,
        reads: Reads,
        keys: Keys,
        catalogue: Catalogue,
        *,
        quick: bool,
        precise: bool,
        family: Family,
        shared: PassState,
    ) -> None:
        self.reads = reads
        self.keys = keys
        self.family = family
        self.catalogue = catalogue
        self.quick = quick
        self.precise = precise
        self.totals = Totals()
        self.differences: list[Mismatch] = []
        self.count = 0
        self.repaired: list[RepairedLine] = []
        self.seen, self.damaged = shared.seen, shared.damaged
        self.log_marks, self.history_marks = shared.log_marks, shared.history_marks
        self.resolved, self.billed = shared.resolved, shared.billed
        self.reversed, self.corrected = shared.reversed, shared.corrected

    def home(self, key: str) -> Keys:
        """Return the partition of an outcome key."""
        return self.family.home(key, self.keys)

    def differ(self, key: str, what: str, expected: object, found: object) -> None:
        self.count += 1
        if len(self.differences) < MAX_DIFFERENCES:
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
        self.damaged[key] = DamagedOutcome(hold.status, is_on_hold=True)
        self._damage(key, f"on hold: {hold.reason}")

    def damage(self, key: str, reason: str, status: str | None = None) -> None:
        """Report an outcome that cannot be read, once."""
        if key not in self.damaged:
            self.damaged[key] = DamagedOutcome(status, is_on_hold=False)
            self._damage(key, reason)

    def _damage(self, key: str, reason: str) -> None:
        self.count += 1
        if len(self.differences) < MAX_DIFFERENCES:
            one = Mismatch(
                partition=self.keys.partition,
                key=key,
                what="stored outcome",
                expected="readable stored data",
                found=reason,
                remedy=f"run `witnd repair outcome {key}`",
            )
            self.differences.append(one)

    def record(self, key: str, sealed: bytes | None) -> OutcomeRecord | None:
        """Return the record of a key, or None if it is absent or unreadable. Reports an unreadable one."""
        if key in self.damaged:
            return None
        record = outcome_record(key, sealed)
        if isinstance(record, Unreadable):
            self.damage(key, f"its record is unreadable: {record.reason}")
            return None
        return record

    def damaged_count(self, status: str, *, also_on_hold: bool) -> int:
        """Return the number of damaged outcomes by listed status ("" for any)."""
        return sum(
            one.status is not None and status in ("", one.status) and (also_on_hold or not one.is_on_hold)
            for one in self.damaged.values()
        )

    def is_new(self, name: bytes) -> bool:
        """Return whether a Redis key is new in this pass; always true unless `precise`."""
        if not self.precise:
            return True
        if name in self.seen:
            return False
        self.seen.add(name)
        return True

    def outcome(self, key: str, record: OutcomeRecord) -> Outcome | None:
        """Return the stored outcome, or None if its terms are missing, which is reported."""
        try:
            contract = self.catalogue.contract(record.contract_hash)
            prices = tuple([self.catalogue.price_by_hash(digest) for digest in record.price_hashes])
        except KeyError as missing:
            self.differ(key, "terms", "in the catalogue", f"unknown: {missing}")
            return None
        return restore_outcome(key, record, contract, prices)


def accepted_count(fates: Counter[str]) -> int:
    return fates["applied"] + sum(fates[fate] for fate in FATES)
