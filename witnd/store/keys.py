"""The names of all keys of witnd in Redis. No other module builds a key.

All keys of partition P have the hash tag `{P}`, so one commit writes to one slot of a cluster. Keys that all partitions
share have the hash tag `{shared}`, so a change and its entry in the change log are one write in one slot. `witn:meta`
has no hash tag. Every version of witnd reads it first, because it has the format number of the other keys.

| key | type | holds | written by | lives |
| --- | --- | --- | --- | --- |
| `witn:meta` | hash | format, deployment id, number of partitions | first start, `witnd repartition` | for ever |
| `witn:{shared}:catalogue` | list | catalogue versions in JSON; its length is the revision | commands, API | for ever |
| `witn:{shared}:catalogue:head` | string | number of versions, and their chained digest | commands, API | for ever |
| `witn:{shared}:endpoints` | hash | rule id → state of its endpoint | relay | while the rule exists |
| `witn:{shared}:tokens` | hash | token id → the token without its secret, and a revision | commands, API | for ever |
| `witn:{shared}:tokens:used` | hash | token id → ms when it was last used | API | for ever |
| `witn:{shared}:answer:<digest>` | string | the answer to a request with an `Idempotency-Key` | API | 24 hours |
| `witn:{shared}:session:<digest>` | string | who is signed in at the dashboard | dashboard | 12 hours |
| `witn:{shared}:changes` | stream | who changed what: an entry for each change | commands, API | the operator trims |
| `witn:{shared}:clock` | hash | jumps of the server's clock, and which one was accepted | daemon, commands | for ever |
| `witn:{shared}:daemons` | hash | instance → its process, heartbeat and partitions | daemon | while it runs |
| `witn:{shared}:confirmed` | string | a marker whose writing confirms earlier writes | daemon, commands | for ever |
| `witn:{P}:events` | stream | the log | applications, daemon (control entries) | the operator trims |
| `witn:{P}:events:moving` | stream | entries of the log that `repair ahead` moves | repair | until moved |
| `witn:{P}:forwards` | list | events to forward to the partition that their key has now | commit | until forwarded |
| `witn:{P}:forwarded` | hash | other partition → its last event in this log | daemon, commands | for ever |
| `witn:{P}:owner` | string | `epoch:nonce:instance` | owner | the lease |
| `witn:{P}:state` | hash | epoch, last step and its digest, cursor, counters, gaps | commit, repair | for ever |
| `witn:{P}:confirmed` | string | the last step that is confirmed to be as durable as configured | owner | for ever |
| `witn:{P}:outcome:<key>` | string | the outcome's record; once final, its tombstone | commit | for ever |
| `witn:{P}:history:<key>` | list | applied events but for the last ones, which the record has | commit | retention |
| `witn:{P}:held:<key>` | list | held events in log order | commit | until placed |
| `witn:{P}:held` | zset | outcome key → ms of its first held event | commit | until placed |
| `witn:{P}:on_hold` | hash | key of an outcome on hold → why and since when | commit | until repaired |
| `witn:{P}:waiting:<key>` | list | later events of an outcome on hold, in log order | commit | until repaired |
| `witn:{P}:repair:<key>` | string | the repaired state of an outcome on hold | a command | until repaired |
| `witn:{P}:removals` | hash | held event to remove, by entry id → outcome key | API, commands | until done |
| `witn:{P}:keys` | zset | outcome keys, all scored 0: the server orders them by their bytes | commit | for ever |
| `witn:{P}:status:<STATUS>` | zset | outcome key → ms when it opened; each in exactly one | commit | for ever |
| `witn:{P}:of:<customer key>` | zset | outcome key → ms when it opened | commit | for ever |
| `witn:{P}:day:<date>` | hash | of one UTC day: what opened, resolved and was reversed, its money | commit | for ever |
| `witn:{P}:due` | zset | outcome key → lower bound of its `settles_at` in ms | commit | until final |
| `witn:{P}:fates` | hash | entry id → fate, for all but applied | commit | retention |
| `witn:{P}:fates:<fate>` | zset | entry id scored by its ms | commit | retention |
| `witn:{P}:resolutions` | stream | one entry per final outcome, and one per reversal | commit | the operator trims |
| `witn:{P}:lines` | stream | invoice lines and their reversals, numbered: `5-0` is the fifth | commit | for ever |
| `witn:{P}:lines:confirmed` | string | a marker whose writing confirms earlier lines | biller | for ever |
| `witn:{P}:deliveries` | hash | delivery id → frozen row | commit | retention |
| `witn:{P}:messages` | hash | outcome key → what the messages of its many deliveries share | commit | retention |
| `witn:{P}:attempts` | hash | delivery id → state and attempts | relay | retention |
| `witn:{P}:outbox:unqueued` | hash | outcome key → rules whose deliveries are to be queued | commit | until queued |
| `witn:{P}:outbox:rules` | set | ids of rules that have rows to send | commit, relay | – |
| `witn:{P}:outbox:<rule>` | zset | delivery id → ms when it is due | commit, relay | until sent |
| `witn:{P}:parked:<rule>` | zset | delivery id → ms of its resolution | relay | until resumed |
| `witn:{P}:dead` | zset | delivery id → ms of its resolution | relay | until resent |
| `witn:{P}:delivered` | zset | delivery id → ms of its resolution | relay | retention |
| `witn:{P}:outbox:calls` | channel | id of a rule whose rows a command queued | commands | – |
| `witn:{shared}:billing:deliveries` | hash | as above, of billing events | biller | retention |
| `witn:{shared}:billing:attempts` | hash | as above | relay | retention |
| `witn:{shared}:billing:outbox:rules` | set | as above | biller, relay | – |
| `witn:{shared}:billing:outbox:<rule>` | zset | as above | biller, relay | until sent |
| `witn:{shared}:billing:parked:<rule>` | zset | as above, scored by the ms of the event | relay | until resumed |
| `witn:{shared}:billing:dead` | zset | as above | relay | until resent |
| `witn:{shared}:billing:delivered` | zset | as above | relay | retention |
| `witn:{shared}:billing:outbox:calls` | channel | as above | commands | – |
| `witn:{shared}:billing:owner` | string | `epoch:nonce:instance` of the invoicing daemon | biller | the lease |
| `witn:{shared}:billing:state` | hash | epoch, last step, last lines taken, calendar | biller | for ever |
| `witn:{shared}:billing:invoice:<id>` | hash | the head of an invoice | biller, operations | for ever |
| `witn:{shared}:billing:rows:<id>:<P>` | list | rows of an open draft from one partition | biller | until closed |
| `witn:{shared}:billing:row_ids:<id>` | set | digests of the ids of an open draft's rows | biller | until closed |
| `witn:{shared}:billing:lines:<id>` | list | rows of a closed invoice in their order | biller | for ever |
| `witn:{shared}:billing:credits:<id>` | list | credit rows of an invoice | operations | for ever |
| `witn:{shared}:billing:credited:<id>` | hash | row id → how much of it was credited | operations | for ever |
| `witn:{shared}:billing:changes:<id>` | hash | token of an operation → what it did | operations | for ever |
| `witn:{shared}:billing:payments:<id>` | list | payments of an invoice, and their reversals | operations | for ever |
| `witn:{shared}:billing:documents:<id>` | hash | kind → what was issued | operations | for ever |
| `witn:{shared}:billing:reversals:<id>` | hash | outcome key → the reversal of its line | biller | for ever |
| `witn:{shared}:billing:pending_reversals:<id>` | zset | reversals to credit → ms | biller | until credited |
| `witn:{shared}:billing:reversed` | zset | invoices with such reversals → first ms | biller | until credited |
| `witn:{shared}:billing:invoices` | zset | invoice id → start of its period in ms | biller | for ever |
| `witn:{shared}:billing:customer:<key>` | zset | the same for one customer | biller | for ever |
| `witn:{shared}:billing:open` | zset | drafts of open periods → end of the period in ms | biller | until closed |
| `witn:{shared}:billing:to_adjust` | zset | drafts with manual lines → end of period | operations | until closed |
| `witn:{shared}:billing:to_issue` | zset | closed drafts → end of period in ms | biller, operations | until issued |
| `witn:{shared}:billing:receivables` | zset | unpaid invoices → number of their due date | operations | until paid |
| `witn:{shared}:billing:not_overdue` | zset | of these, those that were never overdue | operations | until overdue |
| `witn:{shared}:billing:balance` | hash | `<currency>:<customer key>` → credit to use | operations | for ever |
| `witn:{shared}:billing:currencies:<customer key>` | hash | currency → its minor digits | operations | for ever |
| `witn:{shared}:billing:refunds:<customer key>` | list | refunds of a customer's balances | refunds | for ever |
| `witn:{shared}:billing:refund_tokens:<customer key>` | hash | token of a refund → its place | refunds | for ever |
| `witn:{shared}:billing:line_tokens:<customer key>` | hash | token of a line → invoice id | operations | for ever |
| `witn:{shared}:billing:series` | hash | series → the last number given in it | operations | for ever |
| `witn:{shared}:billing:first_numbers` | hash | series → its first number, if it is not 1 | operations | for ever |
| `witn:{shared}:billing:series_dates` | hash | series → latest date of a document | operations | for ever |
| `witn:{shared}:billing:numbers` | hash | number → id of the invoice or credit note | operations | for ever |
| `witn:{shared}:billing:lost_numbers` | hash | series → spans (`3-7 12-12`) of lost numbers | repair | for ever |
| `witn:{shared}:billing:note:<id>` | hash | a credit note | operations | for ever |
| `witn:{shared}:billing:events` | stream | billing events | biller, operations, daemon | the operator trims |
| `witn:{shared}:billing:events:queued` | string | the last event with queued deliveries | biller | for ever |
| `witn:{shared}:billing:event_counts` | hash | type and subject of a billing event → how often | daemon | for ever |
| `witn:{shared}:billing:blocked` | hash | what is blocked → why | daemon | until unblocked |
| `witn:{shared}:billing:notes` | zset | credit note id → ms when it was made | operations | for ever |
"""

