"""What the forms share: codes and numbers as text."""

from __future__ import annotations

from collections.abc import Sequence

from ..order_list import WATCH, ListedOrder

MARKS = {'XSHG': 'SH', 'XSHE': 'SZ', 'BJSE': 'BJ'}


def digits(code: str) -> str:
    """Return the six digits of a canonical code."""
    return code[:6]


def dotted(code: str) -> str:
    """Return a canonical code as terminals write it: ``600000.SH``."""
    return f'{code[:6]}.{MARKS[code[7:]]}'


def price(value: float) -> str:
    """Return a price without needless zeros after two digits: 5.00, 1.234."""
    text = f'{value:.3f}'
    return text[:-1] if text.endswith('0') else text


def to_give(orders: Sequence[ListedOrder]) -> list[ListedOrder]:
    """Return the orders that can be given now; what waits for a price or the close is for a person to watch."""
    return [order for order in orders if order.kind != WATCH]


def lines(rows: Sequence[Sequence[str]], mark: str = ',', end: str = '\r\n') -> str:
    """Return rows as text, one a line; no field holds a mark."""
    return ''.join(mark.join(row) + end for row in rows)
