"""Where a rule's deliveries go right now, and what signs them: the catalogue, asked by rule id."""

from collections.abc import Callable

from witnd.domain.catalogue import Catalogue
from witnd.domain.notification import ROTATION_MS
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
                return Endpoint(rule.url, self._secrets(rule.name, rule.secret, now))
        return None

    def _secrets(self, name: str, current: str, now: int) -> tuple[str, ...]:
        """The current secret, and the one before it while receivers may still be changing over."""
        versions = [
            version
            for version in self._catalogue.versions("notification_rule", name)
            if version.effective_from <= now
        ]
        since = now
        for version in reversed(versions):
            secret = version.content["secret"]
            if secret != current:
                return (current, secret) if now - since < ROTATION_MS else (current,)
            since = version.effective_from
        return (current,)
