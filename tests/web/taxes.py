"""A catalogue with a seller and taxes, and closed invoices of a period that has ended long ago."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.companies import LOGO
from tests.support.invoices import CALENDAR, outcome_row
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server
from tests.web.invoices import put
from witnd.config import BillingConfig
from witnd.domain.invoices.invoice import Invoice, Row

ENDED = CALENDAR.period_at(1_600_000_000_000)  # September 2020
LAST_DAY = "2020-09-30"
LINES = [outcome_row("ticket-1", "6.00", ENDED.start), outcome_row("ticket-2", "4.00", ENDED.start + 1)]

TAXES = """
[[taxes]]
key = "vat"
name = "VAT 19%"
rate = "19"
category = "S"

[[taxes]]
key = "reduced"
name = "VAT 7%"
rate = "7"
category = "S"

[[taxes]]
key = "export"
name = "Export"
rate = "0"
category = "G"
note = "Tax-free export"

[[customers]]
key = "acme"
name = "Acme Incorporated"
email = "hello@acme.com"
rate_card = "standard"

[customers.billing]
legal_name = "Acme Incorporated"
address = ["1 Main Street"]
postal_code = "75001"
city = "Paris"
country = "FR"
tax_id = "FR40303265045"
purchase_order = "PO-77"
payment_terms_days = 60
tax = "vat"

[[customers]]
key = "beta"
rate_card = "standard"

[[agents]]
key = "support"
name = "Support agent"
condition = []

[[rate_cards]]
key = "standard"
currency = "EUR"
entries = [{ agent = "support", price_per_unit = "0.995" }]
"""
SELLER = f"""
[seller]
name = "Kontor GmbH"
address = ["Hafenstraße 1", "Hof 2"]
postal_code = "20457"
city = "Hamburg"
country = "DE"
tax_id = "DE136695976"
registration = "HRB 1234, Amtsgericht Hamburg"
email = "billing@kontor.example"
phone = "+49 40 123456"
iban = "DE89370400440532013000"
bic = "COBADEFFXXX"
footer = "Managing director: A. Kontor"
logo = "{LOGO}"
payment_terms_days = 14
"""


@contextmanager
def taxed_server(
    server: Server, directory: Path, *, catalogue: str = SELLER + TAXES, **settings: Any
) -> Iterator[ApiServer]:
    """A daemon that issues nothing itself, with the catalogue."""
    with api_server(server, directory, billing=BillingConfig(issue="manual"), **settings) as api:
        api.deployment.apply(catalogue)
        yield api


def put_ended(api: ApiServer, customer: str = "acme", lines: Sequence[Row] = LINES, **how: Any) -> Invoice:
    """A closed draft of the period that has ended."""
    return put(api, customer, lines, at=ENDED.start, **how)


def invoice_changes(api: ApiServer) -> list[Any]:
    """The entries of the change log about invoices, newest first."""
    return [entry for entry in api.pages("/v1/changes?limit=100") if entry["what"].startswith("invoice.")]
