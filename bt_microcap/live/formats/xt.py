"""迅投 PB: ``XT_DBF_ORDER.dbf``, which the program scans; dBase III in GBK.

From the maker's public manual of these files (迅投PB-DBF预埋单参数说明文档 V2.15): which fields there are, in what order, all of
them text. order_type 23 buys and 24 sells; price_type 3 is a given price (other programs' samples have 11 or 0 there, which
the manual does not know); stock_code are six digits; act_type 49 and brokertype 2 are an ordinary account of stocks; command_id,
inserttime and batch_id stay empty. Widths it does not give; those here hold what is written. The program answers row by row in a
file beside it, so rows are added to a file that it knows, not written anew: this one is for an empty folder. Not tried against a
terminal.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ...feeds.errors import DataError
from ...study.extras import needed
from ..books import BUY
from ..order_list import ListedOrder
from .fields import digits, price, to_give

FILE = 'XT_DBF_ORDER.dbf'
FIELDS = (('order_type', 10), ('price_type', 10), ('mode_price', 10), ('stock_code', 10), ('volume', 10), ('account_id', 50),
          ('act_type', 10), ('brokertype', 10), ('strategy', 50), ('note', 100), ('note1', 100), ('tradeparam', 100),
          ('command_id', 10), ('basketpath', 100), ('inserttime', 50), ('extraparam', 100), ('batch_id', 10))
GIVEN_PRICE, STOCKS, ACCOUNT_OF_STOCKS = '3', '2', '49'
STRATEGY = 'bt-microcap'


def write(orders: Sequence[ListedOrder], account: str) -> dict[str, bytes]:
    """Return the file; its date of the last change, which the form has, is the day of the orders.

    Raises
    ------
    DataError
        The extra is not there, or a text is no GBK or too long.
    """
    dbf = needed('dbf', f'{FILE}', 'dbf')
    given = to_give(orders)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        table = dbf.Table(str(path), '; '.join(f'{name} C({width})' for name, width in FIELDS), codepage='cp936')
        table.open(mode=dbf.READ_WRITE)
        try:
            for order in given:
                table.append(('23' if order.side == BUY else '24', GIVEN_PRICE, price(order.limit_price), digits(order.code),
                              str(order.shares), account, ACCOUNT_OF_STOCKS, STOCKS, STRATEGY, order.order_id, '', '', '', '', '',
                              '', ''))
        except (dbf.DbfError, UnicodeError) as error:
            raise DataError(f'{FILE}: {str(error).splitlines()[0]}; the account {account!r} must be GBK text of at most 50 bytes'
                            ) from None
        finally:
            table.close()
        content = bytearray(path.read_bytes())
    if given:  # else the same list would be another file on another day
        day = given[0].date
        content[1:4] = bytes((day.year - 1900, day.month, day.day))
    return {FILE: bytes(content)}
