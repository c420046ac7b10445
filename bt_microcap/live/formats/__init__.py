"""Files that broker terminals take: pure functions from a list of orders to bytes.

Each is written from a public description, which its module names, and none has been tried against a terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..order_list import ListedOrder
from . import cats, chinese, dts, ptrade, qmt, xt


class Format(NamedTuple):
    """A form of files.

    ``write`` takes the orders and the broker's number of the account, and returns the content by the name of the file.
    """

    about: str
    write: Callable[[Sequence[ListedOrder], str], dict[str, bytes]]
    needs_account: bool = False
    for_programs: bool = False  # a program gives all of it at once: buys that a sale must pay for stand in a file of their own


FORMATS: dict[str, Format] = {
    'chinese': Format('a plain list in Chinese, to be typed: 委托单.csv', chinese.write),
    'qmt': Format("QMT's baskets, one line a side: qmt_sell.txt, qmt_buy.txt", qmt.write),
    'xt': Format("迅投 PB's scanned orders: XT_DBF_ORDER.dbf; needs --broker-account and the extra dbf", xt.write, True, True),
    'dts': Format("广发 DTS' Order.csv; needs --broker-account", dts.write, True, True),
    'cats': Format("中信 CATS' OrderList.csv; needs --broker-account", cats.write, True, True),
}
HOLDINGS = {'ptrade': Format("PTrade's holdings before the orders, for its backtests: Poslist.csv", ptrade.write)}
