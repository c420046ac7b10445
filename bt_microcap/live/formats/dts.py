"""广发 DTS: ``Order.csv``, twelve fields, UTF-8, without a header.

From a public Python interface to such files, whose author has not tried it with the program either: O is an order; BuySell 3
buys and 1 sells; OrderType 0 has a limit price; UserID, PCID, OpenClose and Option stay empty; BAMapID is the broker's name of
the account.
Not tried against a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..books import BUY
from ..order_list import ListedOrder
from .fields import digits, lines, price, to_give

FILE = 'Order.csv'
COLUMNS = ('InstructionType', 'UserRequestID', 'UserID', 'BAMapID', 'PCID', 'IssueCode', 'BuySell', 'OpenClose', 'Quantity',
           'Price', 'OrderType', 'Option')


def write(orders: Sequence[ListedOrder], account: str) -> dict[str, bytes]:
    """Return the file."""
    rows = [('O', order.order_id, '', account, '', digits(order.code), '3' if order.side == BUY else '1', '', str(order.shares),
             price(order.limit_price), '0', '') for order in to_give(orders)]
    return {FILE: lines(rows).encode('utf-8')}
