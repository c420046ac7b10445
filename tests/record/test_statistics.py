"""The figures of a run beyond those of old: by hand, and against ffn, empyrical and pandas."""

import json
import warnings
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from bt_microcap.record.figures import figures_of
from bt_microcap.record.rows import CashFlow, CorporateAction, Equity, Fill, OrderRecord
from bt_microcap.record.statistics import growth_of, statistics, summary_rows, summary_table

A, B = '600001.XSHG', '000002.XSHE'
DAYS = [date(2024, 1, day) for day in (2, 3, 4, 5)]
VALUES = (1_010_000.0, 989_800.0, 1_019_494.0, 1_019_494.0)  # +1 %, -2 %, +3 %, nothing
BENCHMARK = (2.0, 2.04, 2.0196, 2.0196, 2.059992)  # +2 %, -1 %, nothing, +2 %
OF_OLD = ('start_value', 'end_value', 'total_return', 'annual_return', 'sharpe', 'max_drawdown', 'turnover', 'fees', 'commission',
          'tax', 'transfer_fee', 'trades', 'rejections', 'days', 'first_day', 'last_day', 'cash_flows', 'delisted',
          'delisted_cash', 'median_volume_share', 'days_a_year', 'risk_free')
OF_RETURNS = ('volatility', 'sortino', 'calmar', 'skew', 'kurtosis', 'value_at_risk', 'conditional_value_at_risk', 'best_day',
              'worst_day', 'positive_days')
COMPARED = ('alpha', 'beta', 'tracking_error', 'information_ratio', 'information_ratio_annual', 'excess_return')
OF_TRADES = ('closed_trades', 'win_rate', 'payoff', 'expectancy', 'expectancy_rate', 'profit_factor', 'mean_days_held')
OF_THE_ACCOUNT = ('time_in_market', 'slippage', 'volume_share_95', 'volume_share_max')


def order(code, slippage, share, quantity=100):
    return OrderRecord(DAYS[0], code, 'BUY', '', 100, quantity, 10.0, 0.0, 0.0, 0.0, 0.0, slippage, '', '', share)


def books(values=VALUES, days=DAYS, **parts):
    """Make a blotter; a quarter of the value is cash."""
    equity = [Equity(day, value / 4, value * 3 / 4, value) for day, value in zip(days, values, strict=False)]
    empty = {name: [] for name in ('fills', 'orders', 'rejections', 'corporate_actions', 'cash_flows')}
    return SimpleNamespace(**{**empty, 'equity': equity, **parts})


def of_returns(returns, benchmark_returns=None, **options):
    """Return the figures of a run that has these returns."""
    days = [date(2020, 1, 1) + timedelta(days=number) for number in range(len(returns))]
    level = None if benchmark_returns is None else 3.0 * np.cumprod([1.0, *(1 + np.asarray(benchmark_returns))])
    return statistics(books(1e6 * np.cumprod(1 + np.asarray(returns)), days), 1e6, benchmark=level, **options)


# ------------------------------------------------------------------------------------------ by hand


def test_the_new_keys_come_after_those_of_old():
    found = list(statistics(books(), 1e6))
    assert found == [*OF_OLD, 'cagr', *OF_RETURNS, *COMPARED, 'longest_drawdown', *OF_TRADES, *OF_THE_ACCOUNT]


