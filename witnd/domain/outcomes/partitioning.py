"""The partition of an outcome key."""

from functools import lru_cache
from zlib import crc32


def partition_of(key: str, partitions: int) -> int:
    """Return the partition of a key: CRC-32 (zlib) of its UTF-8 bytes, modulo the number of partitions."""
    return crc32(key.encode()) % partitions


def possible_partitions(key: str, partitions: int) -> list[int]:
    """Return the partitions that a key may have had, the present one first: a repartition multiplies their number."""
    digest = crc32(key.encode())
    return list(dict.fromkeys(digest % count for count in _divisors(partitions)))


@lru_cache(maxsize=16)
def _divisors(number: int) -> tuple[int, ...]:
    return tuple(count for count in range(number, 0, -1) if number % count == 0)
