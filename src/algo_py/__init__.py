"""Algo.Py: from a saved backtest to a running trading deployment."""

__version__ = "0.1.0"
