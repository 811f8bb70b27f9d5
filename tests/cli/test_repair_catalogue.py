"""`witnd repair catalogue` without a daemon: what it does without a copy, and what has to be decided by name."""

import json
from typing import Any

import pytest

from tests.support.catalogues import append_entry, replace_entries
from tests.support.deployment import CATALOGUE, Deployment
from witnd.store.keys import GlobalKeys

KEYS = GlobalKeys("witn")
STATE = "witn:{0}:state"


def lost(deployment: Deployment) -> None:
    """The last version is gone, as if it had never been written, and a step was decided under it."""
    deployment.apply()
    deployment.event("ticket-0001", "replied")
    deployment.work()
    with deployment.server.sync() as client:
        replace_entries(client, slice(0, -1))


def changes(deployment: Deployment) -> list[dict[str, Any]]:
    entries: Any = deployment.call("XRANGE", KEYS.changes, "-", "+")
    return [json.loads(fields[b"data"]) for _, fields in entries]


def test_a_whole_catalogue_needs_no_repair(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "replied")
    deployment.work()
    assert "has all its 6 versions" in deployment.witnd("repair", "catalogue", "--yes").stdout
    assert "catalogue.repair" not in [change["what"] for change in changes(deployment)]


@pytest.mark.parametrize("command", [("audit",), ("audit", "--quick"), ("doctor",)])
def test_versions_that_a_step_was_decided_under_and_that_are_gone_are_found(deployment: Deployment, command) -> None:
    lost(deployment)
    done = deployment.witnd(*command)
    assert done.exit_code == 3
    assert "version 6 is missing" in done.output
    assert "witnd repair catalogue" in done.output


def test_a_change_onto_a_catalogue_that_lost_versions_is_refused(deployment: Deployment) -> None:
    lost(deployment)
    file = deployment.directory / "more.toml"
    file.write_text(CATALOGUE.replace("0.995", "3"))
    done = deployment.witnd("apply", str(file))
    assert done.exit_code == 3
    assert "version 6 is missing" in done.stderr
    assert deployment.call("LLEN", KEYS.catalogue) == 5


def test_without_a_copy_the_loss_has_to_be_accepted_by_name(deployment: Deployment) -> None:
    lost(deployment)
    shown = deployment.witnd("repair", "catalogue")
    assert ": partition 0" in shown.stdout
    refused = deployment.witnd("repair", "catalogue", "--yes")
    assert refused.exit_code == 3
    assert "--accept" in refused.stderr
    done = deployment.json("repair", "catalogue", "--accept", "--yes")
    assert (done["done"], done["accepted"]) == (True, True)
    change = changes(deployment)[-1]
    assert (change["what"], change["source"], change["after"]["accepted"]) == ("catalogue.repair", "cli", True)
    assert "@" in change["who"]
    deployment.event("ticket-0002", "replied", at="*")
    deployment.work()
    assert deployment.call("HGET", STATE, "catalogue") == deployment.call("GET", KEYS.catalogue_head)
    assert not deployment.json("repair", "catalogue")["needed"]


def test_a_head_that_is_lost_is_made_again_from_the_list(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "replied")
    deployment.work()
    head = deployment.call("GET", KEYS.catalogue_head)
    deployment.call("DEL", KEYS.catalogue_head)
    assert deployment.witnd("export").exit_code == 3
    assert deployment.witnd("repair", "catalogue", "--yes").exit_code == 0
    assert deployment.call("GET", KEYS.catalogue_head) == head
    assert deployment.witnd("export").exit_code == 0


def test_nothing_is_repaired_beside_a_daemon(deployment: Deployment) -> None:
    lost(deployment)
    deployment.call("SET", "witn:{0}:owner", "1:nonce:billing-1", "PX", 60_000)
    refused = deployment.witnd("repair", "catalogue", "--accept", "--yes")
    assert refused.exit_code == 3
    assert "daemons are running: partition 0 (billing-1); stop them" in refused.stderr


def test_a_version_that_others_wrote_to_the_list_is_found(deployment: Deployment) -> None:
    deployment.apply()
    deployment.call("RPUSH", KEYS.catalogue, "{}")
    done = deployment.witnd("export")
    assert done.exit_code == 3
    assert "has 7 entries, and its head says 6" in done.stderr


@pytest.mark.parametrize(
    ("entry", "reason", "remedy"),
    [
        (b'{"v":2}', "has format 2", "run the version of witnd that wrote it"),
        (b"nonsense", "cannot be read", "restore it from a backup; if a newer witnd wrote it, run that version"),
    ],
)
def test_every_command_names_an_entry_that_it_cannot_read_and_the_remedy(
    deployment: Deployment, entry: bytes, reason: str, remedy: str
) -> None:
    deployment.apply()
    with deployment.server.sync() as client:
        append_entry(client, entry)
    for command in (("export",), ("audit",), ("agents", "list")):
        done = deployment.witnd(*command)
        assert done.exit_code == 3, done.output
        assert f"entry 6 of the catalogue {reason}" in done.stderr
        assert remedy in done.stderr