def test_figures_of_returns_by_hand():
    found = statistics(books(), 1e6, days_a_year=250)
    expected = {
        'volatility': (0.0013 / 3 * 250) ** 0.5,
        'sortino': 0.005 / 0.01 * 250 ** 0.5,  # one day of -2 % among four: sqrt(0.0004 / 4)
        'calmar': (1.019494 ** 62.5 - 1) / 0.02,
        'skew': 0.0,  # 0.5 % and 2.5 % off the mean on either side
        'kurtosis': 1.5 * (5 * (1.95625e-7 / 0.000325 ** 2 - 3) + 6),
        'value_at_risk': -0.017,  # 0.15 of the way from -2 % to 0
        'conditional_value_at_risk': -0.02,
        'best_day': 0.03, 'worst_day': -0.02, 'positive_days': 0.5,
        'cagr': 1.019494 ** (365.25 / 4) - 1,  # from the first of January to the fifth
        'longest_drawdown': 2,  # from the second to the fourth
    }
    assert {name: found[name] for name in expected} == {
        name: pytest.approx(value, rel=1e-9, abs=1e-12) for name, value in expected.items()}
    assert [found[name] for name in COMPARED] == [None] * 6


def test_a_return_without_risk():
    # 5 % of 250 days are 0.02 % a day: 0.98, -2.02, 2.98 and -0.02 %
    found = statistics(books(), 1e6, days_a_year=250, risk_free=0.05, benchmark=BENCHMARK)
    assert found['sortino'] == pytest.approx(0.0048 / ((0.0202 ** 2 + 0.0002 ** 2) / 4) ** 0.5 * 250 ** 0.5)
    assert found['alpha'] == pytest.approx((1 + 0.0048 - 10 / 27 * 0.0073) ** 250 - 1)
    assert found['beta'] == pytest.approx(10 / 27)


def test_against_a_benchmark_by_hand():
    found = statistics(books(), 1e6, days_a_year=250, benchmark=BENCHMARK)
    # covariance 0.00025 / 4, variance 0.000675 / 4; differences of -1, -1, 3 and -2 %
    deviation = (0.001475 / 3) ** 0.5
    expected = {
        'alpha': (1 + 0.005 - 10 / 27 * 0.0075) ** 250 - 1, 'beta': 10 / 27, 'tracking_error': deviation * 250 ** 0.5,
        'information_ratio': -0.0025 / deviation, 'information_ratio_annual': -0.0025 / deviation * 250 ** 0.5,
        'excess_return': 0.019494 - 0.029996,
    }
    assert {name: found[name] for name in COMPARED} == {name: pytest.approx(value) for name, value in expected.items()}


def test_the_benchmark_has_a_level_before_the_first_day():
    with pytest.raises(ValueError, match='found 4 levels of a benchmark, expected one before the 4 days and one after each'):
        statistics(books(), 1e6, benchmark=BENCHMARK[1:])
    with pytest.raises(ValueError, match='found 1 returns of a benchmark, expected one for each of 2 days'):
        figures_of(np.array([0.01, 0.02]), np.array([0.01]), days_a_year=250)


def test_money_that_comes_in_is_no_return():
    # after the second day's close of 1,010,000, 100,000 more: +1 %, nothing, then 1,121,100 of 1,110,000
    parts = {'values': (1_010_000.0, 1_110_000.0, 1_121_100.0), 'cash_flows': [CashFlow(DAYS[1], 100_000.0)]}
    found = statistics(books(**parts), 1e6, days_a_year=250, benchmark=(1.0, 1.01, 1.01, 1.01))
    assert [found[name] for name in ('best_day', 'worst_day', 'positive_days')] == pytest.approx([0.01, 0.0, 2 / 3], abs=1e-12)
    assert found['volatility'] == pytest.approx((1e-4 / 3 * 250) ** 0.5)  # 1, 0 and 1 %
    assert found['cagr'] == pytest.approx(1.01 ** (2 * 365.25 / 3) - 1)
    assert found['excess_return'] == pytest.approx(0.0101)
    assert growth_of(books(**parts), 1e6) == pytest.approx([1.0, 1.01, 1.01, 1.0201])
    assert growth_of(books(()), 1e6) == pytest.approx([1.0])
    assert found['longest_drawdown'] == 0
    out = {'values': (1_010_000.0, 810_000.0), 'cash_flows': [CashFlow(DAYS[1], -200_000.0)]}
    found = statistics(books(**out), 1e6)
    assert (found['worst_day'], found['calmar'], found['longest_drawdown']) == (pytest.approx(0.0, abs=1e-12), None, 0)


