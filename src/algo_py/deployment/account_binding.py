"""A deployment is bound to the account that it first traded on, and its account to what was promised to all who trade on it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from algo_py.database import Database
from algo_py.deployment.config import DeploymentConfig, Replay
from algo_py.deployment.reconcile import AccountBooks
from algo_py.deployment.store import DeploymentStore
from algo_py.errors import Conflict, InvalidInput
from algo_py.formatting import money, with_currency
from algo_py.oms import AccountSummary
from algo_py.orders.execution import ExecutionLog
from algo_py.orders.halts import HaltedBy, halt, resume
from algo_py.orders.ledger import fold
from algo_py.orders.model import from_float
from algo_py.orders.records import events_of


class OtherAccount(Conflict):
    """The credentials are of another account than the deployment trades on."""


def bind(database: Database, config: DeploymentConfig, account: str, *, at: datetime, log: ExecutionLog) -> None:
    """Bind a deployment to its account, once; nothing is sent to another one, whose coins are not what it holds.

    Raises OtherAccount, and halts the deployment until the account is the right one again.
    """
    _halt_mixed_quotes(database, config, at=at, log=log)
    bound = DeploymentStore(database).bind_account(config.id, account)
    if bound == account:
        if resume(database, config.id, by=HaltedBy.ACCOUNT):
            log.info("deployment.resumed", reason=f"the credentials are those of {account} again")
        return
    error = OtherAccount(
        f"it trades on the account {bound}, and the credentials are those of {account}",
        remedy="Put the right ones into config/.env; to trade on the other account, deploy anew.",
    )
    if halt(database, config.id, reason=str(error), by=HaltedBy.ACCOUNT, at=at):
        log.error("deployment.halted", reason=str(error), by=HaltedBy.ACCOUNT)
    raise error


def _halt_mixed_quotes(database: Database, config: DeploymentConfig, *, at: datetime, log: ExecutionLog) -> None:
    """Keep an earlier version's deployment whose symbols have several quote currencies from entering: its cash means nothing."""
    try:
        _ = config.quote_currency
    except InvalidInput as error:
        reason = f"{error.message}; what it holds can be sold"
        if halt(database, config.id, reason=reason, by=HaltedBy.QUOTES, at=at):
            log.error("deployment.halted", reason=reason, by=HaltedBy.QUOTES)


def short_of_cash(database: Database, config: DeploymentConfig, account: AccountSummary, *, venue: str) -> tuple[str, ...]:
    """Return what is to be said when an account has less free than its deployments may spend; nothing where it is not told.

    `venue` is the name that its orders carry. Compared are deployments of one quote currency: BTC pays for nothing in USDT, and
    of BTC that is free, what others hold of BTC/USDT is not cash.
    """
    if account.cash is None or isinstance(config.clock, Replay) or config.oms == "paper":
        return ()
    market, quote = config.market, config.backtest.quote_label
    books = AccountBooks(database, venue, account.account, market=market, quote_currency=quote)
    free = max(Decimal(0), account.cash - books.coins_of_others(quote))
    promised = promised_cash(database, account.account, quote, also=config)
    if free >= promised:
        return ()
    told = f"the account has {with_currency(free, quote)} free, and its deployments may spend {money(promised, quote)}"
    return (f"{told}: entries beyond what is there are made smaller, or refused",)


def promised_cash(database: Database, account: str, quote: str, *, also: DeploymentConfig | None = None) -> Decimal:
    """Return the cash in a quote currency of all ledgers of deployments that trade on an account and have not ended."""
    found = Decimal(0)
    seen = set()
    for row in DeploymentStore(database).all():
        if row.account == account and row.config.backtest.quote_label == quote and not row.state.has_ended:
            seen.add(row.id)
            initial = from_float(row.config.backtest.initial_cash)
            found += max(Decimal(0), fold(initial, events_of(database, row.id)).cash)
    if also is not None and also.id not in seen:
        found += from_float(also.backtest.initial_cash)
    return found
