"""The deliveries that report a final outcome, or its reversal, to the rules in effect at that instant."""

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.resolution import Line, Resolution, resolve
from witnd.domain.outcomes.reversal import ReversalLine
from witnd.domain.webhooks.fan_out import FanOut
from witnd.domain.webhooks.message import Message
from witnd.domain.webhooks.notification import message
from witnd.domain.webhooks.sources import REVERSED


def deliveries(catalogue: Catalogue, outcome: Outcome, resolution: Resolution, line: Line | None) -> FanOut | tuple[()]:
    agent = outcome.contract.agent
    rules = catalogue.rules_for(agent, resolution.type, outcome.settles_at)
    if not rules:
        return ()
    return FanOut(_message(outcome, _line_facts(line)), rules)


def reversal_deliveries(catalogue: Catalogue, outcome: Outcome, reversal: ReversalLine) -> FanOut | tuple[()]:
    rules = catalogue.rules_for(outcome.contract.agent, REVERSED, reversal.at)
    if not rules:
        return ()
    facts = _line_facts(resolve(outcome)[1])
    return FanOut(_message(outcome, facts | {"reversed_at": reversal.reversed_at}), rules)


def _line_facts(line: Line | None) -> dict[str, object]:
    if line is None:
        return {}
    return {
        "unit": line.unit,
        "amount": line.amount,
        "currency": line.currency,
        "line_id": line.id,
        "grade": line.grade,
    }


def _message(outcome: Outcome, facts: dict[str, object]) -> Message:
    return message(
        outcome_key=outcome.key,
        customer_key=outcome.customer_key,
        agent_key=outcome.contract.agent,
        agent_name=outcome.contract.name,
        status=outcome.status,
        resolved_at=outcome.settles_at,
        outcome_facts=facts,
    )
