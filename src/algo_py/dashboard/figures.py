"""Charts: pure functions from data to figures. They look nothing up and know no page.

A chart has a few hundred pixels: longer series are thinned to what can be seen, each stretch keeping its lowest and its highest
value, so that no peak and no drawdown disappears.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
from plotly.graph_objects import Figure  # type: ignore[attr-defined]  # plotly loads its names lazily

from algo_py.backtest.report import drawdown
from algo_py.dashboard.theme import (
    ALL_STORED,
    ENTRY,
    EXIT,
    FALL,
    HEAT,
    LINE,
    NOT_TO_BE_HAD,
    NOTHING_STORED,
    PART_STORED,
    PRICE,
    RISE,
    SHADE,
)
from algo_py.formatting import places_of

MOST_POINTS: Final = 2_000
MOST_LIVE_POINTS: Final = 600
MOST_CANDLES: Final = 400

_HEIGHT: Final = 380
_NUMBER: Final = ",.8~g"
_CENTS: Final = 2
_WHOLE_FROM: Final = 500.0
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NOTHING: Final = "#eef1f5"  # opaque, so that the text on each shade contrasts with it
# Fields of coverage: shares from 0 to below 1, then these two.
_COMPLETE: Final = 2.0
_ABSENT: Final = 3.0
_COVERAGE_COLORS: Final = [
    [0.0, NOTHING_STORED],
    [1 / 3, PART_STORED],
    [1 / 3, ALL_STORED],
    [5 / 6, ALL_STORED],
    [5 / 6, NOT_TO_BE_HAD],
    [1.0, NOT_TO_BE_HAD],
]
_COVERAGE_LEGEND: Final = {
    "all bars stored": ALL_STORED,
    "some missing": PART_STORED,
    "none stored": NOTHING_STORED,
    "the rest is not at the source": NOT_TO_BE_HAD,
}
_Trace = dict[str, Any]


def thin(values: pd.Series, most: int = MOST_POINTS) -> pd.Series:
    """Return at most about `most` of the values, in their order: the first, the last, and each stretch's lowest and highest."""
    count = len(values)
    if count <= most:
        return values
    numbers = values.to_numpy(dtype=np.float64)
    keep = {0, count - 1}
    for first, last in pairwise(np.linspace(0, count, max(1, most // 2) + 1).astype(np.int64).tolist()):
        part = numbers[first:last]
        if not np.isnan(part).all():
            keep |= {first + int(np.nanargmin(part)), first + int(np.nanargmax(part))}
    return values.iloc[sorted(keep)]


def equity_figure(equity: pd.Series, *, initial: float, currency: str, benchmark: pd.Series | None = None) -> Figure:
    """Draw equity over its drawdown, beside the benchmark where there is one. Both are indexed by time."""
    below = thin(drawdown(equity, initial))
    shaded = _line(below, name="Drawdown", hover="%{y:.2%}", color=FALL) | {"yaxis": "y2", "fill": "tozeroy", "fillcolor": SHADE}
    lines = [_money_line(thin(equity), currency)]
    if benchmark is not None:
        lines.append(_line(thin(benchmark), name="Buy and hold", hover=_money_hover(currency), color=PRICE))
    layout = {
        "showlegend": benchmark is not None,
        "shapes": [_level(initial)],
        "xaxis": {"showgrid": False, "anchor": "y2"},
        "yaxis": {"title": {"text": f"Equity, {currency}"}, "tickformat": _money_ticks(initial), "domain": [0.33, 1.0]},
        "yaxis2": {"title": {"text": "Drawdown"}, "tickformat": ".0%", "domain": [0.0, 0.27]},
    }
    return _figure([*lines, shaded | {"showlegend": False}], layout)


def months_figure(months: pd.DataFrame, held: pd.Series | None) -> Figure:
    """Draw returns by month and year, as `monthly_returns` gives them; `held` is the benchmark's year. Fractions.

    Colours are those of the months' own range, so that a year does not pale them.
    """
    table = months.set_axis([*_MONTHS, "Year"], axis=1)
    if held is not None:
        table = table.assign(Held=held)
    strongest = float(np.nanmax(np.abs(table[list(_MONTHS)].to_numpy()))) or 1.0
    field: _Trace = {
        "type": "heatmap",
        "x": table.columns.tolist(),
        "y": [str(year) for year in table.index],
        "z": table.to_numpy() * 100,
        "texttemplate": "%{z:+.1f}",
        "hovertemplate": "%{x} %{y}: %{z:+.2f} %<extra></extra>",
        "hoverongaps": False,
        "colorscale": [[0.0, FALL], [0.5, _NOTHING], [1.0, RISE]],
        "zmin": -strongest * 100,
        "zmid": 0.0,
        "zmax": strongest * 100,
        "xgap": 2,
        "ygap": 2,
        "showscale": False,
    }
    layout = {
        "height": 70 + 44 * len(table),
        "hovermode": "closest",
        "xaxis": {"type": "category", "side": "top", "showgrid": False},
        "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False},
    }
    return _figure([field], layout)


def price_figure(bars: pd.DataFrame, orders: pd.DataFrame, *, symbol: str, currency: str) -> Figure:
    """Draw a symbol's price with its filled orders: entries point up, exits point down.

    `bars` has open, high, low, close by open time; `orders` is as `Portfolio.orders`, of any symbols.
    """
    filled = orders[(orders["symbol"] == symbol) & (orders["status"] == "FILLED")]
    is_entry = filled["reason"] == "entry"
    traces = [
        _candles(bars) if len(bars) <= MOST_CANDLES else _price_line(bars["close"], currency),
        _markers(filled[is_entry], name="Entries", color=ENTRY, shape="triangle-up"),
        _markers(filled[~is_entry], name="Exits", color=EXIT, shape="triangle-down"),
    ]
    layout = {
        "showlegend": True,
        "hovermode": "closest",
        "xaxis": {"showgrid": False, "rangeslider": {"visible": False}},
        "yaxis": {"title": {"text": f"{symbol}, {currency}"}},
    }
    return _figure(traces, layout)


def account_figure(equity: pd.Series, *, initial: float, currency: str, height: int = _HEIGHT) -> Figure:
    """Draw a deployment's equity, indexed by time; with fewer points than the others, since it is drawn every second."""
    layout = {
        "height": height,
        "shapes": [_level(initial)],
        "xaxis": {"showgrid": False},
        "yaxis": {"title": {"text": f"Equity, {currency}"}, "tickformat": _money_ticks(initial)},
    }
    return _figure([_money_line(thin(equity, MOST_LIVE_POINTS), currency)], layout)


def heat_figure(
    values: pd.DataFrame,
    text: pd.DataFrame,
    *,
    x: str,
    y: str,
    name: str,
    is_less_better: bool,
    is_written: bool,
    marked: tuple[str, str] | None,
) -> Figure:
    """Draw a map of `values`, whose row and column labels are texts; better is brighter, and `marked` (column, row) has a ring.

    `text` holds what each value is in words: shown on the fields if `is_written`, and under the pointer.
    """
    field: _Trace = {
        "type": "heatmap",
        "x": values.columns.tolist(),
        "y": values.index.tolist(),
        "z": values.to_numpy(),
        "text": text.to_numpy(),
        "texttemplate": "%{text}" if is_written else "",
        "textfont": {"size": 13},
        "hovertemplate": f"{x} %{{x}}<br>{y} %{{y}}<br>{name} %{{text}}<extra></extra>",
        "colorscale": HEAT,
        "reversescale": is_less_better,
        "xgap": 1,
        "ygap": 1,
        "colorbar": {"thickness": 12, "outlinewidth": 0},
    }
    ring: _Trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [marked[0]] if marked else [],
        "y": [marked[1]] if marked else [],
        "marker": {"symbol": "circle-open", "size": 34, "color": EXIT, "line": {"width": 3}},
        "hoverinfo": "skip",
    }
    layout = {
        "height": 430,
        "hovermode": "closest",
        "xaxis": {"type": "category", "title": {"text": x}, "showgrid": False},
        "yaxis": {"type": "category", "title": {"text": y}, "showgrid": False},
    }
    return _figure([field, ring], layout)


def coverage_figure(shares: pd.DataFrame, absent: pd.DataFrame, text: pd.DataFrame, *, ticks: Mapping[str, str]) -> Figure:
    """Draw a strip for each row: the share of the bars that is stored, by stretches of time, which are the columns' labels.

    shares: fractions, NaN where there is nothing to say. absent: where all that lacks is not to be had. text: what is said of
    each field under the pointer. ticks: which columns are written under the strips, and how.
    """
    levels = shares.to_numpy(dtype=np.float64, copy=True)
    levels[levels == 1.0] = _COMPLETE
    levels[absent.to_numpy(dtype=np.bool_)] = _ABSENT
    field: _Trace = {
        "type": "heatmap",
        "x": shares.columns.tolist(),
        "y": shares.index.tolist(),
        "z": levels,
        "zmin": 0.0,
        "zmax": _ABSENT,
        "text": text.to_numpy(),
        "hovertemplate": "<b>%{y}</b><br>%{x}<br>%{text}<extra></extra>",
        "hoverongaps": False,
        "colorscale": _COVERAGE_COLORS,
        "showscale": False,
        "ygap": 5,
    }
    legend: list[_Trace] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [None],
            "y": [None],
            "marker": {"symbol": "square", "size": 11, "color": color},
        }
        for name, color in _COVERAGE_LEGEND.items()
    ]
    layout = {
        "height": 64 + 24 * len(shares),
        "hovermode": "closest",
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "itemclick": False, "itemdoubleclick": False},
        "xaxis": {
            "type": "category",
            "showgrid": False,
            "tickmode": "array",
            "tickvals": list(ticks),
            "ticktext": list(ticks.values()),
            "tickangle": 0,
        },
        "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False, "dtick": 1},
    }
    return _figure([field, *legend], layout)


