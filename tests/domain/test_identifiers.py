"""Countries, tax ids, IBANs and BICs: which are valid, in which form they are stored, and what the errors say."""

import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iso3166 import countries_by_alpha2

from witnd.domain.values.identifiers import Invalid, compact_bic, compact_iban, compact_tax_id, country_problem

ANY_COUNTRY = st.sampled_from([None, *countries_by_alpha2])


@pytest.mark.parametrize(
    ("text", "country", "stored"),
    [
        ("DE 136,695 976", "DE", "DE136695976"),
        ("de136695976", None, "DE136695976"),
        ("136695976", "DE", "DE136695976"),
        ("FR40303265045", "DE", "FR40303265045"),
        ("GR 094259216", "GR", "EL094259216"),
        ("094259216", "GR", "EL094259216"),
        ("ATU13585627", "US", "ATU13585627"),
        ("GB 980 7806 84", "GB", "GB980780684"),
        ("980780684", "GB", "980780684"),
        ("XI980780684", "GB", "XI980780684"),
        ("CHE-107.787.577 IVA", "CH", "CHE107787577IVA"),
        ("12-3456789", "US", "123456789"),
        ("27AAPFU0939F1ZV", "IN", "27AAPFU0939F1ZV"),
        ("EU372022452", None, "EU372022452"),
        ("Any  12/b", "AQ", "Any 12/b"),
        ("12 34", None, "12 34"),
        # A Mexican id can begin with the letters of a member state.
        ("DEMO010101ABC", "AQ", "DEMO010101ABC"),
    ],
)
def test_a_tax_id_is_stored_without_separators(text: str, country: str | None, stored: str) -> None:
    assert compact_tax_id(text, country) == stored
    assert compact_tax_id(stored, country) == stored


@pytest.mark.parametrize(
    ("text", "country", "problem"),
    [
        ("DE136695977", "DE", "is not an EU VAT number; its check digits do not match: look for a typo"),
        ("DE12", "DE", "is not an EU VAT number; it has too few or too many characters"),
        ("DE12", None, "is not an EU VAT number; it has too few or too many characters"),
        ("ATX3585627", "AT", "is not an EU VAT number; check its prefix, letters and digits"),
        ("é36695976", "DE", "is not an EU VAT number; write only ASCII letters and digits"),
        ("12-34567", "US", "is not a tax id of US; check its length and digits"),
        ("DE12", "US", "is not a tax id of US; check its length and digits"),
    ],
)
def test_a_malformed_tax_id_is_refused(text: str, country: str | None, problem: str) -> None:
    with pytest.raises(Invalid) as refused:
        compact_tax_id(text, country)
    assert str(refused.value) == f'"{text}" {problem}'


@given(text=st.text(max_size=20), country=ANY_COUNTRY)
def test_any_text_is_either_stored_or_refused(text: str, country: str | None) -> None:
    with suppress(Invalid):
        stored = compact_tax_id(text, country)
        assert compact_tax_id(stored, country) == stored
    for compact in (compact_iban, compact_bic):
        with suppress(Invalid):
            assert compact(compact(text)) == compact(text)


@given(digits=st.text("0123456789", min_size=6, max_size=12), country=ANY_COUNTRY)
def test_what_is_stored_is_valid_again(digits: str, country: str | None) -> None:
    with suppress(Invalid):
        stored = compact_tax_id(digits, country)
        assert compact_tax_id(stored, country) == stored


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("de", 'did you mean "DE"?'),
        ("Germany", 'did you mean "DE"?'),
        ("germny", 'did you mean "DE"?'),
        ("DEU", 'did you mean "DE"?'),
        ("UK", 'did you mean "GB"?'),
        ("EL", 'did you mean "GR"?'),
        ("ZZ", 'write an ISO 3166-1 code such as "DE"'),
        ("", 'write an ISO 3166-1 code such as "DE"'),
    ],
)
def test_an_unknown_country_is_refused_with_a_suggestion(code: str, problem: str) -> None:
    assert country_problem(code) == f'"{code}" is not a country; {problem}'


def test_countries_are_those_of_iso_3166_and_kosovo() -> None:
    assert [country_problem(code) for code in ("DE", "US", "XK")] == [None] * 3
    assert len(countries_by_alpha2) == 250


def test_an_iban_and_a_bic_are_stored_without_spaces() -> None:
    assert compact_iban("de89 3704 0044 0532 0130 00") == "DE89370400440532013000"
    assert compact_bic("cobadeff xxx") == "COBADEFFXXX"


def test_a_malformed_iban_or_bic_is_refused() -> None:
    with pytest.raises(Invalid, match=r'^"DE88370400440532013000" is not an IBAN; its check digits do not match'):
        compact_iban("DE88370400440532013000")
    with pytest.raises(Invalid, match=r'^"COBADEFF1" is not a BIC; it has too few or too many characters'):
        compact_bic("COBADEFF1")
    with pytest.raises(Invalid, match=r'^"COBAXXFF" is not a BIC; check its prefix'):
        compact_bic("COBAXXFF")


def test_the_daemon_starts_without_the_libraries() -> None:
    code = (
        "import sys, witnd.daemon.assembly, witnd.cli.start.run;"
        "print([name for name in ('stdnum', 'iso3166') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
