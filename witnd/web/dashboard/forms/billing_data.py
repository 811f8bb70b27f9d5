"""Fields of the seller, of buyers and of taxes in forms: as they were typed, and as the API takes them."""

from collections.abc import Mapping
from typing import Any, Final

from witnd.app.errors import Refused
from witnd.domain.catalogue import buyer, seller
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.values.identifiers import country_names
from witnd.web.dashboard.forms.errors import error_values

#: Fields of a form with the same names as those of the API.
BUYER_FIELDS: Final = buyer.FIELDS
SELLER_FIELDS: Final = tuple(name for name in seller.FIELDS if name != "logo")
_LANGUAGES: Final = {"en": "English", "de": "German", "fr": "French"}
_ADDRESS: Final = "address"
_DAYS: Final = "payment_terms_days"


def texts_of(content: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """Return the stored fields as the form shows them."""
    texts = {name: str(content.get(name, "")) for name in names}
    return texts | {_ADDRESS: "\n".join(content.get(_ADDRESS, ()))}


def content_of(texts: Mapping[str, str], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the typed fields as the API takes them; None for what is empty."""
    content: dict[str, Any] = {name: texts[name].strip() or None for name in names}
    content[_ADDRESS] = [line for line in texts[_ADDRESS].splitlines() if line.strip()] or None
    days = content[_DAYS]
    if days is not None and days.isascii() and days.isdecimal() and len(days) < 10:
        content[_DAYS] = int(days)
    return content


def choices(catalogue: Catalogue) -> dict[str, Any]:
    """Return the template values `countries`, `languages` and `taxes`: (value, text) pairs."""
    return {
        "countries": [(code, f"{name} ({code})") for code, name in country_names().items()],
        "languages": list(_LANGUAGES.items()),
        "taxes": tax_choices(catalogue),
    }


def tax_choices(catalogue: Catalogue) -> list[tuple[str, str]]:
    """Return the taxes that are not archived, with their names."""
    found = []
    for key in catalogue.keys("tax"):
        entry = catalogue.entry("tax", key)
        if entry is not None and not entry.archived:
            name = entry.content["name"]
            found.append((key, key if name == key else f"{name} ({key})"))
    return found


def language(locale: str | None) -> str | None:
    return None if locale is None else _LANGUAGES[locale]


def errors_at_fields(refused: Refused | None) -> dict[str, Any]:
    """Return the template values of a refused form; a mistake in a line of an address is shown at the address."""
    values = error_values(refused)
    wrong = {path.partition(f"{_ADDRESS}[")[0] + _ADDRESS: text for path, text in values["wrong"].items()
             if f"{_ADDRESS}[" in path}  # fmt: skip
    return {**values, "wrong": wrong | values["wrong"]}