def _money_line(equity: pd.Series, currency: str) -> _Trace:
    return _line(equity, name="Equity", hover=_money_hover(currency), color=LINE)


def _money_hover(currency: str) -> str:
    """Return how an amount is written under the pointer: with the digits that its currency has."""
    places = places_of(currency)
    written = ",.8~g" if places is None else f",.{places}f" if places <= _CENTS else f",.{places}~f"
    return f"%{{y:{written}}} {currency}"


def _money_ticks(initial: float) -> str:
    """Return how amounts are written on an axis about `initial`: whole ones, or with the digits that tell small ones apart."""
    return ",.0f" if initial >= _WHOLE_FROM else ",.8~g"


def _price_line(close: pd.Series, currency: str) -> _Trace:
    return _line(thin(close), name="Close", hover=f"%{{y:{_NUMBER}}} {currency}", color=PRICE)


def _line(values: pd.Series, *, name: str, hover: str, color: str) -> _Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": values.index,
        "y": values.to_numpy(),
        "line": {"color": color, "width": 1.6},
        "hovertemplate": hover,
    }


def _candles(bars: pd.DataFrame) -> _Trace:
    return {
        "type": "candlestick",
        "name": "Price",
        "x": bars.index,
        **{name: bars[name].to_numpy() for name in ("open", "high", "low", "close")},
        "increasing": {"line": {"color": RISE, "width": 1}},
        "decreasing": {"line": {"color": FALL, "width": 1}},
    }


def _markers(orders: pd.DataFrame, *, name: str, color: str, shape: str) -> _Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": orders["time"],
        "y": orders["price"].to_numpy(),
        "marker": {"symbol": shape, "size": 10, "color": color, "line": {"color": "white", "width": 1}},
        "customdata": orders[["side", "quantity", "reason"]].to_numpy(),
        "hovertemplate": f"%{{customdata[0]}} %{{customdata[1]:{_NUMBER}}} at %{{y:{_NUMBER}}}<br>%{{x}}<br>"
        "%{customdata[2]}<extra></extra>",
    }


def _level(value: float) -> dict[str, Any]:
    """Return a dotted line across the figure: the cash at the start."""
    line = {"color": PRICE, "width": 1, "dash": "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": value, "y1": value, "line": line}


def _figure(traces: list[_Trace], layout: dict[str, Any]) -> Figure:
    """Build a figure with the looks that all share; `uirevision` keeps a person's zoom when new points arrive."""
    shared = {
        "height": _HEIGHT,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "hovermode": "x unified",
        "showlegend": False,
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        "uirevision": "kept",
    }
    return Figure(data=traces, layout=shared | layout)  # type: ignore[no-untyped-call]
