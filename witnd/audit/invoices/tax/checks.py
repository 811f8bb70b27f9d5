"""Audit the taxes, manual lines and overridden taxes of an invoice against what `taxes` recomputes."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from witnd.audit.findings import RESTORE, Findings, command_remedy
from witnd.audit.invoices.credits import InvoiceCredits
from witnd.audit.invoices.snapshot import InvoiceSnapshot
from witnd.audit.invoices.tax.issue_data import check_issue_data, customer_versions
from witnd.audit.invoices.tax.recompute import Class, RowTaxes, TaxedInvoice, shown_rows, stored
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.credit import CREDITABLE
from witnd.domain.invoices.invoice import Invoice, edition_id, row_id
from witnd.domain.invoices.operations import CreditNote
from witnd.domain.invoices.sums import COMMITMENT, FEES, MANUAL, Sums, TaxOverride
from witnd.domain.invoices.tax import ManualLine, TaxRow, TaxTable, TaxTerms
from witnd.domain.values.money import difference, exact_sum, plain, product, to_minor
from witnd.store.invoices.codec import field_text
from witnd.store.keys import BillingKeys

_ZERO: Final = Decimal(0)
_PLACES: Final = {"recurring": FEES, "commitment": COMMITMENT, "manual": MANUAL}


class TaxPoint(NamedTuple):
    """What the taxes of an invoice are checked against."""

    catalogue: Catalogue
    rows: RowTaxes
    credits: InvoiceCredits


def check_taxes(keys: BillingKeys, snapshot: InvoiceSnapshot, point: TaxPoint, findings: Findings) -> None:
    """Check everything about taxes that the head of an invoice and its credit notes have."""
    invoice, head, rows = snapshot.invoice, keys.invoice(snapshot.invoice.id), point.rows
    for line in invoice.manual:
        _check_line(invoice, line, findings)
    if not rows.is_complete:
        return  # a missing price is reported with the rows
    _check_overrides(invoice, point, findings)
    _check_sums(head, invoice, point, findings)
    if not invoice.closed:
        for line in invoice.manual:
            findings.compare(_line(line, "applied"), plain(line.amount), plain(line.applied), RESTORE)
        return
    if invoice.issue_data is None:
        _check_discounts(snapshot, point, findings)
        return
    taxed = _taxed(invoice, point, invoice.issue_data.table)
    if (must := taxed.applied()) != [line.applied for line in invoice.manual]:
        _differing_discounts(invoice, must, findings)
    _check_tax_rows(head, invoice, taxed, findings)
    _check_notes(invoice, taxed, point.credits.notes, findings)
    check_issue_data(invoice, point.catalogue, findings)


def _taxed(invoice: Invoice, point: TaxPoint, table: TaxTable) -> TaxedInvoice:
    commitment = point.rows.commitment
    own = {id_: one.own for id_, one in point.rows.kept.items()}
    return TaxedInvoice(
        invoice=invoice,
        table=table,
        sums=point.rows.sums(),
        own=own if commitment is None else own | {commitment.row.id: commitment.own},
        commitment=None if commitment is None else commitment.row.id,
        drafted=point.credits.drafted,
    )


# -- sums --------------------------------------------------------------------------------------------------------------


def _check_sums(head: str, invoice: Invoice, point: TaxPoint, findings: Findings) -> None:
    """Check the sums of the rows and of the draft's credits by tax key."""
    must = point.rows.sums() if invoice.closed else None
    if must != invoice.sums:
        # The order of the keys within a group does not matter.
        remedy = RESTORE if must is None else command_remedy("HSET", head, "sums", field_text(must))
        findings.differ("sums by tax key", _text(must, invoice.sums), _text(invoice.sums, must), remedy)
    taxed = _taxed(invoice, point, TaxTable())
    sums: dict[str, Decimal] = {}
    of_commitment = _ZERO
    for row, amount in point.credits.drafted.items():
        if row == taxed.commitment:
            of_commitment = exact_sum((of_commitment, amount))
        else:
            sums[taxed.key(row)] = exact_sum((sums.get(taxed.key(row), _ZERO), amount))
    found = {key: amount for key, amount in invoice.credit_sums.items() if amount}
    if sums != found:
        remedy = command_remedy("HSET", head, "credit_sums", field_text(sums))
        findings.differ("credits by tax key", field_text(sums), field_text(invoice.credit_sums), remedy)
    remedy = command_remedy("HSET", head, "commitment_credited", plain(of_commitment))
    findings.compare("commitment_credited", plain(of_commitment), plain(invoice.commitment_credited), remedy)