def test_figures_of_round_trips():
    fills = [
        Fill(DAYS[0], A, 'BUY', 1000, 10.0, 5.0, 0.0, 1.0), Fill(DAYS[0], B, 'BUY', 1000, 20.0, 6.0, 0.0, 2.0),
        Fill(DAYS[1], A, 'SELL', 1000, 11.0, 5.0, 11.0, 1.0),  # 977 of 10,006
        Fill(DAYS[2], A, 'BUY', 500, 10.0, 5.0, 0.0, 0.0),
        Fill(DAYS[3], A, 'SELL', 500, 10.5, 5.0, 5.0, 0.0),  # 235 of 5,005
        Fill(DAYS[3], B, 'SELL', 1000, 19.5, 6.0, 20.0, 2.0),  # -536 of 20,008
        Fill(DAYS[3], '600009.XSHG', 'BUY', 100, 5.0, 5.0, 0.0, 0.0),  # still held
    ]
    found = statistics(books(fills=fills), 1e6)
    expected = {
        'closed_trades': 3, 'win_rate': 2 / 3, 'payoff': 606 / 536, 'expectancy': 676 / 3,
        'expectancy_rate': (977 / 10_006 + 235 / 5_005 - 536 / 20_008) / 3, 'profit_factor': 1212 / 536, 'mean_days_held': 5 / 3,
    }
    assert {name: found[name] for name in OF_TRADES} == {name: pytest.approx(value) for name, value in expected.items()}
    found = statistics(books(fills=fills[:1] + fills[2:5]), 1e6)  # no loss
    assert [found[name] for name in ('closed_trades', 'win_rate', 'payoff', 'profit_factor')] == [2, 1.0, None, None]
    found = statistics(books(fills=[fills[1], fills[5]]), 1e6)  # no profit
    assert [found[name] for name in ('closed_trades', 'win_rate', 'payoff', 'profit_factor')] == [1, 0.0, None, 0.0]
    even = [Fill(DAYS[0], A, 'BUY', 100, 10.0, 0.0, 0.0, 0.0), Fill(DAYS[1], A, 'SELL', 100, 10.0, 0.0, 0.0, 0.0)]
    found = statistics(books(fills=[fills[1], *even, fills[5]]), 1e6)  # neither
    assert [found[name] for name in ('closed_trades', 'win_rate', 'payoff', 'profit_factor')] == [2, 0.0, None, 0.0]
    found = statistics(books(fills=even), 1e6)
    assert [found[name] for name in OF_TRADES] == [1, 0.0, None, 0.0, 0.0, None, 1.0]


def test_a_delisting_closes_a_trade():
    fills = [Fill(DAYS[0], A, 'BUY', 1000, 10.0, 5.0, 0.0, 0.0)]
    found = statistics(books(fills=fills, corporate_actions=[CorporateAction(DAYS[2], A, 'delisted', 1000, 0, 4_005.0)]), 1e6)
    assert [found[name] for name in ('closed_trades', 'win_rate', 'expectancy', 'mean_days_held')] == [1, 0.0, -6_000.0, 2.0]


def test_figures_of_the_account():
    orders = [order(A, 10.0, 0.0, 0), *(order(A, 0.25, share / 100) for share in range(1, 22))]
    equity = [Equity(DAYS[0], 1e6, 0.0, 1e6), Equity(DAYS[1], 4e5, 6e5, 1e6), Equity(DAYS[2], 4e5, 6e5, 1e6),
              Equity(DAYS[3], 1e6, 0.0, 1e6)]
    fills = [Fill(DAYS[1], A, 'BUY', 60_000, 10.0, 0.0, 0.0, 0.0), Fill(DAYS[3], A, 'SELL', 60_000, 10.0, 0.0, 0.0, 0.0)]
    found = statistics(books(equity=equity, orders=orders, fills=fills), 1e6)
    assert [found[name] for name in OF_THE_ACCOUNT] == pytest.approx([0.5, 15.25, 0.2, 0.21])
    assert found['median_volume_share'] == pytest.approx(0.11)


