"""Which invoice a line is on, and when a period is closed: borders, partitions, changes of price and calendar."""

import json
from zlib import crc32

import pytest

from tests.contract.ledger import ANYBODY, Ledger, toml
from tests.support.processes import until


def keys_in(partition: int, many: int) -> list[str]:
    found, number = [], 0
    while len(found) < many:
        key = f"outcome-{number}"
        if crc32(key.encode()) % 2 == partition:
            found.append(key)
        number += 1
    return found


# -- borders -----------------------------------------------------------------------------------------------------------


def test_a_period_has_its_start_and_not_its_end_in_both_partitions(sharded: Ledger) -> None:
    sharded.apply(ANYBODY)
    borders = ["2026-09-30T23:59:59.999Z", "2026-10-01T00:00:00.000Z", "2026-10-31T23:59:59.999Z",
               "2026-11-01T00:00:00.000Z"]  # fmt: skip
    names = {}
    for partition in (0, 1):
        for at, key in zip(borders, keys_in(partition, 4), strict=True):
            names[partition, at] = sharded.confirm(key, at)
    september, october, november = sharded.close()
    assert (september["period_start"], september["period_end"]) == (
        "2026-09-01T00:00:00.000Z", "2026-10-01T00:00:00.000Z",
    )  # fmt: skip
    assert sorted(sharded.keys_of(september["id"])) == sorted(names[one, borders[0]] for one in (0, 1))
    # By when they resolved, and where that is the same by key.
    expected = [key for at in borders[1:3] for key in sorted(names[one, at] for one in (0, 1))]
    assert sharded.keys_of(october["id"]) == expected
    assert (november["closed"], november["lines"]) == (False, 2)
    sharded.audited()


def test_an_outcome_that_settles_right_with_its_event_belongs_where_its_event_was_accepted(ledger: Ledger) -> None:
    ledger.apply(ANYBODY)
    for key, at in (("outcome-1", 1), ("outcome-2", 0)):
        event = {"key": key, "action": "done", "customer_key": "acme", "agent_key": "support",
                 "properties": {"settles_at": "2000-01-01T00:00:00Z"}}  # fmt: skip
        ledger.call("XADD", "witn:{0}:events", f"{1_790_812_800_000 - at}-*", "data", json.dumps(event))
    september, october = ledger.close()
    assert [one["period_start"][:7] for one in (september, october)] == ["2026-09", "2026-10"]
    assert ledger.keys_of(september["id"]) == ["outcome-1"]
    assert ledger.keys_of(october["id"]) == ["outcome-2"]


def test_many_that_settle_at_the_border_are_all_in_before_the_period_closes(sharded: Ledger) -> None:
    sharded.apply(ANYBODY)
    with sharded.server.sync() as client, client.pipeline(transaction=False) as pipeline:
        for number in range(1500):
            key = f"outcome-{number}"
            event = {"key": key, "action": "done", "customer_key": "acme", "agent_key": "support",
                     "properties": {"settles_at": "2026-09-30T23:59:59.999Z"}}  # fmt: skip
            stream = f"witn:{{{crc32(key.encode()) % 2}}}:events"
            pipeline.xadd(stream, {"data": json.dumps(event)}, id=f"{1_790_000_000_000 + number}-0")
        pipeline.execute()
    sharded.tick(0, "2026-10-01T00:00:00.000Z")
    [september] = sharded.close()
    assert (september["lines"], september["subtotal"]) == (1500, "1500.00")
    sharded.audited()


# -- partitions --------------------------------------------------------------------------------------------------------


