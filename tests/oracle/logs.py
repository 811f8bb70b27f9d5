"""Hypothesis strategies for whole inputs: a log and a catalogue's history, full of collisions.

`logs()` draws `(entries, changes)`; `cuts(n)` draws ways in which a run over n entries may be cut
up. Where the contract leaves room for two readings (README.md) the default strategies stay away
from the spot; `logs(ambiguous=True)` also mixes in the entries of AMBIGUOUS and archived customers.
"""

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.oracle.oracle import Change, Entry, run
from tests.oracle.parse import cloud_idempotency_key, write_instant

Fields = dict[bytes, bytes]
Log = tuple[list[Entry], list[Change]]

BASE = 1_700_000_000_000  # ms of the first entry
SECOND, DAY = 1000, 86_400_000
PERIODS = (1, 2, 5, 60, 60, 60)  # seconds

# Keys of both partitions of two; the last ones sort differently in UTF-16 than in UTF-8.
KEYS = ("ticket-1", "ticket-4", "ticket-3é", "zz-\uffee-key", "zz-\U0001f600-key")
ACTIONS = ("opened", "replied", "solved", "rated")
REFUND = "refunded"  # an action of reversals and, as no condition names it, of nothing else
CUSTOMERS = ("acme", "globex", "initech", "nobody")  # `nobody` never becomes known
AGENTS = ("support", "sales", "ops")
CARDS = {"std": "EUR", "yen": "JPY", "dinar": "KWD", "usd": "USD"}
PRICES = ("10", "10.00", "0.99", "0", "0.005", "12.3456", "0.0005", "1000000")
PERCENTAGES: tuple[dict[str, str], ...] = (
    {"percent": "2.5"},
    {"percent": "100.0", "minimum": "1"},
    {"percent": "0.1234567890", "maximum": "0.5"},
    {"percent": "10", "minimum": "0.10", "maximum": "0.10"},
    {"percent": "50", "minimum": "0.75", "maximum": "0.75"},
    {"percent": "50", "maximum": "0.4"},
    {"percent": "0", "minimum": "0.005"},
    {"percent": "0", "free_quota": "0", "period_minimum": "0.00"},
)
_TIERS = [{"up_to": "2", "price_per_unit": "1", "flat_fee": "3"}, {"price_per_unit": "0.5"}]
WHOLE_PERIOD: tuple[dict[str, Any], ...] = (
    {"kind": "graduated", "tiers": _TIERS},
    {"kind": "volume", "tiers": _TIERS, "period_cap": "7"},
    {"kind": "package", "package_size": "3", "price_per_package": "1.5"},
    {"price_per_unit": "1", "free_quota": "2"},
    {"price_per_unit": "1", "period_minimum": "9"},
    {"kind": "flat", "price_per_unit": "1", "period_cap": "0"},
    {"kind": "percentage", "percent": "5", "period_minimum": "1", "period_cap": "1"},
)
# What an entry of a card says besides its agent: as often a plain price as all other kinds together.
ENTRIES: tuple[dict[str, Any], ...] = (
    *({"price_per_unit": price} for price in PRICES),
    *({"price_per_unit": price} for price in PRICES),
    *({"kind": "percentage", **one} for one in PERCENTAGES),
    *({"kind": "percentage", **one} for one in PERCENTAGES),
    *WHOLE_PERIOD,
)
IDEMPOTENCY = (None,) * 11 + ("i1", "i2", "ce:c1", "ce:c2")

VALUES: tuple[Any, ...] = (0, 1, 2.5, 3, 4, -1, 0.1, True, False, "yes", "no", "3", "")
ATTRIBUTIONS: tuple[Any, ...] = (
    *(0, 1, 2, 5, 3, -3, 0.1, 0.2, 0.8, 2.675, 1.005, 1e15, -1e15, 1e-12, 0.1234567890123456),
    *("x", "5", True, [1], {"n": 1}),
)

# --- time -----------------------------------------------------------------------------------------

