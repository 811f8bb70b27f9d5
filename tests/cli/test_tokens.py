"""`witnd tokens` at a terminal, with no daemon ever started."""

import re

import pytest

from tests.support.deployment import Deployment

TEXT = re.compile(r"wn_[0-9a-f]{12}_[A-Za-z0-9_-]{43}\n")


def test_the_first_token_is_made_before_any_daemon_ran_and_printed_alone(deployment: Deployment) -> None:
    done = deployment.witnd("tokens", "create", "ops", "--scope", "admin")
    assert done.exit_code == 0, done.output
    assert TEXT.fullmatch(done.stdout)
    id_ = done.stdout.split("_")[1]
    assert id_ in done.stderr
    assert done.stdout.strip().split("_", 2)[2] not in done.stderr
    [token] = deployment.json("tokens")["data"]
    assert (token["id"], token["name"], token["scopes"], token["rate"]) == (id_, "ops", ["admin"], None)
    assert token["last_used_at"] is None


def test_as_json_it_has_its_text(deployment: Deployment) -> None:
    made = deployment.json("tokens", "create", "shop", "--scope", "ingest", "--scope", "read", "--rate", "200")
    assert TEXT.fullmatch(made.pop("token") + "\n")
    assert (made["scopes"], made["rate"]) == (["ingest", "read"], 200)
    assert deployment.json("tokens", "list")["data"] == [made]


def test_they_are_a_table_without_secrets(deployment: Deployment) -> None:
    text = deployment.witnd("tokens", "create", "shop", "--scope", "ingest", "--rate", "0.5").stdout.strip()
    table = deployment.witnd("tokens").stdout
    assert "shop" in table
    assert "0.5/s" in table
    assert "never" in table
    assert text.split("_", 2)[2] not in table


@pytest.mark.parametrize("whole", [False, True])
def test_a_revoked_one_is_hidden_and_kept(deployment: Deployment, whole: bool) -> None:
    text = deployment.witnd("tokens", "create", "shop", "--scope", "read").stdout.strip()
    id_ = text.split("_")[1]
    done = deployment.witnd("tokens", "revoke", text if whole else id_)
    assert (done.exit_code, done.stdout) == (0, f"{id_} (shop) is revoked\n")
    assert deployment.json("tokens")["data"] == []
    [gone] = deployment.json("tokens", "--all")["data"]
    assert gone["revoked_at"] is not None
    assert deployment.json("tokens", "revoke", id_) == gone
    assert deployment.witnd("tokens", "revoke", id_).stdout == f"{id_} (shop) is revoked already\n"


def test_a_damaged_one_is_listed_and_removed_by_the_command_that_is_named(deployment: Deployment) -> None:
    deployment.witnd("tokens", "create", "one", "--scope", "read")
    deployment.call("HSET", "witn:{shared}:tokens", "0123456789ab", "xxxx")
    deployment.call("HSET", "witn:{shared}:tokens:used", "0123456789ab", "yyyy")
    listed = deployment.witnd("tokens")
    assert "0123456789ab  unreadable" in listed.stdout
    assert "witnd tokens revoke 0123456789ab" in listed.stderr
    [unreadable] = deployment.json("tokens")["unreadable"]
    assert unreadable["id"] == "0123456789ab"
    [remedy] = [one["remedy"] for one in deployment.json("doctor")["checks"] if "0123456789ab" in one["found"]]
    assert "witnd tokens revoke" in remedy
    done = deployment.witnd("tokens", "revoke", "0123456789ab")
    assert (done.exit_code, done.stdout) == (0, "removed unreadable token 0123456789ab\n")
    assert deployment.json("tokens")["unreadable"] == []
    assert (
        b'"token.revoke"'
        in deployment.call("XREVRANGE", "witn:{shared}:changes", "+", "-", "COUNT", "1")[0][1][b"data"]
    )
    assert "no such token" in deployment.witnd("tokens", "revoke", "0123456789ab").stderr


def test_a_field_that_no_token_can_have_is_removed_too(deployment: Deployment) -> None:
    deployment.call("HSET", "witn:{shared}:tokens", b"a\xff b", "xxxx")
    [unreadable] = deployment.json("tokens")["unreadable"]
    assert deployment.witnd("tokens", "revoke", unreadable["id"]).exit_code == 0
    assert deployment.json("tokens")["unreadable"] == []


def test_both_are_in_the_log_of_changes(deployment: Deployment) -> None:
    made = deployment.json("tokens", "create", "shop", "--scope", "read")
    deployment.json("tokens", "revoke", made["id"])
    entries = [fields[b"data"] for _, fields in deployment.call("XRANGE", "witn:{shared}:changes", "-", "+")]
    assert [b'"token.create"' in entries[0], b'"token.revoke"' in entries[1]] == [True, True]
    assert not any(made["token"].split("_", 2)[2].encode() in entry for entry in entries)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("create", "shop"), "--scope"),
        (("create", "shop", "--scope", "root"), "root"),
        (("create", "", "--scope", "read"), "name"),
        (("create", "shop", "--scope", "read", "--scope", "read"), "scopes[1]"),
        (("create", "shop", "--scope", "read", "--rate", "0"), "rate"),
        (("create", "shop", "--scope", "read", "--rate", "nan"), "rate"),
        (("revoke", "0123456789ab"), "0123456789ab"),
        (("revoke",), "ID"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(
    deployment: Deployment, arguments: tuple[str, ...], word: str
) -> None:
    done = deployment.witnd("tokens", *arguments)
    assert done.exit_code == 2
    assert word in done.stderr
    assert deployment.call("EXISTS", "witn:{shared}:tokens") == 0


def test_a_whole_token_that_is_not_known_is_not_repeated(deployment: Deployment) -> None:
    done = deployment.witnd("tokens", "revoke", "wn_0123456789ab_verysecret")
    assert (done.exit_code, "verysecret" in done.output) == (2, False)
