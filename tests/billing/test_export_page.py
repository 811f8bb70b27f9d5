"""The printed page: what it says, that nobody's text becomes markup, and that its size costs no memory."""

import re
import tracemalloc
from collections.abc import AsyncIterator
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.billing.bills import (
    EXPORT,
    ISSUED,
    MANUAL,
    NOVEMBER,
    REDUCED,
    TIERS,
    all_of,
    bill,
    cancelling_note,
    credit,
    manual,
    note,
    of_rows,
    price,
    rows_of,
    samples,
    taxed,
    taxed_note,
    taxed_samples,
    text,
)
from tests.billing.golden_exports import head
from tests.support.companies import BILLING, LOGO, SELLER
from witnd.billing.export import page, sections, wording
from witnd.billing.export.bill import Bill
from witnd.billing.export.local_times import LocalTimes
from witnd.billing.export.page import css_string, invoice_page, note_page
from witnd.domain.catalogue.buyer import Buyer
from witnd.domain.catalogue.seller import Seller
from witnd.domain.invoices.invoice import Row
from witnd.domain.invoices.manual import manual_rows
from witnd.domain.values import instant
from witnd.domain.values.money import exact_sum
from witnd.domain.values.period import Calendar, Period
from witnd.zone_data import offsets_of

MARKUP = [
    "<script>alert(1)</script>",
    "</style><b>",
    '"><img src=x onerror=y>',
    "{{ 7 * 7 }}",
    "{% raw %}",
    "<!--",
    "&lt;",
]
hostile = st.one_of(
    st.sampled_from(MARKUP),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    st.text("<>&\"'/!-{}%#=` ab\0\n\u202e", min_size=1, max_size=20),
)


