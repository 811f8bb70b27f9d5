"""A change of now begins now, whatever is scheduled, and names what is scheduled."""

import json
from typing import Any

from tests.support.deployment import CATALOGUE, Deployment
from tests.support.processes import until
from witnd.domain.values import instant

BRIEF = CATALOGUE.replace("settlement_period = 60", "settlement_period = 1")


def priced(price: str) -> str:
    return BRIEF.replace("0.995", price)


def test_a_change_beside_one_that_is_scheduled_in_less_than_a_minute_bills_at_once(deployment: Deployment) -> None:
    deployment.apply(priced("2.00"))
    deployment.event("ticket-0001", "replied", at="*")
    seconds, _ = deployment.call("TIME")
    soon = instant.render((int(seconds) + 59) * 1000)
    file = deployment.directory / "catalogue.toml"
    file.write_text(priced("9.00"))
    assert deployment.witnd("apply", str(file), "--effective-from", soon).exit_code == 0
    file.write_text(priced("3.00"))
    done = deployment.witnd("apply", str(file))
    assert done.exit_code == 0
    assert f"stays scheduled from {soon}" in done.stdout
    deployment.event("ticket-0002", "replied", at="*")
    with deployment.working():
        until(lambda: len(billed(deployment)) == 2, "both outcomes are settled", seconds=60)
    assert billed(deployment) == {"ticket-0001": "2", "ticket-0002": "3"}
    before = instant.render(instant.parse(soon) - 1)
    prices = {at: json.dumps(deployment.json("rate-cards", "standard", "--at", at)) for at in (before, soon)}
    assert '"price_per_unit": "3"' in prices[before]
    assert '"price_per_unit": "9"' in prices[soon]


def billed(deployment: Deployment) -> dict[str, str]:
    entries: Any = deployment.call("XRANGE", "witn:{0}:resolutions", "-", "+")
    found = [json.loads(fields[b"data"]) for _, fields in entries]
    return {one["outcome_key"]: one["price_per_unit"] for one in found}