_GAPS = (
    (0,) * 20
    + (1, 2, 3) * 8
    + (5, 10, 50, 100, 100, 400, 999, 1000, 1001, 2000, 4999, 5000, 60_000, 60_001)
    + (1999, 1999, 2000, 2999, 3000)  # the end of a short settlement period and window
    + (7 * DAY, 35 * DAY - 1, 35 * DAY, 35 * DAY + 999, 35 * DAY + 1000, 41 * DAY)
)
# With these alone, outcomes gather events and stay open to the end of the log.
_SHORT_GAPS = tuple(gap for gap in _GAPS if gap <= 1000)
# A moment that is only known once the log's times are: (number of an entry, steps, spelling).
Moment = tuple[int, int, int]
_STEPS = (0, 0, -1, 1, 700, 3000, -DAY, -10_000 * DAY, 400 * DAY)
_MOMENT = st.tuples(st.integers(0, 30), st.sampled_from(_STEPS), st.integers(0, 4))
# Few entries, so that pins of several outcomes meet in one ms.
_PIN = st.tuples(st.sampled_from((1, 3, 3, 9)), st.sampled_from(_STEPS), st.integers(0, 4))


def stamps(gaps: list[int]) -> list[tuple[int, int]]:
    """Increasing entry ids; a gap of 0 keeps the ms."""
    ms, seq, out = BASE, 0, []
    for gap in gaps:
        ms, seq = (ms + gap, 0) if gap else (ms, seq + 1)
        out.append((ms, seq))
    return out


def spell_instant(ms: int, style: int) -> str:
    """One of several spellings of an instant."""
    text = write_instant(ms)
    if style == 1:  # another offset
        return write_instant(ms + 5_400_000)[:-1] + "+01:30"
    if style == 2:
        return write_instant(ms - 3 * 3_600_000)[:-1] + "-03:00"
    if style == 3:  # digits after the millisecond are cut off
        return text[:-1] + "999999Z"
    if style == 4 and ms % 1000 == 0:
        return text[:-5] + "Z"
    return text


# --- events ---------------------------------------------------------------------------------------

Body = dict[str, Any]


def _or_none(strategy: st.SearchStrategy[Any], nones: int) -> st.SearchStrategy[Any]:
    """Mostly nothing: one in 1 + nones draws comes from the strategy."""
    return st.one_of(*[st.none()] * nones, strategy)


# One event as a Python object, None for what is absent; an idempotency key `ce:x` stands for a
# CloudEvent's own. Moments are put in by `settle_body`.
_BODY = st.fixed_dictionaries(
    {
        "key": st.sampled_from((KEYS[0], KEYS[0], KEYS[0], KEYS[1], KEYS[1], *KEYS)),
        "action": st.sampled_from((*ACTIONS, "replied", "replied", "rated")),
        "customer_key": st.sampled_from(("acme",) * 9 + CUSTOMERS),
        "agent_key": st.sampled_from((None,) * 10 + ("support",) * 4 + (*AGENTS, "nobot")),
        "idempotency_key": st.sampled_from(IDEMPOTENCY),
        "timestamp": _or_none(_MOMENT, 3),
        "value": _or_none(st.sampled_from(VALUES), 1),
        "attribution": _or_none(st.sampled_from(ATTRIBUTIONS), 1),
        "settles_at": _or_none(_PIN, 5),
        "note": st.sampled_from((None,) * 8 + ("a", 1, 1.5, True, ["x", {"y": [1]}])),
    }
)


def settle_body(drawn: Body, moments: list[int]) -> Body:
    """The event as its producer would write it, with instants for the moments."""

    def instant(snapshot: Moment) -> str:
        number, step, style = snapshot
        return spell_instant(moments[number % len(moments)] + step, style)

    given = {name: item for name, item in drawn.items() if item is not None}
    for name in ("timestamp", "settles_at"):
        if name in given:
            given[name] = instant(given[name])
    inside = ("value", "attribution", "settles_at", "note")
    properties = {name: given.pop(name) for name in inside if name in given}
    return {**given, "properties": properties} if properties else given


def write_json(tree: Any, style: int) -> str:
    """JSON in one of many spellings of the same content."""
    space = ("", " ", "\n\t", "")[style % 4]
    if isinstance(tree, dict):
        members = list(tree.items())
        if style & 4:
            members.reverse()
        inner = ("," + space).join(
            f"{json.dumps(name, ensure_ascii=bool(style & 8))}:{space}{write_json(item, style)}"
            for name, item in members
        )
        return "{" + space + inner + "}"
    if isinstance(tree, list):
        return "[" + ("," + space).join(write_json(item, style) for item in tree) + "]"
    if isinstance(tree, (int, float)) and not isinstance(tree, bool):
        if style & 16:
            return f"{float(tree):.17e}"  # more digits than repr, the same double
        if style & 32 or float(tree) != int(tree):
            return repr(float(tree))
        return str(int(tree))
    return json.dumps(tree, ensure_ascii=bool(style & 8))


