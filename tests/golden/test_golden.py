"""Stored data of a format are read as they were when the format was written."""

import json
from pathlib import Path

import pytest
from redis import Redis

from tests.golden.dump import dump, load
from tests.golden.generate import FILE, answers
from tests.support.deployment import Deployment
from tests.support.server import Server
from witnd.store.meta import FORMAT

GOLDEN = json.loads(FILE.read_text())


@pytest.fixture
def deployment(session_server: Server, tmp_path: Path) -> Deployment:
    session_server.call("FLUSHALL")
    with session_server.sync() as client:
        load(client, GOLDEN["commands"])
    return Deployment(session_server, tmp_path)


def test_the_data_are_those_of_the_present_format() -> None:
    assert GOLDEN["format"] == FORMAT


def test_commands_answer_as_when_the_data_were_written(deployment: Deployment) -> None:
    assert answers(deployment) == GOLDEN["answers"]


def test_the_data_are_loaded_as_they_were(deployment: Deployment) -> None:
    with deployment.server.sync() as client:
        assert dump(client) == GOLDEN["commands"]


def test_a_credit_that_is_repeated_under_its_stored_id_is_not_given_again(deployment: Deployment) -> None:
    words = ("credit", "credited-01", "--amount", "1", "--reason", "a sample", "--id", "sample-1")
    assert deployment.json("invoices", *words)["repeated"]


def test_the_daemon_continues_from_the_data(deployment: Deployment) -> None:
    def is_placed(client: Redis) -> bool:
        return deployment.settled(client) and client.exists("witn:{0}:outcome:golden-0001") == 1

    deployment.event("golden-0001", "replied", at="*")
    deployment.work(is_placed)
    assert deployment.json("audit")["clean"]