class Skeleton(HTMLParser):
    """The elements of a page without what is in them, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.said: list[str] = []
        self._style = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self._style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self.elements.append(("/" + tag, ()))
        self._style = False

    def handle_comment(self, data: str) -> None:
        self.elements.append(("!--", ()))

    def handle_data(self, data: str) -> None:
        if not self._style:
            self.said.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.said))


async def page_of(one: Bill) -> str:
    return await text(invoice_page(one))


async def said(one: Bill) -> str:
    return Skeleton(await page_of(one)).text


def written_by(somebody: str) -> Bill:
    """An invoice in which every text of others is this one."""
    one = samples()["flat"]
    rows = [replace(row, outcome_key=somebody) for row in rows_of("x", [("t", price(price_per_unit="1"), ["1", "2"])])]
    invoice = replace(one.invoice, customer_key="k" + somebody, status="void", voided_at=ISSUED, reason=somebody)
    rows.append(credit(rows[0], "-1.00", somebody, "x"))
    return of_rows(invoice, rows, name=somebody, customer_email=somebody, agent_name=lambda _: somebody)


def taxed_by(somebody: str) -> Bill:
    """An invoice in which every text of its parties, taxes and manual lines is this one, and of two taxes."""
    line = somebody.replace("\n", " ")
    one = taxed([manual(0, somebody, "1", tax="other")], other=replace(EXPORT, name=somebody, note=line))
    assert one.data is not None
    named = {"address": [somebody], "postal_code": somebody, "city": somebody, "country": somebody, "tax_id": somebody}
    seller = SELLER | named | dict.fromkeys(("name", "registration", "email", "phone", "iban", "bic"), somebody)
    buyer = BILLING | named | dict.fromkeys(("legal_name", "purchase_order", "email"), somebody)
    data = replace(
        one.data,
        seller=Seller.from_content(seller | {"footer": line}),
        buyer=Buyer.from_content(buyer),
        tax_rows=tuple(replace(row, name=somebody, note=line) for row in one.data.tax_rows),
    )
    return replace(one, data=data, invoice=replace(one.invoice, customer_key="k" + somebody))


@given(hostile)
async def test_no_text_becomes_markup(somebody: str) -> None:
    for written in (written_by, taxed_by):
        plain = Skeleton(await page_of(written("plain")))
        found = Skeleton(await page_of(written(somebody)))
        assert found.elements == plain.elements


@given(hostile)
async def test_no_text_of_a_credit_note_becomes_markup(somebody: str) -> None:
    paper = taxed_note(taxed_samples()["several-taxes"])
    plain = Skeleton(await text(note_page(replace(paper, data=taxed_by("plain").data))))
    found = Skeleton(await text(note_page(replace(paper, data=taxed_by(somebody).data))))
    assert found.elements == plain.elements


@pytest.mark.parametrize("somebody", MARKUP)
async def test_text_that_looks_like_markup_is_shown_as_it_is(somebody: str) -> None:
    for written in (written_by, taxed_by):
        assert re.sub(r"\s+", " ", somebody) in await said(written(somebody))


async def test_control_characters_are_shown() -> None:
    assert "Goodwill␇" in await said(taxed_samples()["several-taxes"])
    found = await page_of(taxed_by("a\x07\n\x7f"))
    assert "a␇␊␡" in found
    assert "\x07" not in found


@given(hostile)
def test_a_text_within_the_style_sheet_cannot_leave_its_quotes(somebody: str) -> None:
    assert re.fullmatch(r"(?:[A-Za-z0-9]|\\[0-9a-f]{1,6} )*", css_string(somebody), re.ASCII)


async def test_the_page_asks_for_nothing_and_runs_nothing() -> None:
    written = await page_of(samples()["several"])
    assert "default-src 'none'" in written
    for forbidden in (
        "<script",
        "<link",
        "<img",
        "url(",
        "@import",
        "@font-face",
        "http://",
        "https://",
        "src=",
        "href=",
    ):
        assert forbidden not in written, forbidden
    attributes = {name for _, names in Skeleton(written).elements for name in names}
    assert not [name for name in attributes if name.startswith("on")]


async def test_an_invoice_without_a_seller_and_taxes_does_not_mention_them() -> None:
    for one in samples().values():
        written = await page_of(one)
        assert not re.search(r"\btax", re.sub("<style>.*?</style>", "", written, flags=re.DOTALL), re.IGNORECASE)
        assert "img-src" not in written
        assert 'class="from"' not in written


async def test_the_parties_are_on_an_invoice_and_on_its_credit_notes() -> None:
    one = taxed()
    for written in (await page_of(one), await text(note_page(cancelling_note(one)))):
        found = Skeleton(written).text
        for expected in (
            "Kontor GmbH Hafenstraße 1 Hof 2 20457 Hamburg Germany billing@kontor.example +49 40 123456",
            "Acme Incorporated 1 Main Street 75001 Paris France ap@acme.com Tax ID FR40303265045 Customer acme",
            "Purchase order PO-77",
            "Tax ID DE136695976",
            "HRB 1234, Amtsgericht Hamburg",
            "IBAN DE89 3704 0044 0532 0130 00, BIC COBADEFFXXX",
            "Managing director: A. Kontor Vielen Dank!",
        ):
            assert expected in found, expected
        assert f'<img src="data:image/png;base64,{LOGO}" alt="">' in written
        assert "style-src 'unsafe-inline'; img-src data:" in written


async def test_without_a_logo_no_image_may_be_loaded() -> None:
    found = await page_of(taxed(logo=None))
    assert "Kontor GmbH" in found
    assert "<img" not in found
    assert "img-src" not in found


async def test_the_tax_of_each_rate_is_on_it() -> None:
    found = await said(taxed_samples()["several-taxes"])
    for expected in (
        "Setup of the <connector> Tax: VAT 19% 2 125.50 251.00",
        "Training Tax: VAT 7% 1 80.00 80.00",
        "−500.00 requested, reduced so that no taxable amount is negative Tax: VAT 7% 1 −500.00 −155.00",
        "Period minimum 6.47 is less than 40: 33.53 Tax: VAT 19%",
        "Export Tax-free export Article 146 of the directive 0 % (G) 9.90 0.00",
        "VAT 7% 7 % (S) 0.00 0.00",
        "VAT 19% 19 % (S) 291.00 55.29",
        "Net 300.90 Tax 55.29 Total due 356.19 EUR",
    ):
        assert expected in found, expected
    only_one = await said(taxed())
    assert "Tax: " not in only_one, "all rows have the tax of the table"
    assert "Net 115.00 Tax 21.85 Total due 136.85 EUR" in only_one


async def test_outcomes_of_one_agent_with_two_taxes_are_apart() -> None:
    one = taxed(MANUAL, reduced=REDUCED, export=EXPORT)
    assert one.data is not None
    found = await said(replace(one, tax_of=lambda row: "export" if row.outcome_key == "ticket-0002" else "vat"))
    assert "Support agent 2 outcomes Tax: VAT 19% 3.5 0.995 3.49" in found
    assert "Support agent 1 outcome Tax: Export At least 40.00 for the period 3 0.995 2.98" in found
    assert "3 × 0.995 = 2.985, rounded 2.98 (the period's sum goes from 0.995 to 3.98); Tax: Export" in found


async def test_a_draft_has_the_tax_that_it_would_be_issued_with() -> None:
    one = taxed([manual(0, "Setup", "10")])
    draft = replace(one.invoice, status="draft", number=None, issued_at=None, total=None, issue_data=None)
    found = await said(replace(one, invoice=replace(draft, issue_date=None, due_date=None)))
    assert "Net 125.00 Tax 23.75 Total so far 148.75 EUR" in found
    assert "Issued not yet" in found
    assert one.data is not None
    opened = replace(one, invoice=replace(draft, closed=False), data=replace(one.data, tax_rows=()))
    found = await said(opened)
    assert "more outcomes can be added. Tax is added when the period closes." in found
    assert "Subtotal 125.00 Total so far 125.00 EUR" in found


async def test_an_invoice_with_manual_lines_alone() -> None:
    one = bill([])
    head_ = replace(one.invoice, manual=(manual(0, "Setup", "10"),), total=Decimal(10))
    found = await said(of_rows(head_, manual_rows(head_)))
    assert "Item Quantity Unit price Amount Setup 1 10.00 10.00" in found
    assert "Subtotal 10.00 Total due 10.00 EUR" in found
    assert "No confirmed outcomes" not in found
    assert "Every outcome" not in found


async def test_a_credit_of_a_manual_line_names_it() -> None:
    one = taxed(MANUAL, reduced=REDUCED, export=EXPORT)
    rows = await all_of(one.rows())
    line = next(row for row in rows if row.description == "Training")
    given_ = credit(line, "-10.00", "not needed", one.invoice.id)
    found = await said(replace(one, rows=of_rows(one.invoice, [*rows, given_]).rows))
    assert "Credits For Reason Given Amount Training not needed" in found
    found = Skeleton(await text(note_page(taxed_note(one)))).text
    assert "Setup of the <connector> Delivered late 51.00" in found
    assert "VAT 19% 19 % (S) 56.00 10.64" in found
    assert "Net 56.00 EUR Tax 10.64 EUR Credited 66.64 EUR" in found


async def test_the_note_of_a_voided_invoice_says_what_it_cancels() -> None:
    found = Skeleton(await text(note_page(cancelling_note(taxed())))).text
    assert "This credit note cancels invoice INV-000042, which must not be paid: Sent to the wrong company" in found
    assert "Credited 136.85 EUR" in found
    assert "Agent and outcome" not in found


async def test_the_numbers_of_an_invoice_are_on_it() -> None:
    found = await said(samples()["several"])
    for expected in (
        "INV-000042",
        "Acme Robotics GmbH",
        "billing@acme.example",
        "1 – 30 November 2026 (UTC)",
        "2 December 2026",
        "Fraud & chargeback desk",
        "15,890.4",
        "2.5 %",
        "Period minimum",
        "12.44 is less than 40: 27.56",
        "7 × 0.9 (tier 2) + 4 × 0.605 (tier 3) = 8.72",
        "Reopened by phone, see call of 1 December",
        "Subtotal 410.93",
        "Credits −0.50",
        "Total 410.43",
        "Paid from your balance −12.00",
        "Amount due 398.43 EUR",
    ):
        assert expected in found, expected


@pytest.mark.parametrize(
    ("status", "expected", "absent"),
    [
        ("draft", ["DRAFT", "A draft for review", "Total so far"], ["Total due"]),
        ("issued", ["Total due 16.43 EUR", "Issued", "Due date 1 January 2027"], ["DRAFT", "VOID"]),
        ("paid", ["Paid on 2 December 2026", "Payments −16.43", "Amount due 0.00"], ["Total due", "DRAFT", "VOID"]),
        ("void", ["VOID", "must not be paid", "Amount due 0.00"], ["Total due"]),
    ],
)
async def test_what_is_to_be_paid_depends_on_the_status(status: str, expected: list[str], absent: list[str]) -> None:
    one = samples()["flat"]
    applied = one.invoice.total if status == "paid" else Decimal(0)
    found = await said(await head(one, status=status, paid_at=ISSUED, voided_at=ISSUED, payments_applied=applied))
    assert [one for one in expected if one not in found] == []
    assert [one for one in absent if one in found] == []


async def test_the_subtotals_of_a_page_come_to_the_subtotal_of_the_invoice() -> None:
    for one in samples().values():
        found = await sections.summarise(one.rows)
        assert exact_sum(group.total for group in found.groups) == one.invoice.subtotal
        assert sum(group.outcomes for group in found.groups) == one.invoice.lines


async def test_one_agent_under_two_prices_is_one_group_with_a_row_for_each() -> None:
    old, new = price(price_per_unit="1", period_minimum="9"), price(price_per_unit="2", period_cap="4")
    one = bill([("before", old, ["1", "1"]), ("later", new, ["1"])])
    [group] = (await sections.summarise(one.rows)).groups
    assert (group.agent_key, group.outcomes, group.units, group.amount) == ("support", 3, 3, Decimal(4))
    assert [(found.outcomes, found.amount) for found in group.prices.values()] == [(2, Decimal(2)), (1, Decimal(2))]
    # Only the bounds of the price in effect at the end of the period count.
    for terms, shown, hidden in ((old, "At least 9.00", "At most"), (new, "At most 4.00", "At least")):
        found = await said(replace(one, terms_of=lambda _agent, _grade, terms=terms: terms))
        assert shown in found
        assert hidden not in found
    assert "Total for Support agent" in found


@pytest.mark.parametrize("held", [1, 2, 5, 7, 1000])
async def test_how_much_is_held_makes_no_difference(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    work = [
        ("a", price("support", price_per_unit="1"), ["1"] * 5),
        ("b", price("sales", kind="graduated", tiers=TIERS), ["4"] * 3),
        ("c", price("fraud", price_per_unit="3"), ["2"] * 4),
    ]
    one = bill(work, given=lambda rows: [credit(rows[0], "-1.00", "so", "x")])
    whole = await page_of(one)
    monkeypatch.setattr(sections, "MAX_BUFFERED_ROWS", held)
    assert await page_of(one) == whole


async def test_rows_come_in_order_within_their_group() -> None:
    one = bill(
        [("a", price("support", price_per_unit="1"), ["1"] * 4), ("b", price("sales", price_per_unit="1"), ["1"] * 4)]
    )
    found = re.findall(r"[ab]-\d{4}", await said(one))
    assert found == [f"b-{n:04}" for n in range(1, 5)] + [f"a-{n:04}" for n in range(1, 5)]


@pytest.mark.slow
async def test_a_long_invoice_is_never_held_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "MAX_BUFFERED_ROWS", 100)
    [template] = rows_of("x", [("t", price(price_per_unit="1"), ["1"])])
    count = 6000

    async def rows() -> AsyncIterator[Row]:
        for number in range(count):
            yield replace(template, outcome_key=f"ticket-{number}", reason="r" * 1000)

    one = replace(samples()["flat"], rows=rows)
    await page_of(samples()["flat"])  # compiles the templates, which takes more memory than the rows
    size = 0
    tracemalloc.start()
    try:
        async for chunk in invoice_page(one):
            size += len(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 1_300_000
    assert peak < 400_000


async def test_a_credit_note_says_what_is_given_back_and_for_what() -> None:
    one = samples()["several"]
    paper = note(one, (await all_of(one.rows()))[0], "-0.75")
    found = Skeleton(await text(note_page(paper))).text
    for expected in ("Credit note", "CN-000003", "INV-000042", "ticket-0001", "Credited 0.75 EUR", "Reopened"):
        assert expected in found, expected
    hurt = replace(paper, customer_name="<b>x", agent_name=lambda _: "<script>")
    assert Skeleton(await text(note_page(hurt))).elements == Skeleton(await text(note_page(paper))).elements


@pytest.mark.parametrize(
    ("first", "last", "zone", "words"),
    [
        ("2026-11-01", "2026-11-30", "UTC", "1 – 30 November 2026 (UTC)"),
        ("2028-02-01", "2028-02-29", "Europe/Berlin", "1 – 29 February 2028 (Europe/Berlin)"),
        ("2026-11-30", "2026-12-06", "UTC", "30 November – 6 December 2026 (UTC)"),
        ("2026-12-28", "2027-01-03", "UTC", "28 December 2026 – 3 January 2027 (UTC)"),
        ("2026-11-23", "2026-11-23", "UTC", "23 November 2026 (UTC)"),
    ],
)
def test_a_period_is_written_with_its_last_day(first: str, last: str, zone: str, words: str) -> None:
    one = replace(samples()["flat"].invoice, first_day=first, last_day=last, zone=zone)
    assert wording.period(one.billed_period) == words


def test_an_hour_is_one_of_utc_in_every_time_zone() -> None:
    start = instant.parse("2026-11-30T23:00:00Z")
    hour = Period(start, start + 3_600_000, "hour", "Asia/Kolkata", "2026-12-01", "2026-12-01")
    assert wording.period(hour) == "30 November 2026, 23:00 – 00:00 (UTC)"


async def test_times_are_those_of_the_zone_of_the_period() -> None:
    one = samples()["flat"]
    calendar = Calendar.begin("month", "Asia/Kolkata", NOVEMBER, offsets_of("Asia/Kolkata"))
    zone = replace(one, times=LocalTimes(calendar, "Asia/Kolkata"))
    page = Skeleton(await text(invoice_page(zone))).text
    assert "Times are in Asia/Kolkata." in page
    [at, *_] = [row.resolved_at for row in await all_of(one.rows())]
    assert at is not None
    assert wording.minute(at + 5 * 3_600_000 + 1_800_000) in page
    # The machine-readable instants stay in UTC.
    assert instant.render(at) in await text(invoice_page(zone))


@pytest.mark.parametrize(
    ("number", "words"),
    [("0", "0"), ("999", "999"), ("1000", "1,000"), ("-1234567.50", "−1,234,567.50"), ("0.000001", "0.000001")],
)
def test_numbers_are_in_groups_of_three(number: str, words: str) -> None:
    assert wording.group_digits(number) == words


@pytest.mark.parametrize(
    ("entry", "column", "lines"),
    [
        ({"price_per_unit": "0.9"}, "0.90", []),
        ({"price_per_unit": "1", "free_quota": "1500"}, "1.00", ["The first 1,500 of the period are free"]),
        (
            {"kind": "graduated", "tiers": TIERS},
            "by tier",
            ["Each unit at the price of its tier: first 10 at 1.25, up to 25 at 0.90 plus 5.00, above at 0.605"],
        ),
        (
            {"kind": "volume", "tiers": [{"price_per_unit": "2"}], "period_cap": "9"},
            "by tier",
            ["All units at the price of the total: all at 2.00", "At most 9.00 for the period"],
        ),
        (
            {"kind": "package", "package_size": "100", "price_per_package": "9"},
            "9.00 per 100",
            ["9.00 for each started package of 100"],
        ),
        (
            {"kind": "percentage", "percent": "2.5", "minimum": "0.5", "period_minimum": "20"},
            "2.5 %",
            ["2.5 % of each quantity, at least 0.50 per outcome", "At least 20.00 for the period"],
        ),
    ],
)
def test_what_was_agreed_is_told(entry: dict[str, object], column: str, lines: list[str]) -> None:
    agreed = price(**entry)
    assert wording.unit_price(agreed) == column
    assert wording.price_lines(agreed) == lines


def test_every_colour_of_text_can_be_read_on_the_paper() -> None:
    """WCAG AA: 4.5 to 1, on white and on the ground of notes."""
    style = (Path(page.__file__).parent / "templates/sheet.css").read_text()
    colours = dict(re.findall(r"--(\w+): #([0-9a-f]{6});", style))
    for name in ("ink", "soft", "accent", "warn"):
        for ground in ("ffffff", colours["faint"]):
            light, dark = sorted((luminance(colours[name]), luminance(ground)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, name


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
