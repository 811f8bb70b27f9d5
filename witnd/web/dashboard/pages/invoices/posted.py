"""What forms of invoices have in common: the facts of a payment or refund, and the box to confirm."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from witnd.app.errors import invalid
from witnd.app.invoices.bulk import ITEMS_MAX, Item
from witnd.app.invoices.facts import ExchangeRate, Facts
from witnd.web.dashboard.page import PageRequest

_SHOWN: Final = re.compile(
    r"(?P<id>[0-9a-f]{64}):(?P<revision>[0-9]{1,9}):(?P<total>-?[0-9]{1,24}(?:\.[0-9]{1,6})?)", re.ASCII
)


def facts_of(form: Mapping[str, str]) -> Facts:
    """Return the payment or refund that a form describes; fields left empty are left out."""
    given = {name: form.get(name, "").strip() for name in ("date", "method", "reference")}
    return Facts(amount=form.get("amount", "").strip(), **{name: text for name, text in given.items() if text})


def check_confirmed(request: PageRequest) -> None:
    if "confirmed" not in request.form:
        raise invalid("confirmed", "tick the box to confirm; you cannot undo this")


def shown_text(item: Item) -> str:
    """Return what the author has seen of an invoice, for a form: `<id>:<revision>:<total>`."""
    return f"{item.id}:{item.revision}:{format(item.total, 'f')}"


def shown_items(request: PageRequest, *fields: str) -> list[Item]:
    """Return the invoices in these fields of a form that acts on several."""
    texts = [text for field in fields for text in request.forms.get(field, [])]
    if not texts or len(texts) > ITEMS_MAX:
        raise invalid("row", f"must name from 1 to {ITEMS_MAX} invoices; go back to the list")
    return [_item(text) for text in texts]


def _item(text: str) -> Item:
    found = _SHOWN.fullmatch(text)
    if found is None:
        raise invalid("row", "must be a row of the list of invoices; go back to the list")
    return Item(id=found["id"], revision=int(found["revision"]), total=Decimal(found["total"]))


def is_preview(request: PageRequest) -> bool:
    """Return whether a form was sent only to see what it would do."""
    return request.form.get("do") == "preview"


def rate_of(form: Mapping[str, str]) -> ExchangeRate | None:
    """Return the exchange rate of a form, such as `EUR=0.9213`; None if the field is empty."""
    currency, _, rate = form.get("exchange_rate", "").partition("=")
    return ExchangeRate(currency=currency.strip(), rate=rate.strip()) if currency.strip() or rate.strip() else None
