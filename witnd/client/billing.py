"""Requests that read and change invoices, payments and balances."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from witnd.client.answers import (
    AgeingReport,
    Balance,
    CreditResult,
    Invoice,
    InvoicePage,
    LinePage,
    LineResult,
    PaymentResult,
    RefundResult,
)
from witnd.client.event import fresh_key
from witnd.client.flow import Flow, Request, Retries, exchange, get, read_answer

T = TypeVar("T")


class _Balances(Struct):
    data: list[Balance]


def invoice(id_: str, retries: Retries) -> Flow[Invoice]:
    answer = yield from exchange(Request("GET", _target("invoices", id_)), retries)
    return read_answer(answer, Invoice)


def export(kind: str, id_: str, format_: str, detail: str | None, retries: Retries) -> Flow[bytes]:
    """Read a file of an invoice or credit note. `kind`: invoices or credit-notes."""
    query = urlencode({"format": format_} | ({} if detail is None else {"detail": detail}))
    answer = yield from exchange(Request("GET", f"{_target(kind, id_)}?{query}"), retries)
    return answer.body


def invoice_page(filters: Mapping[str, str | int | None], retries: Retries) -> Flow[InvoicePage]:
    return get(("invoices",), filters, InvoicePage, retries)


def invoice_lines(id_: str, filters: Mapping[str, str | int | None], retries: Retries) -> Flow[LinePage]:
    return get(("invoices", id_, "lines"), filters, LinePage, retries)


def ageing(filters: Mapping[str, str | int | None], retries: Retries) -> Flow[AgeingReport]:
    return get(("invoices", "ageing"), filters, AgeingReport, retries)


def add_line(
    id_: str, line: Mapping[str, Any], key: str | None, retries: Retries, *, dry_run: bool
) -> Flow[LineResult]:
    return _post(("invoices", id_, "lines"), {**line, "dry_run": dry_run}, LineResult, key, retries)


def add_customer_line(
    customer_key: str, line: Mapping[str, Any], key: str | None, retries: Retries, *, dry_run: bool
) -> Flow[LineResult]:
    return _post(("customers", customer_key, "lines"), {**line, "dry_run": dry_run}, LineResult, key, retries)


def remove_line(id_: str, line: str, retries: Retries) -> Flow[Invoice]:
    return _change("DELETE", ("invoices", id_, "lines", line), None, Invoice, None, retries)


def set_tax(id_: str, line: str, tax: str | None, reason: str, retries: Retries, *, dry_run: bool) -> Flow[LineResult]:
    body = {"tax": tax, "reason": reason, "dry_run": dry_run}
    return _change("PATCH", ("invoices", id_, "lines", line), body, LineResult, None, retries)


def issue(
    id_: str, date: str | None, exchange_rate: Mapping[str, str] | None, retries: Retries, *, dry_run: bool
) -> Flow[Invoice]:
    body = {"date": date, "exchange_rate": exchange_rate, "dry_run": dry_run}
    return _post(("invoices", id_, "issue"), body, Invoice, None, retries)


def void(id_: str, reason: str, retries: Retries, *, dry_run: bool) -> Flow[Invoice]:
    return _post(("invoices", id_, "void"), {"reason": reason, "dry_run": dry_run}, Invoice, None, retries)


def revise(id_: str, reason: str | None, retries: Retries, *, dry_run: bool) -> Flow[Invoice]:
    return _post(("invoices", id_, "revise"), {"reason": reason, "dry_run": dry_run}, Invoice, None, retries)


def record_payment(id_: str, facts: Mapping[str, Any], key: str | None, retries: Retries) -> Flow[PaymentResult]:
    return _post(("invoices", id_, "payments"), facts, PaymentResult, key, retries)


def reverse_payment(id_: str, payment: str, retries: Retries) -> Flow[PaymentResult]:
    return _post(("invoices", id_, "payments", payment, "reverse"), None, PaymentResult, None, retries)


def credit(
    id_: str, items: Sequence[Mapping[str, str]], reason: str, key: str | None, retries: Retries, *, dry_run: bool
) -> Flow[CreditResult]:
    body = {"items": list(items), "reason": reason, "dry_run": dry_run}
    return _post(("invoices", id_, "credit-notes"), body, CreditResult, key, retries)


def balances(customer_key: str, retries: Retries) -> Flow[list[Balance]]:
    answer = yield from exchange(Request("GET", _target("customers", customer_key, "balance")), retries)
    return read_answer(answer, _Balances).data


def refund(customer_key: str, facts: Mapping[str, Any], key: str | None, retries: Retries) -> Flow[RefundResult]:
    return _post(("customers", customer_key, "refunds"), facts, RefundResult, key, retries)


def _target(*path: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in path)


def _post(
    path: Sequence[str], body: Mapping[str, Any] | None, type_: type[T], key: str | None, retries: Retries
) -> Flow[T]:
    """Send a change. Members that are None are left out."""
    given = None if body is None else {name: value for name, value in body.items() if value is not None}
    return _change("POST", path, given, type_, key, retries)


def _change(
    method: str,
    path: Sequence[str],
    body: Mapping[str, Any] | None,
    type_: type[T],
    key: str | None,
    retries: Retries,
) -> Flow[T]:
    """Send a change with an idempotency key."""
    data = None if body is None else msgspec.json.encode(body)
    answer = yield from exchange(Request(method, _target(*path), data, key or fresh_key()), retries)
    return read_answer(answer, type_)
