"""Reading entries: whatever comes in, an item comes out, and every refusal says where and why."""

import base64
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from witnd.domain.outcomes import event as reading
from witnd.domain.outcomes.event import Event, Refusal, Retry, Tick, read
from witnd.domain.values.strictjson import BYTES_MAX, DEPTH_MAX

GOOD = {"key": "ticket-0001", "action": "replied", "customer_key": "acme"}


def data(**members: object) -> list[bytes]:
    return [b"data", json.dumps({**GOOD, **members}).encode()]


def raw(text: str) -> list[bytes]:
    return [b"data", text.encode()]


def refused(fields: list[bytes]) -> str:
    item = read(fields)
    assert isinstance(item, Refusal), item
    return item.message


@given(st.lists(st.binary(max_size=40), max_size=6).filter(lambda fields: len(fields) % 2 == 0))
def test_no_entry_whatsoever_raises(fields: list[bytes]) -> None:
    assert isinstance(read(fields), Event | Tick | Retry | Refusal)


@given(st.binary(max_size=300))
def test_no_data_whatsoever_raises(text: bytes) -> None:
    assert isinstance(read([b"data", text]), Event | Refusal)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(JSON, st.sampled_from([*GOOD, "agent_key", "idempotency_key", "timestamp", "properties", "other"]))
def test_any_json_in_any_place_is_read_or_refused(value: object, member: str) -> None:
    assert isinstance(read(data(**{member: value})), Event | Refusal)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (raw("{"), "strict JSON"),
        (raw("[]"), "JSON object"),
        ([b"data", b"\xff"], "strict JSON"),
        ([b"data", b'{"key":"\xff2345678"}'], "UTF-8"),
        (raw('{"key":"12345678","key":"12345678"}'), "'key' appears twice"),
        (raw('{"key":"12345678","k\\u0065y" :"12345678"}'), "'key' appears twice"),
        (data(properties={"a": 10**400}), "properties.a: does not fit a finite double"),
        (raw('{"a":1e400}'), "strict JSON"),
        (raw('{"a":NaN}'), "strict JSON"),
        (raw('{"a":"\\ud800"}'), "strict JSON"),
        (raw('{"a":' * 40 + "1" + "}" * 40), f"deeper than {DEPTH_MAX}"),
        (raw('{"a":' * 40000 + "1" + "}" * 40000), f"deeper than {DEPTH_MAX}"),
        (raw("{}"), "key: is required"),
        (data(key="1234567"), "key: must have 8 to 255 characters, it has 7"),
        (data(key="x" * 256), "key: must have 8 to 255 characters, it has 256"),
        (data(key=12345678), "key: must be a string"),
        (data(action=""), "action: must have 1 to 255"),
        (data(customer_key=None), "customer_key: is required"),
        (data(agent_key=""), "agent_key: must have 1 to 255"),
        (data(idempotency_key=7), "idempotency_key: must be a string"),
        (data(timestamp=5), "timestamp: must be a string like"),
        (data(timestamp="2026-02-30T00:00:00Z"), "timestamp: has an impossible date"),
        (data(timestamp="2026-01-31 09:30:00Z"), "timestamp: must look like"),
        (data(properties=[0]), "properties: must be an object"),
        (data(properties=""), "properties: must be an object"),
        (raw("{}"), "key: is required; action: is required; customer_key: is required"),
        (
            data(key=1, agent_key=2, timestamp="x", properties={"value": [], "settles_at": "y"}),
            "key: must be a string; agent_key: must be a string; timestamp: must look like 2026-01-31T09:30:00.000Z; ",
        ),
        (
            data(timestamp="2026-01-01T00:00:00+10:60", properties={"settles_at": "2024-01-10T04:00:00+01:99"}),
            "timestamp: has an impossible offset; offsets are from -23:59 to +23:59; properties.settles_at: has an",
        ),
        (data(properties={"value": {}}), "properties.value: must be a string, a number or a boolean"),
        (data(properties={"settles_at": "soon"}), "properties.settles_at: must look like"),
        (data(properties={"attribution": 1e16}), "properties.attribution: must be 0 or have a magnitude between"),
        (data(properties={"attribution": 1e-13}), "properties.attribution: must be 0 or have a magnitude between"),
        (data(note="x" * BYTES_MAX), f"larger than {BYTES_MAX} bytes"),
        ([], "no fields"),
        ([b"witnd", b"stop"], "control entries"),
        ([b"key", b"\xff" * 8, b"action", b"a", b"customer_key", b"c"], "key: is not UTF-8"),
        ([b"key", b"12345678", b"key", b"12345678"], "appears twice"),
        (raw('{"specversion":"0.3","source":"s","id":"1","data":{}}'), "specversion"),
        (raw('{"specversion":"1.0","id":"1","data":{}}'), "source"),
        (raw('{"specversion":"1.0","source":"s","id":"1","data":3}'), "data: must be the event"),
        (raw('{"specversion":"1.1","data":{}}'), 'specversion: must be "1.0"; source: must be a non-empty'),
        (raw('{"specversion":"1.0","source":"s","id":"1","data":{},"data_base64":"e30="}'), "data_base64: must not"),
        (raw('{"specversion":"1.0","source":"s","id":"1","data_base64":"e30"}'), "data_base64: must be"),
        (raw('{"specversion":"1.0","source":"s","id":"1","data_base64":"W10="}'), "data_base64: must be a JSON object"),
        (raw('{"specversion":"1.0","source":"s","id":"1","data_base64":"e30="}'), "key: is required"),
    ],
)
def test_a_refusal_names_the_place_and_the_problem(fields: list[bytes], says: str) -> None:
    assert says in refused(fields)


