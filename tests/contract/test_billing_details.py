"""What is easily got wrong: odd texts, credits beside caps and minimums, credits of open drafts, the first calendar."""

import json
from zlib import crc32

import pytest

from tests.contract.ledger import ANYBODY, Ledger, toml
from tests.support.processes import until

ODD = [
    "𝔘" * 255,
    "=1+1\t'\"; --",
    "{0}:{shared}:billing:rows",
    "line\nbreak\x00nul",
    "\u202egnp.exe\u200d",
    "  spaces  ",
    "e\u0301 is not \u00e9",
    "\ud7ff\ue000\U0010ffff" * 3,
]


def test_any_text_is_a_key_and_the_order_is_that_of_its_bytes(sharded: Ledger) -> None:
    customer = "=cmd|' /C calc'!A0 {x}:" + "é" * 200
    sharded.apply(toml(["a"], {"card": ("EUR", ['{ agent = "a", price_per_unit = "1", free_quota = "1" }'])}, {}))
    file = sharded.directory / "odd.toml"
    file.write_text(f'[[customers]]\nkey = {json.dumps(customer)}\nrate_card = "card"\n')
    assert sharded.witnd("apply", str(file)).exit_code == 0
    for key in ODD:
        sharded.confirm(key, "2001-09-10T12:00:00Z", agent_key="a", customer_key=customer)
    [head] = sharded.close()
    assert sharded.keys_of(head["id"]) == sorted(ODD, key=str.encode)
    assert [amount for _, amount in sharded.amounts(head["id"])] == ["0.00"] + ["1.00"] * 7
    for arguments in (("invoices", "list"), ("invoices", "show", head["id"])):
        shown = sharded.witnd(*arguments)
        assert shown.exit_code == 0
        assert not {"\x00", "\x1b", "\u202e"} & set(shown.stdout)
    for form in ("csv", "jsonl"):
        assert sharded.witnd("invoices", "export", head["id"], "--format", form).exit_code == 0
    sharded.audited()


def test_a_minimum_is_credited_by_its_row_and_a_cap_is_not(ledger: Ledger) -> None:
    entries = [
        '{ agent = "a", price_per_unit = "30", period_cap = "50" }',
        '{ agent = "b", price_per_unit = "1", period_minimum = "10" }',
    ]
    ledger.apply(toml(["a", "b"], {"card": ("EUR", entries)}, {"acme": "card"}))
    for number in range(3):
        ledger.confirm(f"outcome-a{number}", "2001-09-10T12:00:00Z", agent_key="a")
    ledger.confirm("outcome-b", "2001-09-10T12:00:00Z", agent_key="b")
    [head] = ledger.close()
    rows = {row["kind"]: row for row in ledger.rows(head["id"])}
    assert (head["subtotal"], rows["cap"]["amount"], rows["minimum"]["amount"]) == ("60.00", "-40.00", "9.00")
    at = ("invoices", "credit", "--invoice", head["id"], "--row")
    assert "a line of kind cap is already negative" in ledger.refused(*at, rows["cap"]["id"], "--reason", "r")
    ledger.done("credit", "--invoice", head["id"], "--row", rows["minimum"]["id"][:12], "--reason", "first month")
    # Of the three outcomes no more is given back than was asked for: 90.00 less the cap is 50.00, and one is left.
    ledger.done("credit", "outcome-a0", "--reason", "r")
    number = ledger.done("issue", head["id"])["data"][0]["invoice"]["number"]
    assert ledger.done("credit", "outcome-a1", "--reason", "r")["credit_note"]["amount"] == "21.00"
    assert "nothing of INV-000001 remains" in ledger.refused("invoices", "credit", "outcome-a2", "--reason", "r")
    found = ledger.json("invoices", "show", number)["invoice"]
    assert (found["credited"], found["total"], found["noted"]) == ("39.00", "21.00", "21.00")
    ledger.audited()


