"""What it takes to get this result again: the whole configuration, the exact bars and code, and how the numbers are meant."""

from __future__ import annotations

from algo_py.backtest.report.data import ReportData
from algo_py.backtest.report.headline import clock_time
from algo_py.backtest.report.markup import Content, element
from algo_py.backtest.report.performance import NOT_SAVED, Section, section
from algo_py.backtest.report.tables import pairs, table
from algo_py.backtest.words import terms
from algo_py.clock import format_time

_HASH_SHOWN = 16


def provenance_section(data: ReportData) -> Section:
    """The configuration, the fingerprint of the bars, the strategy's files, the environment."""
    config = data.config
    settings: list[tuple[str, Content]] = [
        ("Strategy", config.strategy),
        ("Parameters", ", ".join(f"{name} = {value}" for name, value in config.params.items()) or "none"),
        ("Market", f"{data.market.title} ({config.market})"),
        ("Universe", ", ".join(config.symbols)),
        ("Bars", str(config.timeframe)),
        ("Period", f"{format_time(config.start)} to {format_time(config.end)} (exclusive)"),
        *((name.capitalize(), text) for name, text in terms(config)),
    ]
    if data.id is not None:
        settings += [("Id", data.id), ("Saved", format_time(data.created_at))]
    spacing = config.timeframe.delta
    bars = [
        (
            symbol,
            clock_time(own.first, data.zone, spacing),
            clock_time(own.last, data.zone, spacing),
            f"{own.rows:,}",
            element("code", own.sha256[:_HASH_SHOWN], title=own.sha256),
        )
        for symbol, own in data.fingerprint.items()
    ]
    code = [(path, element("code", own[:_HASH_SHOWN], title=own)) for path, own in data.sources.items()]
    versions = ", ".join(f"{name} {version}" for name, version in data.environment.items())
    return section(
        "How to get this again",
        "The same configuration, bars and code give the same numbers to the last digit.",
        pairs(settings, class_="pairs long"),
        element("h3", "Bars"),
        table(("Symbol", "First", "Last", "Bars", "SHA-256"), bars, numbers=("Bars",)),
        element("h3", "Code"),
        table(("File", "SHA-256"), code) if code else element("p", f"The strategy's source is {NOT_SAVED}.", class_="empty"),
        element("p", versions, class_="note") if versions else None,
    )


def conventions(data: ReportData) -> Content:
    """Return how the numbers are meant, in a few lines for the page's foot."""
    return element(
        "footer",
        element(
            "p",
            f"Moments are {data.zone.key} time. Values stand at the open time of the bar at whose close they were taken. "
            "Returns are per bar, from the initial cash on; deviations have ddof 1; the Sortino ratio's is the downside "
            "deviation over all bars; years are counted in bars. Trades are after costs. What is not defined is a dash.",
        ),
        element("p", "A backtest is not a promise: it fills at prices of the past and moves no market. Made by Algo.Py."),
    )
