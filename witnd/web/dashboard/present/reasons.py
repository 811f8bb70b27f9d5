"""What became of an event and why, for people: a sentence, and what to do about it, with the page where it is done."""

from typing import Final

from msgspec import Struct

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.fold.hold import ON_HOLD
from witnd.store.query.fates import Fate
from witnd.web.dashboard.present.words import link, new

# What the fates are called in lists to choose from, those that want a person first.
FATES: Final = (
    ("held", "held: cannot be placed yet"),
    ("waiting", "waiting: its outcome is on hold"),
    ("rejected", "rejected: never counted"),
    ("late", "late: after the outcome was settled"),
    ("conflict", "conflict: other content under a used key"),
    ("duplicate", "duplicate: came twice, counted once"),
)
_MEANS: Final = {
    "applied": "It is counted in its outcome.",
    "waiting": "It is accepted, and will be read in a moment.",
    "control": "It is an entry of the daemon's own in the log, and no event.",
    "unknown": "It was read, and left no trace. The command `witnd audit` finds out what happened.",
    "duplicate": "It has the same idempotency key and the same content as an earlier event: counted once.",
    "conflict": "Its idempotency key was used before, for an event with other content. The first one stands.",
    "late": "Its outcome was settled before it came. Nothing changes any more.",
    "held": "It cannot be placed yet.",
    "rejected": "It was refused and is never counted.",
}
_REMEDIES: Final = {
    "unknown": "Ask whoever runs witnd to look at it.",
    "conflict": "If it was meant to count, send it again with an idempotency key of its own.",
    "late": "If such events come often, a longer settlement period of the agent would wait for them. What was billed "
    "wrongly is put right with a credit.",
}
_REJECTED: Final = {
    "INVALID_EVENT": (
        "It cannot be read as an event.",
        "Correct the sender, and send it again. Nothing is billed from it meanwhile.",
    ),
    "WRONG_PARTITION": (
        "It was written into another part of the log than its key belongs to.",
        "Send it over HTTP or with the client library: both know the right one.",
    ),
    "IDENTITY_MISMATCH": (
        "It names another customer or agent than the outcome with its key.",
        "One key is one piece of work for one customer. Send it again under the right key, or with the right names.",
    ),
    "REMOVED": (
        "Somebody removed it while it was held.",
        "The change log shows who. Its idempotency key is free: a corrected event can be sent with it.",
    ),
    "HELD_LIMIT": (
        "So many events of this key wait already that no more are kept.",
        "See to it that the waiting ones can be placed, then send this one again.",
    ),
}


class Reason(Struct, frozen=True, kw_only=True):
    """`code`: which reason it is. `says` and `remedy` have names between backticks. `links`: text and address; those
    that lead to `making` something are for admins."""

    code: str
    says: str
    remedy: str = ""
    links: tuple[tuple[str, str], ...] = ()
    making: tuple[tuple[str, str], ...] = ()


def why(fate: Fate) -> Reason:
    """Of any event, by what became of it. A held one whose names are known has a better one in `held`."""
    if fate.fate == "held":
        return held(fate.reason or "")
    if fate.reason == ON_HOLD:
        return Reason(
            code="on_hold",
            says="Its outcome is on hold: stored data is damaged, or witnd cannot apply an event. This event waits.",
            remedy="Run `witnd repair outcome` with its key. Then the daemon processes this event.",
        )
    if fate.fate != "rejected":
        return Reason(code=fate.fate, says=_MEANS.get(fate.fate, fate.fate), remedy=_REMEDIES.get(fate.fate, ""))
    says, remedy = _REJECTED.get(fate.reason or "", (_MEANS["rejected"], ""))
    if fate.message and fate.reason == "INVALID_EVENT":
        says = f"{says[:-1]} – {fate.message}."
    return Reason(code=fate.reason or fate.fate, says=says, remedy=remedy)


def mismatch(customer: str, agent: str, named_customer: str, named_agent: str | None) -> Reason:
    """Of a rejected one, with whose outcome it is, and the names that the event has."""
    if named_customer != customer:
        code = "other_customer"
        says = f"It names customer `{named_customer}`, and the outcome with its key is of customer `{customer}`."
    else:
        code = "other_agent"
        says = f"It names agent `{named_agent}`, and the outcome with its key is of agent `{agent}`."
    return Reason(code=code, says=says, remedy=_REJECTED["IDENTITY_MISMATCH"][1])


def held(
    reason: str,
    *,
    customer: str | None = None,
    agent: str | None = None,
    action: str | None = None,
    card: str | None = None,
) -> Reason:
    """Of a held one. What is not known is left out. `card`: the customer's rate card."""
    who = f"customer `{customer}`" if customer else "its customer"
    its_customer = ((f"Customer {customer}", link("customers", customer)),) if customer else ()
    if reason == "UNKNOWN_CUSTOMER":
        return Reason(
            code=reason,
            says=f"There is no {who}." if customer else "There is no customer of that key.",
            remedy="Create it, or correct the key in the sender. Its events wait meanwhile. "
            "If the key is a mistake, remove the event.",
            making=((f"Create customer {customer}", new("customers", key=customer)),) if customer else (),
        )
    if reason == "UNKNOWN_AGENT":
        what = f"agent `{agent}`" if agent else "agent of that key"
        return Reason(
            code=reason,
            says=f"There is no {what}, or it is archived.",
            remedy="Create it or bring it back, or correct the key in the sender.",
            links=(("Agents", link("agents")),),
            making=((f"Create agent {agent}", new("agents", key=agent)),) if agent else (),
        )
    if reason == "AGENT_AMBIGUOUS":
        what = f"`{action}`" if action else "its action"
        return Reason(
            code=reason,
            says="It names no agent, and not exactly one could be meant.",
            remedy=f"Send `agent_key` with the events, or let the condition of one agent alone name {what}.",
            links=(("Agents", link("agents")),),
        )
    if reason == "NO_RATE_CARD":
        says = f"{who[:1].upper()}{who[1:]} has no rate card in force."
        return Reason(code=reason, says=says, remedy="Give it one.", links=its_customer)
    if reason == "NO_PRICE":
        its_card = ((f"Rate card {card}", link("rate-cards", card)),) if card else ()
        what = f"agent `{agent}`" if agent else "its agent"
        name = f"Rate card `{card}` of {who}" if card else f"The rate card of {who}"
        return Reason(
            code=reason, says=f"{name} has no price for {what}.", remedy="Add one.", links=(*its_card, *its_customer)
        )
    return Reason(code="held", says=_MEANS["held"])


def held_now(
    catalogue: Catalogue, reason: str, *, customer: str, agent: str | None, action: str, at: int
) -> Reason:  # fmt: skip
    """Of a held event whose names are known, with the rate card that its customer has at an instant."""
    known = catalogue.customer(customer, at)
    return held(
        reason,
        customer=customer,
        agent=agent,
        action=action,
        card=None if known is None else known.rate_card,
    )
