"""`witnd events`: the fate of one, lists of what was not applied, asking again."""

import json

import pytest

from tests.support.deployment import CATALOGUE, LONG_AGO, Deployment


def fates(deployment: Deployment, *arguments: str) -> list[tuple[str, str, str | None]]:
    return [(e["id"], e["fate"], e["reason"]) for e in deployment.json("events", *arguments)["data"]]


def test_every_fate_is_told_for_the_id_of_its_entry(deployment: Deployment) -> None:
    deployment.apply()
    ids = {
        "applied": deployment.event("ticket-0001", "replied", 0, idempotency_key="a"),
        "duplicate": deployment.event("ticket-0001", "replied", 1, idempotency_key="a"),
        "conflict": deployment.event("ticket-0001", "other", 2, idempotency_key="a"),
        "rejected": deployment.event("ticket-0001", "replied", 3, customer_key="penniless"),
        "held": deployment.event("ticket-0002", "replied", 4, customer_key="penniless"),
        "late": deployment.event("ticket-0001", "replied", 70_000),
    }
    assert {deployment.json("events", id_)["fate"] for id_ in ids.values()} == {"waiting"}
    deployment.work()
    found = {name: deployment.json("events", id_) for name, id_ in ids.items()}
    assert {name: one["fate"] for name, one in found.items()} == {name: name for name in ids}
    assert found["rejected"]["reason"] == "IDENTITY_MISMATCH"
    assert found["held"]["reason"] == "NO_RATE_CARD"
    assert found["late"]["key"] == "ticket-0001"
    assert found["applied"]["accepted_at"] == "2001-09-09T01:46:40.000Z"
    [[name, data]] = found["applied"]["fields"]
    assert (name, json.loads(data)["action"]) == ("data", "replied")


def test_an_applied_event_is_found_by_its_key_when_the_log_is_trimmed(deployment: Deployment) -> None:
    deployment.apply()
    id_ = deployment.event("ticket-0001", "replied")
    deployment.work()
    deployment.call("XTRIM", "witn:{0}:events", "MAXLEN", 0)
    missing = deployment.witnd("events", id_)
    assert missing.exit_code == 2
    assert id_ in missing.stderr
    assert deployment.json("events", id_, "--key", "ticket-0001")["fate"] == "applied"
    assert deployment.witnd("events", id_, "--key", "ticket-0002").exit_code == 2


def test_an_applied_event_is_found_in_a_long_history(deployment: Deployment) -> None:
    deployment.apply()
    ids = [deployment.event("ticket-0001", "replied", n) for n in range(2300)]
    deployment.work(lambda client: client.hget("witn:{0}:state", "applied") == b"2300")
    for id_ in (ids[0], ids[999], ids[1000], ids[-1]):
        assert deployment.json("events", id_)["fate"] == "applied"


def test_the_daemons_own_entries_are_control_entries(deployment: Deployment) -> None:
    deployment.apply()
    tick = deployment.call("XADD", "witn:{0}:events", f"{LONG_AGO}-0", "witnd", "tick")
    deployment.work()
    assert deployment.json("events", tick.decode())["fate"] == "control"


def test_a_rejected_event_shows_what_was_sent_safely(deployment: Deployment) -> None:
    deployment.apply()
    deployment.call("XADD", "witn:{0}:events", f"{LONG_AGO}-0", "data", b"\x1b[2J\xff{")
    deployment.work()
    listed = deployment.witnd("events", "--fate", "rejected")
    assert listed.exit_code == 0
    assert "INVALID_EVENT" in listed.stdout
    assert "\\x1b[2J\\xff{" in listed.stdout
    alone = deployment.witnd("events", f"{LONG_AGO}-0")
    assert "  data: \\x1b[2J\\xff{" in alone.stdout
    assert "\x1b" not in listed.stdout + alone.stdout


