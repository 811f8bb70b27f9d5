"""The message of a test: in the form of every other one, and about nothing that ever was.

Its type is `test`, its id begins with `test_`, and the outcome it tells of is `witnd-test`. So a receiver that knows
the types it handles does nothing with it but verify the signature.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

from witnd.domain.webhooks.message import Delivery
from witnd.domain.webhooks.notification import NotificationRule, new_delivery

TYPE: Final = "test"
OUTCOME_KEY: Final = "witnd-test"


def test_delivery(rule: NotificationRule, mark: str, now_ms: int) -> Delivery:
    """A test of the rule. `mark` makes its id its own: a receiver may ignore an id that it has seen."""
    real = new_delivery(
        rule,
        outcome_key=OUTCOME_KEY,
        customer_key=OUTCOME_KEY,
        agent_key=rule.agent or OUTCOME_KEY,
        agent_name="Test",
        status="FAILED" if rule.source == "outcome_missed" else "CONFIRMED",
        resolved_at=now_ms,
        outcome_facts={},
    )
    message = msgspec.json.decode(real.body) | {"id": f"test_{mark}", "type": TYPE}
    return replace(real, id=message["id"], type=TYPE, body=msgspec.json.encode(message))
