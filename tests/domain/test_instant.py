"""Instants: one grammar, read alike by every version of Python."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.parse import RefusedError, read_instant
from witnd.domain.values.instant import parse, render


def fate(text: str) -> int | None:
    """The instant; None for one that is refused."""
    try:
        return parse(text)
    except ValueError:
        return None


def oracle(text: str) -> int | None:
    try:
        return read_instant(text)
    except RefusedError:
        return None


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-10T04:00:00+01:99", "2024-01-10T04:00:00+10:60", "2024-01-10T04:00:00+24:00",
        "2024-01-10T04:00:00-24:00", "2024-01-10T04:00:00+99:99", "2024-01-10T24:00:00Z", "2024-01-10T25:00:00Z",
        "2024-01-10T04:60:00Z", "2024-01-10T04:00:60Z", "2016-12-31T23:59:60Z", "2023-02-29T00:00:00Z",
        "2024-00-10T00:00:00Z", "2024-13-10T00:00:00Z", "2024-01-00T00:00:00Z", "2024-01-32T00:00:00Z",
        "1970-01-01T00:00:00+00:01", "1969-12-31T23:59:59Z", "9999-01-01T00:00:00Z", "9998-12-31T23:59:59-00:01",
        "0000-01-01T00:00:00Z", "2024-01-10T04:00:00", "2024-01-10 04:00:00Z", "2024-01-10t04:00:00z",
        "2024-01-10T04:00Z", "2024-01-10T04:00:00+0100", "2024-01-10T04:00:00+01", "2024-01-10T04:00:00+01:00:00",
        "2024-01-10T04:00:00,5Z", "2024-01-10T04:00:00.Z", "20240110T040000Z", "2024-W02-3T04:00:00Z",
        "2024-01-10T04:00:00Z ", "2024-01-10T04:00:00Z\n", "\u0662024-01-10T04:00:00Z", "2024-01-10T04:00:0\u0660Z", "",
    ],
)  # fmt: skip
def test_what_is_no_instant_of_the_grammar_is_refused(text: str) -> None:
    assert fate(text) is None
    assert oracle(text) is None


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2024-01-10T04:00:00+23:59", "2024-01-09T04:01:00.000Z"),
        ("2024-01-10T04:00:00-23:59", "2024-01-11T03:59:00.000Z"),
        ("2024-01-10T04:00:00-00:00", "2024-01-10T04:00:00.000Z"),
        ("2024-02-29T23:59:59.9999Z", "2024-02-29T23:59:59.999Z"),
        ("2024-01-10T04:00:00.5+01:30", "2024-01-10T02:30:00.500Z"),
        ("1969-12-31T23:00:00-01:00", "1970-01-01T00:00:00.000Z"),
        ("9999-01-01T00:30:00+01:00", "9998-12-31T23:30:00.000Z"),
    ],
)
def test_an_instant_is_read_with_its_offset(text: str, means: str) -> None:
    assert render(parse(text)) == means
    assert oracle(text) == parse(text)


two = st.integers(0, 99).map("{:02}".format)
forms = st.builds(
    "{}-{}-{}T{}:{}:{}{}{}".format,
    st.sampled_from(["1969", "1970", "2023", "2024", "9998", "9999", "0001"]),
    *itertools.repeat(two, 5),
    st.sampled_from(["", ".0", ".1234", "."]),
    st.just("Z") | st.builds("{}{}:{}".format, st.sampled_from("+-"), two, two),
)
near = st.builds(
    "{}-{}-{}T{}:{}:{}{}".format,
    st.sampled_from(["1969", "1970", "2024", "9998", "9999"]),
    st.sampled_from(["01", "02", "12"]),
    st.sampled_from(["01", "28", "29", "30", "31"]),
    *itertools.repeat(st.sampled_from(["00", "23", "24", "59", "60"]), 3),
    st.sampled_from(["Z", "+23:59", "-23:59", "+24:00", "+00:60", "-01:99", "-00:00"]),
)


@given(forms | near)
def test_every_form_has_the_fate_that_an_independent_reading_gives_it(text: str) -> None:
    assert fate(text) == oracle(text)


@given(st.integers(0, 253_370_764_799_999))
def test_what_is_written_is_read_as_the_same_instant(ms: int) -> None:
    assert parse(render(ms)) == ms
