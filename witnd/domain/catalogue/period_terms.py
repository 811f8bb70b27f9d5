"""The price in effect at the end of a billing period, whose minimum and cap apply to a group of outcomes."""

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.pricing.group import GroupKey
from witnd.domain.pricing.ratecard import Price


def period_terms(catalogue: Catalogue, customer_key: str, currency: str, group: GroupKey, end: int) -> Price | None:
    """Return the customer's price in this currency that names exactly the group's agent and is in effect at the last
    millisecond of the period that ends at `end`. None if there is none.

    The result no longer changes when a log has reached `end`: a new version takes effect after the newest log entry.
    """
    at = end - 1
    customer = catalogue.customer(customer_key, at)
    # No entry has a grade yet, so an entry covers every group of its agent.
    price = None if customer is None else catalogue.price(customer, group.agent, at)
    return price if isinstance(price, Price) and price.currency == currency else None
