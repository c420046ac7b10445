"""What the tables, the rebalances and the charts of a report are to show, from the files of a run; see `report_oracle`."""

import bisect
import datetime as dt
import math
import statistics
from collections import defaultdict

import numpy as np

from tests.support.report_oracle import FEW_DAYS, LACKING, WITHDRAWN, Text, deviation, percent, product, ratio

LISTED = 30  # picks of a day; the page counts the others
COSTS = ('commission', 'stamp_duty', 'transfer_fee', 'slippage')


def tables_of(run):
    """Return table -> rows of cells: a `Text`, a text, or None for what is not looked at."""
    own, words = run.by_month(run.returns), run.words
    found = {
        'drawdowns': [[percent(-depth, sign=False), peak, bottom, end or words['not_yet'], days]
                      for depth, peak, bottom, end, days in run.drawdowns()[:10]] or [[words['none']]],
        'months': _months(own),
        'years': _years(run),
        'without': _without(run, own),
        'costs': _costs(run),
        'best_stocks': _best(run),
        'worst_stocks': [[run.stock(code), Text(profit, sign=True)] for code, profit in sorted(
            run.profits.items(), key=lambda item: (item[1], _backwards(item[0])))[:12] if profit < 0] or [[words['none']]],
        'calendar_months': _calendar(own),
        'refusals': _refusals(run),
        'last_holdings': _last_holdings(run),
    }
    if run.benchmark:
        found['benchmark_months'] = _months(run.by_month(run.returns_of(run.benchmark)))
    shares = [float(row['volume_share']) for row in run.orders if int(row['quantity'])]
    if shares:
        found['volume'] = [[percent(value, 2, False) for value in (*np.percentile(shares, (50, 95)).tolist(), max(shares))]]
    if run.random_picks:
        found['chance'] = [[None, *_chance_row(run, name, values)] for name, values in run.chance().items()]
    if run.trips:
        found['best_trades'] = _trips(run, sorted(run.trips, key=lambda trip: -trip.earned)[:12])
        found['worst_trades'] = _trips(run, sorted(run.trips, key=lambda trip: trip.earned)[:12])
    return found


def _backwards(code):
    """Return a key by which codes are sorted the last first."""
    return [-ord(character) for character in code]


def _months(values):
    found = []
    for year in sorted({year for year, _ in values}):
        row = [values.get((year, month)) for month in range(1, 13)]
        found.append([year, *('' if value is None else percent(value) for value in row),
                      percent(product(value for value in row if value is not None) - 1)])
    return found


def _years(run):
    found = []
    other = {'benchmark': run.benchmark, 'microcap': run.microcap}
    for year in sorted({day.year for day in run.days}):
        at = [number for number, day in enumerate(run.days) if day.year == year]
        own = [run.returns[number] for number in at]
        theirs = {name: levels[at[-1] + 1] / levels[at[0]] - 1 for name, levels in other.items() if levels}
        levels = run.grown(own)
        total, spread = product(own) - 1, deviation(own)
        traded = math.fsum(int(row['quantity']) * float(row['price']) for row in run.trades
                           if row['datetime'].startswith(str(year)))
        row = [year, percent(total)]
        if 'benchmark' in theirs:
            row += [percent(theirs['benchmark']), percent(total - theirs['benchmark'])]
        if 'microcap' in theirs:
            row.append(percent(theirs['microcap']))
        found.append([
            *row, percent(max(1 - level / max(levels[:number + 1]) for number, level in enumerate(levels)), sign=False),
            LACKING if spread is None else percent(spread * math.sqrt(run.year), sign=False),
            Text(traded / 2 / statistics.fmean(run.values[number + 1] for number in at), 1),
            Text(run.values[at[-1] + 1] - run.values[at[0]] - sum(run.flows[number] for number in at), sign=True), len(at)])
    return found


def best_trades(run):
    """Return the ten closed trades that added most, fewer where fewer added anything."""
    return [trip for trip in sorted(run.trips, key=lambda trip: -trip.added_in_all)[:10] if trip.added_in_all > 0]


def _without(run, months):
    best = best_trades(run)
    without = product(value - math.fsum(trip.added.get(number, 0.0) for trip in best) for number, value in enumerate(run.returns))
    summer = product(value for (_, month), value in months.items() if month > 2)
    labels = [None, run.words['without_best'].format(len(best)), None]
    return [[label, percent(growth - 1), run.annual_text(growth)]
            for label, growth in zip(labels, (run.growth[-1], without, summer), strict=True)]


