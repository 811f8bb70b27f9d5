"""`witnd invoices export`: what is found, where it goes, and what is refused before anything is written."""

import asyncio
import csv
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import CATALOGUE, Deployment
from tests.support.invoices import NOVEMBER, draft, outcome_row, write
from witnd.cli.billing.whole_file import whole_file
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.store.server.connection import connect

ROWS = [outcome_row("ticket-4711", "6.00"), outcome_row("=HYPERLINK()", "4.00", at=NOVEMBER.start + 1)]
STRIPE = "acme,cus_Q4rT8vXkLm2N\n"


def put(deployment: Deployment, customer: str = "acme", rows: Sequence[Row] = ROWS, **how: Any) -> Invoice:
    async def main() -> Invoice:
        async with connect(deployment.server.url) as client:
            return await write(client, draft(customer, rows, **how), rows)

    return asyncio.run(main())


def issued(deployment: Deployment, customer: str = "acme", **how: Any) -> str:
    """The number of an issued invoice."""
    invoice = put(deployment, customer, **how)
    number = deployment.json("invoices", "issue", invoice.id)["data"][0]["invoice"]["number"]
    assert isinstance(number, str)
    return number


def exported(deployment: Deployment, *arguments: str) -> str:
    done = deployment.witnd("invoices", "export", *arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(deployment: Deployment, *arguments: str) -> str:
    done = deployment.witnd("invoices", "export", *arguments)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    return done.stderr


def records(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines(keepends=True)))


