"""The books of the last weeks of a company, for tests that look at pages: what the demo plays, half a day for each of
its seconds, beside a catalogue with a past, invoices in every state and endpoints that fail.

`say` may put other words in the place of every text that somebody outside may choose.
"""

import tomllib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from ipaddress import ip_network
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import tomli_w
from msgspec.structs import replace

from tests.support.companies import BILLING, SELLER, png
from tests.support.deployment import Deployment
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server
from tests.web.recorded_run import settle
from witnd.config import BillingConfig
from witnd.demo.traffic import LANES, Arrival, Lane, PlotRun, Raw, fields, outcomes
from witnd.domain.values import instant
from witnd.web.routes import PAGES

Say = Callable[[str], str]
SECOND = 1000
DAY = 86_400 * SECOND
# A second of the demo is half a day here, so that some outcomes are still open.
SLOWER = 43_200
DAYS = 75
TIERS = [
    {"up_to": "50", "price_per_unit": "1.20"},
    {"up_to": "200", "price_per_unit": "0.90"},
    {"price_per_unit": "0.60"},
]
# Addresses that are no pages for people to look at.
_NO_PAGES = (
    "/",
    "/dashboard/",
    "/dashboard/live",
    "/dashboard/static/{name}",
    "/dashboard/seller/logo",
    "/dashboard/invoices/{id}/credit-lines",  # needs chosen lines; its golden page has them
)


def looked_at() -> list[str]:
    """The paths of all pages."""
    found = {one.path for one in PAGES if one.method == "GET"}
    return sorted(one for one in found if one not in _NO_PAGES and not one.endswith("/export"))


class Sample:
    """`api` has the daemon; `named` finds one thing of each kind to look at; `say` spells its words."""

    def __init__(self, api: ApiServer, say: Say) -> None:
        self.api = api
        self.say = say

    def named(self, path: str) -> str:
        """The address of a page, its names filled in with something that is there."""
        if "{" not in path:
            return path
        for known, text in self._one(path.split("/")[2], path).items():
            path = path.replace(known, quote(text, safe=""))
        if path.endswith("/terms"):
            return f"{path}?agent={quote(self.say('support'), safe='')}"
        if path.endswith("/tax"):
            draft = next(one["id"] for one in self.api.get("/v1/invoices?status=draft")["data"])
            return f"/dashboard/invoices/{draft}/tax?outcome={quote(charged(self.api, draft), safe='')}"
        if path.endswith("/credit"):
            return f"{path}?outcome={quote(charged(self.api, path.split('/')[3]), safe='')}"
        return path

    def _one(self, kind: str, path: str) -> dict[str, str]:
        api, say = self.api, self.say
        if kind == "outcomes":
            return {"{key}": say("support:ticket:1004")}
        if kind == "agents":
            return {"{key}": say("support")}
        if kind == "customers":
            return {"{key}": say("globex"), "{agent}": say("coding")}
        if kind == "rate-cards":
            return {"{key}": "usage"}
        if kind == "taxes":
            return {"{key}": say("vat")}
        if kind == "notifications":
            return {"{name}": say("finance")}
        if kind == "events":
            [one] = api.get("/v1/events?fate=rejected&limit=1")["data"]
            return {"{partition}": str(one["partition"]), "{id}": one["id"]}
        listed = {
            "deliveries": "/v1/deliveries?standing=dead&limit=1",
            "tokens": "/v1/tokens",
            "credit-notes": "/v1/credit-notes",
            "invoices": f"/v1/invoices?status={'issued' if path.endswith('credit') else 'paid'}",
        }[kind]
        return {"{id}": api.get(listed)["data"][0]["id"]}


def charged(api: ApiServer, invoice: str) -> str:
    """The outcome of a line of an invoice that costs something, of which nothing was credited."""
    lines = api.get(f"/v1/invoices/{invoice}/lines")["data"]
    credited = {one["corrects"] for one in lines}
    return next(
        str(one["outcome_key"])
        for one in lines
        if one["kind"] == "outcome" and Decimal(one["amount"]) and one["id"] not in credited
    )