def _costs(run):
    """Return each kind of cost in all, and by how much the return a year was lower for it."""
    by_day = {name: defaultdict(float) for name in COSTS}
    for day, row in zip(run.last_fill_days(), run.orders, strict=True):
        for name in COSTS:
            by_day[name][day] += float(row[name])
    rows = []
    for kinds in (*((name,) for name in COSTS), COSTS):
        spent = [sum(by_day[name][str(day)] for name in kinds) for day in run.days]
        growth = product(value + cost / before for value, cost, before in zip(run.returns, spent, run.values, strict=False))
        rows.append([None, Text(math.fsum(spent)), Text(100 * (run.annual(growth) - run.annual(run.growth[-1])), 2)])
    return rows


def _best(run):
    total = sum(run.profits.values())
    return [[run.stock(code), Text(profit, sign=True), percent(profit / total, sign=False) if total > 0 else LACKING]
            for code, profit in sorted(run.profits.items(), key=lambda item: (-item[1], item[0]))[:12]]


def _calendar(months):
    by = {month: [value for (_, other), value in months.items() if other == month] for month in range(1, 13)}
    by = {month: values for month, values in by.items() if values}
    return [['', *by], [None, *(percent(statistics.fmean(values)) for values in by.values())],
            [None, *(percent(product(values) - 1) for values in by.values())], [None, *map(len, by.values())]]


def _refusals(run):
    """Return how many orders were refused for each reason and side, the most frequent first, and what that cost."""
    counts, costs = defaultdict(int), defaultdict(list)
    for row in run.rejections:
        counts[row['reason'], row['side']] += 1
    for row in run.missed:
        better = float(row['price']) - float(row['open'])
        costs[row['reason'], row['side']].append(float(row['shares']) * (better if row['side'] == 'BUY' else -better))
    return [[None, None, count, Text(math.fsum(costs[key]), sign=True) if costs[key] else LACKING, len(costs[key])]
            for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))] or [[run.words['none']]]


def _last_holdings(run):
    """Return what is held after the last day, what parks idle cash as well, the largest first; the page lists thirty."""
    rows = [row for row in run.positions if row['date'] == str(run.days[-1])]
    found = []
    for row in sorted(rows, key=lambda row: -float(row['value']))[:LISTED]:
        trip, value = run.open_trips[row['code']], float(row['value'])
        found.append([
            run.stock(row['code']), Text(trip.shares), Text(-trip.earned / trip.shares, 3), Text(float(row['price']), 2),
            Text(value), percent(value / run.values[-1], sign=False), Text(value + trip.earned, sign=True),
            len(run.days) - run.days.index(trip.opened)])
    return found or [[run.words['none']]]


def _chance_row(run, name, values):
    if name == 'sharpe' and len(run.days) < FEW_DAYS:
        return [LACKING] * len(values)
    own, place, *others = values
    texts = [Text(value, 2) if name == 'sharpe' else percent(value, sign=False) for value in (own, *others)]
    return [texts[0], Text(place, 1), *texts[1:]]


def _trips(run, trips):
    several = len({trip.why for trip in run.trips}) > 1
    return [[run.stock(trip.code), trip.opened, trip.closed, run.days.index(trip.closed) - run.days.index(trip.opened),
             Text(trip.earned, sign=True), percent(trip.rate), *([None] if several else [])] for trip in trips]


def said_of(run):
    """Return what the sentences of the page tell: the section that they stand in -> numbers."""
    total, found = run.growth[-1], defaultdict(list)
    found['carries'] = [percent(run.values_of_figures()['time_in_market'], sign=False)]
    if run.random_picks:
        found['chance'] = [Text(len(run.random_picks)), Text(statistics.median(
            float(row['turnover']) for row in run.random_picks), 1), Text(run.values_of_figures()['turnover'], 1)]
    if run.without_costs:
        free = float(run.without_costs[-1]['growth'])
        found['costs'] = [percent(free - 1), run.annual_text(free), run.annual_text(total)]
    return found


# ------------------------------------------------------------------------------------ the rebalances


