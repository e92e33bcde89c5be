"""Orders of NSE's shares through Zerodha's Kite Connect, and the login that each day needs."""

from algo_py.oms.zerodha.access import KiteLimits
from algo_py.oms.zerodha.adapter import ZerodhaOMS, zerodha_oms

__all__ = ["KiteLimits", "ZerodhaOMS", "zerodha_oms"]
