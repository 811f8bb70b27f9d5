"""Many prices at random, against a reckoning of its own: the rules of the reference in plain Decimal."""

import random
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, getcontext, setcontext
from itertools import pairwise
from typing import Any

import pytest

from tests.contract.ledger import Ledger, toml

CURRENCIES = {"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4}
PERIOD = "2001-09-%02dT12:00:00.000Z"


@pytest.fixture(autouse=True)
def _exact() -> Any:
    """Enough digits for every product."""
    before = getcontext().copy()
    getcontext().prec = 200
    yield
    setcontext(before)


class Entry:
    """A price: what stands in the catalogue, and what outcomes cost by it."""

    def __init__(self, dice: random.Random) -> None:
        self.kind = dice.choice(["flat", "graduated", "volume", "package", "percentage"])
        self.currency = dice.choice(list(CURRENCIES))
        self.fields: dict[str, Any] = {}
        if self.kind == "flat":
            self.fields["price_per_unit"] = amount(dice)
        elif self.kind == "package":
            self.fields |= {"package_size": dice.choice(["0.7", "1", "10"]), "price_per_package": amount(dice)}
        elif self.kind == "percentage":
            self.fields["percent"] = dice.choice(["2.5", "0", "33.333333333333", "150"])
            self._range(dice, "minimum", "maximum")
        else:
            borders = sorted(dice.sample(["1", "3.5", "10", "25"], dice.randint(0, 3)), key=Decimal)
            self.fields["tiers"] = [
                {"price_per_unit": amount(dice)}
                | ({} if border is None else {"up_to": border})
                | ({"flat_fee": amount(dice)} if dice.random() < 0.4 else {})
                for border in [*borders, None]
            ]
        if dice.random() < 0.4:
            self.fields["free_quota"] = dice.choice(["0", "0.25", "1", "5", "40"])
        self._range(dice, "period_minimum", "period_cap")

    def _range(self, dice: random.Random, least: str, most: str) -> None:
        low, high = sorted((amount(dice), amount(dice)), key=Decimal)
        if dice.random() < 0.3:
            self.fields[least] = low
        if dice.random() < 0.3:
            self.fields[most] = high

    def written(self, agent: str) -> str:
        def text(value: Any) -> str:
            if isinstance(value, str):
                return f'"{value}"'
            return "[" + ", ".join(table(one) for one in value) + "]"

        def table(fields: dict[str, Any]) -> str:
            return "{ " + ", ".join(f"{name} = {text(value)}" for name, value in fields.items()) + " }"

        return table({"agent": agent, "kind": self.kind} | self.fields)

    def of(self, name: str, default: str = "0") -> Decimal:
        return Decimal(self.fields.get(name, default))

    def rounded(self, value: Decimal, how: str = ROUND_HALF_UP) -> Decimal:
        return value.quantize(Decimal(1).scaleb(-CURRENCIES[self.currency]), how)

    def bill(self, units: list[Decimal]) -> list[tuple[str, Decimal]]:
        """Kinds and amounts of all rows."""
        if (
            self.kind in ("flat", "percentage")
            and not self.of("free_quota")
            and not self.of("period_minimum")
            and ("period_cap" not in self.fields)
        ):
            return [("outcome", self.rounded(self.upto([unit]))) for unit in units]
        sums = [self.upto(units[:many], units) for many in range(len(units) + 1)]
        rows = [("outcome", self.rounded(b) - self.rounded(a)) for a, b in pairwise(sums)]
        spent = sums[-1]
        for fee in self.fees(max(sum(units) - self.of("free_quota"), Decimal(0))):
            rows.append(("fee", self.rounded(spent + fee) - self.rounded(spent)))
            spent += fee
        total = sum(value for _, value in rows)
        bounded = max(total, self.rounded(self.of("period_minimum"), ROUND_CEILING))
        bounded = min(bounded, self.rounded(self.of("period_cap", "1e30"), ROUND_FLOOR))
        if bounded != total:
            rows.append(("minimum" if bounded > total else "cap", bounded - total))
        return rows

    def upto(self, units: list[Decimal], whole: list[Decimal] | None = None) -> Decimal:
        """What these first outcomes of all cost, exactly."""
        quota = self.of("free_quota")
        charged = max(sum(units, Decimal(0)) - quota, Decimal(0))
        if self.kind == "flat":
            return charged * self.of("price_per_unit")
        if self.kind == "package":
            return (charged / self.of("package_size")).to_integral_value(ROUND_CEILING) * self.of("price_per_package")
        if self.kind == "percentage":
            cost, before = Decimal(0), Decimal(0)
            least = self.rounded(self.of("minimum"), ROUND_CEILING)
            most = self.rounded(self.of("maximum", "1e30"), ROUND_FLOOR)
            for unit in units:
                part = max(before + unit - quota, Decimal(0)) - max(before - quota, Decimal(0))
                before += unit
                if part:
                    cost += min(max(part * self.of("percent") / 100, least), most)
            return cost
        if self.kind == "volume":
            assert whole is not None
            return charged * Decimal(self.tier(max(sum(whole) - quota, Decimal(0)))["price_per_unit"])
        cost, below = Decimal(0), Decimal(0)
        for tier in self.fields["tiers"]:
            top = Decimal(tier.get("up_to", "1e30"))
            cost += max(min(charged, top) - below, Decimal(0)) * Decimal(tier["price_per_unit"])
            below = top
        return cost

    def tier(self, charged: Decimal) -> dict[str, str]:
        return next(tier for tier in self.fields["tiers"] if charged <= Decimal(tier.get("up_to", "1e30")))

    def fees(self, charged: Decimal) -> list[Decimal]:
        if self.kind not in ("graduated", "volume") or not charged:
            return []
        tiers = self.fields["tiers"]
        last = self.tier(charged)
        reached = [last] if self.kind == "volume" else tiers[: tiers.index(last) + 1]
        return [fee for fee in (Decimal(tier.get("flat_fee", "0")) for tier in reached) if fee]


def amount(dice: random.Random) -> str:
    return dice.choice(["0", "0.005", "0.333333333333", "1", "2.5", "7.0049", "19.995"])


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_billed_is_what_the_rules_say(sharded: Ledger, seed: int) -> None:
    dice = random.Random(seed)
    entries = [Entry(dice) for _ in range(150)]
    names = [f"{number}" for number in range(len(entries))]
    cards = {
        f"card-{name}": (one.currency, [one.written(f"a-{name}")]) for name, one in zip(names, entries, strict=True)
    }
    sharded.apply(toml([f"a-{name}" for name in names], cards, {f"c-{name}": f"card-{name}" for name in names}))
    units: dict[str, list[Decimal]] = {name: [] for name in names}
    for day in range(10, 17):  # all of one instant in order of their keys
        for name in names:
            if dice.random() < 0.7:
                unit = Decimal(dice.choice(["0", "0.001", "0.5", "1", "1.5", "3", "24.999", "-2"]))
                sharded.confirm(
                    f"outcome-{name}-{day}", PERIOD % day, float(unit), customer_key=f"c-{name}", agent_key=f"a-{name}"
                )
                units[name].append(max(unit, Decimal(0)))
    for one in sharded.close():
        name = one["customer_key"][2:]
        found = [(kind, Decimal(text)) for kind, text in sharded.amounts(one["id"])]
        assert found == entries[int(name)].bill(units[name]), (seed, entries[int(name)].fields, units[name])
    sharded.audited()