def test_the_largest_event_is_read_and_one_byte_more_is_not() -> None:
    room = BYTES_MAX - len(data(note="")[1])

    assert isinstance(read(data(note="x" * room)), Event)
    assert "larger" in refused(data(note="x" * (room + 1)))


@pytest.mark.parametrize("properties", [{"value": 3}, {"value": 3.0}, {"value": 3, "attribution": None}])
def test_spelling_is_not_content(properties: dict[str, object]) -> None:
    plain = read(data(idempotency_key="i", properties={"value": 3}))
    other = read(data(properties=properties, idempotency_key="i", agent_key=None))

    assert isinstance(plain, Event)
    assert plain == other


@pytest.mark.parametrize("value", [True, 1, "1", 1.5, None, -1])
def test_values_of_different_types_are_different_content(value: object) -> None:
    one = read(data(idempotency_key="i", properties={"value": value}))
    others = [
        read(data(idempotency_key="i", properties={"value": other}))
        for other in (True, 1, "1", 1.5, None, -1)
        if other is not value
    ]

    assert isinstance(one, Event)
    assert one.content not in [other.content for other in others if isinstance(other, Event)]


def test_the_three_forms_of_an_event_are_one() -> None:
    flat = [b"key", b"ticket-0001", b"action", b"replied", b"customer_key", b"acme", b"properties", b'{"value": 3.0}']
    cloud = raw(
        json.dumps(
            {"specversion": "1.0", "source": "s", "id": "7", "type": "t", "data": {**GOOD, "properties": {"value": 3}}}
        )
    )
    plain, from_flat, from_cloud = read(data(properties={"value": 3})), read(flat), read(cloud)

    assert plain == from_flat
    assert isinstance(from_cloud, Event)
    assert from_cloud.mark is not None
    assert plain.value == from_cloud.value == 3.0  # type: ignore[union-attr]


@pytest.mark.parametrize("empty", [[], {}])
def test_a_list_without_members_as_properties_is_an_object_without_members(empty: object) -> None:
    plain = read(data(idempotency_key="i", properties={}))

    assert isinstance(plain, Event)
    assert read(data(idempotency_key="i", properties=empty)) == plain
    flat = [b"key", b"ticket-0001", b"action", b"replied", b"customer_key", b"acme", b"idempotency_key", b"i"]
    assert read([*flat, b"properties", json.dumps(empty).encode()]) == plain
    assert read([*flat, b"properties", b" [ ] "]) == plain


def test_an_empty_optional_field_of_the_flat_form_is_an_absent_one() -> None:
    flat = [b"key", b"ticket-0001", b"action", b"replied", b"customer_key", b"acme"]
    absent = [b"agent_key", b"", b"idempotency_key", b"", b"timestamp", b"", b"properties", b""]

    assert isinstance(read(flat), Event)
    assert read([*flat, *absent]) == read(flat)
    assert "customer_key: must have 1 to 255 characters, it has 0" in refused([*flat[:-1], b""])
    assert "key: must have 8 to 255" in refused([b"key", b"", *flat[2:]])


