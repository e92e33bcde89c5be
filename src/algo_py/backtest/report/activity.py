"""What was traded: how trades are distributed, what they cost, what is still open, and every one of them."""

from __future__ import annotations

from algo_py.backtest.report.charts import histogram
from algo_py.backtest.report.costs import Costs, costs_of
from algo_py.backtest.report.data import ReportData
from algo_py.backtest.report.headline import clock_time
from algo_py.backtest.report.markup import Content, Markup, element
from algo_py.backtest.report.performance import NOT_SAVED, Section, empty_section, section
from algo_py.backtest.report.tables import exact, pairs, table
from algo_py.backtest.report.trades import TradeGroup, duration_histogram, return_histogram, trade_groups
from algo_py.backtest.words import counted, money, number, percent, price, signed_money, signed_percent

MOST_TRADES = 1_000  # a longer table makes the page slow; the saved backtest holds all

_GROUPS = {"symbol": "Symbol", "direction": "Direction", "exit_reason": "Exit"}


def distribution_section(data: ReportData) -> Section:
    """Histograms of returns and durations, and the trades by symbol, direction and reason of the exit."""
    trades = data.trades
    if trades.empty:
        return empty_section("Trades", "No trade was closed.")
    figures = [
        histogram(
            return_histogram(trades),
            title="Return of a trade, after costs",
            write=lambda value: percent(value, 1 if abs(value) < 0.1 and value else 0),
            describe="Histogram of the trades' returns",
            has_losses=True,
        ),
        histogram(
            duration_histogram(trades),
            title=f"Bars held ({data.config.timeframe})",
            write=lambda value: number(value, 0),
            describe="Histogram of how many bars the trades were held",
        ),
    ]
    groups = [
        _group_table(trade_groups(trades, by), name, data.currency)  # type: ignore[arg-type]
        for by, name in _GROUPS.items()
        if trades[by].nunique() > 1
    ]
    return section("Trades", None, element("div", figures, class_="columns"), groups)


def costs_section(data: ReportData) -> Section:
    """From what the fills would have earned for nothing to what they did."""
    costs = costs_of(data.orders, data.config, data.metrics)
    steps: list[tuple[str, Content]] = [
        ("Profit before costs", _money(costs.gross_profit, data.currency)),
        ("Fees", _money(-costs.fees, data.currency)),
        ("Slippage", _money(-costs.slippage, data.currency)),
    ]
    if data.config.borrow_rate_annual:
        steps.append(("Borrowing", _money(-costs.borrowing, data.currency)))
    steps.append(("Profit", _money(costs.net_profit, data.currency)))
    note = f"{data.currency}. Slippage is the distance of each fill from its bar's own price."
    columns = [pairs(steps, class_="pairs sum"), pairs(_rates(costs, data.currency))]
    return section("Costs", note, element("div", columns, class_="columns"))


def positions_section(data: ReportData) -> Section:
    """What was open at the end."""
    found = data.open_positions
    title = "Open at the end"
    if found is None:
        return empty_section(title, f"Open positions are {NOT_SAVED}.")
    if found.empty:
        return empty_section(title, "No position was open.")
    spacing = data.config.timeframe.delta
    rows = [
        (
            str(one.symbol),
            str(one.direction),
            clock_time(one.entry_time, data.zone, spacing),  # type: ignore[arg-type]
            *(price(value) for value in (one.quantity, one.entry_price, one.last_price)),  # type: ignore[arg-type]
            _money(one.profit, data.currency),  # type: ignore[arg-type]
            _gained(one.return_fraction),  # type: ignore[arg-type]
            number(one.bars_held, 0),  # type: ignore[arg-type]
        )
        for one in found.itertuples()
    ]
    columns = ("Symbol", "Direction", "Entry", "Quantity", "Entry price", "Last price", "Profit", "Return", "Bars")
    note = f"Marked at the last close; {data.currency}, the costs so far taken off. They are in the equity and not in the trades."
    return section(title, note, table(columns, rows, numbers=columns[3:]))


def trades_section(data: ReportData) -> Section:
    """Every closed trade, or the last ones where there are very many."""
    trades = data.trades
    if trades.empty:
        return empty_section("All trades", "No trade was closed.")
    shown = trades.iloc[-MOST_TRADES:]
    spacing = data.config.timeframe.delta
    rows = [
        (
            f"{place + 1:,}",
            str(one.symbol),
            str(one.direction),
            clock_time(one.entry_time, data.zone, spacing),  # type: ignore[arg-type]
            clock_time(one.exit_time, data.zone, spacing),  # type: ignore[arg-type]
            *(price(value) for value in (one.quantity, one.entry_price, one.exit_price)),  # type: ignore[arg-type]
            money(one.fees, data.currency),  # type: ignore[arg-type]
            _money(one.profit, data.currency),  # type: ignore[arg-type]
            _gained(one.return_fraction),  # type: ignore[arg-type]
            number(one.bars_held, 0),  # type: ignore[arg-type]
            str(one.exit_reason).replace("_", " "),
        )
        for place, one in zip(range(len(trades) - len(shown), len(trades)), shown.itertuples(), strict=True)
    ]
    numbers = ("#", "Quantity", "Entry price", "Exit price", "Fees", "Profit", "Return", "Bars")
    columns = ("#", "Symbol", "Direction", "Entry", "Exit", *numbers[1:], "Reason")
    note = f"Fees and profit in {data.currency}, profit after costs."
    if len(shown) < len(trades):
        note = f"The last {len(shown):,} of {counted(len(trades), 'trade')}; the saved backtest holds all. {note}"
    return section("All trades", note, table(columns, rows, numbers=numbers, class_="trades sortable"))


def _group_table(groups: list[TradeGroup], name: str, currency: str) -> Markup:
    columns = (name, "Trades", "Won", "Average return", "Fees", "Profit")
    rows = [
        (
            one.name.replace("_", " "),
            number(one.trades, 0),
            percent(one.win_rate_fraction, 1),
            _gained(one.average_return_fraction),
            money(one.fees, currency),
            _money(one.profit, currency),
        )
        for one in groups
    ]
    return table(columns, rows, numbers=columns[1:], class_="groups")


def _rates(costs: Costs, currency: str) -> list[tuple[str, Content]]:
    return [
        ("Turnover", exact(money(costs.turnover, currency), costs.turnover)),
        ("Filled orders", number(costs.fills, 0)),
        ("Denied orders", number(costs.denied, 0)),
        ("Costs, part of turnover", exact(percent(costs.total_fraction_of_turnover, 3), costs.total_fraction_of_turnover)),
        (
            "Costs, part of the profit before them",
            exact(percent(costs.total_fraction_of_gross, 1), costs.total_fraction_of_gross),
        ),
    ]


def _money(value: float, currency: str) -> Content:
    return element(
        "data",
        signed_money(value, currency),
        value=repr(float(value)),
        class_="gain" if value > 0 else "loss" if value < 0 else None,
    )


def _gained(fraction: float) -> Content:
    return element(
        "data",
        signed_percent(fraction),
        value=repr(float(fraction)),
        class_="gain" if fraction > 0 else "loss" if fraction < 0 else None,
    )
