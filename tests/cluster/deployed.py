"""The real daemon on several servers, with producers that use XADD and HTTP, and a receiver of webhooks."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import redis

from tests.cluster.servers import Node
from tests.support.daemon import CATALOGUE, Daemon, event, rule
from tests.support.processes import until
from tests.support.receiver import Webhook, receiver
from witnd.domain.outcomes.partitioning import partition_of

PARTITIONS = 4
SECONDS = 90.0


class Deployed:
    """A daemon with some partitions. `owner` returns the primary of a key."""

    def __init__(self, daemon: Daemon, owner: Callable[[str], Node], webhooks: list[Webhook]) -> None:
        self.daemon = daemon
        self.webhooks = webhooks
        self.owner = owner
        self.acknowledged: list[str] = []  # keys of events
        self._names = count(1)

    def call(self, *words: str | bytes | int, key: str) -> Any:
        return self.owner(key).call(*words)

    def new_key(self) -> str:
        return f"ticket-{next(self._names):04}"

    def add(self) -> str:
        """Append an event directly to its log."""
        key = self.new_key()
        stream = f"witn:{{{partition_of(key, PARTITIONS)}}}:events"
        self.call("XADD", stream, "*", "data", json.dumps(event(key)), key=stream)
        self.acknowledged.append(key)
        return key

    def post(self, token: str) -> int:
        """Send an event over HTTP. The status; 202 means that it is acknowledged."""
        key = self.new_key()
        status, _ = self.daemon.post_event(key, token)
        if status == 202:
            self.acknowledged.append(key)
        return status

    def post_until_taken(self, token: str) -> None:
        """Send an event again until it is acknowledged, as a client does."""
        key = self.new_key()
        until(lambda: self.daemon.post_event(key, token)[0] in (200, 202), f"{key} is acknowledged", seconds=SECONDS)
        self.acknowledged.append(key)

    @contextmanager
    def under_load(self, token: str, threads: int = 3) -> Iterator[None]:
        """Clients send events while the block runs. Each sends an event again until it is acknowledged."""
        done = Event()

        def work() -> None:
            while not done.is_set():
                self.post_until_taken(token)

        with ThreadPoolExecutor(threads) as pool:
            running = [pool.submit(work) for _ in range(threads)]
            try:
                yield
            finally:
                done.set()
        for one in running:
            one.result()

    def acknowledges(self, more: int) -> None:
        """Wait until so many more events are acknowledged."""
        wanted = len(self.acknowledged) + more
        until(lambda: len(self.acknowledged) >= wanted, f"{more} more events are acknowledged", seconds=SECONDS)

    def resolved(self) -> set[str]:
        """The keys of settled outcomes."""
        found = set()
        for number in range(PARTITIONS):
            stream = f"witn:{{{number}}}:resolutions"
            try:
                entries = self.call("XRANGE", stream, "-", "+", key=stream)
            except redis.RedisError:
                continue
            found |= {json.loads(fields[b"data"])["outcome_key"] for _, fields in entries}
        return found

    def settles(self) -> None:
        """Wait until each acknowledged event has settled its outcome."""
        until(
            lambda: set(self.acknowledged) <= self.resolved(),
            f"{len(self.acknowledged)} outcomes are settled",
            seconds=SECONDS,
        )

    def notifies(self) -> None:
        """Wait until the receiver has a webhook for each settled outcome."""
        until(lambda: self._notified() >= set(self.acknowledged), "each webhook has arrived", seconds=SECONDS)

    def _notified(self) -> set[str]:
        return {json.loads(webhook.body)["data"]["subjectKey"] for webhook in self.webhooks}

    def bills(self, token: str) -> None:
        """Wait until the draft invoice has one euro for each settled outcome."""
        wanted = len(self.resolved())
        until(lambda: self._drafted(token) == wanted, f"the draft has {wanted} EUR", seconds=SECONDS)

    def _drafted(self, token: str) -> float:
        status, found = self.daemon.get("/v1/invoices", token)
        if status != 200:
            return -1
        return sum(float(one["subtotal"]) for one in found["data"])

    def passes_audit(self) -> None:
        done = self.daemon.witnd("audit")
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def deployed(
    url: str, directory: Path, owner: Callable[[str], Node], *, settlement: int = 1, **settings: str
) -> Iterator[Deployed]:
    """Start a daemon, and put a catalogue into effect."""
    catalogue = CATALOGUE.replace("settlement_period = 1", f"settlement_period = {settlement}")
    with receiver() as (hook, webhooks):
        daemon = Daemon(
            url,
            directory / "state",
            **{
                "daemon__lease": "2",
                "redis__partitions": str(PARTITIONS),
                "webhooks__allow_networks": "127.0.0.0/8",
            }
            | settings,
        )
        with daemon:
            daemon.begins(catalogue + rule(hook))
            yield Deployed(daemon, owner, webhooks)
