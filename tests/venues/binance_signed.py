"""The signed part of Binance's spot API, over an account: who asks, what is asked, what goes back.

Written from Binance's public documentation of the spot API ("Endpoint security type", "SIGNED endpoint security", "Trading
endpoints", "Account endpoints", "Errors") and, for the key's rights, of the wallet API ("Get API Key Permission").
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .binance import LIST_RANGE, Problem, answer, illegal, mandatory, number
from .binance_books import Order, OrderList, Ticket, eight, fill_row, order_state, trade_row
from .binance_matching import Matching
from .binance_parameters import decimal, side, signed_part, time_in_force
from .binance_rules import STOPS
from .server import Reply, Request

ORDER, OCO, ORDER_LIST = "/api/v3/order", "/api/v3/orderList/oco", "/api/v3/orderList"
CANCEL_REPLACE = "/api/v3/order/cancelReplace"
ACCOUNT, RESTRICTIONS, TRADES = "/api/v3/account", "/sapi/v1/account/apiRestrictions", "/api/v3/myTrades"
OPEN_ORDERS, ALL_ORDERS, PRICE = "/api/v3/openOrders", "/api/v3/allOrders", "/api/v3/ticker/price"

_CLIENT_ID_RANGE = "^[a-zA-Z0-9-_]{1,36}$"
_RECV_WINDOW_MOST = 60_000
_AHEAD_MOST_MS = 1_000
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key and what it may do. One that is revoked is not known, until it is valid again."""

    name: str
    secret: str
    may_trade: bool = True
    may_withdraw: bool = False
    is_bound_to_addresses: bool = True
    is_revoked: bool = False


