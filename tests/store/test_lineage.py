"""The pure parts of a repartition: which log has an entry, where keys go, how commands are split."""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from witnd.config import ConfigError
from witnd.domain.outcomes.event import Event, Refusal, Retry, Tick, read
from witnd.domain.outcomes.partitioning import partition_of, possible_partitions
from witnd.fold.step import FORWARD_WORDS_MAX, Forward, other_partition
from witnd.store.errors import Unreadable, Unsafe
from witnd.store.log.forward import Forwarded, decode_forwarded, encode_forwarded
from witnd.store.meta import Meta
from witnd.store.partition.commit import WORDS_MAX
from witnd.store.records.lineage import Border, Lineage, decode_borders, encode_borders
from witnd.store.records.state_fields import StateFields
from witnd.store.repartition.checks import check_count
from witnd.store.repartition.mover import BYTES_MAX, parts, split

ENTRIES = st.tuples(st.integers(1, 1 << 44), st.integers(0, 1 << 20))
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=40)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, tuple[int, int]]]:
    """Numbers of partitions with the instants at which they were multiplied, and the present number last."""
    numbers = [draw(st.integers(1, 3))]
    for factor in draw(st.lists(st.integers(2, 3), max_size=3)):
        numbers.append(numbers[-1] * factor)
    ends = sorted(draw(st.lists(ENTRIES, min_size=len(numbers), max_size=len(numbers), unique=True)))
    return list(zip(numbers, ends, strict=True))


def lineage_of(partition: int, history: list[tuple[int, tuple[int, int]]]) -> Lineage:
    """What repartitions write, made by the rule: P of N gets the outcomes of P mod each earlier number."""
    *changes, (present, _) = history
    assert partition < present
    parents = [(number, last, partition % number) for number, last in changes if partition >= number]
    origins: list[Border] = []
    for place, (_, last, parent) in enumerate(parents):
        following = [other for _, _, other in parents[place + 1 :]]
        if parent not in following:
            origins.append(Border(parent, last))
    earlier = [Border(number, last) for number, last in changes if partition < number]
    return Lineage(tuple(origins), tuple(earlier))


@given(histories(), KEYS, ENTRIES)
def test_the_log_of_an_entry_is_that_of_the_partition_that_its_key_had_then(
    history: list[tuple[int, tuple[int, int]]], key: str, entry: tuple[int, int]
) -> None:
    present = history[-1][0]
    home = partition_of(key, present)
    number = next((number for number, last in history[:-1] if entry <= last), present)
    assert lineage_of(home, history).log_of(home, entry) == partition_of(key, number)


@given(histories(), KEYS, ENTRIES)
def test_an_entry_is_forwarded_from_every_partition_that_its_key_had_before(
    history: list[tuple[int, tuple[int, int]]], key: str, entry: tuple[int, int]
) -> None:
    present = history[-1][0]
    number = next((number for number, last in history[:-1] if entry <= last), present)
    home = partition_of(key, number)
    earlier = {partition_of(key, before) for before, _ in history if before < number} - {home}
    for partition in range(number):
        target = lineage_of(partition, history).forwarded_to(partition, key, entry, present)
        assert target == (home if partition in earlier else None), partition


@given(histories(), KEYS)
def test_the_fold_forwards_what_the_lineage_says(history: list[tuple[int, tuple[int, int]]], key: str) -> None:
    present = history[-1][0]
    now = (1 << 50, 0)
    home = partition_of(key, present)
    fields = [b"key", key.encode(), b"action", b"a", b"customer_key", b"c"]
    event = read(fields)
    assert isinstance(event, Event)
    for partition in set(range(present)) - {home}:
        lineage = lineage_of(partition, history)
        found = other_partition(event, fields, partition, present, lineage.earlier_counts)
        target = lineage.forwarded_to(partition, key, now, present)
        assert found == Forward(home) if target == home else isinstance(found, Refusal)
    assert other_partition(Retry(key), [], 0, present, (1,)) == Tick()
    assert isinstance(other_partition(event, [b""] * (FORWARD_WORDS_MAX + 1), 0, 2, (1,)), Refusal)


@given(st.lists(st.tuples(st.integers(0, 1023), ENTRIES), max_size=4))
def test_borders_are_read_as_they_were_written(found: list[tuple[int, tuple[int, int]]]) -> None:
    borders = tuple(Border(*one) for one in found)
    assert decode_borders(encode_borders(borders)) == borders
    fields = StateFields("s", {"origins": encode_borders(borders), "earlier": ""})
    assert fields.lineage() == Lineage(borders, ())
    assert fields.counters() == {}


@pytest.mark.parametrize("text", ["x", "1:", "1:5", "-1:5-0", "1:5-0,2:6-0", "01:5-0", "1:5-0 "[:-1] + "x"])
def test_damaged_borders_are_named(text: str) -> None:
    with pytest.raises(Unsafe, match="field earlier of s is damaged"):
        StateFields("s", {"earlier": text}).lineage()


@given(KEYS, st.integers(1, 1024))
def test_the_possible_partitions_of_a_key_are_those_of_all_divisors(key: str, partitions: int) -> None:
    found = possible_partitions(key, partitions)
    assert found[0] == partition_of(key, partitions)
    assert set(found) == {crc32(key.encode()) % n for n in range(1, partitions + 1) if partitions % n == 0}
    assert len(found) == len(set(found))


@given(st.integers(1, 64), st.integers(1, 2048))
def test_only_a_multiple_up_to_the_maximum_is_accepted(recorded: int, wanted: int) -> None:
    meta = Meta(deployment="d", partitions=recorded, format=3)
    if wanted % recorded == 0 and wanted <= 1024:
        check_count(meta, wanted)
    else:
        with pytest.raises(ConfigError) as refused:
            check_count(meta, wanted)
        assert refused.value.mistakes[0].path == "N"


def test_a_repartition_that_is_not_finished_accepts_only_its_own_number() -> None:
    meta = Meta(deployment="d", partitions=2, format=3, repartitioning=6)
    check_count(meta, 6)
    with pytest.raises(ConfigError, match="run `witnd repartition 6`"):
        check_count(meta, 4)


@given(st.lists(st.binary(max_size=8), min_size=2, max_size=50).filter(lambda words: len(words) % 2 == 0))
def test_a_split_command_keeps_all_pairs(words: list[bytes]) -> None:
    many = words * (3 * WORDS_MAX // len(words))
    commands = list(split(("ZADD", "k"), many))
    assert [word for command in commands for word in command[2:]] == many
    assert all(len(command) <= WORDS_MAX + 2 and len(command) % 2 == 0 for command in commands)


@given(st.lists(st.integers(0, 3 * BYTES_MAX // 2), max_size=8))
def test_steps_are_bounded_and_keep_the_order(sizes: list[int]) -> None:
    commands = [("SET", b"x" * size) for size in sizes]
    found = list(parts(commands))
    assert [command for part in found for command in part] == commands
    assert all(sum(len(word) for command in part[:-1] for word in command) <= BYTES_MAX for part in found)


@given(ENTRIES, st.integers(0, 1023), st.lists(st.binary(max_size=20), max_size=6))
def test_an_event_to_forward_is_read_as_it_was_written(
    entry: tuple[int, int], number: int, fields: list[bytes]
) -> None:
    event = Forwarded(entry, number, fields)
    assert decode_forwarded("f", encode_forwarded(event)) == event
    with pytest.raises(Unreadable, match="restore the key"):
        decode_forwarded("f", encode_forwarded(event)[:-1] if fields else b"x")
