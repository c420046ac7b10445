"""Stock codes in the forms that people write them in, and the canonical one."""

from __future__ import annotations

import functools
import re

from bt_microcap.exchange import rules

STOCK_CODE = re.compile(r'(sh|sz|bj)\.?(\d{6})|(\d{6})\.(sh|sz|bj|xshg|xshe|bjse)|(?<!\d)(\d{6})(?!\d)', re.IGNORECASE)
EXCHANGES = {'sh': 'XSHG', 'sz': 'XSHE', 'bj': 'BJSE', '6': 'XSHG', **dict.fromkeys('03', 'XSHE'), **dict.fromkeys('489', 'BJSE')}
_CANONICAL = re.compile(r'[0-9]{6}\.(?:XSHG|XSHE|BJSE)')
_MARKED = re.compile(r'(sh|sz|bj)\.?([0-9]{6})|([0-9]{6})\.(sh|ss|sz|bj|xshg|xshe|bjse)', re.IGNORECASE)
_PLAIN = re.compile(r'([0-9]{1,6})(?:\.0)?')  # 1.0: a column of numbers that became one of floats


@functools.lru_cache(maxsize=20_000)
def canonical_code(text: str) -> str | None:
    """Return the canonical code of a text that is a code as a whole.

    Parameters
    ----------
    text : str
        Such as ``600000.XSHG``, ``600000.SH``, ``sh.600000``, ``SH600000``, ``000001`` or ``1``, a code that lost its zeros.

    Returns
    -------
    str or None
        With an exchange given it is taken as given, also for what is no stock (``000300.SH``, an index). Plain digits must be
        those of an A share. None for any other text.
    """
    text = text.strip()
    if _CANONICAL.fullmatch(text):
        return text
    if match := _MARKED.fullmatch(text):
        mark = (match[1] or match[4]).lower()
        return f'{match[2] or match[3]}.{EXCHANGES.get("sh" if mark == "ss" else mark, mark.upper())}'
    match = _PLAIN.fullmatch(text)
    if match is None or not int(match[1]):  # 000000 is no stock, but the first number of rows that are counted
        return None
    digits = match[1].zfill(6)
    return _share(f'{digits}.{EXCHANGES.get(digits[0], "")}')


@functools.lru_cache(maxsize=20_000)
def find_code(text: str) -> str | None:
    """Return the canonical code in a text such as ``sh.600000``, ``600000.SH`` or ``600000``; None if no A share's."""
    if (match := STOCK_CODE.search(text)) is None:
        return None
    digits = match[2] or match[3] or match[5]
    mark = (match[1] or match[4] or digits[0]).lower()
    return _share(f'{digits}.{EXCHANGES.get(mark, mark.upper())}')


def _share(code: str) -> str | None:
    return code if rules.is_share(code) else None