def encode(body: Body, form: str, style: int) -> Fields:
    """The entry fields of a body: `json`, `flat` or `cloud`."""
    body = dict(body)
    name = body.get("idempotency_key")
    own = name is not None and name.startswith("ce:")
    if form == "cloud":
        return {b"data": _cloud(body, own=own, style=style).encode()}
    if own:
        body["idempotency_key"] = cloud_idempotency_key("/src", name)
    if form == "flat":
        fields = {
            field.encode(): (write_json(text, style) if field == "properties" else str(text)).encode()
            for field, text in body.items()
        }
        if style % 3 == 0:
            fields[b"x-trace"] = b"1"
        return fields
    if style & 64:  # null is absence
        for field in ("agent_key", "idempotency_key", "timestamp", "properties"):
            body.setdefault(field, None)
        if body["properties"]:
            absent = dict.fromkeys(("value", "attribution", "settles_at"))
            body["properties"] = {**absent, **body["properties"]}
    if style & 128:
        body["x-unknown"] = [None, {"deep": 1}]
    return {b"data": write_json(body, style).encode()}


def _cloud(body: Body, *, own: bool, style: int) -> str:
    event = dict(body)
    name = "other"
    if own:
        name = event.pop("idempotency_key")
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": name,
        "source": "/src",
        "type": "com.example.event",
        "data": event,
    }
    if "timestamp" in event and style & 64:  # the event's own timestamp goes before `time`
        envelope["time"] = "2001-01-01T00:00:00Z"
    elif "timestamp" in event:
        envelope["time"] = event.pop("timestamp")
    return write_json(envelope, style)


FORMS = ("json", "json", "json", "flat", "cloud")


# --- entries that are no good --------------------------------------------------------------------


def _event(**members: Any) -> Body:
    whole = {"key": KEYS[0], "action": "replied", "customer_key": "acme", **members}
    return {name: item for name, item in whole.items() if item is not ...}


def _data(tree: Any) -> Fields:
    return {b"data": json.dumps(tree).encode()}


def _raw(text: str | bytes) -> Fields:
    return {b"data": text if isinstance(text, bytes) else text.encode()}


def _flat(**fields: str | bytes) -> Fields:
    whole = {**_event(), **fields}
    return {name.encode(): text if isinstance(text, bytes) else text.encode() for name, text in whole.items()}


def _with(properties: str) -> Fields:
    """A good event but for its properties, given as JSON text."""
    return _raw(json.dumps(_event())[:-1] + f', "properties": {properties}}}')


def _envelope(**members: Any) -> Fields:
    whole = {"specversion": "1.0", "id": "c9", "source": "/src", "type": "t", "data": _event()}
    whole.update(members)
    return _data({name: item for name, item in whole.items() if item is not ...})


def deep(depth: int) -> Fields:
    """A good event of a given depth: event 1, properties 2, lists from 3 on."""
    return _with('{"deep": ' + "[" * (depth - 2) + "]" * (depth - 2) + "}")


