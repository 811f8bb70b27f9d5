"""Every key of witnd in Redis. Nothing else builds a key.

All keys of partition P carry the hash tag `{P}`, so that one commit is one slot of a cluster.

| key | type | holds | written by | lives |
| --- | --- | --- | --- | --- |
| `witn:meta` | hash | format, deployment id, number of partitions | first start | for ever |
| `witn:catalogue` | list | catalogue versions, one JSON each; its length is the revision | apply | for ever |
| `witn:endpoints` | hash | rule id → state of its endpoint | relay | while the rule exists |
| `witn:{P}:events` | stream | the log | applications, daemon (control entries) | the operator trims |
| `witn:{P}:owner` | string | `epoch:nonce:instance` | owner | the lease |
| `witn:{P}:state` | hash | epoch, seq and digest of the last step, cursor, counters | commit | for ever |
| `witn:{P}:outcome:<key>` | string | the outcome's record; once final, its tombstone | commit | for ever |
| `witn:{P}:history:<key>` | list | applied events but for the last ones, which the record has | commit | retention |
| `witn:{P}:held:<key>` | list | held events in log order | commit | until placed |
| `witn:{P}:held` | zset | outcome key → ms of its first held event | commit | until placed |
| `witn:{P}:due` | zset | outcome key → lower bound of its `settles_at` in ms | commit | until final |
| `witn:{P}:fates` | hash | entry id → fate, for all but applied | commit | retention |
| `witn:{P}:fates:<fate>` | zset | entry id scored by its ms | commit | retention |
| `witn:{P}:resolutions` | stream | one entry per final outcome | commit | the operator trims |
| `witn:{P}:lines` | stream | invoice lines | commit | for ever |
| `witn:{P}:deliveries` | hash | delivery id → frozen row | commit | retention |
| `witn:{P}:attempts` | hash | delivery id → state and attempts | relay | retention |
| `witn:{P}:outbox:rules` | set | ids of rules that have rows to send | commit, relay | – |
| `witn:{P}:outbox:<rule>` | zset | delivery id → ms when it is due | commit, relay | until sent |
| `witn:{P}:parked:<rule>` | zset | delivery id → ms of its resolution | relay | until resumed |
| `witn:{P}:dead` | zset | delivery id → ms of its resolution | relay | until resent |
| `witn:{P}:delivered` | zset | delivery id → ms of its resolution | relay | retention |
| `witn:{P}:outbox:calls` | channel | id of a rule whose rows a command queued | commands | – |
"""

from zlib import crc32


def partition_of(key: str, partitions: int) -> int:
    """The partition of an outcome key: CRC-32 (zlib) of its UTF-8 bytes, modulo the number of partitions."""
    return crc32(key.encode()) % partitions


class GlobalKeys:
    """Keys that belong to no partition."""

    __slots__ = ("catalogue", "endpoints", "meta", "prefix")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.meta = f"{prefix}:meta"
        self.catalogue = f"{prefix}:catalogue"
        self.endpoints = f"{prefix}:endpoints"


class Keys:
    """Keys of one partition."""

    __slots__ = (
        "attempts",
        "base",
        "dead",
        "delivered",
        "deliveries",
        "due",
        "events",
        "fates",
        "held",
        "lines",
        "outbox_calls",
        "outbox_rules",
        "owner",
        "partition",
        "resolutions",
        "state",
    )

    def __init__(self, prefix: str, partition: int) -> None:
        base = f"{prefix}:{{{partition}}}"
        self.base = base
        self.partition = partition
        self.events = f"{base}:events"
        self.owner = f"{base}:owner"
        self.state = f"{base}:state"
        self.due = f"{base}:due"
        self.held = f"{base}:held"
        self.fates = f"{base}:fates"
        self.resolutions = f"{base}:resolutions"
        self.lines = f"{base}:lines"
        self.deliveries = f"{base}:deliveries"
        self.attempts = f"{base}:attempts"
        self.outbox_rules = f"{base}:outbox:rules"
        self.outbox_calls = f"{base}:outbox:calls"
        self.dead = f"{base}:dead"
        self.delivered = f"{base}:delivered"

    def outcome(self, key: str) -> str:
        return f"{self.base}:outcome:{key}"

    def history(self, key: str) -> str:
        return f"{self.base}:history:{key}"

    def held_events(self, key: str) -> str:
        return f"{self.base}:held:{key}"

    def fates_of(self, fate: str) -> str:
        return f"{self.base}:fates:{fate}"

    def outbox(self, rule_id: str) -> str:
        return f"{self.base}:outbox:{rule_id}"

    def parked(self, rule_id: str) -> str:
        return f"{self.base}:parked:{rule_id}"
