"""中信 CATS: eleven fields, CSV in UTF-8, without a header.

From a public Python interface to such files, whose author has not tried it with the program either, and which contradicts
itself: its reader takes tradeside 1 for a buy, its writer writes 2. Here 1 buys and 2 sells, as everywhere else in the trade.
inst_type O
is an order; acct_type S0 is an account of stocks; ord_type 0 has a limit price. Which form of the code the program takes is not
said
there: it is written as 600000.SH. Not tried against a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..books import BUY
from ..order_list import ListedOrder
from .fields import dotted, lines, price, to_give

FILE = 'OrderList.csv'
COLUMNS = ('inst_type', 'client_id', 'acct_type', 'acct', 'order_no', 'symbol', 'tradeside', 'ord_qty', 'ord_price', 'ord_type',
           'ord_param')


def write(orders: Sequence[ListedOrder], account: str) -> dict[str, bytes]:
    """Return the file."""
    rows = [('O', order.order_id, 'S0', account, '', dotted(order.code), '1' if order.side == BUY else '2', str(order.shares),
             price(order.limit_price), '0', '') for order in to_give(orders)]
    return {FILE: lines(rows).encode('utf-8')}
