"""A deployment seen from outside: events go into the log, commands are run, and only what they print is read."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from zlib import crc32

import msgspec
from redis import Redis, ResponseError

from tests.support.deployment import Deployment
from tests.support.processes import DEADLINE, until
from witnd.config import DaemonConfig, HttpConfig, load
from witnd.daemon.assembly import Daemon
from witnd.daemon.process.systemd import Systemd
from witnd.endpoint import endpoint

ANYBODY = """
[[customers]]
key = "acme"
rate_card = "standard"

[[agents]]
key = "support"
settlement_period = 1
attribution_method = "sum"
condition = [{ fact = "done", operator = "seen" }]

[[rate_cards]]
key = "standard"
currency = "EUR"
entries = [{ agent = "support", price_per_unit = "1" }]
"""


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


class Ledger(Deployment):
    """`confirm` makes outcomes that resolve at an instant; `close` runs a daemon until all that is over is closed."""

    def set(self, **settings: str) -> None:
        """Settings of `[billing]`, for commands and the daemon."""
        self.environ |= {f"WITND_BILLING__{name.upper()}": value for name, value in settings.items()}

    def apply_at(self, text: str, at: str) -> None:
        """Apply a catalogue that takes effect at an instant."""
        file = self.directory / "dated.toml"
        file.write_text(text)
        done = self.witnd("apply", str(file), "--effective-from", at)
        assert done.exit_code == 0, done.output

    def confirm(self, key: str, resolved_at: str, *attributions: float, accepted_before: int = 1000, **who: str) -> str:
        """An outcome that is done and settles at the instant, with an event for each attribution (none: one event)."""
        event = {"key": key, "action": "done", "customer_key": "acme", "agent_key": "support"} | who
        stream = f"witn:{{{crc32(key.encode()) % self.partitions}}}:events"
        id_ = f"{ms(resolved_at) - accepted_before}-*"
        for attribution in attributions or (None,):
            properties = {} if attribution is None else {"properties": {"attribution": attribution}}
            self.call("XADD", stream, id_, "data", json.dumps(event | properties))
        return key

    def tick(self, partition: int, at: str) -> None:
        self.call("XADD", f"witn:{{{partition}}}:events", f"{ms(at)}-*", "witnd", "tick")

    # -- the daemon ----------------------------------------------------------------------------------------------------

    async def _work(self, holds: Any, instance: str = "workshop") -> None:
        config = msgspec.structs.replace(
            load(None, self.environ),
            daemon=DaemonConfig(instance=instance, state_dir=self.directory),
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

    def close(self, *, issued: bool = False, charged: bool = False) -> list[dict[str, Any]]:
        """Let a daemon work until every line is collected, and every period that is over is closed; if `charged`, also
        those in which only fees are due."""
        with self.working():
            until(
                lambda: self.is_closed(issued=issued) and (not charged or self.is_charged()),
                "all that is over is closed",
            )
        return self.invoices()

    def is_closed(self, *, issued: bool) -> bool:
        with self.server.sync() as client:
            now = client.time()[0] * 1000
            if not self.settled(client) or client.zcount("witn:{shared}:billing:open", "-inf", now):
                return False
            lines = sum(self._lines(client))
        found = self.invoices()
        return sum(one["lines"] for one in found) == lines and all(
            (one["closed"] and (one["status"] != "draft" or not issued)) or ms(one["period_end"]) > now for one in found
        )

    def is_charged(self) -> bool:
        with self.server.sync() as client:
            reached = int(client.hget("witn:{shared}:billing:state", "charged_to") or 0)
            return reached >= client.time()[0] * 1000 - 32 * 86_400_000

    def _lines(self, client: Redis) -> list[int]:
        counts = []
        for partition in range(self.partitions):
            with suppress(ResponseError):
                reversals = int(client.hget(f"witn:{{{partition}}}:state", "reversed") or 0)
                counts.append(client.xlen(f"witn:{{{partition}}}:lines") - reversals)
        return counts

    # -- what is printed -----------------------------------------------------------------------------------------------

    def invoices(self, *filters: str) -> list[dict[str, Any]]:
        """All of them, the oldest first."""
        found, after = [], []
        while True:
            page = self.json("invoices", "list", "--limit", "1000", *after, *filters)
            found += page["data"]
            if page["next_cursor"] is None:
                return found[::-1]
            after = ["--after", page["next_cursor"]]

    def invoice(self, customer: str = "acme") -> dict[str, Any]:
        """The only one of a customer."""
        [one] = self.invoices("--customer", customer)
        return one

    def rows(self, id_: str) -> list[dict[str, Any]]:
        return self.json("invoices", "show", id_)["lines"]

    def amounts(self, id_: str) -> list[tuple[str, str | None]]:
        return [(row["kind"], row["amount"]) for row in self.rows(id_)]

    def keys_of(self, id_: str) -> list[str]:
        return [row["outcome_key"] for row in self.rows(id_) if row["kind"] == "outcome"]

    def balance(self, id_: str) -> str:
        return self.json("invoices", "show", id_)["balance"]

    def done(self, *arguments: str) -> dict[str, Any]:
        return self.json("invoices", *arguments)

    def refused(self, *arguments: str) -> str:
        """What a command says that ends with the exit code of wrong input."""
        result = self.witnd(*arguments)
        assert result.exit_code == 2, (arguments, result.output)
        return result.output

    def refused_after_first(self, *arguments: str, first: str, then: str) -> str:
        """The same command with another amount."""
        assert self.witnd(*arguments, "--amount", first).exit_code == 0
        return self.refused(*arguments, "--amount", then)

    def audited_while_working(self) -> None:
        """Invoices are judged rightly while a daemon works, if perhaps not every sum."""
        report = self.witnd("audit", "--json")
        assert report.exit_code in (0, 3), report.output
        assert json.loads(report.stdout)["differences"] == []

    def audited(self) -> dict[str, Any]:
        """Prove the sums, quickly and in full; both must be clean."""
        quick = self.witnd("audit", "--quick")
        assert quick.exit_code == 0, quick.output
        report = self.witnd("audit", "--json")
        assert report.exit_code == 0, report.output
        found = json.loads(report.stdout)
        assert (found["clean"], found["differences"]) == (True, [])
        return found


def toml(agents: Sequence[str], cards: dict[str, tuple[str, Sequence[str]]], customers: dict[str, str]) -> str:
    """A catalogue: agents that settle after a second, cards as key → (currency, entries), customers → card."""
    parts = [
        f'[[agents]]\nkey = "{agent}"\nsettlement_period = 1\nattribution_method = "sum"\n'
        'condition = [{ fact = "done", operator = "seen" }]\n'
        for agent in agents
    ]
    parts += [
        f'[[rate_cards]]\nkey = "{key}"\ncurrency = "{currency}"\nentries = [{", ".join(entries)}]\n'
        for key, (currency, entries) in cards.items()
    ]
    parts += [f'[[customers]]\nkey = "{key}"\nrate_card = "{card}"\n' for key, card in customers.items()]
    return "\n".join(parts)
