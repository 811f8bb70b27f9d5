"""The partition of an outcome key."""

from zlib import crc32


def partition_of(key: str, partitions: int) -> int:
    """Return the partition of a key: CRC-32 (zlib) of its UTF-8 bytes, modulo the number of partitions."""
    return crc32(key.encode()) % partitions
