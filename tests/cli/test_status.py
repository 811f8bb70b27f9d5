"""`witnd status`: who owns what, how far it is, and what settles next."""

from tests.support.deployment import Deployment
from witnd.domain.values import instant
from witnd.store.keys import BillingKeys, Keys


def test_without_a_daemon_nobody_owns_anything(deployment: Deployment) -> None:
    nobody = {"partition": 0, "owner": None, "lag": 0, "next_due": None}
    assert deployment.json("status") == {"partitions": [nobody], "billing": {"owner": None}}
    text = deployment.witnd("status").stdout
    assert "none" in text
    assert "No daemon makes invoices." in text


def test_owners_and_events_that_wait(deployment: Deployment) -> None:
    deployment.create()
    keys = Keys("witn", 0)
    deployment.call("SET", keys.owner, "3:nonce.host.1:office-1")
    deployment.call("SET", BillingKeys("witn").owner, "1:nonce.host.2:office-2")
    for _ in range(3):
        deployment.call("XADD", keys.events, "*", "data", "{}")
    deployment.call("HSET", keys.state, "read", "1")
    assert deployment.json("status") == {
        "partitions": [{"partition": 0, "owner": "office-1", "lag": 2, "next_due": None}],
        "billing": {"owner": "office-2"},
    }
    text = deployment.witnd("status").stdout
    assert "office-1" in text
    assert "Invoices are made by office-2." in text


def test_the_next_deadline_is_that_of_the_record_and_not_its_lower_bound(deployment: Deployment) -> None:
    deployment.apply()
    deadlines = [instant.parse(f"2999-01-01T00:00:{second:02}Z") for second in range(60)]
    for number, at in enumerate(deadlines):
        deployment.event(f"ticket-{number}", "replied", properties={"settles_at": instant.render(at)})
    deployment.work()
    keys = Keys("witn", 0)
    # Only one bound is not much too early: the earliest deadline is on the second page.
    for number, at in enumerate(deadlines):
        deployment.call("ZADD", keys.due, at if number == 0 else 1, f"ticket-{number}")
    assert deployment.json("status")["partitions"][0]["next_due"] == "2999-01-01T00:00:00.000Z"
