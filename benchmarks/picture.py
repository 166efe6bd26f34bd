"""Draws curves on logarithmic axes as an SVG, by itself: no library is worth three dozen lines.

SVG 1.1; text is plain and the background white, so that it reads the same everywhere.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Panel", "svg"]

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 330, 250
_LEFT, _TOP, _RIGHT, _BOTTOM = 58, 34, 14, 40
_INK = ("#1b6ca8", "#c1440e", "#4b8b3b", "#6b4c9a")
_DASHES = ("", "6 3", "2 3", "8 3 2 3")
_MARGIN = 16
_FONT = "font-family='sans-serif' font-size='11'"


@dataclass(frozen=True)
class Panel:
    """One diagram.

    Attributes:
        title: Above it.
        across: What is on the horizontal axis.
        up: What is on the vertical axis.
        curves: By name; each of points with coordinates greater than 0.
    """

    title: str
    across: str
    up: str
    curves: Mapping[str, Points]


def svg(panels: Sequence[Panel], columns: int, told: Sequence[str]) -> str:
    """Return the panels in rows of ``columns``, a legend, and the lines of ``told`` below."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
    rows = -(-len(panels) // columns)
    width = columns * _WIDTH + 2 * _MARGIN
    height = rows * _HEIGHT + 30 + 16 * len(told) + 2 * _MARGIN
    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}'>",
        f"<rect width='{width}' height='{height}' fill='#ffffff'/>",
    ]
    for at, panel in enumerate(panels):
        place = (_MARGIN + at % columns * _WIDTH, _MARGIN + at // columns * _HEIGHT)
        lines += _panel(panel, names, place)
    below = _MARGIN + rows * _HEIGHT
    lines += _legend(names, below + 16)
    lines += [
        _text(_MARGIN + 8, below + 40 + 16 * at, "start", text) for at, text in enumerate(told)
    ]
    return "\n".join([*lines, "</svg>", ""])


def _panel(panel: Panel, names: Sequence[str], place: tuple[float, float]) -> Iterator[str]:
    points = [point for curve in panel.curves.values() for point in curve]
    across, up = _decades(x for x, _ in points), _decades(y for _, y in points)
    inner = (_WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM)
    yield f"<g transform='translate({place[0]} {place[1]})'>"
    yield _text(_LEFT + inner[0] / 2, 18, "middle", panel.title, "font-weight='bold'")

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            round(_LEFT + inner[0] * _part(x, across), 1),
            round(_TOP + inner[1] * (1 - _part(y, up)), 1),
        )

    for tick in _ticks(across):
        x, bottom = at(tick, 10 ** up[0])
        yield f"<path d='M{x} {_TOP}V{bottom}' stroke='#e2e2e2'/>"
        yield _text(x, bottom + 14, "middle", _short(tick))
    for tick in _ticks(up):
        _, y = at(10 ** across[0], tick)
        yield f"<path d='M{_LEFT} {y}H{_LEFT + inner[0]}' stroke='#e2e2e2'/>"
        yield _text(_LEFT - 5, y + 4, "end", _short(tick))
    yield f"<rect x='{_LEFT}' y='{_TOP}' width='{inner[0]}' height='{inner[1]}' fill='none' stroke='#444444'/>"
    yield _text(_LEFT + inner[0] / 2, _HEIGHT - 8, "middle", panel.across)
    middle = _TOP + inner[1] / 2
    yield _text(14, middle, "middle", panel.up, f"transform='rotate(-90 14 {middle})'")
    for name, curve in panel.curves.items():
        yield from _curve([at(*point) for point in sorted(curve)], names.index(name))
    yield "</g>"


def _curve(points: Points, number: int) -> Iterator[str]:
    ink, dashes = _look(number)
    steps = " ".join(f"{x},{y}" for x, y in points)
    yield f"<polyline points='{steps}' fill='none' stroke='{ink}' stroke-width='1.8' stroke-dasharray='{dashes}'/>"
    for x, y in points:
        yield f"<circle cx='{x}' cy='{y}' r='2.6' fill='{ink}'/>"


def _legend(names: Sequence[str], y: float) -> Iterator[str]:
    x = _MARGIN + 8
    for number, name in enumerate(names):
        ink, dashes = _look(number)
        yield f"<path d='M{x} {y - 4}h28' stroke='{ink}' stroke-width='1.8' stroke-dasharray='{dashes}'/>"
        yield _text(x + 34, y, "start", name)
        x += 60 + 8 * len(name)


def _look(number: int) -> tuple[str, str]:
    return _INK[number % len(_INK)], _DASHES[number % len(_DASHES)]


def _decades(values: Iterable[float]) -> tuple[float, float]:
    """Return logarithms of the ends of an axis: whole decades, or the values themselves within one."""
    found = list(values)
    low, high = math.log10(min(found)), math.log10(max(found))
    if high - low < 1:
        return low - 0.1, high + 0.1
    return math.floor(low + 1e-9), math.ceil(high - 1e-9)


def _ticks(ends: tuple[float, float]) -> list[float]:
    whole = [10.0**power for power in range(math.ceil(ends[0]), math.floor(ends[1]) + 1)]
    if len(whole) > 2:
        return whole
    fine = [
        digit * 10.0**power
        for power in range(math.floor(ends[0]), math.ceil(ends[1]) + 1)
        for digit in (1, 2, 5)
    ]
    return [tick for tick in fine if ends[0] - 1e-9 <= math.log10(tick) <= ends[1] + 1e-9]


def _part(value: float, ends: tuple[float, float]) -> float:
    return (math.log10(value) - ends[0]) / (ends[1] - ends[0])


def _short(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _text(x: float, y: float, anchor: str, text: str, more: str = "") -> str:
    safe = text.replace("&", "&amp;").replace("<", "&lt;")
    return f"<text x='{x}' y='{y}' text-anchor='{anchor}' {_FONT} {more}>{safe}</text>"