def rebalances_of(run):
    """Return day, counts and lines of codes of each day with picks or orders, the last first."""
    picks, orders = defaultdict(list), defaultdict(list)
    for row in sorted(run.picks, key=lambda row: int(row['place'])):
        picks[row['date']].append(run.stock(row['code']))
    for row in run.orders:
        orders[row['date']].append(row)
    found = []
    for day in sorted({*picks, *orders}, reverse=True):
        sold, bought = ([f'{run.stock(row["code"])} {int(row["quantity"]):,} × {float(row["price"]):.2f}' for row in orders[day]
                         if row['side'] == side and int(row['quantity'])] for side in ('SELL', 'BUY'))
        refused = [run.stock(row['code']) for row in orders[day]
                   if row['reason'] not in ('', WITHDRAWN) and int(row['quantity']) < int(row['wanted'])]
        counts = [*([len(picks[day])] if picks[day] else []), len(sold), len(bought), *([len(refused)] if refused else [])]
        found.append((day, counts, [line for line in (picks[day][:LISTED], sold, bought, refused) if line]))
    return found


# ------------------------------------------------------------------------------------ the charts


def chart_data(run):
    """Return chart -> its tables: column -> numbers; ``values`` of a histogram are what it counts."""
    eve = [run.days[0] - dt.timedelta(days=1), *run.days]
    lines = [levels for levels in (run.growth, run.benchmark, run.microcap) if levels]
    found = {'value': [{'day': _stamps(eve), **_named('line', lines)}]}
    if run.random_equity:
        levels = [[float(row[name]) for name in row if name != 'date'] for row in run.random_equity]
        found['value'][0].update(_named('band', [[1.0, *np.percentile(levels, part, axis=1)] for part in (5, 50, 95)]))
        for name, values in (('total_return', 'total_return'), ('sharpe', 'sharpe'), ('max_drawdown', 'max_drawdown')):
            found[f'chance_{name}'] = [{'values': [float(row[values]) for row in run.random_picks]}]
    falls = [_falls(levels) for levels in (run.growth, run.benchmark) if levels]
    if run.benchmark:
        found['excess'] = [{'day': _stamps(eve), 'line0': [own / other for own, other in zip(
            run.growth, run.benchmark, strict=True)]}]
    found['drawdown'] = [{'day': _stamps(eve), **_named('line', falls)}]
    found['distribution'] = [{'values': run.returns}]
    if run.trips:
        found['trade_returns'] = [{'values': [trip.rate for trip in run.trips]}]
    day = {'day': _stamps(run.days)}
    for name, values in (*_rolling(run).items(), *_holdings(run).items()):
        found[name] = [{**day, **_named('line', values)}]
    if run.chosen:
        found['boards'] = [{**day, **_named('part', _parts(run, lambda row: run.side_of(row['code'])))}]
        if any(row['industry'] for row in run.chosen):
            found['industries'] = [{**day, **_named('part', _parts(run, lambda row: row['industry']))}]
    turnover = run.turnover()
    spans = [[stamp for stamp, day in zip(_stamps(run.days), run.days, strict=True) if str(day).startswith(month)]
             for month in turnover]
    found['turnover'] = [{'day': [(span[0] + span[-1]) / 2 for span in spans], 'month': list(turnover),
                          'value': list(turnover.values())}]
    for code in dict.fromkeys(row['code'] for row in run.prices):
        found[f'stock_{code}'] = _stock(run, code)
    return found


def _stamps(days):
    """Return days as bokeh has them: milliseconds since 1970."""
    return [(day - dt.date(1970, 1, 1)).days * 86_400_000.0 for day in days]


def _named(prefix, columns):
    return {f'{prefix}{number}': np.asarray(column, float) for number, column in enumerate(columns)}


def _falls(levels):
    return [level / max(levels[:number + 1]) - 1 for number, level in enumerate(levels)]


def _rolling(run):
    window = next((window for window in (252, 126, 63) if len(run.days) >= 2 * window), 0)
    if not window:
        return {}
    other = run.returns_of(run.benchmark) if run.benchmark else None
    found = {name: [[math.nan] * (window - 1)] for name in ('return', 'volatility', 'sharpe', *(['beta'] if other else []))}
    for end in range(window, len(run.days) + 1):
        own = run.returns[end - window:end]
        volatility = deviation(own) * math.sqrt(run.year)
        annual = product(own) ** (run.year / window) - 1
        found['return'][0].append(annual)
        found['volatility'][0].append(volatility)
        earned = annual if run.summary['conventions']['sharpe'] == 'annual' else statistics.fmean(own) * run.year
        sharpe = ratio(earned - run.free, volatility if volatility > 1e-12 else 0)
        found['sharpe'][0].append(math.nan if sharpe is None else sharpe)
        if other:
            found['beta'][0].append(run.beta(own, other[end - window:end]))
    return {f'rolling_{name}': values for name, values in found.items() if any(map(math.isfinite, values[0]))}