from typing import Protocol


def deployment_keys(prefix: str, partitions: int) -> list[str]:
    """Return keys that show a deployment exists: those that a daemon writes, and the shared keys of format 1.

    If one of them exists without `witn:meta`, data was lost or has another format. The catalogue and the tokens are
    not among them, because `witnd apply` and `witnd tokens create` may run before the first daemon.
    """
    return [
        *[Keys(prefix, number).state for number in range(max(1, partitions))],
        BillingKeys(prefix).state,
        *[f"{prefix}:{name}" for name in ("catalogue", "tokens", "endpoints", "changes", "{billing}:state")],
    ]


class OwnedKeys(Protocol):
    """Keys of something with an owner: its lease, and the state with the number of its last step."""

    owner: str
    state: str


class OutboxKeys(OwnedKeys, Protocol):
    """Keys of an outbox: of a partition, or of billing events. They are in the slot of its owner."""

    deliveries: str
    messages: str
    attempts: str
    unqueued: str
    outbox_rules: str
    outbox_calls: str
    dead: str
    delivered: str

    def outbox(self, rule_id: str, /) -> str: ...

    def parked(self, rule_id: str, /) -> str: ...


def _shared(prefix: str) -> str:
    return f"{prefix}:{{shared}}"


class GlobalKeys:
    """Keys that all partitions share, except those of invoices."""

    __slots__ = (
        "base", "catalogue", "catalogue_head", "changes", "clock", "confirmed", "daemons", "endpoints", "meta",
        "prefix", "tokens", "tokens_used",
    )  # fmt: skip

    def __init__(self, prefix: str) -> None:
        base = _shared(prefix)
        self.base = base
        self.prefix = prefix
        self.meta = f"{prefix}:meta"
        self.catalogue = f"{base}:catalogue"
        self.catalogue_head = f"{base}:catalogue:head"
        self.endpoints = f"{base}:endpoints"
        self.tokens = f"{base}:tokens"
        self.tokens_used = f"{base}:tokens:used"
        self.changes = f"{base}:changes"
        self.clock = f"{base}:clock"
        self.confirmed = f"{base}:confirmed"
        self.daemons = f"{base}:daemons"

    def answer(self, digest: str) -> str:
        return f"{self.base}:answer:{digest}"

    def session(self, digest: str) -> str:
        return f"{self.base}:session:{digest}"


