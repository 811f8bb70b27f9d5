"""The real daemon bills by local days, whatever time zone data its host has, and estimates open invoices."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.daemon import CATALOGUE, Daemon
from tests.support.processes import until
from tests.support.server import Server
from witnd.domain.values import instant
from witnd.store.keys import BillingKeys

KEYS = BillingKeys("witn")
PRORATED = CATALOGUE + '\n[[rate_cards.fees]]\nkey = "base"\namount = "30"\nprorate = true\n'
TIERED = CATALOGUE.replace(
    'price_per_unit = "1" }',
    'kind = "graduated", tiers = [{ up_to = "2", price_per_unit = "1" }, { price_per_unit = "0.5" }], '
    'period_minimum = "1.75" }',
)


def invoices(one: Daemon, *words: str) -> list[dict[str, Any]]:
    done = one.witnd("invoices", "list", *words, "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["data"]
    return found


def other_data(directory: Path) -> dict[str, str]:
    """The environment of a host on which Berlin has the offsets of Tokyo."""
    (directory / "Europe").mkdir(parents=True)
    (directory / "Europe" / "Berlin").write_bytes((files("tzdata.zoneinfo.Asia") / "Tokyo").read_bytes())
    return {"PYTHONTZPATH": str(directory)}


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns"])
def test_the_current_period_has_the_bounds_of_the_zone(
    server: Callable[..., Server], daemon: Callable[..., Daemon], zone: str
) -> None:
    one = daemon(server(), billing__time_zone=zone, billing__period="day")
    one.begins()
    one.send("outcome-1")
    one.settles(1)
    until(lambda: bool(invoices(one)), "an invoice is open")
    [invoice] = invoices(one)
    start = datetime.fromtimestamp(instant.parse(invoice["period_start"]) / 1000, ZoneInfo(zone))
    assert (invoice["time_zone"], invoice["first_day"]) == (zone, f"{start:%Y-%m-%d}")
    assert f"{start:%H:%M}" == "00:00"
    assert invoice["first_day"] == invoice["last_day"]
    assert [found["id"] for found in invoices(one, "--period", invoice["first_day"])] == [invoice["id"]]
    assert one.witnd("audit").returncode == 0
    shown = one.witnd("invoices", "show", invoice["id"][:12]).stdout
    assert f"time zone {zone}" in shown
    assert "+05:30" in shown or "-03:30" in shown or "-02:30" in shown


def test_a_host_with_other_time_zone_data_bills_in_the_stored_periods(
    server: Callable[..., Server], daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    at = server()
    first = daemon(at, billing__time_zone="Europe/Berlin", daemon__instance="first")
    first.begins()
    first.send("outcome-1")
    first.settles(1)
    until(lambda: bool(invoices(first)), "an invoice is open")
    [before] = invoices(first)
    assert first.terminate() == 0

    second = daemon(
        at, billing__time_zone="Europe/Berlin", daemon__instance="second", environ=other_data(tmp_path / "zones")
    )
    second.says("billing.running")
    second.send("outcome-2")
    second.settles(2)
    until(lambda: invoices(second)[0]["lines"] == 2, "the line is collected")
    [after] = invoices(second)
    assert {name: after[name] for name in before if name.startswith(("period", "first", "last", "time", "id"))} == {
        name: before[name] for name in before if name.startswith(("period", "first", "last", "time", "id"))
    }
    end = datetime.fromtimestamp(instant.parse(after["period_end"]) / 1000, ZoneInfo("Europe/Berlin"))
    assert (end.day, end.hour) == (1, 0)
    assert second.witnd("audit").returncode == 0


def test_an_open_invoice_and_its_groups_have_an_estimate_that_follows_the_outcomes(
    server: Callable[..., Server], daemon: Callable[..., Daemon]
) -> None:
    one = daemon(server())
    one.begins(TIERED)
    token = one.token()

    def read() -> dict[str, Any]:
        [invoice] = invoices(one)
        status, found = one.request("GET", f"/v1/invoices/{invoice['id']}", token=token)
        assert status == 200
        assert isinstance(found, dict)
        return found

    one.send("outcome-1")
    one.settles(1)
    until(lambda: bool(invoices(one)), "an invoice is open")
    until(lambda: read()["lines"] == 1, "the line is collected")
    found = read()
    # The minimum of the period.
    assert (found["estimate"], found["subtotal"]) == ("1.75", "0.00")
    assert found["groups"] == [{"agent_key": "support", "grade": None, "amount": None, "estimate": "1.75"}]
    for number in (2, 3, 4):
        one.send(f"outcome-{number}")
    one.settles(4)
    until(lambda: read()["estimate"] == "3.00", "the estimate follows", seconds=20)
    age = time.time() * 1000 - instant.parse(read()["estimated_at"])
    assert -1000 < age < 10_000
    lines = one.request("GET", f"/v1/invoices/{found['id']}/lines", token=token)[1]["data"]
    assert {line["amount"] for line in lines} == {None}, "there are no estimates per line"
    shown = one.witnd("invoices", "show", found["id"][:12])
    assert "If the period closed now" in shown.stdout
    document = json.loads(one.witnd("invoices", "show", found["id"][:12], "--json").stdout)
    assert document["estimate"] == "3.00"


def test_fees_by_days_are_refused_where_periods_are_hours(
    server: Callable[..., Server], daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    at = server()
    one = daemon(at, billing__period="hour")
    one.begins()
    one.send("outcome-1")
    one.settles(1)
    until(lambda: bool(invoices(one)), "an invoice is open")
    [invoice] = invoices(one)
    assert instant.parse(invoice["period_end"]) - instant.parse(invoice["period_start"]) == 3_600_000
    file = tmp_path / "prorated.toml"
    file.write_text(PRORATED)
    refused = one.witnd("apply", str(file))
    assert refused.returncode == 2
    assert "rate_cards[0].fees[base].prorate" in refused.stderr
    assert "set billing.period to day, week or month" in refused.stderr
    assert one.terminate() == 0

    month = daemon(at, billing__period="month")
    month.says("billing.running")
    month.apply(PRORATED)
    assert month.terminate() == 0
    blocked = daemon(at, billing__period="hour")
    assert "fees[base].prorate of rate card standard" in blocked.says("billing.blocked")["reason"]


def test_an_unknown_zone_is_a_mistake_in_the_configuration(
    server: Callable[..., Server], daemon: Callable[..., Daemon]
) -> None:
    one = daemon(server(), billing__time_zone="Europe/Berln")
    assert one.exit_code() == 2
    assert "BILLING__TIME_ZONE" in one.log
    assert "did you mean Europe/Berlin?" in one.log
