"""Writes of a partition's owner outside a step, fenced like a step.

A daemon may be paused, and continue after another one took the lease. Its data are out of date then, so it must not
repair the partition with them.
"""

from collections.abc import Sequence
from typing import Final

from witnd.store.log.reader import Log
from witnd.store.server.scripts import Script

_OWNED_WRITE: Final = Script("partition/owned_write")


async def is_owner(store: Log, fence: str) -> bool:
    """Return whether the lease still has this value. Then no other daemon has written since it was taken."""
    owner = (await store.ask(("GET", store.keys.owner)))[0]
    return bool((owner or b"") == fence.encode())


async def write_owned(store: Log, fence: str, *commands: Sequence[str | bytes | int]) -> int | None:
    """Run commands and return the sum of their replies. Return None, with nothing written, if the lease has another
    value."""
    words: list[str | bytes | int] = []
    for command in commands:
        words += (len(command), *command)
    written, total = (await store.ask(("EVAL", _OWNED_WRITE.text, 1, store.keys.owner, fence, *words)))[0]
    return int(total) if written else None