class Keys:
    """Keys of one partition."""

    __slots__ = (
        "attempts", "base", "confirmed", "dead", "delivered", "deliveries", "due", "events", "events_moving", "fates",
        "forwarded", "forwards", "held", "keys", "lines", "lines_confirmed", "messages", "on_hold", "outbox_calls",
        "outbox_rules", "owner", "partition", "removals", "resolutions", "state", "unqueued",
    )  # fmt: skip

    def __init__(self, prefix: str, partition: int) -> None:
        base = f"{prefix}:{{{partition}}}"
        self.base = base
        self.partition = partition
        self.events = f"{base}:events"
        self.events_moving = f"{base}:events:moving"
        self.forwards = f"{base}:forwards"
        self.forwarded = f"{base}:forwarded"
        self.owner = f"{base}:owner"
        self.state = f"{base}:state"
        self.confirmed = f"{base}:confirmed"
        self.keys = f"{base}:keys"
        self.due = f"{base}:due"
        self.held = f"{base}:held"
        self.removals = f"{base}:removals"
        self.fates = f"{base}:fates"
        self.on_hold = f"{base}:on_hold"
        self.resolutions = f"{base}:resolutions"
        self.lines = f"{base}:lines"
        self.lines_confirmed = f"{base}:lines:confirmed"
        self.deliveries = f"{base}:deliveries"
        self.messages = f"{base}:messages"
        self.unqueued = f"{base}:outbox:unqueued"
        self.attempts = f"{base}:attempts"
        self.outbox_rules = f"{base}:outbox:rules"
        self.outbox_calls = f"{base}:outbox:calls"
        self.dead = f"{base}:dead"
        self.delivered = f"{base}:delivered"

    def outcome(self, key: str) -> str:
        return f"{self.base}:outcome:{key}"

    def history(self, key: str) -> str:
        return f"{self.base}:history:{key}"

    def with_status(self, status: str) -> str:
        return f"{self.base}:status:{status}"

    def of_customer(self, customer_key: str) -> str:
        return f"{self.base}:of:{customer_key}"

    def day(self, date: str) -> str:
        return f"{self.base}:day:{date}"

    def held_events(self, key: str) -> str:
        return f"{self.base}:held:{key}"

    def waiting(self, key: str) -> str:
        return f"{self.base}:waiting:{key}"

    def repair(self, key: str) -> str:
        return f"{self.base}:repair:{key}"

    def fates_of(self, fate: str) -> str:
        return f"{self.base}:fates:{fate}"

    def outbox(self, rule_id: str) -> str:
        return f"{self.base}:outbox:{rule_id}"

    def parked(self, rule_id: str) -> str:
        return f"{self.base}:parked:{rule_id}"