# ------------------------------------------------------------------------------------------ what is not defined


def without(figures):
    return {name for name, value in figures.items() if value is None}


TRADED_NOTHING = {'win_rate', 'payoff', 'expectancy', 'expectancy_rate', 'profit_factor', 'mean_days_held', 'volume_share_95',
                  'volume_share_max'}


def test_of_no_day():
    found = statistics(books(()), 1e6, benchmark=[1.0])
    assert without(found) == TRADED_NOTHING | {'first_day', 'last_day', 'cagr', *OF_RETURNS, *COMPARED, 'time_in_market'}
    assert (found['longest_drawdown'], found['closed_trades'], found['slippage']) == (0, 0, 0.0)


def test_of_one_day():
    found = statistics(books((1_001_000.0,)), 1e6, benchmark=[1.0, 1.01])
    assert without(found) == TRADED_NOTHING | {
        'volatility', 'sortino', 'calmar', 'skew', 'kurtosis', *COMPARED} - {'excess_return'}
    assert found['cagr'] == pytest.approx(1.001 ** 365.25 - 1)
    assert found['excess_return'] == pytest.approx(-0.009)
    assert found['value_at_risk'] == found['conditional_value_at_risk'] == found['best_day'] == pytest.approx(0.001)


def test_of_two_days():
    found = of_returns([0.01, -0.02], [0.0, 0.01])
    assert without(found) == TRADED_NOTHING | {'skew', 'kurtosis'}
    assert found['beta'] == pytest.approx(-3.0)
    assert without(of_returns([0.01, -0.02, 0.0])) == TRADED_NOTHING | {'kurtosis', *COMPARED}


def test_of_days_without_a_return():
    found = of_returns([0.0] * 10, [0.0] * 10)
    assert without(found) == TRADED_NOTHING | {
        'sortino', 'calmar', 'skew', 'kurtosis', 'alpha', 'beta', 'information_ratio', 'information_ratio_annual'}
    assert [found[name] for name in ('cagr', 'volatility', 'value_at_risk', 'positive_days', 'tracking_error', 'excess_return',
                                     'longest_drawdown')] == [0.0] * 7


def test_of_an_account_that_always_rises_the_same():
    found = of_returns([0.01] * 10)  # but for what rounding makes of it
    assert without(found) == TRADED_NOTHING | {'sortino', 'calmar', 'skew', 'kurtosis', *COMPARED}
    assert (found['positive_days'], found['longest_drawdown']) == (1.0, 0)


def test_of_a_benchmark_that_never_moves():
    found = of_returns([0.01, -0.02, 0.03], [0.0] * 3)
    assert without(found) & set(COMPARED) == {'alpha', 'beta'}
    assert found['tracking_error'] == pytest.approx(found['volatility'])
    assert found['excess_return'] == pytest.approx(found['total_return'])


def test_of_an_account_that_does_as_its_benchmark():
    found = of_returns([0.01, -0.02, 0.03], [0.01, -0.02, 0.03])
    assert without(found) & set(COMPARED) == {'information_ratio', 'information_ratio_annual'}
    assert [found[name] for name in ('alpha', 'beta', 'tracking_error', 'excess_return')] == pytest.approx(
        [0.0, 1.0, 0.0, 0.0], abs=1e-11)


def test_of_a_benchmark_that_is_not_known_on_a_day():
    found = statistics(books(), 1e6, benchmark=[1.0, 1.1, np.nan, 1.2, 1.3])
    assert [found[name] for name in COMPARED] == [None] * 6


