"""Why an event is held."""

from enum import StrEnum


class HeldReason(StrEnum):
    """Why an event cannot be placed yet, in the order of the checks."""

    UNKNOWN_CUSTOMER = "UNKNOWN_CUSTOMER"
    UNKNOWN_AGENT = "UNKNOWN_AGENT"
    AGENT_AMBIGUOUS = "AGENT_AMBIGUOUS"
    NO_RATE_CARD = "NO_RATE_CARD"
    NO_PRICE = "NO_PRICE"
