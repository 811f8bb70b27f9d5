"""`witnd agents`, `witnd customers`, `witnd rate-cards`: lists, versions, comparisons."""

import pytest

from tests.support.deployment import CATALOGUE, LONG_AGO, Deployment
from witnd.domain.values import instant

OWN = CATALOGUE.replace(
    'key = "acme"\nrate_card = "standard"\n',
    """key = "acme"
rate_card = "standard"
entries = [{ agent = "support", kind = "package", package_size = "10", price_per_package = "8" }]

[[customers.agents]]
agent = "support"
name = "Support for Acme"
settlement_period = 5
condition = [{ fact = "closed", operator = "seen" }]
""",
)
LATER = "2096-01-01T00:00:00.000Z"


@pytest.fixture
def aged(deployment: Deployment) -> Deployment:
    """A second version of the agent from now on, and a third one that is scheduled."""
    deployment.apply()
    deployment.event("ticket-0001", "asked")
    deployment.apply(CATALOGUE.replace("settlement_period = 60\n", "settlement_period = 90\n"))
    file = deployment.directory / "later.toml"
    file.write_text(CATALOGUE.replace("settlement_period = 60\n", "settlement_period = 3600\narchived = true\n"))
    assert deployment.witnd("apply", str(file), "--effective-from", LATER).exit_code == 0
    return deployment


def test_agents_are_listed_as_they_are_in_force(aged: Deployment) -> None:
    listed = aged.json("agents")["data"]
    assert [(one["key"], one["versions"], one["version"]) for one in listed] == [("patient", 1, 1), ("support", 3, 2)]
    support = listed[1]
    assert (support["settlement_period"], support["standing"], support["until"]) == (90, "in effect", LATER)
    assert support["condition_words"] == "`replied` was seen and `reopened` was not seen"
    told = aged.witnd("agents").stdout
    assert "1 min 30 s" in told
    assert "`replied` was seen and `reopened` was not seen" in told


def test_the_versions_of_an_agent_are_shown_with_what_each_changed(aged: Deployment) -> None:
    shown = aged.json("agents", "support")
    assert [(one["version"], one["standing"], one["archived"]) for one in shown["versions"]] == [
        (1, "past", False),
        (2, "in effect", False),
        (3, "scheduled", True),
    ]
    assert len({one["hash"] for one in shown["versions"]}) == 3
    assert shown["versions"][1]["changes"] == [{"path": "settlement_period", "before": "60", "after": "90"}]
    told = aged.witnd("agents", "support").stdout
    assert 'agent "support": 3 versions' in told
    assert "    ~ settlement_period: 60 → 90" in told
    assert f"3  from {LATER}  scheduled for {LATER}, archived" in told
    assert shown["versions"][0]["hash"] in told


def test_the_hash_of_a_version_is_that_of_outcomes_that_opened_under_it(aged: Deployment) -> None:
    aged.work()
    frozen = aged.json("explain", "ticket-0001")["terms"]["contract_hash"]
    assert frozen == aged.json("agents", "support", "--version", "1")["hash"]


def test_one_version_is_shown_by_its_number_or_by_an_instant(aged: Deployment) -> None:
    then = instant.render(LONG_AGO)
    first = aged.json("agents", "support", "--at", then)
    assert (first["version"], first["versions"], first["settlement_period"]) == (1, 3, 60)
    third = aged.json("agents", "support", "--at", "2096-01-01T00:00:00Z")
    assert (third["version"], third["standing"]) == (3, "in effect")
    assert aged.json("agents", "support", "--version", "3")["standing"] == "scheduled"
    told = aged.witnd("agents", "support", "--at", then).stdout
    assert 'agent "support": version 1 of 3, in effect' in told
    assert "billable when `replied` was seen and `reopened` was not seen" in told
    assert "settles after 1 min without an event" in told
    assert "    condition[1]: reopened not seen" in told


def test_any_two_versions_are_compared(aged: Deployment) -> None:
    found = aged.json("agents", "support", "--compare", "3", "1")
    assert (found["before"]["version"], found["after"]["version"]) == (3, 1)
    assert found["changes"] == [
        {"path": "settlement_period", "before": "3600", "after": "60"},
        {"path": "archived", "before": "true", "after": None},
    ]
    told = aged.witnd("agents", "support", "--compare", "1", "3").stdout
    assert "    ~ settlement_period: 60 → 3600\n    + archived: true\n" in told
    assert "no difference" in aged.witnd("agents", "support", "--compare", "2", "2").stdout


def test_archived_ones_are_listed_when_asked_for(deployment: Deployment) -> None:
    deployment.apply(CATALOGUE + '[[agents]]\nkey = "old"\narchived = true\ncondition = []\n')
    assert "old" not in {one["key"] for one in deployment.json("agents")["data"]}
    assert "1 archived not shown" in deployment.witnd("agents").stdout
    assert {one["key"]: one["archived"] for one in deployment.json("agents", "--all")["data"]}["old"] is True
    assert "archived\n" in deployment.witnd("agents", "--all").stdout


def test_what_is_scheduled_only_is_listed_as_such(deployment: Deployment) -> None:
    file = deployment.directory / "later.toml"
    file.write_text('[[agents]]\nkey = "next"\ncondition = []\n')
    deployment.witnd("apply", str(file), "--effective-from", LATER)
    assert f"scheduled for {LATER}" in deployment.witnd("agents").stdout
    refused = deployment.witnd("agents", "next", "--at", "2095-01-01T00:00:00Z")
    assert refused.exit_code == 2
    assert f"'next' has no version before {LATER}" in refused.stderr
    deployment.apply()
    terms = deployment.witnd("agents", "next", "--customer", "acme")
    assert terms.exit_code == 2
    assert f"'next' has no version before {LATER}" in terms.stderr


