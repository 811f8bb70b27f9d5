"""Encodes and decodes the state of a rule's endpoint."""

import msgspec
from msgspec.structs import astuple

from witnd.domain.webhooks.delivery import HEALTHY, EndpointState
from witnd.store.deliveries.fan_out_codec import FORMAT, members
from witnd.store.records.sealed import DAMAGE

_pack = msgspec.msgpack.Encoder().encode


def encode_endpoint(state: EndpointState) -> bytes:
    return b"" if state == HEALTHY else _pack((FORMAT, *astuple(state)))


def decode_endpoint(record: bytes | None) -> EndpointState:
    """Return the state of an endpoint. A damaged record counts as healthy: an extra message is better than none."""
    return read_endpoint(record) or HEALTHY


def read_endpoint(record: bytes | None) -> EndpointState | None:
    """Return the state of an endpoint, or None for a damaged record."""
    if not record:
        return HEALTHY
    try:
        failing_since, suspended_at, reason = members(record)
    except DAMAGE:
        return None
    return EndpointState(failing_since=failing_since, suspended_at=suspended_at, reason=reason)
