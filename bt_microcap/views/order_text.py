"""A list of orders as the terminal shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..live.booking import Compared
from ..live.books import BUY
from ..live.order_list import WATCH, ListedOrder, OrderList
from .language import CHINESE, columns_of, say, translate

NEARLY_ALL = 0.9  # of the stocks: a file that tells of so many tells of the day


def shown(made: OrderList, language: str) -> str:
    """Return what is to be done on a day, or how long nothing is."""
    lines = []
    if made.orders:
        lines += table(_rows(made.orders, language))
    if made.blocked:
        lines += ['', say(language, 'blocked:')] if lines else [say(language, 'blocked:')]
        lines += table([[each.code, each.name, translate(each.side, language), translate(each.reason, language),
                         translate(each.why, language)] for each in made.blocked])
    if not made.orders:
        lines.append(say(language, 'no orders'))
    lines += notes(made, language)
    return '\n'.join(lines)


def notes(made: OrderList, language: str) -> list[str]:
    """Return what is to be known beside the orders."""
    found = [say(language, 'the data: {text}', text=made.unfit)] if made.unfit else []
    if made.days_left and made.exact_days:
        found.append(say(language, 'trading days until the next rebalance: {days}', days=made.days_left))
    elif made.days_left:
        found.append(say(language, 'trading days until the next rebalance, if there is no holiday: {days}', days=made.days_left))
    if any(order.needs_sale for order in made.orders):
        found.append(say(language, '*: pay it with the money of the sales: give it when these are filled'))
    for day, count in made.without_fills.items():
        found.append(say(language, 'nothing is booked of the list of {date}, orders {count}: {call} books what was filled',
                         date=day, count=count, call='fills'))
    if made.unfilled and not made.without_fills:
        orders = ', '.join(f'{translate(side, language)} {code}' for code, side in made.unfilled)
        found.append(say(language, 'the strategy ordered on {date}, and the journal has no fill: {codes}', date=made.unfilled_on,
                         codes=orders))
    for code, more in made.ex_dates:
        if more:
            found.append(say(language, '{code} goes ex-rights on the day, most likely with new shares, which the list does not '
                                       'have: sell what the broker shows', code=code))
        else:
            found.append(say(language, '{code} goes ex-rights on the day: what comes of it is to be booked', code=code))
    found += [say(language, '{code} went ex-rights on {date}, and what came of it is not booked yet', code=code, date=day)
              for code, day in made.unbooked]
    facts = made.facts
    if facts is not None:
        found.append(say(language, 'facts of {count} stocks are taken from the file', count=facts.stocks))
        if facts.unknown:
            codes = ', '.join(facts.unknown[:5])
            found.append(say(language, 'not in the data, and left out of the facts: {codes}', codes=codes))
        if facts.unused:
            found.append(say(language, 'columns of the file that are not known, and not used: {columns}',
                             columns=', '.join(facts.unused)))
    if made.published or facts is not None and facts.stocks >= NEARLY_ALL * facts.listed:
        return found
    if facts is None:
        found.append(say(language, 'what is published of the day itself is not in the data: the suspensions and ST of the day '
                                   'before stand in for it, and no ex-date is known; {call} tells them', call='--facts FILE'))
    else:
        found.append(say(language, 'of the other stocks the suspensions and ST of the day before stand in for those of the day'))
    return found


def _rows(orders: Sequence[ListedOrder], language: str) -> list[list[str]]:
    head = [say(language, 'side'), say(language, 'code'), say(language, 'name'), say(language, 'shares'),
            say(language, 'reference'), say(language, 'low limit'), say(language, 'high limit'), say(language, 'limit price'),
            say(language, 'fees'), say(language, 'cash after'), say(language, 'why')]
    rows = [head]
    for order in orders:
        star = '*' if order.needs_sale else ''
        why = [translate(order.why, language) if order.why else '', translate(order.note, language) if order.note else '']
        if order.kind == WATCH:
            why.insert(0, say(language, 'watch'))
        rows.append([translate(order.side, language) + star, order.code, order.name, f'{order.shares:,}',
                     *(_price(value) for value in (order.reference_price, order.low_limit, order.high_limit, order.limit_price)),
                     f'{order.fees:,.2f}', f'{order.cash_after:,.2f}',
                     ('，' if language == CHINESE else ', ').join(filter(None, why))])
    return rows


def _price(value: float) -> str:
    if math.isnan(value):
        return '-'
    text = f'{value:,.3f}'
    return text[:-1] if text.endswith('0') else text


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines, numbers to the right; a Chinese character is two columns wide."""
    if len(rows) > 1:  # a column in which nothing stands, such as that of names, is left out
        filled = [at for at in range(len(rows[0])) if any(row[at] for row in rows[1:])]
        rows = [[row[at] for at in filled] for row in rows]
    widths = [max(columns_of(row[at]) for row in rows) for at in range(len(rows[0]))]
    numbers = [all(_is_number(row[at]) for row in rows[1:]) and len(rows) > 1 for at in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [' ' * (width - columns_of(cell)) + cell if right else cell + ' ' * (width - columns_of(cell))
                 for cell, width, right in zip(row, widths, numbers, strict=True)]
        lines.append('  '.join(cells).rstrip())
    return lines


def _is_number(text: str) -> bool:
    return bool(text) and all(letter in '0123456789.,-' for letter in text)


def compared_lines(rows: Sequence[Compared], language: str) -> list[str]:
    """Return what became of a list's orders."""
    found = []
    for row in rows:
        side = translate('BUY' if row.side == BUY else 'SELL', language)
        if not row.ordered:
            found.append(say(language, '{side} {code}: {filled} shares filled that no list asked for', side=side, code=row.code,
                             filled=f'{row.filled:,}'))
        elif row.filled < row.ordered:
            found.append(say(language, '{side} {code}: {filled} of {ordered} shares filled', side=side, code=row.code,
                             filled=f'{row.filled:,}', ordered=f'{row.ordered:,}'))
    return found
