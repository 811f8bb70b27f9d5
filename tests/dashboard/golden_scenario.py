"""What the golden pages show: a catalogue with versions, outcomes in every state, invoices and deliveries.

Instants are fixed where they can be; those of the run are replaced in the golden pages.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.dashboard.client import Dashboard, Page
from tests.dashboard.test_deliveries import some
from tests.support.companies import BILLING, SELLER
from tests.support.deployment import CATALOGUE, LONG_AGO, Deployment
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server
from tests.web.catalogue import RULE, made
from tests.web.invoices import AHEAD, ROWS, put
from tests.web.recorded_run import settle
from witnd.config import BillingConfig
from witnd.domain.invoices.invoice import edition_id

LATER = "2097-01-01T00:00:00.000Z"
GRADUATED = [{"up_to": "100", "price_per_unit": "2"}, {"price_per_unit": "1.255", "flat_fee": "20"}]
Visits = Iterator[tuple[str, Page]]


class Scenario:
    """A daemon with all that the pages show. `named` has ids that only the run knows."""

    def __init__(self, api: ApiServer) -> None:
        self.api = api
        self.admin = Dashboard(api)
        self.reader = Dashboard(api, "read")
        self.named: dict[str, str] = {}


@contextmanager
def prepared(server: Server, directory: Path) -> Iterator[Scenario]:
    """The daemon of the scenario. Its log begins before the daemon does."""
    deployment = Deployment(server, directory)
    deployment.apply(CATALOGUE.partition("[[notification_rules]]")[0])
    named = _events(deployment)
    with api_server(server, directory, billing=BillingConfig(issue="manual")) as api:
        settle(api)
        scenario = Scenario(api)
        scenario.named = named
        _changes(scenario)
        yield scenario


@contextmanager
def empty(server: Server, directory: Path) -> Iterator[ApiServer]:
    """A daemon without anything."""
    with api_server(server, directory) as api:
        yield api


def _events(deployment: Deployment) -> dict[str, str]:
    def event(name: str, key: str, action: str, after: int, **members: Any) -> None:
        named[name] = deployment.event(key, action, after, **members)

    named: dict[str, str] = {}
    event("applied", "ticket-0001", "replied", 0, idempotency_key="a", properties={"attribution": 3, "by": "Eve"})
    event("duplicate", "ticket-0001", "replied", 1, idempotency_key="a", properties={"attribution": 3, "by": "Eve"})
    event("conflict", "ticket-0001", "reopened", 2, idempotency_key="a")
    event("mismatch", "ticket-0001", "replied", 3, customer_key="penniless")
    event("missed", "ticket-0003", "replied", 4)
    event("missed", "ticket-0003", "reopened", 5)
    event("late", "ticket-0001", "replied", 60_010)
    event("unplaced", "ticket-0006", "replied", 60_011, customer_key="globex", agent_key="support")
    event("held", "ticket-0006", "asked", 60_012, customer_key="penniless")
    named["rejected"] = deployment.call(
        "XADD", "witn:{0}:events", f"{LONG_AGO + 60_013}-*", "data", "not JSON"
    ).decode()
    event("pending", "ticket-0004", "rated", 60_014, agent_key="patient", properties={"value": 5}, at="*")
    event("open", "ticket-0005", "asked", 60_015, agent_key="patient", at="*")
    return named


def _changes(scenario: Scenario) -> None:
    """What people did before the pages are looked at."""
    api = scenario.api

    def done(method: str, path: str, body: Any = None) -> Any:
        answer = api.ask(method, path, body)
        assert answer.status in (200, 201), (path, answer.body)
        return answer.json

    until(lambda: api.get("/v1/invoices?status=draft")["data"] != [], "the period of the first events is closed")
    done("PATCH", "/v1/agents/support", {"name": "Support desk", "settlement_period": 3600})
    done("PATCH", "/v1/agents/support", {"settlement_period": 7200, "effective_from": LATER})
    grades = [
        {"key": "paid", "name": "Paid in full", "condition": [{"fact": "paid", "operator": "seen"}]},
        {"key": "promised", "condition": []},
    ]
    made(api, "/v1/agents", {"key": "retired", "grades": grades, "timers": {"noted": "keep", "promised": 86_400}})
    done("DELETE", "/v1/agents/retired")
    made(api, "/v1/rate-cards", {"key": "usage", "currency": "EUR", "entries": [
        {"agent": "support", "kind": "graduated", "free_quota": "10", "period_minimum": "5", "tiers": GRADUATED},
        {"agent": "patient", "kind": "package", "package_size": "100", "price_per_package": "9"},
    ]})  # fmt: skip
    own = {"entries": [{"agent": "support", "price_per_unit": "0.80"}],
           "agents": [{"agent": "patient", "name": "Patient for Acme", "settlement_period": 86_400}]}  # fmt: skip
    made(api, "/v1/taxes", {"key": "vat", "name": "VAT", "rate": "19", "category": "S"})
    done("PATCH", "/v1/taxes/vat", {"name": "VAT 19%", "note": "at the standard rate"})
    made(api, "/v1/taxes", {"key": "old", "rate": "0", "category": "AE"})
    done("DELETE", "/v1/taxes/old")
    done("PUT", "/v1/seller", SELLER)
    own |= {"billing": BILLING, "fees": [{"key": "platform", "amount": "9", "starts": "2096-01-01", "tax": "vat"}]}
    done("PATCH", "/v1/customers/acme", {"name": "Acme", "email": "billing@acme.example", **own})
    made(api, "/v1/customers", {"key": "former"})
    done("DELETE", "/v1/customers/former")
    for name in ("billing", "crm"):
        made(api, "/v1/notification-rules", {**RULE, "name": name})
    scenario.named |= {state: one.id for state, one in some(api).items()}
    draft, issued, void = put(api, "acme"), put(api, "other"), put(api, "third")
    collecting = put(api, "acme", ROWS[:1], currency="USD", closed=False)
    for one in (issued, void):
        done("POST", f"/v1/invoices/{one.id}/issue")
    done("POST", f"/v1/invoices/{void.id}/void", {"reason": "sent to the wrong company"})
    credit = {"outcome_key": "ticket-1", "amount": "1.50", "reason": "reopened by phone"}
    done("POST", f"/v1/invoices/{issued.id}/credit", credit)
    done("POST", f"/v1/invoices/{draft.id}/credit", credit)
    for price in ("50.00", "-150.00"):
        line = {"description": f"Setup at {price}", "quantity": "2", "unit_price": price}
        api.ask("POST", f"/v1/invoices/{collecting.id}/lines", line)
        api.ask("POST", f"/v1/invoices/{draft.id}/lines", line)
    done("PATCH", f"/v1/invoices/{draft.id}/lines/{ROWS[1].id}", {"tax": "old", "reason": "delivered abroad"})
    paid = done("POST", f"/v1/invoices/{issued.id}/payments", {"amount": "3.00", "date": "2026-11-03"})
    done("POST", f"/v1/invoices/{issued.id}/payments/{paid['id']}/reverse")
    done("POST", f"/v1/invoices/{issued.id}/payments", {"amount": "12.50", "date": "2026-11-04", "reference": "4711"})
    revised = put(api, "penniless")
    done("POST", f"/v1/invoices/{revised.id}/issue")
    done("POST", f"/v1/invoices/{revised.id}/revise", {"reason": "wrong price"})
    overpaid = put(api, "acme", at=AHEAD.end)
    done("POST", f"/v1/invoices/{overpaid.id}/issue")
    done("POST", f"/v1/invoices/{overpaid.id}/payments", {"amount": "20.00", "date": "2026-11-05"})
    done("POST", "/v1/customers/acme/refunds", {"amount": "2.50", "date": "2026-11-06", "method": "transfer"})
    scenario.named |= {"draft": draft.id, "collecting": collecting.id, "next edition": edition_id(revised, 2)}
    scenario.named["token"] = made(api, "/v1/tokens", {"name": "shop", "scopes": ["ingest"], "rate": 50})["id"]
    until(lambda: api.get("/v1/overview")["lag"] == 0, "the figures of the overview are those after all events")


def visits(scenario: Scenario) -> Visits:
    """The pages, each with a name for what it shows."""
    admin, reader, at = scenario.admin, scenario.reader, scenario.named
    for path in _paths(at):
        yield f"an admin at {path.split('?')[0] if '=' not in path else path}", admin.get(f"/dashboard{path}")
    for path in ("", "/agents/support", "/customers/acme", "/customers/acme/prices", "/invoices/INV-000001", "/tokens"):
        yield f"a reader at {path or '/'}", reader.get(f"/dashboard{path}")
    yield from _forms(scenario)
    yield from _actions(scenario)


def _paths(at: dict[str, str]) -> list[str]:
    return [
        "", "/outcomes", "/outcomes?search=nothing", "/outcomes/ticket-0001", "/outcomes/ticket-0003",
        "/outcomes/ticket-0004", "/outcomes/ticket-0005", "/outcomes/ticket-0006", "/outcomes/ticket-none",
        "/problems", "/events", "/events?key=none-such", "/events?id=x", f"/events/0/{at['late']}",
        f"/events/0/{at['conflict']}", f"/events/0/{at['mismatch']}", f"/events/0/{at['rejected']}",
        f"/events/0/{at['held']}", f"/events/0/{at['duplicate']}", "/events/0/1-1",
        "/agents", "/agents?archived=yes", "/agents/support", "/agents/support?version=1",
        "/agents/support?from=1&to=2", "/agents/retired", "/agents/retired/edit", "/agents/new", "/agents/support/edit",
        "/customers", "/customers?search=nobody", "/customers/acme", "/customers/acme?from=1&to=2",
        "/customers/penniless", "/customers/nobody", "/customers/new", "/customers/acme/edit",
        "/customers/acme/prices", "/customers/acme/fees", "/rate-cards/standard/fees", "/customers/penniless/prices",
        "/customers/acme/terms/patient",
        "/rate-cards", "/rate-cards/usage", "/rate-cards/usage?agent=support&outcomes=250",
        "/rate-cards/standard?from=1&to=1", "/rate-cards/new", "/rate-cards/usage/edit",
        "/taxes", "/taxes?archived=yes", "/taxes/vat?from=1&to=2", "/taxes/old", "/taxes/new", "/taxes/vat/edit",
        "/seller", "/seller/edit",
        "/invoices", "/invoices?status=paid", "/invoices?period=soon", "/invoices/ageing", f"/invoices/{at['draft']}",
        f"/invoices/{at['collecting']}", "/invoices/INV-000001", "/invoices/INV-000002",
        "/invoices/INV-000003", f"/invoices/{at['next edition']}", "/customers/acme/refund",
        f"/invoices/INV-000001/credit-lines?line-{ROWS[0].id}=outcome:ticket-1&line-{ROWS[1].id}=line",
        "/invoices/INV-000001/credit?outcome=ticket-1", f"/invoices/{at['draft']}/tax?outcome=ticket-2",
        "/customers/acme/line", "/credit-notes", "/credit-notes?customer=nobody",
        "/credit-notes/CN-000001",
        "/notifications", "/notifications/crm", "/notifications/billing", "/notifications/new",
        "/notifications/crm/edit", "/deliveries", "/deliveries?standing=dead", "/deliveries?standing=parked",
        "/deliveries?about=nothing", "/deliveries/resend",
        *[f"/deliveries/{at[state]}" for state in ("delivered", "dead", "parked")],
        f"/tokens/{at['token']}", "/tokens", "/tokens/new", "/changes", "/settings", "/nothing-here",
    ]  # fmt: skip


def _forms(scenario: Scenario) -> Visits:
    """Forms that are refused, with what is said at their fields."""
    admin = scenario.admin
    kinds = ("agents", "customers", "rate-cards", "taxes", "notifications", "tokens")
    new = {kind: f"/dashboard/{kind}/new" for kind in kinds}
    wrong: dict[str, Any] = {"effective_from": "soon"}
    page = admin.submit(admin.get(new["agents"]), new["agents"], button="save", period="0", **wrong)
    yield "a refused form of an agent", page
    example = {"c.0.fact": "replied", "e.0.action": "replied"}
    yield "a condition that was tried", admin.submit(page, new["agents"], button="try", period="1", **example)
    page = admin.submit(admin.get(new["customers"]), key="acme 2", email="nobody", **wrong)
    yield "a refused form of a customer", page
    page = admin.submit(admin.get(new["taxes"]), key="x", rate="19%", category="AE", **wrong)
    yield "a refused form of a tax", page
    page = admin.submit(admin.get("/dashboard/seller/edit"), name="", address="a\n\x07", tax_id="DE1", **wrong)
    yield "a refused form of the seller", page
    page = admin.get(new["rate-cards"])
    yield "a refused form of a rate card", admin.submit(page, new["rate-cards"], button="save", key="A!", **wrong)
    page = admin.submit(admin.get(new["notifications"]), name="x", url="ftp://x", secret="abc", **wrong)
    yield "a refused form of a notification", page
    page = admin.submit(admin.get(new["tokens"]), name=" ", scopes=None, rate="fast")
    yield "a refused form of a token", page
    path = f"/dashboard/invoices/{scenario.named['draft']}"
    yield "an invoice that was not issued", admin.submit(admin.get(path), f"{path}/issue")
    page = admin.get("/dashboard/deliveries/resend")
    span = {"from": "2026-01-01T00:00", "to": "2026-01-02T00:00"}
    yield "deliveries that were counted", admin.submit(page, button="count", **span)
    yield "a form for readers", scenario.reader.get(new["agents"])


def _actions(scenario: Scenario) -> Visits:
    """Pages that only follow an action, and states that come at the end."""
    api, admin = scenario.api, scenario.admin
    page = admin.get("/dashboard/notifications/new")
    yield "a secret that is shown once", admin.submit(page, name="new-one", url="https://example.com/")
    yield (
        "a notification that was disabled",
        admin.submit(admin.get("/dashboard/notifications/crm"), "/dashboard/notifications/crm/disable"),
    )
    yield "a token that is shown once", admin.submit(admin.get("/dashboard/tokens/new"), name="x", scopes=["read"])
    page = admin.get("/dashboard/customers/new")
    for key in api.deployment.call("KEYS", "witn:{shared}:session:*"):
        api.deployment.call("DEL", key)
    page = admin.submit(page, key="late-one", name="Late")
    yield "a form after the session ended", page
    yield "a form that was kept", admin.submit(page, "/dashboard/sign-in", token=api.tokens["admin"])
    deployment = api.deployment
    deployment.call("SET", deployment.keys().outcome("damaged-0001"), "xxxx")
    deployment.event("damaged-0001", "replied", at="*")
    until(lambda: deployment.call("HEXISTS", deployment.keys().on_hold, "damaged-0001"), "it is on hold")
    yield "an outcome on hold", admin.get("/dashboard/outcomes/damaged-0001")
    yield "problems with one on hold", admin.get("/dashboard/problems")
    yield from _several_invoices(admin)


def _several_invoices(admin: Dashboard) -> Visits:
    """Drafts that are issued together, and payments that are recorded together."""
    issue, pay = (f"/dashboard/invoices/bulk/{action}" for action in ("issue", "pay"))
    page = admin.submit(admin.get("/dashboard/invoices"), issue)
    yield "invoices to issue", page
    yield "invoices that cannot be issued", admin.submit(page, issue, button="preview", date="2020-01-01")
    yield "invoices that were issued", admin.submit(page, issue, confirmed="yes")
    page = admin.submit(admin.get("/dashboard/invoices"), pay)
    yield "payments to record", page
    yield "what is due", admin.get("/dashboard/invoices/ageing")
    admin.submit(page, pay, confirmed="yes", reference="4711")
    yield "payments of what was paid before", admin.submit(page, pay, confirmed="yes", once="another form")


def visits_of_nothing(api: ApiServer) -> Visits:
    """The lists of a daemon without anything."""
    admin = Dashboard(api)
    for kind in ("", "/outcomes", "/problems", "/events", "/agents", "/customers", "/rate-cards", "/rate-cards/new",
                 "/taxes", "/seller", "/seller/edit",
                 "/invoices", "/invoices/ageing", "/credit-notes", "/notifications", "/deliveries",
                 "/changes"):  # fmt: skip
        yield f"nothing at {kind or '/'}", admin.get(f"/dashboard{kind}")
    yield "signed out", Dashboard(api, None).get("/dashboard/sign-in")
    yield "a wrong token", Dashboard(api, None).sign_in("wn_nonsense_x")