def test_a_period_is_open_while_one_partition_is_behind_and_closes_when_that_is_applied(sharded: Ledger) -> None:
    sharded.apply(ANYBODY)
    [soon], [late] = keys_in(0, 1), keys_in(1, 1)
    sharded.confirm(soon, "2026-10-05T00:00:00Z")
    sharded.confirm(late, "2026-10-05T00:00:00Z")
    # Somebody else owns partition 1 and does nothing.
    sharded.call("SET", "witn:{1}:owner", "1:somebody:elsewhere", "PX", 60_000)
    with sharded.working():
        # Its log is told the time, so it was looked at for closing the period.
        until(lambda: sharded.call("XLEN", "witn:{1}:events") == 2, "the quiet log gets a tick")
        until(lambda: len(sharded.invoices()) == 1, "the other partition's line is collected")
        [october] = sharded.invoices()
        assert (october["closed"], october["lines"]) == (False, 1)
        assert "is open" in sharded.refused("invoices", "issue", october["id"])
        sharded.audited_while_working()
        sharded.call("DEL", "witn:{1}:owner")
        until(lambda: sharded.invoices()[0]["closed"], "the period is closed")
    [october] = sharded.invoices()
    assert sorted(sharded.keys_of(october["id"])) == sorted([soon, late])
    sharded.audited()


def test_a_quiet_log_is_told_the_time(sharded: Ledger) -> None:
    sharded.apply(ANYBODY)
    [key] = keys_in(0, 1)
    sharded.confirm(key, "2026-10-05T00:00:00Z")
    [october] = sharded.close()
    assert october["closed"]
    entries = sharded.call("XRANGE", "witn:{1}:events", "-", "+")
    assert 1 <= len(entries) <= 2
    assert [dict(fields) for _, fields in entries] == [{b"witnd": b"tick"}] * len(entries)
    sharded.audited()


# -- the calendar ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "starts"),
    [
        ("month", ["2026-02-01", "2026-03-01"]),
        ("week", ["2026-02-23"]),
        ("day", ["2026-02-28", "2026-03-01"]),
    ],
)
def test_periods_are_whole_months_weeks_or_days(ledger: Ledger, period: str, starts: list[str]) -> None:
    ledger.set(period=period)
    ledger.apply(ANYBODY)
    ledger.confirm("outcome-1", "2026-02-28T23:59:59.999Z")
    ledger.confirm("outcome-2", "2026-03-01T00:00:00.000Z")
    found = ledger.close()
    assert [one["period_start"][:10] for one in found] == starts
    assert {one["period"] for one in found} == {period}


def test_a_change_of_the_period_waits_for_the_end_of_the_running_one(ledger: Ledger) -> None:
    ledger.apply(ANYBODY)
    ledger.confirm("outcome-1", "2026-10-05T00:00:00Z")
    [october] = ledger.close()
    ledger.set(period="day")
    event = {"key": "outcome-2", "action": "done", "customer_key": "acme", "agent_key": "support",
             "properties": {"settles_at": "2000-01-01T00:00:00Z"}}  # fmt: skip
    ledger.call("XADD", "witn:{0}:events", "*", "data", json.dumps(event))
    before, running = ledger.close()
    assert before == october
    assert (running["period"], running["closed"]) == ("month", False)
    assert running["period_start"].endswith("-01T00:00:00.000Z")
    assert running["period_end"].endswith("-01T00:00:00.000Z")
    ledger.audited()


# -- what is frozen ----------------------------------------------------------------------------------------------------


def test_a_price_is_that_of_the_opening_whatever_the_card_says_when_it_settles(ledger: Ledger) -> None:
    tiers = '{ up_to = "2", price_per_unit = "%s" }, { price_per_unit = "1" }'
    tiered = f'{{ agent = "a", kind = "graduated", tiers = [{tiers}] }}'
    customers = {"acme": "card"}
    ledger.apply(toml(["a"], {"card": ("EUR", [tiered % 10])}, customers))
    ledger.apply_at(toml(["a"], {"card": ("EUR", [tiered % 20])}, customers), "2026-10-10T00:00:00Z")
    ledger.apply_at(toml(["a"], {"card": ("JPY", [tiered % 30])}, customers), "2026-10-20T00:00:00Z")
    # The first two open under the first card, and the second of them settles under the next one. The first tier is full
    # after the first of them, whatever card comes later.
    ledger.confirm("outcome-1", "2026-10-09T00:00:00Z", 2, agent_key="a")
    ledger.confirm("outcome-2", "2026-10-10T00:00:00.999Z", 1, agent_key="a")
    ledger.confirm("outcome-3", "2026-10-10T00:00:01.000Z", 1, agent_key="a")
    ledger.confirm("outcome-4", "2026-10-20T00:00:01.000Z", 1, agent_key="a")
    found = {one["currency"]: one for one in ledger.close()}
    assert ledger.amounts(found["EUR"]["id"]) == [("outcome", "20.00"), ("outcome", "1.00"), ("outcome", "1.00")]
    assert ledger.amounts(found["JPY"]["id"]) == [("outcome", "30")]
    ledger.audited()


