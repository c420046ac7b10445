"""A table of 600 good rows, what can be wrong with one row of it, and everything that reads tables."""

import warnings
from dataclasses import dataclass, field
from typing import NamedTuple

import backtrader as bt
import numpy as np
import pandas as pd

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.files import load_table
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.quarantine import Quarantine
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import StockCSV, StockPandas
from bt_microcap.feeds.store import MarketStore
from tests.support import bad_tables
from tests.support.script_calls import call, one_error_line

A, B = '600001.XSHG', '000002.XSHE'
DAYS = pd.bdate_range('2024-01-02', periods=300)
ROW, DAY = 200, '2024-05-21'  # of A, the 100th day after the first
COLUMNS = ('open', 'high', 'low', 'close', 'preclose', 'volume', 'amount', 'market_cap', 'circ_market_cap', 'is_st', 'paused',
           'high_limit', 'low_limit', 'cash_dividend', 'share_ratio')
CHINESE = {'date': '交易日期', 'code': '股票代码', 'open': '开盘价', 'high': '最高价', 'low': '最低价', 'close': '收盘价',
           'preclose': '前收盘价', 'volume': '成交量', 'amount': '成交额', 'market_cap': '总市值', 'circ_market_cap': '流通市值',
           'is_st': '是否ST', 'paused': '停牌', 'high_limit': '涨停价', 'low_limit': '跌停价', 'cash_dividend': '每股派息'}
LEFT_OUT, UNKNOWN = 'row left out', 'taken as not known'


def good():
    """Rows by date then code: day d has A in row 2 d and B in row 2 d + 1.

    A opens at 10.0 on day 0, 0.1 more on each later day, and at 10.0 again on every seventh; on day 100, row 200, at 10.2,
    and the close of the day before is 10.2 as well.
    """
    rows = []
    for number, day in enumerate(DAYS):
        for stock, code in enumerate((A, B)):
            price = 10 + 5 * stock + number % 7 / 10
            rows.append({
                'date': day, 'code': code, 'open': price, 'high': price + 0.5, 'low': price - 0.5, 'close': price + 0.1,
                'preclose': price, 'volume': 2e5, 'amount': 2e5 * price, 'market_cap': 2.1e9 + 1e8 * stock,
                'circ_market_cap': 1e9, 'is_st': 0.0, 'paused': 0.0, 'high_limit': price + 1, 'low_limit': price - 1,
                'cash_dividend': 0.0, 'share_ratio': 1.0})
    return pd.DataFrame(rows).round(dict.fromkeys(COLUMNS, 6))


class Finding(NamedTuple):
    """A row of the quarantine's file, less the file; `line` counts rows from 0."""

    line: int
    date: str
    code: str
    column: str
    found: str
    finding: str
    done: str


@dataclass
class Case:
    """What is wrong, and what is to become of it.

    `change` is done to row 200, `more` are further rows at the end, like row 200 but for what they say. `after` is what of row
    200 is otherwise in the end; None: it is left out, and so are all further rows.
    """

    name: str
    change: dict
    after: dict | None
    findings: list
    strict: str | None  # what a refusal says after what was found; None: it is not refused
    more: list = field(default_factory=list)
    row: int = ROW
    market: bool = False  # too much for the rows of one stock: more than 1 % of a year

    def table(self):
        table = good()
        table = pd.concat([table, *(table.iloc[[self.row]].assign(**new) for new in self.more)], ignore_index=True)
        for column, value in self.change.items():
            if column == 'date' and isinstance(value, str):
                table['date'] = table['date'].dt.strftime('%Y-%m-%d').astype(object)
            elif isinstance(value, str):
                table[column] = table[column].astype(object)
            table.loc[self.row, column] = pd.NaT if column == 'date' and value is None else value
        return table

    def rows(self):
        """What is to be there in the end."""
        table = good()
        if self.after is None:
            return table.drop(index=self.row)
        for column, value in self.after.items():
            table.loc[self.row, column] = value
        return table


