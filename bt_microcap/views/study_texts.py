"""What a study says in plain words, and its table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..record.param_texts import typed
from ..study.studies import Study
from .figure_names import label_of
from .language import CHINESE, ENGLISH, columns_of, say

TITLES = {
    'phases': 'Luck of the rebalance day', 'walk-forward': 'Walk-forward: chosen on the past alone', 'costs': 'Costs and fills',
    'capacity': 'Capacity: more and more money', 'starts': 'Luck of the start',
}
PARAMS = {'phase': 'phase', 'weekday': 'weekday', 'month_day': 'month_day', 'days_later': 'days later'}


END = {ENGLISH: '.', CHINESE: '。'}


def percent(value: float | None, digits: int = 1) -> str:
    """Return a fraction in percent."""
    return '–' if value is None else f'{value:.{digits}%}'


def points(value: float) -> str:
    """Return a difference of two returns in percentage points."""
    return f'{100 * value:.1f}'


def yuan(value: float, language: str) -> str:
    """Return a sum as it is told: 3 million, in Chinese 300 万."""
    units = ((1e8, '亿'), (1e4, '万')) if language == CHINESE else ((1e9, 'billion'), (1e6, 'million'))
    for unit, name in units:
        if abs(value) >= unit:
            parts = value / unit
            return f'{parts:,.0f} {name}' if parts >= 100 else f'{parts:.3g} {name}'
    return f'{value:,.0f}'


def sentence(study: Study, language: str) -> str:
    """Return what a study says, in one sentence of plain words."""
    if not any(study.ledger.figures[key]['trades'] for key in study.keys):
        return say(language, 'No run has filled any order: there is nothing to tell.')
    return _SENTENCES[study.kind](study.facts, language)


def _phases(facts: dict[str, Any], language: str) -> str:
    if facts['distinct'] == 1:
        return say(language, 'All {count} shifts gave the same run: its own rhythm knows no shift, so that nothing is told of '
                   'luck.', count=facts['count'])
    low, median, high, spread = *(percent(facts[name]) for name in ('low', 'median', 'high')), points(facts['spread'])
    if facts['param'] == 'days_later':  # of a rhythm that is not known
        said = say(language, 'Begun on each of {count} days, one after the other, the same strategy made between {low} and '
                   '{high} a year, {median} in the middle: {spread} percentage points are luck of the day',
                   count=facts['count'], low=low, high=high, median=median, spread=spread)
    else:
        said = say(language, 'On the {count} shifts of its rebalance day the same strategy made between {low} and {high} a year, '
                   '{median} in the middle: {spread} percentage points are luck of the day',
                   count=facts['count'], low=low, high=high, median=median, spread=spread)
    if facts['own'] is None:
        return said + END[language]
    return said + say(language, '; yours, {param} {own}, made {made} and is number {rank} of {count}.',
                      param=say(language, PARAMS[facts['param']]), own=facts['own'], made=percent(facts['own_return']),
                      rank=facts['own_rank'], count=facts['count'])


def _starts(facts: dict[str, Any], language: str) -> str:
    said = say(language, 'Begun in each of {count} months it made between {low} and {high} a year to the end, {median} in the '
               'middle; the worst month to begin was {worst}, and {lost} of the starts lost money', count=facts['count'],
               low=percent(facts['low']), high=percent(facts['high']), median=percent(facts['median']), worst=facts['worst'],
               lost=facts['lost'])
    if not facts['counted']:
        return said + END[language]
    if not facts['under']:
        return said + say(language, '; a year after the start none of {counted} was below its money.', counted=facts['counted'])
    return said + say(language, '; a year after the start {under} of {counted} were below their money, the worst by {loss}.',
                      under=facts['under'], counted=facts['counted'], loss=percent(-facts['worst_year_return']))


def _costs(facts: dict[str, Any], language: str) -> str:
    if facts['slope'] is None:
        return say(language, 'As it is it makes {own} a year; the table shows what becomes of that under other costs.',
                   own=percent(facts['own_return']))
    if facts['own_return'] is not None and facts['own_return'] <= 0:
        left = say(language, 'as it is it loses {loss} a year', loss=percent(-facts['own_return']))
    elif facts['break_even'] is not None:
        left = say(language, 'at {even} of slippage in all nothing is left', even=percent(facts['break_even'], 2))
    else:
        left = say(language, 'up to {most} of slippage in all something is left', most=percent(facts['most'], 2))
    market = ''
    if facts['market_even'] is not None:
        market = say(language, ', and from {even} on the market made more, all A shares at equal weight',
                     even=percent(facts['market_even'], 2))
    return say(language, 'Each further 0.1 % of slippage took {slope} percentage points of return a year; {left}{market}.',
               slope=points(-facts['slope']), left=left, market=market)


def _capacity(facts: dict[str, Any], language: str) -> str:
    if facts['best_return'] <= 0:
        return say(language, 'It lost money with every sum, so that there is no capacity to tell.')
    last = yuan(facts['last_cash'], language)
    if facts['half_cash'] is not None:
        half = say(language, 'half of that is gone at about {cash} yuan', cash=yuan(facts['half_cash'], language))
    else:
        half = say(language, 'more than half of that is left with {cash} yuan', cash=last)
    return say(language, 'At best, with {cash} yuan, it made {best} a year; {half}, and the most yuan a year, {profit}, were '
               'made with {most} (at most {limit} of the volume of the day, impact {impact}).',
               cash=yuan(facts['best_cash'], language), best=percent(facts['best_return']), half=half,
               profit=yuan(facts['most_profit'], language), most=yuan(facts['most_cash'], language),
               limit=percent(facts['volume_limit']), impact=typed(facts['impact']))


def _walk_forward(facts: dict[str, Any], language: str) -> str:
    past = {'by': label_of(facts['by'], language), 'train': facts['train'], 'test': facts['test']}
    if facts['anchored']:
        chosen = say(language, 'Chosen by {by} on all that went before, {train} months at first, and run on the next {test}',
                     **past)
    else:
        chosen = say(language, 'Chosen by {by} on the {train} months before, and run on the next {test}', **past)
    if facts['best_key'] is None:  # the strategy skips some windows of each
        return say(language, '{chosen}, again and again, it made {made} a year, where the choices had made {past} on their own '
                   'past; no combination ran on every window.', chosen=chosen, made=percent(facts['stitched_return']),
                   past=percent(facts['past_return']))
    return say(language, '{chosen}, again and again, it made {made} a year, where the choices had made {past} on their own past; '
               'of the {count} combinations, each run on the same windows, the best in hindsight, {best}, made {hindsight}, the '
               'median {median}, and the choice beat the median in {better} of {windows} windows.', chosen=chosen,
               made=percent(facts['stitched_return']), past=percent(facts['past_return']), count=facts['count'],
               best=facts['best'], hindsight=percent(facts['best_return']), median=percent(facts['median_return']),
               better=facts['better'], windows=len(facts['windows']))


_SENTENCES: dict[str, Callable[[dict[str, Any], str], str]] = {
    'phases': _phases, 'starts': _starts, 'costs': _costs, 'capacity': _capacity, 'walk-forward': _walk_forward}

# figure -> what its column is called, and how it is written
SHOWN: dict[str, tuple[str, Callable[[Any], str]]] = {
    'annual_return': ('annual return', percent), 'total_return': ('total return', percent),
    'sharpe': ('Sharpe', lambda value: f'{value:.2f}'), 'max_drawdown': ('max drawdown', percent),
    'turnover': ('turnover', lambda value: f'{value:.1f}'), 'trades': ('trades', str), 'days': ('days', str),
    'filled_share': ('part filled', percent),
}
COLUMNS = {
    'phases': ('annual_return', 'sharpe', 'max_drawdown', 'turnover', 'trades'),
    'starts': ('annual_return', 'total_return', 'sharpe', 'max_drawdown', 'days'),
    'costs': ('annual_return', 'sharpe', 'max_drawdown', 'turnover', 'filled_share'),
    'capacity': ('annual_return', 'sharpe', 'max_drawdown', 'filled_share'),
}
HEADS = {'phase': 'phase', 'weekday': 'weekday', 'month_day': 'month_day', 'days_later': 'days later', 'start': 'start',
         'rule': 'rule', 'value': 'set to', 'cash': 'cash, yuan'}
WINDOW_HEADS = 'chosen on', 'run on', 'chosen', 'its past, a year', 'made', 'median of all', 'best of all', 'place'
# keys of the profile that another word stands for elsewhere
RULE_NAMES = {'volume_limit': 'part of the volume at most'}


def table(study: Study, language: str) -> tuple[list[str], list[list[str]]]:
    """Return a study's table: its head, and its rows.

    Of a walk-forward its windows, of the others their runs.
    """
    if study.kind == 'walk-forward':
        return _windows(study.facts, language)
    columns = COLUMNS[study.kind]
    heads = [*(say(language, HEADS[name]) for name in study.names), *(say(language, SHOWN[name][0]) for name in columns)]
    rows = []
    for key in study.keys:
        figures = study.ledger.figures[key]
        shown = [_key_text(name, text, language) for name, text in zip(study.names, key, strict=True)]
        rows.append([*shown, *('–' if figures[name] is None else SHOWN[name][1](figures[name]) for name in columns)])
    if study.kind == 'capacity':
        heads += [say(language, 'costs of what was traded'), say(language, 'yuan a year')]
        for row, fact in zip(rows, study.facts['rows'], strict=True):
            row += [percent(fact['cost_rate'], 2), f'{fact["profit_a_year"]:,.0f}']
    if study.kind == 'starts':
        heads.append(say(language, 'after a year'))
        for row, key in zip(rows, study.keys, strict=True):
            row.append(percent(study.facts['after_a_year'].get(key[0])))
    return heads, rows


def _key_text(name: str, text: str, language: str) -> str:
    if name == 'cash':
        return f'{float(text):,.0f}'
    if name == 'rule':
        return rule_name(text, language)
    return '' if (name, text) == ('value', 'own') else text


def rule_name(rule: str, language: str) -> str:
    """Return what a key of the profile is called."""
    return say(language, RULE_NAMES.get(rule, rule.replace('_', ' ')))


def _windows(facts: dict[str, Any], language: str) -> tuple[list[str], list[list[str]]]:
    rows = [[f'{row["train_start"]}..{row["train_end"]}', f'{row["test_start"]}..{row["test_end"]}', row['chosen'],
             percent(row['past_return']), percent(row['total_return']), percent(row['median']), percent(row['best']),
             f'{row["rank"]}/{row["count"]}'] for row in facts['windows']]
    return [say(language, head) for head in WINDOW_HEADS], rows


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as the terminal shows it; a Chinese character is two columns wide."""
    widths = [max(map(columns_of, cells)) for cells in zip(heads, *rows, strict=True)]
    return '\n'.join('  '.join(' ' * (width - columns_of(cell)) + cell for cell, width in zip(line, widths, strict=True))
                     for line in (heads, *rows))
