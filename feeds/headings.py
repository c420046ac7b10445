"""Which column of a table is what: our names, and those of JoinQuant, RQData, tushare, Wind, Choice, CSMAR, 邢不行 and others.

Names are compared without case, spaces, underscores and the unit in brackets. A bracket that holds no unit, such as
``(%)`` or ``(前复权)``, makes it another column. So are adjusted prices (``adj_close``, 后复权价, qlib's ``$close``), turnover
rates and the free-float market cap: they are nobody's synonym.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .codes import canonical_code
from .columns import OPTIONAL, PRICES, REFERENCE_TABLES, REQUIRED, SHARES_TABLE
from .errors import DataError

NAMELESS = re.compile(r'|index|level_\d+|__index_level_\d+__|Unnamed: \d+(?:_level_\d+)?')  # what pandas calls an index
# The earlier one wins where a table has two; each name stands once, also among the inverted ones.
SYNONYMS: dict[str, str] = {
    'date': '日期 交易日期 交易日 时间 trade_date trading_date datetime trade_day day time dt 数据日期 timestamp trading_day '
            'trade_dt trddt dates',
    'code': '股票代码 代码 证券代码 ts_code order_book_id stock_code sec_code wind_code sec_id security_id s_info_windcode '
            'thscode stkcd security instrument symbol ticker asset codes',
    'open': '开盘 开盘价 今开 open_price 今开盘 s_dq_open opnprc',
    'high': '最高 最高价 high_price highest_price s_dq_high hiprc',
    'low': '最低 最低价 low_price lowest_price s_dq_low loprc',
    'close': '收盘 收盘价 当日收盘价 close_price closing_price s_dq_close clsprc',
    'preclose': '前收盘 前收盘价 昨收 昨收价 前收 pre_close prev_close last_close 昨收盘 昨收盘价 前收价 last_closed '
                'pre_close_price prev_close_price previous_close s_dq_preclose',
    'volume': '成交量 vol 总手 成交股数 成交数量 trade_volume trading_volume turnover_vol turnover_volume s_dq_volume dnshrtrd',
    'amount': '成交额 成交金额 money total_turnover turnover_value 金额 总金额 amt s_dq_amount dnvaltrd',
    'market_cap': '总市值 市值 total_mv total_market_cap mkt_cap total_cap total_market_value market_value total_mkt_cap '
                  'market_capitalization mkt_cap_ard s_val_mv dsmvtll',
    'circ_market_cap': '流通市值 circ_mv float_market_cap circulating_market_cap float_mv negotiable_mv circ_market_value '
                       'float_market_value neg_market_value mkt_cap_float liq_mv a股流通市值 流通a股市值 s_dq_mv dsmvosd',
    'is_st': 'st 是否st is_st_stock 是否st股 st_flag',
    'paused': '停牌 是否停牌 is_paused suspended is_suspended',
    'high_limit': '涨停 涨停价 up_limit limit_up upper_limit 涨停价格 涨停板价 limit_up_price up_limit_price '
                  'upper_limit_price',
    'low_limit': '跌停 跌停价 down_limit limit_down lower_limit 跌停价格 跌停板价 limit_down_price down_limit_price '
                 'lower_limit_price',
    'name': '股票名称 名称 证券简称 证券名称 股票简称 sec_name display_name stock_name sec_short_name security_name code_name',
    'delisting_period': '退市整理期 是否退市整理期',
    'cash_dividend': '每股派息 每股红利 每股现金红利 每股派息(税前) cash_div_tax',
    'share_ratio': '',
}
INVERTED = {'paused': 'trade_status 交易状态 is_open 是否交易'}  # 1 = traded
# What a name without a unit is counted in, where only one vendor uses it: 同花顺, Wind's tables, CSMAR.
_UNIT_OF_NAME = {'总手': 100.0, 's_dq_volume': 100.0, 's_dq_amount': 1e3, 's_val_mv': 1e4, 's_dq_mv': 1e4, 'dsmvtll': 1e3,
                 'dsmvosd': 1e3}

_YUAN = dict.fromkeys(('元', 'yuan', 'rmb', 'cny', '人民币', '人民币元'), 1.0)
_MONEY = {**_YUAN, '千元': 1e3, '万元': 1e4, '万': 1e4, '百万元': 1e6, '百万': 1e6, '亿元': 1e8, '亿': 1e8}
_SHARES = {'股': 1.0, 'shares': 1.0, '手': 100.0, '千股': 1e3, '万股': 1e4, '万': 1e4, '万手': 1e6, '百万股': 1e6, '亿股': 1e8,
           '亿': 1e8}
_PRICE = {**_YUAN, '元/股': 1.0}
UNITS: dict[str, dict[str, float]] = {
    'volume': _SHARES, 'shares': _SHARES, **dict.fromkeys(('amount', 'market_cap', 'circ_market_cap'), _MONEY),
    **dict.fromkeys((*PRICES, 'preclose', 'high_limit', 'low_limit', 'cash_dividend'), _PRICE),
}
FIELDS = (*REQUIRED, *OPTIONAL, 'circ_market_cap', 'name')

# Tables beside the market: what is asked for before (first) and after the market's synonyms of the same column.
_FROM, _UNTIL = 'start_date 开始日期 起始日期 生效日期', 'end_date 结束日期'
_INDEX = '指数代码 index_code 指数 index_symbol index_id'
_SIDE: dict[str, dict[str, tuple[str, str]]] = {
    'shares': {'shares': ('总股本 total_shares', ''), 'date': ('', '变更日期 change_date end_date')},
    'names': {'name': ('', 'new_name 变更后名称 新名称'), 'date': ('', f'{_FROM} 变更日期 change_date')},
    'listings': {
        'listed': ('上市日期 list_date listing_date ipo_date 上市时间 listed_date', 'start_date'),
        'delisted': ('退市日期 delist_date out_date de_listed_date delisting_date delisted_date 终止上市日期 摘牌日期 '
                     '退市时间', 'end_date'),
    },
    'industries': {
        'industry': ('行业 所属行业 industry_name sw_l1 sw_l1_name l1_name 申万一级 申万一级行业 申万一级行业名称 '
                     '新版申万一级行业名称 一级行业 行业名称 first_industry_name industry_code', ''),
        'date': ('', f'in_date 纳入日期 {_FROM} update_date 更新日期 变更日期'),
    },
    'constituents': {
        'index': (_INDEX, ''), 'code': ('con_code 成分券代码 成分股代码 品种代码', ''),
        'in': ('纳入日期 in_date 入选日期', _FROM), 'out': ('剔除日期 out_date', _UNTIL),
    },
    'benchmarks': {'index': (_INDEX, f'code {SYNONYMS["code"]}')},
}


class _Match(NamedTuple):
    """What a name may stand for."""

    field: str
    rank: int  # the lowest wins
    factor: float | None
    inverted: bool


@dataclass(frozen=True)
class Headings:
    """Which column of a table is what."""

    columns: dict[str, Any]  # our name -> theirs, in the order of the table
    factors: dict[str, float]  # our name -> what to multiply by, where the heading tells a unit; 1.0 where it is ours
    inverted: frozenset[str]  # ours whose values are the other way round
    further: tuple[Any, ...]  # theirs that are left, kept as they are

    def line(self) -> str:
        """Return what was taken for what in one line; nothing where every name is ours already."""
        said = []
        for ours, theirs in self.columns.items():
            factor = self.factors.get(ours, 1.0)
            if ours != theirs or factor != 1.0:
                unit = '' if factor == 1.0 else f' x {factor:g}'.replace('e+0', 'e')
                said.append(f'{_shown(theirs)}{" (1 = traded)" if ours in self.inverted else ""}{unit} -> {ours}')
        return ', '.join(said)


def recognise(names: Sequence[Any], rename: Mapping[str, str] | None = None, source: str = 'the table') -> Headings:
    """Return which column of a daily table is what.

    Parameters
    ----------
    names : sequence of str
        The table's columns.
    rename : mapping of str to str, optional
        Theirs -> ours, or any other name, which goes before all that is known here.
    source : str
        What messages call the table.

    Returns
    -------
    Headings
        Of the columns that are there; what is missing is the caller's to say.

    Raises
    ------
    DataError
        `rename` names a column that is not there, or gives one name to two columns.
    """
    columns: dict[str, Any] = {}
    for old, new in (rename or {}).items():
        theirs = _find(old, names, source)
        if new in columns:
            raise DataError(f'{source}: found {_shown(columns[new])} and {_shown(theirs)} both renamed to {new}; rename one')
        columns[new] = theirs
    renamed = list(columns.values())
    for new, theirs in columns.items():
        if new != theirs and new in names and new not in renamed:
            raise DataError(f'{source}: found the column {new}, and {_shown(theirs)} is renamed to it; rename {new} too')
    left = [name for name in names if name not in renamed]
    best: dict[str, tuple[_Match, Any]] = {}
    for name in left:
        match = _match(name)
        if match and match.field not in columns and (match.field not in best or match.rank < best[match.field][0].rank):
            best[match.field] = match, name
    columns.update({field: name for field, (_, name) in best.items()})
    order = {name: number for number, name in reversed(list(enumerate(names)))}
    columns = dict(sorted(columns.items(), key=lambda item: order[item[1]]))
    matches = {ours: _match(theirs, ours) for ours, theirs in columns.items()}
    taken = set(columns.values())
    return Headings(
        columns, {ours: match.factor for ours, match in matches.items() if match and match.factor is not None},
        frozenset(ours for ours, match in matches.items() if match and match.inverted),
        tuple(name for name in names if name not in taken))


def side_columns(names: Sequence[Any], table: str, source: str = 'the table') -> dict[str, Any]:
    """Return which column of a table beside the market is what.

    Parameters
    ----------
    names : sequence of str
        The table's columns.
    table : str
        One of `columns.REFERENCE_TABLES`, or ``shares``.
    source : str
        What messages call it.

    Returns
    -------
    dict
        Ours -> theirs, of those that are there; of constituents also ``in`` and ``out``, the ends of an interval.
    """
    tables = {**REFERENCE_TABLES, **SHARES_TABLE}
    if table not in tables:
        raise DataError(f'{source}: found the kind of table {table!r}, expected one of {", ".join(tables)}')
    found: dict[str, Any] = {}
    for ours in (*tables[table], *(('in', 'out') if table == 'constituents' else ())):
        first, last = _SIDE[table].get(ours, ('', ''))
        known = [_compact(word) for word in f'{ours} {first} {SYNONYMS.get(ours, "")} {last}'.split()]
        ranks = {}
        for name in names:
            text = _clean(name)
            stem, unit = _split_unit(text)
            ok = unit is None or UNITS.get(ours, {}).get(unit) == 1.0 or ours == 'shares' and unit in UNITS['shares']
            if name == ours or text == ours:
                ranks[name] = -2 if name == ours else -1
            elif ok and _compact(stem) in known and name not in found.values():
                ranks[name] = known.index(_compact(stem))
        if ranks:
            found[ours] = min(ranks, key=ranks.__getitem__)
    return found


def shares_unit(name: Any) -> float:
    """Return how many shares one of a column of shares is, by the unit in its name: 10,000 of ``总股本(万股)``."""
    unit = _split_unit(_clean(name))[1]
    return 1.0 if unit is None else UNITS['shares'].get(unit, 1.0)


def _match(name: Any, field: str | None = None) -> _Match | None:
    """Return what a name may stand for; with a field, what it tells as a name of that."""
    text = _clean(name)
    match = None
    if name in FIELDS or text in FIELDS:
        match = _Match(text, -2 if name in FIELDS else -1, None, False)
    elif _compact(text) in _KNOWN:
        match = _KNOWN[_compact(text)]
    else:
        stem, unit = _split_unit(text)
        known = _KNOWN.get(_compact(stem))
        ours = field or (known.field if known else '')
        if unit is not None and unit in UNITS.get(ours, {}):
            match = known if known and known.field == ours else _Match(ours, 0, None, False)
            match = match._replace(factor=UNITS[ours][unit])
    return match if match is None or field in (None, match.field) else None


def _find(old: str, names: Sequence[Any], source: str) -> Any:
    for same in (lambda name: name == old, lambda name: _clean(name) == _clean(old)):
        if found := [name for name in names if same(name)]:
            return found[0]
    has = ', '.join(_shown(name) for name in names[:12]) + (', ...' if len(names) > 12 else '')
    raise DataError(f'{source}: found no column {old!r} to rename, only {has or "no column at all"}')


def _clean(name: Any) -> str:
    """Return a name in half-width letters, small ones, without what surrounds it."""
    return unicodedata.normalize('NFKC', str(name)).replace('\ufeff', '').strip().lower()


def _split_unit(text: str) -> tuple[str, str | None]:
    match = re.fullmatch(r'(.+?)\s*\(\s*([^()]*?)\s*\)', text)
    return (match[1], match[2]) if match else (text, None)


def _compact(text: str) -> str:
    return re.sub(r'[\s_]', '', text)


def _shown(name: Any) -> str:
    return ' '.join(str(name).replace('\ufeff', '').split())


def _known() -> dict[str, _Match]:
    known = {}
    for field in FIELDS:
        plain, inverted = f'{field} {SYNONYMS[field]}'.split(), INVERTED.get(field, '').split()
        for rank, word in enumerate(plain + inverted):
            known.setdefault(_compact(word), _Match(field, rank, _UNIT_OF_NAME.get(word), rank >= len(plain)))
    return known


_KNOWN = _known()


def codes_of(labels: Iterable[Any]) -> list[str | None]:
    """Return the codes of labels, text or whole numbers; None for all where a 0 tells that they only count."""
    texts = [str(label) if isinstance(label, (str, int, np.integer)) else '' for label in labels]
    return [None] * len(texts) if '0' in texts else [canonical_code(text) for text in texts]


def hold_codes(labels: Iterable[Any]) -> bool:
    """Return whether at least half of the labels are codes."""
    found = codes_of(labels)
    return bool(found) and 2 * sum(code is not None for code in found) >= len(found)


def is_wide(names: Sequence[Any]) -> bool:
    """Return whether a table with these columns is a wide one: codes are most of them, and none is known but the date.

    Parameters
    ----------
    names : sequence of str
        Such as those of a Parquet schema, with what pandas calls an index.
    """
    known = recognise(names).columns
    stocks = [name for name in names if name != known.get('date') and not NAMELESS.fullmatch(str(name).strip())]
    return not set(known) - {'date'} and hold_codes(stocks)


def columns_by(names: Sequence[Any], synonyms: Mapping[str, str]) -> dict[str, Any]:
    """Return which column of a table of another kind is what; names are compared as those of a market.

    Parameters
    ----------
    names : sequence of str
        The table's columns.
    synonyms : mapping of str to str
        Ours -> other names, with spaces between; the earlier one wins where a table has two.

    Returns
    -------
    dict
        Ours -> theirs, of those that are there. A name belongs to the first of ours that knows it.
    """
    found: dict[str, Any] = {}
    for ours, words in synonyms.items():
        known = [_compact(word) for word in f'{ours} {words}'.split()]
        ranks = {}
        for name in names:
            stem, unit = _split_unit(_clean(name))
            plain = unit is None or unit in (*_YUAN, '股', '元/股')
            if _compact(stem) in known and name not in found.values() and plain:
                ranks[name] = known.index(_compact(stem))
        if ranks:
            found[ours] = min(ranks, key=ranks.__getitem__)
    return found
