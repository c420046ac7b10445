"""A plain list in Chinese, for somebody who types the orders: CSV, UTF-8 with the mark that Excel looks for.

Codes have their exchange behind them, or Excel would take the zeros off: 000548.SZ.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from ..books import BUY
from ..order_list import RESTING, WATCH, ListedOrder
from .fields import dotted, price

FILE = '委托单.csv'
COLUMNS = ('代码', '名称', '方向', '数量', '委托价', '理由')


def write(orders: Sequence[ListedOrder], account: str = '') -> dict[str, bytes]:
    """Return the file; also what is to be watched stands in it. The reasons of the orders are in Chinese already."""
    stream = io.StringIO(newline='')
    writer = csv.writer(stream, lineterminator='\r\n')
    writer.writerow(COLUMNS)
    for order in orders:
        reasons = [*filter(None, [order.why]), *(['卖出成交后再下单'] if order.needs_sale else []),
                   *(['盘中挂单'] if order.kind == RESTING else []),
                   *([f'暂不下单，盯盘：{order.note}'] if order.kind == WATCH else [])]
        side = '买入' if order.side == BUY else '卖出'
        writer.writerow((dotted(order.code), order.name, side, order.shares, price(order.limit_price), '；'.join(reasons)))
    return {FILE: stream.getvalue().encode('utf-8-sig')}
