"""What a backtest must have so that it can be traded with the product MIS: it ends each day with nothing held."""

from __future__ import annotations

from datetime import date

from algo_py.engine import PortfolioConfig
from algo_py.engine.day_time import written
from algo_py.errors import Refused
from algo_py.market.brokers import ZERODHA_SQUARE_OFF
from algo_py.market.facts import record_on
from algo_py.oms.zerodha.portfolio import DELIVERY


def refuse_unfit(config: PortfolioConfig, *, product: str, day: date) -> None:
    """Raise Refused for a backtest that does not close its positions before Zerodha does, or reckons with other charges."""
    if product == DELIVERY:
        return
    broker = record_on(ZERODHA_SQUARE_OFF, day)
    at = config.square_off_at
    if at is None or at >= broker.value:
        was = "none" if at is None else written(at)
        raise Refused(
            f"with [zerodha] product = {product} Zerodha closes positions itself from {written(broker.value)} on: "
            f"square_off_at must be before that (was {was})",
            remedy='Run the backtest with --square-off-at 15:10, or set product = "CNC" in config/algo.toml.',
        )
    if config.cost_schedule != "nse_intraday":
        raise Refused(
            f"with [zerodha] product = {product} the charges are those of intraday trades: cost_schedule must be nse_intraday "
            f"(was {config.cost_schedule or 'none'})",
            remedy='Run the backtest with --costs nse_intraday, or set product = "CNC" in config/algo.toml.',
        )
