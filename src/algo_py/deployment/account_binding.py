"""A deployment is bound to the account that it first traded on, and its account to what was promised to all who trade on it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from algo_py.database import Database
from algo_py.deployment.config import DeploymentConfig, Replay
from algo_py.deployment.store import DeploymentStore
from algo_py.errors import Conflict
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


def short_of_cash(database: Database, config: DeploymentConfig, account: AccountSummary) -> tuple[str, ...]:
    """Return what is to be said when an account has less free than its deployments may spend; nothing where it is not told."""
    if account.cash is None or isinstance(config.clock, Replay) or config.oms == "paper":
        return ()
    promised = promised_cash(database, account.account, also=config)
    if account.cash >= promised:
        return ()
    quote = config.market.quote_currency
    told = f"the account has {account.cash:,.2f} {quote} free, and its deployments may spend {promised:,.2f}"
    return (f"{told}: entries beyond what is there are made smaller, or refused",)


def promised_cash(database: Database, account: str, *, also: DeploymentConfig | None = None) -> Decimal:
    """Return the cash of all ledgers of deployments that trade on an account and have not ended, quote currency."""
    found = Decimal(0)
    seen = set()
    for row in DeploymentStore(database).all():
        if row.account == account and not row.state.has_ended:
            seen.add(row.id)
            initial = from_float(row.config.backtest.initial_cash)
            found += max(Decimal(0), fold(initial, events_of(database, row.id)).cash)
    if also is not None and also.id not in seen:
        found += from_float(also.backtest.initial_cash)
    return found
