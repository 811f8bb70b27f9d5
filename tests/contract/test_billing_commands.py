"""What commands of billing say to wrong input, with the documented exit code, and that nothing is done."""

import pytest

from tests.contract.ledger import ANYBODY, Ledger

CARD = """
[[agents]]
key = "a"
condition = []

[[rate_cards]]
key = "card"
currency = "{currency}"
entries = [{entries}]
"""
EQUAL = """{ agent = "a", kind = "volume", tiers = [
    { up_to = "100", price_per_unit = "1" }, { up_to = "100", price_per_unit = "1" }, { price_per_unit = "1" },
] }"""


@pytest.mark.parametrize(
    ("currency", "entries", "said"),
    [
        ("EUR", '{ agent = "a", price_per_unit = 0.99 }', "rate_cards[0].entries[0].price_per_unit"),
        ("EUR", '{ agent = "a", price_per_unit = "-1" }', "must not be negative"),
        ("EUR", '{ agent = "a", price_per_unit = "1e3" }', "plain decimal number"),
        ("EUR", '{ agent = "a", price_per_unit = "٣" }', "plain decimal number"),
        ("EUR", '{ agent = "a", price_per_unit = "0.0000000000001" }', "more than 12 digits"),
        ("EUR", '{ agent = "a", price_per_unit = "1000000000000000000" }', "more than 18 digits"),
        ("EUR", '{ agent = "a" }', "entries[0].price_per_unit"),
        ("EUR", '{ agent = "a", price_per_unit = "1", percent = "2" }', "entries[0].percent"),
        ("EUR", '{ agent = "a", kind = "tiered", price_per_unit = "1" }', "entries[0].kind"),
        ("EUR", '{ agent = "a", price_per_unit = "1" }, { agent = "a", price_per_unit = "1" }', "entries[1].agent"),
        ("EUR", '{ agent = "a", price_per_unit = "1", period_minimum = "2", period_cap = "1.99" }', "period_cap"),
        ("EUR", '{ agent = "a", kind = "percentage", percent = "1", minimum = "2", maximum = "1" }', "maximum"),
        ("EUR", '{ agent = "a", kind = "package", package_size = "0", price_per_package = "1" }', "package_size"),
        ("EUR", '{ agent = "a", kind = "graduated", tiers = [] }', "tiers"),
        ("EUR", EQUAL, "rate_cards[0].entries[0].tiers[1].up_to: must be greater than 100"),
        (
            "EUR",
            '{ agent = "a", kind = "volume", tiers = [{ up_to = "100", price_per_unit = "1" }] }',
            "entries[0].tiers[0].up_to",
        ),
        ("eur", '{ agent = "a", price_per_unit = "1" }', '"EUR"'),
        ("XAU", '{ agent = "a", price_per_unit = "1" }', "no minor unit"),
        ("978", '{ agent = "a", price_per_unit = "1" }', "currency"),
        ("EURO", '{ agent = "a", price_per_unit = "1" }', "currency"),
    ],
)
def test_a_price_that_cannot_be_is_refused_with_its_path(
    ledger: Ledger, currency: str, entries: str, said: str
) -> None:
    file = ledger.directory / "wrong.toml"
    file.write_text(CARD.replace("{currency}", currency).replace("{entries}", entries))
    for command in ("apply", "check"):
        assert said in ledger.refused(command, str(file))
    assert "card" not in ledger.witnd("export").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("invoices show INV-000009", "no such invoice"),
        ("invoices show 12345", "no such invoice"),
        ("invoices issue", "--all-closed"),
        ("invoices issue --all-closed {id}", "--all-closed"),
        ("invoices issue {id}0", "no such invoice"),
        ("invoices pay {id}", "not issued"),
        ("invoices void {id} --reason r --yes", "not issued"),
        ("invoices void {id} --reason r", "--yes"),
        ("invoices void {id}", "--reason"),
        ("invoices list --status closed", "--status"),
        ("invoices list --period 2026-13", "--period"),
        ("invoices list --period yesterday", "--period"),
        ("invoices list --limit 0", "--limit"),
        ("invoices list --after nothing", "--after"),
        ("invoices credit outcome-1", "--reason"),
        ("invoices credit --reason r", "OUTCOME_KEY"),
        ("invoices credit --reason r --invoice {id}", "--row"),
        ("invoices credit --reason r --row abcdef", "--row"),
        ("invoices credit outcome-9 --reason r", "no such outcome"),
        ("invoices credit outcome-missed --reason r", "only confirmed"),
        ("invoices credit outcome-1 --reason r --amount 0", "greater than 0"),
        ("invoices credit outcome-1 --reason r --amount 0.001", "digits"),
        ("invoices credit outcome-1 --reason r --amount -1", "negative"),
        ("invoices credit outcome-1 --reason r --amount 1,50", "plain decimal"),
        ("invoices credit outcome-1 --reason r --amount 10.01", "10.00 EUR"),
        ("invoices credit --reason r --invoice {id} --row 000", "no line"),
        ("rate standard support 0", "COUNT"),
        ("rate standard support 100001", "100000"),
        ("rate standard support many", "COUNT"),
        ("rate standard support --units 1,-2", "negative"),
        ("rate standard support --units ,", "plain decimal"),
        ("rate standard suport 1", "did you mean"),
        ("rate standart support 1", "did you mean"),
        ("rate support 1", "CARD"),
        ("rate support 1 --customer nobody", "no such customer"),
        ("rate standard support 1 --at yesterday", "--at"),
        ("audit --partition 7", "7"),
    ],
)
def test_wrong_words_are_refused_and_change_nothing(draft: Ledger, arguments: str, said: str) -> None:
    [before] = draft.invoices()
    assert said in draft.refused(*arguments.format(id=before["id"]).split())
    assert draft.invoices() == [before]