def test_of_ruin():
    found = statistics(books((-1.0, -1.0, -1.0)), 1e6)
    assert (found['cagr'], found['annual_return'], found['longest_drawdown']) == (-1.0, -1.0, 3)
    assert found['calmar'] == pytest.approx(-1 / 1.000001)


def test_a_growth_beyond_all_numbers():
    assert statistics(books((7.5e6,)), 1e6)['cagr'] is None  # 7.5 ** 365.25 is above 1e308


@pytest.mark.parametrize('values', [(), (1_001_000.0,), VALUES, (1e6,) * 4, (-1.0, -1.0)])
@pytest.mark.parametrize('benchmark', [None, BENCHMARK])
def test_plain_numbers_that_json_can_write(values, benchmark):
    found = statistics(books(values), 1e6, benchmark=benchmark and benchmark[:len(values) + 1])
    assert {type(value) for value in found.values()} <= {int, float, str, type(None)}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


# ------------------------------------------------------------------------------------------ against packages by others


def series():
    """Make pairs of series of returns, of an account and of a benchmark, with a name each."""
    random = np.random.default_rng(7)
    market = random.normal(0.0004, 0.012, 600)
    yield 'ordinary', 0.8 * market + random.normal(0.0005, 0.008, 600), market
    yield 'falling', random.normal(-0.002, 0.02, 90), market[:90]
    yield 'fat tails', 0.01 * random.standard_t(3, 250), market[:250]
    yield 'mostly idle', np.where(random.random(300) < 0.05, market[:300], 0.0), market[:300]
    yield 'rising', np.abs(market[:40]) + 0.0001, market[:40]
    yield 'two days', np.array([0.01, -0.02]), np.array([-0.01, 0.01])
    yield 'one day', np.array([0.01]), np.array([-0.01])
    yield 'nothing', np.zeros(30), market[:30]
    yield 'idle benchmark', market[:30], np.zeros(30)
    yield 'nothing at all', np.zeros(30), np.zeros(30)


SERIES = [pytest.param(*pair, id=name) for name, *pair in series()]
CONVENTIONS = pytest.mark.parametrize(('year', 'free'), [(252, 0.0), (250, 0.04)])


def or_none(value):
    """Return what a package gives as None where it is NaN or infinite, else near it."""
    return pytest.approx(float(value), rel=1e-9, abs=1e-12) if np.isfinite(value) else None


@CONVENTIONS
@pytest.mark.parametrize(('returns', 'benchmark'), SERIES)
def test_as_empyrical(returns, benchmark, year, free):
    empyrical = pytest.importorskip('empyrical', reason='needs the package empyrical-reloaded')
    found = of_returns(returns, benchmark, days_a_year=year, risk_free=free)
    a_day = free / year
    expected = {
        'annual_return': empyrical.annual_return(returns, annualization=year),
        'volatility': empyrical.annual_volatility(returns, annualization=year),
        'sortino': empyrical.sortino_ratio(returns, a_day, annualization=year),
        'calmar': empyrical.calmar_ratio(returns, annualization=year),
        'value_at_risk': empyrical.value_at_risk(returns),
        'conditional_value_at_risk': empyrical.conditional_value_at_risk(returns),
        'alpha': empyrical.alpha(returns, benchmark, a_day, annualization=year),
        'beta': empyrical.beta(returns, benchmark, a_day),
        'tracking_error': empyrical.annual_volatility(returns - benchmark, annualization=year),
        'information_ratio': empyrical.excess_sharpe(returns, benchmark),
        'information_ratio_annual': empyrical.excess_sharpe(returns, benchmark) * year ** 0.5,
        'excess_return': empyrical.cum_returns_final(returns) - empyrical.cum_returns_final(benchmark),
    }
    assert {name: found[name] for name in expected} == {name: or_none(value) for name, value in expected.items()}


