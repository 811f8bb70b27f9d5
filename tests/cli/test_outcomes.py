"""`witnd outcomes`: lists of outcomes, the newest first, by when they settle, or by key."""

import pytest

from tests.support.deployment import Deployment


def keys(page: dict[str, list[dict[str, str]]]) -> list[str]:
    return [one["key"] for one in page["data"]]


def test_an_outcome_is_listed_with_what_it_is(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "replied", 0, properties={"attribution": 3})
    deployment.work()
    assert deployment.json("outcomes")["data"] == [
        {
            "key": "ticket-0001",
            "partition": 0,
            "status": "CONFIRMED",
            "scheduled_resolution": None,
            "customer_key": "acme",
            "agent_key": "support",
            "opened_at": "2001-09-09T01:46:40.000Z",
            "settles_at": "2001-09-09T01:47:40.000Z",
            "processed_at": deployment.json("outcomes")["data"][0]["processed_at"],
            "events_count": 1,
            "unit": "3",
            "amount": "2.99",
            "currency": "EUR",
            "grade": None,
            "reversed_at": None,
        }
    ]


def test_people_read_of_missed_outcomes(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "reopened")
    deployment.event("ticket-0002", "rated", agent_key="patient", properties={"value": 5}, at="*")
    deployment.work()
    told = deployment.witnd("outcomes").stdout
    assert "missed" in told
    assert "pending (confirmed)" in told
    assert "FAILED" not in told


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["--status", "missed"], {"ticket-0001"}),
        (["--status", "FAILED"], {"ticket-0001"}),
        (["--status", "confirmed", "--status", "open"], {"ticket-0002", "ticket-0003"}),
        (["--customer", "acme"], {"ticket-0001", "ticket-0002", "ticket-0003"}),
        (["--customer", "nobody"], set()),
        (["--agent", "patient"], {"ticket-0003"}),
        (["--due", "--agent", "support"], set()),
        (["--due"], {"ticket-0003"}),
    ],
)
def test_lists_are_filtered(deployment: Deployment, asked: list[str], found: set[str]) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "reopened")
    deployment.event("ticket-0002", "replied")
    deployment.event("ticket-0003", "asked", agent_key="patient", at="*")
    deployment.event("ticket-0004", "asked", customer_key="penniless", at="*")
    deployment.work()
    assert set(keys(deployment.json("outcomes", *asked))) == found


def test_the_due_ones_come_in_the_order_of_settlement_over_all_partitions(sharded: Deployment) -> None:
    sharded.apply()
    names = [f"ticket-{n * 7 % 30:04}" for n in range(30)]
    for place, key in enumerate(names):
        pin = {"settles_at": f"2096-01-01T00:00:{place // 3:02}Z"}
        sharded.event(key, "asked", agent_key="patient", at="*", properties=pin)
    sharded.work()
    listed = sharded.json("outcomes", "--due")["data"]
    assert {one["key"] for one in listed} == set(names)
    assert [one["settles_at"] for one in listed] == sorted(one["settles_at"] for one in listed)
    pieced, after = [], []
    while True:
        page = sharded.json("outcomes", "--due", "--limit", "7", *after)
        assert len(page["data"]) <= 7
        pieced += page["data"]
        if page["next_cursor"] is None:
            break
        after = ["--after", page["next_cursor"]]
    assert pieced == listed


def test_the_order_is_that_of_deadlines_and_not_of_their_stored_lower_bounds(deployment: Deployment) -> None:
    deployment.apply()
    # The second event moves the deadline of the first outcome by less than the store writes down.
    deployment.event("ticket-0001", "asked", agent_key="patient", at="*")
    deployment.event("ticket-0002", "asked", agent_key="patient", at="*")
    deployment.work()
    deployment.event("ticket-0001", "asked", agent_key="patient", at="*")
    deployment.work()
    bounds = deployment.call("ZRANGE", "witn:{0}:due", 0, -1)
    assert bounds == [b"ticket-0001", b"ticket-0002"]
    assert keys(deployment.json("outcomes", "--due")) == ["ticket-0002", "ticket-0001"]


def test_the_newest_come_first_and_the_list_can_be_taken_up(sharded: Deployment) -> None:
    sharded.apply()
    names = [f"ticket-{n:04}" for n in range(90)]
    for n, key in enumerate(names):
        sharded.event(key, "replied", n)
    sharded.work()
    found: list[str] = []
    after: list[str] = []
    pages = 0
    while True:
        page = sharded.json("outcomes", "--limit", "10", *after)
        pages += 1
        found += keys(page)
        if page["next_cursor"] is None:
            break
        after = ["--after", page["next_cursor"]]
    assert found == names[::-1]
    assert pages == 9


def test_those_whose_key_begins_so_come_in_the_order_of_their_keys(sharded: Deployment) -> None:
    sharded.apply()
    for after, n in enumerate((3, 1, 2)):
        sharded.event(f"ticket-{n:04}", "replied", after)
        sharded.event(f"other-{n:04}", "replied", after)
    sharded.work()
    page = sharded.json("outcomes", "--prefix", "ticket-", "--limit", "2")
    assert keys(page) == ["ticket-0001", "ticket-0002"]
    rest = sharded.json("outcomes", "--prefix", "ticket-", "--after", page["next_cursor"])
    assert (keys(rest), rest["next_cursor"]) == (["ticket-0003"], None)
    wrong = sharded.witnd("outcomes", "--prefix", "ticket-", "--due")
    assert wrong.exit_code == 2


def test_cursors_of_other_lists_are_refused(deployment: Deployment) -> None:
    for after in ("x", "0", "0:x", ""):
        wrong = deployment.witnd("outcomes", "--after", after)
        assert wrong.exit_code == 2
        assert "--after" in wrong.stderr


def test_one_outcome_is_listed_by_its_key(deployment: Deployment) -> None:
    deployment.apply()
    for n in range(2):
        deployment.event(f"ticket-{n:04}", "replied", n)
    deployment.work()
    assert keys(deployment.json("outcomes", "--key", "ticket-0001")) == ["ticket-0001"]
    assert keys(deployment.json("outcomes", "--key", "ticket-0001", "--status", "open")) == []
    assert deployment.witnd("outcomes", "--key", "ticket-0001", "--due").exit_code == 2
