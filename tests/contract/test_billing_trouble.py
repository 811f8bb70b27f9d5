"""The invoices are the same whatever happens to the server and to daemons while they are made."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any
from zlib import crc32

import pytest
from structlog.testing import capture_logs

from tests.contract.ledger import Ledger, ms, toml
from tests.support.processes import DEADLINE, until
from tests.support.server import Server

MANY = 7000
START = ms("2026-09-01T00:00:00Z")
CARD = {
    "card": (
        "EUR",
        [
            """{ agent = "a", kind = "graduated", tiers = [
                { up_to = "1000", price_per_unit = "0.333" }, { price_per_unit = "0.1", flat_fee = "5" },
            ] }"""
        ],
    )
}
# 1000 at 0.333 and 6000 at 0.1, and the fee of the second tier.
WHOLE = "938.00"


@pytest.fixture
def own(server: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Books on a server that may be hurt."""
    monkeypatch.chdir(tmp_path)
    ledger = Ledger(server(fsync="always"), tmp_path, 2)
    ledger.set(issue="manual")
    return ledger


def fill(ledger: Ledger, many: int = MANY, cards: Any = CARD) -> None:
    """Outcomes of one customer that all settle within September, many of them at one instant."""
    ledger.apply(toml(["a"], cards, {"acme": "card"}))
    with ledger.server.sync() as client, client.pipeline(transaction=False) as pipeline:
        for number in range(many):
            key = f"outcome-{number}"
            event = {"key": key, "action": "done", "customer_key": "acme", "agent_key": "a"}
            stream = f"witn:{{{crc32(key.encode()) % 2}}}:events"
            pipeline.xadd(stream, {"data": json.dumps(event)}, id=f"{START + number // 900}-{number}")
        pipeline.execute()


def proved(ledger: Ledger, many: int = MANY) -> list[dict[str, Any]]:
    [september] = ledger.invoices()
    assert (september["closed"], september["lines"], september["subtotal"]) == (True, many, WHOLE)
    rows = ledger.rows(september["id"])
    outcomes = [(row["resolved_at"], row["outcome_key"].encode()) for row in rows if row["kind"] == "outcome"]
    assert outcomes == sorted(outcomes)
    assert len(set(outcomes)) == many
    assert [row["kind"] for row in rows[many:]] == ["fee"]
    ledger.audited()
    return rows


def test_a_large_draft_is_closed_while_scripts_are_forgotten(sharded: Ledger) -> None:
    fill(sharded)
    over = Event()

    def forget() -> None:
        with sharded.server.sync() as client:
            while not over.wait(0.01):
                client.script_flush()

    thread = Thread(target=forget)
    thread.start()
    try:
        sharded.close()
    finally:
        over.set()
        thread.join(DEADLINE)
    proved(sharded)


def test_a_server_killed_again_and_again_while_a_period_is_closed_loses_and_doubles_nothing(own: Ledger) -> None:
    fill(own)
    with own.working():
        for lines in (1, 3000, MANY):
            until(lambda least=lines: collected(own) >= least, f"{lines} lines are written")
            own.server.kill()
            own.server.start()
        until(lambda: collected(own) == MANY and any(one["closed"] for one in own.invoices()), "it is closed")
    proved(own)


def collected(ledger: Ledger) -> int:
    with ledger.server.sync() as client:
        return sum(client.xlen(f"witn:{{{number}}}:lines") for number in (0, 1))


def test_a_server_without_memory_is_waited_for_by_the_daemon_and_named_by_commands(own: Ledger) -> None:
    fill(own)
    with own.working():
        until(lambda: collected(own) > 2000, "lines are written")
        own.call("CONFIG", "SET", "maxmemory", "1")
        own.call("CONFIG", "SET", "maxmemory", "0")
        until(lambda: bool(own.invoices()) and own.invoices()[0]["closed"], "it is closed")
        own.call("CONFIG", "SET", "maxmemory", "1")
        refused = own.witnd("invoices", "issue", "--all-closed")
        assert refused.exit_code == 3, refused.output
        assert "memory" in refused.output
        assert own.invoices()[0]["status"] == "draft"
        own.call("CONFIG", "SET", "maxmemory", "0")
    assert own.done("issue", "--all-closed")["data"][0]["invoice"]["number"] == "INV-000001"
    proved(own)


