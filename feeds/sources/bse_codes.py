"""The codes of the Beijing exchange: what was 43, 83 or 87 is 920 since 2025-10-09, and the same stock.

A source that still lists the old code as one that ended, beside the new one, would make two stocks of it: one delisted, and
one that begins in the middle of its life.
"""

from __future__ import annotations

import re
from datetime import date

import numpy as np
import pandas as pd

RENAMED = date(2025, 10, 9)  # 北京证券交易所, 关于存量上市公司启用新代码: the first day of the new codes
_OLD, _NEW = r'(?:43|83|87)\d{4}\.BJSE', r'920\d{3}\.BJSE'


def by_rule(code: str) -> str:
    """Return the new code of an old one by the exchange's rule, 920 and its last three digits; any other code as it is."""
    return f'920{code[3:]}' if re.fullmatch(_OLD, code) else code


def pairs(stocks: pd.DataFrame) -> dict[str, str]:
    """Return which old codes of a list of stocks are which new ones: of a source that has no table of them.

    A pair has the same name, else the same last three digits where the old code ended within some weeks of the day of the new
    codes; by the exchange's rule the last three digits stayed, but where two stocks would have met.

    Parameters
    ----------
    stocks : DataFrame
        code, name, listed, delisted.
    """
    old = stocks[stocks['code'].str.fullmatch(_OLD)]
    new = stocks[stocks['code'].str.fullmatch(_NEW)]
    ended = old['delisted'].isna() | (old['delisted'] - np.datetime64(RENAMED)).abs().le(np.timedelta64(30, 'D'))
    names = dict(zip(new['name'], new['code'], strict=True))
    digits = dict(zip(new['code'].str[3:6], new['code'], strict=True))
    found = {code: names.get(name) or digits.get(code[3:6])
             for code, name in zip(old['code'][ended], old['name'][ended], strict=True)}
    return {code: other for code, other in found.items() if other}


def renamed(stocks: pd.DataFrame, codes: dict[str, str]) -> pd.DataFrame:
    """Return a list of stocks in which each is there once, under its new code: listed with the old one, delisted with the new."""
    if not codes:
        return stocks
    own = stocks['code'].isin(codes)
    first = stocks[own].assign(code=stocks['code'][own].map(codes)).set_index('code')['listed']
    only = first.index.difference(stocks['code'])  # the list has the old code alone: the stock did not end then
    kept = stocks['code'].isin(codes) & stocks['code'].map(codes).isin(only)
    stocks = stocks[~own | kept].copy()
    gone = stocks['code'].isin(codes)
    stocks['code'] = stocks['code'].replace(codes)
    stocks.loc[gone, 'delisted'] = np.datetime64('NaT', 's')
    before = pd.to_datetime(stocks['code'].map(first.groupby(level=0).min().to_dict())).astype(stocks['listed'].dtype)
    stocks['listed'] = stocks['listed'].where(before.isna() | (stocks['listed'] <= before), before)
    return stocks.sort_values('code', ignore_index=True)
