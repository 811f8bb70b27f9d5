"""What notification rules report: their sources, and the types of messages."""

from collections.abc import Mapping
from typing import Final, Literal, get_args

OutcomeSource = Literal["outcome_confirmed", "outcome_missed", "both", "outcome_reversed"]
BillingSource = Literal[
    "invoice_closed", "invoice_issued", "invoice_paid", "invoice_overdue", "invoice_voided", "credit_note_issued"
]
#: Sources for operators.
OperatorSource = Literal["endpoint_suspended", "settlement_blocked"]
Source = OutcomeSource | BillingSource | OperatorSource
DeliveryType = Literal["outcome_succeed", "outcome_failed", "outcome_reversed"]

OUTCOME_SOURCES: Final[tuple[OutcomeSource, ...]] = get_args(OutcomeSource)
BILLING_SOURCES: Final[tuple[BillingSource, ...]] = get_args(BillingSource)
OPERATOR_SOURCES: Final[tuple[OperatorSource, ...]] = get_args(OperatorSource)
#: Sources without an agent. Their messages have the source as their type.
EVENT_SOURCES: Final[tuple[BillingSource | OperatorSource, ...]] = (*BILLING_SOURCES, *OPERATOR_SOURCES)
SOURCES: Final[tuple[Source, ...]] = (*OUTCOME_SOURCES, *EVENT_SOURCES)
SUCCEED: Final = "outcome_succeed"
FAILED: Final = "outcome_failed"
REVERSED: Final = "outcome_reversed"
# The types of deliveries that a rule with each source of outcomes receives.
TYPES_OF_SOURCE: Final[Mapping[Source, tuple[DeliveryType, ...]]] = {
    "outcome_confirmed": (SUCCEED,),
    "outcome_missed": (FAILED,),
    "both": (SUCCEED, FAILED),
    "outcome_reversed": (REVERSED,),
}
DELIVERY_TYPES: Final[tuple[DeliveryType, ...]] = get_args(DeliveryType)
TYPE_OF_STATUS: Final[Mapping[str, DeliveryType]] = {"CONFIRMED": SUCCEED, "FAILED": FAILED}
