"""Moves data from one partition to the new ones, in batches: first written there, then removed here.

A batch may be interrupted at any point and repeated: every write replaces what is there, and data that is already
removed here is not written again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias
from zlib import crc32

from witnd.store.partition.commit import WORDS_MAX, Word
from witnd.store.repartition.slot import Slot, Wires

# Keys, members or fields in one batch: a few ms of the server's time.
BATCH: Final = 200
# Bytes in one step to a partition. A batch may exceed it by one item.
BYTES_MAX: Final = 4 * 1024 * 1024

Command: TypeAlias = Sequence[Word]


class Batch:
    """Commands for the new partitions, and the commands that remove the same data from the old one."""

    def __init__(self) -> None:
        self.writes: dict[int, list[Command]] = {}
        self.removals: list[Command] = []

    def write(self, number: int, head: Sequence[Word], words: Sequence[Word]) -> None:
        """Add a command, split if it has many arguments."""
        self.writes.setdefault(number, []).extend(split(head, words))

    def remove(self, head: Sequence[Word], words: Sequence[Word]) -> None:
        self.removals += split(head, words)


class Mover:
    """Moves outcomes of `source` to those of the `targets` to which their keys belong."""

    def __init__(self, wires: Wires, source: Slot, targets: Mapping[int, Slot], partitions: int) -> None:
        self.source = source
        self.targets = targets
        self._wires = wires
        self._partitions = partitions

    def target_of(self, key: bytes) -> int | None:
        """Return the new partition of a key, or None if it stays."""
        number = crc32(key) % self._partitions
        return number if number in self.targets else None

    async def apply(self, batch: Batch) -> None:
        """Write a batch to the new partitions, wait until it is durable there, then remove it from the old one."""
        for number, commands in batch.writes.items():
            for part in parts(commands):
                await self.targets[number].write(*part)
        if batch.removals:
            if batch.writes:
                await self._wires.confirm([self.targets[number].keys.state for number in batch.writes])
            await self.source.write(*batch.removals)


def split(head: Sequence[Word], words: Sequence[Word]) -> Iterator[Command]:
    """Split a command with many arguments. Pairs of arguments stay together."""
    for start in range(0, len(words), WORDS_MAX):
        yield (*head, *words[start : start + WORDS_MAX])


def parts(commands: Iterable[Command]) -> Iterator[list[Command]]:
    """Split commands into steps of bounded size."""
    part: list[Command] = []
    size = 0
    for command in commands:
        part.append(command)
        size += sum(len(word) for word in command if isinstance(word, str | bytes))
        if size > BYTES_MAX:
            yield part
            part, size = [], 0
    if part:
        yield part
