"""What became of a request that places or cancels an order, as far as its answer tells.

| answer | meaning | raised |
|---|---|---|
| Input-, Margin-, Holding-, UserException; OrderException and other kinds with 4xx | Kite said no | Rejected, of a kind: |
| - MarginException; HoldingException, but not for a sale that has to be authorised | funds or shares are lacking | NotEnough |
| - words about quantity, lot, tick, price or its band | a rule of the share | RuleBroken |
| TokenException, PermissionException | Kite does not take these credentials | AuthFailed |
| 429 | not looked at | RateLimited |
| Network- and DataException, other 5xx, no answer, one that is broken or makes no sense | nobody knows | OutcomeUnknown |
| no connection came about | it was not sent | VenueDown |

kite.trade/docs/connect/v3/exceptions lists the kinds. kiteconnect has no class for some of them, so `error_type` is read from the
answer itself. An OrderException with 5xx may be "a corrupt fetch" of an order that exists: that is not a no.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from algo_py.errors import AlgoPyError, AuthFailed, NotEnough, OutcomeUnknown, Rejected, RuleBroken, VenueDown
from algo_py.finstore.sources.answers import AGAIN_LATER

_LOGIN: Final = "Run `algo-py login zerodha` for today's access token."
_LOOK: Final = "It is looked up before anything is sent again."
# These say what is wrong with the order or the account, whatever their status: such an order was not taken.
_ALWAYS_NO: Final = ("InputException", "MarginException", "HoldingException", "UserException")
_AUTHORISE: Final = "authori"  # with 428: shares are there, and their sale waits for the user's word (CDSL TPIN)
# "Maximum quantity per order for Equity is ...", "Tick size for this script is ...", "Quantity should be multiple of lot size",
# "... freeze quantity", "... circuit limits", "... execution range" (support.zerodha.com, "kite-order-rejections").
_RULE_WORDS: Final = ("quantity", "lot size", "tick size", "circuit limit", "price band", "execution range", "`price`")
_NEVER_NO: Final = ("", "NetworkException", "DataException")
_TIMED_OUT: Final = 408
_SHOWN_CHARACTERS: Final = 200
_MISREAD = (ValueError, LookupError, TypeError, AttributeError)

_T = TypeVar("_T")


def entered(kite: Any, request: Callable[[Any], _T], *, subject: str) -> _T:
    """Put a request to kiteconnect's KiteConnect once and translate what goes wrong."""
    from kiteconnect.exceptions import KiteException  # whoever has a client has imported it

    answers: list[Any] = []

    def note(response: Any, *_: object, **__: object) -> None:
        answers.append(response)

    hooks = kite.reqsession.hooks["response"]
    hooks.append(note)
    try:
        return request(kite)
    except AlgoPyError:
        raise  # the client's own hook has understood it: 429
    except KiteException as error:
        raise _translated(error, answers[-1] if answers else None, subject) from None
    except OSError as error:
        raise _broken(error, subject) from None
    except _MISREAD as error:
        raise OutcomeUnknown(f"Kite's answer to {subject} makes no sense ({type(error).__name__})", remedy=_LOOK) from None
    finally:
        hooks.remove(note)


def _translated(error: Exception, answer: Any, subject: str) -> AlgoPyError:
    status = 0 if answer is None else int(answer.status_code)
    kind = _kind_of(answer)
    said = f"Kite says to {subject}: {_short(error)}"
    if kind == "TokenException":
        return AuthFailed(said, remedy=_LOGIN)
    if kind == "PermissionException":
        return AuthFailed(said, remedy="Allow it for the app of ZERODHA_API_KEY at developers.kite.trade.")
    if kind in _ALWAYS_NO or (kind not in _NEVER_NO and 400 <= status < 500 and status != _TIMED_OUT):
        return _refusal_of(kind, said)(said)
    return OutcomeUnknown(f"Kite's answer to {subject} does not tell (status {status}, {kind or 'no error type'})", remedy=_LOOK)


def _refusal_of(kind: str, words: str) -> type[Rejected]:
    """Return which kind of no it is, as far as its words tell: Kite has no codes for them."""
    lower = words.lower()
    if kind == "MarginException" or (kind == "HoldingException" and _AUTHORISE not in lower):
        return NotEnough
    is_rule = kind in ("InputException", "OrderException") and any(part in lower for part in _RULE_WORDS)
    return RuleBroken if is_rule else Rejected


def _kind_of(answer: Any) -> str:
    """Return the answer's `error_type`, nothing where it has none."""
    try:
        return str(answer.json().get("error_type") or "")
    except (OSError, ValueError, AttributeError):
        return ""


def _broken(error: OSError, subject: str) -> AlgoPyError:
    """Tell a connection that never came about from one that broke."""
    from requests.exceptions import ConnectionError as NotConnected
    from requests.exceptions import ConnectTimeout
    from urllib3.exceptions import NewConnectionError

    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, ConnectTimeout) or (isinstance(error, NotConnected) and isinstance(reason, NewConnectionError)):
        return VenueDown(f"Kite cannot be reached for {subject}; nothing was sent", remedy=AGAIN_LATER)
    return OutcomeUnknown(f"Kite did not answer to {subject} ({type(error).__name__})", remedy=_LOOK)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
