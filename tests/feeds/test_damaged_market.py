"""A market of 300 stocks of which 0.9 % of the rows are damaged: what the damage explains is all that changes.

Two claims. Damage anywhere gives the run, byte for byte, of a clean table that this file mended itself by the written rules.
And damage of rows that cannot matter, of stocks that are neither looked at nor held around that day, gives the trades of the
undamaged table.
"""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.demo import demo_market
from tests.support.dirty_tables import listed
from tests.support.script_calls import call

PRICES = ['open', 'high', 'low', 'close']
LEFT_OUT, UNKNOWN = 'row left out', 'taken as not known'
FILES = ('trades.csv', 'orders.csv', 'rejections.csv', 'corporate_actions.csv', 'equity.csv')
SHARE, REFRESH = 0.009, 5


@pytest.fixture(scope='module')
def market():
    table = demo_market(stocks=300, days=486, seed=11, corporate_actions=True)
    kinds = {'code': str, **dict.fromkeys(table.columns.difference(['date', 'code']), float)}
    return table.astype(kinds)


class Damage:
    """Damages rows of a table, and notes what is to become of them.

    `dirty` is the damaged table; `clean` mends it, by what was done and the rules in the README, never by looking at the damage.
    """

    def __init__(self, table):
        self.table = table
        self.dirty = table.assign(date=table['date'].dt.strftime('%Y-%m-%d').astype(object), code=table['code'].astype(object))
        self.fixed = table.copy()
        self.dropped, self.without_close, self.more, self.told = [], [], [], Counter()

    def put(self, row, **values):
        for name, value in values.items():
            self.dirty.loc[row, name] = value

    def mend(self, row, **values):
        for name, value in values.items():
            self.fixed.loc[row, name] = value

    def drop(self, row, finding, done=LEFT_OUT, count=1):
        self.dropped.append(row)
        self.told[finding, done] += count

    def tell(self, finding, done):
        self.told[finding, done] += 1

    # the kinds: those of a traded row, then those of a suspended one

    def no_price(self, row, chance):
        self.put(row, **{PRICES[chance.integers(4)]: chance.choice([0.0, -1.0, np.nan, np.inf])})
        self.drop(row, 'no price')

    def crossed(self, row, chance):
        self.put(row, high=self.table.at[row, 'low'] - 0.01)
        self.drop(row, 'high below low')

    def high(self, row, chance):
        first, last = sorted(self.table.loc[row, ['open', 'close']])
        if last - first < 0.015:
            return self.crossed(row, chance)
        self.put(row, high=first)
        self.mend(row, high=last)
        return self.tell('high below open or close', 'high widened')

    def low(self, row, chance):
        first, last = sorted(self.table.loc[row, ['open', 'close']])
        if last - first < 0.015:
            return self.no_price(row, chance)
        self.put(row, low=last)
        self.mend(row, low=first)
        return self.tell('low above open or close', 'low widened')

    def no_day(self, row, chance):
        self.put(row, date=chance.choice(['', 'soon', '2020-02-30', self.dirty.at[row, 'date'] + ' 15:00:00']) or None)
        self.drop(row, 'no day')

    def strange_day(self, row, chance):
        self.put(row, date=f'{chance.integers(1900, 1980)}{self.dirty.at[row, "date"][4:]}'.replace('-02-29', '-02-28'))
        self.drop(row, 'a day on which no A share was traded')

    def no_code(self, row, chance):
        self.put(row, code=chance.choice(['999999', 'none at all', '']) or None)
        self.drop(row, 'no code of a stock')

    def flag(self, row, chance):
        name = chance.choice(['is_st', 'paused'])
        self.put(row, **{name: chance.choice([2.0, np.nan])})
        self.drop(row, f'{name} neither 0 nor 1')

    def no_volume(self, row, chance):
        self.put(row, volume=chance.choice([-1.0, np.nan]))
        self.drop(row, 'no volume')

    def cap(self, row, chance):
        value = chance.choice([np.nan, 0.0, 1.0, -2.5e9, 1e15])
        self.put(row, market_cap=value)
        self.mend(row, market_cap=np.nan)
        if value == 0 or value != value:
            return self.tell('no market cap', 'not picked on the next day')
        return self.tell('absurd market cap', 'taken as not known, not picked on the next day')

    def unknown(self, row, chance):
        kinds = [('preclose', 'not above 0'), ('amount', 'below 0'), ('share_ratio', 'not above 0'), ('cash_dividend', 'below 0')]
        kinds = [kind for kind in kinds if kind[0] in self.table]
        name, finding = kinds[chance.integers(len(kinds))]
        self.put(row, **{name: -1.0})
        self.mend(row, **{name: np.nan})
        self.tell(f'{name} {finding}', UNKNOWN)

    def doubled(self, row, chance):
        self.more.append(self.dirty.loc[row].to_dict())
        self.tell('the same row twice', 'one of them left out')

    def conflicting(self, row, chance):
        other = self.dirty.loc[row].to_dict()
        name = chance.choice(['volume', 'market_cap', 'preclose'])
        self.more.append({**other, name: other[name] * 2 + 1})
        self.drop(row, 'a second row of the day with other content', 'all of them left out', 2)

    def only_a_close(self, row, chance):
        """`high` may be anything: without an open all is the close."""
        self.put(row, open=0.0, high=chance.choice([np.nan, 99.0]))
        self.mend(row, **dict.fromkeys(PRICES, self.table.at[row, 'close']))
        self.tell('no price on a suspended day', 'given the close')

    def no_close(self, row, chance):
        self.put(row, **dict.fromkeys(PRICES, chance.choice([0.0, np.nan])))
        if chance.random() < 0.5:
            self.put(row, preclose=np.nan)
            self.mend(row, preclose=np.nan)
            self.without_close.append(row)
        else:  # the last close, less ex-rights, also where the row before was left out
            self.mend(row, **dict.fromkeys(PRICES, self.table.at[row, 'preclose']))
            self.tell('no price on a suspended day', 'given the last close')

    TRADED = [no_price, crossed, high, low, no_day, strange_day, no_code, flag, no_volume, cap, unknown, doubled, conflicting]
    SUSPENDED = [no_day, no_code, doubled, conflicting, only_a_close, no_close]

    def do(self, rows, chance):
        for row in rows:
            kinds = self.SUSPENDED if self.table.at[row, 'paused'] == 1 else self.TRADED
            kinds[chance.integers(len(kinds))](self, row, chance)
        return self

    def clean(self):
        """The table as it is to be understood: rows left out, and suspended ones with the last close of a row that stays."""
        table = self.fixed
        table.loc[self.without_close, PRICES] = np.nan
        table = table.drop(index=self.dropped)
        last = table.groupby('code')['close'].ffill()
        for row in self.without_close:
            known = last[row] == last[row]
            table.loc[row, PRICES] = last[row]
            self.told[('no price on a suspended day', 'given the last close') if known else (
                'no price on a suspended day, and none before', LEFT_OUT)] += 1
        return table[table['close'].notna()].reset_index(drop=True)

    def nothing_happened(self, table):
        """Without explicit actions: say so in each row after a lost one, whose preclose is the close of the lost day.

        It is no ex-rights where it is nearer to the last close that is there than price limits let a price go in these days.
        """
        days = np.sort(self.table['date'].unique())
        kept = {code: rows.sort_values('date') for code, rows in table.groupby('code')}
        found = self.dirty.loc[self.dropped]
        lost = found[(found['date'] == self.table.loc[found.index, 'date'].dt.strftime('%Y-%m-%d'))
                     & (found['code'] == self.table.loc[found.index, 'code'])]
        table = table.assign(cash_dividend=np.nan, share_ratio=np.nan)
        for row in lost.index:
            code, day = self.table.loc[row, ['code', 'date']]
            before, after = (kept[code][side(kept[code]['date'], day)] for side in (np.less, np.greater))
            if not len(before) or not len(after):
                continue
            before, after = before.iloc[-1], after.iloc[0]
            limit = 0.3 if code.endswith('BJSE') else 0.2 if code.startswith(('30', '68')) else 0.1
            between = ((days > before['date']) & (days < after['date'])).sum()
            change = after['preclose'] - before['close']
            if abs(change) > 0.005 and abs(change) <= before['close'] * ((1.01 + limit) ** between - 1):
                table.loc[after.name, ['cash_dividend', 'share_ratio']] = 0.0, 1.0
        return table

    def table_in_any_order(self, chance):
        table = pd.concat([self.dirty, pd.DataFrame(self.more)], ignore_index=True)
        return table.iloc[chance.permutation(len(table))].reset_index(drop=True)