MALFORMED: tuple[Fields, ...] = (
    {b"hello": b"world"},
    *(_data(_event(**{name: ...})) for name in ("key", "action", "customer_key")),
    *(_data(_event(**{name: None})) for name in ("key", "action", "customer_key")),
    *(_data(_event(key=bad)) for bad in ("seven77", "x" * 256, 12345678, ["ticket-1"], True)),
    *(_data(_event(action=bad)) for bad in ("", "a" * 256, 3, {})),
    *(_data(_event(customer_key=bad)) for bad in ("", "c" * 256, 3)),
    *(_data(_event(agent_key=bad)) for bad in ("", "c" * 256, 3)),
    *(_data(_event(idempotency_key=bad)) for bad in ("", "c" * 256, 3)),
    *(
        _data(_event(timestamp=bad))
        for bad in (
            *("", 1_700_000_000_000, "2024-01-01", "2024-01-01T00:00:00", "2024-01-01 00:00:00Z"),
            *("2024-01-01t00:00:00Z", "2024-01-01T00:00:00z", "2024-02-30T00:00:00Z"),
            *("2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "1969-12-31T23:59:59Z"),
            *("2024-01-10T04:00:00+01:99", "2024-01-10T04:00:00+10:60", "1970-01-01T00:00:00+00:01"),
            *("9999-01-01T00:00:00Z", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00+0100"),
            *("2024-01-01T00:00Z", " 2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z\n"),
            *("2024-1-1T00:00:00Z", "２024-01-01T00:00:00Z", "2024-01-01T00:00:00,5Z"),
        )
    ),
    *(_data(_event(properties=bad)) for bad in ([0], "", "x", 3, True)),
    *(_with(f'{{"value": {bad}}}') for bad in ("[]", "{}", "NaN", "1e999", "-Infinity", "01")),
    *(_with(f'{{"attribution": {bad}}}') for bad in ("1e16", "-1.0e16", "1e-13", "-9e-13", "NaN")),
    *(_with(f'{{"settles_at": {bad}}}') for bad in ('"soon"', "5", "true", '"2024-01-01"')),
    _with('{"note": 1e400}'),
    _with('{"note": ' + "9" * 400 + "}"),
    _with('{"a": 1, "a": 1}'),
    _with('{"a": {"b": 1, "\\u0062": 2}}'),
    _with('{"note": "\\ud800"}'),
    _with('{"note": "\\udc00\\ud800"}'),
    _raw(json.dumps(_event(key="ticket-\ud800"))),
    _raw('{"key": "ticket-1", "key": "ticket-1", "action": "replied", "customer_key": "acme"}'),
    *(_raw(text) for text in ("", "null", "[]", '"x"', "{", "{}", "[" * 5000, "{} {}")),
    _raw(json.dumps(_event()) + ","),
    _raw(json.dumps(_event()).replace('"', "'")),
    _raw(b"\xef\xbb\xbf" + json.dumps(_event()).encode()),
    _raw(json.dumps(_event(action="zzz")).encode().replace(b"zzz", b"\xff\xfe")),
    _raw(json.dumps(_event(action="zzz")).encode().replace(b"zzz", b"\xed\xa0\x80")),
    _raw(json.dumps(_event(action="zzz")).encode().replace(b"zzz", b"a\nb")),
    _raw(json.dumps(_event()).encode("utf-16")),
    deep(40),
    _flat(key=b"ticket-\xff"),
    _flat(key="seven77"),
    _flat(action=""),
    _flat(customer_key=""),
    _flat(properties=" "),
    _flat(properties="[0]"),
    _flat(properties="[}"),
    _flat(properties='{"value": NaN}'),
    _flat(properties='{"a": 1, "a": 2}'),
    _envelope(data="x"),
    _envelope(data=...),
    _envelope(data=[]),
    _envelope(data_base64="e30="),
    *(_envelope(data=..., data_base64=bad) for bad in ("", "e30", "e30=e30=", "-_-_", "W10=", 7, {})),
    _envelope(data=_event(key="seven77")),
    _envelope(time="yesterday"),
    {b"witnd": b"tock"},
    {b"witnd": b""},
    {b"witnd": b"retry"},
    {b"witnd": b"tick", b"key": KEYS[0].encode()},
    {b"witnd": b"TICK"},
)

# Odd, but good: each must be taken as an event.
ODD: tuple[Fields, ...] = (
    _data(_event(properties=[])),
    _flat(properties=" [\t] "),
    _flat(agent_key="", idempotency_key="", timestamp="", properties=""),
    _envelope(data=None, data_base64=base64.b64encode(json.dumps(_event()).encode()).decode()),
    _data({**_event(), "specversion": None}),
    _data(_event(timestamp="1969-12-31T23:59:59-00:01")),
    _data(_event(key="ticket-12")),
    _data(_event(key="é" * 255)),
    _data(_event(key="        ")),
    _data(_event(key="\U0001f600" * 8)),
    _data(_event(action="Replied")),
    _data(_event(action="a" * 255)),
    _data(_event(agent_key=None, idempotency_key=None, timestamp=None, properties=None)),
    _with('{"value": null, "attribution": null, "settles_at": null, "note": 1}'),
    _with('{"value": -0}'),
    _with('{"value": 12345678901234567890}'),
    _with('{"value": 1e-400}'),
    _with('{"attribution": -0.0}'),
    _with('{"attribution": 0.1000000000000000055511151231257827}'),
    _with('{"note": "\\ud83d\\ude00"}'),
    deep(20),
    _flat(**{"witnd-like": "tick"}),
    _data({**_event(), "witnd": "tock"}),
)

# Each of these rests on a reading recorded in README.md, under the number given.
AMBIGUOUS: dict[str, tuple[Fields, ...]] = {
    "R1": (_flat(witnd="tick"), _flat(witnd="tock")),
    "R3": ({b"witnd": b"retry", b"key": b"\xff"}, {b"witnd": b"retry", b"key": b"abc"}),
    "R4": (
        {**_flat(action="opened"), b"data": json.dumps(_event()).encode()},
        {b"data": json.dumps(_event()).encode(), b"x-trace": b"1"},
        {b"data": b"{}", **_flat()},
        {b"data": json.dumps(_event()).encode(), b"idempotency_key": b"beside"},
        {b"data": json.dumps(_event(idempotency_key="inside")).encode(), b"idempotency_key": b"beside"},
        {b"data": json.dumps(_event()).encode(), b"specversion": b"1.0", b"id": b"c9", b"source": b"/src"},
        _flat(specversion="1.0", id="c9", source="/src"),
        _flat(specversion="1.0", id="c9"),
    ),
    "R5": (_flat(**{"x-trace": b"\xff"}), _flat(properties="null")),
    "R6": (deep(32), deep(33), _flat(properties='{"a": ' + "[" * 31 + "]" * 31 + "}")),
    "R7": (
        _envelope(specversion="0.3"),
        _envelope(specversion=1.0),
        _envelope(specversion=None),
        _envelope(type=...),
        _envelope(id=...),
        _envelope(source=""),
        _envelope(id=..., data=_event(idempotency_key="i1")),
        _envelope(time="yesterday", data=_event(timestamp="2024-01-01T00:00:00Z")),
        _data({**_event(), "specversion": "1.0"}),
    ),
    "R8": (
        _data(_event(idempotency_key="i1")),
        _data(_event(idempotency_key="i1", properties={})),
        _data(_event(idempotency_key="i1", properties={"value": None})),
        _data(_event(idempotency_key="i1", properties={"note": None})),
        _data({**_event(idempotency_key="i1"), "x-unknown": 2}),
    ),
    "R10": (
        _data(_event(timestamp="1970-01-01T00:00:00+01:00")),
        _data(_event(timestamp="2016-12-31T23:59:60Z")),
        _data(_event(timestamp="2024-01-01T00:00:00+24:00")),
        _data(_event(timestamp="9998-12-31T23:59:59-12:00")),
    ),
}


# --- the catalogue -------------------------------------------------------------------------------


def _leaf(operator: str, fact: str, number: Any, scalar: Any, times_: int) -> dict[str, Any]:
    leaf: dict[str, Any] = {"fact": fact, "operator": operator}
    if operator.startswith("count_"):
        leaf["value"] = times_
    elif operator == "match":
        leaf["value"] = scalar
    elif operator not in ("seen", "not seen"):
        leaf["value"] = number
    return leaf


SOURCES = (
    "outcome_confirmed", "outcome_missed", "both", "both", "outcome_reversed", "outcome_reversed", "invoice_issued",
)  # fmt: skip
OPERATORS = (
    *("seen", "not seen", "count_gte", "count_lte", "count_gt", "count_lt", "count_eq", "match"),
    *("gte", "lte", "gt", "lt", "not gte", "not lte", "not gt", "not lt"),
)
_LEAVES = st.builds(
    _leaf,
    st.sampled_from(("seen", "not seen", "count_lte", "not gte", "match", *OPERATORS)),
    st.sampled_from((*ACTIONS, "replied", "rated")),
    st.sampled_from((0, 1, 2.5, 3, 4)),
    st.sampled_from((1, 3, True, False, "yes", "3")),
    st.integers(0, 3),
)


def _branches(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(children, max_size=3)
    return st.one_of(
        st.builds(lambda nodes: {"op": "AND", "conditions": nodes}, several),
        st.builds(lambda nodes: {"op": "OR", "conditions": nodes}, several),
        st.builds(lambda node: {"op": "NOT", "condition": node}, children),
    )


_TREES = st.recursive(_LEAVES, _branches, max_leaves=4)
# These go from true to false and back easily; drawn ones seldom do.
_TURNING = (
    [{"fact": "replied", "operator": "count_lte", "value": 1}],
    [{"fact": "rated", "operator": "not lte", "value": 2}],
    [
        {"fact": "replied", "operator": "seen"},
        {"fact": "opened", "operator": "not seen"},
        {"fact": "rated", "operator": "not gt", "value": 1},
    ],
    [{"op": "NOT", "condition": {"fact": "replied", "operator": "match", "value": True}}],
)
CONDITIONS = st.one_of(st.lists(st.one_of(_LEAVES, _LEAVES, _LEAVES, _TREES), max_size=3), st.sampled_from(_TURNING))

# Half of the contracts have none; an action without a timer has the settlement period.
_TIMERS = st.one_of(
    st.none(), st.dictionaries(st.sampled_from(ACTIONS), st.sampled_from((*PERIODS, "keep", "keep")), min_size=1)
)
# Half of the contracts have none. Windows end between events, with them, and after the 35 days of idempotency keys.
_REVERSAL = st.fixed_dictionaries(
    {
        "window": st.sampled_from((1, 1, 2, 5, 60, 7 * 86_400, 35 * 86_400, 41 * 86_400, 83 * 86_400)),
        "on": st.lists(st.sampled_from((*ACTIONS, *[REFUND] * 5)), min_size=1, max_size=4, unique=True),
    }
)
GRADES = ("full", "half")
# One in four contracts has grades in place of the condition.
_GRADED = st.tuples(*[st.fixed_dictionaries({"key": st.just(key), "condition": CONDITIONS}) for key in GRADES])
_GRADES = st.one_of(st.none(), st.none(), st.none(), _GRADED.map(list))
_PARTS: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(("Agent", "Agent ✓")),
    "settlement_period": st.sampled_from(PERIODS),
    "attribution_method": st.sampled_from(("first", "last", "min", "max", "sum")),
    "condition": CONDITIONS,
    "timers": _TIMERS,
    "grades": _GRADES,
    "reversal": _or_none(_REVERSAL, 1),
}
# Confirmed soon and always, so that many logs have reversals.
_REVERSIBLE = {
    **_PARTS,
    "settlement_period": st.sampled_from((1, 1, 2)),
    "condition": st.just([]),
    "timers": _or_none(_TIMERS, 2),
    "reversal": _REVERSAL,
}
_AGENT = st.one_of(*[st.fixed_dictionaries(parts) for parts in (_PARTS, _PARTS, _REVERSIBLE)]).map(
    lambda agent: {
        name: value
        for name, value in agent.items()
        if value is not None and (name != "condition" or agent["grades"] is None)
    }
)
_PRICES = st.tuples(*[st.sampled_from((*ENTRIES, *[None] * 9))] * len(AGENTS), st.sampled_from((None, *GRADES)))
_CUSTOMER_CARDS = st.sampled_from((*CARDS, *CARDS, *CARDS, *CARDS, None, "missing"))
# What a customer has of its own of one agent: some of its fields.
_OWN_TERMS = st.sets(
    st.sampled_from(("name", "settlement_period", "attribution_method", "condition", "grades", "timers", "reversal")),
    min_size=1,
)
_OWN = st.builds(
    lambda agent, names: (
        ({name: agent[name] for name in names if name in agent} or {"timers": {}, "reversal": {}})
        | ({"name": "Own"} if "name" in names else {})
    ),
    _AGENT,
    _OWN_TERMS,
)
_CUSTOMER = st.tuples(_CUSTOMER_CARDS, _or_none(_PRICES, 2), st.tuples(*[_or_none(_OWN, 2)] * len(AGENTS)))
_RULE = st.fixed_dictionaries(
    {
        "source": st.sampled_from(SOURCES),
        "agent": st.sampled_from((None, None, *AGENTS)),
        "url": st.just("https://example.test/hook"),
        "secret": st.just("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        "enabled": st.sampled_from((True, True, True, False)),
    }
)


def _history(content: st.SearchStrategy[Any], least: int, at_once: int) -> st.SearchStrategy[Any]:
    """Versions as (number of an instant or 0 for the beginning, archived, content)."""
    begins = st.sampled_from((0,) * at_once + (1, 2, 3, 5, 8, 13))
    archived = st.sampled_from((False,) * 19 + (True,))
    return st.lists(st.tuples(begins, archived, content), min_size=least, max_size=3)


_CATALOGUE = st.fixed_dictionaries(
    {
        "agents": st.tuples(
            _history(_AGENT, 1, 50),
            *[st.one_of(st.just([]), _history(_AGENT, 1, 3))] * 2,
        ),
        "cards": st.tuples(*[_history(_PRICES, 1, 50)] * len(CARDS)),
        "customers": st.tuples(
            _history(_CUSTOMER, 1, 50),
            _history(_CUSTOMER, 0, 1),
            _history(_CUSTOMER, 0, 6),
        ),
        "rules": st.tuples(*[_history(_RULE, 0, 9)] * 3),
    }
)


def settle_catalogue(drawn: Any, moments: list[int], *, ambiguous: bool) -> list[Change]:
    """The history with changes at (and 1 ms after) instants of the log, in order of instants."""
    out: dict[tuple[str, str, int], Change] = {}

    def add(kind: str, key: str, history: Any, content: Callable[[Any], Any]) -> None:
        for number, archived, item in history:
            at = 0 if number == 0 else moments[(number - 1) // 2 % len(moments)] + (number - 1) % 2
            if kind == "customer" and not ambiguous:
                archived = False  # README, R9
            # Two versions at one instant are refused, so the first one drawn stands.
            out.setdefault((kind, key, at), Change(kind, key, at, archived, content(item)))

    present = [key for key, history in zip(AGENTS, drawn["agents"], strict=True) if history]

    def entries(prices: Any) -> list[dict[str, Any]]:
        *rest, grade = prices
        priced = dict(zip(AGENTS, rest, strict=True))
        found = [{"agent": name, **priced[name]} for name in present if priced[name] is not None]
        # The entry of one grade, in addition to that of all grades.
        more = [{"agent": one["agent"], "grade": grade, "price_per_unit": "3"} for one in found[:1]]
        return [*found, *([] if grade is None else more)]

    for key, history in zip(AGENTS, drawn["agents"], strict=True):
        add("agent", key, history, lambda item: item)
    for (key, currency), history in zip(CARDS.items(), drawn["cards"], strict=True):

        def card(prices: Any, currency: str = currency) -> Any:
            return {"currency": currency, "entries": entries(prices)}

        add("rate_card", key, history, card)
    for key, history in zip(CUSTOMERS, drawn["customers"], strict=False):

        def customer(drawn: Any, name: str = key) -> Any:
            card_key, prices, own = drawn
            content = {"name": name.title(), "email": None, "rate_card": card_key}
            if card_key is not None and prices is not None:
                content["entries"] = entries(prices)
            terms = [{"agent": agent, **one} for agent, one in zip(AGENTS, own, strict=True) if one is not None]
            return content | ({"agents": terms} if terms else {})

        add("customer", key, history, customer)
    for number, history in enumerate(drawn["rules"]):

        def rule(item: Any) -> Any:
            return {**item, "agent": item["agent"] if item["agent"] in present else None}

        add("notification_rule", f"rule {number} é", history, rule)
    return sorted(out.values(), key=lambda one: one.effective_from)


# --- whole inputs ---------------------------------------------------------------------------------

_KINDS = ("event",) * 14 + ("refund",) * 4 + ("retry", "retry", "tick", "malformed", "odd")
_SPECIAL = tuple(item for group in AMBIGUOUS.values() for item in group)


def _step(kinds: tuple[str, ...], gaps: tuple[int, ...]) -> st.SearchStrategy[Any]:
    return st.tuples(
        st.sampled_from(gaps),
        st.sampled_from(kinds),
        st.integers(0, 255),  # which
        st.sampled_from(FORMS),
        st.integers(0, 255),  # in which style
    )


_SPECIAL_KINDS = (*_KINDS, *["special"] * 4)
# By whether it is ambiguous: steps over days and, for every other log, steps of which no outcome sees the end.
_STEPS_OF = {
    ambiguous: tuple(_step(kinds, gaps) for gaps in (_GAPS, _SHORT_GAPS))
    for ambiguous, kinds in ((False, _KINDS), (True, _SPECIAL_KINDS))
}
_POOL = st.lists(_BODY, min_size=2, max_size=10)


def _refund(of: Body, name: int, value: int) -> Body:
    """The event with the action of reversals; some have the same idempotency key, and another content."""
    body = {field: of[field] for field in ("key", "customer_key", "agent_key") if field in of}
    given = {} if name == 3 else {"idempotency_key": "r1"}
    return {**body, **given, "action": REFUND, "properties": {"value": value}}


@st.composite
def logs(draw: st.DrawFn, *, max_entries: int = 30, ambiguous: bool = False) -> Log:
    """A log and a catalogue's history; with `partitions=2` some keys are in the wrong one."""
    least = min(max_entries, draw(st.sampled_from((1, 8, 16))))
    step = _STEPS_OF[ambiguous][draw(st.integers(0, 1))]
    steps = draw(st.lists(step, min_size=least, max_size=max_entries))
    times = stamps([gap for gap, *_ in steps])
    moments = sorted({ms for ms, _ in times})
    pool = [settle_body(drawn, moments) for drawn in draw(_POOL)]
    entries: list[Entry] = []
    for (ms, seq), (_, kind, which, form, style) in zip(times, steps, strict=True):
        if kind == "event":
            fields = encode(pool[which % len(pool)], form, style)
        elif kind == "refund":
            fields = encode(_refund(pool[which % len(pool)], which // 64, style % 4 // 3), form, style)
        elif kind == "retry":
            key = pool[which % len(pool)]["key"]
            fields = {b"witnd": b"retry", b"key": key.encode()}
        elif kind == "tick":
            fields = {b"witnd": b"tick"}
        else:
            group = {"malformed": MALFORMED, "odd": ODD, "special": _SPECIAL}[kind]
            fields = dict(group[which % len(group)])
        entries.append((ms, seq, fields))
    changes = settle_catalogue(draw(_CATALOGUE), moments, ambiguous=ambiguous)
    for nth, chase in enumerate(draw(_CHASES)):
        entries += _chase(entries, changes, nth, *chase)
    return entries, changes


# After every other log, up to two outcomes get events that reverse them, or come too late. Each has the distance to
# the end of the window, or to the resolution, and what follows: the same again, another content, or another key.
_CHASES = st.one_of(
    st.just([]),
    st.lists(
        st.tuples(
            st.sampled_from((("end", -1), ("end", 0), ("start", 0), ("start", 1), ("start", 35 * DAY), ("end", -DAY))),
            st.lists(st.sampled_from((("r1", 0), ("r1", 1), ("r2", 0), (None, 0))), min_size=1, max_size=4),
            st.sampled_from((0, 0, 1, 35 * DAY)),
            st.sampled_from(FORMS),
        ),
        max_size=2,
    ),
)


def _chase(
    entries: list[Entry],
    changes: list[Change],
    nth: int,
    where: tuple[str, int],
    sent: list[tuple[str | None, int]],
    gap: int,
    form: str,
) -> list[Entry]:
    """Events with a reversing action for the nth outcome whose terms have one, near the ends of its window."""
    (ms, seq), end = entries[-1][:2], entries[-1][0] + 400 * DAY
    found = run([*entries, (end, 0, {b"witnd": b"tick"})], changes).outcomes
    reversible = [one for _, one in sorted(found.items()) if one.contract.get("reversal")]
    if nth >= len(reversible):
        return []
    one = reversible[nth]
    terms, (border, step) = one.contract["reversal"], where
    at = one.settles_at + step + (terms["window"] * SECOND if border == "end" else 0)
    made: list[Entry] = []
    for name, value in sent:
        ms, seq = (at, 0) if at > ms else (ms, seq + 1)
        body = {"key": one.key, "action": terms["on"][0], "customer_key": one.customer_key, "agent_key": one.agent_key}
        body |= {"properties": {"value": value}} | ({} if name is None else {"idempotency_key": name})
        made.append((ms, seq, encode(body, form, 0)))
        at += gap
    return made


@dataclass(frozen=True)
class Cuts:
    """How a run may be cut up; none of it may change the result."""

    batches: list[int]  # borders: entries[0:b0], entries[b0:b1], … entries[bn:]
    settle_limit: int  # at most so many outcomes resolve in one commit
    passivate_after: list[int]  # numbers of entries after which memory is dropped
    restart_after: list[int]  # numbers of entries after which the process is a new one


def cuts(entries: int) -> st.SearchStrategy[Cuts]:
    """Cuts for a log of so many entries."""
    points = st.sets(st.integers(1, max(1, entries - 1)), max_size=6).map(sorted)
    return st.builds(Cuts, points, st.integers(1, 3), points, points)


def partition_of(key: str, partitions: int) -> int:
    """Where a key belongs."""
    return zlib.crc32(key.encode()) % partitions