class TestWhat:
    def test_lines_of_all_invoices_of_a_month_are_one_table(self, deployment: Deployment) -> None:
        deployment.apply(CATALOGUE.replace('key = "acme"\n', 'key = "acme"\nname = "Acme Inc"\nemail = "b@acme.com"\n'))
        number = issued(deployment)
        put(deployment, "other")
        put(deployment, "acme", at=NOVEMBER.end, closed=False)

        found = records(exported(deployment, "--period", "2026-11", "--format", "csv"))

        assert sorted((one["customer_key"], one["amount"]) for one in found) == [
            ("acme", "4.00"), ("acme", "6.00"), ("other", "4.00"), ("other", "6.00"),
        ]  # fmt: skip
        assert {one["outcome_key"] for one in found} == {"ticket-4711", "'=HYPERLINK()"}
        mine = next(one for one in found if one["customer_key"] == "acme")
        assert (mine["invoice_number"], mine["customer_name"], mine["agent_name"]) == (number, "Acme Inc", "Support")

    def test_an_invoice_is_named_by_number_or_by_the_beginning_of_its_id(self, deployment: Deployment) -> None:
        invoice = put(deployment)
        number = deployment.json("invoices", "issue", invoice.id)["data"][0]["invoice"]["number"]
        for name in (number, invoice.id, invoice.id[:8]):
            [line, _] = exported(deployment, name, "--format", "jsonl").splitlines()
            assert json.loads(line)["invoice_id"] == invoice.id
        assert len(exported(deployment, number, invoice.id, "--format", "jsonl").splitlines()) == 2, "once, not twice"

    def test_invoices_have_the_members_that_other_commands_print(self, deployment: Deployment) -> None:
        issued(deployment)
        put(deployment, "other")
        found = [
            json.loads(line)
            for line in exported(
                deployment, "--customer", "acme", "--what", "invoices", "--format", "jsonl"
            ).splitlines()
        ]
        assert found == deployment.json("invoices", "--customer", "acme")["data"]

    def test_lines_have_the_members_that_other_commands_print(self, deployment: Deployment) -> None:
        number = issued(deployment)
        found = [json.loads(line) for line in exported(deployment, number, "--format", "jsonl").splitlines()]
        assert found == deployment.json("invoices", "show", number)["lines"]

    @pytest.mark.parametrize(
        ("period", "count"), [("2026", 2), ("2026-11", 1), ("2026-12", 1), ("2026-11-23", 1), ("2027", 0)]
    )
    def test_a_period_is_a_year_a_month_or_a_day(self, deployment: Deployment, period: str, count: int) -> None:
        put(deployment)
        put(deployment, at=NOVEMBER.end)
        found = exported(deployment, "--period", period, "--what", "invoices", "--format", "jsonl")
        assert len(found.splitlines()) == count

    def test_invoices_are_chosen_as_in_their_list(self, deployment: Deployment) -> None:
        number = issued(deployment)
        put(deployment, "other")

        def numbers(*arguments: str) -> list[str | None]:
            lines = exported(deployment, *arguments, "--what", "invoices", "--format", "jsonl").splitlines()
            return [json.loads(line)["number"] for line in lines]

        assert numbers("--status", "issued") == [number]
        assert set(numbers("--status", "issued", "--status", "draft")) == {number, None}
        assert numbers("--currency", "EUR", "--customer", "acme") == [number]
        assert numbers("--currency", "USD") == []
        refused(deployment, number, "--status", "issued", "--format", "csv")
        refused(deployment, "--status", "issued", "--what", "credit-notes", "--format", "csv")

    def test_more_invoices_than_a_page_of_the_list_has(self, deployment: Deployment) -> None:
        async def fill() -> None:
            async with connect(deployment.server.url) as client:
                for number in range(210):
                    await write(client, draft(f"customer-{number}", ROWS[:1]), ROWS[:1])

        asyncio.run(fill())
        assert len(records(exported(deployment, "--period", "2026-11", "--format", "csv"))) == 210

    def test_credit_notes_are_exported_as_such(self, deployment: Deployment) -> None:
        deployment.apply()
        number = issued(deployment)
        row = deployment.json("invoices", "show", number)["lines"][0]
        note = credited(deployment, number, row["id"])
        expected = deployment.json("invoices", "notes")["data"]

        for arguments in ((note,), ("--customer", "acme")):
            found = exported(deployment, *arguments, "--what", "credit-notes", "--format", "jsonl")
            assert [json.loads(line) for line in found.splitlines()] == expected
        [cells] = records(exported(deployment, note, "--what", "credit-notes", "--format", "csv"))
        assert (cells["number"], cells["amount"]) == (note, "1.00")
        assert "<h1>Credit note</h1>" in exported(deployment, note, "--format", "html")
        assert "--what credit-notes" in refused(deployment, note, "--format", "csv")
        assert "is an invoice" in refused(deployment, number, "--what", "credit-notes", "--format", "csv")


def credited(deployment: Deployment, invoice: str, row: str) -> str:
    """The number of a credit note over 1.00."""
    given = deployment.json(
        "invoices", "credit", "--invoice", invoice, "--row", row, "--amount", "1.00", "--reason", "so"
    )
    number = given["credit_note"]["number"]
    assert isinstance(number, str)
    return number