def test_lists_go_from_the_newest_on_and_can_be_taken_up_again(deployment: Deployment) -> None:
    deployment.apply()
    # Twelve in one millisecond, whose ids a server orders as text; held and rejected mixed.
    ids = [deployment.event(f"ticket-{n:04}", "replied", n // 12, customer_key="penniless") for n in range(30)]
    ids += [deployment.event("ticket-0001", "replied", 100, timestamp=5)]
    deployment.work()
    everything = fates(deployment)
    assert len(everything) == 31
    assert everything[0][0] == ids[-1]
    assert [int(id_.split("-")[0]) for id_, _, _ in everything] == sorted(
        (int(id_.split("-")[0]) for id_ in ids), reverse=True
    )
    pieced, after = [], []
    while True:
        page = deployment.json("events", "--limit", "4", *after)
        pieced += [(e["id"], e["fate"], e["reason"]) for e in page["data"]]
        if page["next_cursor"] is None:
            break
        after = ["--after", page["next_cursor"]]
    assert pieced == everything


def test_lists_over_partitions_are_one(sharded: Deployment) -> None:
    sharded.apply()
    ids = [sharded.event(f"ticket-{n:04}", "replied", n, customer_key="penniless") for n in range(12)]
    sharded.work()
    assert [id_ for id_, _, _ in fates(sharded)] == ids[::-1]
    after = sharded.json("events", "--limit", "5")["next_cursor"]
    assert [id_ for id_, _, _ in fates(sharded, "--after", after)] == ids[6::-1]
    alone = [fates(sharded, "--partition", str(number)) for number in range(3)]
    assert sorted(id_ for part in alone for id_, _, _ in part) == ids


def test_the_same_id_in_two_partitions_is_asked_about(sharded: Deployment) -> None:
    for number in range(2):
        sharded.call("XADD", f"witn:{{{number}}}:events", "5-5", "data", "{}")
    both = sharded.witnd("events", "5-5")
    assert both.exit_code == 2
    assert "partitions 0, 1 each have an entry 5-5" in both.stderr
    assert sharded.json("events", "5-5", "--partition", "1")["partition"] == 1


def test_a_list_can_be_of_one_outcome(deployment: Deployment) -> None:
    deployment.apply()
    for n in range(4):
        deployment.event(f"ticket-{n % 2:04}", "replied", n, customer_key="penniless")
    deployment.work()
    found = deployment.json("events", "--key", "ticket-0001", "--fate", "held")["data"]
    assert [one["key"] for one in found] == ["ticket-0001"] * 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("events", "ticket-4711"),
        ("events", "1-1", "--after", "1:0:1-1"),
        ("events", "--after", "yesterday"),
        ("events", "--fate", "applied"),
        ("events", "--partition", "7"),
        ("events", "--limit", "0"),
        ("events", "retry"),
        ("events", "retry", "--all", "ticket-4711"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(deployment: Deployment, arguments: tuple[str, ...]) -> None:
    wrong = deployment.witnd(*arguments)
    assert wrong.exit_code == 2
    assert wrong.stderr.splitlines()[-1].startswith(("Error: ", "witnd: "))


def test_held_events_are_asked_for_again(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "replied", 0, customer_key="penniless")
    deployment.event("ticket-0002", "replied", 1, customer_key="nobody")
    deployment.work()
    retried = deployment.json("events", "retry", "ticket-0001", "ticket-9999")
    assert [one["key"] for one in retried["queued"]] == ["ticket-0001"]
    assert retried["not_held"] == ["ticket-9999"]
    assert deployment.json("events", retried["queued"][0]["id"])["fate"] == "waiting"
    assert len(deployment.json("events", "retry", "--all")["queued"]) == 2
    deployment.work()
    # Nothing has changed, so what is held stays held, and asking is nobody's fate.
    assert [fate for _, fate, _ in fates(deployment)] == ["held", "held"]
    assert deployment.json("events", retried["queued"][0]["id"])["fate"] == "control"
    deployment.apply(CATALOGUE.replace('key = "penniless"', 'key = "penniless"\nrate_card = "standard"'))
    deployment.work(lambda client: client.zcard("witn:{0}:held") == 1)
    assert [reason for _, _, reason in fates(deployment)] == ["UNKNOWN_CUSTOMER"]


def test_asking_for_keys_without_held_events_is_a_mistake(deployment: Deployment) -> None:
    nothing = deployment.witnd("events", "retry", "ticket-9999")
    assert nothing.exit_code == 2
    assert "'ticket-9999'" in nothing.stderr
    assert deployment.call("EXISTS", "witn:{0}:events") == 0


def test_the_help_has_examples(deployment: Deployment) -> None:
    for command in (("events", "show"), ("events", "retry"), ("send",), ("outcomes",), ("explain",), ("audit",)):
        told = deployment.witnd(*command, "--help").stdout
        assert "Examples:" in told, command
        assert "JSON" in told, command


def test_the_help_of_the_group_names_its_commands(deployment: Deployment) -> None:
    told = deployment.witnd("events", "--help").stdout
    assert all(f"  {name} " in told for name in ("remove", "retry", "show"))


def test_the_list_of_held_events_shows_their_customer_and_what_was_sent(deployment: Deployment) -> None:
    deployment.apply()
    id_ = deployment.event("ticket-0001", "replied", customer_key="acne")
    deployment.work()
    [event] = deployment.json("events", "--fate", "held")["data"]
    assert (event["customer_key"], event["action"], event["agent_key"]) == ("acne", "replied", "support")
    assert json.loads(event["fields"][0][1])["customer_key"] == "acne"
    told = deployment.witnd("events", "--fate", "held").stdout
    assert "acne" in told
    assert '"action": "replied"' in told
    # What waits is kept beside the log.
    deployment.call("XTRIM", "witn:{0}:events", "MAXLEN", 0)
    [event] = deployment.json("events", "--fate", "held")["data"]
    assert (event["id"], event["customer_key"], event["fields"]) == (id_, "acne", None)


def test_a_held_event_is_removed_on_request_and_its_idempotency_key_is_free(deployment: Deployment) -> None:
    deployment.apply()
    wrong = deployment.event("ticket-0001", "replied", 0, customer_key="acne", idempotency_key="a")
    other = deployment.event("ticket-0001", "replied", 1, customer_key="acne", idempotency_key="b")
    alone = deployment.event("ticket-0002", "replied", 2, customer_key="acne", idempotency_key="c")
    deployment.work()
    done = deployment.json("events", "remove", wrong, alone)
    assert [(one["id"], one["key"]) for one in done["removed"]] == [(wrong, "ticket-0001"), (alone, "ticket-0002")]
    assert deployment.json("events", wrong)["fate"] == "held", "the daemon does it, and nobody else"
    deployment.work(lambda client: client.hget("witn:{0}:state", "held") == b"1")
    assert [deployment.json("events", id_)["reason"] for id_ in (wrong, alone)] == ["REMOVED", "REMOVED"]
    assert [deployment.json("events", id_)["fate"] for id_ in (wrong, alone, other)] == ["rejected", "rejected", "held"]
    assert not deployment.call("EXISTS", "witn:{0}:removals")
    audit = deployment.json("audit")
    assert audit["clean"], audit["differences"]
    assert (audit["events"]["rejected"], audit["events"]["held"]) == (2, 1)
    # The corrected events take the same keys.
    deployment.event("ticket-0002", "replied", 0, idempotency_key="c", at="*")
    again = deployment.event("ticket-0001", "replied", 0, idempotency_key="a", at="*")
    deployment.work(lambda client: client.hget("witn:{0}:state", "applied") == b"2")
    assert deployment.json("events", again)["fate"] == "applied"
    assert deployment.json("events", other)["reason"] == "IDENTITY_MISMATCH"
    assert deployment.json("audit")["clean"]
    changes = [
        json.loads(fields[b"data"]) for _, fields in deployment.call("XRANGE", "witn:{shared}:changes", "-", "+")
    ]
    assert [(one["what"], one["key"], one["after"]["event"]) for one in changes if one["what"] == "event.remove"] == [
        ("event.remove", "ticket-0001", wrong),
        ("event.remove", "ticket-0002", alone),
    ]


def test_removing_all_and_opening_the_outcome_in_one_step_keeps_the_outcome(deployment: Deployment) -> None:
    deployment.apply()
    wrong = deployment.event("ticket-0001", "replied", 0, customer_key="acne", idempotency_key="a")
    deployment.work()
    deployment.json("events", "remove", wrong)
    deployment.event("ticket-0001", "replied", 0, idempotency_key="a", at="*")
    deployment.work(lambda client: client.hget("witn:{0}:state", "applied") == b"1")
    assert deployment.json("explain", "ticket-0001")["outcome"]["status"] == "PENDING"
    assert deployment.json("audit")["clean"]


def test_only_held_events_are_removed(deployment: Deployment) -> None:
    deployment.apply()
    applied = deployment.event("ticket-0001", "replied")
    deployment.work()
    for id_, said in ((applied, "is applied"), ("1-1", "'1-1'")):
        done = deployment.witnd("events", "remove", id_)
        assert done.exit_code == 2
        assert said in done.stderr
    assert not deployment.call("EXISTS", "witn:{0}:removals")


def test_events_are_read_and_retried_while_the_catalogue_is_damaged(deployment: Deployment) -> None:
    deployment.apply()
    held = deployment.event("ticket-0002", "replied", customer_key="penniless")
    deployment.work()
    deployment.call("LSET", "witn:{shared}:catalogue", 0, "damaged")
    assert deployment.witnd("agents").exit_code == 3
    assert deployment.json("events", held)["fate"] == "held"
    assert fates(deployment) == [(held, "held", "NO_RATE_CARD")]
    assert deployment.json("events", "retry", "ticket-0002")["not_held"] == []
    assert [one["id"] for one in deployment.json("events", "remove", held)["removed"]] == [held]