def found(column, text, finding, done, *, row=ROW, date=DAY, code=A):
    return Finding(row, date, code, column, text, finding, done)


def left_out(name, change, column, text, finding, strict, **where):
    return Case(name, change, None, [found(column, text, finding, LEFT_OUT, **where)], strict)


def unknown(name, change, column, text, finding, strict, done=UNKNOWN, gone=None):
    return Case(name, change, dict.fromkeys(gone or [column], np.nan), [found(column, text, finding, done)], strict)


PRICE = 'a price above 0 in a traded row; drop the row if the stock did not trade'
ORDER = 'check the order of the price columns: some sources write open, close, high, low'
NO_DAY = 'a day without a time such as 2024-11-01; write each date as YYYY-MM-DD'
STRANGE = 'a day on which no A share was traded'
LONELY = 'a weekend, or a day on which hardly any stock has a row'
FROM = 'a trading day from 1990-12-01 on; mend or drop the row'
NO_CODE = ('six digits and .XSHG, .XSHE or .BJSE, or sh600000, 600000.SH; '
           'write codes as 600000.XSHG, 000001.XSHE or 835508.BJSE')
IS_ST, PAUSED = '1 when ST or *ST on that day, else 0', '1 when suspended that day, else 0'
SHARES = '0 or more shares; write 0 where nothing was traded'
SUSPENDED = 'a price above 0 in a suspended row; repeat the last close there, or drop the row'
CAP = 'yuan between 7e+06 and 3.3e+13; check the row'
NOT_PICKED = 'taken as not known, not picked on the next day'
EMPTY = 'leave it empty where it is not known'
ONE = 'one row per date and code; drop one of the two rows'
PAUSE = {'paused': 1.0, 'volume': 0.0}
PRICES = ('open', 'high', 'low', 'close')
NO_PRICE = dict.fromkeys(PRICES, 0.0)
AGAIN = f'{A} a second time'
SAME = 'the same row twice', 'one of them left out'
OTHER = 'a second row of the day with other content', 'all of them left out'
LATE = '2024-05-21 15:00:00'

