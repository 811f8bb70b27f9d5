"""Where a rule's deliveries go right now, and what signs them: the catalogue, asked by rule id."""

from collections.abc import Callable

from witnd.domain.catalogue import Catalogue
from witnd.domain.rotation import signing
from witnd.notify.relay import Endpoint


class Endpoints:
    """`of` answers None for a rule that is not in force, archived or disabled."""

    def __init__(self, catalogue: Catalogue, now_ms: Callable[[], int]) -> None:
        self._catalogue = catalogue
        self._now_ms = now_ms

    def of(self, rule_id: str) -> Endpoint | None:
        now = self._now_ms()
        for rule in self._catalogue.rules(now):
            if rule.id == rule_id and rule.enabled:
                versions = self._catalogue.versions("notification_rule", rule.name)
                return Endpoint(rule.url, signing(versions, now).secrets)
        return None
