"""CSV and JSON Lines: what goes in comes out again, and no cell is a formula."""

import csv
import io
import json
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.billing.bills import (
    ISSUED,
    all_of,
    bill,
    each,
    note,
    of_rows,
    price,
    samples,
    taxed_note,
    taxed_samples,
    text,
)
from witnd.billing.export import csv_text, json_lines
from witnd.billing.export.bill import Bill, Note
from witnd.domain.invoices.invoice import Row
from witnd.domain.invoices.json_form import (
    CreditNoteJson,
    InvoiceJson,
    LineJson,
    credit_note_json,
    invoice_json,
    line_json,
)
from witnd.domain.values.money import exact_sum

FORMULAS = tuple("=+-@\t\r\n＝＋－＠")
# Keys may hold any code point but lone surrogates; formulas, quotes and line ends come often.
free_text = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.text("=+-@'\"\t\r\n ,;|a1＝＋－＠\0\u00a0é", min_size=1, max_size=12),
    st.sampled_from(
        ["=1+1", "@SUM(A1)", "-2+3", "+1", "\t=1", " =1", "'=1", "''", "a\rb", 'a"b', "\r\n", "=cmd|' /C calc'!A0"]
    ),
)


def undone(cell: str) -> str:
    """What the documentation tells readers to do."""
    return cell.removeprefix("'")


async def records(chunks: AsyncIterator[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(await text(chunks), newline=""), strict=True))


def odd(key: str, reason: str, name: str) -> Bill:
    """An invoice in which everything that others write is as odd as they like."""
    one = bill([("ticket", price(price_per_unit="1"), ["1"])])
    row = Row(
        id="ab" * 32,
        kind="credit",
        agent_key=key,
        rate_card="standard",
        price_hash="cd" * 32,
        amount="-1.00",
        amount_exact="-1",
        rated="at_settlement",
        outcome_key=key,
        resolved_at=ISSUED,
        reason=reason,
        description=reason,
        tax=reason,
    )
    invoice = msgspec.structs.replace(one.invoice, customer_key=key, reason=reason)
    return of_rows(invoice, [row], name=name, customer_email=name, agent_name=lambda _: name)


@given(free_text, free_text, free_text)
@example("=1+1", '=HYPERLINK("http://x")', "@x")
async def test_every_text_comes_back_from_a_csv_file_and_none_is_computed(key: str, reason: str, name: str) -> None:
    one = odd(key, reason, name)

    [line] = await records(csv_text.lines(each(one)))
    [head] = await records(csv_text.invoices(each(one)))

    for found in (line, head):
        for column, cell in found.items():
            if column in csv_text.FREE_TEXT or (found is line and column == "tax"):
                assert not cell.lstrip(" \u00a0\u3000\ufeff\0").startswith(FORMULAS), column
        assert undone(found["customer_key"]) == key
        assert undone(found["customer_name"]) == name
        assert undone(found["reason"]) == reason
    assert undone(line["outcome_key"]) == key
    assert undone(line["description"]) == reason
    assert undone(line["agent_name"]) == name
    assert undone(line["description"]) == undone(line["tax"]) == reason
    assert undone(head["customer_email"]) == name


@given(free_text, free_text, free_text)
async def test_a_file_of_both_formats_has_one_record_for_each_row(key: str, reason: str, name: str) -> None:
    one = odd(key, reason, name)
    written = await text(csv_text.lines(each(one, one)))
    assert len(list(csv.reader(io.StringIO(written, newline=""), strict=True))) == 3
    assert len((await text(json_lines.lines(each(one, one)))).splitlines()) >= 2
    assert len((await text(json_lines.lines(each(one, one)))).rstrip("\n").split("\n")) == 2


async def test_records_end_with_cr_lf_and_there_is_one_header() -> None:
    written = await text(csv_text.lines(each(*samples().values())))
    assert written.endswith("\r\n")
    assert written.count("\r\n") == written.count("\n")
    assert [line for line in written.splitlines() if line.startswith("id,invoice_id")] == [
        ",".join(csv_text.LINE_COLUMNS)
    ]