def test_what_a_customer_agreed_is_its_own(ledger: Ledger) -> None:
    card = {"card": ("EUR", ['{ agent = "a", price_per_unit = "2", period_minimum = "5" }'])}
    text = (
        toml(["a"], card, {"acme": "card"})
        + """
[[customers]]
key = "own"
rate_card = "card"
entries = [{ agent = "a", price_per_unit = "0.5" }]
[[customers.agents]]
agent = "a"
settlement_period = 7200
attribution_method = "max"
condition = [{ fact = "done", operator = "count_gte", value = 2 }]
"""
    )
    ledger.apply(text)
    ledger.confirm("outcome-acme", "2026-10-01T00:00:00.000Z", 3, 4, agent_key="a")
    ledger.confirm("outcome-own", "2026-10-01T00:00:00.000Z", 3, 4, agent_key="a", customer_key="own")
    ledger.confirm("outcome-missed", "2026-10-01T00:00:00.000Z", 3, agent_key="a", customer_key="own")
    found = {one["customer_key"]: one for one in ledger.close()}
    [mine] = ledger.rows(found["own"]["id"])
    assert (mine["unit"], mine["amount"], mine["resolved_at"]) == ("4", "2.00", "2026-10-01T01:59:59.000Z")
    assert ledger.amounts(found["acme"]["id"]) == [("outcome", "14.00")]
    rated = ledger.json("rate", "a", "--units", "4", "--customer", "own")
    assert (rated["total"], rated["price_hash"]) == ("2.00", mine["price_hash"])
    ledger.audited()


def test_a_customer_with_a_card_of_another_currency_has_an_invoice_in_each(ledger: Ledger) -> None:
    cards = {key.lower(): (key, ['{ agent = "a", price_per_unit = "0.1255" }']) for key in ("EUR", "JPY", "KWD")}
    ledger.apply(toml(["a"], cards, {"acme": "eur"}))
    for key, at in (("jpy", "2026-10-02"), ("kwd", "2026-10-03")):
        ledger.apply_at(toml(["a"], cards, {"acme": key}), f"{at}T00:00:00Z")
    for day in (1, 2, 3):
        ledger.confirm(f"outcome-{day}", f"2026-10-0{day}T12:00:00Z", 10, agent_key="a")
    found = {one["currency"]: one["subtotal"] for one in ledger.close()}
    assert found == {"EUR": "1.26", "JPY": "1", "KWD": "1.255"}
    ledger.audited()


def test_archived_and_renamed_ones_are_billed_and_named_as_when_the_invoice_was_issued(ledger: Ledger) -> None:
    text = toml(["a"], {"card": ("EUR", ['{ agent = "a", price_per_unit = "1" }'])}, {"acme": "card"})
    ledger.apply(text.replace('key = "acme"', 'key = "acme"\nname = "Acme"'))
    ledger.confirm("outcome-1", "2026-10-02T12:00:00Z", agent_key="a")
    [head] = ledger.close()
    gone = text.replace('key = "acme"', 'key = "acme"\nname = "Acme & Söhne"\narchived = true')
    gone = gone.replace('key = "card"', 'key = "card"\narchived = true')
    ledger.apply(gone)
    until(lambda: "Acme & Söhne" in ledger.witnd("export").output, "the new name is in force", seconds=2)
    ledger.done("issue", head["id"])
    ledger.apply(gone.replace("Acme & Söhne", "Nobody"))
    exported = ledger.witnd("invoices", "export", head["id"], "--format", "csv")
    assert "Acme & Söhne" in exported.stdout
    assert ledger.json("rate", "a", "3", "--customer", "acme")["total"] == "3.00"
    ledger.audited()
