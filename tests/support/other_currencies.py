"""`witnd` beside another table of currencies, as a later version of the library could have it.

SEK is gone, EUR has three digits after the point, and JPY has two. Run as `python -m tests.support.other_currencies`.
"""

from types import SimpleNamespace

import iso4217

from witnd.domain.values import money

DIGITS = {"EUR": 3, "JPY": 2}


def currency(code: str) -> SimpleNamespace:
    """What `iso4217.Currency` answers, after the changes."""
    if code == "SEK":
        raise ValueError(f"{code!r} is not a valid Currency")
    return SimpleNamespace(exponent=DIGITS.get(code, iso4217.Currency(code).exponent))


def change_table() -> None:
    """Put the changed table in the place of the library's."""
    money.Currency = currency  # type: ignore[misc, assignment]
    money.minor_digits.cache_clear()


if __name__ == "__main__":
    from witnd.cli.main import main

    change_table()
    main()