def test_an_identity_in_fields_beside_the_data_of_an_entry_is_used() -> None:
    cloud = [b"specversion", b"1.0", b"id", b"7", b"source", b"s", b"type", b"t"]
    envelope = {"specversion": "1.0", "source": "s", "id": "7"}
    flat = [word.encode() for pair in GOOD.items() for word in pair]

    assert read([*data(), b"idempotency_key", b"i"]) == read(data(idempotency_key="i"))
    assert read([*data(idempotency_key="i"), b"idempotency_key", b"i"]) == read(data(idempotency_key="i"))
    in_envelope = read(raw(json.dumps(envelope | {"data": GOOD})))
    assert isinstance(in_envelope, Event)
    assert in_envelope.mark is not None
    assert read([*data(), *cloud]) == read([*flat, *cloud]) == in_envelope
    assert read([*raw(json.dumps(envelope | {"data": GOOD})), *cloud]) == in_envelope
    at = [*data(), *cloud, b"time", b"2026-01-31T09:30:00Z"]
    assert read(at).timestamp == 1_769_851_800_000  # type: ignore[union-attr]
    assert read([*data(), b"idempotency_key", b"", b"specversion", b"", b"x-trace", b"\xff"]) == read(data())


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ([*data(idempotency_key="i"), b"idempotency_key", b"k"], "idempotency_key: differs from that of the event"),
        ([*data(), b"idempotency_key", b"\xff"], "idempotency_key: is not UTF-8"),
        ([*data(), b"idempotency_key", b"i" * 256], "idempotency_key: must have 1 to 255 characters"),
        ([*data(), b"specversion", b"1.0", b"id", b"7"], "source: must be a non-empty"),
        ([*data(), b"specversion", b"0.3", b"id", b"7", b"source", b"s"], 'specversion: must be "1.0"'),
        ([*data(idempotency_key="i"), b"specversion", b"1.0", b"id", b"7", b"source", b"s"], "leave one of them out"),
        (
            [*data(specversion="1.0", id="7", source="s", data=GOOD), b"specversion", b"1.0", b"id", b"8"],
            "id: differs from that of the envelope",
        ),
        ([*data(), *data(key="ticket-0002")], "a field name appears twice"),
    ],
)
def test_an_identity_beside_the_data_of_an_entry_that_cannot_be_used_is_refused(fields: list[bytes], says: str) -> None:
    assert says in refused(fields)


def test_the_event_of_an_envelope_may_come_in_base64() -> None:
    envelope = {"specversion": "1.0", "source": "s", "id": "7", "type": "t"}
    plain = read(raw(json.dumps(envelope | {"data": GOOD})))

    assert isinstance(plain, Event)
    encoded = base64.b64encode(json.dumps(GOOD).encode()).decode()
    assert read(raw(json.dumps(envelope | {"data_base64": encoded}))) == plain
    assert read(raw(json.dumps(envelope | {"data": None, "data_base64": encoded}))) == plain


def test_an_attribution_is_the_decimal_that_its_shortest_spelling_says() -> None:
    item = read(data(properties={"attribution": 0.1}))

    assert isinstance(item, Event)
    assert item.attribution == Decimal("0.1")


def test_colons_and_braces_inside_of_strings_confuse_nobody() -> None:
    item = read(data(key='support:ticket:"1001"', action=":{[", properties={"value": '":"', "a:b": "}"}))

    assert isinstance(item, Event)
    assert (item.key, item.action, item.value) == ('support:ticket:"1001"', ":{[", '":"')


SCALARS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
PROPERTIES = st.dictionaries(
    st.sampled_from(["value", "attribution", "note", "a:b"]), SCALARS | st.text(max_size=5), max_size=4
)


@given(
    properties=st.none() | st.just([]) | PROPERTIES,
    identity=st.none() | st.sampled_from(["i", ""]),
    timestamp=st.none() | st.sampled_from(["2026-01-31T09:30:00.5Z", "2026-01-31T09:30:00+10:60"]),
    pin=st.none() | st.sampled_from(["2026-01-31T09:30:01+01:00", "2024-01-10T04:00:00+01:99"]),
)
def test_the_short_way_reads_what_the_long_way_reads(properties, identity, timestamp, pin) -> None:
    if pin is not None and isinstance(properties, dict):
        properties["settles_at"] = pin
    text = data(properties=properties, idempotency_key=identity, timestamp=timestamp)[1]

    def fate(way):
        try:
            return way()
        except reading.Invalid as refused:
            return refused.mistakes

    short, long = fate(lambda: reading._frequent(text)), fate(lambda: reading._event(reading.document(text)))

    assert short in (None, long)
