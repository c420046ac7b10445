"""The picture of a run over one MarketFeed: as with one feed per stock, and whole where stocks come late or go."""

import logging
import math
import warnings

import backtrader as bt
import matplotlib
import pytest

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # before the first plot(): without a screen Backtrader's own choice fails

from bt_microcap import AShareBroker, MicroCapStrategy, Trades, save_plot
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from tests.support.running import fills_of, run_feeds

PARAMS = {'min_cap': 4e8, 'max_cap': 6e9, 'stocknum': 5, 'refresh_rate': 3}
DAYS = 40


class All(MicroCapStrategy):
    params = (('plot_stocks', 60),)


class Averaged(MicroCapStrategy):
    """With indicators over feeds of stocks: one that is drawn and one that is not."""

    def __init__(self):
        super().__init__()
        for code in (self.universe.codes[-1], '602984.XSHG'):
            feed = self.universe.feed(code)
            bt.ind.SMA(feed, period=5, plotname='average')
            bt.ind.SMA(feed.open, period=5, subplot=False, plotname='opening')
            bt.ind.RSI(feed, period=5, plotname='strength')


@pytest.fixture(scope='module')
def table():
    return check_table(demo_market(32, '2021-03-01', days=DAYS, seed=13))


@pytest.fixture(autouse=True)
def silence(caplog):
    """Nothing may be warned or logged: matplotlib does so where it is given NaN."""
    plt.close('all')  # Backtrader draws on the first figure, also where another test has left one
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter('error')
        yield
    assert caplog.records == []
    plt.close('all')


def run(table, market=True, strategy=All, **options):
    cerebro = bt.Cerebro()
    # forty days: with the default wait of 60 none is delisted
    done = run_feeds(table, market=market, strategy=strategy, cerebro=cerebro, **{**PARAMS, 'delist_wait': 0, **options})
    return cerebro, done


def charts(cerebro, **options):
    """First word of a chart's label -> its lines, by the last word of theirs."""
    ((figure,),) = cerebro.plot(**{'volume': False, 'style': 'line', 'rowsmajor': 5, 'rowsminor': 1, **options})
    found = {}
    for axes in figure.axes:
        lines = [line for line in axes.lines if not line.get_label().startswith('_')]
        if lines:
            found[lines[0].get_label().split()[0]] = {line.get_label().split('\n')[-1].split(' ')[0]: line for line in lines}
    return found


def points(line):
    return {int(x): float(y) for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True) if not math.isnan(y)}


def forward_adjusted(rows):
    """The closes of a stock at the level of its last row: before a row whose preclose is not the last close, lower by as much."""
    found, factor = [], 1.0
    for close, preclose in zip(rows['close'].iloc[::-1], [None, *rows['preclose'].iloc[:0:-1]], strict=True):
        if preclose is not None and abs(preclose - close) > 0.006:
            factor *= preclose / close
        found.append(close * factor)
    return found[::-1]


def stocks_of(found):
    return sorted(name for name in found if name.endswith(('XSHG', 'XSHE', 'BJSE')))


@pytest.mark.parametrize('wait', [0, 5])
def test_the_same_charts_as_with_one_feed_per_stock(wait, table):
    days = [stamp.date() for stamp in sorted(set(table['date']))]
    feeds, strategy = run(table, market=False, delist_wait=wait)
    feeds, market = charts(feeds), charts(run(table, delist_wait=wait)[0])
    assert set(feeds) == set(market)
    assert len(stocks_of(market)) > 5
    # code -> bar of the day on which it became cash
    gone = {row.code: days.index(row.date) + 1 for row in strategy.analyzers.blotter.rejections if row.reason == 'delisted'}
    gaps = 0
    for code in stocks_of(market):
        rows = table[table['code'] == code]
        closes = {days.index(stamp.date()): close for stamp, close in zip(rows['date'], rows['close'], strict=True)}
        drawn = points(market[code][code])
        assert {bar: drawn[bar] for bar in closes} == pytest.approx(dict(zip(closes, forward_adjusted(rows), strict=True)))
        assert (min(drawn), max(drawn)) == (min(closes), max(closes))
        gaps += len(drawn) > len(closes)  # a day without a row shows the last close
        for name in ('buy', 'sell'):
            theirs, ours = points(feeds[code][name]), points(market[code][name])
            if code in gone and name == 'sell':  # paid out on a day whose bar only the market has
                bar, last = gone[code], max(closes)
                assert bar == last + wait + 1
                assert ours.pop(bar) == closes[last]
                # the other shows it at its last bar, unless a sale is there
                assert theirs.pop(last) == ours.pop(last, closes[last])
            assert ours == theirs
    assert gone
    assert gaps
    for name in ('Account', 'Drawdown', 'Holdings', 'market'):
        for line in feeds[name]:
            assert points(feeds[name][line]) == points(market[name][line])


