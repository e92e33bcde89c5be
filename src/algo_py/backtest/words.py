"""A backtest in a person's words. What is not known is a dash, never a zero; percent exists only where people read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, Literal

from algo_py.backtest.config import BacktestConfig
from algo_py.engine.day_time import written
from algo_py.formatting import money as plain_money
from algo_py.formatting import with_currency
from algo_py.market import get_market

DASH = "–"

Kind = Literal["money", "percent", "ratio", "count", "time"]

# What people call the metrics, and how their values are written.
METRIC_WORDS: Final[Mapping[str, tuple[str, Kind]]] = {
    "initial_equity": ("equity at the start", "money"),
    "final_equity": ("equity at the end", "money"),
    "total_return_fraction": ("return", "percent"),
    "benchmark_return_fraction": ("return, the symbols held", "percent"),
    "cagr_fraction": ("return a year", "percent"),
    "volatility_fraction": ("volatility a year", "percent"),
    "sharpe_ratio": ("Sharpe ratio", "ratio"),
    "sortino_ratio": ("Sortino ratio", "ratio"),
    "calmar_ratio": ("Calmar ratio", "ratio"),
    "max_drawdown_fraction": ("largest drawdown", "percent"),
    "max_drawdown_duration_s": ("length of that drawdown", "time"),
    "trades": ("closed trades", "count"),
    "win_rate_fraction": ("winning trades", "percent"),
    "profit_factor": ("profit factor", "ratio"),
    "expectancy": ("profit per trade", "money"),
    "fees_paid": ("fees paid", "money"),
    "exposure_fraction": ("time in the market", "percent"),
}


def number(value: float | None, digits: int = 2) -> str:
    """Return `1,234.50`, with a true minus sign."""
    return DASH if value is None else f"{_unsigned_zero(value, digits):,.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """Return `+1,234.50` or `−1,234.50`; what rounds to 0 has no sign."""
    return f"+{number(value, digits)}" if value is not None and round(value, digits) > 0 else number(value, digits)


def money(value: float | None, currency: str) -> str:
    """Return an amount of a currency: `1,234.50` of USDT, `0.00012345` of BTC; with a true minus sign."""
    return DASH if value is None else plain_money(value, currency).replace("-", "−")


def signed_money(value: float | None, currency: str) -> str:
    """Return `+0.00012345` or `−0.00012345`; what rounds to 0 has no sign."""
    return DASH if value is None else plain_money(value, currency, signed=True).replace("-", "−")


def short_number(value: float, largest: float) -> str:
    """Return a number for an axis whose largest one is `largest`: `950`, `12,500`, `125 k`, `2.5 M`; `0.00125` for 0.00200."""
    for unit, name in ((1e9, "bn"), (1e6, "M"), (1e3, "k")):
        if largest >= unit and largest >= 1e5:
            return f"{value / unit:,.10g} {name}".replace("-", "−")
    if largest >= 100:
        return number(value, 0)
    # Enough for the steps between the values on the axis, which are smaller than the largest one.
    return number(value, 2 if largest >= 1 or largest <= 0 else min(2 - math.floor(math.log10(largest)), 18))


def percent(fraction: float | None, digits: int = 2) -> str:
    """Return `12.30 %` for 0.123."""
    return DASH if fraction is None else f"{number(fraction * 100, digits)} %"


def signed_percent(fraction: float | None, digits: int = 2) -> str:
    """Return `+12.30 %` for 0.123."""
    return DASH if fraction is None else f"{signed(fraction * 100, digits)} %"


def rate(fraction: float) -> str:
    """Return a rate with all its digits, at least two: `0.10 %`, `0.075 %`."""
    value = (Decimal(repr(fraction)) * 100).normalize()
    exponent = value.as_tuple().exponent
    digits = max(2, -exponent) if isinstance(exponent, int) else 2
    return f"{value:,.{digits}f} %"


def price(value: float | None) -> str:
    """Return a price or a quantity with eight significant digits: `104,250.12`, `0.00012345`."""
    if value is None:
        return DASH
    text = f"{Decimal(f'{value:.8g}'):,f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")


def length_of_time(seconds: float | None) -> str:
    """Return `12 d 4 h`, `4 h 30 min` or `30 min`."""
    if seconds is None:
        return DASH
    minutes = round(seconds / 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days:,} d {hours} h" if hours else f"{days:,} d"
    return f"{hours} h {rest} min" if hours else f"{rest} min"


def metric(key: str, value: float | None, currency: str) -> str:
    """Return a metric's value by its kind; `currency` is that of money."""
    kind = METRIC_WORDS[key][1]
    if kind == "money":
        return money(value, currency)
    if kind == "percent":
        return percent(value)
    if kind == "time":
        return length_of_time(value)
    return number(value, 0 if kind == "count" else 2)


