"""English texts about invoices, for the dashboard and for programs. Documents have the `words` of their language."""

from typing import Final

from witnd.billing.export.words import words

#: The words of programs that are only in English.
ENGLISH: Final = words("en")

group_digits = ENGLISH.group_digits
format_numbers = ENGLISH.format_numbers
money = ENGLISH.money
rate = ENGLISH.rate
unit_price = ENGLISH.unit_price
price_lines = ENGLISH.price_lines
minute = ENGLISH.minute
month = ENGLISH.month
dates = ENGLISH.dates
period_days = ENGLISH.period_days
period = ENGLISH.period


def count(number: int, noun: str) -> str:
    return f"{group_digits(str(number))} {noun}" + ("" if number == 1 else "s")
