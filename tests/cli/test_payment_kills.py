"""Commands that are killed at each step of an operation: nothing is half done, and repeating them does it once."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.cli.test_invoices import KEYS, ROWS, november
from tests.support.deployment import CATALOGUE, TAXED_CATALOGUE, Deployment

# The command, killed before its script is sent, or after the server has executed it.
KILLED = """
import os, signal, sys
from witnd.store.server.scripts import Script

point, run = sys.argv.pop(1), Script.run

async def deadly(self, client, keys, args):
    if self.name not in ("invoices/change", "invoices/refund"):
        return await run(self, client, keys, args)
    if point == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    answer = await run(self, client, keys, args)
    if point == "executed":
        os.kill(os.getpid(), signal.SIGKILL)
    return answer

Script.run = deadly
from witnd.cli.main import main
main()
"""
PAY = ("payment", "INV-000001", "--amount", "12.50", "--date", "2026-12-03", "--id", "p")
# Operation → what comes before it, and the command.
OPERATIONS: dict[str, tuple[list[tuple[str, ...]], tuple[str, ...]]] = {
    "issue": ([], ("issue", "ID")),
    "payment": ([("issue", "ID")], PAY),
    "pay": ([("issue", "ID")], ("pay", "INV-000001")),
    "reverse": ([("issue", "ID"), PAY], ("reverse", "INV-000001", "PAYMENT")),
    "credit": (
        [("issue", "ID")],
        ("credit", "--invoice", "INV-000001", "--row", ROWS[0].id, "--row", f"{ROWS[1].id}=1", "--reason", "r",
         "--id", "c"),
    ),
    "credit of a draft": ([], ("credit", "--invoice", "ID", "--row", ROWS[0].id, "--reason", "r", "--id", "c")),
    "refund": ([("issue", "ID"), PAY], ("refund", "acme", "--amount", "1.50", "--date", "2026-12-04", "--id", "r")),
    "void": ([("issue", "ID")], ("void", "INV-000001", "--reason", "r", "--yes")),
    "revise": ([("issue", "ID")], ("revise", "INV-000001", "--reason", "r")),
    "a manual line": ([], ("add-line", "ID", "--description", "Setup", "--unit-price", "4", "--id", "l")),
    "a line of a customer": (
        [], ("add-line", "--customer", "acme", "--description", "Setup", "--unit-price", "4", "--id", "l"),
    ),
    "the tax of a row": ([], ("set-tax", "ID", ROWS[0].id, "--tax", "reduced", "--reason", "r")),
}  # fmt: skip
# Those that also write taxes.
TAXED = ("issue", "credit", "credit of a draft", "void", "revise", "a manual line", "a line of a customer",
         "the tax of a row")  # fmt: skip


def killed(deployment: Deployment, point: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, point, "invoices", *arguments],
        env=os.environ | deployment.environ, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, (done.returncode, done.stderr)


def everything(deployment: Deployment) -> dict[str, Any]:
    """All of billing, without the instants. Documents are stored after an operation, and by its repetition if they are
    missing."""
    found: dict[str, Any] = {}
    for name in sorted(map(bytes.decode, deployment.call("KEYS", "witn:{shared}:billing:*"))):
        if ":documents:" in name:
            continue
        kind = deployment.call("TYPE", name).decode()
        match kind:
            case "hash":
                flat = deployment.call("HGETALL", name)
                pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
                found[name] = {
                    field: b"" if field.endswith(b"_at") or ":changes:" in name else value for field, value in pairs
                }
                if ":changes:" in name:
                    found[name] = len(found[name])
            case "list":
                found[name] = deployment.call("LLEN", name)
            case "zset":
                found[name] = sorted(deployment.call("ZRANGE", name, 0, -1))
            case _:
                found[name] = kind
    found["changes"] = deployment.call("XLEN", KEYS.change_log)
    return found


@pytest.mark.parametrize(
    ("name", "catalogue"),
    [(name, CATALOGUE) for name in OPERATIONS if name != "the tax of a row"]
    + [(name, TAXED_CATALOGUE) for name in TAXED],
    ids=lambda it: {CATALOGUE: "untaxed", TAXED_CATALOGUE: "taxed"}.get(it, it),
)
def test_a_killed_operation_is_done_whole_or_not_at_all_and_once(
    deployment: Deployment, name: str, catalogue: str
) -> None:
    before, command = OPERATIONS[name]
    one = november(deployment)
    deployment.apply(catalogue)

    def filled(arguments: tuple[str, ...]) -> list[str]:
        words = [one.id if word == "ID" else word for word in arguments]
        if "PAYMENT" in words:
            paid = deployment.json("invoices", "show", one.id)["payments"][0]["id"]
            words[words.index("PAYMENT")] = paid
        return words

    for arguments in before:
        deployment.json("invoices", *filled(arguments))
    arguments = filled(command)
    start = everything(deployment)

    killed(deployment, "before", *arguments)
    assert everything(deployment) == start, "nothing was written"

    killed(deployment, "executed", *arguments)
    after = everything(deployment)
    assert after != start
    assert after["changes"] == start["changes"] + 1, "the entry of the change log came with it"

    again = deployment.json("invoices", *arguments)
    assert everything(deployment) == after, "it is done once"
    assert json.dumps(again)
    found = json.loads(deployment.witnd("audit", "--quick", "--json").stdout)
    wrong = [one for one in found["differences"] if not one["what"].startswith(WRITTEN_BY_HAND)]
    assert wrong == [], wrong


# The invoice of these tests was written without lines of outcomes and without the event of its close, and its rows have
# no price.
WRITTEN_BY_HAND = (
    "billing event invoice_closed",
    "sums by tax key",
    "lines",
    "rows",
    "row",
    "lines of all invoices in EUR",
    "subtotals of all invoices in EUR",
)