class BillingKeys:
    """Keys of invoices. They are in the shared slot, because an invoice has lines from many partitions."""

    __slots__ = (
        "attempts", "balance", "base", "blocked", "change_log", "dead", "delivered", "deliveries", "event_counts",
        "events", "events_queued", "first_numbers", "invoices", "lost_numbers", "messages", "not_overdue", "notes",
        "numbers", "open", "outbox_calls", "outbox_rules", "owner", "receivables", "reversed", "series", "series_dates",
        "state", "to_adjust", "to_issue", "unqueued",
    )  # fmt: skip

    def __init__(self, prefix: str) -> None:
        base = f"{_shared(prefix)}:billing"
        self.base = base
        self.owner = f"{base}:owner"
        self.state = f"{base}:state"
        self.invoices = f"{base}:invoices"
        self.open = f"{base}:open"
        self.to_issue = f"{base}:to_issue"
        self.to_adjust = f"{base}:to_adjust"
        self.receivables = f"{base}:receivables"
        self.reversed = f"{base}:reversed"
        self.balance = f"{base}:balance"
        self.change_log = GlobalKeys(prefix).changes
        self.series = f"{base}:series"
        self.first_numbers = f"{base}:first_numbers"
        self.series_dates = f"{base}:series_dates"
        self.numbers = f"{base}:numbers"
        self.lost_numbers = f"{base}:lost_numbers"
        self.notes = f"{base}:notes"
        self.not_overdue = f"{base}:not_overdue"
        self.events = f"{base}:events"
        self.events_queued = f"{base}:events:queued"
        self.event_counts = f"{base}:event_counts"
        self.blocked = f"{base}:blocked"
        # The outbox of billing events, as that of a partition.
        self.deliveries = f"{base}:deliveries"
        self.messages = f"{base}:messages"
        self.attempts = f"{base}:attempts"
        self.unqueued = f"{base}:outbox:unqueued"
        self.outbox_rules = f"{base}:outbox:rules"
        self.outbox_calls = f"{base}:outbox:calls"
        self.dead = f"{base}:dead"
        self.delivered = f"{base}:delivered"

    def outbox(self, rule_id: str) -> str:
        return f"{self.base}:outbox:{rule_id}"

    def parked(self, rule_id: str) -> str:
        return f"{self.base}:parked:{rule_id}"

    def invoice(self, id_: str) -> str:
        return f"{self.base}:invoice:{id_}"

    def rows(self, id_: str, partition: int) -> str:
        return f"{self.base}:rows:{id_}:{partition}"

    def row_ids(self, id_: str) -> str:
        return f"{self.base}:row_ids:{id_}"

    def lines(self, id_: str) -> str:
        return f"{self.base}:lines:{id_}"

    def credits(self, id_: str) -> str:
        return f"{self.base}:credits:{id_}"

    def credited(self, id_: str) -> str:
        return f"{self.base}:credited:{id_}"

    def changes(self, id_: str) -> str:
        return f"{self.base}:changes:{id_}"

    def reversals(self, id_: str) -> str:
        return f"{self.base}:reversals:{id_}"

    def pending_reversals(self, id_: str) -> str:
        return f"{self.base}:pending_reversals:{id_}"

    def payments(self, id_: str) -> str:
        return f"{self.base}:payments:{id_}"

    def currencies(self, customer_key: str) -> str:
        return f"{self.base}:currencies:{customer_key}"

    def refunds(self, customer_key: str) -> str:
        return f"{self.base}:refunds:{customer_key}"

    def refund_tokens(self, customer_key: str) -> str:
        return f"{self.base}:refund_tokens:{customer_key}"

    def line_tokens(self, customer_key: str) -> str:
        return f"{self.base}:line_tokens:{customer_key}"

    def customer(self, key: str) -> str:
        return f"{self.base}:customer:{key}"

    def documents(self, id_: str) -> str:
        return f"{self.base}:documents:{id_}"

    def note(self, id_: str) -> str:
        return f"{self.base}:note:{id_}"