def backtest(data, out, *options):
    outcome = call('backtest', '--data', data, '--out', out, '--no-plot', '--refresh-rate', REFRESH, *options)
    assert (outcome.status, outcome.err) == (0, '')
    return out


def written(table, path):
    if path.suffix == '.parquet':
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False)
    return path


def told(out):
    """How often what was found, with the column where the finding does not say it."""
    found = listed(out / 'quarantine.csv')
    of_any = found['finding'].isin(['not above 0', 'below 0', 'no number', 'neither 0 nor 1'])
    finding = found['finding'].where(~of_any, found['column'] + ' ' + found['finding'])
    return Counter(zip(finding, found['done'], strict=True))


@pytest.mark.parametrize(('seed', 'kind'), [(1, 'parquet'), (2, 'parquet'), (3, 'csv'), (4, 'parquet')])
def test_damage_anywhere(tmp_path, market, seed, kind):
    """All that was not damaged is as it was, and the damaged rows are what the rules say."""
    chance = np.random.default_rng(seed)
    suspended = market.index[market['paused'] == 1]
    rows = chance.choice(market.index, round(SHARE * len(market)) - 100, replace=False)
    rows = np.union1d(rows, chance.choice(suspended, 100, replace=False))
    damage = Damage(market).do(chance.permutation(rows), chance)
    expected = damage.clean()
    path = written(damage.table_in_any_order(chance), tmp_path / f'dirty.{kind}')
    assert len(damage.told) >= 20 and len(market) - len(expected) > 300

    dirty = backtest(path, tmp_path / 'dirty')
    right = backtest(written(expected, tmp_path / f'right.{kind}'), tmp_path / 'right', '--strict')
    clean = backtest(written(market, tmp_path / f'clean.{kind}'), tmp_path / 'clean', '--strict')
    for name in FILES:
        assert (dirty / name).read_bytes() == (right / name).read_bytes(), name
    assert (dirty / 'trades.csv').read_bytes() != (clean / 'trades.csv').read_bytes()  # it was no light damage
    assert told(dirty) == damage.told
    assert set(listed(right / 'quarantine.csv')['finding']) == {'no market cap'}


