"""Who an account belongs to, and what stands in the way of trading on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from algo_py.oms.zerodha.portfolio import DELIVERY

_EXCHANGE: Final = "NSE"
_CONSENT: Final = "physical"  # a power of attorney, or a standing instruction (DDPI), is with the broker


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What Kite tells of the user (kite.trade/docs/connect/v3/user)."""

    user_id: str
    exchanges: Sequence[str]
    products: Sequence[str]
    consent: str

    @classmethod
    def read(cls, kite: Any) -> Profile:
        """Ask kiteconnect's KiteConnect. Raises LookupError or TypeError when the answer makes no sense."""
        row = kite.profile()
        user_id = row["user_id"]
        if not isinstance(user_id, str) or not user_id.isprintable() or not user_id:
            raise TypeError("the user has no id")
        return cls(
            user_id=user_id,
            exchanges=tuple(row["exchanges"]),
            products=tuple(row["products"]),
            consent=str((row.get("meta") or {}).get("demat_consent") or ""),
        )

    def warnings(self, product: str) -> tuple[str, ...]:
        """Return one line for each thing that a person should know."""
        found = (
            (_EXCHANGE not in self.exchanges, f"{_EXCHANGE} is not enabled for this account"),
            (product not in self.products, f"the product {product} is not enabled for this account"),
            (product != DELIVERY, f"Zerodha closes positions of {product} itself before the session ends"),
            (
                product == DELIVERY and self.consent != _CONSENT,
                "shares can be sold only on days on which their sale was authorised in Kite (CDSL TPIN), or with a DDPI",
            ),
        )
        return tuple(line for holds, line in found if holds)
