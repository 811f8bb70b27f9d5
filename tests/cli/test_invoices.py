"""`witnd invoices` at a terminal: on drafts as the biller leaves them, without a daemon."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.deployment import LONG_AGO, Deployment
from tests.support.invoices import DAY_MS, NOVEMBER, draft, outcome_row, sums_of, write
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.routing import Terms, opening_terms
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.outcomes.outcome import Outcome, Status
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values.period import Calendar
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.errors import StoreUnavailable
from witnd.store.invoices import change as invoice_change
from witnd.store.invoices import rows as invoice_rows
from witnd.store.invoices.codec import field_text
from witnd.store.keys import BillingKeys, GlobalKeys
from witnd.store.records.codec import encode_outcome
from witnd.store.server.connection import connect

KEYS = BillingKeys("witn")
ROWS = [outcome_row("ticket-4711", "6.00"), outcome_row("ticket-4712", "4.00", at=NOVEMBER.start + 1)]
FEE = outcome_row(
    "x", "5.00", id="ef" * 32, kind="fee", rated="at_close", outcome_key=None, resolved_at=None, unit=None,
    price_per_unit=None, contract_hash=None,
    working={"kind": "fee", "tier": 2, "charged": "120", "sum_before": "10", "exact": "5", "rounded": "5.00"},
)  # fmt: skip


def written(deployment: Deployment, invoice: Invoice, rows: Sequence[Row], calendar: Calendar | None = None) -> Invoice:
    async def main() -> Invoice:
        async with connect(deployment.server.url) as client:
            more = {} if calendar is None else {"calendar": calendar}
            return await write(client, invoice, rows, partitions=deployment.partitions, **more)

    return asyncio.run(main())


def november(deployment: Deployment, customer: str = "acme", **how: Any) -> Invoice:
    return written(deployment, draft(customer, ROWS, **how), ROWS)


def settled(deployment: Deployment, *keys: str, status: Status = "CONFIRMED") -> None:
    """Outcomes as a daemon leaves them, whose lines nobody has collected yet."""

    async def main() -> None:
        async with connect(deployment.server.url) as client:
            catalogue = Catalogue()
            await CatalogueStore(client, GlobalKeys("witn"), deployment.partitions).load(catalogue)
            terms = opening_terms(catalogue, action="replied", agent_key="support", customer_key="acme", at=LONG_AGO)
            assert isinstance(terms, Terms)
            for key in keys:
                outcome = Outcome(key, "acme", terms.contract, terms.price, LONG_AGO)
                outcome.status, outcome.settles_at = status, LONG_AGO + 60_000
                outcome.processed_at = outcome.settles_at if status in ("CONFIRMED", "FAILED") else None
                await client.set(deployment.keys(key).outcome(key), encode_outcome(outcome, outcome.settles_at, b"", 0))

    asyncio.run(main())


def confirmed(deployment: Deployment, *keys: str) -> Invoice:
    """Confirmed outcomes, and the open draft that their lines are in."""
    keys = keys or ("ticket-4711",)
    deployment.apply()
    settled(deployment, *keys)
    rows = [outcome_row(key, "1.00", at=LONG_AGO + 60_000) for key in keys]
    return written(deployment, draft("acme", rows, at=LONG_AGO, closed=False), rows)


class TestList:
    def test_there_are_none_at_first(self, deployment: Deployment) -> None:
        assert deployment.json("invoices") == {"data": [], "next_cursor": None, "unreadable": []}
        assert deployment.witnd("invoices").exit_code == 0

    def test_the_newest_period_first_with_all_that_is_known(self, deployment: Deployment) -> None:
        old, new = november(deployment), written(deployment, draft("acme", ROWS, at=NOVEMBER.end, closed=False), ROWS)

        found = deployment.json("invoices")["data"]

        assert [one["id"] for one in found] == [new.id, old.id]
        assert found[1] == {
            "id": old.id,
            "number": None,
            "status": "draft",
            "closed": True,
            "customer_key": "acme",
            "currency": "EUR",
            "period": "month",
            "period_start": "2026-11-01T00:00:00.000Z",
            "period_end": "2026-12-01T00:00:00.000Z",
            "time_zone": "UTC",
            "first_day": "2026-11-01",
            "last_day": "2026-11-30",
            "lines": 2,
            "unrated": 0,
            "subtotal": "10.00",
            "credited": "0.00",
            "tax": None,
            "tax_rows": [],
            "total": None,
            "balance_used": "0.00",
            "payments_applied": "0.00",
            "noted": "0.00",
            "notes_applied": "0.00",
            "due": None,
            "issue_date": None,
            "due_date": None,
            "issued_at": None,
            "issued_through": None,
            "paid_at": None,
            "voided_at": None,
            "reason": None,
            "edition": 1,
            "revises": None,
            "revises_number": None,
            "revised_by": None,
            "revision": 0,
        }

    def test_filters(self, deployment: Deployment) -> None:
        acme, other = november(deployment), november(deployment, "other", currency="USD")
        running = written(deployment, draft("acme", ROWS, at=NOVEMBER.end, closed=False), ROWS)
        deployment.json("invoices", "issue", other.id)

        def ids(*arguments: str) -> list[str]:
            return [one["id"] for one in deployment.json("invoices", *arguments)["data"]]

        assert ids("--customer", "other") == [other.id]
        assert ids("--status", "open") == [running.id]
        assert ids("--status", "draft") == [acme.id]
        assert set(ids("--status", "draft", "--status", "issued")) == {acme.id, other.id}
        assert ids("list", "--currency", "USD") == [other.id]
        assert set(ids("--period", "2026-11")) == {acme.id, other.id}
        assert ids("--period", "2026-12") == [running.id]
        assert ids("--period", "2026-12-31") == [running.id]
        assert ids("--period", "2026-12-01T00:00:00Z") == [running.id]
        assert set(ids("--period", "2026")) == {acme.id, other.id, running.id}
        assert ids("--period", "2027-01") == []

    def test_only_issued_ones_have_an_amount_to_pay(self, deployment: Deployment) -> None:
        for customer in ("draft", "issued", "paid", "void"):
            one = november(deployment, customer)
            if customer != "draft":
                deployment.json("invoices", "issue", one.id)
            if customer == "paid":
                deployment.json("invoices", "pay", one.id)
            if customer == "void":
                deployment.json("invoices", "void", one.id, "--reason", "wrong", "--yes")

        rows = [row.split() for row in deployment.witnd("invoices").stdout.splitlines()[1:]]

        assert {row[0]: row[7] for row in rows} == {"draft": "–", "issued": "10.00", "paid": "–", "void": "–"}
        assert "\ntotal " in deployment.witnd("invoices", "show", "INV-000002").stdout

    def test_pages(self, deployment: Deployment) -> None:
        many = {november(deployment, f"customer-{n}").id for n in range(5)}

        first = deployment.json("invoices", "--limit", "3")
        rest = deployment.json("invoices", "--limit", "3", "--after", first["next_cursor"])
        told = deployment.witnd("invoices", "--limit", "3")

        assert {one["id"] for one in first["data"] + rest["data"]} == many
        assert rest["next_cursor"] is None
        assert told.stdout.splitlines()[-1] == f"more: --after {first['next_cursor']}"

    def test_people_see_amounts_under_each_other(self, deployment: Deployment) -> None:
        november(deployment)
        rows = [outcome_row("big-ticket", "1234.50")]
        written(deployment, draft("bigger", rows), rows)

        lines = deployment.witnd("invoices").stdout.splitlines()

        assert lines[0].split() == [
            "status", "number", "customer", "period", "from", "lines", "subtotal", "due", "id",
        ]  # fmt: skip
        assert {line.index(".") for line in lines[1:]} == {lines[1].index(".")}

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--period", "2026-13"), "2026-13"),
            (("--period", "november"), "--period: 'november'"),
            (("--status", "sent"), "'open', 'draft', 'issued', 'paid', 'void'"),
            (("--after", "nonsense"), "--after: 'nonsense'"),
            (("--limit", "0"), "1<=x<=1000"),
        ],
    )
    def test_mistakes_are_named(self, deployment: Deployment, arguments: tuple[str, ...], said: str) -> None:
        done = deployment.witnd("invoices", *arguments)

        assert done.exit_code == 2
        assert said in done.stderr

    def test_december_ends_with_the_year(self, deployment: Deployment) -> None:
        rows = [outcome_row("ticket-1")]
        for at in (NOVEMBER.end, NOVEMBER.end + 31 * DAY_MS):
            written(deployment, draft("acme", rows, at=at), rows)

        (found,) = deployment.json("invoices", "--period", "2026-12")["data"]

        assert found["period_end"] == "2027-01-01T00:00:00.000Z"

    def test_its_help_names_the_other_commands(self, deployment: Deployment) -> None:
        told = deployment.witnd("invoices", "--help").stdout

        assert all(
            f"  {name}" in told for name in ("list", "show", "add-line", "set-tax", "issue", "pay", "void", "credit")
        )


class TestShow:
    def test_a_program_gets_every_line(self, deployment: Deployment) -> None:
        one = written(deployment, draft("acme", [*ROWS, FEE]), [*ROWS, FEE])
        deployment.json("invoices", "issue", one.id)

        found = deployment.json("invoices", "show", "INV-000001")

        assert found["invoice"]["total"] == "15.00"
        assert [(line["kind"], line["amount"]) for line in found["lines"]] == [
            ("outcome", "6.00"), ("outcome", "4.00"), ("fee", "5.00")
        ]  # fmt: skip
        assert found["lines"][0]["outcome_key"] == "ticket-4711"
        assert found["lines"][2]["working"] == FEE.working
        assert (found["credit_notes"], found["balance"]) == ([], "0.00")

    def test_people_see_how_amounts_came_about_and_what_is_to_be_paid(self, deployment: Deployment) -> None:
        one = written(deployment, draft("acme", [*ROWS, FEE]), [*ROWS, FEE])
        credit = ("invoices", "credit", "--invoice", one.id, "--row", FEE.id[:12], "--reason", "first month")
        assert deployment.witnd(*credit, "--amount", "2").exit_code == 0
        deployment.json("invoices", "issue", one.id)

        told = deployment.witnd("invoices", "show", one.id[:8]).stdout

        assert told.startswith("INV-000001: issued\ncustomer  acme\nperiod    month, from 2026-11-01T00:00:00.000Z to ")
        assert f"flat fee {FEE.id[:12]}" in told
        assert "5 for reaching tier 2 with 120" in told
        assert f"credit for {FEE.id[:12]}" in told
        assert "first month" in told
        assert told.endswith(
            "subtotal         15.00 EUR\ncredited         -2.00 EUR\n"
            "total            13.00 EUR\ndue              13.00 EUR\n"
        )

    def test_an_open_one_says_so_and_what_is_not_priced_yet(self, deployment: Deployment) -> None:
        rows = [*ROWS, outcome_row("ticket-4713", None, at=NOVEMBER.start + 2)]
        one = written(deployment, draft("acme", rows, closed=False), rows)

        told = deployment.witnd("invoices", "show", one.id).stdout

        assert told.startswith("The draft of acme in EUR from 2026-11-01 to 2026-11-30: open\n")
        assert "outcomes that resolve before 2026-12-01T00:00:00.000Z are still added" in told
        assert "1 of its 3 lines get their amount when the period is closed" in told
        assert "at close" in told
        assert told.endswith("subtotal         10.00 EUR\n")

    def test_long_ones_are_cut_for_people_but_not_what_is_added_at_the_end(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(invoice_rows, "PAGE", 2)
        rows = [*[outcome_row(f"ticket-{n}") for n in range(7)], FEE]
        one = written(deployment, draft("acme", rows), rows)

        told = deployment.witnd("invoices", "show", one.id, "--rows", "3").stdout

        assert "ticket-2" in told
        assert "ticket-3" not in told
        assert "… and 4 more outcomes; --rows 7 shows them" in told
        assert "flat fee" in told

    def test_credit_notes_and_credit_are_shown(self, deployment: Deployment) -> None:
        confirmed(deployment)
        first = november(deployment)
        deployment.json("invoices", "issue", first.id)
        deployment.json("invoices", "payment", "INV-000001", "--amount", "10.00", "--method", "transfer")
        row = ("--invoice", "INV-000001", "--row", ROWS[0].id)
        deployment.json("invoices", "credit", *row, "--reason", "wrong")
        second = written(deployment, draft("acme", ROWS, at=NOVEMBER.end), ROWS)

        told = deployment.witnd("invoices", "show", "INV-000001").stdout
        found = deployment.json("invoices", "show", "INV-000001")
        next_one = deployment.witnd("invoices", "show", second.id).stdout

        assert "CN-000001" in told
        assert [note["number"] for note in found["credit_notes"]] == ["CN-000001"]
        assert found["balance"] == "6.00"
        assert next_one.endswith("The customer has a balance of 6.00 EUR, which pays for it when it is issued.\n")
        assert "transfer" in told
        assert [one["amount"] for one in found["payments"]] == ["10.00"]
        deployment.json("invoices", "issue", second.id)
        paid = deployment.witnd("invoices", "show", second.id).stdout
        assert "from the balance -6.00 EUR\ndue               4.00 EUR\n" in paid

    def test_what_does_not_exist_is_told(self, deployment: Deployment) -> None:
        done = deployment.witnd("invoices", "show", "INV-000009")

        assert done.exit_code == 2
        assert "'INV-000009'; `witnd invoices`" in done.stderr

    def test_the_beginning_of_an_id_must_be_of_one(self, deployment: Deployment) -> None:
        for letter in "ab":
            written(deployment, replace(draft("acme", ROWS), id="123456" + letter * 58), ROWS)

        done = deployment.witnd("invoices", "show", "123456")

        assert done.exit_code == 2
        assert "2 ids start with 123456; use a longer prefix" in done.stderr

    def test_a_name_cannot_steer_the_terminal(self, deployment: Deployment) -> None:
        rows = [outcome_row("ticket\x1b[2J")]
        one = written(deployment, draft("ac\x1bme", rows), rows)

        for arguments in ((), ("show", one.id)):
            assert "\x1b" not in deployment.witnd("invoices", *arguments).stdout


class TestIssue:
    def test_named_ones(self, deployment: Deployment) -> None:
        one = november(deployment)

        told = deployment.witnd("invoices", "issue", one.id)

        assert (told.exit_code, told.stdout) == (0, "INV-000001 is issued: 10.00 EUR for acme\n")
        again = deployment.json("invoices", "issue", "INV-000001")["data"]
        assert [(done["argument"], done["result"]) for done in again] == [("INV-000001", "unchanged")]
        assert deployment.witnd("invoices", "issue", one.id[:6]).stdout.startswith("INV-000001 is issued already: ")

    def test_all_whose_period_is_closed_the_oldest_first(self, deployment: Deployment) -> None:
        later = written(deployment, draft("acme", ROWS, at=NOVEMBER.end), ROWS)
        earlier = november(deployment)
        november(deployment, "other", closed=False)

        acted = deployment.json("invoices", "issue", "--all-closed")["data"]

        assert [(one["invoice"]["id"], one["invoice"]["number"]) for one in acted] == [
            (earlier.id, "INV-000001"), (later.id, "INV-000002")
        ]  # fmt: skip
        assert deployment.json("invoices", "issue", "--all-closed") == {"data": []}
        assert deployment.witnd("invoices", "issue", "--all-closed").stdout == "no drafts to issue\n"

    def test_one_that_is_refused_does_not_stop_the_others(self, deployment: Deployment) -> None:
        one, running = november(deployment), november(deployment, "other", closed=False)

        done = deployment.witnd("invoices", "issue", "INV-000077", running.id, one.id)

        assert done.exit_code == 2
        assert done.stdout == "INV-000001 is issued: 10.00 EUR for acme\n"
        assert "INV-000077" in done.stderr
        assert "is open until its period ends at 2026-12-01T00:00:00.000Z" in done.stderr
        refused = deployment.json("invoices", "issue", running.id, exit_code=2)["data"][0]
        assert (refused["result"], refused["invoice"]["id"]) == ("refused", running.id)
        assert refused["remedy"] in done.stderr

    def test_the_series_is_a_setting(self, deployment: Deployment) -> None:
        deployment.environ["WITND_BILLING__SERIES"] = "RE-26"

        assert deployment.witnd("invoices", "issue", november(deployment).id).stdout.startswith(
            "RE-26-000001 is issued"
        )
        assert deployment.json("invoices", "show", "RE-26-000001")["invoice"]["number"] == "RE-26-000001"

    @pytest.mark.parametrize("arguments", [(), ("x", "--all-closed")])
    def test_either_names_or_all(self, deployment: Deployment, arguments: tuple[str, ...]) -> None:
        assert deployment.witnd("invoices", "issue", *arguments).exit_code == 2


class TestPayAndVoid:
    def test_an_issued_one_is_paid(self, deployment: Deployment) -> None:
        deployment.json("invoices", "issue", november(deployment).id)

        assert deployment.witnd("invoices", "pay", "INV-000001").stdout == "INV-000001 is paid: 10.00 EUR for acme\n"
        done = deployment.json("invoices", "pay", "INV-000001")
        assert (done["result"], done["invoice"]["status"]) == ("unchanged", "paid")
        assert done["invoice"]["paid_at"].endswith("Z")

    def test_an_issued_one_is_voided(self, deployment: Deployment) -> None:
        deployment.json("invoices", "issue", november(deployment).id)

        told = deployment.witnd("invoices", "void", "INV-000001", "--reason", "sent twice", "--yes")

        assert told.stdout == "INV-000001 is void: 10.00 EUR for acme\n"
        assert "sent twice" in deployment.witnd("invoices", "show", "INV-000001").stdout
        assert deployment.json("invoices", "--status", "void")["data"][0]["reason"] == "sent twice"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("pay",), "is not issued, so it cannot be paid; issue it first"),
            (
                ("void", "--yes", "--reason", "wrong"),
                "is not issued, so it cannot be voided; credit the wrong lines instead",
            ),
            (("void", "--yes", "--reason", " "), "the reason is empty"),
        ],
    )
    def test_a_refusal_names_the_remedy(self, deployment: Deployment, arguments: tuple[str, ...], said: str) -> None:
        one = november(deployment)

        done = deployment.witnd("invoices", *arguments, one.id)

        assert (done.exit_code, done.stdout) == (2, "")
        assert said in done.stderr
        refused = deployment.json("invoices", *arguments, one.id, exit_code=2)
        assert f"{refused['problem']}; {refused['remedy']}" in done.stderr

    def test_a_reason_must_be_given(self, deployment: Deployment) -> None:
        assert "--reason" in deployment.witnd("invoices", "void", "INV-000001").stderr


class TestPayments:
    def test_a_payment_is_split_and_reversed(self, deployment: Deployment) -> None:
        deployment.json("invoices", "issue", november(deployment).id)
        payment = ("invoices", "payment", "INV-000001", "--amount", "12.50", "--date", "2026-12-03")

        told = deployment.witnd(*payment, "--method", "transfer", "--reference", "4711", "--id", "bank-17")
        again = deployment.json(*payment, "--method", "transfer", "--reference", "4711", "--id", "bank-17")
        other = deployment.witnd("invoices", "payment", "INV-000001", "--amount", "1", "--id", "bank-17")

        assert told.stdout == (
            "payment of 12.50 EUR, 10.00 of it for INV-000001\nINV-000001 is paid, 0.00 EUR is due\n"
            "balance of acme: 2.50 EUR\n"
        )
        assert (again["applied"], again["date"], again["balance"]) == ("10.00", "2026-12-03", "2.50")
        assert other.exit_code == 2
        assert "--id bank-17 was used before: it recorded 12.50 EUR received on 2026-12-03" in other.stderr
        done = deployment.json("invoices", "reverse", "INV-000001", again["id"][:8])
        assert (done["reversed"], done["invoice"]["status"], done["balance"]) == (True, "issued", "0.00")
        assert "reversed 2" in deployment.witnd("invoices", "show", "INV-000001").stdout

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--amount", "0"), "amount: '0' must be greater than 0"),
            (("--amount", "1.005"), "amount: '1.005' has more digits after the point than EUR (2)"),
            (("--amount", "1", "--date", "3.12.2026"), "date: '3.12.2026' must be a date such as 2026-11-30"),
            (("--amount", "1", "--method", " "), "method: ' ' is empty"),
            (("--amount", "1", "--reference", "x" * 201), "shorten it to 200"),
        ],
    )
    def test_mistakes_are_named(self, deployment: Deployment, options: tuple[str, ...], said: str) -> None:
        deployment.json("invoices", "issue", november(deployment).id)
        done = deployment.witnd("invoices", "payment", "INV-000001", *options)
        assert (done.exit_code, said in done.stderr) == (2, True), done.stderr

    def test_a_balance_is_shown_and_refunded(self, deployment: Deployment) -> None:
        deployment.apply()
        assert deployment.witnd("invoices", "balance", "acme").stdout == "acme has no balance\n"
        deployment.json("invoices", "issue", november(deployment).id)
        deployment.json("invoices", "payment", "INV-000001", "--amount", "15")

        refund = ("invoices", "refund", "acme", "--amount", "2.00", "--id", "back-1")
        told = deployment.witnd(*refund)
        again = deployment.json(*refund)
        more = deployment.witnd("invoices", "refund", "acme", "--amount", "3.01")

        assert told.stdout == "refunded 2.00 EUR to acme\nbalance of acme: 3.00 EUR\n"
        assert (again["amount"], again["balance"]) == ("2.00", "3.00")
        assert (more.exit_code, "refund at most 3.00 EUR" in more.stderr) == (2, True)
        assert deployment.json("invoices", "balance", "acme") == {"data": [{"currency": "EUR", "balance": "3.00"}]}
        assert "no such customer" in deployment.witnd("invoices", "balance", "nobody").stderr


class TestRevise:
    def test_the_next_edition_is_a_draft(self, deployment: Deployment) -> None:
        deployment.json("invoices", "issue", november(deployment).id)

        seen = deployment.json("invoices", "revise", "INV-000001", "--dry-run")
        assert deployment.json("invoices", "show", "INV-000001")["invoice"]["status"] == "issued"
        told = deployment.witnd("invoices", "revise", "INV-000001", "--reason", "wrong price")

        assert (seen["edition"], seen["voided"]["status"]) == (2, "void")
        assert told.stdout == (
            f"INV-000001 is void: wrong price\nedition 2 is {seen['id']}: draft, 10.00 EUR for acme\n"
        )
        issued = deployment.json("invoices", "issue", seen["id"])["data"][0]["invoice"]
        assert (issued["number"], issued["revises_number"]) == ("INV-000002", "INV-000001")
        shown = deployment.witnd("invoices", "show", "INV-000002").stdout
        assert "replaces  INV-000001" in shown
        assert deployment.json("invoices", "revise", "INV-000001")["status"] == "issued", "the edition that is there"

    def test_a_dry_run_says_so(self, deployment: Deployment) -> None:
        one = november(deployment)
        told = deployment.witnd("invoices", "issue", one.id, "--dry-run").stdout
        assert told == f"dry run, nothing is changed: {one.id} is issued: 10.00 EUR for acme\n"
        assert deployment.json("invoices", "show", one.id)["invoice"]["status"] == "draft"
        deployment.json("invoices", "issue", one.id)
        void = deployment.json("invoices", "void", "INV-000001", "--reason", "x", "--dry-run")
        assert (void["result"], void["dry_run"], void["invoice"]["status"]) == ("done", True, "void")
        assert "writes the money" in deployment.witnd("invoices", "void", "INV-000001", "--reason", "x").stderr
        row = ("--invoice", "INV-000001", "--row", ROWS[0].id)
        credit = deployment.witnd("invoices", "credit", *row, "--reason", "x", "--dry-run").stdout
        assert credit.startswith("dry run, nothing is changed: credit note: 6.00 EUR")
        assert deployment.json("invoices", "show", "INV-000001")["invoice"]["revision"] == 1

    def test_a_series_by_year_begins_where_it_is_told(self, deployment: Deployment) -> None:
        deployment.environ |= {"WITND_BILLING__SERIES": "R{year}", "WITND_BILLING__FIRST_NUMBER": "120"}
        numbers = [
            deployment.json("invoices", "issue", november(deployment, name).id)["data"][0]["invoice"]
            for name in ("acme", "other")
        ]
        year = numbers[0]["issue_date"][:4]
        assert [one["number"] for one in numbers] == [f"R{year}-000120", f"R{year}-000121"]


class TestCredit:
    def test_several_lines_share_one_note(self, deployment: Deployment) -> None:
        deployment.json("invoices", "issue", november(deployment).id)
        rows = ("--row", f"{ROWS[0].id[:12]}=1.50", "--row", ROWS[1].id[:12])

        done = deployment.json("invoices", "credit", "--invoice", "INV-000001", *rows, "--reason", "slow")

        assert (done["credit_note"]["amount"], done["credit_note"]["applied"]) == ("5.50", "5.50")
        assert [line["amount"] for line in done["lines"]] == ["-1.50", "-4.00"]
        assert done["invoice"]["due"] == "4.50"
        twice = deployment.witnd(
            "invoices", "credit", "--invoice", "INV-000001", "--row", f"{ROWS[0].id}=1", "--row", f"{ROWS[0].id}=1",
            "--reason", "slow",
        )  # fmt: skip
        assert (twice.exit_code, "items[1].line: must not be repeated" in twice.stderr) == (2, True)

    def test_outcomes_of_one_draft_are_credited_together(self, deployment: Deployment) -> None:
        one = confirmed(deployment, "ticket-1", "ticket-2")
        done = deployment.json("invoices", "credit", "ticket-1", "ticket-2", "--reason", "slow", "--id", "both")
        again = deployment.json("invoices", "credit", "ticket-1", "ticket-2", "--reason", "slow", "--id", "both")
        assert (done["repeated"], again["repeated"], again["lines"]) == (False, True, done["lines"])
        assert deployment.json("invoices", "show", one.id)["invoice"]["credited"] == "2.00"

    def test_of_an_open_draft_it_is_a_line(self, deployment: Deployment) -> None:
        one = confirmed(deployment)

        told = deployment.witnd("invoices", "credit", "ticket-4711", "--amount", "0.40", "--reason", "slow")
        found = deployment.json("invoices", "show", one.id)

        assert told.stdout == (
            "0.40 EUR for ticket-4711, as a line on the draft of acme in EUR from 2001-09-01 to 2001-09-30\n"
        )
        assert [(line["amount"], line["reason"]) for line in found["lines"]] == [("1.00", None), ("-0.40", "slow")]
        assert found["lines"][1]["corrects"] == derived_id("line", "ticket-4711")
        assert found["invoice"]["credited"] == "0.40"

    def test_of_an_issued_one_it_is_a_note(self, deployment: Deployment) -> None:
        one = confirmed(deployment)
        rows = [outcome_row("ticket-4711", "1.00", at=LONG_AGO + 60_000)]
        deployment.call("HSET", KEYS.invoice(one.id), "closed", 1, "sums", field_text(sums_of(rows)))
        deployment.call("RENAME", KEYS.rows(one.id, 0), KEYS.lines(one.id))
        deployment.json("invoices", "issue", one.id)

        told = deployment.witnd("invoices", "credit", "ticket-4711", "--reason", "slow")
        more = deployment.witnd("invoices", "credit", "ticket-4711", "--reason", "slow")

        assert told.stdout == (
            "CN-000001: 1.00 EUR for ticket-4711 on INV-000001\n"
            "INV-000001 is paid, 0.00 EUR is due\nbalance of acme: 0.00 EUR\n"
        )
        assert more.exit_code == 2
        assert "nothing of the line remains to credit" in more.stderr

    def test_one_that_has_a_name_is_given_once(self, deployment: Deployment) -> None:
        confirmed(deployment)
        credit = ("invoices", "credit", "ticket-4711", "--reason", "slow", "--id", "refund-17")

        first = deployment.json(*credit, "--amount", "0.40")
        again = deployment.json(*credit, "--amount", "0.40")
        told = deployment.witnd(*credit, "--amount", "0.40")
        other = deployment.witnd(*credit, "--amount", "0.50")

        assert (first["repeated"], again["repeated"]) == (False, True)
        assert first["line"] == again["line"]
        assert first["credit_note"] is None
        assert told.stdout.startswith("already credited: 0.40 EUR for ticket-4711")
        assert other.exit_code == 2
        assert all(word in other.stderr for word in ("--id refund-17", "0.40 EUR", "slow"))
        other = deployment.witnd(*(word if word != "slow" else "late" for word in credit), "--amount", "0.40")
        assert other.exit_code == 2
        assert all(word in other.stderr for word in ("--id refund-17", "0.40 EUR", "slow"))

    def test_when_it_is_unknown_whether_it_was_given_the_name_to_ask_with_is_told(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        confirmed(deployment)

        async def silent(*_: object) -> None:
            raise StoreUnavailable("no answer from Redis")

        run = invoice_change._CHANGE.run
        monkeypatch.setattr(invoice_change._CHANGE, "run", silent)
        done = deployment.witnd("invoices", "credit", "ticket-4711", "--reason", "slow")
        monkeypatch.setattr(invoice_change._CHANGE, "run", run)

        assert done.exit_code == 3
        name = done.stderr.partition("--id ")[2].partition(":")[0]
        again = deployment.json("invoices", "credit", "ticket-4711", "--reason", "slow", "--id", name)
        assert again["line"]["amount"] == "-1.00"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("ticket-0000",), "'ticket-0000'; `witnd outcomes`"),
            (("ticket-4711", "--amount", "1.01"), "credit at most 1.00 EUR"),
            (("ticket-4711", "--amount", "0.001"), "more digits after the point than EUR"),
            (("ticket-4711", "--amount", "-1"), "--amount: '-1' must not be negative"),
            (("ticket-4711", "--amount", "much"), "--amount: 'much' must be a plain decimal number"),
            ((), "OUTCOME_KEY"),
            (("--invoice", "x"), "OUTCOME_KEY"),
            (("ticket-4711", "--invoice", "x", "--row", "y"), "OUTCOME_KEY"),
            (("--invoice", "INV-000001", "--row", "abcdef"), "'INV-000001'; `witnd invoices`"),
        ],
    )
    def test_mistakes_are_named(self, deployment: Deployment, arguments: tuple[str, ...], said: str) -> None:
        confirmed(deployment)

        done = deployment.witnd("invoices", "credit", *arguments, "--reason", "slow")

        assert done.exit_code == 2
        assert said in done.stderr

    def test_only_what_was_billed_is_credited(self, deployment: Deployment) -> None:
        deployment.apply()
        settled(deployment, "ticket-4711")
        settled(deployment, "ticket-4712", status="FAILED")
        settled(deployment, "ticket-4713", status="PENDING")

        def said(key: str) -> str:
            done = deployment.witnd("invoices", "credit", key, "--reason", "slow")
            assert done.exit_code == 2
            return done.stderr

        assert "ticket-4711 is not on an invoice yet" in said("ticket-4711")
        assert "ticket-4712 is missed, so it was not billed" in said("ticket-4712")
        assert "ticket-4713 is pending, so it was not billed" in said("ticket-4713")
        row = outcome_row("ticket-0001", at=LONG_AGO)
        written(deployment, draft("acme", [row], at=LONG_AGO, closed=False), [row])
        assert "ticket-4711 is not on an invoice yet" in said("ticket-4711")

    def test_a_line_without_an_outcome_is_named_by_its_id(self, deployment: Deployment) -> None:
        one = written(deployment, draft("acme", [*ROWS, FEE]), [*ROWS, FEE])

        def credit(row: str) -> Any:
            return deployment.witnd("invoices", "credit", "--invoice", one.id, "--row", row, "--reason", "first month")

        assert credit(FEE.id[:12]).stdout.startswith(f"5.00 EUR for {FEE.id[:12]}, as a line on the draft")
        assert "no line with an id that begins with 'ef'" in credit("ef").stderr
        assert "no line with an id that begins with 'aaaaaaaa'" in credit("aaaaaaaa").stderr

    def test_in_each_partition(self, sharded: Deployment) -> None:
        deployment = sharded
        keys = [f"ticket-{n}xxxx" for n in range(4)]
        confirmed(deployment, *keys)

        for key in keys:
            assert deployment.json("invoices", "credit", key, "--reason", "slow")["line"]["outcome_key"] == key


class TestNotes:
    def test_they_are_listed_and_shown(self, deployment: Deployment) -> None:
        for customer in ("acme", "other"):
            deployment.json("invoices", "issue", november(deployment, customer).id)
        for number, amount in (("INV-000001", "1"), ("INV-000001", "2"), ("INV-000002", "3")):
            credit = ("invoices", "credit", "--invoice", number, "--row", ROWS[0].id, "--reason", "slow")
            deployment.json(*credit, "--amount", amount)

        page = deployment.json("invoices", "notes", "--limit", "2")
        rest = deployment.json("invoices", "notes", "--after", page["next_cursor"])
        (other,) = deployment.json("invoices", "notes", "--customer", "other")["data"]
        of_invoice = deployment.json("invoices", "notes", "--invoice", "INV-000001")["data"]
        one = deployment.json("invoices", "notes", "CN-000003")
        told = deployment.witnd("invoices", "notes", "CN-000003").stdout

        numbers = [note["number"] for note in page["data"] + rest["data"]]
        assert sorted(numbers) == ["CN-000001", "CN-000002", "CN-000003"]
        assert [note["number"] for note in of_invoice] == ["CN-000002", "CN-000001"]
        assert one == other == deployment.json("invoices", "show", "CN-000003")
        assert (one["invoice_number"], one["amount"], one["lines"][0]["amount"]) == ("INV-000002", "3.00", "-3.00")
        assert told.startswith(
            "CN-000003: credit note for 3.00 EUR\ncustomer  other\ncorrects  INV-000002: ticket-4711"
        )
        assert told == deployment.witnd("invoices", "show", "CN-000003").stdout
        assert "CN-000003" in deployment.witnd("invoices", "notes").stdout
        assert f"more: --after {page['next_cursor']}" in deployment.witnd("invoices", "notes", "--limit", "2").stdout

    def test_papers_are_not_confused(self, deployment: Deployment) -> None:
        deployment.json("invoices", "issue", november(deployment).id)
        deployment.json("invoices", "credit", "--invoice", "INV-000001", "--row", ROWS[0].id, "--reason", "slow")

        def said(*arguments: str) -> str:
            done = deployment.witnd("invoices", *arguments)
            assert done.exit_code == 2
            return done.stderr

        assert "INV-000001 is an invoice" in said("notes", "INV-000001")
        assert "CN-000001 is a credit note" in said("pay", "CN-000001")
        assert "CN-000001 is a credit note for INV-000001" in said(
            "credit", "--invoice", "CN-000001", "--row", "abcdef", "--reason", "slow"
        )
        assert "--customer" in said("notes", "CN-000001", "--customer", "acme")
        assert "--invoice" in said("notes", "--invoice", "INV-000001", "--customer", "acme")
        assert "'nonsense'" in said("notes", "--after", "nonsense")

    def test_a_paper_that_is_void_gives_nothing_back(self, deployment: Deployment) -> None:
        deployment.json("invoices", "issue", november(deployment).id)
        deployment.json("invoices", "void", "INV-000001", "--reason", "sent twice", "--yes")

        done = deployment.witnd(
            "invoices", "credit", "--invoice", "INV-000001", "--row", ROWS[0].id, "--reason", "slow"
        )

        assert (done.exit_code, "INV-000001 is void" in done.stderr) == (2, True)


def test_what_a_daemon_billed_is_credited_and_shown(deployment: Deployment) -> None:
    """From two events to a credit note for one of them; nothing of it is written by the test."""
    deployment.apply()
    for key in ("ticket-4711", "ticket-4712"):
        deployment.event(key, "replied")
    deployment.work(lambda client: client.zcard(KEYS.invoices) and not client.exists(KEYS.open, KEYS.to_issue))

    credited = deployment.json("invoices", "credit", "ticket-4711", "--amount", "0.50", "--reason", "slow")
    found = deployment.json("invoices", "show", "INV-000001")

    assert found["invoice"]["status"] == "issued"
    assert [line["amount"] for line in found["lines"]] == ["1.00", "1.00"]
    assert (found["invoice"]["total"], found["invoice"]["noted"], found["balance"]) == ("2.00", "0.50", "0.00")
    assert found["invoice"]["due"] == "1.50"
    assert found["credit_notes"] == [credited["credit_note"]]
    assert deployment.witnd("invoices", "show", "INV-000001").exit_code == 0