class TestWhere:
    def test_a_file_is_written_and_that_is_told(self, deployment: Deployment, tmp_path: Path) -> None:
        number = issued(deployment)
        done = deployment.witnd("invoices", "export", number, "--format", "csv", "--output", "out.csv")
        assert (done.exit_code, done.stdout) == (0, "")
        assert "1 invoice written to out.csv" in done.stderr
        raw = (tmp_path / "out.csv").read_bytes()
        assert raw.decode() == exported(deployment, number, "--format", "csv").replace("\r\n", "\n").replace(
            "\n", "\r\n"
        )
        assert raw.count(b"\r\n") == 3

    def test_pages_go_into_a_directory_one_file_each(self, deployment: Deployment, tmp_path: Path) -> None:
        number, other = issued(deployment), put(deployment, "other")
        exported(deployment, "--period", "2026-11", "--format", "html", "--output", "pages/")
        assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == sorted(
            [f"{number}.html", f"{other.id}.html"]
        )
        assert number in (tmp_path / "pages" / f"{number}.html").read_text()
        assert "DRAFT" in (tmp_path / "pages" / f"{other.id}.html").read_text()

    def test_one_page_goes_into_a_file_or_to_standard_output(self, deployment: Deployment, tmp_path: Path) -> None:
        number = issued(deployment)
        exported(deployment, number, "--format", "html", "--output", "one.html")
        assert (tmp_path / "one.html").read_text() == exported(deployment, number, "--format", "html")
        assert "directory" in refused(deployment, "--customer", "acme", "--format", "html")
        assert "directory" in refused(deployment, "--customer", "acme", "--format", "html", "--output", "several.html")

    def test_nothing_found_is_an_empty_table_and_a_word(self, deployment: Deployment) -> None:
        done = deployment.witnd("invoices", "export", "--customer", "nobody", "--format", "csv")
        assert (done.exit_code, len(done.stdout.splitlines())) == (0, 1)
        assert "no invoice matches" in done.stderr

    @pytest.mark.parametrize("output", ["missing/out.csv", "/proc/out.csv"])
    def test_a_place_that_cannot_be_written_is_named(self, deployment: Deployment, output: str) -> None:
        assert output in refused(deployment, issued(deployment), "--format", "csv", "--output", output)


