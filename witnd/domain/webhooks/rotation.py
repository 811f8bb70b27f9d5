"""Which secrets of a notification rule sign at an instant: the current one, and for a while the one it replaced.

How long that is stands in the version that brought the new secret; a day, where it says nothing. How a secret is
spelled is left to `notification`, how one signs to `witnd.notify`.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from witnd.domain.values.versions import CatalogueEntry

#: The field of a rule's content, in seconds. It is there only where it is not the default.
OVERLAP: Final = "secret_overlap"
# A receiver has a day to take over a new secret.
DEFAULT_OVERLAP: Final = 86_400
# Longer than any change of hands takes; after that an old secret that still signs is forgotten rather than meant.
MAX_OVERLAP: Final = 30 * 86_400


class SigningSecrets(Struct, frozen=True, kw_only=True):
    """`secrets`: the current one first. `until`: the instant at which the second of them stops signing."""

    secrets: tuple[str, ...]
    until: int | None = None


def signing_secrets(versions: Sequence[CatalogueEntry], now_ms: int) -> SigningSecrets:
    """What signs now. The versions of one rule come in order of their instants; future ones do not count."""
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
    """Why this is no time for two secrets to sign."""
    if isinstance(seconds, int) and not isinstance(seconds, bool) and 0 <= seconds <= MAX_OVERLAP:
        return None
    return f"must be whole seconds without quotes, from 0 to {MAX_OVERLAP} (30 days)"


def overlap_content(seconds: Any) -> dict[str, int]:
    """The field as the catalogue keeps it."""
    return {} if seconds in (None, DEFAULT_OVERLAP) else {OVERLAP: seconds}