CASES = [
    left_out('no close', {'close': np.nan}, 'close', 'nothing (NaN)', 'no price', PRICE),
    left_out('an open of 0', {'open': 0.0}, 'open', '0', 'no price', PRICE),
    left_out('a negative low', {'low': -9.7}, 'low', '-9.7', 'no price', PRICE),
    left_out('an infinite high', {'high': np.inf}, 'high', 'inf', 'no price', PRICE),
    left_out('text for a close', {'close': 'abc'}, 'close', "'abc'", 'no price', PRICE),
    left_out('two prices lack: told once', {'open': 0.0, 'low': np.nan}, 'open', '0', 'no price', PRICE),
    left_out('high below low', {'high': 9.5}, 'high', '9.5', 'high below low', f'at least the low 9.7; {ORDER}'),
    Case('high below close', {'high': 10.25}, {'high': 10.3},
         [found('high', '10.25', 'high below open or close', 'high widened')], f'at least the close 10.3; {ORDER}'),
    Case('low above open', {'low': 10.25}, {'low': 10.2},
         [found('low', '10.25', 'low above open or close', 'low widened')], f'at most the open 10.2; {ORDER}'),
    Case('high and low both', {'high': 10.25, 'low': 10.25}, {'high': 10.3, 'low': 10.2},
         [found('high', '10.25', 'high below open or close', 'high widened'),
          found('low', '10.25', 'low above open or close', 'low widened')], f'at least the close 10.3; {ORDER}'),
    left_out('a word for a day', {'date': 'nonsense'}, 'date', "'nonsense'", 'no day', NO_DAY, date=''),
    left_out('a day that is none', {'date': '2024-13-45'}, 'date', "'2024-13-45'", 'no day', NO_DAY, date=''),
    left_out('a time beside the day', {'date': LATE}, 'date', f"'{LATE}'", 'no day', NO_DAY, date=''),
    left_out('no day', {'date': None}, 'date', 'nothing (NaN)', 'no day', NO_DAY, date=''),
    *(left_out(name, {'date': day}, 'date', day, STRANGE, FROM, date=day) for name, day in (
        ('a day before all', '1989-05-22'), ('a slip in the year', '2204-05-21'))),
    left_out('a Sunday', {'date': '2024-05-19'}, 'date', '2024-05-19', LONELY, 'a trading day; mend or drop the row',
             date='2024-05-19'),
    left_out('an unknown code', {'code': '999999'}, 'code', "'999999'", 'no code of a stock', NO_CODE, code='999999'),
    left_out('a word for a code', {'code': 'hello'}, 'code', "'hello'", 'no code of a stock', NO_CODE, code='hello'),
    left_out('no code', {'code': None}, 'code', 'nothing (NaN)', 'no code of a stock', NO_CODE, code=''),
    left_out('is_st of 2', {'is_st': 2.0}, 'is_st', '2', 'neither 0 nor 1', f'0 or 1; {IS_ST}'),
    left_out('paused not known', {'paused': np.nan}, 'paused', 'nothing (NaN)', 'neither 0 nor 1', f'0 or 1; {PAUSED}'),
    left_out('text for is_st', {'is_st': 'maybe'}, 'is_st', "'maybe'", 'neither 0 nor 1', f'0 or 1; {IS_ST}'),
    left_out('negative volume', {'volume': -100.0}, 'volume', '-100', 'no volume', SHARES),
    left_out('no volume', {'volume': np.nan}, 'volume', 'nothing (NaN)', 'no volume', SHARES),
    Case('no volume, suspended', {'paused': 1.0, 'volume': np.nan}, PAUSE,
         [found('volume', 'nothing (NaN)', 'no volume on a suspended day', 'taken as 0')], SHARES),
    Case('only a close, suspended', {**PAUSE, 'open': 0.0, 'high': 0.0, 'low': np.nan, 'close': 10.4},
         {**PAUSE, **dict.fromkeys(PRICES, 10.4)},
         [found('open', '0', 'no price on a suspended day', 'given the close')], SUSPENDED),
    Case('priced 0, suspended', {**PAUSE, **NO_PRICE}, {**PAUSE, **dict.fromkeys(PRICES, 10.2)},
         [found('open', '0', 'no price on a suspended day', 'given the last close')], SUSPENDED),
    Case('priced 0, suspended, no preclose', {**PAUSE, **NO_PRICE, 'preclose': np.nan},
         {**PAUSE, **dict.fromkeys(PRICES, 10.2), 'preclose': np.nan},
         [found('close', 'no price', 'no price on a suspended day', 'given the last close')], SUSPENDED),
    Case('priced 0, suspended from the first row on', {**PAUSE, **NO_PRICE, 'preclose': np.nan}, None,
         [found('close', 'no price', 'no price on a suspended day, and none before', LEFT_OUT, row=0, date='2024-01-02')],
         SUSPENDED, row=0),
    unknown('no cap', {'market_cap': np.nan}, 'market_cap', 'nothing (NaN)', 'no market cap', None, 'not picked on the next day'),
    unknown('a cap of 0', {'market_cap': 0.0}, 'market_cap', '0', 'no market cap', CAP, 'not picked on the next day'),
    unknown('a cap of 1', {'market_cap': 1.0}, 'market_cap', '1', 'absurd market cap', CAP, NOT_PICKED),
    unknown('a negative cap', {'market_cap': -5e9}, 'market_cap', '-5000000000', 'absurd market cap', CAP, NOT_PICKED),
    unknown('a cap of 1e15', {'market_cap': 1e15}, 'market_cap', '1e+15', 'absurd market cap', CAP, NOT_PICKED),
    unknown('text for a cap', {'market_cap': 'abc'}, 'market_cap', "'abc'", 'no number',
            'a number (yuan, total shares x close); mend or drop the row'),
    unknown('preclose of 0', {'preclose': 0.0}, 'preclose', '0', 'not above 0', f'a price above 0; {EMPTY}'),
    unknown('negative upper limit', {'high_limit': -1.0}, 'high_limit', '-1', 'not above 0', f'a price above 0; {EMPTY}'),
    unknown('lower limit of 0', {'low_limit': 0.0}, 'low_limit', '0', 'not above 0', f'a price above 0; {EMPTY}'),
    unknown('share ratio of 0', {'share_ratio': 0.0}, 'share_ratio', '0', 'not above 0', f'a ratio above 0; {EMPTY}'),
    unknown('negative dividend', {'cash_dividend': -0.1}, 'cash_dividend', '-0.1', 'below 0', f'0 or more yuan a share; {EMPTY}'),
    unknown('negative amount', {'amount': -5.0}, 'amount', '-5', 'below 0', f'0 or more yuan; {EMPTY}'),
    unknown('negative float cap', {'circ_market_cap': -1.0}, 'circ_market_cap', '-1', 'below 0', f'0 or more yuan; {EMPTY}'),
    unknown('text for a preclose', {'preclose': 'abc'}, 'preclose', "'abc'", 'no number',
            "a number (yuan, the exchange's ex-rights reference price); mend or drop the row"),
    unknown('an infinite amount', {'amount': np.inf}, 'amount', 'inf', 'no number', 'a number (yuan); mend or drop the row'),
    unknown('limits swapped', {'high_limit': 9.0, 'low_limit': 11.0}, 'high_limit', '9', 'upper limit below the lower one',
            'at least the low_limit 11; the two limits are swapped', gone=['high_limit', 'low_limit']),
    Case('the same row twice', {}, {}, [found('code', AGAIN, *SAME, row=600)], ONE, [{}]),
    Case('the same row three times', {}, {}, [found('code', AGAIN, *SAME, row=600), found('code', AGAIN, *SAME, row=601)], ONE,
         [{}, {}]),
    Case('a second row, another close', {}, None, [found('code', AGAIN, *OTHER), found('code', AGAIN, *OTHER, row=600)], ONE,
         [{'close': 10.4}]),
    Case('a second row, another cap, a third like the first', {}, None,
         [found('code', AGAIN, *OTHER, row=row) for row in (200, 600, 601)], ONE, [{'market_cap': 2.2e9}, {}], market=True),
]

