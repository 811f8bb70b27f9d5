"""The reason for the fate of an event, for people: a sentence, a remedy, and links to the pages that help."""

from typing import Final

from msgspec import Struct

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.fold.hold import ON_HOLD
from witnd.store.query.fates import Fate
from witnd.web.dashboard.present.words import link, new

# Labels of the fates in selects; those that need attention come first.
FATES: Final = (
    ("held", "held: not placed yet"),
    ("waiting", "waiting: its outcome is on hold"),
    ("rejected", "rejected: never counted"),
    ("reversed", "reversed: reversed its confirmed outcome"),
    ("late", "late: after the outcome settled"),
    ("conflict", "conflict: idempotency key reused for other content"),
    ("duplicate", "duplicate: received twice, counted once"),
)
_MEANS: Final = {
    "applied": "This event counts in its outcome.",
    "waiting": "This event is accepted and will be processed in a moment.",
    "control": "This log entry is internal to the daemon, not an event.",
    "forwarded": "This event was forwarded to the log of the partition that its key has now. It counts there.",
    "unknown": "This event was processed, but left no record. Run `witnd audit` to find out why.",
    "duplicate": "This event has the same idempotency key and content as an earlier event. It counts once.",
    "conflict": "Its idempotency key was used before for an event with other content. Only the first event counts.",
    "reversed": "This event reversed its confirmed outcome. The charge is credited.",
    "late": "This event arrived after its outcome settled. The outcome is final.",
    "held": "This event cannot be placed yet.",
    "rejected": "This event was rejected and never counts.",
}
_REMEDIES: Final = {
    "unknown": "Report it to the operator of witnd.",
    "conflict": "If it should count, send it again with a new idempotency key.",
    "late": "If late events are frequent, use a longer settlement period or a reversal. Correct a bill with a credit.",
}
# The first words of messages about the whole event; others begin with the name of a field.
_VERBS: Final = ("is ", "must ", "has ")
_REJECTED: Final = {
    "INVALID_EVENT": (
        "This event is invalid.",
        "Correct the sender and send it again. It is not billed.",
    ),
    "WRONG_PARTITION": (
        "This event was written to the wrong partition for its key.",
        "Send it over HTTP or with the client library, which choose the partition.",
    ),
    "IDENTITY_MISMATCH": (
        "Its customer or agent differs from that of the outcome with the same key.",
        "A key identifies one piece of work for one customer. Send it again with the right key, customer or agent.",
    ),
    "REMOVED": (
        "This event was removed while it was held.",
        "The change log shows who removed it. You can reuse its idempotency key for a corrected event.",
    ),
    "HELD_LIMIT": (
        "Too many events of this key are already held.",
        "Fix the cause of the held events, then send this event again.",
    ),
}


class Reason(Struct, frozen=True, kw_only=True):
    """`text` and `remedy` have names between backticks. `links`: text and address; `create_links` are for admins."""

    code: str
    text: str
    remedy: str = ""
    links: tuple[tuple[str, str], ...] = ()
    create_links: tuple[tuple[str, str], ...] = ()


def why(fate: Fate) -> Reason:
    """Return the reason for the fate of an event. For a held event with known names, `held` is more specific."""
    if fate.fate == "held":
        return held(fate.reason or "")
    if fate.reason == ON_HOLD:
        return Reason(
            code="on_hold",
            text="Its outcome is on hold: stored data is damaged, or witnd cannot apply an event. This event waits.",
            remedy="Run `witnd repair outcome` with its key. Then the daemon processes this event.",
        )
    if fate.fate != "rejected":
        return Reason(code=fate.fate, text=_MEANS.get(fate.fate, fate.fate), remedy=_REMEDIES.get(fate.fate, ""))
    text, remedy = _REJECTED.get(fate.reason or "", (_MEANS["rejected"], ""))
    if fate.message and fate.reason == "INVALID_EVENT":
        is_predicate = fate.message.startswith(_VERBS)
        text = f"This event {fate.message}." if is_predicate else f"This event is invalid: {fate.message}."
    return Reason(code=fate.reason or fate.fate, text=text, remedy=remedy)


def mismatch(customer: str, agent: str, named_customer: str, named_agent: str | None) -> Reason:
    """Return the reason for a rejected event whose customer or agent differs from that of the outcome."""
    if named_customer != customer:
        code = "other_customer"
        text = f"The event is for customer `{named_customer}`, but the outcome with its key belongs to `{customer}`."
    else:
        code = "other_agent"
        text = f"The event is for agent `{named_agent}`, but the outcome with its key belongs to `{agent}`."
    return Reason(code=code, text=text, remedy=_REJECTED["IDENTITY_MISMATCH"][1])


def held(
    reason: str,
    *,
    customer: str | None = None,
    agent: str | None = None,
    action: str | None = None,
    card: str | None = None,
) -> Reason:
    """Return the reason for a held event, with the names that are known. `card`: the customer's rate card."""
    who = f"customer `{customer}`" if customer else "its customer"
    its_customer = ((f"Customer {customer}", link("customers", customer)),) if customer else ()
    if reason == "UNKNOWN_CUSTOMER":
        return Reason(
            code=reason,
            text=f"{who[:1].upper()}{who[1:]} does not exist." if customer else "Its customer does not exist.",
            remedy="Create the customer, or correct the key in the sender. If the key is a mistake, remove the event.",
            create_links=((f"Create customer {customer}", new("customers", key=customer)),) if customer else (),
        )
    if reason == "UNKNOWN_AGENT":
        what = f"Agent `{agent}`" if agent else "Its agent"
        return Reason(
            code=reason,
            text=f"{what} does not exist or is archived.",
            remedy="Create or restore the agent, or correct the key in the sender.",
            links=(("Agents", link("agents")),),
            create_links=((f"Create agent {agent}", new("agents", key=agent)),) if agent else (),
        )
    if reason == "AGENT_AMBIGUOUS":
        what = f"`{action}`" if action else "its action"
        return Reason(
            code=reason,
            text="The event has no `agent_key`, and its action does not identify exactly one agent.",
            remedy=f"Send `agent_key`, or use {what} in the condition of only one agent.",
            links=(("Agents", link("agents")),),
        )
    if reason == "NO_RATE_CARD":
        text = f"{who[:1].upper()}{who[1:]} has no rate card in effect."
        return Reason(code=reason, text=text, remedy="Assign a rate card.", links=its_customer)
    if reason == "NO_PRICE":
        its_card = ((f"Rate card {card}", link("rate-cards", card)),) if card else ()
        what = f"agent `{agent}`" if agent else "its agent"
        name = f"Rate card `{card}` of {who}" if card else f"The rate card of {who}"
        return Reason(
            code=reason,
            text=f"{name} has no price for {what}.",
            remedy="Add a price.",
            links=(*its_card, *its_customer),
        )
    return Reason(code="held", text=_MEANS["held"])


def held_now(
    catalogue: Catalogue, reason: str, *, customer: str, agent: str | None, action: str, at: int
) -> Reason:  # fmt: skip
    """Return the reason for a held event, with the rate card of its customer at an instant."""
    known = catalogue.customer(customer, at)
    return held(
        reason,
        customer=customer,
        agent=agent,
        action=action,
        card=None if known is None else known.rate_card,
    )
