"""The seller, taxes and billing data at a terminal: a file with them, `logo_file`, lists and versions."""

import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from tests.support.companies import BILLING, LOGO, SELLER, TAX, png
from tests.support.deployment import CATALOGUE, Deployment

FILE = tomli_w.dumps(
    {"seller": SELLER, "taxes": [{"key": "vat"} | TAX], "customers": [{"key": "acme", "billing": BILLING}]}
)


@pytest.fixture
def applied(deployment: Deployment) -> Deployment:
    deployment.apply()
    deployment.apply(FILE)
    return deployment


def test_an_export_is_applied_as_no_change(applied: Deployment) -> None:
    exported = applied.witnd("export").stdout
    assert "[seller]\nname = " in exported
    assert f'logo = "{LOGO}"' in exported
    assert "\n[customers.billing]\nlegal_name = " in exported
    file = applied.directory / "again.toml"
    file.write_text(exported)
    assert applied.witnd("apply", str(file)).stdout.endswith("no changes\n")


def test_the_seller_is_shown_without_its_logo(applied: Deployment) -> None:
    shown = applied.witnd("seller").stdout
    assert shown.startswith("seller: 1 version\n")
    assert "    + iban: " in shown
    assert "    + logo: (PNG, 1 KB, fingerprint " in shown
    [version] = applied.json("seller")["versions"]
    assert version["logo"].startswith("PNG, 1 KB, fingerprint ")
    assert {name: version[name] for name in SELLER if name != "logo"} == {
        k: v for k, v in SELLER.items() if k != "logo"
    }
    assert LOGO not in json.dumps(applied.json("seller"))
    assert LOGO not in applied.witnd("seller", "--version", "1").stdout


def test_without_a_seller_the_command_says_so(deployment: Deployment) -> None:
    deployment.apply()
    done = deployment.witnd("seller")
    assert done.exit_code == 2
    assert "there is no seller yet; create it first" in done.stderr


def test_taxes_are_listed_and_compared(applied: Deployment) -> None:
    assert "19 %" in applied.witnd("taxes").stdout
    [tax] = applied.json("taxes")["data"]
    assert (tax["key"], tax["rate"], tax["category"], tax["note"]) == ("vat", "19", "S", "Umsatzsteuer")
    applied.apply(FILE.replace('rate = "19"', 'rate = "16"'))
    assert '    ~ rate: "19" → "16"' in applied.witnd("taxes", "vat", "--compare", "1", "2").stdout


def test_customers_have_their_billing_data(applied: Deployment) -> None:
    [acme] = [one for one in applied.json("customers")["data"] if one["key"] == "acme"]
    assert acme["billing"] == BILLING
    assert '    billing.tax_id: "FR40303265045"' in applied.witnd("customers", "acme", "--version", "2").stdout


def apply(deployment: Deployment, seller: dict[str, Any], *options: str) -> tuple[int, str, str]:
    file = deployment.directory / "catalogue.toml"
    file.write_text(tomli_w.dumps({"seller": seller}))
    done = deployment.witnd("apply", str(file), *options)
    return done.exit_code, done.stdout, done.stderr


def test_a_logo_can_be_a_file_beside_the_catalogue(deployment: Deployment) -> None:
    (deployment.directory / "images").mkdir()
    (deployment.directory / "images" / "logo.png").write_bytes(png())
    code, shown, _ = apply(deployment, {"name": "Kontor", "logo_file": "images/logo.png"})
    assert code == 0
    assert "logo: (PNG, 1 KB" in shown
    assert apply(deployment, {"name": "Kontor", "logo": LOGO})[1].endswith("no changes\n")
    file = deployment.directory / "catalogue.toml"
    file.write_text(tomli_w.dumps({"seller": {"name": "Kontor", "logo_file": "images/logo.png"}}))
    assert deployment.witnd("check", str(file)).stdout == f"ok: {file} is a catalogue of 1 items\n"


@pytest.mark.parametrize(
    ("seller", "mistake"),
    [
        ({"logo_file": "none.png"}, 'seller.logo_file: "none.png" cannot be read (No such file or directory)'),
        ({"logo_file": "."}, 'seller.logo_file: "." cannot be read (Is a directory)'),
        ({"logo_file": 1}, "seller.logo_file: must be text, got 1"),
        ({"logo_file": "logo.gif"}, "seller.logo: is not a PNG image"),
        ({"logo_file": "large.png"}, "seller.logo: has 201 KB; use an image of at most 200 KB"),
        ({"logo_file": "logo.gif", "logo": LOGO}, "seller.logo_file: cannot be combined with logo"),
    ],
)
def test_mistakes_of_a_logo_file_are_told_with_all_others(
    deployment: Deployment, seller: dict[str, Any], mistake: str
) -> None:
    (deployment.directory / "logo.gif").write_bytes(b"GIF89a")
    (deployment.directory / "large.png").write_bytes(png(padding=300_000))
    code, _, wrong = apply(deployment, {"country": "ZZ"} | seller)
    assert code == 2
    assert mistake in wrong
    assert "seller.name: is missing" in wrong
    assert 'seller.country: "ZZ" is not a country' in wrong
    checked = deployment.witnd("check", str(deployment.directory / "catalogue.toml"))
    assert checked.exit_code == 2
    assert mistake in checked.stderr
    assert "seller.name: is missing" in checked.stderr


def test_a_rate_is_calculated_from_a_file_with_a_logo_file(deployment: Deployment, tmp_path: Path) -> None:
    (deployment.directory / "logo.png").write_bytes(png())
    file = deployment.directory / "catalogue.toml"
    file.write_text(CATALOGUE + '[seller]\nname = "Kontor"\nlogo_file = "logo.png"\n')
    assert deployment.witnd("rate", "standard", "support", "2", "--file", str(file)).exit_code == 0
