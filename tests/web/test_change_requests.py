"""The API logs a change in the slot of a partition before it makes it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.notify.committed import CREATED, deliveries, rule
from tests.support.processes import until
from tests.web.office import CATALOGUE, Office
from tests.web.test_deliveries import RULES, dead, laid_up, put
from witnd.domain.values import instant
from witnd.store.access.change_log import Changes
from witnd.store.errors import StoreUnavailable

KEY = "ticket-0001"
RULE_ID = rule().id
Request = tuple[str, str, Any]


def resend(api: Office) -> Request:
    return "POST", f"/v1/deliveries/{_delivery(api)}/resend", None


def resend_range(api: Office) -> Request:
    _delivery(api)
    between = {"from": instant.render(CREATED), "to": instant.render(CREATED + 10)}
    return "POST", "/v1/deliveries/resend", between


def resume(api: Office) -> Request:
    _delivery(api)
    path = f"/v1/notification-rules/{RULE_ID}"
    until(lambda: api.ask("GET", path).status == 200, "the rule is in force")
    return "POST", f"{path}/resume", None


def retry(api: Office) -> Request:
    _held(api)
    return "POST", f"/v1/outcomes/{KEY}/retry", None


def remove(api: Office) -> Request:
    return "POST", f"/v1/events/0/{_held(api)}/remove", None


CHANGES: dict[Callable[[Office], Request], str] = {
    resend: "delivery.resend",
    resend_range: "delivery.resend",
    resume: "notification_rule.resume",
    retry: "outcome.retry",
    remove: "event.remove",
}


def _delivery(api: Office) -> str:
    api.workshop.apply(RULES.replace('/hook"', '/hook"\nenabled = true'))
    given_up, waiting = deliveries(2)
    put(api, given_up, dead)
    put(api, waiting, laid_up)
    return given_up.id


def _held(api: Office) -> str:
    api.workshop.apply(CATALOGUE)
    entry = api.workshop.event(KEY, "replied", at="*", customer_key="nobody")
    until(lambda: api.ask("GET", f"/v1/events/0/{entry}").json.get("fate") == "held", "the event is held")
    return entry


def stored(api: Office) -> dict[str, Any]:
    """What the changes write in the slot of the partition."""
    keys = api.workshop.keys()
    call = api.workshop.call
    return {
        "attempts": call("DUMP", keys.attempts),
        "parked": call("KEYS", "witn:{0}:*parked*"),
        "removals": call("EXISTS", keys.removals),
        "retries": [one for one in call("XRANGE", keys.events, "-", "+") if b"retry" in one[1].values()],
    }


@pytest.mark.parametrize("prepare", CHANGES)
@pytest.mark.parametrize("is_written", [True, False])
def test_a_connection_lost_at_the_first_write_leaves_no_change_without_its_entry(
    api: Office, monkeypatch: pytest.MonkeyPatch, prepare: Callable[[Office], Request], is_written: bool
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
