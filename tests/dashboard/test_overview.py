"""What the first page says of what needs a person."""

from tests.dashboard.client import Dashboard, words
from tests.support.processes import until
from tests.web.api_server import ApiServer
from witnd.domain.webhooks.delivery import EndpointState
from witnd.domain.webhooks.notification import rule_id
from witnd.store.deliveries.endpoint_codec import encode_endpoint


def needs(admin: Dashboard) -> dict[str, str]:
    """What is counted, by its name."""
    found = admin.get("/dashboard").document.xpath("//*[@id='needs']//dd")
    return {one.get("data-fact"): words(one) for one in found}


def is_quiet(admin: Dashboard) -> bool:
    """Does the page say that nothing needs a person?"""
    return bool(admin.get("/dashboard").document.xpath("//*[@id='needs']//*[@data-case='nothing']"))


def test_an_endpoint_that_fails_is_told_of_while_nothing_needs_a_person_yet(admin: Dashboard, api: ApiServer) -> None:
    assert is_quiet(admin)
    failing = encode_endpoint(EndpointState(failing_since=1_789_000_000_000, reason="503"))
    api.deployment.call("HSET", "witn:{shared}:endpoints", rule_id("crm"), failing)
    assert needs(admin) == {"endpoints": "1"}
    assert not is_quiet(admin)


def test_each_kind_of_what_waits_is_counted_by_itself(admin: Dashboard, api: ApiServer) -> None:
    stranger = {"key": "ticket-4711", "customer_key": "nobody", "action": "resolved"}
    assert api.ask("POST", "/v1/events", stranger, scope="ingest").status == 202
    for _ in range(2):
        api.deployment.call("XADD", "witn:{0}:events", "*", "data", "{broken")
    until(lambda: api.get("/v1/overview")["events"]["rejected"] == 2, "both are rejected")
    assert needs(admin) == {"held": "1", "rejected": "2"}
