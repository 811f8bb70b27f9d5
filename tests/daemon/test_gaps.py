"""The real daemon beside a log that loses entries before they were read."""

import json
from collections.abc import Callable

from tests.support.daemon import Daemon, event
from tests.support.server import Server

LOG, STATE = "witn:{0}:events", "witn:{0}:state"


def add_and_trim(redis: Server, many: int, kept: int) -> None:
    """In one transaction: nobody can read what is trimmed."""
    with redis.sync() as client, client.pipeline(transaction=True) as block:
        for number in range(many):
            block.execute_command("XADD", LOG, "MAXLEN", kept, "*", "data", json.dumps(event(f"ticket-{number:04}")))
        block.execute()


def test_entries_that_were_trimmed_in_the_transaction_that_added_them_stop_an_idle_daemon(
    server: Callable[[], Server], daemon: Callable[..., Daemon]
) -> None:
    redis = server()
    one = daemon(redis)
    one.begins()
    one.send("ticket-first")
    one.settles(1)
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
    following = daemon(redis)
    assert following.exit_code() == 3

    accepted = following.witnd("repair", "gap", "--yes")
    assert accepted.returncode == 0, accepted.stderr
    daemon(redis).settles(6)
    audit = one.witnd("audit")
    assert audit.returncode == 0, audit.stdout
    assert "15 entries known to be missing" in audit.stdout


def test_a_log_that_was_deleted_and_begun_again_stops_the_daemon_until_it_is_accepted(
    server: Callable[[], Server], daemon: Callable[..., Daemon]
) -> None:
    redis = server()
    one = daemon(redis)
    one.begins()
    for number in range(30):
        one.send(f"ticket-{number:04}")
    one.settles(30)
    assert one.terminate() == 0
    for number in range(10):
        one.send(f"ticket-lost-{number}")
    redis.call("DEL", LOG)
    one.send("ticket-after")

    refused = daemon(redis)
    assert refused.exit_code() == 3
    assert "deleted and recreated" in refused.log
    assert refused.witnd("audit").returncode == 5
    accepted = refused.witnd("repair", "gap", "--yes")
    assert accepted.returncode == 0, accepted.stderr
    going_on = daemon(redis)
    going_on.settles(31)
    add_and_trim(redis, 4, 1)
    assert going_on.exit_code() == 3
    assert "3 entries after" in going_on.log