@CONVENTIONS
@pytest.mark.parametrize(('returns', 'benchmark'), SERIES)
def test_as_ffn(returns, benchmark, year, free):
    ffn = pytest.importorskip('ffn', reason='needs the package ffn')
    import pandas as pd

    found = of_returns(returns, benchmark, days_a_year=year, risk_free=free)
    # the value at the start is dated the day before the first
    index = pd.date_range('2019-12-31', periods=len(returns) + 1)
    prices = pd.Series(np.cumprod([1.0, *(1 + returns)]), index=index)
    theirs = pd.Series(returns, index=index[1:])
    assert found['cagr'] == pytest.approx(float(ffn.calc_cagr(prices)), rel=1e-9)
    if len(returns) > 1:
        # where nothing differs ffn says 0
        ratio = ffn.calc_information_ratio(theirs, pd.Series(benchmark, index=index[1:]))
        assert (found['information_ratio'] or 0.0) == pytest.approx(float(ratio), rel=1e-9)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of periods that are too short for its other figures
            stats = ffn.PerformanceStats(prices, rf=free, annualization_factor=year)
        assert found['best_day'] == pytest.approx(stats.best_day)
        assert found['worst_day'] == pytest.approx(stats.worst_day)
        assert found['volatility'] == pytest.approx(stats.daily_vol)
    details = ffn.drawdown_details(ffn.to_drawdown_series(prices))
    # theirs begins on the day after the peak
    assert found['longest_drawdown'] == (0 if details is None else max(details['Length']) + 1)


@pytest.mark.parametrize(('returns', 'benchmark'), SERIES)
def test_moments_as_pandas(returns, benchmark):
    import pandas as pd

    found = of_returns(returns)
    varies = np.ptp(returns) > 0  # where it does not, pandas says 0
    assert found['skew'] == (or_none(pd.Series(returns).skew()) if varies else None)
    assert found['kurtosis'] == (or_none(pd.Series(returns).kurt()) if varies else None)


# ------------------------------------------------------------------------------------------ what is printed


def test_the_rows_of_the_summary():
    fills = [Fill(DAYS[0], A, 'BUY', 1000, 10.0, 5.0, 0.0, 1.0), Fill(DAYS[1], A, 'SELL', 1000, 11.0, 5.0, 11.0, 1.0)]
    figures = statistics(books(fills=fills, orders=[order(A, 1234.5, 0.001)]), 1e6, days_a_year=250, benchmark=BENCHMARK)
    figures.update(cagr=0.1234, volatility=0.2345, alpha=-0.0123, beta=0.456)
    rows = summary_rows(figures, 0.029996, 'csi1000')
    assert [name for name, _ in rows] == [
        'period', 'value', 'return', 'annual return', 'CAGR', 'volatility', 'Sharpe', 'max drawdown', 'alpha, beta', 'turnover',
        'total fees', 'slippage', 'trades', 'win rate', 'rejections', 'warning']
    said = dict(rows)
    assert said['warning'] == 'only 4 trading days: annual figures and ratios mean nothing'
    assert said['return'] == '1.95% (csi1000 3.00%)'
    assert said['CAGR'] == '12.34% (by the calendar)'
    assert said['volatility'] == '23.45% a year'
    assert said['alpha, beta'] == '-1.23% a year, 0.46 (against csi1000)'
    assert said['slippage'] == '1,234.50 yuan (inside the prices)'
    assert said['win rate'] == '100.00% of 1 closed trades'
    assert summary_table(figures, 0.029996, 'csi1000').split('\n')[:2] == [
        'period         2024-01-02 .. 2024-01-05 (4 trading days)', 'value          1,000,000.00 -> 1,019,494.00 yuan']


def test_rows_of_what_is_not_known_are_left_out():
    names = [name for name, _ in summary_rows(statistics(books(()), 1e6))]
    assert names == ['period', 'value', 'return', 'annual return', 'Sharpe', 'max drawdown', 'turnover', 'total fees', 'slippage',
                     'trades', 'rejections', 'warning']