class Trading:
    """An account: the signed part of the API as its key opens it, and, of the first one, the price of a symbol.

    answers_strangers: requests with a key that is nobody's, and those without one, are answered here.
    """

    def __init__(
        self, matching: Matching, key: Key, now_ms: Callable[[], int], *, uid: int = 354_937_868, answers_strangers: bool = True
    ) -> None:
        self.matching = matching
        self.key = key
        self.can_trade = True  # the account, whatever the key may do
        self.uid = uid
        self.answers_strangers = answers_strangers
        self.lag_ms = 0  # for how long an order cannot be looked up after it was taken
        self.repeats_trades = False
        self.withholds_trades = False  # the order is known already, its trades are not
        self._now_ms = now_ms
        self._ids = itertools.count(1)
        self._routes: dict[tuple[str, str], tuple[int, Callable[[Mapping[str, str]], object]]] = {
            ("GET", ACCOUNT): (20, self._account),
            ("GET", RESTRICTIONS): (1, self._restrictions),
            ("POST", ORDER): (1, self._new_order),
            ("GET", ORDER): (4, self._query_order),
            ("DELETE", ORDER): (1, self._cancel_order),
            ("POST", OCO): (1, self._new_pair),
            ("POST", CANCEL_REPLACE): (1, self._replace),
            ("GET", ORDER_LIST): (4, self._query_list),
            ("DELETE", ORDER_LIST): (1, self._cancel_list),
            ("GET", OPEN_ORDERS): (6, self._open_orders),
            ("GET", ALL_ORDERS): (20, self._all_orders),
            ("GET", TRADES): (20, self._trades),
        }

    def weight(self, request: Request) -> int | None:
        if (request.method, request.path) == ("GET", PRICE):
            return (2 if "symbol" in request.values else 4) if self.answers_strangers else None
        if not self.answers_strangers and request.headers.get("x-mbx-apikey") != self.key.name:
            return None
        if (request.method, request.path) == ("GET", TRADES) and "orderId" in request.values:
            return 5
        route = self._routes.get((request.method, request.path))
        return None if route is None else route[0]

    def respond(self, request: Request) -> Reply:
        try:
            if request.path == PRICE:
                return answer(self._price(request.values))
            self._authorise(request)
            return answer(self._routes[request.method, request.path][1](request.values))
        except Problem as problem:
            return problem.reply

    # Who asks, and when

    def _authorise(self, request: Request) -> None:
        name = request.headers.get("x-mbx-apikey", "")
        if not re.fullmatch(r"[A-Za-z0-9]+", name):
            raise Problem(-2014, "API-key format invalid.", status=401)
        is_known = name == self.key.name and not self.key.is_revoked
        if not is_known or (request.method != "GET" and not self.key.may_trade):
            raise Problem(-2015, "Invalid API-key, IP, or permissions for action, request ip: 127.0.0.1", status=401)
        values = dict(request.values)
        sent = values.pop("signature", "")
        if not sent:
            raise Problem(-1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.")
        expected = hmac.new(self.key.secret.encode(), signed_part(request).encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(sent, expected):
            raise Problem(-1022, "Signature for this request is not valid.")
        timestamp = int(mandatory(values, "timestamp"))
        window = number(values, "recvWindow", 5_000)
        if window > _RECV_WINDOW_MOST:
            raise Problem(-1131, "'recvWindow' must be less than 60000.")
        if timestamp >= self._now_ms() + _AHEAD_MOST_MS:
            raise Problem(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if self._now_ms() - timestamp > window:
            raise Problem(-1021, "Timestamp for this request is outside of the recvWindow.")

    # Account

    def _account(self, values: Mapping[str, str]) -> dict[str, Any]:
        hides_empty = values.get("omitZeroBalances") == "true"
        return {
            "makerCommission": 10,
            "takerCommission": 10,
            "canTrade": self.can_trade,
            "canWithdraw": True,
            "canDeposit": True,
            "brokered": False,
            "updateTime": self._now_ms(),
            "accountType": "SPOT",
            "balances": [
                {"asset": asset, "free": f"{balance.free:.8f}", "locked": f"{balance.locked:.8f}"}
                for asset, balance in self.matching.balances.items()
                if not hides_empty or balance.free or balance.locked
            ],
            "permissions": ["SPOT"],
            "uid": self.uid,
        }

    def _restrictions(self, _values: Mapping[str, str]) -> dict[str, Any]:
        return {
            "ipRestrict": self.key.is_bound_to_addresses,
            "createTime": 1_614_792_000_000,
            "enableReading": True,
            "enableWithdrawals": self.key.may_withdraw,
            "enableInternalTransfer": False,
            "enableMargin": False,
            "enableFutures": False,
            "permitsUniversalTransfer": False,
            "enableVanillaOptions": False,
            "enableSpotAndMarginTrading": self.key.may_trade,
        }

    def _price(self, values: Mapping[str, str]) -> object:
        """Answer for one symbol, or for several; of several that are not all known for none."""
        if "symbol" in values and "symbols" in values:
            raise Problem(-1128, "Combination of optional parameters invalid.")
        if "symbols" not in values:
            return self._price_of(self._symbol(values))
        if not re.fullmatch(LIST_RANGE, values["symbols"]):
            raise illegal("symbols", LIST_RANGE)
        return [self._price_of(self._symbol({"symbol": one})) for one in json.loads(values["symbols"])]

    def _price_of(self, symbol: str) -> dict[str, str]:
        if symbol not in self.matching.prices:
            raise Problem(-1121, "Invalid symbol.")
        return {"symbol": symbol, "price": eight(self.matching.prices[symbol])}

    # Orders

    def _new_order(self, values: Mapping[str, str]) -> dict[str, Any]:
        ticket = self._ticket(values)
        return self._answered(self.matching.place(ticket), values)

    def _replace(self, values: Mapping[str, str]) -> dict[str, Any]:
        """Cancel an order and place another one.

        Filters and the number of orders are judged before either. 409 with -2021: one of the two failed; 400 with -2022: both,
        or the first, and the second was not tried.
        """
        ticket = self._ticket(values)
        mode = mandatory(values, "cancelReplaceMode")
        if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
            raise Problem(-1130, "Data sent for parameter 'cancelReplaceMode' is not valid.")
        self.matching.check(ticket)
        self.matching.check_number(ticket)
        named = {"cancelOrigClientOrderId": "origClientOrderId", "cancelOrderId": "orderId"}
        which = {"symbol": ticket.symbol, **{named[name]: value for name, value in values.items() if name in named}}
        results: dict[str, Any] = {"cancelResult": "SUCCESS", "newOrderResult": "SUCCESS"}
        try:
            results["cancelResponse"] = self._cancel_order(which)
        except Problem as problem:
            results |= {"cancelResult": "FAILURE", "cancelResponse": json.loads(problem.reply.body)}
        if results["cancelResult"] == "FAILURE" and mode == "STOP_ON_FAILURE":
            results |= {"newOrderResult": "NOT_ATTEMPTED", "newOrderResponse": None}
        else:
            try:
                results["newOrderResponse"] = self._answered(self.matching.enter(ticket), values)
            except Problem as problem:
                results |= {"newOrderResult": "FAILURE", "newOrderResponse": json.loads(problem.reply.body)}
        outcomes = [results["cancelResult"], results["newOrderResult"]]
        if outcomes == ["SUCCESS", "SUCCESS"]:
            return results
        if "SUCCESS" in outcomes:
            raise Problem(-2021, "Order cancel-replace partially failed.", status=409, data=results)
        raise Problem(-2022, "Order cancel-replace failed.", data=results)

    def _ticket(self, values: Mapping[str, str]) -> Ticket:
        kind = mandatory(values, "type")
        symbol = self._symbol(values)
        if kind not in ("MARKET", "LIMIT", "LIMIT_MAKER", *STOPS):
            raise Problem(-1116, "Invalid orderType.")
        return Ticket(
            symbol=symbol,
            client_id=self._client_id(values, "newClientOrderId"),
            side=side(values),
            type=kind,
            quantity=self._quantity(values, symbol, kind),
            time_in_force=time_in_force(values, kind),
            price=decimal(values, "price", wanted=kind in ("LIMIT", "LIMIT_MAKER")),
            stop_price=decimal(values, "stopPrice", wanted=kind in STOPS),
        )

    def _answered(self, order: Order, values: Mapping[str, str]) -> dict[str, Any]:
        default = "FULL" if order.type in ("MARKET", "LIMIT") else "ACK"
        return self._placed(order, values.get("newOrderRespType", default))

    def _new_pair(self, values: Mapping[str, str]) -> dict[str, Any]:
        symbol = self._symbol(values)

        def leg(name: str) -> Ticket:
            kind = mandatory(values, f"{name}Type")
            return Ticket(
                symbol=symbol,
                client_id=self._client_id(values, f"{name}ClientOrderId"),
                side=side(values),
                type=kind,
                quantity=decimal(values, "quantity", wanted=True),
                price=decimal(values, f"{name}Price", wanted=kind == "LIMIT_MAKER"),
                stop_price=decimal(values, f"{name}StopPrice", wanted=kind in STOPS),
            )

        made = self.matching.place_pair(self._client_id(values, "listClientOrderId"), leg("above"), leg("below"))
        return {**self._list(made), "orderReports": [self._placed(order, "RESULT") for order in made.orders]}

    def _cancel_order(self, values: Mapping[str, str]) -> dict[str, Any]:
        order = self._find(values)
        if order is None or not order.is_open:
            raise Problem(-2011, "Unknown order sent.")
        pair = next((known for known in self.matching.lists if known.id == order.list_id), None)
        self.matching.cancel(order)
        return self._canceled(order) if pair is None else self._canceled_list(pair)

    def _cancel_list(self, values: Mapping[str, str]) -> dict[str, Any]:
        pair = self._find_list(values, "listClientOrderId")
        if pair is None or not any(order.is_open for order in pair.orders):
            raise Problem(-2011, "Unknown order list sent.")
        self.matching.cancel(next(order for order in pair.orders if order.is_open))
        return self._canceled_list(pair)

    def _query_order(self, values: Mapping[str, str]) -> dict[str, Any]:
        order = self._find(values)
        if order is None or self._now_ms() - order.time < self.lag_ms:
            raise Problem(-2013, "Order does not exist.")
        return self._queried(order)

    def _query_list(self, values: Mapping[str, str]) -> dict[str, Any]:
        pair = self._find_list(values, "origClientOrderId")
        if pair is None:
            raise Problem(-2018, "Order list does not exist.")
        return self._list(pair)

    def _open_orders(self, values: Mapping[str, str]) -> list[dict[str, Any]]:
        wanted = self._symbol(values) if "symbol" in values else None
        return [self._queried(o) for o in self.matching.orders if o.is_open and wanted in (None, o.symbol)]

    def _all_orders(self, values: Mapping[str, str]) -> list[dict[str, Any]]:
        symbol, since = self._symbol(values), number(values, "startTime", 0)
        chosen = [o for o in self.matching.orders if o.symbol == symbol and o.time >= since]
        return [self._queried(order) for order in chosen[: number(values, "limit", 500)]]

    def _trades(self, values: Mapping[str, str]) -> list[dict[str, Any]]:
        symbol = self._symbol(values)
        start, end = number(values, "startTime", 0), number(values, "endTime", self._now_ms())
        if "startTime" in values and "endTime" in values and end - start > 24 * _HOUR_MS:
            raise Problem(-1127, "More than 24 hours between startTime and endTime.")
        limit = number(values, "limit", 500)
        if limit > 1_000:
            raise Problem(-1130, "Data sent for parameter 'limit' is not valid.")
        chosen = [
            trade
            for trade in self.matching.trades
            if trade.symbol == symbol
            and start <= trade.time <= end
            and trade.order_id == number(values, "orderId", trade.order_id)
            and trade.id >= number(values, "fromId", 0)
        ]
        if self.withholds_trades:
            chosen = []
        is_from_start = {"startTime", "fromId", "orderId"} & values.keys()
        page = chosen[:limit] if is_from_start else chosen[-limit:]
        return [trade_row(trade) for trade in page for _ in range(2 if self.repeats_trades else 1)]

    def _find(self, values: Mapping[str, str]) -> Order | None:
        """Return the order that is meant; of several with one client id the newest."""
        symbol = self._symbol(values)
        if "orderId" not in values and "origClientOrderId" not in values:
            raise Problem(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        known = [order for order in self.matching.orders if order.symbol == symbol]
        if "orderId" in values:
            return next((order for order in known if order.id == number(values, "orderId", 0)), None)
        return next((order for order in reversed(known) if order.client_id == values["origClientOrderId"]), None)

    def _find_list(self, values: Mapping[str, str], name: str) -> OrderList | None:
        client_id, list_id = values.get(name), number(values, "orderListId", -1)
        return next((one for one in reversed(self.matching.lists) if one.client_id == client_id or one.id == list_id), None)

    # Parameters

    def _symbol(self, values: Mapping[str, str]) -> str:
        symbol = mandatory(values, "symbol")
        if symbol not in self.matching.rules:
            raise Problem(-1121, "Invalid symbol.")
        return symbol

    def _client_id(self, values: Mapping[str, str], name: str) -> str:
        text = values.get(name, f"made-up-{next(self._ids)}")
        if not re.fullmatch(_CLIENT_ID_RANGE, text):
            raise illegal(name, _CLIENT_ID_RANGE)
        return text

    def _quantity(self, values: Mapping[str, str], symbol: str, kind: str) -> Decimal:
        if kind == "MARKET" and "quoteOrderQty" in values:
            step = Decimal(self.matching.rules[symbol].step_size)
            units = decimal(values, "quoteOrderQty", wanted=True) / self.matching.prices[symbol]
            return units // step * step
        return decimal(values, "quantity", wanted=True)

    # Answers

    def _placed(self, order: Order, kind: str) -> dict[str, Any]:
        short = {
            "symbol": order.symbol,
            "orderId": order.id,
            "orderListId": order.list_id,
            "clientOrderId": order.client_id,
            "transactTime": order.updated,
        }
        if kind == "ACK":
            return short
        result = {**short, **order_state(order), "workingTime": order.time}
        if kind == "RESULT":
            return result
        fills = [trade for trade in self.matching.trades if trade.order_id == order.id]
        return {**result, "fills": [fill_row(trade) for trade in fills]}

    def _queried(self, order: Order) -> dict[str, Any]:
        return {
            "symbol": order.symbol,
            "orderId": order.id,
            "orderListId": order.list_id,
            "clientOrderId": order.client_id,
            **order_state(order),
            "icebergQty": "0.00000000",
            "time": order.time,
            "updateTime": order.updated,
            "isWorking": order.type not in STOPS or order.is_triggered,
            "workingTime": order.time,
        }

    def _canceled(self, order: Order) -> dict[str, Any]:
        return {
            **self._placed(order, "RESULT"),
            "origClientOrderId": order.client_id,
            "clientOrderId": f"made-up-{next(self._ids)}",
        }

    def _canceled_list(self, pair: OrderList) -> dict[str, Any]:
        return {**self._list(pair), "orderReports": [self._canceled(order) for order in pair.orders]}

    def _list(self, pair: OrderList) -> dict[str, Any]:
        is_open = any(order.is_open for order in pair.orders)
        return {
            "orderListId": pair.id,
            "contingencyType": "OCO",
            "listStatusType": "EXEC_STARTED" if is_open else "ALL_DONE",
            "listOrderStatus": "EXECUTING" if is_open else "ALL_DONE",
            "listClientOrderId": pair.client_id,
            "transactionTime": pair.time,
            "symbol": pair.symbol,
            "orders": [{"symbol": one.symbol, "orderId": one.id, "clientOrderId": one.client_id} for one in pair.orders],
        }