# ---------------------------------------------------------------------------------------------------- all that reads tables


class Taken(NamedTuple):
    """What a reader made of a table; None where it does not show it."""

    rows: pd.DataFrame | None
    findings: pd.DataFrame | None
    told: list  # lines that were printed or written
    refused: str  # one line


def of_frame(table, folder, strict):
    quarantine = Quarantine(strict)
    rows = check_table(table, quarantine=quarantine)
    return Taken(rows, quarantine.table(), [quarantine.line()], '')


def of_loading(ending):
    def read(table, folder, strict):
        quarantine = Quarantine(strict)
        rows = load_table(bad_tables.write(table, folder / f'm{ending}'), quarantine=quarantine)
        return Taken(rows, quarantine.table(), [quarantine.line()], '')
    return read


def of_store(table, folder, strict):
    quarantine = Quarantine(strict)
    store = MarketStore.from_table(table, quarantine=quarantine)
    return Taken(store.table(), store.findings(), [quarantine.line()], '')


def of_market_feed(table, folder, strict):
    """No strict: it tells in a warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        store = MarketFeed(dataname=table).store
    return Taken(store.table(), store.findings(), [str(warning.message) for warning in caught], '')


def of_file(ending):
    def read(table, folder, strict):
        quarantine = Quarantine(strict)
        store = MarketStore.from_file(bad_tables.write(table, folder / f'm{ending}'), quarantine=quarantine)
        return Taken(store.table(), store.findings(), [quarantine.line()], '')
    return read


def of_stock(table, folder, strict):
    """One stock: the rows of A, and those whose code is none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        feed = StockPandas(dataname=table[table['code'] != B], strict=strict)
    rows = pd.DataFrame({'date': pd.to_datetime([bt.num2date(day) for day in feed.days]), 'code': A,
                         **{name: feed.column(name) for name in COLUMNS}})
    return Taken(rows, None, [str(warning.message) for warning in caught], '')


