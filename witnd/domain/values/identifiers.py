"""Check identifiers of companies offline: countries (ISO 3166-1), tax ids, IBANs and BICs.

Only code that writes the catalogue calls this; stored values are not checked again. The libraries are imported when
they are needed, because the daemon starts without them.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, Final
from unicodedata import normalize

from witnd.domain.values.fields import short_repr

# No country has longer ones.
MAX_TAX_ID_LENGTH: Final = 50
# What people write instead of an ISO 3166-1 code.
_OTHER_CODES: Final = {"EL": "GR", "UK": "GB", "XI": "GB"}
# Members of the module for EU VAT numbers that are not countries: Northern Ireland.
_NOT_COUNTRIES: Final = frozenset(("XI",))
# EU prefixes that are not ISO 3166-1 codes: Greece, and the one-stop shop.
_MORE_PREFIXES: Final = frozenset(("EL", "EU"))


# The EU, with the prefix of Northern Ireland. Kept here, because documents are written without the libraries.
_VAT_PREFIXES: Final = frozenset(
    ("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "EL", "ES", "FI", "FR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
     "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK", "XI")
)  # fmt: skip


class Invalid(Exception):  # noqa: N818 - an expected result
    """The identifier is invalid. The message continues `field: `."""


def country_problem(code: str) -> str | None:
    """Return why this is not an ISO 3166-1 alpha-2 code, or None."""
    from iso3166 import countries_by_alpha2, countries_by_alpha3, countries_by_name  # noqa: PLC0415 - see above

    if code in countries_by_alpha2:
        return None
    upper = code.upper()
    near = upper if upper in countries_by_alpha2 else _OTHER_CODES.get(upper)
    if near is None and upper in countries_by_alpha3:
        near = countries_by_alpha3[upper].alpha2
    if near is None:
        # `get_close_matches` compares with all 250 names, which takes a millisecond.
        names = get_close_matches(upper[:MAX_TAX_ID_LENGTH], countries_by_name, n=1, cutoff=0.8)
        near = countries_by_name[names[0]].alpha2 if names else None
    hint = 'write an ISO 3166-1 code such as "DE"' if near is None else f'did you mean "{near}"?'
    return f"{short_repr(code)} is not a country; {hint}"


@cache
def country_names() -> Mapping[str, str]:
    """Return the name of each country by its code, in order of the names."""
    from iso3166 import countries  # noqa: PLC0415 - see above

    found = [(one.apolitical_name, one.alpha2) for one in countries]
    return {code: name for name, code in sorted(found, key=lambda one: normalize("NFKD", one[0]))}


def has_vat_prefix(tax_id: str) -> bool:
    """Return whether a stored tax id is a VAT number with the prefix of a country of the EU."""
    return tax_id[:2] in _VAT_PREFIXES


def has_country_prefix(tax_id: str) -> bool:
    """Return whether a stored tax id starts with a country, as EN 16931 requires of VAT numbers (BR-CO-9)."""
    from iso3166 import countries_by_alpha2  # noqa: PLC0415 - see above

    return tax_id[:2] in countries_by_alpha2 or has_vat_prefix(tax_id)


def compact_tax_id(text: str, country: str | None) -> str:
    """Return the tax id in the form in which it is stored: upper case, without separators.

    In the EU, it is the VAT number with its prefix. Otherwise, the rules of the country apply if they are known, or
    those of the EU if the id has an EU prefix. Raises Invalid.
    """
    from stdnum.util import clean  # noqa: PLC0415 - see above

    cleaned = clean(text, " -./,").strip().upper()
    if country in _eu_countries():
        prefix = "EL" if country == "GR" else country
        return _eu_tax_id(text, cleaned if cleaned[:2] in _eu_prefixes() else f"{prefix}{cleaned}")
    own = None if country is None else _national_tax_id(cleaned, country)
    if own is not None:
        return own
    if cleaned[:2] in _eu_prefixes() and (country is None or _can_be_eu(cleaned)):
        return _eu_tax_id(text, cleaned)
    if country is not None and _modules(country):
        raise Invalid(f"{short_repr(text)} is not a tax id of {country}; check its length and digits")
    return " ".join(text.split())


def compact_iban(text: str) -> str:
    """Return the IBAN without spaces. Raises Invalid."""
    from stdnum import iban  # noqa: PLC0415 - see above

    return _checked(iban, text, text, "an IBAN")


def compact_bic(text: str) -> str:
    """Return the BIC in upper case. Raises Invalid."""
    from stdnum import bic  # noqa: PLC0415 - see above

    return _checked(bic, text, text, "a BIC")


def _eu_prefixes() -> frozenset[str]:
    from stdnum.eu.vat import MEMBER_STATES  # noqa: PLC0415 - see above

    return frozenset(code.upper() for code in MEMBER_STATES) | _MORE_PREFIXES


def _eu_countries() -> frozenset[str]:
    return _eu_prefixes() - _MORE_PREFIXES - _NOT_COUNTRIES


def _eu_tax_id(text: str, number: str) -> str:
    from stdnum.eu import vat  # noqa: PLC0415 - see above

    found = _checked(vat, text, number, "an EU VAT number")
    return f"EL{found[2:]}" if found.startswith("GR") else found


def _can_be_eu(cleaned: str) -> bool:
    from stdnum.eu import vat  # noqa: PLC0415 - see above

    return vat.is_valid(cleaned)


def _modules(country: str) -> list[Any]:
    """Return the modules for tax ids of a country, the one for VAT first."""
    from stdnum import get_cc_module  # noqa: PLC0415 - see above

    return [module for name in ("vat", "tin") if (module := get_cc_module(country, name)) is not None]


def _national_tax_id(cleaned: str, country: str) -> str | None:
    """Return the tax id by the rules of the country, or None if they are unknown or it breaks them. A prefix is kept:
    GB or XI."""
    for module in _modules(country) if cleaned.isascii() else ():
        if module.is_valid(cleaned):
            found = str(module.validate(cleaned))
            prefix = cleaned[:2]
            return prefix + found if prefix.isalpha() and cleaned.endswith(found) and found != cleaned else found
    return None


def _checked(module: Any, text: str, number: str, what: str) -> str:
    """Return the number as its module writes it. `text`: as the user wrote it."""
    from stdnum.exceptions import InvalidChecksum, InvalidLength, ValidationError  # noqa: PLC0415 - see above

    problem = f"{short_repr(text)} is not {what}"
    if not number.isascii():
        raise Invalid(f"{problem}; write only ASCII letters and digits")
    try:
        return str(module.validate(number))
    except InvalidChecksum:
        raise Invalid(f"{problem}; its check digits do not match: look for a typo") from None
    except InvalidLength:
        raise Invalid(f"{problem}; it has too few or too many characters") from None
    except ValidationError:
        raise Invalid(f"{problem}; check its prefix, letters and digits") from None
