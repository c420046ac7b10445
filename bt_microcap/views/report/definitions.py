"""The figures of a report: how each is written, what it means, and from how much data it says anything."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...record.statistics import FEW_DAYS

FEW_TRADES, A_YEAR = 30, 240
MOST_PICKS = 30  # of a rebalance that are listed
PERCENT, NUMBER, YUAN, DAYS, COUNT = 'percent', 'number', 'yuan', 'days', 'count'
TOO_FEW_DAYS, TOO_FEW_TRADES, NOT_DEFINED = 'too few days to say', 'too few trades to say', 'not defined'

JOINQUANT_SHARPE = '(annual return by trading days - risk-free) / volatility, as JoinQuant counts it'


class Figure(NamedTuple):
    """One figure of `statistics`."""

    name: str
    label: str
    form: str  # of PERCENT, NUMBER, YUAN, DAYS, COUNT
    meaning: str
    days: int = 0  # of the run, below which it says nothing
    trades: int = 0  # closed ones


class Group(NamedTuple):
    """Figures that belong together."""

    title: str
    figures: tuple[Figure, ...]


GROUPS = (
    Group('Return', (
        Figure('total_return', 'total return', PERCENT,
               'value at the end over value at the start, less 1; money that came in is no return'),
        Figure('benchmark_return', 'return of the benchmark', PERCENT, 'over the same days, from the close before the first one'),
        Figure('microcap_return', 'return of the micro-cap index', PERCENT, 'over the same days'),
        Figure('excess_return', 'excess return', PERCENT, 'total return less that of the benchmark'),
        Figure('annual_return', 'annual return, by trading days', PERCENT,
               '(1 + total return) ^ (trading days a year / days) - 1', FEW_DAYS),
        Figure('cagr', 'annual return, by the calendar', PERCENT,
               '(1 + total return) ^ (365.25 / calendar days) - 1, from the day before the first', FEW_DAYS),
        Figure('alpha', 'alpha', PERCENT,
               '(1 + mean of (return - risk-free - beta x (benchmark - risk-free))) ^ trading days a year - 1', FEW_DAYS),
    )),
    Group('Risk', (
        Figure('max_drawdown', 'largest drawdown', PERCENT, 'the deepest fall from a peak of the value, at closes'),
        Figure('longest_drawdown', 'longest drawdown', DAYS,
               'calendar days from a peak until it is reached again, or to the end'),
        Figure('volatility', 'volatility', PERCENT,
               'standard deviation of the daily returns x sqrt(trading days a year)', FEW_DAYS),
        Figure('value_at_risk', 'value at risk, 5 %', PERCENT, 'the return that 5 % of the days are below', FEW_DAYS),
        Figure('conditional_value_at_risk', 'expected shortfall, 5 %', PERCENT,
               'mean return of the worst 5 % of the days', FEW_DAYS),
        Figure('worst_day', 'worst day', PERCENT, 'the lowest return of a day'),
        Figure('best_day', 'best day', PERCENT, 'the highest return of a day'),
        Figure('skew', 'skewness', NUMBER, 'of the daily returns; below 0: rare large losses', FEW_DAYS),
        Figure('kurtosis', 'excess kurtosis', NUMBER, 'of the daily returns; above 0: more extreme days than normal', FEW_DAYS),
    )),
    Group('Return for the risk', (
        Figure('sharpe', 'Sharpe ratio', NUMBER,
               'mean daily return less the risk-free one, over its standard deviation, a year', FEW_DAYS),
        Figure('sortino', 'Sortino ratio', NUMBER,
               'as Sharpe, over the deviation of the returns below the risk-free one alone', FEW_DAYS),
        Figure('calmar', 'Calmar ratio', NUMBER, 'annual return by trading days over the largest drawdown', FEW_DAYS),
        Figure('beta', 'beta', NUMBER,
               'covariance of the daily returns with the benchmark over the variance of the benchmark', FEW_DAYS),
        Figure('tracking_error', 'tracking error', PERCENT,
               'standard deviation of the daily differences to the benchmark, a year', FEW_DAYS),
        Figure('information_ratio', 'information ratio, a day', NUMBER,
               'mean daily difference to the benchmark over its standard deviation', FEW_DAYS),
        Figure('information_ratio_annual', 'information ratio, a year', NUMBER, 'the same x sqrt(trading days a year)', FEW_DAYS),
        Figure('positive_days', 'days with a gain', PERCENT, 'part of the days with a return above 0', FEW_DAYS),
    )),
    Group('Trades', (
        Figure('closed_trades', 'closed trades', COUNT, 'from the first share bought until none was left'),
        Figure('win_rate', 'win rate', PERCENT, 'part of the closed trades with a profit after costs', 0, FEW_TRADES),
        Figure('payoff', 'payoff', NUMBER, 'mean profit of the winners over mean loss of the losers', 0, FEW_TRADES),
        Figure('profit_factor', 'profit factor', NUMBER, 'sum of the profits over sum of the losses', 0, FEW_TRADES),
        Figure('expectancy', 'expectancy, yuan', YUAN, 'mean profit of a closed trade after costs', 0, FEW_TRADES),
        Figure('expectancy_rate', 'expectancy, percent', PERCENT, 'mean return of a closed trade after costs', 0, FEW_TRADES),
        Figure('mean_days_held', 'days held', DAYS, 'mean trading days of a closed trade', 0, 1),
        Figure('turnover', 'turnover', NUMBER, 'half of the value traded over the mean account, a year'),
        Figure('time_in_market', 'time in the market', PERCENT, 'part of the days after which stocks were held'),
        Figure('trades', 'fills', COUNT, 'buys and sells that were filled'),
        Figure('rejections', 'refused, cut or delisted', COUNT, 'orders that were refused or cut, and delistings'),
    )),
    Group('Costs', (
        Figure('fees', 'fees and taxes', YUAN, 'commission, taxes and transfer fee'),
        Figure('commission', 'commission', YUAN, 'of the broker, both sides'),
        Figure('tax', 'taxes', YUAN, 'stamp duty of sales, and dividend tax withheld at the sale'),
        Figure('transfer_fee', 'transfer fee', YUAN, 'of the clearing house'),
        Figure('slippage', 'slippage', YUAN, 'what the fills cost beyond the open; inside the prices'),
    )),
)


def named(name: str) -> Figure:
    """Return a figure by its name."""
    return next(figure for group in GROUPS for figure in group.figures if figure.name == name)


def written(value: Any, form: str) -> str:
    """Return a figure as it is read."""
    if form == PERCENT:
        return f'{value:.2%}'
    if form == YUAN:
        return f'{value:,.0f}'
    if form == DAYS:
        return f'{value:,.1f}' if value != int(value) else f'{value:,.0f}'
    return f'{value:,.0f}' if form == COUNT else f'{value:,.2f}'


def meaning_of(figure: Figure, summary: dict[str, Any]) -> str:
    """Return what a figure means in a run; the Sharpe ratio is counted in two ways."""
    return JOINQUANT_SHARPE if figure.name == 'sharpe' and summary['conventions']['sharpe'] == 'annual' else figure.meaning


def shown(figure: Figure, summary: dict[str, Any]) -> tuple[str, bool]:
    """Return what a report writes for a figure, and whether it is a value at all; see `TOO_FEW_DAYS`, `TOO_FEW_TRADES`."""
    value = summary.get(figure.name)
    if figure.name == 'sharpe' and not summary.get('volatility'):
        value = None  # summary.json has 0 there
    if summary['days'] < figure.days:
        return TOO_FEW_DAYS, False
    if summary.get('closed_trades', 0) < figure.trades:
        return TOO_FEW_TRADES, False
    return (NOT_DEFINED, False) if value is None else (written(value, figure.form), True)
