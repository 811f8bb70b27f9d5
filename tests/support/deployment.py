"""Commands and a real daemon in one process, on the test's server.

Events get ids in the past, so that nothing has to be waited for: the daemon's first look at the
clock settles all that is due.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import redis
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from tests.support.processes import DEADLINE
from tests.support.server import Server
from witnd.cli.main import main
from witnd.config import Config, DaemonConfig, HttpConfig, RedisConfig
from witnd.daemon.assembly import Daemon
from witnd.daemon.process.systemd import Systemd
from witnd.domain.outcomes.partitioning import partition_of
from witnd.endpoint import endpoint
from witnd.store.keys import Keys
from witnd.store.meta import FORMAT

# Long ago and whole, so that instants in expectations are easy to read: 2001-09-09T01:46:40Z.
LONG_AGO = 1_000_000_000_000

CATALOGUE = """
[[customers]]
key = "acme"
rate_card = "standard"

[[customers]]
key = "penniless"

[[agents]]
key = "support"
name = "Support"
settlement_period = 60
attribution_method = "sum"
condition = [{ fact = "replied", operator = "seen" }, { fact = "reopened", operator = "not seen" }]

[[agents]]
key = "patient"
settlement_period = 15552000
condition = [{ fact = "rated", operator = "gte", value = 4 }]

[[rate_cards]]
key = "standard"
currency = "EUR"
entries = [{ agent = "support", price_per_unit = "0.995" }, { agent = "patient", price_per_unit = "2" }]

[[notification_rules]]
name = "crm"
source = "both"
url = "http://127.0.0.1:9/hook"
"""

# The same with a seller, two taxes, and two customers whose rows are taxed.
TAXED_CATALOGUE = (
    CATALOGUE.replace(
        'rate_card = "standard"\n',
        'rate_card = "standard"\nbilling = { legal_name = "Acme Robotics GmbH", country = "DE", tax = "full" }\n',
        1,
    )
    + """
[[customers]]
key = "globex"
rate_card = "standard"
billing = { tax = "full", payment_terms_days = 14 }

[seller]
name = "Example Ltd."
address = ["1 Example Street"]
country = "DE"

[[taxes]]
key = "full"
name = "VAT"
rate = "19"
category = "S"

[[taxes]]
key = "reduced"
name = "VAT"
rate = "7"
category = "S"
"""
)


def _loop_runs() -> bool:
    """Whether this thread has an event loop already, as the driver of a browser keeps one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class Deployment:
    """`witnd` runs a command, `event` sends without one, `work` lets the daemon read and settle."""

    def __init__(self, server: Server, directory: Path, partitions: int = 1) -> None:
        self.server = server
        self.partitions = partitions
        self.directory = directory
        self.environ = {
            "WITND_REDIS__URL": server.url,
            "WITND_REDIS__PARTITIONS": str(partitions),
        }

    def witnd(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        invoke = partial(CliRunner().invoke, main, arguments, env=self.environ, input=stdin)
        if not _loop_runs():
            return invoke()
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(invoke).result()

    def json(self, *arguments: str, exit_code: int = 0) -> Any:
        """What a command prints with `--json`."""
        done = self.witnd(*arguments, "--json")
        assert done.exit_code == exit_code, done.output
        return json.loads(done.stdout)

    def apply(self, text: str = CATALOGUE) -> None:
        file = self.directory / "catalogue.toml"
        file.write_text(text)
        done = self.witnd("apply", str(file))
        assert done.exit_code == 0, done.output

    def event(self, key: str, action: str, after: int = 0, **members: Any) -> str:
        """An event accepted `after` ms after LONG_AGO; `*` as `at` for now. Answers its id."""
        at = members.pop("at", None) or f"{LONG_AGO + after}-*"
        customer = members.pop("customer_key", "acme")
        agent = {"agent_key": "support"} | members
        event = {"key": key, "action": action, "customer_key": customer} | agent
        stream = self.keys(key).events
        added = self.server.call("XADD", stream, at, "data", json.dumps(event))
        assert isinstance(added, bytes)
        return added.decode()

    def keys(self, key: str | None = None, partition: int = 0) -> Keys:
        number = partition if key is None else partition_of(key, self.partitions)
        return Keys("witn", number)

    def call(self, *words: str | bytes | int) -> Any:
        return self.server.call(*words)

    def create(self) -> None:
        """Write the record of a deployment that a daemon writes at its first start."""
        self.call("HSET", "witn:meta", "format", FORMAT, "deployment", "d", "partitions", self.partitions)

    def work(self, holds: Callable[[redis.Redis], bool] | None = None) -> None:
        """Run the daemon until a condition holds: that all was read and nothing is due."""
        with capture_logs():  # commands that run beside it share its standard output
            asyncio.run(self._work(holds or self.settled))

    async def _work(self, holds: Callable[[redis.Redis], bool]) -> None:
        config = Config(
            redis=RedisConfig(url=self.server.url, partitions=self.partitions),
            daemon=DaemonConfig(instance="workshop", state_dir=self.directory),
            # Tests run beside each other, and none of them asks this daemon.
            http=HttpConfig(bind=None),
        )
        daemon = Daemon(config, Systemd(), remember=False)
        running = asyncio.ensure_future(daemon.run(endpoint(self.server.url)))
        try:
            with self.server.sync() as client:
                async with asyncio.timeout(DEADLINE):
                    while not running.done() and not holds(client):
                        await asyncio.sleep(0.005)
                daemon.stop()
            await running
        finally:
            running.cancel()

    @contextmanager
    def working(self) -> Iterator[None]:
        """The daemon runs beside what is inside, in a thread of its own."""
        done = Event()
        thread = Thread(target=self.work, args=(lambda _: done.is_set(),))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(DEADLINE)
        assert not thread.is_alive()

    def settled(self, client: redis.Redis) -> bool:
        """Every log is read to its end, and no deadline lies in the past."""
        seconds, microseconds = client.time()
        now = seconds * 1000 + microseconds // 1000
        for number in range(self.partitions):
            keys = Keys("witn", number)
            # First the position, then the deadlines: what was read meanwhile would otherwise have none yet.
            if client.exists(keys.events):
                last = client.xinfo_stream(keys.events)["last-generated-id"]
                if client.hget(keys.state, "cursor") != last:
                    return False
            if client.zcount(keys.due, "-inf", now):
                return False
        return True
