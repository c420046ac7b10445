"""What a report tells beside the figures: months, costs, what carries the result. Pure functions of a run's files."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections import deque
from typing import Any

import numpy as np
import pandas as pd

from ...exchange.execution import WITHDRAWN
from ...record.drawdowns import Drawdown, drawdowns
from ...record.figures import eve, figures_of, grown, max_drawdown
from ...record.round_trips import trip_flows
from ...study.chance import TIE, percentile
from .reading import RunFiles

COSTS = ('commission', 'stamp_duty', 'transfer_fee', 'slippage')  # columns of orders.csv
COMPARED = ('total_return', 'sharpe', 'max_drawdown')  # with those of the random picks
BEST = 10  # trades without which the result is looked at
NEW_YEAR = (1, 2)  # months: in A shares small companies often rise around the spring festival
ROLLING = (252, 126, 63)  # days of the rolling figures: the longest of which there are at least two


def months_of(run: RunFiles, returns: np.ndarray) -> pd.Series:
    """Return the return of each month, of which the run may have only a part; by period, ascending."""
    return pd.Series(1 + returns, run.days).groupby(run.days.to_period('M')).prod() - 1


def years_of(run: RunFiles, returns: np.ndarray) -> pd.Series:
    """Return the return of each calendar year, of which the run may have only a part."""
    return pd.Series(1 + returns, run.days).groupby(run.days.year).prod() - 1


def returns_of(level: np.ndarray | None) -> np.ndarray | None:
    """Return the daily returns of an index; None where there is none."""
    return None if level is None else level[1:] / level[:-1] - 1


def worst_drawdowns(run: RunFiles, count: int = 10) -> list[Drawdown]:
    """Return the deepest drawdowns, the deepest first."""
    dates = [day.date() for day in run.days]
    return drawdowns([eve(dates[0]), *dates], run.growth, count)


def rolling_window(days: int) -> int:
    """Return the days of the rolling figures; 0 where the run is too short for any."""
    return next((window for window in ROLLING if days >= 2 * window), 0)


def rolling(run: RunFiles, window: int) -> dict[str, np.ndarray]:
    """Return return, volatility, Sharpe ratio (a year) and beta over the last days; shape (days,), NaN at first."""
    year, free = run.days_a_year, float(run.summary['risk_free'])
    returns, benchmark = pd.Series(run.returns), returns_of(run.index('benchmark'))
    growth = pd.Series(np.log1p(np.maximum(run.returns, -0.999999))).rolling(window).sum()
    volatility = returns.rolling(window).std() * math.sqrt(year)
    with np.errstate(divide='ignore', invalid='ignore'):
        a_year = np.expm1(growth * year / window)
        # by the convention of the run, as its figure
        earned = a_year if run.summary['conventions']['sharpe'] == 'annual' else returns.rolling(window).mean() * year
        found = {'return': a_year, 'volatility': volatility, 'sharpe': (earned - free) / volatility.where(volatility > 1e-12)}
        if benchmark is not None:
            other = pd.Series(benchmark)
            found['beta'] = returns.rolling(window).cov(other) / other.rolling(window).var().where(lambda value: value > 1e-24)
    return {name: series.to_numpy(float) for name, series in found.items()}


def costs_of(run: RunFiles) -> list[dict[str, Any]]:
    """Return each kind of cost: yuan, and by how much it has lowered the annual return.

    The second is the annual return of the daily returns to which each day's cost is given back, as a part of the account the
    day before, less the annual return as it was. ``all`` is that of all kinds together. The dividend tax is none of them.
    """
    by_day = run.orders.assign(day=_fill_days(run)).groupby('day')[list(COSTS)].sum().reindex(run.days, fill_value=0.0)
    as_was = run.annual(run.growth[-1])
    found = []
    for name in (*COSTS, 'all'):
        yuan = by_day[name].to_numpy() if name != 'all' else by_day.to_numpy().sum(axis=1)
        given_back = run.annual(float(np.prod(1 + run.returns + yuan / run.before)))
        found.append({'kind': name, 'yuan': math.fsum(yuan), 'annual': given_back - as_was})
    return found


def _fill_days(run: RunFiles) -> pd.Series:
    """Return on which day each order's costs count: that of its last fill; of an order without one, of its decision."""
    fills: dict[tuple[str, str], deque[tuple[Any, float]]] = {}
    for fill in run.trades.itertuples(index=False):
        fills.setdefault((fill.code, fill.side), deque()).append((fill.datetime, fill.quantity))
    found = []
    for order in run.orders.itertuples(index=False):
        day, left, queue = order.date, order.quantity, fills.get((order.code, order.side), deque())
        while left > 0 and queue:
            day, shares = queue.popleft()
            left -= shares
        found.append(day)
    at = np.minimum(np.searchsorted(run.days, pd.DatetimeIndex(found)), len(run.days) - 1) if found else []
    return pd.Series(run.days[at], run.orders.index) if found else pd.Series([], dtype='datetime64[ns]')