class TestWholeFile:
    def test_what_fails_leaves_the_old_file_and_nothing_beside_it(self, tmp_path: Path) -> None:
        place = tmp_path / "out.csv"
        place.write_text("old")

        def interrupted() -> None:
            with whole_file(str(place)) as write_:
                write_("new")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert place.read_text() == "old"
        assert list(tmp_path.iterdir()) == [place]

    def test_a_link_stays_a_link_and_its_target_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "real").write_text("old")
        (tmp_path / "link").symlink_to(tmp_path / "real")
        with whole_file(str(tmp_path / "link")) as write_:
            write_("néw")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real").read_text() == "néw"

    def test_a_pipe_is_written_to_and_not_replaced(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with whole_file(str(pipe)) as write_:
                write_("through")
            assert os.read(reader, 100) == b"through"
            assert stat.S_ISFIFO(pipe.stat().st_mode)
        finally:
            os.close(reader)

    def test_a_new_file_has_the_rights_that_the_umask_leaves(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            with whole_file(str(tmp_path / "out")) as write_:
                write_("x")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--format", "csv"), "--period"),
            (("INV-000001", "--period", "2026-11", "--format", "csv"), "either"),
            (("--customer", "acme", "--format", "html", "--what", "lines"), "leave out --what"),
            (("--customer", "acme", "--format", "csv", "--stripe-round"), "--format stripe"),
            (("--customer", "acme", "--format", "stripe"), "requires --stripe-customers"),
            (("--period", "2026-13", "--format", "csv"), "such as 2026-11"),
            (("--period", "November", "--format", "csv"), "such as 2026-11"),
            (("--period", "9998", "--format", "csv"), "such as 2026-11"),
            (("INV-999999", "--format", "csv"), "'INV-999999'"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_with_a_remedy(
        self, deployment: Deployment, arguments: tuple[str, ...], said: str
    ) -> None:
        assert said in " ".join(refused(deployment, *arguments).split())

    def test_an_unknown_invoice_among_known_ones_stops_before_a_byte_is_written(
        self, deployment: Deployment, tmp_path: Path
    ) -> None:
        refused(deployment, issued(deployment), "INV-999999", "--format", "csv", "--output", "out.csv")
        assert not (tmp_path / "out.csv").exists()


class TestStripe:
    def push(self, deployment: Deployment, tmp_path: Path, *arguments: str, customers: str = STRIPE) -> tuple[str, ...]:
        (tmp_path / "customers").write_text(customers)
        return (*arguments, "--format", "stripe", "--stripe-customers", "customers")

    @pytest.mark.parametrize(
        "customers", [STRIPE, "key,stripe\r\n" + STRIPE, "\ufeff" + STRIPE, '{"acme": "cus_Q4rT8vXkLm2N"}']
    )
    def test_items_of_an_issued_invoice(self, deployment: Deployment, tmp_path: Path, customers: str) -> None:
        written = exported(deployment, *self.push(deployment, tmp_path, issued(deployment), customers=customers))
        items = [json.loads(line)["invoice_item"] for line in written.splitlines()]
        assert [(item["customer"], item["amount"]) for item in items] == [
            ("cus_Q4rT8vXkLm2N", 600), ("cus_Q4rT8vXkLm2N", 400),
        ]  # fmt: skip

    def test_of_a_list_only_issued_ones_are_charged_and_the_others_are_told(
        self, deployment: Deployment, tmp_path: Path
    ) -> None:
        number = issued(deployment)
        put(deployment, "other")
        put(deployment, "acme", at=NOVEMBER.end, closed=False)
        done = deployment.witnd(
            "invoices", "export", *self.push(deployment, tmp_path, "--period", "2026"), "--what", "invoices"
        )
        assert done.exit_code == 0, done.output
        [request] = [json.loads(line) for line in done.stdout.splitlines()]
        assert request["invoice_item"]["metadata"]["invoice_number"] == number
        assert "1 draft, 1 open" in done.stderr

    def test_a_named_draft_is_refused(self, deployment: Deployment, tmp_path: Path) -> None:
        assert "issue it first" in refused(deployment, *self.push(deployment, tmp_path, put(deployment).id))

    def test_rounding_is_asked_for_and_told(self, deployment: Deployment, tmp_path: Path) -> None:
        rows = [outcome_row("ticket-1234", "0.125")]
        push = self.push(deployment, tmp_path, issued(deployment, rows=rows, currency="KWD"))
        assert "--stripe-round" in refused(deployment, *push)
        done = deployment.witnd("invoices", "export", *push, "--stripe-round")
        assert json.loads(done.stdout)["invoice_item"]["amount"] == 130
        assert "0.125 KWD is charged as 0.130" in done.stderr

    def test_one_customer_without_an_id_does_not_stop_the_others(self, deployment: Deployment, tmp_path: Path) -> None:
        numbers = issued(deployment), issued(deployment, "other")
        push = self.push(deployment, tmp_path, *numbers)
        done = deployment.witnd("invoices", "export", *push, "--output", "items.jsonl")
        assert done.exit_code == 2
        assert "not exported: customer 'other'" in done.stderr
        assert "1 invoice written to items.jsonl" in done.stderr
        assert len((tmp_path / "items.jsonl").read_text().splitlines()) == 2
        push = self.push(deployment, tmp_path, numbers[1])
        assert "customer 'other'" in refused(deployment, *push, "--output", "none.jsonl")
        assert not (tmp_path / "none.jsonl").exists()

    @pytest.mark.parametrize(
        ("customers", "said"),
        [
            ("acme,cus_1\nacme,cus_2\n", "line 2: customer 'acme' must not be repeated"),
            ("key,id\nacme,acct_1\n", "line 2: 'acct_1' is not a Stripe customer id"),
            ("acme,Q4rT8vXkLm2N\nother,cus_2\n", "line 1: 'Q4rT8vXkLm2N' is not a Stripe customer id"),
            ("acme\n", "line 1 has 1 columns"),
            ('key,id\n"acme,cus_1\n', "is not valid CSV"),
            ('{"acme": 1}', "member 'acme' is not a string"),
            ('{"acme": "cus_1", "acme": "cus_2"}', "'acme' must not be repeated"),
            ('{"acme": ', "is not valid JSON"),
        ],
    )
    def test_what_is_wrong_with_the_file_of_customers_is_told(
        self, deployment: Deployment, tmp_path: Path, customers: str, said: str
    ) -> None:
        assert said in refused(deployment, *self.push(deployment, tmp_path, "--customer", "acme", customers=customers))
