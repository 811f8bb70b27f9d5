"""Exports look as they did when somebody last looked at them."""

from decimal import Decimal

import pytest

from tests.billing.bills import all_of, samples
from tests.billing.golden_exports import COMMAND, GOLDEN, exports

NAMES = sorted(path.name for path in GOLDEN.iterdir())


@pytest.mark.parametrize("name", NAMES)
async def test_an_export_is_what_it_was(name: str) -> None:
    made = (await exports())[name]
    assert made.encode() == (GOLDEN / name).read_bytes(), f"run `{COMMAND}` and look at the difference"


async def test_every_export_has_a_golden_file_and_every_golden_file_an_export() -> None:
    assert sorted(await exports()) == NAMES


@pytest.mark.parametrize("name", sorted(samples()))
async def test_the_rows_of_a_sample_come_to_its_total(name: str) -> None:
    bill = samples()[name]
    rows = sum(Decimal(row.amount or 0) for row in await all_of(bill.rows()))
    assert rows == bill.invoice.total