def refusals_of(run: RunFiles) -> list[dict[str, Any]]:
    """Return the refused and cut orders by reason: how many, of how many what they cost is known, and that, yuan."""
    counts = run.rejections.groupby(['reason', 'side']).size()
    missed = run.missed.groupby(['reason', 'side'])['cost'].agg(['size', 'sum'])
    table = pd.DataFrame({'orders': counts}).join(missed).sort_values('orders', ascending=False, kind='stable')
    return [{'reason': reason, 'side': side, 'orders': int(row['orders']),
             'known': 0 if row['size'] != row['size'] else int(row['size']),
             'cost': None if row['sum'] != row['sum'] else float(row['sum'])} for (reason, side), row in table.iterrows()]


def volume_shares(run: RunFiles) -> dict[str, float] | None:
    """Return the part of the day's volume that orders took: median, 95 % and the largest; None without any."""
    shares = run.orders.loc[run.orders['quantity'] > 0, 'volume_share'].to_numpy(float)
    if not len(shares):
        return None
    return {'median': float(np.median(shares)), 'p95': float(np.percentile(shares, 95)), 'max': float(shares.max())}


def turnover_by_month(run: RunFiles) -> pd.Series:
    """Return half of the value traded in each month over the mean account of its days."""
    traded = (run.trades['quantity'] * run.trades['price']).groupby(run.trades['datetime'].dt.to_period('M')).sum() / 2
    value = run.equity['total_value'].groupby(run.days.to_period('M')).mean()
    return (traded.reindex(value.index, fill_value=0.0) / value).fillna(0.0)


def profits_by_year(run: RunFiles) -> pd.Series:
    """Return what each year has earned, yuan."""
    return pd.Series(np.diff(run.values) - run.flow, run.days).groupby(run.days.year).sum()


def profits_by_calendar_month(run: RunFiles) -> pd.DataFrame:
    """Return what all Januaries, Februaries, ... have made: ``growth`` of 1, mean return of a month, and how many there are."""
    months = months_of(run, run.returns)
    by = months.groupby(months.index.month)
    return pd.DataFrame({'growth': (1 + months).groupby(months.index.month).prod() - 1, 'mean': by.mean(), 'count': by.size()})


def without_best_trades(run: RunFiles, count: int = BEST) -> dict[str, Any]:
    """Return what remains without the closed trades that added most: as if their money had been cash while they were held.

    A trade adds to each day's return its profit of the day over the account the day before. Which added most goes by the sum.
    """
    place = {day: number for number, day in enumerate(run.days)}
    last = len(run.days) - 1
    trips: dict[tuple[str, int], int] = {}
    closed: set[int] = set()
    which, days, money = array('q'), array('q'), array('d')

    def book(trip: int, day: int, yuan: float) -> None:
        which.append(trip)
        days.append(min(day, last))
        money.append(yuan)

    openings: dict[str, list[tuple[int, int]]] = {}  # code -> (day, trip) of each purchase from flat
    for code, number, day, yuan, over in trip_flows(*run.events):
        at = place.get(day, int(np.searchsorted(run.days, day)))
        if (code, number) not in trips:
            trips[code, number] = len(trips)
            openings.setdefault(code, []).append((at, trips[code, number]))
        book(trips[code, number], at, yuan)
        if over and code not in run.parked:
            closed.add(trips[code, number])
    for day, code, value in run.positions[['date', 'code', 'value']].itertuples(index=False):
        at = place[day]
        of_code = openings[code]
        trip = of_code[bisect_right(of_code, (at, len(trips))) - 1][1]  # the one that was opened last
        book(trip, at, value)
        if at < last:
            book(trip, at + 1, -value)
    added = np.frombuffer(money) / run.before[np.frombuffer(days, 'int64')] if len(money) else np.zeros(0)
    by_trip = np.bincount(np.frombuffer(which, 'int64'), added, len(trips)) if len(money) else np.zeros(0)
    best = [trip for trip in np.argsort(-by_trip, kind='stable').tolist() if trip in closed and by_trip[trip] > 0][:count]
    theirs = np.isin(np.frombuffer(which, 'int64'), best) if len(money) else np.zeros(0, bool)
    taken = np.bincount(np.frombuffer(days, 'int64')[theirs], added[theirs], len(run.days)) if theirs.any() else 0.0
    growth = float(np.prod(1 + run.returns - taken))
    return {'count': len(best), 'total': growth - 1, 'annual': run.annual(growth)}


