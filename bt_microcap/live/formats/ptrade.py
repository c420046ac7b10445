"""PTrade: a CSV of holdings, which its backtests begin with: ``sid,enable_amount,amount,cost_basis``.

From the public manual of PTrade's ``set_yesterday_position`` and ``convert_position_from_csv``: a header line, codes ending in
.SS (Shanghai) and .SZ (Shenzhen). Not tried against a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..books import Holding
from .fields import MARKS

FILE = 'Poslist.csv'
COLUMNS = ('sid', 'enable_amount', 'amount', 'cost_basis')


def write(holdings: Sequence[Holding], account: str = '') -> dict[str, bytes]:
    """Return the file of some holdings."""
    marks = {**MARKS, 'XSHG': 'SS'}
    rows = [COLUMNS, *((f'{each.code[:6]}.{marks[each.code[7:]]}', str(each.sellable), str(each.shares), f'{each.cost:.4f}')
                       for each in holdings)]
    return {FILE: ''.join(','.join(row) + '\n' for row in rows).encode('ascii')}
