"""A change in the slot of a partition is logged before it is made, so no change is without its entry."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.test_deliveries import RULES, committed, dead, moved
from tests.notify.committed import CREATED, deliveries
from tests.support.workshop import CATALOGUE, Workshop
from witnd.domain.values import instant
from witnd.domain.webhooks.delivery import park
from witnd.store.access.change_log import Changes
from witnd.store.errors import StoreUnavailable

KEY = "ticket-0001"


def resend(shop: Workshop) -> list[str]:
    return ["deliveries", "resend", _delivery(shop)]


def resend_range(shop: Workshop) -> list[str]:
    _delivery(shop)
    return ["deliveries", "resend", "--from", instant.render(CREATED), "--to", instant.render(CREATED + 10)]


def resume(shop: Workshop) -> list[str]:
    _delivery(shop)
    return ["deliveries", "resume", "billing"]


def retry(shop: Workshop) -> list[str]:
    _held(shop)
    return ["events", "retry", KEY]


def retry_all(shop: Workshop) -> list[str]:
    _held(shop)
    return ["events", "retry", "--all"]


def remove(shop: Workshop) -> list[str]:
    return ["events", "remove", _held(shop)]


def repair_outcome(shop: Workshop) -> list[str]:
    shop.apply()
    shop.event(KEY, "replied")
    shop.work()
    shop.call("SET", f"witn:{{0}}:outcome:{KEY}", "xxxx")
    return ["repair", "outcome", KEY]


def repair_ahead(shop: Workshop) -> list[str]:
    shop.event(KEY, "replied", at="9999999999999-0")
    return ["repair", "ahead", "--yes"]


def repair_gap(shop: Workshop) -> list[str]:
    shop.apply()
    shop.event(KEY, "replied")
    shop.work()
    for _ in range(3):
        shop.event(KEY, "replied", at="*")
    shop.call("XTRIM", "witn:{0}:events", "MAXLEN", "1")
    return ["repair", "gap", "--yes"]


CHANGES: dict[Callable[[Workshop], list[str]], str] = {
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


def _delivery(shop: Workshop) -> str:
    shop.apply(RULES)
    given_up, waiting = deliveries(2)
    committed(shop, given_up, waiting)
    moved(shop, given_up, dead)
    moved(shop, waiting, lambda progress: park(progress, "suspended"))
    return given_up.id


def _held(shop: Workshop) -> str:
    shop.apply(CATALOGUE)
    entry = shop.event(KEY, "replied", customer_key="nobody")
    shop.work()
    return entry


def stored(shop: Workshop) -> dict[bytes, Any]:
    """Everything in the slot of the partition."""
    return {key: shop.call("DUMP", key) for key in sorted(shop.call("KEYS", "witn:{0}:*"))}


def logged(shop: Workshop, what: str) -> list[Any]:
    entries = [json.loads(fields[b"data"]) for _, fields in shop.call("XRANGE", "witn:{shared}:changes", "-", "+")]
    return [one for one in entries if one["what"] == what]


@pytest.mark.parametrize("prepare", CHANGES)
@pytest.mark.parametrize("is_written", [True, False])
def test_a_connection_lost_at_the_first_write_leaves_no_change_without_its_entry(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, prepare: Callable[[Workshop], list[str]], is_written: bool
) -> None:
    command, what = prepare(shop), CHANGES[prepare]
    note = Changes.note_request

    async def cut(changes: Changes, *given: Any, **details: Any) -> None:
        if is_written:
            await note(changes, *given, **details)
        raise StoreUnavailable("cut")

    before = stored(shop)
    monkeypatch.setattr(Changes, "note_request", cut)
    done = shop.witnd(*command)
    assert (done.exit_code, done.stderr) == (3, "witnd: cut\n")
    assert stored(shop) == before
    assert len(logged(shop, what)) == is_written


@pytest.mark.parametrize("prepare", CHANGES)
def test_a_command_logs_its_request_with_the_user_of_the_system(
    shop: Workshop, prepare: Callable[[Workshop], list[str]]
) -> None:
    command, what = prepare(shop), CHANGES[prepare]
    before = stored(shop)
    done = shop.witnd(*command)
    assert done.exit_code == 0, done.output
    assert stored(shop) != before
    [entry] = logged(shop, what)
    assert (entry["source"], entry["token_id"], entry["after"]["requested"]) == ("cli", None, True)
    assert "@" in entry["who"]
