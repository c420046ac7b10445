"""QMT's basket: code and shares, one after the other, on one line; a file a side, for it knows no side and no price.

So a limit order of the strategy that waits for its price is not in it.

From the public manual of QMT's Python interface, ``ContextInfo.load_stk_vol_list``: ``600000.SH,100,600004.SH,200,`` with a comma
after the last quantity too; a path of plain letters, for with Chinese in it the basket may not be read. The program renames the
file when it has read it. Not tried against a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..books import BUY, SELL
from ..order_list import AT_OPEN, ListedOrder
from .fields import dotted

FILES = {SELL: 'qmt_sell.txt', BUY: 'qmt_buy.txt'}


def write(orders: Sequence[ListedOrder], account: str = '') -> dict[str, bytes]:
    """Return a file of sales and one of buys, each where there are such; without a line end, in ASCII."""
    found = {}
    for side, name in FILES.items():
        mine = [order for order in orders if order.side == side and order.kind == AT_OPEN]
        line = ''.join(f'{dotted(order.code)},{order.shares},' for order in mine)
        if line:
            found[name] = line.encode('ascii')
    return found
