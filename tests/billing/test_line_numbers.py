"""Lines are numbered: the biller skips what it has, and stops where a line is missing or another one."""

from collections.abc import Iterator
from decimal import Decimal

import msgspec
import pytest

from tests.billing.harness import DAY, KEYS, BillingHarness, Confirmed, line
from witnd.store.errors import Unsafe
from witnd.store.keys import Keys
from witnd.store.records.json_record import encode_record

START = 20_000 * DAY
LINES = Keys("witn", 0).lines


@pytest.fixture
def harness(redis_url: str) -> Iterator[BillingHarness]:
    made = BillingHarness(redis_url)
    yield made
    made.close()


def lines(count: int) -> list[Confirmed]:
    return [Confirmed(0, START + number, f"outcome-{number}") for number in range(1, count + 1)]


def rewrite(harness: BillingHarness, *stored: bytes) -> None:
    """Write the stream of partition 0 anew, as a failover and its successor do."""
    harness.redis.delete(LINES)
    for number, one in enumerate(stored, 1):
        harness.redis.xadd(LINES, {"data": one}, id=f"{number}-0")


def test_lines_that_were_lost_and_written_again_are_not_billed_again(harness: BillingHarness) -> None:
    harness.confirm(lines(2))
    harness.work()
    rewrite(harness, *(encode_record(line(one)) for one in lines(3)))
    harness.redis.hset(Keys("witn", 0).state, "lines", 3)
    harness.work()
    [head] = harness.invoices().values()
    assert (head.lines, [row.outcome_key for row in harness.rows(head)]) == (3, ["outcome-1", "outcome-2", "outcome-3"])


def test_another_line_under_the_number_that_was_billed_stops_the_billing(harness: BillingHarness) -> None:
    harness.confirm(lines(2))
    harness.work()
    before = harness.invoices(), harness.redis.hget(KEYS.state, "read:0")
    first, second = lines(2)
    rewrite(harness, encode_record(line(first)), encode_record(line(second._replace(unit="2"))))
    harness.confirm([Confirmed(0, START + 3, "outcome-3")])
    with pytest.raises(Unsafe, match=r"line 2 of witn:\{0\}:lines was changed after it was put on an invoice"):
        harness.work()
    assert (harness.invoices(), harness.redis.hget(KEYS.state, "read:0")) == before


@pytest.mark.parametrize(
    ("gone", "named"), [([2], "line 2 is missing"), ([2, 3], "lines 2 to 3 are"), ([3, 4], "lines 3 to 4 are")]
)
def test_lines_that_are_gone_before_they_are_read_stop_the_billing(
    harness: BillingHarness, gone: list[int], named: str
) -> None:
    """Also the last ones, after which no line comes; and no period closes without them."""
    harness.confirm(lines(1))
    harness.work()
    harness.confirm(lines(4)[1:])
    harness.redis.xdel(LINES, *(f"{number}-0" for number in gone))
    harness.applied(START + DAY)
    with pytest.raises(Unsafe, match=named) as stopped:
        harness.work()
    assert "backup" in stopped.value.remedy
    assert not any(head.closed for head in harness.invoices().values())


def test_the_line_that_was_read_last_is_gone_and_the_billing_stops(harness: BillingHarness) -> None:
    harness.confirm(lines(2))
    harness.work()
    harness.redis.xtrim(LINES, maxlen=0)
    with pytest.raises(Unsafe, match="line 2 is missing"):
        harness.work()


@pytest.mark.parametrize("entry", ["2-1", "*"])
def test_an_entry_without_a_line_number_stops_the_billing(harness: BillingHarness, entry: str) -> None:
    harness.confirm(lines(1))
    harness.redis.xadd(LINES, {"data": encode_record(line(lines(2)[1]))}, id=entry)
    with pytest.raises(Unsafe, match=r"has no line number|are missing"):
        harness.work()


@pytest.mark.parametrize(("stored", "named"), [(b'{"v":2}', "has format 2"), (b'{"v":1}', "cannot be read")])
def test_a_line_of_a_newer_version_or_a_damaged_one_stops_the_billing(
    harness: BillingHarness, stored: bytes, named: str
) -> None:
    harness.confirm(lines(1))
    harness.write(0, stored)
    with pytest.raises(Unsafe, match=rf"line 2 of witn:\{{0\}}:lines {named}"):
        harness.work()


@pytest.mark.parametrize("together", [True, False], ids=["in one step", "in two steps"])
def test_a_row_id_is_taken_once_in_a_draft(harness: BillingHarness, together: bool) -> None:
    [one, two] = lines(2)
    harness.confirm([one])
    if not together:
        harness.work()
    harness.confirm([one, two])
    harness.work()
    [head] = harness.invoices().values()
    assert (head.lines, head.subtotal) == (2, Decimal(2))
    assert [row.outcome_key for row in harness.rows(head)] == ["outcome-1", "outcome-2"]
    harness.applied(START + DAY)
    harness.work()
    assert not harness.redis.exists(KEYS.row_ids(head.id))


@pytest.mark.parametrize("together", [True, False], ids=["in one step", "in two steps"])
def test_a_row_id_with_other_content_stops_the_billing(harness: BillingHarness, together: bool) -> None:
    [one] = lines(1)
    harness.confirm([one])
    if not together:
        harness.work()
    harness.confirm([one._replace(unit="2")])
    with pytest.raises(Unsafe, match="bills outcome 'outcome-1' again with other content"):
        harness.work()
    assert sum(head.lines for head in harness.invoices().values()) == (0 if together else 1)


def test_a_row_id_of_a_closed_invoice_stops_the_billing(harness: BillingHarness) -> None:
    harness.confirm(lines(1))
    harness.applied(START + DAY)
    harness.work()
    harness.confirm(lines(1))
    with pytest.raises(Unsafe, match="closed already"):
        harness.work()


def test_the_stored_line_begins_with_its_format() -> None:
    assert encode_record(line(lines(1)[0])).startswith(b'{"v":1,"kind":"line","id":')
    assert msgspec.json.decode(encode_record(line(lines(1)[0])))["v"] == 1
