"""A plain list in Chinese, for somebody who types the orders: CSV, UTF-8 with the mark that Excel looks for."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from ..books import BUY
from ..order_list import RESTING, WATCH, ListedOrder
from .fields import digits, price

FILE = '委托单.csv'
COLUMNS = ('代码', '名称', '方向', '数量', '委托价', '理由', '注意')
WHY = {'rebalance': '调仓', 'stop loss': '止损', 'trailing stop': '移动止损', 'take profit': '止盈', 'limit opened': '涨停打开',
       'empty month': '空仓月份', 'market stop': '大盘止损', 'index trend': '指数走势', 'drawdown brake': '回撤刹车',
       'volatility target': '波动率目标', 'parking': '闲置资金'}


def write(orders: Sequence[ListedOrder], account: str = '') -> dict[str, bytes]:
    """Return the file; also what is to be watched stands in it."""
    stream = io.StringIO(newline='')
    writer = csv.writer(stream, lineterminator='\r\n')
    writer.writerow(COLUMNS)
    for order in orders:
        notes = [*(['卖出成交后再下单'] if order.needs_sale else []), *(['盘中挂单'] if order.kind == RESTING else []),
                 *([f'暂不下单，盯盘：{order.note}'] if order.kind == WATCH else [])]
        side = '买入' if order.side == BUY else '卖出'
        writer.writerow((digits(order.code), order.name, side, order.shares, price(order.limit_price),
                         WHY.get(order.why, order.why), '；'.join(notes)))
    return {FILE: stream.getvalue().encode('utf-8-sig')}
