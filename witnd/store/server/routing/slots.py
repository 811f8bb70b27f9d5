"""The hash slots of keys and commands.

All keys of a partition are in one slot, and so are the keys that all partitions share. Commands without a key run where
the other commands of their call run; if those use several slots, on the primary of the shared slot.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from redis.crc import key_slot

Word: TypeAlias = str | bytes | int
Command: TypeAlias = Sequence[Word]

# The slot of the keys that all partitions share, for any prefix.
SHARED_SLOT: Final = key_slot(b"{shared}")

# The position of the key in commands where it is not the first argument.
_POSITIONS: Final = {"EVAL": 3, "EVALSHA": 3, "XINFO": 2, "XGROUP": 2}
_KEYLESS: Final = frozenset(
    ("ACL", "CLIENT", "CLUSTER", "CONFIG", "EXEC", "INFO", "MULTI", "PING", "ROLE", "SCRIPT", "TIME", "WAIT", "WAITAOF")
)


def slot_of(key: str | bytes) -> int:
    """Return the hash slot of a key."""
    return key_slot(key.encode() if isinstance(key, str) else key)


def command_key(command: Command) -> str | bytes | None:
    """Return the first key of a command, or None if it has none. All keys of one command are in one slot."""
    # redis-py writes a subcommand into the first word: "XINFO STREAM".
    name, _, subcommand = str(command[0]).upper().partition(" ")
    if name in _KEYLESS:
        return None
    if name == "XREAD":
        return _word(command, _index(command, "STREAMS") + 1)
    if name == "SCAN":  # a cluster node scans its own keys: those with the prefix are in one slot
        return _word(command, _index(command, "MATCH") + 1)
    if name in ("EVAL", "EVALSHA") and int(command[2]) == 0:
        return None
    return _word(command, _POSITIONS.get(name, 1) - bool(subcommand))


def slots_of(commands: Sequence[Command]) -> list[int]:
    """Return the slot in which each command runs."""
    found = [None if (key := command_key(command)) is None else slot_of(key) for command in commands]
    known = {slot for slot in found if slot is not None}
    other = known.pop() if len(known) == 1 else SHARED_SLOT
    return [other if slot is None else slot for slot in found]


def phases(slots: Sequence[int]) -> list[Mapping[int, list[int]]]:
    """Return which commands run together: slot → places. Commands in the shared slot run after the others.

    So what they read is at least as new: the catalogue has every version that a partition has used.
    """
    places: dict[int, list[int]] = {}
    for place, slot in enumerate(slots):
        places.setdefault(slot, []).append(place)
    shared = places.pop(SHARED_SLOT, None)
    return [some for some in (places, {} if shared is None else {SHARED_SLOT: shared}) if some]


def _index(command: Command, word: str) -> int:
    names = (word, word.encode())
    return next((place for place, part in enumerate(command) if part in names), len(command))


def _word(command: Command, place: int) -> str | bytes | None:
    word = command[place] if place < len(command) else None
    return word if isinstance(word, str | bytes) else None
