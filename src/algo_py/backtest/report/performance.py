"""How the money went: equity against holding, drawdowns, metrics, months, the Sharpe ratio over time, exposure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from algo_py.backtest.report.charts import Chart, Line, time_chart
from algo_py.backtest.report.data import ReportData
from algo_py.backtest.report.exposure import exposure_of
from algo_py.backtest.report.headline import clock_time
from algo_py.backtest.report.markup import Content, Markup, element
from algo_py.backtest.report.returns import drawdown, drawdown_episodes, monthly_returns, rolling_sharpe, rolling_window
from algo_py.backtest.report.scales import value_scale
from algo_py.backtest.report.tables import exact, metric_pairs, month_table, pairs, table
from algo_py.backtest.report.trades import trade_statistics
from algo_py.backtest.words import counted, length_of_time, money, number, percent, short_number

NOT_SAVED = "not saved in this backtest"

_METRIC_GROUPS = {
    "Return": (
        "total_return_fraction",
        "benchmark_return_fraction",
        "cagr_fraction",
        "initial_equity",
        "final_equity",
        "fees_paid",
    ),
    "Risk": (
        "volatility_fraction",
        "sharpe_ratio",
        "sortino_ratio",
        "calmar_ratio",
        "max_drawdown_fraction",
        "max_drawdown_duration_s",
        "exposure_fraction",
    ),
    "Trades": ("trades", "win_rate_fraction", "profit_factor", "expectancy"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """A part of the page, and the charts in it by name, whose numbers go into the page's data."""

    markup: Markup
    charts: dict[str, Chart]


def section(title: str, note: str | None, *content: Content, charts: dict[str, Chart] | None = None) -> Section:
    """Build a section with its title and a line about what it shows."""
    head = [element("h2", title), element("p", note, class_="note") if note else None]
    return Section(element("section", head, content), charts or {})


def empty_section(title: str, why: str, *, note: str | None = None) -> Section:
    """Build a section that says why there is nothing in it."""
    return section(title, note, element("p", why, class_="empty"))


def equity_section(data: ReportData) -> Section:
    """Equity against the benchmark, and how far it was below its highest value."""
    curves, initial, currency = data.curves, data.config.initial_cash, data.currency
    lines = [Line(name="Strategy", look="strategy", values=curves.equity)]
    if curves.benchmark is not None:
        lines.append(Line(name="The symbols held", look="held", values=curves.benchmark))
    scale = value_scale(np.concatenate([line.values.to_numpy() for line in lines]), include=initial, may_be_log=True)
    equity = time_chart(
        "equity",
        lines,
        scale=scale,
        unit="money",
        write=lambda value: short_number(value, max(abs(scale.low), abs(scale.high))),
        zone=data.zone,
        describe=f"Equity from {money(initial, currency)} to {money(data.metrics['final_equity'], currency)} {currency}",
        height=320,
        base=initial,
    )
    below = drawdown(curves.equity, initial)
    under = time_chart(
        "drawdown",
        [Line(name="Drawdown", look="drawdown", values=below, is_filled=True)],
        scale=value_scale(below.to_numpy(), include=0.0),
        unit="percent",
        write=lambda value: percent(value, 0 if abs(below.min()) > 0.04 else 1),
        zone=data.zone,
        describe=f"Drawdown, at most {percent(data.metrics['max_drawdown_fraction'])}",
        height=130,
        base=0.0,
    )
    versus = "the universe bought in equal parts at its first closes and held, without costs"
    note = f"{data.currency} at each bar's close{', logarithmic' if scale.is_log else ''}. " + (
        f"Against {versus}." if curves.benchmark is not None else f"The benchmark is {NOT_SAVED}."
    )
    return section(
        "Equity",
        note,
        equity.figure,
        element("h3", "Drawdown"),
        under.figure,
        charts={"equity": equity, "drawdown": under},
    )


def metrics_section(data: ReportData) -> Section:
    """All metrics in three groups; that of the trades has their averages and extremes as well."""
    groups = []
    for title, keys in _METRIC_GROUPS.items():
        rows = metric_pairs(keys, data.metrics, data.currency)
        if title == "Trades":
            rows += _trade_pairs(data)
        groups.append(element("div", element("h3", title), pairs(rows)))
    note = f"A year has {number(data.periods_per_year, 0)} bars on this market; the risk-free rate is 0."
    return section("Metrics", note, element("div", groups, class_="columns"))


