"""The clock of a real server jumps beside real daemons. Nothing settles, closes or is issued early."""

import json
import signal
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest

from tests.support.clocks import ClockedServer, before_midnight, clocked_server
from tests.support.daemon import SECONDS, Daemon, event
from tests.support.processes import until
from witnd.domain.values import instant
from witnd.store.keys import BillingKeys, GlobalKeys, Keys

KEYS, BILLING = Keys("witn", 0), BillingKeys("witn")
HOUR, DAY = 3600, 86_400
JUMPS = (7, -7, 15, -15, HOUR, -HOUR, DAY)
CATALOGUE = """
customers = [{ key = "acme", rate_card = "standard" }]
[[agents]]
key = "quick"
settlement_period = 1
condition = [{ fact = "resolved", operator = "seen" }]
[[agents]]
key = "soon"
settlement_period = 10
condition = [{ fact = "resolved", operator = "seen" }]
[[agents]]
key = "later"
settlement_period = 40
condition = [{ fact = "resolved", operator = "seen" }]
[[agents]]
key = "patient"
settlement_period = 600
condition = [{ fact = "resolved", operator = "seen" }]
[[rate_cards]]
key = "standard"
currency = "EUR"
entries = [
  { agent = "quick", price_per_unit = "1" },
  { agent = "soon", price_per_unit = "1" },
  { agent = "later", price_per_unit = "1" },
  { agent = "patient", price_per_unit = "1" },
]
"""


def begin(here: ClockedServer, *names: str) -> list[Daemon]:
    """Daemons, of which the first is the owner and the others are on standby, and a catalogue in effect."""
    daemons = [here.daemon(names[0])]
    daemons[0].says("daemon.ready")
    for name in names[1:]:
        daemons.append(here.daemon(name))
        daemons[-1].says("partition.standby")
    daemons[0].apply(CATALOGUE)
    return daemons


def send(here: ClockedServer, key: str, agent: str) -> int:
    """Append an event. Answers the ms of its entry."""
    added = here.server.call("XADD", KEYS.events, "*", "data", json.dumps(event(key) | {"agent_key": agent}))
    assert isinstance(added, bytes)
    return int(added.partition(b"-")[0])


def resolutions(here: ClockedServer) -> dict[str, int]:
    """The resolved outcomes, each with the instant that it was due at."""
    found: dict[str, int] = {}
    with here.server.sync() as client:
        entries: Any = client.xrange(KEYS.resolutions)
    for _, fields in entries:
        one = json.loads(fields[b"data"])
        settles_at = instant.parse(one["settles_at"])
        assert settles_at is not None
        found[one["outcome_key"]] = settles_at
    return found


def issued(here: ClockedServer) -> list[tuple[str, int]]:
    """Issued invoices, each with the end of its period."""
    found = []
    with here.server.sync() as client:
        names: Any = client.zrange(BILLING.invoices, 0, -1)
        for name in names:
            head: Any = client.hgetall(BILLING.invoice(name.decode()))
            if head.get(b"number"):
                found.append((name.decode(), int(head[b"end"])))
    return found


def drafts(here: ClockedServer) -> int:
    """How many open drafts there are."""
    with here.server.sync() as client:
        return int(cast("int", client.zcard(BILLING.open)))


