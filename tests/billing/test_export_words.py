"""The languages of documents: every text in every language, with the same fields, and used."""

import re
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from string import Formatter

import pytest
from msgspec.structs import replace

from tests.billing.bills import EXPORT, MANUAL, NOVEMBER, REDUCED, samples, taxed, taxed_note, text
from tests.support.companies import SELLER
from witnd.billing import export
from witnd.billing.export.page import invoice_page, note_page
from witnd.billing.export.words import words, words_of
from witnd.domain.catalogue.buyer import Buyer
from witnd.domain.catalogue.seller import Seller
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.values.company import LOCALES

SOURCES = Path(export.__file__).parent
OTHERS = [locale for locale in LOCALES if locale != "en"]
# The same word in both languages, or no words at all.
SAME = {
    "de": {"status_open", "agent", "utc", "tax_in", "tier_fee"},
    "fr": {"agent", "utc", "page", "total", "tier_fee"},
}


def module(locale: str):
    return import_module(f"witnd.billing.export.texts.{locale}")


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("name", ["TEXTS", "WORKING", "TITLES"])
@pytest.mark.parametrize("locale", OTHERS)
def test_no_text_is_missing_in_a_language(locale: str, name: str) -> None:
    english, other = getattr(module("en"), name), getattr(module(locale), name)
    assert set(other) == set(english)
    for key, template in english.items():
        assert fields(other[key]) == fields(template), key
        assert other[key].strip(), key


@pytest.mark.parametrize("locale", OTHERS)
def test_texts_are_translated(locale: str) -> None:
    english, other = module("en").TEXTS, module(locale).TEXTS
    untranslated = {key for key in english if other[key] == english[key]}
    assert untranslated <= SAME[locale], untranslated - SAME[locale]


def test_every_text_is_used_and_every_used_text_exists() -> None:
    sources = [*SOURCES.glob("*.py"), *SOURCES.glob("templates/*"), *(SOURCES.parent / "einvoice").glob("*.py")]
    code = "\n".join([path.read_text() for path in sources])
    texts = set(module("en").TEXTS)
    quoted = set(re.findall(r"[\"']([a-z_]+)[\"']", code))
    plural = {key.rpartition("_")[0] for key in texts if key.endswith(("_one", "_other"))}
    unused = {key for key in texts if key not in quoted and key.rpartition("_")[0] not in plural}
    assert {key for key in unused if not key.startswith("status_")} == set()
    called = set(re.findall(r"\b(?:words|t)\(\s*[\"']([a-z_]+)[\"']", code))
    assert called - texts - set(LOCALES) == set()


@pytest.mark.parametrize(
    ("locale", "number", "period", "day", "minute"),
    [
        ("en", "−1,234,567.50", "1 – 30 November 2026 (UTC)", "2 December 2026", "5 Nov 2026, 09:00"),
        ("de", "−1.234.567,50", "1. – 30. November 2026 (UTC)", "2. Dezember 2026", "5. Nov. 2026, 09:00"),
        ("fr", "−1\u202f234\u202f567,50", "1er – 30 novembre 2026 (UTC)", "2 décembre 2026", "5 nov. 2026, 09:00"),
    ],
)
def test_numbers_and_dates_of_each_language(locale: str, number: str, period: str, day: str, minute: str) -> None:
    found = words(locale)
    assert found.money(Decimal("-1234567.5"), 2) == number
    assert found.period(samples()["flat"].invoice.billed_period) == period
    assert found.date("2026-12-02") == day
    assert found.minute(NOVEMBER) == minute
    assert (
        found.date("2027-01-01") == {"en": "1 January 2027", "de": "1. Januar 2027", "fr": "1er janvier 2027"}[locale]
    )


def test_the_language_of_the_buyer_is_before_that_of_the_seller() -> None:
    seller, buyer = Seller.from_content(SELLER | {"logo": None, "locale": "de"}), Buyer(locale="fr")
    data = IssueData(customer_name="Acme", seller=seller, buyer=buyer)
    assert words_of(data).locale == "fr"
    assert words_of(replace(data, buyer=Buyer())).locale == "de"
    assert words_of(replace(data, buyer=None)).locale == "de"
    assert words_of(replace(data, seller=None, buyer=None)).locale == "en"
    assert words_of(None).locale == "en"


@pytest.mark.parametrize("locale", LOCALES)
async def test_a_whole_document_is_in_its_language(locale: str) -> None:
    one = taxed(MANUAL, locale=locale, reduced=REDUCED, export=EXPORT)
    english = module("en").TEXTS
    for page in (await text(invoice_page(one)), await text(note_page(taxed_note(one)))):
        assert f'<html lang="{locale}">' in page
        if locale == "en":
            continue
        shown = re.sub(r"<style>.*?</style>|<[^>]+>", "\n", page, flags=re.DOTALL)
        lines = {line.strip() for line in shown.splitlines()}
        sentences = {text for key, text in english.items() if "{" not in text and key not in SAME[locale]}
        assert lines & sentences == set()


@pytest.mark.parametrize("locale", LOCALES)
async def test_every_kind_of_price_has_words_in_every_language(locale: str) -> None:
    for one in samples().values():
        data = IssueData(customer_name="Acme", buyer=Buyer(locale=locale))
        page = await text(invoice_page(replace(one, data=data)))
        assert "{" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
