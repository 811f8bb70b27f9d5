"""The real daemon beside a log that loses entries before they were read."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.daemon.test_unsafe import Life, begin, life, resolved, send  # noqa: F401
from tests.support.processes import until
from tests.support.server import Server

LOG, STATE = "witn:{0}:events", "witn:{0}:state"


def event(key: str) -> str:
    return json.dumps({"key": key, "action": "resolved", "customer_key": "acme"})


def add_and_trim(redis: Server, many: int, kept: int) -> None:
    """In one transaction: nobody can read what is trimmed."""
    with redis.sync() as client, client.pipeline(transaction=True) as block:
        for number in range(many):
            block.execute_command("XADD", LOG, "MAXLEN", kept, "*", "data", event(f"ticket-{number:04}"))
        block.execute()


def test_entries_that_were_trimmed_in_the_transaction_that_added_them_stop_an_idle_daemon(
    server: Callable[[], Server],
    life: Callable[[Server], Life],  # noqa: F811
    short_dir: Path,
) -> None:
    redis, one = begin(server, life, short_dir)
    send(redis, "ticket-first")
    until(lambda: resolved(redis) == 1, "the outcome is settled")
    before = redis.call("HGET", STATE, "applied")
    add_and_trim(redis, 20, 5)

    assert one.exit_code() == 3
    assert "15 entries after" in one.log
    assert "witnd repair gap" in one.log
    assert redis.call("HGET", STATE, "applied") == before
    assert one.witnd("doctor").returncode == 3
    audit = one.witnd("audit")
    assert audit.returncode == 5
    assert "15 entries after" in audit.stdout
    following = life(redis)
    assert following.exit_code() == 3

    accepted = following.witnd("repair", "gap", "--yes")
    assert accepted.returncode == 0, accepted.stderr
    life(redis)
    until(lambda: resolved(redis) == 6, "what is left is settled")
    audit = one.witnd("audit")
    assert audit.returncode == 0, audit.stdout
    assert "15 entries known to be missing" in audit.stdout


def test_a_log_that_was_deleted_and_begun_again_stops_the_daemon_until_it_is_accepted(
    server: Callable[[], Server],
    life: Callable[[Server], Life],  # noqa: F811
    short_dir: Path,
) -> None:
    redis, one = begin(server, life, short_dir)
    for number in range(30):
        send(redis, f"ticket-{number:04}")
    until(lambda: resolved(redis) == 30, "all are settled")
    one.process.terminate()
    assert one.exit_code() == 0
    for number in range(10):
        send(redis, f"ticket-lost-{number}")
    redis.call("DEL", LOG)
    send(redis, "ticket-after")

    refused = life(redis)
    assert refused.exit_code() == 3
    assert "deleted and recreated" in refused.log
    assert refused.witnd("audit").returncode == 5
    accepted = refused.witnd("repair", "gap", "--yes")
    assert accepted.returncode == 0, accepted.stderr
    going_on = life(redis)
    until(lambda: resolved(redis) == 31, "the event of the new log is settled")
    add_and_trim(redis, 4, 1)
    assert going_on.exit_code() == 3
    assert "3 entries after" in going_on.log