def test_the_terms_of_one_customer_are_shown(deployment: Deployment) -> None:
    deployment.apply(OWN)
    assert deployment.json("agents", "support")["customers"] == ["acme"]
    assert "customers with terms of their own: acme" in deployment.witnd("agents", "support").stdout
    shared, own, other = (
        deployment.json("agents", "support", "--version", "1"),
        deployment.json("agents", "support", "--customer", "acme"),
        deployment.json("agents", "support", "--customer", "penniless"),
    )
    assert (own["name"], own["settlement_period"], own["attribution_method"]) == ("Support for Acme", 5, "sum")
    assert own["condition_words"] == "`closed` was seen"
    assert other["hash"] == shared["hash"] != own["hash"]
    assert (own["customer"], other["customer"], "customer" in shared) == ("acme", "penniless", False)
    told = deployment.witnd("agents", "support", "--customer", "acme").stdout
    assert 'agent "support": version 1 of 1, in effect, with the individual terms of customer "acme"' in told
    assert "billable when `closed` was seen" in told


def test_customers_are_listed_and_shown(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "asked")
    deployment.apply(OWN)
    listed = {one["key"]: one for one in deployment.json("customers")["data"]}
    assert [one["agent"] for one in listed["acme"]["agents"]] == ["support"]
    assert (listed["penniless"]["entries"], listed["penniless"]["rate_card"]) == ([], None)
    chosen = deployment.json("customers", "--rate-card", "standard")["data"]
    assert [one["key"] for one in chosen] == ["acme"]
    assert deployment.witnd("customers", "acme", "--rate-card", "standard").exit_code == 2
    [row] = [line for line in deployment.witnd("customers").stdout.splitlines() if line.startswith("acme")]
    assert row.split() == ["acme", "acme", "standard", "1", "1", "2", "in", "effect"]
    told = deployment.witnd("customers", "acme").stdout
    assert '    + entries[support].kind: "package"' in told
    assert "    + agents[support].condition[0]: closed seen" in told
    assert "hash" not in deployment.json("customers", "acme", "--version", "2")


def test_rate_cards_are_listed_and_shown(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "asked")
    deployment.apply(CATALOGUE.replace('"0.995"', '"1.20"'))
    [card] = deployment.json("rate-cards")["data"]
    assert (card["key"], card["currency"], len(card["entries"]), card["versions"]) == ("standard", "EUR", 2, 2)
    assert "support: 1.2 per unit" in deployment.witnd("rate-cards", "standard", "--version", "2").stdout
    told = deployment.witnd("rate-cards", "standard", "--compare", "1", "2").stdout
    assert '    ~ entries[support].price_per_unit: "0.995" → "1.2"' in told


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["suport"], "'suport'; did you mean 'support'?"),
        (["\x1b[2J"], "`witnd agents` lists them"),
        (["support", "--version", "4"], "no version 4"),
        (["support", "--compare", "1", "0"], "no version 0"),
        (["support", "--customer", "nobody"], "customer: 'nobody'"),
        (["--version", "1"], "KEY"),
        (["support", "--version", "1", "--at", "2026-01-01T00:00:00Z"], "--at, --version"),
        (["support", "--version", "1", "--customer", "acme"], "--customer"),
        (["support", "--at", "yesterday"], "yesterday"),
    ],
)
def test_what_is_not_there_is_a_mistake_in_usage(deployment: Deployment, asked: list[str], said: str) -> None:
    deployment.apply()
    refused = deployment.witnd("agents", *asked)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert "\x1b" not in refused.stderr


def test_an_outcome_of_the_customer_settles_under_its_own_terms_and_another_one_does_not(
    deployment: Deployment,
) -> None:
    deployment.apply(
        OWN.replace('kind = "package", package_size = "10", price_per_package = "8"', 'price_per_unit = "8"')
        + '[[customers]]\nkey = "globex"\nrate_card = "standard"\n'
        + '[[agents]]\nkey = "closing"\ncondition = [{ fact = "closed", operator = "count_gte", value = 2 }]\n'
    )
    deployment.event("ticket-acme", "closed", agent_key="support")
    deployment.event("ticket-globex", "closed", agent_key="support", customer_key="globex")
    # Both agents name it for Acme; for everybody else one does, and it has no price.
    deployment.event("unnamed-acme", "closed", agent_key=None)
    deployment.event("unnamed-globex", "closed", agent_key=None, customer_key="globex")
    deployment.work()
    acme, globex = (deployment.json("explain", key) for key in ("ticket-acme", "ticket-globex"))
    assert acme["terms"]["agent_name"] == "Support for Acme"
    assert acme["terms"]["contract_hash"] == deployment.json("agents", "support", "--customer", "acme")["hash"]
    assert (acme["outcome"]["status"], acme["outcome"]["settles_at"]) == ("CONFIRMED", "2001-09-09T01:46:45.000Z")
    assert acme["outcome"]["amount"] == "8.00"
    assert globex["terms"]["agent_name"] == "Support"
    assert (globex["outcome"]["status"], globex["outcome"]["settles_at"]) == ("FAILED", "2001-09-09T01:47:40.000Z")
    assert [one["reason"] for one in deployment.json("explain", "unnamed-acme")["held"]] == ["AGENT_AMBIGUOUS"]
    assert [one["reason"] for one in deployment.json("explain", "unnamed-globex")["held"]] == ["NO_PRICE"]
    audited = deployment.witnd("audit")
    assert audited.exit_code == 0, audited.output
