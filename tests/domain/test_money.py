"""Exact decimals, their rounding and their spelling."""

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from witnd.domain.values.money import decimal_string, exact_sum, minor_digits, minor_text, plain, product, to_minor

decimals = st.decimals(allow_nan=False, allow_infinity=False, places=None).filter(lambda d: abs(d.adjusted()) < 60)
prices = st.decimals(min_value=0, max_value=10**18 - 1, places=12)
units = st.floats(min_value=1e-12, max_value=1e15).map(lambda x: Decimal(repr(x)))


@pytest.mark.parametrize(
    ("code", "digits"),
    [("EUR", 2), ("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)],
)
def test_a_currency_has_the_minor_digits_of_iso_4217(code: str, digits: int) -> None:
    assert minor_digits(code) == digits


@pytest.mark.parametrize("code", ["XAU", "XXX", "XTS", "eur", "EURO", "", "ZZZ"])
def test_what_has_no_minor_unit_or_is_no_code_has_no_digits(code: str) -> None:
    assert minor_digits(code) is None


@given(prices, units)
def test_a_product_is_exact(price: Decimal, unit: Decimal) -> None:
    assert Fraction(product(price, unit)) == Fraction(price) * Fraction(unit)


@given(st.lists(units, max_size=50))
def test_a_sum_is_exact(amounts: list[Decimal]) -> None:
    assert Fraction(exact_sum(amounts)) == sum(map(Fraction, amounts), Fraction(0))


def test_arithmetic_does_not_depend_on_the_context_of_the_caller() -> None:
    with localcontext() as context:
        context.prec = 3
        assert plain(product(Decimal("1.23456"), Decimal("1.1"))) == "1.358016"
        assert minor_text(Decimal("123456.785"), 2) == "123456.79"


@given(decimals)
def test_plain_text_reads_back_as_the_same_number(amount: Decimal) -> None:
    text = plain(amount)
    assert Fraction(Decimal(text)) == Fraction(amount)
    assert "e" not in text.lower()
    assert plain(Decimal(text)) == text


@given(prices)
def test_a_price_reads_back_as_the_same_number(price: Decimal) -> None:
    assert decimal_string(plain(price)) == price


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1.500", "1.5"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("1E-7", "0.0000001"),
        ("-0.00", "0"),
        ("-0.5", "-0.5"),
        ("0E+3", "0"),
        ("10.0", "10"),
    ],
)
def test_plain_text_has_no_exponent_and_no_needless_digit(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_has_no_plain_text(amount: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        plain(Decimal(amount))


@pytest.mark.parametrize(
    ("amount", "digits", "text"),
    [
        ("0.005", 2, "0.01"),
        ("0.0049999999999999999999", 2, "0.00"),
        ("1.005", 2, "1.01"),
        ("2.5", 0, "3"),
        ("1.5", 0, "2"),
        ("0.0005", 3, "0.001"),
        ("7", 2, "7.00"),
        ("7", 0, "7"),
        ("1E+20", 2, "100000000000000000000.00"),
        ("-0.005", 2, "-0.01"),
        ("-0.001", 2, "0.00"),
    ],
)
def test_amounts_are_rounded_half_up_to_exactly_the_minor_digits(amount: str, digits: int, text: str) -> None:
    assert minor_text(Decimal(amount), digits) == text
    assert to_minor(Decimal(amount), digits) == Decimal(text)


@pytest.mark.parametrize("text", ["0", "0.99", "007", "1.100000000000", "9" * 18 + "." + "9" * 12])
def test_prices_as_people_write_them_are_read(text: str) -> None:
    assert decimal_string(text) == Decimal(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-1", "negative"),
        ("-0.5", "negative"),
        ("1e3", "plain decimal"),
        ("1_000", "plain decimal"),
        (" 1", "plain decimal"),
        ("1 ", "plain decimal"),
        ("1\n", "plain decimal"),
        ("1,5", "plain decimal"),
        ("", "plain decimal"),
        (".5", "plain decimal"),
        ("5.", "plain decimal"),
        ("+1", "plain decimal"),
        ("NaN", "plain decimal"),
        ("Infinity", "plain decimal"),
        ("١", "plain decimal"),
        ("0.1234567890123", "after the point"),
        ("1" + "0" * 18, "before the point"),
    ],
)
def test_every_other_text_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decimal_string(text)