@pytest.mark.parametrize('seed', [1, 2, 3])
def test_a_lost_day_is_no_ex_date(tmp_path, market, seed):
    """A market whose precloses tell the ex-dates: the return of a day whose row was left out is not taken for one."""
    market = market.drop(columns=['cash_dividend', 'share_ratio'])
    chance = np.random.default_rng(300 + seed)
    damage = Damage(market).do(chance.choice(market.index, round(SHARE * len(market)), replace=False), chance)
    expected = damage.nothing_happened(damage.clean())
    assert (expected['share_ratio'] == 1).sum() > 200
    right = backtest(written(expected, tmp_path / 'right.parquet'), tmp_path / 'right', '--strict')
    dirty = backtest(written(damage.table_in_any_order(chance), tmp_path / 'dirty.parquet'), tmp_path / 'dirty')
    for name in FILES:
        assert (dirty / name).read_bytes() == (right / name).read_bytes(), name
    naive = backtest(written(damage.clean(), tmp_path / 'naive.parquet'), tmp_path / 'naive', '--strict')
    assert (naive / 'equity.csv').read_bytes() != (right / 'equity.csv').read_bytes()


@pytest.mark.parametrize('seed', [1, 2, 3])
def test_by_way_of_a_store(tmp_path, market, seed):
    """The same of a store, in two steps."""
    chance = np.random.default_rng(100 + seed)
    damage = Damage(market).do(chance.choice(market.index, round(SHARE * len(market)), replace=False), chance)
    right = backtest(written(damage.clean(), tmp_path / 'right.parquet'), tmp_path / 'right', '--strict')
    table = damage.table_in_any_order(chance)
    late = table['date'].fillna('').str.slice(0, 10).between('2020-01-01', '2020-12-31')
    for number, part in enumerate((table[~late], table[late])):
        path = written(part, tmp_path / f'{number}.parquet')
        outcome = call('ingest', 'parquet', path, '--store', tmp_path / 'store', *(['--append'] if number else []))
        assert (outcome.status, outcome.err) == (0, '')
    dirty = backtest(tmp_path / 'store', tmp_path / 'dirty')
    for name in FILES:
        assert (dirty / name).read_bytes() == (right / name).read_bytes(), name
    assert len(listed(tmp_path / 'store.quarantine.csv')) == damage.told.total()


