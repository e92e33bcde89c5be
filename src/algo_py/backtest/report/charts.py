"""Charts as HTML with inline SVG: curves over time, and histograms.

Only lines and areas are drawn in the SVG, which is stretched to the page's width; what is written beside them is ordinary text
that keeps its size. Everything can be read without scripts and on paper, and the file stays small. The numbers that a script
shows under the pointer come along as data, exactly as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from algo_py.backtest.report.markup import Markup, element
from algo_py.backtest.report.scales import Scale, Tick, time_ticks
from algo_py.backtest.report.thinning import rows_to_draw
from algo_py.backtest.report.trades import Bin

Unit = Literal["money", "percent", "ratio"]

_WIDTH: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """One curve of a chart; `look` is its class in the style sheet.

    A filled one has an area down (or up) to the chart's base; a stepped one keeps its value until the next.
    """

    name: str
    look: str
    values: pd.Series
    is_filled: bool = False
    is_stepped: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """A chart, and its numbers for the pointer."""

    figure: Markup
    numbers: dict[str, Any]


def time_chart(
    name: str,
    lines: Sequence[Line],
    *,
    scale: Scale,
    unit: Unit,
    write: Callable[[float], str],
    zone: ZoneInfo,
    describe: str,
    height: int = 200,
    base: float | None = None,
) -> Chart:
    """Draw curves over one time axis. `write` gives the text of a value on the axis; `base` is a level to mark and to fill to.

    All lines have the same index. `describe` says in a sentence what is seen, for those who do not see it.
    """
    index = pd.DatetimeIndex(lines[0].values.index)
    curves = [line.values.to_numpy(dtype=np.float64) for line in lines]
    rows = rows_to_draw(curves)
    seconds = index.as_unit("s").asi8[rows]
    ticks = time_ticks(index[0].to_pydatetime(), index[-1].to_pydatetime(), zone)
    across = (seconds - seconds[0]) / max(int(seconds[-1] - seconds[0]), 1) * _WIDTH
    drawn: list[Markup] = _grid(scale, ticks, height)
    if base is not None:
        drawn.append(_level(scale, base, height))
    for line, curve in zip(lines, curves, strict=True):
        down = (1.0 - scale.places(curve[rows])) * height
        over = across
        if line.is_stepped:
            over, down = np.repeat(across, 2)[1:], np.repeat(down, 2)[:-1]
        if line.is_filled:
            floor = height if base is None else (1.0 - scale.place(base)) * height
            drawn.append(element("path", d=_area(over, down, floor), class_=f"area {line.look}"))
        drawn.append(element("path", d=_path(over, down), class_=f"line {line.look}"))
    numbers = {
        "t": seconds.tolist(),
        "axis": [scale.low, scale.high, scale.is_log],
        "unit": unit,
        "lines": [
            {"name": line.name, "look": line.look, "values": [_or_null(value) for value in curve[rows].tolist()]}
            for line, curve in zip(lines, curves, strict=True)
        ],
    }
    plot = _plot(drawn, describe, height, _beside(scale, write, height), ticks, name=name)
    return Chart(element("figure", _legend(lines), plot, class_="chart"), numbers)


def histogram(
    bins: Sequence[Bin], *, title: str, write: Callable[[float], str], describe: str, has_losses: bool = False, height: int = 180
) -> Markup:
    """Draw a histogram, with `has_losses` in the colours of loss and gain. Each bar says what it is where the pointer rests."""
    low, high = bins[0].low, bins[-1].high
    scale = Scale(0.0, float(max(one.count for one in bins)) * 1.06)
    across = Scale(low, high)
    labels = {write(value): across.place(value) for value in reversed(across.values(7))}
    ticks = [Tick(place, label) for label, place in reversed(labels.items())]
    drawn = _grid(scale, (), height)
    for one in bins:
        left, right = across.place(one.low) * _WIDTH, across.place(one.high) * _WIDTH
        top = (1.0 - scale.place(one.count)) * height
        told = element("title", f"{write(one.low)} to {write(one.high)}: {one.count:,}")
        look = "bar" if not has_losses else "bar loss" if one.high <= 0.0 else "bar gain"
        shape = {
            "x": _short(left + 1),
            "y": _short(top),
            "width": _short(max(right - left - 2, 1)),
            "height": _short(height - top),
        }
        drawn.append(element("g", told, element("rect", class_=look, **shape)))
    beside = _beside(scale, lambda count: f"{count:,.0f}" if count == int(count) else "", height)
    return element(
        "figure", element("figcaption", title), _plot(drawn, describe, height, beside, ticks, name=None), class_="chart"
    )


def _plot(
    drawn: Sequence[Markup], describe: str, height: int, beside: Sequence[Tick], under: Sequence[Tick], *, name: str | None
) -> Markup:
    picture = element(
        "svg",
        drawn,
        viewBox=f"0 0 {_WIDTH} {height}",
        preserveAspectRatio="none",
        role="img",
        aria_label=describe,
    )
    left = [element("span", tick.label, class_="y", style=f"bottom:{tick.place:.2%}") for tick in beside]
    below = [
        element("span", tick.label, class_="x" if number % 2 == 0 else "x minor", style=f"left:{tick.place:.2%}")
        for number, tick in enumerate(under)
    ]
    return element("div", picture, left, below, class_="plot", style=f"--height:{height}px", data_chart=name)


def _legend(lines: Sequence[Line]) -> Markup | None:
    if len(lines) < 2:
        return None
    return element("figcaption", [element("span", line.name, class_=f"key {line.look}") for line in lines], class_="legend")


def _grid(scale: Scale, ticks: Sequence[Tick], height: int) -> list[Markup]:
    """Return the thin lines behind a chart: one for each value that is written beside it, one for each moment below."""
    levels = [_short((1.0 - scale.place(value)) * height) for value in _levels(scale, height)]
    moments = [_short(tick.place * _WIDTH) for tick in ticks]
    return [
        *(element("path", d=f"M0 {level}H{_WIDTH}", class_="grid") for level in levels),
        *(element("path", d=f"M{moment} 0V{height}", class_="grid") for moment in moments),
    ]


def _level(scale: Scale, value: float, height: int) -> Markup:
    return element("path", d=f"M0 {_short((1.0 - scale.place(value)) * height)}H{_WIDTH}", class_="base")


def _beside(scale: Scale, write: Callable[[float], str], height: int) -> list[Tick]:
    return [Tick(scale.place(value), write(value)) for value in _levels(scale, height)]


def _levels(scale: Scale, height: int) -> list[float]:
    """Return the values that are written beside a chart: the higher it is, the more."""
    return scale.values(max(3, height // 42))


def _path(across: np.ndarray, down: np.ndarray) -> str:
    """Return the way of a line; it is broken where a value is not known."""
    parts, pen = [], "M"
    for x, y in zip(across.tolist(), down.tolist(), strict=True):
        if np.isfinite(y):
            parts.append(f"{pen}{_short(x)} {_short(y)}")
        pen = "L" if np.isfinite(y) else "M"
    return "".join(parts)


def _area(across: np.ndarray, down: np.ndarray, floor: float) -> str:
    """Return the outline of what lies between a line and `floor`, piece by piece."""
    known = np.isfinite(down)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], known, [False])).astype(np.int8)))
    parts = []
    for first, last in edges.reshape(-1, 2).tolist():
        start, end = _short(across[first]), _short(across[last - 1])
        parts.append(f"M{start} {_short(floor)}L{_path(across[first:last], down[first:last])[1:]}L{end} {_short(floor)}Z")
    return "".join(parts)


def _short(value: float) -> str:
    """Return a coordinate with a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def _or_null(value: float) -> float | None:
    return value if np.isfinite(value) else None
