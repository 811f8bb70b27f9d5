"""`witnd audit --acknowledged`: which events of a client's own log are gone."""

import json
from pathlib import Path

import pytest

from tests.support.deployment import Deployment


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "acknowledged.jsonl"


def entries(deployment: Deployment) -> list[str]:
    found = [id_.decode() for id_, _ in deployment.call("XRANGE", deployment.keys().events, "-", "+")]
    assert len(found) >= 3
    return found


def work(deployment: Deployment) -> list[str]:
    """An applied event, a duplicate of it, and one that is still in the log only; their ids."""
    deployment.apply()
    deployment.event("ticket-0001", "replied", 0, idempotency_key="a")
    deployment.event("ticket-0001", "replied", 1, idempotency_key="a")
    deployment.work()
    deployment.event("ticket-0002", "replied", at="*")
    return entries(deployment)


def test_an_event_in_the_log_a_history_or_a_fate_is_there(deployment: Deployment, log: Path) -> None:
    first, second, *_, last = work(deployment)
    deployment.call("XTRIM", deployment.keys().events, "MAXLEN", "1")
    lines = [json.dumps({"id": first, "partition": 0, "sent": "x"}), "", f"0 {second}", json.dumps({"id": last})]
    log.write_text("\n".join(lines))

    report = deployment.json("audit", "--quick", "--acknowledged", str(log))
    assert report["acknowledged"] == {"events": 3, "missing": 0}


def test_an_event_that_redis_lost_is_listed_with_exit_code_5(deployment: Deployment, log: Path) -> None:
    first, *_ = work(deployment)
    lost = "1700000000123-4"
    log.write_text(f"0 {first}\n0 {lost}\n")

    report = deployment.json("audit", "--quick", "--acknowledged", str(log), exit_code=5)
    assert report["acknowledged"] == {"events": 2, "missing": 1}
    assert [one["what"] for one in report["differences"]] == [f"acknowledged event {lost}"]
    assert "idempotency key" in report["differences"][0]["remedy"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1700000000000-0", "a partition and an id"),
        ('{"id": 5}', "cannot be read"),
        ('{"id": "5", "partition": 0}', "entry id"),
        ("7 1700000000000-0", "got 7"),
        ("0 next", "entry id"),
    ],
)
def test_a_line_that_is_not_an_event_is_named_with_its_place(
    deployment: Deployment, log: Path, line: str, says: str
) -> None:
    deployment.apply()
    log.write_text(f"0 1700000000000-0\n{line}\n")
    result = deployment.witnd("audit", "--acknowledged", str(log))
    assert result.exit_code == 2
    assert "line 2" in result.output
    assert says in result.output


def test_a_file_that_is_not_there_is_named(deployment: Deployment, log: Path) -> None:
    deployment.apply()
    result = deployment.witnd("audit", "--acknowledged", str(log))
    assert result.exit_code == 2
    assert "cannot be read: No such file or directory" in result.output
