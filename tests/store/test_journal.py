"""The journal notices a Redis that has less than it had."""

from pathlib import Path

import pytest

from witnd.store.errors import Unsafe
from witnd.store.journal.journal import Journal


def written(directory: Path, **sequences: int) -> None:
    journal = Journal(directory, "witn")
    journal.open(None)
    journal.begin("deployment-1")
    for partition, sequence in sequences.items():
        journal.note(int(partition[1:]), sequence)
    journal.write()


def reopened(directory: Path, deployment: str | None) -> Journal:
    journal = Journal(directory, "witn")
    journal.open(deployment)
    return journal


def test_a_redis_that_went_on_is_accepted(tmp_path: Path) -> None:
    written(tmp_path, p0=7, p1=3)

    journal = reopened(tmp_path, "deployment-1")
    journal.check(0, 7)
    journal.check(1, 4)
    journal.check(2, 0)


def test_a_redis_that_was_rolled_back_is_refused_with_the_numbers(tmp_path: Path) -> None:
    written(tmp_path, p0=7)

    with pytest.raises(Unsafe, match="at step 6 and was at step 7"):
        reopened(tmp_path, "deployment-1").check(0, 6)


@pytest.mark.parametrize(("deployment", "says"), [(None, "is empty"), ("deployment-2", "has the data of deployment")])
def test_another_deployment_is_refused_and_the_command_that_accepts_it_is_named(tmp_path, deployment, says) -> None:
    written(tmp_path, p0=7)

    with pytest.raises(Unsafe, match=says) as refused:
        reopened(tmp_path, deployment)
    assert "witnd repair journal" in refused.value.remedy


def test_a_damaged_journal_is_refused_and_not_guessed_at(tmp_path: Path) -> None:
    written(tmp_path, p0=7)
    (tmp_path / "journal-witn.json").write_text("{")

    with pytest.raises(Unsafe, match="damaged"):
        reopened(tmp_path, "deployment-1")


def test_without_a_journal_nothing_is_refused(tmp_path: Path) -> None:
    journal = reopened(tmp_path, "deployment-9")
    journal.begin("deployment-9")
    journal.check(0, 0)
    journal.note(0, 1)
    journal.write()

    with pytest.raises(Unsafe):
        reopened(tmp_path, "deployment-9").check(0, 0)
