"""The head of the report: what was tested, the numbers that one looks at first, and what to know before believing them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from algo_py.backtest.report.data import ReportData
from algo_py.backtest.report.markup import Content, Markup, element
from algo_py.backtest.report.tables import pairs
from algo_py.backtest.words import counted, length_of_time, listed, metric, money, number, percent, signed_percent, terms

_DAY = timedelta(days=1)


def headline(data: ReportData) -> Markup:
    """Return the report's head."""
    config = data.config
    parameters = [element("span", f"{name} = {value}", class_="chip") for name, value in config.params.items()]
    # The last day of the period is the one before its end, which is exclusive.
    period = f"{day(config.start, data.zone)} to {day(config.end - timedelta(microseconds=1), data.zone)}"
    saved = "" if data.created_at is None else f", saved on {day(data.created_at, data.zone)}"
    facts: list[tuple[str, Content]] = [
        ("Market", data.market.title),
        ("Period", f"{period}, {counted(len(data.curves.equity), 'bar')}"),
        *((name.capitalize(), text) for name, text in terms(config)),
    ]
    return element(
        "header",
        element("p", f"Backtest report{saved}", class_="eyebrow"),
        element("h1", data.name),
        element(
            "p",
            element("strong", config.strategy),
            f" on {config.timeframe} bars of {listed(config.symbols)}",
            class_="lead",
        ),
        element("p", parameters, class_="chips") if parameters else None,
        pairs(facts, class_="facts"),
    )


def cards(data: ReportData) -> Markup:
    """Return the six numbers that one looks at first."""
    metrics = data.metrics
    held = metrics["benchmark_return_fraction"]
    total = metrics["total_return_fraction"]
    shown = [
        ("Return", signed_percent(total), f"held: {signed_percent(held)}", _look(total)),
        (
            "Return a year",
            signed_percent(metrics["cagr_fraction"]),
            f"volatility {percent(metrics['volatility_fraction'])}",
            _look(metrics["cagr_fraction"]),
        ),
        (
            "Sharpe ratio",
            metric("sharpe_ratio", metrics["sharpe_ratio"], data.currency),
            f"Sortino {number(metrics['sortino_ratio'])}",
            None,
        ),
        (
            "Largest drawdown",
            percent(metrics["max_drawdown_fraction"]),
            f"lasted {length_of_time(metrics['max_drawdown_duration_s'])}",
            None,
        ),
        (
            "Closed trades",
            metric("trades", metrics["trades"], data.currency),
            f"{percent(metrics['win_rate_fraction'], 1)} won",
            None,
        ),
        (
            "Profit factor",
            number(metrics["profit_factor"]),
            f"{money(metrics['expectancy'], data.currency)} {data.currency} a trade",
            None,
        ),
    ]
    return element(
        "div",
        [
            element(
                "div",
                element("p", name),
                element("p", value, class_=f"figure {look or ''}".strip()),
                element("p", more),
                class_="card",
            )
            for name, value, more, look in shown
        ],
        class_="cards",
    )


def warnings(messages: Sequence[str]) -> Markup | None:
    """Return the warnings of the backtest, or nothing."""
    if not messages:
        return None
    title = "One thing to know before believing this" if len(messages) == 1 else "Things to know before believing this"
    items = [element("li", f"{message[:1].upper()}{message[1:]}.") for message in messages]
    return element("aside", element("h2", title), element("ul", items), class_="warnings")


def day(moment: datetime, zone: ZoneInfo) -> str:
    """Return `3 Jan 2025` by the calendar of `zone`."""
    return f"{moment.astimezone(zone):%-d %b %Y}"


def clock_time(moment: datetime, zone: ZoneInfo, spacing: timedelta) -> str:
    """Return a bar's moment: its day where bars are days or longer, else day and time."""
    local = moment.astimezone(zone)
    return f"{local:%Y-%m-%d}" if spacing >= _DAY else f"{local:%Y-%m-%d %H:%M}"


def _look(value: float | None) -> str | None:
    return None if not value else "gain" if value > 0 else "loss"
