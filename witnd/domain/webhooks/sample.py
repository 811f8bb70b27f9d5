"""The message of a test delivery.

Its type is `test`, its id starts with `test_`, and its outcome key is `witnd-test`. Receivers that only handle known
types verify its signature and ignore it.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

from witnd.domain.values import instant
from witnd.domain.webhooks.message import Delivery
from witnd.domain.webhooks.notification import NotificationRule, new_delivery

TYPE: Final = "test"
OUTCOME_KEY: Final = "witnd-test"


def sample_delivery(rule: NotificationRule, mark: str, now_ms: int) -> Delivery:
    """Return a test delivery. `mark` makes its id unique, because receivers ignore repeated ids."""
    real = new_delivery(
        rule,
        outcome_key=OUTCOME_KEY,
        customer_key=OUTCOME_KEY,
        agent_key=rule.agent or OUTCOME_KEY,
        agent_name="Test",
        status="FAILED" if rule.source == "outcome_missed" else "CONFIRMED",
        resolved_at=now_ms,
        outcome_facts={"reversed_at": instant.render(now_ms)} if rule.source == "outcome_reversed" else {},
    )
    message = msgspec.json.decode(real.body) | {"id": f"test_{mark}", "type": TYPE}
    return replace(real, id=message["id"], type=TYPE, body=msgspec.json.encode(message))