def _text(sums: Sums | None, other: Sums | None) -> str:
    """Return sums as text, limited to the groups that differ from those of the other."""
    if sums is None or other is None:
        return "none" if sums is None else field_text(sums)
    groups = tuple(one for one in sums.groups if one not in other.groups)
    return field_text(replace(sums, groups=groups))


# -- manual lines and overrides ----------------------------------------------------------------------------------------


def _line(line: ManualLine, what: str) -> str:
    return f"manual line {line.id[:12]}: {what}"


def _check_line(invoice: Invoice, line: ManualLine, findings: Findings) -> None:
    """Check what a single manual line shows."""
    must = to_minor(product(line.quantity, line.unit_price), invoice.digits)
    # The currency may have had fewer digits when the line was added.
    if line.amount not in (must, *(to_minor(must, digits) for digits in range(invoice.digits))):
        findings.compare(_line(line, "amount"), plain(must), plain(line.amount), RESTORE)
    if not min(line.amount, _ZERO) <= line.applied <= max(line.amount, _ZERO) or (
        line.amount > 0 and line.applied != line.amount
    ):
        expected = plain(line.amount) if line.amount > 0 else f"{plain(line.amount)} to 0"
        findings.differ(_line(line, "applied"), expected, plain(line.applied), RESTORE)
    if sum(one.id == line.id for one in invoice.manual) > 1:
        findings.differ(_line(line, "id"), "once", "again", RESTORE)
    # The revision of an earlier edition is not known here.
    editions = [edition_id(invoice, edition) for edition in range(invoice.edition, 0, -1)]
    count = invoice.revision if len(editions) == 1 else 1000
    ids = (row_id(id_, "manual", str(revision)) for id_ in editions for revision in range(count))
    if all(id_ != line.id for id_ in ids):
        findings.differ(_line(line, "id"), "one that follows from the invoice", line.id, RESTORE)


def _check_discounts(snapshot: InvoiceSnapshot, point: TaxPoint, findings: Findings) -> None:
    """Check what remains of the discounts of a draft. It was computed with the tax that the customer had then."""
    invoice = snapshot.invoice
    found = [line.applied for line in invoice.manual]
    if not found or (snapshot.to_adjust is not None and found == [line.amount for line in invoice.manual]):
        return
    must: list[Decimal] = []
    for table in _tables(point.catalogue, invoice):
        must = _taxed(invoice, point, table).applied()
        if must == found:
            return
    _differing_discounts(invoice, must, findings)


def _differing_discounts(invoice: Invoice, must: list[Decimal], findings: Findings) -> None:
    for line, amount in zip(invoice.manual, must, strict=True):
        findings.compare(_line(line, "applied"), plain(amount), plain(line.applied), RESTORE)


def _tables(catalogue: Catalogue, invoice: Invoice) -> Iterator[TaxTable]:
    """Yield the terms of all taxes, with each tax key that the customer had."""
    terms: dict[str, TaxTerms] = {}
    for key in catalogue.keys("tax"):
        if (tax := catalogue.tax(key, invoice.end - 1)) is not None:
            terms[key] = TaxTerms(name=tax.name, category=tax.category, rate=tax.rate, note=tax.note)
    billing = [one.billing for one in customer_versions(catalogue, invoice.customer_key)]
    for default in dict.fromkeys((None, *(None if one is None else one.tax for one in billing))):
        yield TaxTable(default, terms)


def _check_overrides(invoice: Invoice, point: TaxPoint, findings: Findings) -> None:
    lines = {line.id: line for line in invoice.manual}
    for one in invoice.overrides:
        what = f"tax of row {one.row[:12]}"
        kept, line = point.rows.kept.get(one.row), lines.get(one.row)
        if not invoice.closed or (kept is None and line is None):
            expected = "of a row of the invoice" if invoice.closed else "none: the invoice is open"
            findings.differ(what, expected, "of another", RESTORE)
            continue
        must: dict[str, Any] = {"reason": "one"} if not one.reason else {}
        if line is not None:
            must |= {"own": line.tax, "place": MANUAL}
        elif kept is not None:
            if kept.row.kind not in CREDITABLE:
                findings.differ(what, "of a row that has a tax", f"of a {kept.row.kind}", RESTORE)
                continue
            must |= {"own": kept.own, "amount": Decimal(kept.row.amount or 0)}
            if kept.row.kind in _PLACES:
                must["place"] = _PLACES[kept.row.kind]
            elif kept.group is not None:
                must["place"] = point.rows.places[kept.group]
        if sum(other.row == one.row for other in invoice.overrides) > 1:
            findings.differ(what, "once", "again", RESTORE)
        if one.tax == one.own or one.tax not in ("", *point.catalogue.keys("tax")):
            findings.differ(f"{what}: tax", "another key of the catalogue", one.tax or "the customer's", RESTORE)
        _compare_override(what, must, one, findings)