def counted(count: int, what: str) -> str:
    """Return `1 bar`, `2 bars`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def listed(names: Sequence[str], most: int = 4) -> str:
    """Return `A, B, C and 2 more`."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def terms(config: BacktestConfig) -> list[tuple[str, str]]:
    """Return what a backtest was run on besides strategy and bars, a pair of name and words for each topic."""
    currency = config.quote_label
    pairs = [
        ("cash", f"{with_currency(config.initial_cash, currency)}, {_pools(config)}"),
        ("size", f"{_size(config, currency)} an entry, {'shrunk' if config.allow_partial else 'denied'} where cash is short"),
        ("orders", f"{_directions(config)}, filled at {_place(config)}"),
        ("costs", ", ".join(_costs(config, currency))),
    ]
    more = {"exits": ", ".join(_exits(config)), "entries": _hours(config)}
    return [*pairs, *((name, words) for name, words in more.items() if words)]


def _pools(config: BacktestConfig) -> str:
    if len(config.symbols) == 1:
        return "one symbol"
    return "one pool for all symbols" if config.cash_sharing else "an equal part for each symbol"


def _size(config: BacktestConfig, currency: str) -> str:
    if config.size_type == "percent":
        return f"{rate(config.size)} of equity"
    return with_currency(config.size, currency) if config.size_type == "value" else f"{price(config.size)} units"


def _directions(config: BacktestConfig) -> str:
    return {"long": "long only", "short": "short only", "both": "long and short"}[config.direction]


def _place(config: BacktestConfig) -> str:
    place = "the next bar's open" if config.execution == "next_open" else "the close that decided them"
    return f"{place}, also in closing auctions" if config.auction_fills else place


def _hours(config: BacktestConfig) -> str:
    """Return between which times of day entries are allowed; empty where at all."""
    zone = get_market(config.market).time_zone.key
    since, until = (None if moment is None else written(moment) for moment in (config.no_entry_before, config.no_entry_after))
    if since is not None and until is not None:
        return f"from {since} to {until} {zone}"
    if since is not None:
        return f"from {since} {zone} on"
    return "" if until is None else f"until {until} {zone}"


def _costs(config: BacktestConfig, currency: str) -> list[str]:
    schedule = {
        "nse_delivery": "statutory charges of NSE delivery by date (nse_delivery)",
        "nse_intraday": "statutory charges and brokerage of NSE intraday trades by date (nse_intraday)",
    }
    parts = [f"fees {rate(config.fees)}" if config.cost_schedule is None else schedule[config.cost_schedule]]
    if config.maker_fees is not None:
        parts.append(f"maker fees {rate(config.maker_fees)}")
    if config.fixed_fees:
        parts.append(f"{with_currency(config.fixed_fees, currency)} a fill")
    parts.append(f"slippage {rate(config.slippage)}")
    if config.borrow_rate_annual:
        parts.append(f"borrowing {rate(config.borrow_rate_annual)} a year")
    return parts


def _exits(config: BacktestConfig) -> list[str]:
    stops = {"stop-loss": config.stop_loss, "take-profit": config.take_profit, "trailing stop": config.trailing_stop}
    parts = [f"{name} {rate(fraction)}" for name, fraction in stops.items() if fraction is not None]
    if config.max_hold_bars is not None:
        parts.append(f"after {counted(config.max_hold_bars, 'bar')} at the latest")
    if config.square_off_at is not None:
        parts.append(f"squared off at {written(config.square_off_at)} {get_market(config.market).time_zone.key}")
    return parts


def _unsigned_zero(value: float, digits: int) -> float:
    """Return 0 for what rounds to it, so that no `-0.00` is shown."""
    return 0.0 if round(value, digits) == 0 else value
