"""`witnd apply` and `witnd export` at a terminal."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Disconnected

from tests.support.server import Server
from witnd.cli.main import main

FILE = """
[[customers]]
key = "acme"
rate_card = "standard"

[[agents]]
key = "support"
condition = [{ fact = "replied", operator = "seen" }]

[[rate_cards]]
key = "standard"
currency = "EUR"
entries = [{ agent = "support", price_per_unit = "0.99" }]

[[notification_rules]]
name = "crm"
source = "both"
url = "https://example.com/hook"
"""

MORE = r"""
[[agents]]
key = "old"
name = 'a "b" \c'
archived = true
condition = []

[[agents]]
key = "new"
condition = [
    { op = "OR", conditions = [{ fact = "a", operator = "gte", value = 1e300 }] },
    { op = "AND", conditions = [] },
    { op = "NOT", condition = { fact = "\u0000\u007f", operator = "match", value = "\n" } },
]
"""

AGREED = """
[[customers]]
key = "globex"
rate_card = "standard"
archived = true
entries = [
    { agent = "support", kind = "volume", period_cap = "100", tiers = [
        { up_to = "100", price_per_unit = "1", flat_fee = "5" },
        { up_to = "1000", price_per_unit = "0.75" },
        { price_per_unit = "0.5" },
    ] },
    { agent = "new", kind = "percentage", percent = "2.5", minimum = "0.10" },
]

[[customers.agents]]
agent = "support"
settlement_period = 60

[[customers.agents]]
agent = "new"
condition = [{ op = "NOT", condition = { fact = "a", operator = "match", value = "x" } }]
"""


class Terminal:
    """Runs commands against the test's server, in a directory of their own."""

    def __init__(self, url: str, directory: Path) -> None:
        self.environ = {"WITND_REDIS__URL": url}
        self.directory = directory

    def witnd(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, arguments, env=self.environ)

    def apply(self, text: str | bytes, *options: str) -> Result:
        file = self.directory / "catalogue.toml"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return self.witnd("apply", str(file), *options)