def same(text: str) -> str:
    return text


@contextmanager
def sample(
    server: Server, directory: Path, *, many: int = 20, say: Say = same, answer: str = "no such tenant"
) -> Iterator[Sample]:
    """`many`: outcomes of each of the demo's three agents. `answer`: what failing endpoints say."""
    with answering(answer) as endpoint:
        deployment = Deployment(server, directory)
        deployment.apply(_catalogue(endpoint, say))
        _send(deployment, many, say)
        local = (ip_network("127.0.0.0/8"),)
        billing = BillingConfig(issue="manual")
        with api_server(server, directory, allow_networks=local, schedule=(0.05,), billing=billing) as api:
            settle(api)
            found = Sample(api, say)
            _administrate(api, say)
            yield found


@contextmanager
def answering(answer: str) -> Iterator[str]:
    """An endpoint; the last part of its address is the status that it answers with."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status = int(self.path.rpartition("/")[2])
            self.send_response(status)
            body = answer.encode() if status >= 400 else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}"
        finally:
            listening.shutdown()
            thread.join()


def _catalogue(endpoint: str, say: Say) -> str:
    found = tomllib.loads(files("witnd.demo").joinpath("catalogue.toml").read_text(encoding="utf-8"))
    for agent in found["agents"]:
        agent["settlement_period"] *= SLOWER
        agent |= {"key": say(agent["key"]), "name": say(agent["name"])}
        for result in agent.get("grades", [agent]):
            _respell(result["condition"], say)
        if "reversal" in agent:
            agent["reversal"]["on"] = [say(action) for action in agent["reversal"]["on"]]
    for card in found["rate_cards"]:
        for entry in card["entries"]:
            entry["agent"] = say(entry["agent"])
    tiers = {"agent": say("support"), "kind": "graduated", "tiers": TIERS, "free_quota": "5", "period_minimum": "20"}
    found["rate_cards"].append(
        {
            "key": "usage",
            "currency": "EUR",
            "fees": [{"key": say("platform"), "name": say("Platform"), "amount": "49", "tax": say("vat")}],
            "entries": [
                tiers,
                {"agent": say("coding"), "kind": "package", "package_size": "10", "price_per_package": "40"},
                {"agent": say("contract"), "price_per_unit": "1.20", "tax": "export"},
            ],
        }
    )
    for customer in found["customers"]:
        customer |= {"key": say(customer["key"]), "name": say(customer["name"])}
        del customer["billing"]  # most have none here
    found["customers"][0] |= {
        "rate_card": "usage",
        "billing": BILLING | {"legal_name": say("Acme Inc."), "tax": say("vat")},
    }
    found["taxes"] = [
        {"key": say("vat"), "name": say("VAT 19%"), "rate": "19", "category": "S"},
        {"key": "export", "rate": "0", "category": "G", "note": say("Export")},
    ]
    found["seller"] = SELLER | {
        "logo": b64encode(png(160, 40)).decode(),
        "name": say("Kontor GmbH"),
        "address": [say("Hafenstraße 1")],
        "footer": say("Thank you"),
    }
    found["customers"].append({"key": say("penniless"), "name": say("Penniless & Sons")})
    rules = [("crm", "both", 200), ("finance", "outcome_confirmed", 500), ("old-erp", "outcome_missed", 410)]
    found["notification_rules"] = [
        {"name": say(name), "source": source, "url": f"{endpoint}/{status}"} for name, source, status in rules
    ]
    return tomli_w.dumps(found)


def _respell(condition: Any, say: Say) -> None:
    for one in condition:
        if "fact" in one:
            one["fact"] = say(one["fact"])
        else:
            _respell(one["conditions"], say)


def _send(deployment: Deployment, many: int, say: Say) -> None:
    """Everything that happened until a minute ago, in its order."""
    seconds, _ = deployment.call("TIME")
    now = int(seconds) * SECOND
    entries: list[tuple[int, dict[str, str]]] = []
    for number, lane in enumerate(LANES):
        for place, acted in enumerate(islice(outcomes(lane), many)):
            at = now - DAYS * DAY + int((place + number / len(LANES)) * DAYS * DAY / many)
            entries += [one for one in _played(lane, acted, at, say) if one[0] < now - 60 * SECOND]
    for at, entry in sorted(entries, key=lambda one: one[0]):
        words = [word for pair in entry.items() for word in pair]
        deployment.call("XADD", deployment.keys().events, f"{at}-*", *words)
    # Something that is waited for, at an instant that somebody named.
    until_then = {"settles_at": instant.render(now + DAY), "value": say("gold")}
    deployment.event(
        say("support:pinned"), say("agent_replied"), at=f"{now - 30 * SECOND}-*", customer_key=say("acme"),
        agent_key=say("support"), properties=until_then,
    )  # fmt: skip


def _played(lane: Lane, acted: PlotRun, at: int, say: Say) -> Iterator[tuple[int, dict[str, str]]]:
    known = replace(acted, key=say(acted.key), customer=say(acted.customer), lane=replace(lane, agent=say(lane.agent)))
    for number, step in enumerate(acted.plot):
        at += int(step.after * SLOWER * SECOND)
        if isinstance(step, Raw):
            yield at, {"data": step.data.replace('"key": "', '"key": "' + say("<b>"))}
        elif not isinstance(step, Arrival):
            customer = None if step.customer is None else say(step.customer)
            yield at, {**fields(known, number, replace(step, action=say(step.action), customer=customer))}


def _administrate(api: ApiServer, say: Say) -> None:
    """What people did: versions, terms of one customer, invoices in every state, tokens."""

    def done(method: str, path: str, body: Any = None) -> Any:
        answer = api.ask(method, path, body)
        assert answer.status in (200, 201), (path, answer.body)
        return answer.json

    def of(kind: str, key: str) -> str:
        return f"/v1/{kind}/{quote(say(key), safe='')}"

    now = api.get("/v1/overview")["now"]
    later = instant.render(instant.parse(now) + 7 * DAY)
    done("PATCH", of("agents", "support"), {"name": say("Support desk"), "settlement_period": 3 * 86_400})
    done("PATCH", of("agents", "support"), {"settlement_period": 4 * 86_400, "effective_from": later})
    own = {"agent": say("support"), "price_per_unit": "0.80"}
    terms = {"agent": say("coding"), "name": say("Coding for Globex"), "settlement_period": 86_400}
    done("PATCH", of("customers", "globex"), {"entries": [own], "agents": [terms]})
    done("POST", "/v1/customers", {"key": say("former"), "name": say("Former Ltd"), "rate_card": "europe"})
    done("DELETE", of("customers", "former"))
    done("POST", "/v1/tokens", {"name": say("website"), "scopes": ["ingest"], "rate": 50})
    until(lambda: len(api.get("/v1/invoices?status=draft")["data"]) >= 6, "the periods are closed")
    until(lambda: api.get("/v1/deliveries?standing=dead&limit=1")["data"] != [], "a delivery is given up")
    drafts = api.get("/v1/invoices?status=draft")["data"]
    for one in drafts:
        for what, price in (("Setup", "40.00"), ("Goodwill", "-15.00")):
            line = {"description": say(what)[:200], "quantity": "1", "unit_price": price}
            done("POST", f"/v1/invoices/{one['id']}/lines", line)
    first, second, _ = [done("POST", f"/v1/invoices/{one['id']}/issue") for one in drafts[:3]]
    reason = {"outcome_key": charged(api, first["id"]), "reason": say("reopened after all")[:500]}
    done("POST", f"/v1/invoices/{first['id']}/credit", reason)
    done("POST", f"/v1/invoices/{first['id']}/pay")
    done("POST", f"/v1/invoices/{second['id']}/void", {"reason": say("sent to the wrong company")[:500]})
