"""The OMS by name: what each needs, whether it has it, and how it is opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from algo_py.clock import Clock, SystemClock
from algo_py.credentials import Credentials
from algo_py.database import Database
from algo_py.engine import PortfolioConfig
from algo_py.errors import InvalidInput, NotFound
from algo_py.market import Market
from algo_py.oms.paper import PaperOMS, PriceFeed
from algo_py.oms.protocol import OMS, AccountSummary
from algo_py.oms.triggers import PriceBar
from algo_py.settings import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class OMSChoice:
    """An OMS as a person chooses it. keys: what it needs in config/.env. markets: what it trades, empty for all."""

    name: str
    title: str
    keys: tuple[str, ...] = ()
    markets: tuple[str, ...] = ()

    def state(self, credentials: Credentials) -> str:
        """Return the state of its credentials in words; never a secret, and nothing is asked of the venue."""
        if not self.keys:
            return "needs no credentials"
        missing = credentials.missing(*self.keys)
        return f"missing: {', '.join(missing)} in config/.env" if missing else "configured"


_CCXT: Final = "ccxt:"
_CHOICES: Final[Mapping[str, OMSChoice]] = {
    choice.name: choice
    for choice in (
        OMSChoice(name="paper", title="Paper"),
        OMSChoice(name="telegram", title="Telegram", keys=("TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID")),
        OMSChoice(name="zerodha", title="Zerodha", keys=("ZERODHA_API_KEY", "ZERODHA_API_SECRET"), markets=("indian_equity",)),
        OMSChoice(name="binance", title="Binance", keys=("BINANCE_API_KEY", "BINANCE_API_SECRET"), markets=("crypto_binance",)),
    )
}


def oms_names() -> tuple[str, ...]:
    """Return the names of all OMS, in the order in which screens list them."""
    return tuple(_CHOICES)


def oms_choice(name: str) -> OMSChoice:
    """Return what is known of an OMS before it is opened. Raises NotFound.

    `ccxt:EXCHANGE` is another exchange of ccxt; where it cannot be asked for an order by our own id, it is Refused by name.
    """
    if name.startswith(_CCXT):
        from algo_py.oms.binance.exchanges import exchange_of

        exchange_id = name.removeprefix(_CCXT)
        keys = exchange_of(exchange_id).keys
        return OMSChoice(
            name=name, title=exchange_id.capitalize(), keys=(f"{keys}_API_KEY", f"{keys}_API_SECRET"), markets=("crypto_binance",)
        )
    try:
        return _CHOICES[name]
    except KeyError:
        raise NotFound(f"there is no OMS {name!r}", remedy=f"Use one of {', '.join(_CHOICES)}.") from None


def check_oms(name: str, market: Market) -> None:
    """Refuse an OMS that does not exist, or does not trade the market."""
    choice = oms_choice(name)
    if choice.markets and market.name not in choice.markets:
        fitting = [other.name for other in _CHOICES.values() if not other.markets or market.name in other.markets]
        raise InvalidInput(f"{choice.title} does not trade {market.name}", remedy=f"Use one of {', '.join(fitting)}.")


def check_backtest(name: str, config: PortfolioConfig, *, workspace: Workspace, day: date) -> None:
    """Refuse a backtest that cannot be traded there as it was tested, with what the workspace's settings say of the OMS."""
    if name == "zerodha":
        from algo_py.oms.zerodha.intraday import refuse_unfit

        refuse_unfit(config, product=workspace.settings().zerodha.product, day=day)


def open_oms(
    name: str,
    *,
    workspace: Workspace,
    database: Database,
    clock: Clock,
    deployment_id: str,
    deployment_name: str,
    market: Market,
    symbols: Sequence[str],
    config: PortfolioConfig,
    feed: PriceFeed,
) -> OMS:
    """Build the OMS called `name` for one deployment; it is not connected yet.

    Raises NotFound, InvalidInput for a market that it does not trade, AuthFailed when a credential is missing.
    """
    check_oms(name, market)
    if name == "paper":
        # On the replay clock an order fills at the bar's open, whatever the time between: that is the backtest's rule.
        latency_s = workspace.settings().paper.latency_s if isinstance(clock, SystemClock) else 0.0
        return PaperOMS(
            database,
            clock,
            account=deployment_id,
            market=market,
            symbols=symbols,
            config=config,
            feed=feed,
            latency=timedelta(seconds=latency_s),
        )
    credentials = Credentials.of(workspace)
    if name == "binance" or name.startswith(_CCXT):
        from algo_py.oms.binance import BinanceOMS

        return BinanceOMS(credentials, market=market, clock=clock, symbols=symbols, exchange_id=name.removeprefix(_CCXT))
    if name == "telegram":
        from algo_py.oms.telegram import TelegramOMS

        policy = workspace.settings().telegram
        return TelegramOMS(
            credentials,
            database,
            clock,
            account=deployment_id,
            deployment_name=deployment_name,
            market=market,
            fees=config.fees,
            assume=policy.assume,
            answer_within=timedelta(seconds=policy.answer_within_s),
        )
    from algo_py.oms.zerodha import zerodha_oms

    return zerodha_oms(
        lambda: Credentials.of(workspace),
        market=market,
        clock=clock,
        folder=workspace.finstore / "_kite",
        product=workspace.settings().zerodha.product,
        auction_fills=bool(getattr(config, "auction_fills", False)),
    )


def try_connect(name: str, *, workspace: Workspace, database: Database, clock: Clock, market: Market) -> AccountSummary:
    """Connect an OMS once, to see whether the venue accepts the credentials; no order is sent.

    Raises what `open_oms` and `OMS.connect` raise.
    """
    oms = open_oms(
        name,
        workspace=workspace,
        database=database,
        clock=clock,
        deployment_id="",
        deployment_name="a check of the connection",
        market=market,
        symbols=(),
        config=PortfolioConfig(),
        feed=_NoPrices(),
    )
    return oms.connect()


class _NoPrices:
    """The feed of a paper account that nobody trades on."""

    def fill_price(self, symbol: str, bar_time: datetime, submitted_at: datetime) -> tuple[datetime, float] | None:
        return None

    def bars_since(self, symbol: str, submitted_at: datetime) -> Iterable[PriceBar]:
        return ()
