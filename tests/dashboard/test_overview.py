"""What the first page says of what needs a person."""

from tests.dashboard.desk import Desk
from tests.dashboard.reading import read
from tests.support.processes import until
from tests.web.office import Office
from witnd.domain.webhooks.delivery import EndpointState
from witnd.domain.webhooks.notification import rule_id
from witnd.store.deliveries.outbox import encode_endpoint

NOTHING = "Nothing. Events that cannot be placed"


def needs(desk: Desk) -> str:
    return read(desk.get("/dashboard").find("//*[@id='needs']"))


def test_an_endpoint_that_fails_is_told_of_while_nothing_needs_a_person_yet(desk: Desk, api: Office) -> None:
    assert NOTHING in needs(desk)
    failing = encode_endpoint(EndpointState(failing_since=1_789_000_000_000, reason="503"))
    api.workshop.call("HSET", "witn:{shared}:endpoints", rule_id("crm"), failing)
    assert "Failing endpoints 1" in needs(desk)
    assert NOTHING not in needs(desk)


def test_each_kind_of_what_waits_is_counted_by_itself(desk: Desk, api: Office) -> None:
    stranger = {"key": "ticket-4711", "customer_key": "nobody", "action": "resolved"}
    assert api.ask("POST", "/v1/events", stranger, scope="ingest").status == 202
    for _ in range(2):
        api.workshop.call("XADD", "witn:{0}:events", "*", "data", "{broken")
    until(lambda: api.get("/v1/overview")["events"]["rejected"] == 2, "both are rejected")
    assert "Keys with held events 1 Rejected in a day 2" in needs(desk)
    assert "Deliveries" not in needs(desk)