def _holdings(run):
    invested = defaultdict(float)
    for row in run.chosen:
        invested[row['date']] += float(row['value'])
    found = {'holdings': [[len(held) for held in run.held]],
             'exposure': [[invested[row['date']] / float(row['total_value']) for row in run.equity]]}
    if not run.chosen:
        return found
    found['days_held'] = [[statistics.fmean(number - bisect.bisect_left(run.days, day) + 1 for day in opened.values())
                           if opened else math.nan for number, opened in enumerate(run.opened)]]
    caps = defaultdict(list)
    for row in run.chosen:
        if row['market_cap']:
            caps[dt.date.fromisoformat(row['date'])].append(float(row['market_cap']) / 1e8)
    if caps:
        found['market_caps'] = [[function(caps[day]) if caps[day] else math.nan for day in run.days]
                                for function in (statistics.median, min, max)]
    return found


def _parts(run, group_of):
    """Return the part of the holdings' value that each group has on each day, the largest in all first."""
    values = defaultdict(lambda: defaultdict(float))
    for row in run.chosen:
        values[group_of(row)][dt.date.fromisoformat(row['date'])] += float(row['value'])
    whole = {day: sum(group[day] for group in values.values()) for day in run.days}
    ranked = sorted(values, key=lambda group: -sum(values[group].values()))
    return [[values[group][day] / whole[day] if whole[day] else 0.0 for day in run.days] for group in ranked]


def _stock(run, code):
    """Return the adjusted closes of a stock, and its buys and sells at the same level."""
    rows = {dt.date.fromisoformat(row['date']): row for row in run.prices if row['code'] == code}
    found = [{'day': _stamps(rows), 'adjusted': [float(row['adjusted']) for row in rows.values()],
              'close': [float(row['close']) for row in rows.values()]}]
    for side in ('BUY', 'SELL'):
        fills = [row for row in run.trades if (row['code'], row['side']) == (code, side)]
        if fills:
            days = [dt.date.fromisoformat(row['datetime']) for row in fills]
            found.append({'day': _stamps(days), 'shares': [int(row['quantity']) for row in fills],
                          'price': [float(row['price']) for row in fills], 'adjusted': [
                              float(row['price']) * float(rows[day]['adjusted']) / float(rows[day]['close'])
                              for day, row in zip(days, fills, strict=True)]})
    return found


# ------------------------------------------------------------------------------------ several runs


def side_by_side(runs):
    """Return the tables of several runs that are no figures: years, costs, what carries the result."""
    tables = [tables_of(run) for run in runs]
    years = [{row[0]: row[1] for row in table['years']} for table in tables]
    percentile = [Text(run.chance()['total_return'][1], 1) if run.random_picks else LACKING for run in runs]
    return [
        [[year, *(found.get(year, LACKING) for found in years)] for year in sorted({year for found in years for year in found})],
        [[None, *(table['costs'][kind][2] for table in tables)] for kind in range(len(COSTS) + 1)],
        [*([None, *(table['without'][row][1] for table in tables)] for row in range(3)), [None, *percentile]],
    ]


def side_by_side_charts(runs):
    """Return the values and drawdowns of several runs on the days of all, with the last value where a run has no such day."""
    days = sorted({day for run in runs for day in run.days})
    days.insert(0, days[0] - dt.timedelta(days=1))
    values, falls = [], []
    for run in runs:
        eve = run.days[0] - dt.timedelta(days=1)
        at = [bisect.bisect_right(run.days, day) for day in days]
        known = [eve <= day <= run.days[-1] for day in days]
        drops = _falls(run.growth)
        for lines, levels in ((values, run.growth), (falls, drops)):
            lines.append([levels[place] if here else math.nan for place, here in zip(at, known, strict=True)])
    return {name: {'day': _stamps(days), **_named('line', lines)} for name, lines in (('value', values), ('drawdown', falls))}
