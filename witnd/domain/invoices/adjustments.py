"""The rows of an invoice without an outcome: what the close of its period adds to a group."""

from witnd.domain.invoices.invoice import Row, row_id
from witnd.domain.pricing.charge import Charge
from witnd.domain.pricing.group import GroupKey
from witnd.domain.pricing.rating import Adjustment
from witnd.domain.values.money import plain


def adjustment_row(invoice: str, group: GroupKey, one: Adjustment) -> Row:
    """Return the row of a fee, minimum or cap. A group has at most one fee per tier, and one minimum or cap."""
    return Row(
        id=row_id(invoice, one.kind, *group.parts, str(one.working.get("tier", ""))),
        kind=one.kind,
        agent_key=group.agent,
        rate_card=one.price.rate_card,
        price_hash=one.price.hash,
        amount=format(one.amount, "f"),  # rounded already
        amount_exact=plain(one.exact),
        rated="at_close",
        working=one.working,
    )


def charge_row(invoice: str, one: Charge) -> Row:
    """Return the row of a recurring fee or commitment. An invoice has at most one per fee, and one of a commitment."""
    return Row(
        id=row_id(invoice, one.kind, one.key),
        kind=one.kind,
        agent_key=None,
        rate_card=one.card,
        price_hash=None,
        amount=format(one.amount, "f"),  # rounded already
        amount_exact=plain(one.exact),
        rated="at_close",
        working=one.working,
        tax=one.tax,
    )
