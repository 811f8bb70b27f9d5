"""Build a small deployment with the real daemon and write it, and what it answers, as the data of this format.

If a change needs new stored data here, it is a new format: increase `witnd.store.meta.FORMAT` with it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.golden.dump import dump
from tests.support.deployment import TAXED_CATALOGUE, Deployment
from tests.support.server import Server
from witnd.app.invoices import credit as crediting
from witnd.app.invoices import manual_lines
from witnd.app.invoices.manual_lines import LineFacts
from witnd.app.invoices.operations import named, revise
from witnd.app.services import Services
from witnd.cli.console.author import author
from witnd.cli.console.context import session
from witnd.store.keys import BillingKeys
from witnd.store.meta import FORMAT

FILE = Path(__file__).with_name(f"format-{FORMAT}.json")
BILLING = BillingKeys("witn")
SOON = 100
AUTHOR = "ops@billing-1"
# Commands whose answers every later version must give for these data.
QUESTIONS = (
    ("export",),
    ("audit", "--json"),
    ("explain", "confirmed-01", "--json"),
    ("explain", "missed-0001", "--json"),
    ("explain", "held-000001", "--json"),
    ("invoices", "list", "--json"),
    ("invoices", "show", "INV-000001", "--json"),
    ("invoices", "show", "INV-000002", "--json"),
    ("invoices", "show", "CN-000001", "--json"),
    ("invoices", "balance", "acme", "--json"),
    ("deliveries", "list", "--json"),
    ("agents", "--json"),
    ("tokens", "list", "--json"),
)


def answers(deployment: Deployment) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for question in QUESTIONS:
        done = deployment.witnd(*question)
        assert done.exit_code == 0, (question, done.output)
        found[" ".join(question)] = json.loads(done.stdout) if "--json" in question else done.stdout
    return found


def build(deployment: Deployment) -> None:
    """Outcomes in every state, every fate, a held event, deliveries that failed; a credited and paid invoice, a revised
    one with an overridden tax and a discount, and an open one with a manual line."""
    deployment.apply(TAXED_CATALOGUE)
    deployment.event("confirmed-01", "replied", idempotency_key="a")
    deployment.event("confirmed-01", "replied", SOON, idempotency_key="a")
    deployment.event("confirmed-01", "replied", 2 * SOON, idempotency_key="a", properties={"attribution": 3})
    deployment.event("missed-0001", "replied", 3 * SOON)
    deployment.event("missed-0001", "reopened", 4 * SOON)
    deployment.event("credited-01", "replied", 5 * SOON, properties={"attribution": 4})
    deployment.event("held-000001", "replied", 6 * SOON, customer_key="nobody")
    deployment.event("x", "replied", 7 * SOON)
    deployment.event("globex-0001", "replied", 8 * SOON, customer_key="globex", properties={"attribution": 20})
    deployment.event("globex-0002", "replied", 9 * SOON, customer_key="globex")
    deployment.event("missed-0001", "replied", 90_000)
    deployment.event("open-000001", "looked", agent_key="patient", at="*")
    deployment.event("pending-001", "rated", agent_key="patient", at="*", properties={"value": 5})

    def is_issued(client: Any) -> bool:
        waits = client.zcard(BILLING.open) + client.zcard(BILLING.to_issue)
        return deployment.settled(client) and client.zcard(BILLING.invoices) == 2 and not waits

    deployment.work(lambda client: is_issued(client) and client.hlen("witn:{0}:attempts") >= 2)
    deployment.apply(TAXED_CATALOGUE.replace("0.995", "1.5"))
    done = deployment.witnd(
        "invoices", "credit", "credited-01", "--amount", "1", "--reason", "a sample", "--id", "sample-1"
    )
    assert done.exit_code == 0, done.output
    with_services(deployment, change_taxes)
    paid = deployment.json("invoices", "payment", "INV-000001", "--amount", "500", "--id", "sample-2")
    deployment.json("invoices", "reverse", "INV-000001", paid["id"])
    deployment.json(
        "invoices", "payment", "INV-000001", "--amount", "600", "--date", "2026-11-30", "--method", "transfer"
    )
    deployment.json("invoices", "refund", "acme", "--amount", "2.50", "--reference", "R-1")
    done = deployment.witnd("tokens", "create", "shop", "--scope", "ingest")
    assert done.exit_code == 0, done.output


async def change_taxes(services: Services) -> None:
    """Revise the invoice of globex, and change the draft. Add a line to the current period of acme."""
    heads = [await named(services, number) for number in ("INV-000001", "INV-000002")]
    [globex] = [head for head in heads if head.customer_key == "globex"]
    draft = (await revise(services, author(), globex, "wrong tax")).draft
    row = await crediting.billed_row(services, draft, outcome_key="globex-0002", row_id=None)
    await manual_lines.override_tax(services, author(), draft, row, "reduced", "a book")
    discount = LineFacts(description="Discount", quantity="1", unit_price="-5")
    await manual_lines.add(services, author(), draft, discount)
    setup = LineFacts(description="Setup", quantity="2.5", unit_price="40", tax="reduced")
    await manual_lines.add_for_customer(services, author(), "acme", setup)


def with_services(deployment: Deployment, do: Callable[[Services], Awaitable[None]]) -> None:
    async def run() -> None:
        async with session(None, deployment.environ) as opened:
            await do(opened.services)

    asyncio.run(run())


def main() -> None:
    with TemporaryDirectory(prefix="witnd-") as directory, Server(Path(directory)) as server:
        deployment = Deployment(server, Path(directory))
        build(deployment)
        with server.sync() as client:
            # The change log must not name who wrote this file, nor where.
            commands = [[word.replace(author().who, AUTHOR) for word in command] for command in dump(client)]
        golden = {"format": FORMAT, "commands": commands, "answers": answers(deployment)}
    FILE.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
