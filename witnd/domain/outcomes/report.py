"""The deliveries that report a final outcome to the rules in effect at its resolution."""

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.resolution import Line, Resolution
from witnd.domain.webhooks.fan_out import FanOut
from witnd.domain.webhooks.notification import message


def deliveries(catalogue: Catalogue, outcome: Outcome, resolution: Resolution, line: Line | None) -> FanOut | tuple[()]:
    agent = outcome.contract.agent
    rules = catalogue.rules_for(agent, resolution.type, outcome.settles_at)
    if not rules:
        return ()
    facts: dict[str, object] = {}
    if line is not None:
        facts = {
            "unit": line.unit,
            "amount": line.amount,
            "currency": line.currency,
            "line_id": line.id,
            "grade": line.grade,
        }
    shared = message(
        outcome_key=outcome.key,
        customer_key=outcome.customer_key,
        agent_key=agent,
        agent_name=outcome.contract.name,
        status=outcome.status,
        resolved_at=outcome.settles_at,
        outcome_facts=facts,
    )
    return FanOut(shared, rules)
