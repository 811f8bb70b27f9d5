"""The current URL and secrets of each rule, from the catalogue."""

from collections.abc import Callable

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.webhooks.notification import NotificationRule
from witnd.domain.webhooks.rotation import signing_secrets
from witnd.notify.relay import Endpoint


class Endpoints:
    """Endpoints by rule id. `of` returns None if a rule is not in effect, archived or disabled."""

    def __init__(self, catalogue: Catalogue, now_ms: Callable[[], int]) -> None:
        self._catalogue = catalogue
        self._now_ms = now_ms
        self._rules: tuple[NotificationRule, ...] = ()
        self._by_id: dict[str, NotificationRule] = {}

    def of(self, rule_id: str) -> Endpoint | None:
        now = self._now_ms()
        rule = self._in_effect(now).get(rule_id)
        if rule is None or not rule.enabled:
            return None
        return Endpoint(
            rule.url, signing_secrets(self._catalogue.versions("notification_rule", rule.name), now).secrets
        )

    def _in_effect(self, now: int) -> dict[str, NotificationRule]:
        """Return the rules in effect by id. Cached, because the catalogue returns the same tuple until it changes."""
        rules = self._catalogue.rules(now)
        if rules is not self._rules:
            self._rules = rules
            self._by_id = {rule.id: rule for rule in rules}
        return self._by_id
