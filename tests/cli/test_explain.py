"""`witnd explain`: the story of an outcome at a terminal."""

from tests.support.deployment import Deployment


def test_a_confirmed_outcome_is_told_from_its_events_to_its_deliveries(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "replied", 0, properties={"attribution": 2})
    deployment.event("ticket-0001", "noted", 1000, properties={"attribution": 1})
    deployment.work()
    told = deployment.witnd("explain", "ticket-0001")
    assert told.exit_code == 0
    text = told.stdout
    assert text.startswith("ticket-0001: confirmed\nConfirmed, because the condition held since event ")
    assert "condition  `replied` was seen and `reopened` was not seen" in text
    assert "settles    1 min after the last event" in text
    assert "price      0.995 per unit (EUR, rate card standard)" in text
    assert "unit       3: the sum attribution of 2 events" in text
    assert "✓ `replied` was seen  ← flipped" in text
    assert "the condition holds; pending, due at 2001-09-09T01:47:41.000Z" in text
    assert "line       3 × 0.995 = 2.99 EUR" in text
    assert "exactly 2.985" in text
    assert "crm " in text
    assert "pending" in text


def test_the_machine_form_has_everything(deployment: Deployment) -> None:
    deployment.apply()
    entry = deployment.event("ticket-0001", "reopened", 0)
    deployment.work()
    told = deployment.json("explain", "ticket-0001")
    assert told["outcome"]["status"] == "FAILED"
    assert told["terms"]["settlement_period"] == 60
    assert [event["entry"] for event in told["story"]["events"]] == [entry]
    assert [leaf["holds"] for leaf in told["story"]["events"][0]["leaves"]] == [False, False]
    assert told["story"]["why"].startswith("Missed, because the condition never held")
    assert told["resolution"]["status"] == "FAILED"
    assert "unit" not in told["resolution"]
    assert told["line"] is None
    assert [one["rule"] for one in told["deliveries"]] == ["crm"]
    assert told["held"] == []


def test_what_an_open_outcome_lacks_is_said(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "asked", agent_key="patient", at="*")
    deployment.work()
    told = deployment.witnd("explain", "ticket-0001").stdout
    assert told.startswith("ticket-0001: open\nOpen, because the condition does not hold yet (not true: ")
    assert "the latest value of `rated` is at least 4" in told
    assert "settles    180 d after the last event" in told


def test_only_the_last_events_of_many_are_shown(deployment: Deployment) -> None:
    deployment.apply()
    for n in range(7):
        deployment.event("ticket-0001", "replied", n)
    deployment.work()
    told = deployment.witnd("explain", "ticket-0001", "--events", "2").stdout
    assert "… 5 earlier events; --events 7 shows them" in told
    assert "\n6. " in told
    assert "\n5. " not in told
    assert len(deployment.json("explain", "ticket-0001", "--events", "2")["story"]["events"]) == 7


def test_a_key_with_held_events_shows_what_they_wait_for(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "replied", 0, customer_key="penniless")
    deployment.event("ticket-0001", "replied", 1, customer_key="nobody")
    deployment.work()
    told = deployment.witnd("explain", "ticket-0001")
    assert told.exit_code == 0
    assert "ticket-0001: no outcome yet; 2 events held" in told.stdout
    assert "NO_RATE_CARD: the customer has no rate card in effect" in told.stdout
    assert "UNKNOWN_CUSTOMER: the catalogue has no such customer" in told.stdout
    held = deployment.json("explain", "ticket-0001")["held"]
    assert [one["reason"] for one in held] == ["NO_RATE_CARD", "UNKNOWN_CUSTOMER"]


def test_an_unknown_key_is_said_to_be_unknown(deployment: Deployment) -> None:
    unknown = deployment.witnd("explain", "ticket-9999")
    assert unknown.exit_code == 2
    assert unknown.stdout.startswith("ticket-9999: no outcome")
    assert deployment.json("explain", "ticket-9999", exit_code=2)["outcome"] is None


def test_nothing_in_an_event_steers_the_terminal(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-\x1b[2J", "\u202ereplied\x9b", properties={"value": "\x1b]0;x\x07"})
    deployment.work()
    told = deployment.witnd("explain", "ticket-\x1b[2J").stdout
    assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(told)
    assert "\\u202ereplied" in told


def test_events_that_were_held_first_say_so(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "asked", 0, agent_key=None)
    deployment.event("ticket-0001", "replied", 10)
    deployment.work()
    told = deployment.json("explain", "ticket-0001")
    placed = [one["placed_at"] for one in told["story"]["events"]]
    assert placed == ["2001-09-09T01:46:40.010Z", None]
    assert told["outcome"]["opened_at"] == "2001-09-09T01:46:40.010Z"
    assert told["story"]["events"][0]["words"].startswith(
        "Was held, and placed at 2001-09-09T01:46:40.010Z. Opened the outcome."
    )
