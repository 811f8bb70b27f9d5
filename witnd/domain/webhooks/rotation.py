"""The signing secrets of a notification rule: the current one, and for some time the previous one.

The version with the new secret sets the overlap; the default is one day.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from witnd.domain.values.versions import CatalogueEntry

#: The field of a rule's content, in seconds. Omitted if it has the default value.
OVERLAP: Final = "secret_overlap"
# Receivers have a day to switch to a new secret.
DEFAULT_OVERLAP: Final = 86_400
# Longer than any rotation takes. After that, an old secret that still signs is a mistake.
MAX_OVERLAP: Final = 30 * 86_400


class SigningSecrets(Struct, frozen=True, kw_only=True):
    """`secrets`: the current one first. `until`: when the previous one stops signing (ms)."""

    secrets: tuple[str, ...]
    until: int | None = None


def signing_secrets(versions: Sequence[CatalogueEntry], now_ms: int) -> SigningSecrets:
    """Return the secrets that sign now. `versions` are those of one rule in order of their instants."""
    current: str | None = None
    previous: str | None = None
    until = 0
    for version in versions:
        if version.effective_from > now_ms:
            break
        secret = version.content["secret"]
        if secret != current:
            previous, current = current, secret
            until = version.effective_from + version.content.get(OVERLAP, DEFAULT_OVERLAP) * 1000
    if current is None:
        return SigningSecrets(secrets=())
    if previous is None or now_ms >= until:
        return SigningSecrets(secrets=(current,))
    return SigningSecrets(secrets=(current, previous), until=until)


def overlap_problem(seconds: object) -> str | None:
    """Return why this overlap is invalid, or None."""
    if isinstance(seconds, int) and not isinstance(seconds, bool) and 0 <= seconds <= MAX_OVERLAP:
        return None
    return f"must be whole seconds without quotes, from 0 to {MAX_OVERLAP} (30 days)"


def overlap_content(seconds: Any) -> dict[str, int]:
    """Return the stored form of the field."""
    return {} if seconds in (None, DEFAULT_OVERLAP) else {OVERLAP: seconds}