async def test_without_any_invoice_there_is_the_header_alone() -> None:
    assert await text(csv_text.lines(each())) == ",".join(csv_text.LINE_COLUMNS) + "\r\n"
    assert await text(csv_text.invoices(each())) == ",".join(csv_text.INVOICE_COLUMNS) + "\r\n"
    assert await text(json_lines.lines(each())) == ""


async def test_negative_amounts_stay_numbers() -> None:
    found = await records(csv_text.lines(each(samples()["several"])))
    [amount] = [one["amount"] for one in found if one["kind"] == "credit"]
    assert amount == "-0.50"
    assert sum(Decimal(one["amount"]) for one in found) == Decimal("410.43")


async def test_a_csv_cell_says_what_the_json_member_says() -> None:
    for one in (samples() | taxed_samples()).values():
        cells = await records(csv_text.lines(each(one)))
        documents = [json.loads(line) for line in (await text(json_lines.lines(each(one)))).splitlines()]
        assert [as_json(found, LineJson) for found in cells] == documents
        [head] = await records(csv_text.invoices(each(one)))
        document = json.loads(await text(json_lines.invoices(each(one))))
        assert exact_sum(Decimal(row["tax"]) for row in document.pop("tax_rows")) == Decimal(document["tax"] or 0)
        assert as_json(head, InvoiceJson) == document


def as_json(found: Mapping[str, str], shape: type[msgspec.Struct]) -> dict[str, Any]:
    """The document that a record stands for: numbers, booleans and objects as JSON spells them."""
    bare = ("lines", "unrated", "revision", "edition", "closed", "working", "tax_rows")
    return {
        name: None if found[name] == "" else json.loads(found[name]) if name in bare else found[name]
        for name in shape.__struct_fields__
        if name != "tax_rows"
    }


@pytest.mark.parametrize("name", sorted(samples()))
async def test_json_lines_decode_to_what_went_in(name: str) -> None:
    one = samples()[name]
    rows = await all_of(one.rows())

    written = (await text(json_lines.lines(each(one)))).splitlines()
    [head] = (await text(json_lines.invoices(each(one)))).splitlines()

    assert [msgspec.json.decode(line, type=LineJson) for line in written] == [
        line_json(one.invoice, row) for row in rows
    ]
    assert msgspec.json.decode(head, type=InvoiceJson) == invoice_json(one.invoice)
    assert {len(json.loads(line)) for line in written} == {len(LineJson.__struct_fields__)}, "null is never left out"


async def test_credit_notes_have_their_rows_with_them() -> None:
    one = samples()["several"]
    paper = note(one, (await all_of(one.rows()))[0], "-0.75")

    [cells] = await records(csv_text.notes(only(paper)))
    written = await text(json_lines.notes(only(paper)))

    assert msgspec.json.decode(written, type=CreditNoteJson) == credit_note_json(paper.note)
    assert cells["amount"] == "0.75"
    assert cells["customer_name"] == one.customer_name
    assert json.loads(cells["lines"]) == json.loads(written)["lines"]
    assert json.loads(cells["lines"])[0]["amount"] == "-0.75"
    assert (cells["tax"], cells["total"]) == ("0.00", "0.75")
    assert "tax_rows" not in cells
    [cells] = await records(csv_text.notes(only(taxed_note(taxed_samples()["several-taxes"]))))
    assert (cells["amount"], cells["tax"], cells["total"]) == ("56.00", "10.64", "66.64")


async def only(paper: Note) -> AsyncIterator[Note]:
    yield paper


async def test_large_exports_go_out_in_pieces() -> None:
    one = bill([("ticket", price(price_per_unit="1"), ["1"] * 2000)])
    for chunks in (csv_text.lines(each(one)), json_lines.lines(each(one))):
        sizes = [len(chunk) async for chunk in chunks]
        assert len(sizes) > 10
        assert max(sizes) < 40_000
