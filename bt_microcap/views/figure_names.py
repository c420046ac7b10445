"""The figures of many runs as a reader sees them: what each is called, and how its numbers are written."""

from __future__ import annotations

from typing import NamedTuple

from ..record.param_texts import typed
from .language import say

PERCENT, SMALL_PERCENT, RATIO, FINE, COARSE, COUNT, YUAN = 'percent', 'small percent', 'ratio', 'fine', 'coarse', 'count', 'yuan'
FORMS = {PERCENT: '.1%', SMALL_PERCENT: '.2%', RATIO: '.2f', FINE: '.3f', COARSE: ',.1f'}
MOST_YUAN = 1e6  # from then on yuan are written as 1.23e6


class Named(NamedTuple):
    """What a figure is called, how it is written, and whether 0 is where good and bad part, as of returns."""

    label: str
    form: str
    around_zero: bool = False


NAMED = {  # column of results.csv -> how a reader sees it; in English, `language.say` has the Chinese
    'total_return': Named('total return', PERCENT, True),
    'annual_return': Named('annual return', PERCENT, True),
    'sharpe': Named('Sharpe ratio', RATIO, True),
    'max_drawdown': Named('max drawdown', PERCENT),
    'turnover': Named('turnover', COARSE),
    'fees': Named('fees, yuan', YUAN),
    'cagr': Named('CAGR', PERCENT, True),
    'volatility': Named('volatility', PERCENT),
    'sortino': Named('Sortino ratio', RATIO, True),
    'calmar': Named('Calmar ratio', RATIO, True),
    'skew': Named('skewness', RATIO),
    'kurtosis': Named('excess kurtosis', RATIO),
    'value_at_risk': Named('value at risk, 5 %', SMALL_PERCENT),
    'conditional_value_at_risk': Named('expected shortfall, 5 %', SMALL_PERCENT),
    'best_day': Named('best day', SMALL_PERCENT),
    'worst_day': Named('worst day', SMALL_PERCENT),
    'positive_days': Named('days with a gain', PERCENT),
    'alpha': Named('alpha', PERCENT, True),
    'beta': Named('beta', RATIO),
    'tracking_error': Named('tracking error', PERCENT),
    'information_ratio': Named('information ratio, a day', FINE, True),
    'information_ratio_annual': Named('information ratio, a year', RATIO, True),
    'excess_return': Named('excess return', PERCENT, True),
    'longest_drawdown': Named('longest drawdown, days', COUNT),
    'closed_trades': Named('closed trades, number', COUNT),
    'win_rate': Named('win rate', PERCENT),
    'payoff': Named('payoff', RATIO),
    'expectancy': Named('expectancy, yuan a trade', YUAN, True),
    'expectancy_rate': Named('expectancy, percent', SMALL_PERCENT, True),
    'profit_factor': Named('profit factor', RATIO),
    'mean_days_held': Named('days held', COARSE),
    'time_in_market': Named('time in the market', PERCENT),
    'commission_yuan': Named('commission, yuan', YUAN),
    'tax_yuan': Named('tax, yuan', YUAN),
    'transfer_fee_yuan': Named('transfer fee, yuan', YUAN),
    'slippage_yuan': Named('slippage, yuan', YUAN),
    'delisted': Named('delisted holdings', COUNT),
    'delisted_cash': Named('delisted, yuan', YUAN),
    'median_volume_share': Named('median share of the volume', SMALL_PERCENT),
    'volume_share_95': Named('95 % of the orders below, share of the volume', SMALL_PERCENT),
    'volume_share_max': Named('largest share of the volume', SMALL_PERCENT),
    'filled_share': Named('filled share', PERCENT),
    'traded_value': Named('traded value, yuan', YUAN),
    'end_sale_cost': Named('cost of selling them, yuan', YUAN),
    'end_holdings_value': Named('holdings at the end, yuan', YUAN),
    'start_value': Named('start value, yuan', YUAN),
    'end_value': Named('end value, yuan', YUAN),
    'days': Named('trading days', COUNT),
    'trades': Named('trades', COUNT),
    'rejections': Named('rejections, number', COUNT),
}


def named(figure: str) -> Named:
    """Return how a reader sees a column of results.csv; one that is not listed by its own name."""
    return NAMED.get(figure, Named(figure.replace('_', ' '), ''))


def label_of(figure: str, language: str) -> str:
    """Return what a figure is called.

    Parameters
    ----------
    figure : str
        A column of results.csv.
    language : str
        Of `language.LANGUAGES`.
    """
    label = named(figure).label
    return say(language, label)


def number_of(figure: str, value: float) -> str:
    """Return a figure's number as it is written: ``33.2%``, ``0.89``, ``1,445``, ``1.234e6``.

    Parameters
    ----------
    figure : str
        A column of results.csv.
    value : float
        Finite.
    """
    form = named(figure).form
    if form == COUNT:
        text = f'{value:,.0f}' if value == int(value) else f'{value:,.1f}'  # a mean of some runs
    elif form == YUAN:
        text = f'{value:,.0f}' if abs(value) < MOST_YUAN else typed(value, 4)
    else:
        text = f'{value:{FORMS.get(form, ".4g")}}'
    return text if any(digit in text for digit in '123456789') else text.lstrip('-')  # no -0.0%