def test_credits_of_an_open_draft_stay_when_it_is_closed(sharded: Ledger) -> None:
    entries = ['{ agent = "a", price_per_unit = "5" }', '{ agent = "b", price_per_unit = "2", free_quota = "1" }']
    sharded.apply(toml(["a", "b"], {"card": ("EUR", entries)}, {"acme": "card"}))
    one, two = [key for key in map("outcome-{}".format, range(9)) if crc32(key.encode()) % 2 == 0][:2]
    sharded.confirm(one, "2026-10-05T00:00:00Z", agent_key="a")
    sharded.confirm(two, "2026-10-05T00:00:00Z", 4, agent_key="b")
    sharded.call("SET", "witn:{1}:owner", "1:somebody:elsewhere", "PX", 60_000)
    with sharded.working():
        until(lambda: sum(found["lines"] for found in sharded.invoices()) == 2, "the lines are collected")
    id_ = sharded.invoice()["id"]
    sharded.done("credit", one, "--amount", "4.99", "--reason", "r", "--id", "refund-1")
    assert "no amount yet" in sharded.refused("invoices", "credit", two, "--reason", "r")
    sharded.audited()
    sharded.call("DEL", "witn:{1}:owner")
    sharded.close()
    assert sharded.done("credit", one, "--amount", "4.99", "--reason", "r", "--id", "refund-1")["repeated"] is True
    sharded.done("credit", two, "--amount", "1", "--reason", "r")
    assert sharded.amounts(id_) == [("outcome", "5.00"), ("outcome", "6.00"), ("credit", "-4.99"), ("credit", "-1.00")]
    total = sharded.done("issue", id_)["data"][0]["invoice"]["total"]
    assert total == "5.01"
    sharded.audited()


@pytest.mark.parametrize("period", ["day", "week"])
def test_a_period_that_is_chosen_before_anything_was_billed_holds_from_the_beginning(
    ledger: Ledger, period: str
) -> None:
    ledger.apply(ANYBODY)
    with ledger.working():  # with the default, a month
        until(lambda: b"calendar" in ledger.call("HKEYS", "witn:{shared}:billing:state"), "the daemon bills")
    ledger.set(period=period)
    ledger.confirm("outcome-1", "2001-09-10T12:00:00Z")
    [head] = ledger.close()
    assert (head["period"], head["period_start"]) == (period, "2001-09-10T00:00:00.000Z")
    ledger.audited()


def test_a_series_goes_on_where_it_ended_and_a_new_one_begins_at_one(ledger: Ledger) -> None:
    ledger.set(period="day")
    ledger.apply(ANYBODY)
    for day in (10, 11, 12):
        ledger.confirm(f"outcome-{day}", f"2001-09-{day}T12:00:00Z")
    numbers = []
    for found, series in zip(ledger.close(), ("INV", "A-2027", "INV"), strict=True):
        ledger.set(series=series, credit_series=f"{series}-C")
        numbers.append(ledger.done("issue", found["id"])["data"][0]["invoice"]["number"])
        ledger.done("credit", f"outcome-{found['period_start'][8:10]}", "--reason", "r", "--id", "=x; \u202e 𝔘")
    assert numbers == ["INV-000001", "A-2027-000001", "INV-000002"]
    notes = [one["number"] for one in ledger.json("invoices", "notes")["data"]]
    assert notes == ["INV-C-000002", "A-2027-C-000001", "INV-C-000001"]
    ledger.audited()


def test_versions_of_a_price_share_a_quota_and_a_minimum(ledger: Ledger) -> None:
    def text(price: str) -> str:
        entry = f'{{ agent = "a", price_per_unit = "{price}", free_quota = "2", period_minimum = "15" }}'
        return toml(["a"], {"card": ("EUR", [entry])}, {"acme": "card"})

    ledger.apply(text("1"))
    for day, price in ((10, "3"), (20, "1")):
        ledger.apply_at(text(price), f"2026-10-{day}T00:00:00Z")
    for day in (5, 15, 25):
        ledger.confirm(f"outcome-{day}", f"2026-10-{day:02}T00:00:00Z", 3, agent_key="a")
    [october] = ledger.close()
    # Only the first outcome has free units, and together they are less than one minimum.
    assert ledger.amounts(october["id"]) == [
        ("outcome", "1.00"), ("outcome", "9.00"), ("outcome", "3.00"), ("minimum", "2.00"),
    ]  # fmt: skip
    ledger.audited()