def without_months(run: RunFiles, months: tuple[int, ...] = NEW_YEAR) -> dict[str, float]:
    """Return what remains where the money lies as cash in some months: the total return, and a year."""
    growth = float(np.prod(1 + run.returns[~np.isin(run.days.month, months)]))
    return {'total': growth - 1, 'annual': run.annual(growth)}


def last_holdings(run: RunFiles) -> list[dict[str, Any]]:
    """Return what is held after the last day, the largest first.

    ``cost`` is what the shares that are left have cost each, after what sales, dividends and fractions have brought since the
    position was opened (摊薄成本), fees included; ``profit`` the value less that, yuan; ``weight`` the part of the account.
    """
    paid: dict[str, float] = {}  # of the round trip that is not over
    for code, _, _, yuan, over in trip_flows(*run.events):
        paid[code] = 0.0 if over else paid.get(code, 0.0) - yuan
    found = []
    for row in run.positions[run.positions['date'] == run.days[-1]].itertuples(index=False):
        cost = paid[row.code]
        found.append({'code': row.code, 'shares': row.shares, 'cost': cost / row.shares, 'price': row.price, 'value': row.value,
                      'weight': row.value / run.values[-1], 'profit': row.value - cost, 'days_held': int(row.days_held)})
    return sorted(found, key=lambda holding: -holding['value'])


def rebalances_of(run: RunFiles) -> list[dict[str, Any]]:
    """Return each day on which the strategy decided on its picks or gave an order: picks, fills and refusals, the last first."""
    days: dict[Any, dict[str, Any]] = {}

    def on(day: Any) -> dict[str, Any]:
        return days.setdefault(day, {'day': day.date(), 'picks': [], 'sold': [], 'bought': [], 'refused': []})

    for day, code in run.picks.sort_values(['date', 'place'])[['date', 'code']].itertuples(index=False):
        on(day)['picks'].append(code)
    for order in run.orders.itertuples(index=False):
        row = on(order.date)
        if order.quantity > 0:
            row['bought' if order.side == 'BUY' else 'sold'].append(order)
        if order.reason not in ('', WITHDRAWN) and order.quantity < order.wanted:
            row['refused'].append(order)
    return [days[day] for day in sorted(days, reverse=True)]


def chance_of(run: RunFiles) -> dict[str, Any] | None:
    """Return how the run stands among runs with random picks; None where there are none.

    A percentile is the part of the random runs that are worse, those that are equal counted half, in percent.
    """
    picks = run.random_picks
    if picks is None or not len(picks):
        return None
    found: dict[str, Any] = {'count': len(picks), 'turnover': float(picks['turnover'].median())}
    for name in COMPARED:
        own, others = float(run.summary[name]), picks[name].to_numpy(float)
        found[name] = {'own': own, 'median': float(np.median(others)), 'low': float(np.percentile(others, 5)),
                       'high': float(np.percentile(others, 95)), 'percentile': percentile(name, own, others),
                       'same': 100 * float(np.isclose(others, own, rtol=TIE, atol=TIE).mean()),
                       'others': others}
    return found


def band_of(run: RunFiles, quantiles: tuple[float, ...] = (0.05, 0.5, 0.95)) -> list[np.ndarray] | None:
    """Return the quantiles of the random runs' growth of 1 before the first day and after each; None where there are none."""
    if run.random_equity is None:
        return None
    levels = run.random_equity.drop(columns='date').to_numpy(float)
    return [np.concatenate([[1.0], row]) for row in np.quantile(levels, quantiles, axis=1)]


def year_figures(run: RunFiles) -> list[dict[str, Any]]:
    """Return return, excess, drawdown, volatility and turnover of each year, the first first."""
    own = years_of(run, run.returns)
    benchmark, microcap = (returns_of(run.index(name)) for name in ('benchmark', 'microcap'))
    indices = {name: years_of(run, returns) for name, returns in (('benchmark', benchmark), ('microcap', microcap))
               if returns is not None}
    profits = profits_by_year(run)
    traded = (run.trades['quantity'] * run.trades['price']).groupby(run.trades['datetime'].dt.year).sum()
    found = []
    for year in own.index:
        here = run.days.year == year
        row = {'year': int(year), 'return': float(own[year]), 'profit': float(profits[year]), 'days': int(here.sum()),
               'drawdown': max_drawdown(grown(run.returns[here])),
               'volatility': figures_of(run.returns[here], days_a_year=run.days_a_year)['volatility'],
               'turnover': float(traded.get(year, 0.0)) / 2 / float(run.equity['total_value'][here].mean())}
        row.update({name: float(series[year]) for name, series in indices.items()})
        found.append(row)
    return found
