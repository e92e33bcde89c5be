"""The account and its key: which it is, what it may do, what it holds. Nothing is asked here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from pydantic import SecretStr

from algo_py.amounts import read_amount
from algo_py.credentials import Credentials
from algo_py.errors import AuthFailed, InvalidInput
from algo_py.market import Market
from algo_py.oms.binance.placing import is_of
from algo_py.oms.protocol import PositionReport

_YES: Final = frozenset({"true", "yes", "1", "on"})
_NO: Final = frozenset({"", "false", "no", "0", "off"})


def flag(credentials: Credentials, name: str) -> bool:
    """Return a switch of `config/.env`; one that is not there is off."""
    text = credentials.secret(name).get_secret_value().strip().lower() if credentials.has(name) else ""
    if text not in _YES | _NO:
        raise InvalidInput(f"{name} in config/.env must be true or false")
    return text in _YES


def account_id(name: str, account: Mapping[str, Any], key: SecretStr) -> str:
    """Return what names the account: its number at the exchange, which is the same whichever of its keys asks.

    Binance tells it (`uid`). Where an exchange does not, a print of the key stands in, and another key is another account.
    """
    number = account.get("uid")
    if number is not None:
        return f"{name}-{number}"
    return f"{name}-{hashlib.sha256(key.get_secret_value().encode()).hexdigest()[:12]}"


def check_account(account: Mapping[str, Any], name: str) -> None:
    """Refuse an account that may not trade. Raises AuthFailed."""
    if not account["canTrade"]:
        raise AuthFailed(f"the account at {name} may not trade", remedy=f"Ask {name} why, and lift the block.")


def check_rights(rights: Mapping[str, Any], *, name: str, keys: str, may_withdraw: bool) -> list[str]:
    """Refuse a key that may do too little or too much; return what a person should know of it. Raises AuthFailed.

    A key that may withdraw is worth the whole account to whoever reads it, and nothing here ever withdraws.
    """
    if not rights["enableSpotAndMarginTrading"]:
        raise AuthFailed(
            f"the key in {keys}_API_KEY may not trade",
            remedy=f"Switch on Spot & Margin Trading for it in {name}'s API management.",
        )
    warnings = []
    if rights["enableWithdrawals"]:
        if not may_withdraw:
            raise AuthFailed(
                f"the key in {keys}_API_KEY may withdraw funds",
                remedy=f"Switch withdrawals off for it, or write {keys}_ALLOW_WITHDRAWALS=true into config/.env.",
            )
        warnings.append("the key may withdraw funds; trading does not need that")
    if not rights["ipRestrict"]:
        warnings.append("the key works from any address; bind it to this machine's")
    return warnings


def free_cash(account: Mapping[str, Any], quote: str) -> Decimal:
    """Return how much of a quote currency is free. Raises ValueError where that is no amount."""
    balances = [entry for entry in account["balances"] if entry["asset"] == quote]
    return sum((_balance(entry, "free") for entry in balances), Decimal(0))


def holdings(account: Mapping[str, Any], market: Market, quote: str) -> Iterator[PositionReport]:
    """Yield what is held, free and locked, each asset but the quote currency under its symbol in that.

    What a resting sale has locked is held all the same; only what is free can be sold by one more order. Fees that were paid in
    an asset have left it: a holding of BNB is less by the fees of other symbols' trades.
    Whether that symbol is traded is not asked; an asset whose name cannot be that of a symbol is left out.
    """
    for entry in account["balances"]:
        symbol = f"{entry['asset']}/{quote}"
        quantity = _balance(entry, "free") + _balance(entry, "locked")
        if quantity and entry["asset"] != quote and is_of(symbol, market):
            yield PositionReport(symbol=symbol, quantity=quantity)


def _balance(entry: Mapping[str, Any], name: str) -> Decimal:
    """Read a balance; one that is no amount raises ValueError, as any other part that makes no sense."""
    try:
        return read_amount(entry[name], name=name, allow_zero=True)
    except InvalidInput as error:
        raise ValueError(error.message) from None