def test_of_two_daemons_one_makes_the_invoices_and_the_other_goes_on_when_it_ends(sharded: Ledger) -> None:
    fill(sharded)
    with capture_logs():
        with daemon(sharded), daemon(sharded, instance="second"):
            until(lambda: collected(sharded) > 1000, "lines are written")
        with daemon(sharded):
            until(lambda: sharded.is_closed(issued=False), "it is closed")
    proved(sharded)


def test_credits_given_while_a_period_is_closed_are_each_given_once(sharded: Ledger) -> None:
    many = 3000
    card = {"card": ("EUR", ['{ agent = "a", price_per_unit = "1" }'])}
    fill(sharded, many, card)
    given: set[str] = set()
    codes = set()
    with sharded.working():
        while len(given) < 40:
            for number in range(0, many, many // 40):
                key = f"outcome-{number}"
                if key not in given:
                    result = sharded.witnd("invoices", "credit", key, "--amount", "0.25", "--reason", "r", "--id", "x")
                    codes.add(result.exit_code)
                    given |= {key} if result.exit_code == 0 else set()
        until(lambda: sharded.invoices()[0]["closed"], "it is closed")
    assert codes <= {0, 2, 3}  # 2: not on an invoice yet; 3: closed at this moment
    [head] = sharded.invoices()
    assert (head["lines"], head["subtotal"], head["credited"]) == (many, "3000.00", "10.00")
    corrected = [row["outcome_key"] for row in sharded.rows(head["id"]) if row["kind"] == "credit"]
    assert sorted(corrected) == sorted(given)
    sharded.audited()


@contextmanager
def daemon(ledger: Ledger, instance: str = "workshop") -> Iterator[None]:
    over = Event()
    thread = Thread(target=lambda: asyncio.run(ledger._work(lambda _: over.is_set(), instance)))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(DEADLINE)
    assert not thread.is_alive()


def test_what_is_rated_at_close_keeps_its_frozen_price_over_restarts_and_changes_of_everything(sharded: Ledger) -> None:
    own = """
[[customers]]
key = "own"
rate_card = "card"
entries = [{ agent = "a", kind = "package", package_size = "2", price_per_package = "%s" }]
"""
    card = '{ agent = "a", price_per_unit = "%s", free_quota = "1" }'
    text = toml(["a"], {"card": ("EUR", [card % 3])}, {"acme": "card"}) + own % 7
    sharded.apply(text)
    keys = [key for key in map("outcome-{}".format, range(30)) if crc32(key.encode()) % 2 == 0][:4]
    for place, key in enumerate(keys):
        sharded.confirm(key, "2026-10-05T00:00:00Z", 3, agent_key="a", customer_key=("acme", "own")[place % 2])
    # Nobody applies the other log, so October stays open.
    sharded.call("SET", "witn:{1}:owner", "1:somebody:elsewhere", "PX", 60_000)
    with sharded.working():
        until(lambda: sum(one["lines"] for one in sharded.invoices()) == 4, "the lines are collected")
    assert {one["unrated"] for one in sharded.invoices()} == {2}
    changed = toml(["a"], {"card": ("JPY", [card % 99]), "other": ("KWD", [card % 1])}, {"acme": "other"})
    sharded.apply(changed + '\n[[customers]]\nkey = "own"\narchived = true\n')
    until(lambda: "archived = true" in sharded.witnd("export").stdout, "the change is in force", seconds=3)
    sharded.call("DEL", "witn:{1}:owner")
    found = {one["customer_key"]: one for one in sharded.close()}
    assert sharded.amounts(found["acme"]["id"]) == [("outcome", "6.00"), ("outcome", "9.00")]
    assert sharded.amounts(found["own"]["id"]) == [("outcome", "14.00"), ("outcome", "7.00")]
    sharded.audited()
