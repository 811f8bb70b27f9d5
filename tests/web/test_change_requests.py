"""The API logs a change in the slot of a partition before it makes it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.notify.committed import CREATED, deliveries, rule
from tests.support.processes import until
from tests.web.api_server import CATALOGUE, ApiServer
from tests.web.test_deliveries import RULES, dead, laid_up, put
from witnd.domain.values import instant
from witnd.store.access.change_log import Changes
from witnd.store.errors import StoreUnavailable

KEY = "ticket-0001"
RULE_ID = rule().id
Request = tuple[str, str, Any]


def resend(api: ApiServer) -> Request:
    return "POST", f"/v1/deliveries/{_delivery(api)}/resend", None


def resend_range(api: ApiServer) -> Request:
    _delivery(api)
    between = {"from": instant.render(CREATED), "to": instant.render(CREATED + 10)}
    return "POST", "/v1/deliveries/resend", between


def resume(api: ApiServer) -> Request:
    _delivery(api)
    path = f"/v1/notification-rules/{RULE_ID}"
    until(lambda: api.ask("GET", path).status == 200, "the rule is in force")
    return "POST", f"{path}/resume", None


def retry(api: ApiServer) -> Request:
    _held(api)
    return "POST", f"/v1/outcomes/{KEY}/retry", None


def remove(api: ApiServer) -> Request:
    return "POST", f"/v1/events/0/{_held(api)}/remove", None


CHANGES: dict[Callable[[ApiServer], Request], str] = {
    resend: "delivery.resend",
    resend_range: "delivery.resend",
    resume: "notification_rule.resume",
    retry: "outcome.retry",
    remove: "event.remove",
}


def _delivery(api: ApiServer) -> str:
    api.deployment.apply(RULES.replace('/hook"', '/hook"\nenabled = true'))
    given_up, waiting = deliveries(2)
    put(api, given_up, dead)
    put(api, waiting, laid_up)
    return given_up.id


def _held(api: ApiServer) -> str:
    api.deployment.apply(CATALOGUE)
    entry = api.deployment.event(KEY, "replied", at="*", customer_key="nobody")
    until(lambda: api.ask("GET", f"/v1/events/0/{entry}").json.get("fate") == "held", "the event is held")
    return entry


def stored(api: ApiServer) -> dict[str, Any]:
    """What the changes write in the slot of the partition."""
    keys = api.deployment.keys()
    call = api.deployment.call
    return {
        "attempts": call("DUMP", keys.attempts),
        "parked": call("KEYS", "witn:{0}:*parked*"),
        "removals": call("EXISTS", keys.removals),
        "retries": [one for one in call("XRANGE", keys.events, "-", "+") if b"retry" in one[1].values()],
    }


@pytest.mark.parametrize("prepare", CHANGES)
@pytest.mark.parametrize("is_written", [True, False])
def test_a_connection_lost_at_the_first_write_leaves_no_change_without_its_entry(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch, prepare: Callable[[ApiServer], Request], is_written: bool
) -> None:
    method, path, body = prepare(api)
    note = Changes.note_request

    async def cut(changes: Changes, *given: Any, **details: Any) -> None:
        if is_written:
            await note(changes, *given, **details)
        raise StoreUnavailable("cut")

    def logged() -> list[str]:
        return [one["what"] for one in api.get("/v1/changes")["data"] if one["what"] == CHANGES[prepare]]

    before = stored(api)
    with monkeypatch.context() as patched:
        patched.setattr(Changes, "note_request", cut)
        assert api.ask(method, path, body).status == 503
    assert stored(api) == before
    assert len(logged()) == is_written
    assert api.ask(method, path, body).status < 300, "it may be repeated"
    assert stored(api) != before
    assert len(logged()) == is_written + 1