@pytest.fixture
def terminal(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.chdir(tmp_path)
    return Terminal(redis_url, tmp_path)


def revision(server: Server) -> object:
    return server.call("LLEN", "witn:{shared}:catalogue")


def test_a_file_is_put_into_force_and_its_difference_shown(terminal: Terminal, session_server: Server) -> None:
    done = terminal.apply(FILE)
    assert done.exit_code == 0
    assert '+ customer "acme"' in done.stdout
    assert "    + condition[0]: replied seen" in done.stdout
    assert "4 changes written, in effect from the beginning, revision 4" in done.stdout
    assert revision(session_server) == 4


def test_applying_it_twice_says_nothing_to_do(terminal: Terminal, session_server: Server) -> None:
    terminal.apply(FILE)
    again = terminal.apply(FILE)
    assert again.exit_code == 0
    assert again.stdout.endswith("no changes\n")
    assert revision(session_server) == 4


def test_a_dry_run_shows_the_same_and_writes_nothing(terminal: Terminal, session_server: Server) -> None:
    dry = terminal.apply(FILE, "--dry-run").stdout.splitlines()
    assert dry[-1] == "dry run: 4 changes, nothing was written"
    assert not any("whsec_" in line for line in dry)
    assert revision(session_server) == 0
    assert terminal.apply(FILE).stdout.splitlines()[: len(dry) - 1] == dry[:-1]


def test_a_generated_secret_is_shown_once(terminal: Terminal) -> None:
    first = terminal.apply(FILE).stdout
    assert first.count("whsec_") == 1
    assert "secret of notification rule 'crm', shown once: whsec_" in first
    later = terminal.apply(FILE.replace("both", "outcome_missed"))
    assert "~ source" in later.stdout
    assert "whsec_" not in later.stdout
    kept = first[first.index("whsec_") :].strip()
    assert kept in terminal.witnd("export", "--secrets").stdout


def test_a_change_is_in_force_from_now_on(terminal: Terminal, session_server: Server) -> None:
    terminal.apply(FILE)
    session_server.call("XADD", "witn:{0}:events", "*", "data", "{}")
    done = terminal.apply(FILE.replace("0.99", "1.20"))
    assert '    ~ entries[support].price_per_unit: "0.99" → "1.2"' in done.stdout
    assert "1 change written, in effect from 20" in done.stdout


def test_a_change_can_be_scheduled(terminal: Terminal) -> None:
    terminal.apply(FILE)
    text = FILE.replace("0.99", "1.20")
    when = ("--effective-from", "2096-01-01T00:00:00Z")
    done = terminal.apply(text, *when)
    assert "in effect from 2096-01-01T00:00:00.000Z" in done.stdout
    assert terminal.apply(text, *when).stdout.endswith("no changes\n")
    assert terminal.apply(FILE).stdout.endswith("no changes\n")
    exported = terminal.witnd("export").stdout
    assert '"0.99"' in exported
    assert "2096-01-01T00:00:00.000Z" in exported


def test_an_instant_that_cannot_be_is_a_usage_error(terminal: Terminal, session_server: Server) -> None:
    assert terminal.apply(FILE, "--effective-from", "tomorrow").exit_code == 2
    session_server.call("XADD", "witn:{0}:events", "*", "data", "{}")
    refused = terminal.apply(FILE, "--effective-from", "2020-01-01T00:00:00Z")
    assert refused.exit_code == 2
    assert "the earliest instant is 20" in refused.stderr
    assert revision(session_server) == 0


def test_every_mistake_is_told_and_nothing_written(terminal: Terminal, session_server: Server) -> None:
    text = FILE.replace('"0.99"', "0.99").replace('"seen"', '"like"').replace('"standard"\n\n', '"x"\n\n')
    wrong = terminal.apply(text)
    assert wrong.exit_code == 2
    assert "agents[0].condition[0].operator" in wrong.stderr
    assert "rate_cards[0].entries[0].price_per_unit" in wrong.stderr
    assert "customers[0].rate_card" in wrong.stderr
    assert revision(session_server) == 0


@pytest.mark.parametrize("text", [b"\xff", b"[[customers", b"\x00"])
def test_a_file_that_is_no_toml_is_a_usage_error(terminal: Terminal, text: bytes) -> None:
    wrong = terminal.apply(text)
    assert wrong.exit_code == 2
    assert "the file is not" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_missing_file_is_a_usage_error(terminal: Terminal) -> None:
    assert terminal.witnd("apply", "nowhere.toml").exit_code == 2


def test_mistakes_are_told_even_where_redis_is_away(terminal: Terminal) -> None:
    terminal.environ["WITND_REDIS__URL"] = f"unix://{terminal.directory}/none.sock"
    assert terminal.apply(FILE).exit_code == 3
    wrong = terminal.apply(FILE.replace('"0.99"', "0.99"))
    assert wrong.exit_code == 2
    assert "price_per_unit" in wrong.stderr


def test_machines_get_json(terminal: Terminal) -> None:
    done = json.loads(terminal.apply(FILE, "--json").stdout)
    assert (done["applied"], done["revision"]) == (True, 4)
    assert done["effective_from"] == "1970-01-01T00:00:00.000Z"
    assert done["secrets"]["crm"].startswith("whsec_")
    assert [d["mark"] for d in done["differences"]] == ["+"] * 4
    again = json.loads(terminal.apply(FILE, "--json").stdout)
    assert (again["applied"], again["secrets"]) == (False, {})
    dry = json.loads(terminal.apply(FILE.replace("0.99", "1"), "--json", "--dry-run").stdout)
    [changed] = [d for d in dry["differences"] if d["mark"] == "~"]
    assert changed["fields"] == [{"path": "entries[support].price_per_unit", "before": '"0.99"', "after": '"1"'}]
    wrong = terminal.apply("[[agents]]", "--json")
    assert wrong.exit_code == 2
    assert {m["path"] for m in json.loads(wrong.stdout)["mistakes"]} == {
        "agents[0].key",
        "agents[0].condition",
    }


def test_an_export_is_applied_as_no_change(terminal: Terminal) -> None:
    assert terminal.apply(FILE + MORE + AGREED).exit_code == 0
    exported = terminal.witnd("export")
    assert exported.exit_code == 0
    assert "whsec_" not in exported.stdout
    assert "archived = true" in exported.stdout
    assert terminal.apply(exported.stdout).stdout.endswith("no changes\n")
    assert terminal.apply(terminal.witnd("export", "--secrets").stdout).stdout.endswith("no changes\n")


def test_an_export_is_written_as_people_would(terminal: Terminal) -> None:
    terminal.apply(FILE + MORE + AGREED)
    exported = terminal.witnd("export").stdout
    shown = exported[exported.index('key = "globex"') : exported.index("[[agents]]")]
    assert (
        shown
        == """key = "globex"
name = "globex"
rate_card = "standard"
archived = true
entries = [
    { agent = "new", kind = "percentage", percent = "2.5", minimum = "0.1" },
    { agent = "support", kind = "volume", tiers = [
        { up_to = "100", price_per_unit = "1", flat_fee = "5" },
        { up_to = "1000", price_per_unit = "0.75" },
        { price_per_unit = "0.5" },
    ], period_cap = "100" },
]

[[customers.agents]]
agent = "new"
condition = [
    { op = "NOT", condition = { fact = "a", operator = "match", value = "x" } },
]

[[customers.agents]]
agent = "support"
settlement_period = 60

"""
    )


def test_what_one_customer_agreed_is_shown_and_its_mistakes_told(terminal: Terminal, session_server: Server) -> None:
    wrong = terminal.apply(FILE + MORE + AGREED.replace('agent = "new"', 'agent = "knew"'))
    assert wrong.exit_code == 2
    assert 'customers[1].entries[1].agent: there is no agent "knew"; did you mean "new"?' in wrong.stderr
    assert 'customers[1].agents[1].agent: there is no agent "knew"; did you mean "new"?' in wrong.stderr
    cardless = terminal.apply(FILE + MORE + AGREED.replace('rate_card = "standard"\n', ""))
    assert cardless.exit_code == 2
    assert "customers[1].rate_card: is missing; name the card" in cardless.stderr
    assert revision(session_server) == 0
    terminal.apply(FILE + MORE + AGREED)
    changed = terminal.apply(FILE + MORE + AGREED.replace('"0.75"', '"0.7"'))
    assert '    ~ entries[support].tiers[1].price_per_unit: "0.75" → "0.7"' in changed.stdout


def test_an_export_has_the_sections_in_their_order(terminal: Terminal) -> None:
    terminal.apply(FILE)
    text = terminal.witnd("export").stdout
    places = [text.index(name) for name in ("acme", "replied", "EUR", "crm")]
    assert places == sorted(places)


def test_names_cannot_steer_the_terminal(terminal: Terminal) -> None:
    text = '[[customers]]\nkey = "a\\u001b[2J\\u009b"\nname = "\\u202e"\n'
    done = terminal.apply(text)
    assert done.exit_code == 0
    assert not {"\x1b", "\x9b", "\u202e"} & set(done.stdout)


def test_a_lost_reply_is_told_as_unknown_and_applying_again_is_safe(
    terminal: Terminal, session_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Redis.eval

    async def lose_the_reply(client: Redis, *arguments: Any) -> None:
        await run(client, *arguments)
        raise Disconnected("lost")

    session_server.call("SCRIPT", "FLUSH")
    with monkeypatch.context() as broken:
        broken.setattr(Redis, "eval", lose_the_reply)
        unknown = terminal.apply(FILE)
    assert unknown.exit_code == 3
    assert "apply it again" in unknown.stderr
    assert revision(session_server) == 4
    assert terminal.apply(FILE).stdout.endswith("no changes\n")


OWN = FILE.replace(
    'rate_card = "standard"', 'rate_card = "standard"\nentries = [{ agent = "support", price_per_unit = "1500" }]', 1
).replace('"EUR"', '"JPY"')


def test_own_prices_are_not_billed_in_another_currency_unless_they_are_written_again(
    terminal: Terminal, session_server: Server
) -> None:
    assert terminal.apply(OWN).exit_code == 0
    before = revision(session_server)
    card = OWN[OWN.index("[[rate_cards]]") : OWN.index("[[notification_rules]]")].replace("JPY", "EUR")
    for text, path in ((card, "rate_cards[0].currency"), (OWN.replace("JPY", "EUR"), "customers[0].entries")):
        refused = terminal.apply(text)
        assert refused.exit_code == 2
        assert f"  {path}: " in refused.stderr
        assert "write these prices in EUR in the same change" in refused.stderr
        assert revision(session_server) == before
    assert terminal.apply(OWN.replace("JPY", "EUR").replace('"1500"', '"15"')).exit_code == 0
    assert revision(session_server) == before + 2


def test_a_price_whose_unit_rounds_to_nothing_is_applied_with_a_warning(terminal: Terminal) -> None:
    text = FILE.replace('"0.99"', '"0.0049"')
    done = terminal.apply(text)
    assert done.exit_code == 0
    assert done.stderr.startswith('witnd: warning: rate_cards[0].entries: agent "support": an outcome of 1 unit costs')
    [warning] = json.loads(terminal.apply(text, "--json").stdout)["warnings"]
    assert warning["path"] == "rate_cards[0].entries"
    assert terminal.apply(FILE).stderr == ""


def test_a_file_may_begin_with_a_byte_order_mark(terminal: Terminal) -> None:
    assert terminal.apply(b"\xef\xbb\xbf" + FILE.encode()).exit_code == 0
    assert terminal.witnd("check", str(terminal.directory / "catalogue.toml")).exit_code == 0


def test_mistakes_and_unknown_references_are_shown_in_one_round(terminal: Terminal) -> None:
    text = FILE.replace('"EUR"', '"EURO"').replace('agent = "support", price', 'agent = "suport", price')
    refused = terminal.apply(text)
    assert "  rate_cards[0].currency: " in refused.stderr
    assert "  rate_cards[0].entries[0].agent: " in refused.stderr
    checked = terminal.witnd("check", str(terminal.directory / "catalogue.toml"))
    assert checked.exit_code == 2
    assert "rate_cards[0].currency" in checked.stderr
    assert 'note: rate_cards[0].entries[0].agent: there is no agent "suport"; did you mean "support"?' in checked.stderr
