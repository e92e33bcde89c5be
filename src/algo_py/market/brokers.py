"""What brokers do on their own: dated records, each with its source."""

from __future__ import annotations

from datetime import date, time
from typing import Final

from algo_py.market.facts import Dated

# From then on Zerodha closes intraday positions of shares (product MIS) itself, at its own price and for a fee, and takes no new
# ones. It says that it may begin earlier on volatile days.
ZERODHA_SQUARE_OFF: Final[tuple[Dated[time], ...]] = (
    Dated(
        valid_from=date(2015, 1, 1),
        value=time(15, 20),
        source="support.zerodha.com, auto square-off timings for open intraday positions (equity: 3:20 PM)",
    ),
)
