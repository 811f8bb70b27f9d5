"""A damaged field of a state hash is named with key and value, and never becomes a zero."""

import pytest

from witnd.store.errors import Unsafe
from witnd.store.records.state_fields import StateFields

SOUND = [b"seq", b"3", b"cursor", b"17-2", b"read", b"9", b"applied", b"4", b"epoch", b"1", b"digest", b"zz"]


def test_a_sound_state_is_read() -> None:
    fields = StateFields.of_partition("k", SOUND)
    assert (fields.number("seq"), fields.entry("cursor"), fields.counters()) == (3, (17, 2), {"applied": 4})
    assert StateFields.of_partition("k", []).entry("cursor") == (0, 0)
    assert StateFields.of_partition("k", [b"epoch", b"1"]).number("seq") == 0, "a lease was taken, and no step made"


@pytest.mark.parametrize("value", ["abc", "", "-5", "1.5", "007", "1e3", " 1", "９", "9" * 20, "\udcff"])
def test_text_that_is_not_a_number_is_damage(value: str) -> None:
    with pytest.raises(Unsafe, match="the field applied of k is damaged: it must be a whole number from 0 on"):
        StateFields("k", {"applied": value}).counters()


@pytest.mark.parametrize("value", ["xyz", "", "1", "1-", "-1", "1-2-3", "1-x", "9" * 21 + "-0"])
def test_text_that_is_not_an_id_of_an_entry_is_damage(value: str) -> None:
    with pytest.raises(Unsafe, match="the field cursor of k is damaged: it must be the id of an entry"):
        StateFields("k", {"cursor": value}).entry("cursor")


@pytest.mark.parametrize("value", ["", "1", "x " + "0" * 40, "1 zz"])
def test_text_that_is_not_a_head_of_a_catalogue_is_damage(value: str) -> None:
    with pytest.raises(Unsafe, match="the field catalogue of k is damaged"):
        StateFields("k", {"catalogue": value}).head("catalogue")


@pytest.mark.parametrize("name", ["seq", "cursor", "read"])
def test_a_position_without_one_of_its_parts_is_damage(name: str) -> None:
    left = dict(zip(SOUND[::2], SOUND[1::2], strict=True))
    del left[name.encode()]
    with pytest.raises(Unsafe, match=f"the field {name} of k is damaged: it is missing"):
        StateFields.of_partition("k", [word for pair in left.items() for word in pair])


def test_positions_of_partitions_are_named_by_numbers() -> None:
    assert StateFields("k", {"read:3": "1 ab", "seq": "1"}).positions() == {3: (1, "ab")}
    for name, value in (("read:x", "1 ab"), ("read:1", "1-0"), ("read:1", "x")):
        with pytest.raises(Unsafe, match=f"the field {name} of k is damaged"):
            StateFields("k", {name: value}).positions()
