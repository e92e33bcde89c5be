"""Orders at Binance's spot market, through ccxt's own client. Importing this does not import ccxt."""

from algo_py.oms.binance.adapter import BinanceOMS

__all__ = ["BinanceOMS"]