def cannot_matter(market, out):
    """Rows that a run cannot have looked at.

    It picks on every fifth day by what the day before showed, and asks then whether a stock trades; a row of a day that is
    neither of the two, of a stock that is not held on that day, the one before and the one after, is looked at by nobody. Nor is
    any row of a stock whose cap is never near the band.
    """
    days = np.sort(market['date'].unique())
    number = np.searchsorted(days, market['date'])
    quiet = ~np.isin(number % REFRESH, (0, 1))  # the run's first day is number 1, a day of picking
    trades = pd.read_csv(out / 'trades.csv')
    dates = pd.to_datetime(trades['datetime']).dt.normalize().to_numpy().astype(days.dtype)
    assert set(np.searchsorted(days, dates[:3]) % REFRESH) == {1}
    size = np.where(trades['side'] == 'BUY', 1, -1) * trades['quantity']
    for code, rows in trades.assign(at=np.searchsorted(days, dates), signed=size).groupby('code'):
        busy = np.zeros(len(days), bool)
        busy[rows['at'].min():rows['at'].max() + 1] = True  # between two holdings as well: more than is needed
        if rows['signed'].sum() > 0:
            busy[rows['at'].min():] = True
        busy = busy | np.roll(busy, 1) | np.roll(busy, -1)
        mine = (market['code'] == code).to_numpy()
        quiet[mine] &= ~busy[number[mine]]
    caps = market.groupby('code')['market_cap'].agg(['min', 'max'])
    far = caps.index[(caps['min'] > 3.3e9) | (caps['max'] < 1.8e9)]
    return market.index[quiet | market['code'].isin(far)]


@pytest.mark.parametrize('seed', [1, 2, 3, 4])
def test_damage_that_cannot_matter(tmp_path, market, seed):
    chance = np.random.default_rng(200 + seed)
    clean = backtest(written(market, tmp_path / 'clean.parquet'), tmp_path / 'clean', '--strict')
    rows = cannot_matter(market, clean)
    assert len(rows) > 0.4 * len(market)
    damage = Damage(market).do(chance.choice(rows, round(SHARE * len(market)), replace=False), chance)
    dirty = backtest(written(damage.table_in_any_order(chance), tmp_path / 'dirty.parquet'), tmp_path / 'dirty')
    for name in ('trades.csv', 'orders.csv', 'rejections.csv', 'corporate_actions.csv'):
        assert (dirty / name).read_bytes() == (clean / name).read_bytes(), name
    equity = [pd.read_csv(out / 'equity.csv').drop(columns='benchmark') for out in (dirty, clean)]
    pd.testing.assert_frame_equal(*equity, check_exact=True)
    assert len(listed(dirty / 'quarantine.csv')) > 1000
