"""`witnd repair catalogue` without a daemon: what it does without a copy, and what has to be decided by name."""

import json
from typing import Any

import pytest

from tests.support.catalogues import append_entry, replace_entries
from tests.support.workshop import CATALOGUE, Workshop
from witnd.store.keys import GlobalKeys

KEYS = GlobalKeys("witn")
STATE = "witn:{0}:state"


def lost(shop: Workshop) -> None:
    """The last version is gone, as if it had never been written, and a step was decided under it."""
    shop.apply()
    shop.event("ticket-0001", "replied")
    shop.work()
    with shop.server.sync() as client:
        replace_entries(client, slice(0, -1))


def changes(shop: Workshop) -> list[dict[str, Any]]:
    entries: Any = shop.call("XRANGE", KEYS.changes, "-", "+")
    return [json.loads(fields[b"data"]) for _, fields in entries]


def test_a_whole_catalogue_needs_no_repair(shop: Workshop) -> None:
    shop.apply()
    shop.event("ticket-0001", "replied")
    shop.work()
    assert "has all its 6 versions" in shop.witnd("repair", "catalogue", "--yes").stdout
    assert "catalogue.repair" not in [change["what"] for change in changes(shop)]


@pytest.mark.parametrize("command", [("audit",), ("audit", "--quick"), ("doctor",)])
def test_versions_that_a_step_was_decided_under_and_that_are_gone_are_found(shop: Workshop, command) -> None:
    lost(shop)
    done = shop.witnd(*command)
    assert done.exit_code == 3
    assert "version 6 is missing" in done.output
    assert "witnd repair catalogue" in done.output


def test_a_change_onto_a_catalogue_that_lost_versions_is_refused(shop: Workshop) -> None:
    lost(shop)
    file = shop.directory / "more.toml"
    file.write_text(CATALOGUE.replace("0.995", "3"))
    done = shop.witnd("apply", str(file))
    assert done.exit_code == 3
    assert "version 6 is missing" in done.stderr
    assert shop.call("LLEN", KEYS.catalogue) == 5


def test_without_a_copy_the_loss_has_to_be_accepted_by_name(shop: Workshop) -> None:
    lost(shop)
    shown = shop.witnd("repair", "catalogue")
    assert ": partition 0" in shown.stdout
    refused = shop.witnd("repair", "catalogue", "--yes")
    assert refused.exit_code == 3
    assert "--accept" in refused.stderr
    done = shop.json("repair", "catalogue", "--accept", "--yes")
    assert (done["done"], done["accepted"]) == (True, True)
    change = changes(shop)[-1]
    assert (change["what"], change["source"], change["after"]["accepted"]) == ("catalogue.repair", "cli", True)
    assert "@" in change["who"]
    shop.event("ticket-0002", "replied", at="*")
    shop.work()
    assert shop.call("HGET", STATE, "catalogue") == shop.call("GET", KEYS.catalogue_head)
    assert not shop.json("repair", "catalogue")["needed"]


def test_a_head_that_is_lost_is_made_again_from_the_list(shop: Workshop) -> None:
    shop.apply()
    shop.event("ticket-0001", "replied")
    shop.work()
    head = shop.call("GET", KEYS.catalogue_head)
    shop.call("DEL", KEYS.catalogue_head)
    assert shop.witnd("export").exit_code == 3
    assert shop.witnd("repair", "catalogue", "--yes").exit_code == 0
    assert shop.call("GET", KEYS.catalogue_head) == head
    assert shop.witnd("export").exit_code == 0


def test_nothing_is_repaired_beside_a_daemon(shop: Workshop) -> None:
    lost(shop)
    shop.call("SET", "witn:{0}:owner", "1:nonce:billing-1", "PX", 60_000)
    refused = shop.witnd("repair", "catalogue", "--accept", "--yes")
    assert refused.exit_code == 3
    assert "daemons are running: partition 0 (billing-1); stop them" in refused.stderr


def test_a_version_that_others_wrote_to_the_list_is_found(shop: Workshop) -> None:
    shop.apply()
    shop.call("RPUSH", KEYS.catalogue, "{}")
    done = shop.witnd("export")
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
    shop: Workshop, entry: bytes, reason: str, remedy: str
) -> None:
    shop.apply()
    with shop.server.sync() as client:
        append_entry(client, entry)
    for command in (("export",), ("audit",), ("agents", "list")):
        done = shop.witnd(*command)
        assert done.exit_code == 3, done.output
        assert f"entry 6 of the catalogue {reason}" in done.stderr
        assert remedy in done.stderr