def _compare_override(what: str, must: Mapping[str, Any], one: TaxOverride, findings: Findings) -> None:
    for name, expected in must.items():
        found = getattr(one, name)
        if expected != found:
            findings.differ(f"{what}: {name}", expected or "none", found or "none", RESTORE)


# -- taxes -------------------------------------------------------------------------------------------------------------


def _check_tax_rows(head: str, invoice: Invoice, taxed: TaxedInvoice, findings: Findings) -> None:
    must = taxed.tax_rows()
    if any(taxable < 0 for taxable, _ in must.values()):
        findings.differ("taxable amounts", "0 or more", shown_rows(must), RESTORE)
    _compare_taxes("tax rows", must, invoice.tax_rows, taxed.table, findings)
    total = exact_sum((invoice.net, *(tax for _, tax in must.values())))
    found = "none" if invoice.total is None else plain(invoice.total)
    findings.compare("total", plain(total), found, command_remedy("HSET", head, "total", plain(total)))


def _compare_taxes(
    what: str,
    must: Mapping[Class, tuple[Decimal, Decimal]],
    rows: tuple[TaxRow, ...],
    table: TaxTable,
    findings: Findings,
) -> None:
    """Compare stored tax rows with the recomputed ones, and their names and notes with the terms of their taxes."""
    must = {one: amounts for one, amounts in must.items() if any(amounts)}
    found = stored(rows)
    if must != found:
        findings.differ(what, shown_rows(must), shown_rows(found), RESTORE)
    classes = [row.tax_class for row in rows]
    if classes != sorted(set(classes)):
        findings.differ(what, "one for each category and rate, in order", shown_rows(found), RESTORE)
    for row in rows:
        terms = [one for _, one in sorted(table.terms.items()) if one.tax_class == row.tax_class]
        names = terms[0].name if terms else "none"
        note = " ".join(dict.fromkeys(one.note for one in terms if one.note)) or None
        if (row.name, row.note) != (names, note):
            findings.differ(f"{what}: name and note", f"{names}, {note}", f"{row.name}, {row.note}", RESTORE)


def _check_notes(invoice: Invoice, taxed: TaxedInvoice, notes: list[CreditNote], findings: Findings) -> None:
    """Check the taxes that each credit note gives back, and their sums in the head."""
    if len(notes) != invoice.notes:
        return  # a missing or unreadable one is reported before
    if invoice.status == "void":
        # It is cancelled as a whole, by a note without rows.
        for note in notes:
            if note.tax_rows != invoice.tax_rows:
                must, found = shown_rows(stored(invoice.tax_rows)), shown_rows(stored(note.tax_rows))
                findings.differ(f"credit note {note.number}: tax rows", must, found, RESTORE)
        total = stored(invoice.tax_rows) if notes else {}
    else:
        for note in notes:
            what = f"credit note {note.number}: tax rows"
            _compare_taxes(what, taxed.note(note), note.tax_rows, taxed.table, findings)
            _check_credit_taxes(note, taxed, findings)
        total = {one: amounts for one, amounts in taxed.all_notes().items() if any(amounts)}
    if total != stored(invoice.note_taxes):
        findings.differ("note_taxes", shown_rows(total), shown_rows(stored(invoice.note_taxes)), RESTORE)
    net = difference(invoice.net, invoice.noted_net)
    if net < 0:
        findings.differ("noted_net", f"at most {plain(invoice.net)}", plain(invoice.noted_net), RESTORE)


def _check_credit_taxes(note: CreditNote, taxed: TaxedInvoice, findings: Findings) -> None:
    for row in note.rows:
        must = taxed.key(row.corrects or "") or taxed.table.default
        if row.corrects == taxed.commitment and taxed.is_split:
            must = None
        found = row.tax
        if must != found:
            findings.differ("credit: tax", must or "none", found or "none", RESTORE, key=row.outcome_key or "")
