"""The geometry of charts, which `chart.html` draws as SVG; the style sheet colours it."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

WIDTH: Final = 720
HEIGHT: Final = 200
LEFT: Final = 44
TOP: Final = 10
BOTTOM: Final = 22
RIGHT: Final = 12
# The number of day labels that fit on a phone.
LABELS: Final = 6
_STEPS: Final = (1, 2, 5)


class Day(Struct, frozen=True, kw_only=True):
    """What a chart shows of a day: what is stacked on it, from the bottom, and a point of the line over it."""

    label: str
    tip: str
    stacked: tuple[int, ...]
    point: int


class Layer(Struct, frozen=True):
    y: float
    height: float


class Bar(Struct, frozen=True, kw_only=True):
    x: float
    label: str  # empty where there is no room for one
    tip: str
    layers: list[Layer]


class Tick(Struct, frozen=True):
    y: float
    label: str


class Chart(Struct, frozen=True, kw_only=True):
    """All lengths in units of the drawing, which is `width` × `height`. `points`: the line's."""

    width: int
    height: int
    left: int
    step: float
    ticks: list[Tick]
    bars: list[Bar]
    points: str


def draw_chart(days: Sequence[Day]) -> Chart:
    """Stacked bars with a line over them."""
    top = nice(max([1, *[max(sum(day.stacked), day.point) for day in days]]))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(days))
    every = -(-len(days) // LABELS) or 1

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top), 2)

    def layers(stacked: Sequence[int]) -> list[Layer]:
        found, base = [], 0
        for many in stacked:
            found.append(Layer(y(base + many), round(y(base) - y(base + many), 2)))
            base += many
        return found

    bars = [
        Bar(
            x=round(LEFT + place * step, 1),
            label=day.label if (len(days) - 1 - place) % every == 0 else "",
            tip=day.tip,
            layers=layers(day.stacked),
        )
        for place, day in enumerate(days)
    ]
    points = " ".join(f"{LEFT + (place + 0.5) * step:.1f},{y(day.point)}" for place, day in enumerate(days))
    values = [0, top // 2, top] if top % 2 == 0 else [0, top]
    ticks = [Tick(y(value), short(value)) for value in values]
    return Chart(width=WIDTH, height=HEIGHT, left=LEFT, step=round(step, 2), ticks=ticks, bars=bars, points=points)


def nice(most: int) -> int:
    """The next number that people count to: 1, 2, 5, 10, 20, 50, …"""
    size = 1
    while True:
        for one in _STEPS:
            if one * size >= most:
                return one * size
        size *= 10


def short(many: int) -> str:
    """`950`, `12k`, `3.5M`: as much as fits beside an axis."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1000, "k")):
        if many >= size:
            return f"{many / size:.1f}".removesuffix(".0") + letter
    return str(many)