def watch(here: ClockedServer, seconds: float) -> None:
    """Look all the time, for as long as that, that nothing happened before its time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        nothing_early(here)
        time.sleep(0.05)


def nothing_early(here: ClockedServer) -> None:
    settled, invoices, now = resolutions(here), issued(here), here.now_ms
    assert {key: at - now for key, at in settled.items() if at > now + 5} == {}
    assert {id_: end - now for id_, end in invoices if end > now} == {}


def on_time(here: ClockedServer, key: str) -> None:
    def holds() -> bool:
        nothing_early(here)
        return key in resolutions(here)

    until(holds, f"{key} is settled\n{here.daemons[0].log[-3000:]}", seconds=SECONDS)


@pytest.fixture
def here() -> Iterator[ClockedServer]:
    with clocked_server() as made:
        yield made


@pytest.mark.parametrize(
    ("jump", "lease"),
    [
        pytest.param(jump, lease, marks=() if (jump, lease) in ((7, 1), (HOUR, 1)) else pytest.mark.slow)
        for lease in (1, 10)
        for jump in JUMPS
    ],
)
def test_a_jump_settles_nothing_early_with_an_owner_and_a_standby(jump: int, lease: float) -> None:
    with clocked_server(lease=lease) as here:
        owner, standby = begin(here, "a", "b")
        send(here, "outcome-quick", "quick")
        on_time(here, "outcome-quick")
        send(here, "outcome-patient", "patient")
        send(here, "outcome-soon", "soon")
        here.jump(jump)
        for one in (owner, standby):
            one.says("clock.jumped")
        watch(here, 6)
        here.jump(0)
        for one in (owner, standby):
            one.says("clock.recovered")
        on_time(here, "outcome-soon")
        send(here, "outcome-after", "quick")
        on_time(here, "outcome-after")
        assert "outcome-patient" not in resolutions(here)
        assert [one.process.poll() for one in (owner, standby)] == [None, None]


@pytest.mark.slow
def test_after_a_step_within_the_tolerance_nothing_settles_early_and_work_continues(here: ClockedServer) -> None:
    [owner] = begin(here, "a")
    send(here, "outcome-soon", "soon")
    here.jump(4)
    owner.says("clock.stepped")
    on_time(here, "outcome-soon")
    # What is accepted by the wrong clock waits for as long as that is ahead.
    send(here, "outcome-quick", "quick")
    on_time(here, "outcome-quick")
    assert owner.lines("clock.jumped") == []


@pytest.mark.slow
def test_an_owner_killed_during_a_jump_is_followed_by_a_standby_that_does_not_believe_it_either(
    here: ClockedServer,
) -> None:
    owner, standby = begin(here, "a", "b")
    send(here, "outcome-soon", "soon")
    here.jump(15)
    standby.says("clock.jumped")
    owner.kill()
    standby.says("partition.running")
    standby.says("log.blocked", code="clock_jumped")
    watch(here, 2)
    here.jump(0)
    on_time(here, "outcome-soon")


@pytest.mark.slow
def test_a_lease_that_a_clock_set_back_has_prolonged_is_taken_from_a_dead_owner(here: ClockedServer) -> None:
    # Hosts of their own: what is known of a dead process on the same one is not used.
    owner, standby = begin(here, "a", "b")
    owner.process.send_signal(signal.SIGSTOP)
    with here.server.sync() as client:
        client.pexpire(KEYS.owner, HOUR * 1000)
    standby.says("partition.running")
    send(here, "outcome-quick", "quick")
    on_time(here, "outcome-quick")
    owner.process.send_signal(signal.SIGCONT)
    owner.says("lease.lost")


@pytest.mark.slow
@pytest.mark.parametrize("jump", [HOUR, 15])
def test_a_process_started_after_the_jump_compares_with_what_the_one_before_knew(
    here: ClockedServer, jump: int
) -> None:
    [owner] = begin(here, "a")
    send(here, "outcome-soon", "soon")
    journal = owner.state_dir / "journal-witn.json"
    until(lambda: journal.exists() and '"high_ms"' in journal.read_text(), "the anchor is kept")
    here.jump(jump)
    owner.kill()
    following = here.daemon("a")
    if jump == HOUR:
        # Host and server differ by more than a minute: the daemon does not even start.
        assert following.exit_code() == 3
        here.jump(0)
        following = here.daemon("a")
    else:
        following.says("clock.jumped")
        following.says("daemon.ready")
        watch(here, 3)
        here.jump(0)
    on_time(here, "outcome-soon")


@pytest.mark.slow
def test_no_lease_is_taken_while_the_clocks_differ_by_more_than_a_minute(here: ClockedServer) -> None:
    owner, standby = begin(here, "a", "b")
    here.jump(HOUR)  # ends the leases
    owner.says("lease.refused", of="partition 0")
    for one in (owner, standby):
        one.says("lease.refused", of="the billing")

    def begun() -> int:
        return sum(len(one.lines("partition.running")) for one in (owner, standby))

    before = begun()
    watch(here, 2)
    assert begun() == before
    here.jump(0)
    until(lambda: begun() > before, "one of them takes the lease again", seconds=SECONDS)


def test_an_accepted_clock_takes_effect_without_a_restart_and_a_later_jump_is_not_accepted(here: ClockedServer) -> None:
    owner, standby = begin(here, "a", "b")
    send(here, "outcome-patient", "patient")
    send(here, "outcome-later", "later")
    nothing = owner.witnd("repair", "clock", "--yes")
    assert "no daemon reports a jump" in nothing.stdout, nothing.stderr
    here.jump(45)
    for one in (owner, standby):
        one.says("clock.jumped")
    with here.server.sync() as client:
        until(lambda: client.hlen(GlobalKeys("witn").clock) == 2, "both jumps are published", seconds=SECONDS)

    catalogue = here.directory / "catalogue.toml"
    catalogue.write_text(CATALOGUE.replace("settlement_period = 600", "settlement_period = 700"))
    refused = owner.witnd("apply", str(catalogue))
    assert refused.returncode == 3
    assert "jumped by +45 s" in refused.stderr
    shown = json.loads(owner.witnd("repair", "clock", "--json").stdout)
    assert shown["needed"]
    assert not shown["done"]
    assert {one["instance"] for one in shown["jumps"]} == {"a", "b"}
    assert shown["due"]["outcomes"] == 1
    assert owner.lines("clock.accepted") == []
    done = owner.witnd("repair", "clock", "--yes")
    assert done.returncode == 0, done.stderr
    for one in (owner, standby):
        one.says("clock.accepted")
    until(lambda: "outcome-later" in resolutions(here), "what is due by the accepted clock settles", seconds=SECONDS)
    with here.server.sync() as client:
        changes: Any = client.xrange(GlobalKeys("witn").changes)
    [change] = [json.loads(fields[b"data"]) for _, fields in changes if b"clock.accept" in fields[b"data"]]
    assert change["after"]["outcomes_due"] == 1

    here.jump(45 + 14)
    for one in (owner, standby):
        one.says("clock.jumped", times=2)
    time.sleep(2)
    assert [len(one.lines("clock.accepted")) for one in (owner, standby)] == [1, 1]
    assert "outcome-patient" not in resolutions(here)


@pytest.mark.slow
@pytest.mark.parametrize("jump", [15, HOUR, DAY])
def test_no_period_closes_and_nothing_is_issued_before_its_end(jump: int) -> None:
    with clocked_server(base_s=before_midnight(40)) as here:
        midnight = here.now_ms + 40_000
        owner, standby = begin(here, "a", "b")
        send(here, "outcome-quick", "quick")
        until(lambda: bool(drafts(here)), "a draft is open", seconds=30)
        until(lambda: here.now_ms > midnight - 12_000, "midnight is near", seconds=SECONDS)
        here.jump(jump)
        for one in (owner, standby):
            one.says("clock.jumped")
        watch(here, 5)
        assert here.now_ms < midnight, "this machine is too slow for this test"
        here.jump(0)

        def is_issued() -> bool:
            nothing_early(here)
            return bool(issued(here))

        until(is_issued, "the invoice is issued", seconds=SECONDS)
        audited = owner.witnd("audit")
        assert audited.returncode == 0, audited.stdout


@pytest.mark.slow
@pytest.mark.parametrize("jump", [HOUR, -HOUR, DAY])
def test_a_jump_of_the_hosts_own_clock_changes_nothing_about_money(jump: int) -> None:
    with clocked_server(lease=10) as here:
        clock = here.directory / "host-clock"
        clock.write_text("+0")
        owner = here.daemon("a", clock)
        owner.begins(CATALOGUE)
        send(here, "outcome-patient", "patient")
        due = send(here, "outcome-soon", "soon") + 10_000
        draft = clock.with_suffix(".draft")
        draft.write_text(f"{jump:+d}")
        draft.replace(clock)
        on_time(here, "outcome-soon")

        assert resolutions(here) == {"outcome-soon": due}
        assert owner.lines("clock.jumped") == []
        assert owner.process.poll() is None