@pytest.fixture
def draft(ledger: Ledger) -> Ledger:
    ledger.apply(ANYBODY)
    ledger.confirm("outcome-1", "2001-09-10T12:00:00Z", 10)
    ledger.confirm("outcome-missed", "2001-09-10T12:00:00Z", action="something else")
    ledger.close()
    return ledger


@pytest.mark.parametrize("reason", ["", "   ", "two\nlines", "\x1b[31mred", "x" * 501])
def test_a_reason_must_be_fit_to_be_read(draft: Ledger, reason: str) -> None:
    assert "the reason" in draft.refused("invoices", "credit", "outcome-1", "--reason", reason)
    id_ = draft.invoice()["id"]
    draft.done("issue", id_)
    assert "the reason" in draft.refused("invoices", "void", id_, "--yes", "--reason", reason)
    assert draft.invoice()["status"] == "issued"


def test_what_must_not_be_done_is_refused_in_every_state(draft: Ledger) -> None:
    id_ = draft.invoice()["id"]
    draft.done("issue", id_)
    draft.done("credit", "outcome-1", "--amount", "1", "--reason", "r")
    assert "credit notes" in draft.refused("invoices", "void", id_, "--yes", "--reason", "r")
    assert "9.00 EUR" in draft.refused("invoices", "credit", "outcome-1", "--amount", "9.01", "--reason", "r")
    draft.done("pay", id_)
    assert "paid" in draft.refused("invoices", "void", id_, "--yes", "--reason", "r")
    assert "paid" in draft.refused("invoices", "issue", id_)
    assert "credit note" in draft.refused("invoices", "pay", "CN-000001")
    assert "2.00 EUR" in draft.refused_after_first(
        "invoices", "credit", "outcome-1", "--reason", "r", "--id", "refund-1", first="2", then="3"
    )
    draft.audited()


def test_of_a_void_invoice_nothing_is_done(draft: Ledger) -> None:
    id_ = draft.invoice()["id"]
    draft.done("issue", id_)
    draft.done("void", id_, "--yes", "--reason", "r")
    for arguments in (("issue", id_), ("pay", id_), ("credit", "outcome-1", "--reason", "r")):
        assert "void" in draft.refused("invoices", *arguments)
    # Its outcomes are not billed again, whatever runs.
    [one] = draft.close()
    assert (one["status"], one["number"]) == ("void", "INV-000001")
    draft.audited()


def test_a_program_learns_of_each_refusal_in_json(draft: Ledger) -> None:
    id_ = draft.invoice()["id"]
    acted = draft.json("invoices", "issue", "nothing", id_, id_, exit_code=2)["data"]
    assert [one["result"] for one in acted] == ["refused", "done", "unchanged"]
    assert (acted[0]["invoice"], acted[0]["argument"]) == (None, "nothing")
    assert all(acted[0][name] for name in ("problem", "remedy"))
    acted = draft.json("invoices", "void", id_, "--yes", "--reason", "", exit_code=2)
    assert (acted["result"], acted["invoice"]["status"]) == ("refused", "issued")


@pytest.mark.parametrize("arguments", ["invoices", "invoices issue --all-closed", "rate standard support 1", "audit"])
def test_a_redis_that_is_not_there_is_named(draft: Ledger, arguments: str) -> None:
    draft.environ["WITND_REDIS__URL"] = f"unix://{draft.directory}/none.sock"
    result = draft.witnd(*arguments.split())
    assert result.exit_code == 3
    assert "none.sock" in result.output


@pytest.mark.parametrize("arguments", ["invoices", "invoices issue --all-closed", "audit"])
def test_another_number_of_partitions_is_refused(draft: Ledger, arguments: str) -> None:
    draft.environ["WITND_REDIS__PARTITIONS"] = "2"
    assert "redis.partitions" in draft.refused(*arguments.split())
