"""A change in the slot of a partition is logged before it is made, so no change is without its entry."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.test_deliveries import RULES, committed, dead, moved
from tests.notify.committed import CREATED, deliveries
from tests.support.deployment import CATALOGUE, Deployment
from witnd.domain.values import instant
from witnd.domain.webhooks.delivery import park
from witnd.store.access.change_log import Changes
from witnd.store.errors import StoreUnavailable

KEY = "ticket-0001"


def resend(deployment: Deployment) -> list[str]:
    return ["deliveries", "resend", _delivery(deployment)]


def resend_range(deployment: Deployment) -> list[str]:
    _delivery(deployment)
    return ["deliveries", "resend", "--from", instant.render(CREATED), "--to", instant.render(CREATED + 10)]


def resume(deployment: Deployment) -> list[str]:
    _delivery(deployment)
    return ["deliveries", "resume", "billing"]


def retry(deployment: Deployment) -> list[str]:
    _held(deployment)
    return ["events", "retry", KEY]


def retry_all(deployment: Deployment) -> list[str]:
    _held(deployment)
    return ["events", "retry", "--all"]


def remove(deployment: Deployment) -> list[str]:
    return ["events", "remove", _held(deployment)]


def repair_outcome(deployment: Deployment) -> list[str]:
    deployment.apply()
    deployment.event(KEY, "replied")
    deployment.work()
    deployment.call("SET", f"witn:{{0}}:outcome:{KEY}", "xxxx")
    return ["repair", "outcome", KEY]


def repair_ahead(deployment: Deployment) -> list[str]:
    deployment.event(KEY, "replied", at="9999999999999-0")
    return ["repair", "ahead", "--yes"]


def repair_gap(deployment: Deployment) -> list[str]:
    deployment.apply()
    deployment.event(KEY, "replied")
    deployment.work()
    for _ in range(3):
        deployment.event(KEY, "replied", at="*")
    deployment.call("XTRIM", "witn:{0}:events", "MAXLEN", "1")
    return ["repair", "gap", "--yes"]


CHANGES: dict[Callable[[Deployment], list[str]], str] = {
    resend: "delivery.resend",
    resend_range: "delivery.resend",
    resume: "notification_rule.resume",
    retry: "outcome.retry",
    retry_all: "problems.retry_held",
    remove: "event.remove",
    repair_outcome: "outcome.repair",
    repair_ahead: "log.repair_ahead",
    repair_gap: "log.repair_gap",
}


def _delivery(deployment: Deployment) -> str:
    deployment.apply(RULES)
    given_up, waiting = deliveries(2)
    committed(deployment, given_up, waiting)
    moved(deployment, given_up, dead)
    moved(deployment, waiting, lambda progress: park(progress, "suspended"))
    return given_up.id


def _held(deployment: Deployment) -> str:
    deployment.apply(CATALOGUE)
    entry = deployment.event(KEY, "replied", customer_key="nobody")
    deployment.work()
    return entry


def stored(deployment: Deployment) -> dict[bytes, Any]:
    """Everything in the slot of the partition."""
    return {key: deployment.call("DUMP", key) for key in sorted(deployment.call("KEYS", "witn:{0}:*"))}


def logged(deployment: Deployment, what: str) -> list[Any]:
    entries = [
        json.loads(fields[b"data"]) for _, fields in deployment.call("XRANGE", "witn:{shared}:changes", "-", "+")
    ]
    return [one for one in entries if one["what"] == what]


@pytest.mark.parametrize("prepare", CHANGES)
@pytest.mark.parametrize("is_written", [True, False])
def test_a_connection_lost_at_the_first_write_leaves_no_change_without_its_entry(
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Deployment], list[str]],
    is_written: bool,
) -> None:
    command, what = prepare(deployment), CHANGES[prepare]
    note = Changes.note_request

    async def cut(changes: Changes, *given: Any, **details: Any) -> None:
        if is_written:
            await note(changes, *given, **details)
        raise StoreUnavailable("cut")

    before = stored(deployment)
    monkeypatch.setattr(Changes, "note_request", cut)
    done = deployment.witnd(*command)
    assert (done.exit_code, done.stderr) == (3, "witnd: cut\n")
    assert stored(deployment) == before
    assert len(logged(deployment, what)) == is_written


@pytest.mark.parametrize("prepare", CHANGES)
def test_a_command_logs_its_request_with_the_user_of_the_system(
    deployment: Deployment, prepare: Callable[[Deployment], list[str]]
) -> None:
    command, what = prepare(deployment), CHANGES[prepare]
    before = stored(deployment)
    done = deployment.witnd(*command)
    assert done.exit_code == 0, done.output
    assert stored(deployment) != before
    [entry] = logged(deployment, what)
    assert (entry["source"], entry["token_id"], entry["after"]["requested"]) == ("cli", None, True)
    assert "@" in entry["who"]