@pytest.mark.parametrize('options', [
    {'style': 'line'}, {'style': 'line', 'volume': True}, {'style': 'candle', 'volume': True},
    {'style': 'bar', 'volume': True}, {'style': 'bar', 'volume': True, 'voloverlay': False},
], ids=lambda options: '-'.join(map(str, options.values())))
def test_stocks_that_come_late_or_go(options, table):
    """A first day of its own, and NaN after the last, breaks nothing; NaN is not written anywhere."""
    life = table.groupby('code', observed=True)['date'].agg(['min', 'max'])
    late, gone = life['min'] > life['min'].min(), life['max'] < life['max'].max()
    few = [*life.index[late], *life.index[gone], life.index[0]]
    cerebro, strategy = run(table[table['code'].isin(few)], min_cap=0.0, max_cap=1e12, boards=('main', 'chinext', 'star', 'bse'))
    feeds = list(fills_of(strategy))
    begins = table.groupby('code', observed=True)['date'].min().map(sorted(set(table['date'])).index)
    assert [len(feed.close.array) for feed in feeds] == [DAYS - begins[feed._name] for feed in feeds]  # from their first rows on
    assert any(len(feed.close.array) < DAYS for feed in feeds)
    assert not any(math.isnan(feed.close.array[0]) for feed in feeds)
    assert any(math.isnan(feed.close.array[-1]) for feed in feeds)
    ((figure,),) = cerebro.plot(**{'volume': False, 'rowsmajor': 5, 'rowsminor': 1, **options})
    figure.canvas.draw()
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    texts += [text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().get_texts()]
    assert len(texts) > 15
    assert not [text for text in texts if 'nan' in text]


def test_the_values_stay_as_they_are(table):
    """What the plot is spared stays NaN for everybody else."""
    _, strategy = run(table)
    gone = [feed for feed in fills_of(strategy) if feed.last_day < table['date'].iloc[-1].toordinal()]
    assert gone
    for feed in gone:
        assert math.isnan(feed.close[0])
        assert math.isnan(feed.lines.volume[0])


@pytest.mark.parametrize('limit', [0, 1, 4])
def test_limit(limit, table):
    class Limited(MicroCapStrategy):
        params = (('plot_stocks', limit),)

    assert len(stocks_of(charts(run(table, strategy=Limited)[0]))) == limit


def test_indicators_of_drawn_stocks(table):
    cerebro, strategy = run(table, strategy=Averaged)
    assert '602984.XSHG' in {feed._name for feed in fills_of(strategy)}
    found = charts(cerebro)
    rows = table[table['code'] == '602984.XSHG']
    assert len(rows) == DAYS
    for name, column in (('average', 'close'), ('opening', 'open')):
        drawn = points(found['602984.XSHG'][name])
        assert sorted(drawn) == list(range(4, DAYS))
        assert forward_adjusted(rows) == rows['close'].tolist()  # without ex-rights, so that the mean is that of the prices
        assert [drawn[bar] for bar in sorted(drawn)] == pytest.approx(rows[column].rolling(5).mean().tolist()[4:])
    assert 'strength' in found


@pytest.mark.parametrize('strategy', [MicroCapStrategy, Averaged], ids=['plain', 'indicators'])
@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
def test_save_plot(market, strategy, table, tmp_path):
    cerebro, _ = run(table, market=market, strategy=strategy, observers=[Trades])
    save_plot(cerebro, tmp_path / 'plot.png')
    assert (tmp_path / 'plot.png').stat().st_size > 10_000
    assert [path.name for path in tmp_path.iterdir()] == ['plot.png']


def test_run_twice(table):
    cerebro, strategy = run(table)
    first = charts(cerebro)
    plt.close('all')
    assert cerebro.run()[0].analyzers.blotter.fills == strategy.analyzers.blotter.fills  # drawing changes nothing
    again = charts(cerebro)
    assert list(first) == list(again)
    for code in stocks_of(first):
        assert {name: points(line) for name, line in first[code].items()} == {
            name: points(line) for name, line in again[code].items()}


def test_a_plain_cerebro(table):
    """Backtrader's standard observers, and stocks that are there every day."""
    counts = table['code'].value_counts()
    cerebro = bt.Cerebro()
    cerebro.adddata(MarketFeed(dataname=table[table['code'].isin(counts.index[counts == DAYS])]), name='market')
    cerebro.addstrategy(MicroCapStrategy, **PARAMS)
    cerebro.setbroker(AShareBroker(cash=1e6))
    cerebro.run()
    assert len(stocks_of(charts(cerebro))) == 4