def of_stock_file(table, folder, strict):
    path = bad_tables.write(table[table['code'] != B], folder / 'm.csv')
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        feed = StockCSV(dataname=path, strict=strict)
    rows = pd.DataFrame({'date': pd.to_datetime([bt.num2date(day) for day in feed.days]), 'code': A,
                         **{name: feed.column(name) for name in COLUMNS}})
    return Taken(rows, None, [str(warning.message) for warning in caught], '')


def write_gbk(table, folder):
    path = folder / 'm.csv'
    path.write_bytes(table.rename(columns=CHINESE).to_csv(index=False).encode('gbk'))
    return path


def listed(path):
    """A quarantine's file as text; None where there is none."""
    if not path.exists():
        return None
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def of_ingest(kind, write):
    def read(table, folder, strict):
        store = folder / 'store'
        outcome = call('ingest', kind, write(table, folder), '--store', store, *(['--strict'] if strict else []))
        if outcome.status:
            assert not store.exists() and not (folder / 'store.quarantine.csv').exists()
            return Taken(None, None, [], one_error_line(outcome))
        assert outcome.err == ''
        report = (folder / 'store.report.txt').read_text(encoding='utf-8').splitlines()
        assert outcome.lines[-1 - len(report):-1] == report
        return Taken(MarketStore.open(store).table(), listed(folder / 'store.quarantine.csv'), report, '')
    return read


def of_backtest(write):
    def read(table, folder, strict):
        out = folder / 'out'
        outcome = call('backtest', '--data', write(table, folder), '--out', out, '--no-plot', *(['--strict'] if strict else []))
        if outcome.status:
            assert not out.exists()
            return Taken(None, None, [], one_error_line(outcome))
        assert outcome.err == ''
        return Taken(None, listed(out / 'quarantine.csv'), outcome.lines, '')
    return read


def saved(name):
    return lambda table, folder: bad_tables.write(table, folder / name)


# name -> reader, the file's name ('' where there is none), whether rows are told by lines
READERS = {
    'check_table': (of_frame, '', False),
    'load_table, parquet': (of_loading('.parquet'), 'm.parquet', False),
    'load_table, csv': (of_loading('.csv'), 'm.csv', True),
    'MarketStore.from_table': (of_store, '', False),
    'MarketStore.from_file, parquet': (of_file('.parquet'), 'm.parquet', False),
    'MarketStore.from_file, csv.gz': (of_file('.csv.gz'), 'm.csv.gz', True),
    'MarketFeed': (of_market_feed, '', False),
    'StockPandas': (of_stock, '', False),
    'StockCSV': (of_stock_file, 'm.csv', True),
    'ingest parquet': (of_ingest('parquet', saved('m.parquet')), 'm.parquet', False),
    'ingest csv': (of_ingest('csv', saved('m.csv')), 'm.csv', True),
    'ingest csv.gz': (of_ingest('csv', saved('m.csv.gz')), 'm.csv.gz', True),
    'ingest csv, GBK, Chinese': (of_ingest('csv', write_gbk), 'm.csv', True),
    'backtest, parquet': (of_backtest(saved('m.parquet')), 'm.parquet', False),
    'backtest, csv': (of_backtest(saved('m.csv')), 'm.csv', True),
}


def read(name, table, folder, strict=False):
    """Let a reader read; what it refuses is in `Taken.refused`, without ``error:``."""
    folder.mkdir(exist_ok=True)
    try:
        taken = READERS[name][0](table, folder, strict)
    except DataError as error:
        return Taken(None, None, [], str(error))
    return taken._replace(refused=taken.refused.removeprefix('error: '))
