"""Tables of the report. A cell with a number carries it exactly, as the value of a `data` element, beside what people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from algo_py.backtest.report.markup import Content, Markup, element
from algo_py.backtest.report.returns import YEAR
from algo_py.backtest.words import DASH, METRIC_WORDS, metric, signed_percent

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_STRONGEST = 0.62  # a darker cell could not be read


def exact(text: str, value: float | None) -> Content:
    """Return a text that carries its number; without one it is only the text."""
    return text if value is None else element("data", text, value=repr(value))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Content]], *, numbers: Sequence[str] = (), class_: str | None = None
) -> Markup:
    """Build a table; the columns named in `numbers` are aligned to the right."""
    looks = ["number" if column in numbers else None for column in columns]
    head = element("tr", [element("th", column, class_=look, scope="col") for column, look in zip(columns, looks, strict=True)])
    body = [element("tr", [element("td", cell, class_=look) for cell, look in zip(row, looks, strict=True)]) for row in rows]
    return element("div", element("table", element("thead", head), element("tbody", body), class_=class_), class_="wide")


def pairs(rows: Iterable[tuple[str, Content]], *, class_: str = "pairs") -> Markup:
    """Build a list of names and values."""
    return element("dl", [element("div", element("dt", name), element("dd", value)) for name, value in rows], class_=class_)


def metric_pairs(keys: Sequence[str], metrics: Mapping[str, float | int | None], currency: str) -> list[tuple[str, Content]]:
    """Return metrics as pairs of name and value; the value carries its key and its number. Money is in `currency`."""
    return [
        (
            _capital(METRIC_WORDS[key][0]),
            element(
                "data",
                metric(key, metrics[key], currency),
                value="" if metrics[key] is None else repr(metrics[key]),
                data_metric=key,
            ),
        )
        for key in keys
    ]


def month_table(months: pd.DataFrame, held: pd.DataFrame | None) -> Markup:
    """Build the heat map of `monthly_returns`; `held` is the same of the benchmark, shown by year."""
    strongest = float(np.nanmax(np.abs(months[[*range(1, 13)]].to_numpy()))) or 1.0
    rows = []
    for year, values in months.iterrows():
        cells = [_month_cell(float(values[month]), strongest) for month in range(1, 13)]
        whole = [_year_cell(float(values[YEAR]))]
        if held is not None:
            whole.append(_year_cell(float(held.loc[year, YEAR]), quiet=True))  # type: ignore[arg-type,index]
        rows.append(element("tr", element("th", str(year), scope="row"), cells, whole))
    columns = ["", *_MONTHS, "Year", *(["Held"] if held is not None else [])]
    head = element("tr", [element("th", column, scope="col", class_="number") for column in columns])
    return element("div", element("table", element("thead", head), element("tbody", rows), class_="months"), class_="wide")


def _month_cell(value: float, strongest: float) -> Markup:
    if np.isnan(value):
        return element("td", class_="none")
    shade = _STRONGEST * (abs(value) / strongest) ** 0.7
    look = "gain" if value >= 0 else "loss"
    return element("td", exact(_tenths(value), value), class_=look, style=f"--shade:{shade:.3f}")


def _year_cell(value: float, *, quiet: bool = False) -> Markup:
    return element("td", DASH if np.isnan(value) else exact(_tenths(value), value), class_="held" if quiet else "year")


def _tenths(fraction: float) -> str:
    """Return `+1.2` for 0.012: the table's heading says that these are percent."""
    return signed_percent(fraction, 1).removesuffix(" %")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