def months_section(data: ReportData) -> Section:
    """Returns by month."""
    initial = data.config.initial_cash
    months = monthly_returns(data.curves.equity, initial, zone=data.zone)
    benchmark = data.curves.benchmark
    held = None if benchmark is None else monthly_returns(benchmark, initial, zone=data.zone)
    note = "Percent. The first and the last month may be parts of months." + (
        "" if held is None else " Held: the benchmark's year."
    )
    return section("Monthly returns", note, month_table(months, held))


def rolling_section(data: ReportData) -> Section:
    """The Sharpe ratio over time."""
    title, equity, initial = "Rolling Sharpe ratio", data.curves.equity, data.config.initial_cash
    window = rolling_window(len(equity), data.periods_per_year)
    if window is None:
        return empty_section(title, "The period is too short for a rolling figure.")
    values = rolling_sharpe(equity, initial, window=window.bars, periods_per_year=data.periods_per_year)
    if values.isna().all():
        return empty_section(title, "Equity did not move, so that there is none.")
    chart = time_chart(
        "sharpe",
        [Line(name="Sharpe ratio", look="sharpe", values=values)],
        scale=value_scale(values.to_numpy(), include=0.0),
        unit="ratio",
        write=lambda value: number(value, 1),
        zone=data.zone,
        describe=f"Sharpe ratio of the last {window.bars} bars over time",
        base=0.0,
    )
    span = "a year" if window.months == 12 else counted(window.months, "month")
    note = f"Of the last {counted(window.bars, 'bar')}, about {span}."
    return section(title, note, chart.figure, charts={"sharpe": chart})


def exposure_section(data: ReportData) -> Section:
    """Which part of the equity was in positions."""
    in_market = percent(data.metrics["exposure_fraction"])
    found = exposure_of(data.curves)
    if found is None:
        return empty_section("Exposure", f"The curve is {NOT_SAVED}.", note=f"In the market in {in_market} of the bars.")
    if not data.metrics["exposure_fraction"]:
        return empty_section("Exposure", "No position was ever open.")
    lines = [Line(name="Long", look="long", values=found.long, is_filled=True, is_stepped=True)]
    if found.has_shorts:
        lines.append(Line(name="Short", look="short", values=-found.short, is_filled=True, is_stepped=True))
    numbers = np.concatenate([line.values.to_numpy() for line in lines])
    chart = time_chart(
        "exposure",
        lines,
        scale=value_scale(numbers, include=0.0),
        unit="percent",
        write=lambda value: percent(value, 0),
        zone=data.zone,
        describe=f"Value of positions as a part of equity over time; in the market in {in_market} of the bars",
        height=140,
        base=0.0,
    )
    note = f"Value of positions as a part of equity, at each bar's close. In the market in {in_market} of the bars."
    return section("Exposure", note, chart.figure, charts={"exposure": chart})


def drawdowns_section(data: ReportData) -> Section:
    """The deepest drawdowns."""
    episodes = drawdown_episodes(data.curves.equity, data.config.initial_cash)
    if not episodes:
        return empty_section("Deepest drawdowns", "Equity was never below an earlier value.")
    spacing = data.config.timeframe.delta

    def when(moment: datetime | None) -> str:
        return "not yet" if moment is None else clock_time(moment, data.zone, spacing)

    rows = [
        (
            when(one.peak_at),
            when(one.trough_at),
            when(one.recovered_at),
            exact(length_of_time(one.duration_s), one.duration_s),
            exact(percent(one.depth_fraction), one.depth_fraction),
        )
        for one in episodes
    ]
    columns = ("Peak", "Lowest", "Recovered", "Lasted", "Depth")
    return section("Deepest drawdowns", None, table(columns, rows, numbers=("Lasted", "Depth")))


def _trade_pairs(data: ReportData) -> list[tuple[str, Content]]:
    found = trade_statistics(data.trades)
    return [
        ("Average gain", exact(percent(found.average_win_fraction), found.average_win_fraction)),
        ("Average loss", exact(percent(found.average_loss_fraction), found.average_loss_fraction)),
        ("Best", exact(percent(found.best_fraction), found.best_fraction)),
        ("Worst", exact(percent(found.worst_fraction), found.worst_fraction)),
        ("Longest losing run", counted(found.longest_losing_run, "trade")),
        ("Median holding time", "–" if found.median_bars_held is None else f"{found.median_bars_held:,g} bars"),
    ]
