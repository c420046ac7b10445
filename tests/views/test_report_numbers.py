"""Every number of the report, worked out again from the files of its run; see `tests/support/report_numbers.py`."""

import datetime as dt
import json
import re
import shutil
from functools import cache, partial
from pathlib import Path

import pandas as pd
import pytest

from bt_microcap.rotation.presets import PRESETS
from bt_microcap.views.html_report import report
from tests.support.report_numbers import CHINESE, ENGLISH, differences, differences_side_by_side, read_page
from tests.support.report_oracle import Run, read
from tests.support.report_runs import FUND, WIDE, SameDay, WithCashFlows, WithLimits, market, run

pytest.importorskip('bokeh')
pytest.importorskip('jinja2')

LANGUAGES = {'en': ENGLISH, 'zh': CHINESE}

# each: what it is to have, and how it is made
CASES = {
    'original': partial(run, picks=8, max_cap=5e9),
    'original of joinquant': partial(run, profile='joinquant', max_cap=5e9),
    'ten_weekly': partial(run, cash=3e6, **PRESETS['ten_weekly'].params),
    'cash flows': partial(run, strategy=WithCashFlows, **WIDE),
    'held until delisted': partial(run, stocknum=40, refresh_rate=1000, cash=1e7, **WIDE),
    'parked': partial(run, picks=4, **{**PRESETS['parked'].params, 'min_listed_days': 20, 'trend_days': 10, 'market_fall': 0.01}),
    'limit orders': partial(
        run, strategy=WithLimits, stocknum=4, refresh_rate=30, cash=3e6, rules={'volume_limit': 0.03}, **WIDE),
    'sold on the same day': partial(run, strategy=SameDay, refresh_rate=60, keep=True, weights='equal', max_weight=0.2, **WIDE),
    'short': partial(run, picks=4, **WIDE),
    'few trades': partial(run, stocknum=2, refresh_rate=40, **WIDE),
    'no trade': partial(run, min_price=1e5, **WIDE),
}
MARKETS = {'ten_weekly': (40, 520, 3), 'original': (60, 300, 3), 'held until delisted': (60, 300, 4), 'short': (40, 40, 5),
           'parked': (60, 300, 3, True, True),
           'sold on the same day': (40, 150, 5, True, True)}


@pytest.fixture(scope='module')
def folder_of(tmp_path_factory):
    """Return the folder of a case, made when it is first asked for."""
    return cache(lambda name: CASES[name](tmp_path_factory.mktemp('run'), market(*MARKETS.get(name, (40, 150, 5)))))


@pytest.fixture(scope='module')
def page_of(folder_of, tmp_path_factory):
    """Return the page of a case in a language, made when it is first asked for."""
    return cache(lambda name, language='en': report(
        folder_of(name), tmp_path_factory.mktemp('page') / 'report.html', language=language))


def has(name, folder):
    """Return whether a case is what its name says."""
    found = Run(folder, ENGLISH)
    rows = {'cash flows': len(found.cash_flows) == 3,
            'held until delisted': {'delisted', 'dividend'} <= {row['action'] for row in found.corporate_actions},
            'short': len(found.days) < 60 and found.trips, 'few trades': 0 < len(found.trips) < 30 and len(found.days) >= 60,
            'no trade': not found.trades and not found.picks,
            'parked': found.parked == {FUND} and any(row['code'] == FUND for row in found.positions) and len(found.trips) >= 30,
            'sold on the same day': found.open_trips.get(FUND) and found.open_trips[FUND].shares == 700,
            # some orders waited for days, some of these got their shares on several
            'limit orders': waited_for(found) >= 10 and len(found.trades) > sum(int(row['quantity']) > 0 for row in found.orders)}
    return rows.get(name, len(found.trips) >= 30 and len(found.days) >= 126 and found.microcap)


def waited_for(found):
    """Return how many orders had their last fill after the day of their decision."""
    return sum(day > row['date'] for day, row in zip(found.last_fill_days(), found.orders, strict=True))


@pytest.mark.filterwarnings('ignore:no stock was picked')
@pytest.mark.parametrize('language', LANGUAGES)
@pytest.mark.parametrize('name', CASES)
def test_every_number(name, language, folder_of, page_of):
    assert has(name, folder_of(name))
    assert differences(folder_of(name), page_of(name, language), LANGUAGES[language]) == []


@pytest.mark.parametrize('language', LANGUAGES)
def test_names_stand_beside_the_codes(language, folder_of, tmp_path):
    """Of the stocks whose names summary.json has; the others have their codes alone."""
    folder = Path(shutil.copytree(folder_of('ten_weekly'), tmp_path / 'run'))
    found = Run(folder, ENGLISH)
    codes = sorted({row['code'] for row in found.orders})
    names = dict(zip(codes, ('*ST 天 地', '一（B）', 'R&D <i>', '3 5 2.5'), strict=False))
    names.update({code: f'股{code[:6]}' for code in codes[len(names) + 1:]})
    (folder / 'summary.json').write_text(json.dumps({**found.summary, 'names': names}), encoding='utf-8')
    path = report(folder, tmp_path / 'report.html', language=language)
    assert differences(folder, path, LANGUAGES[language]) == []
    text = read_page(path).text
    assert f'{codes[0]} *ST 天 地' in text and f'{codes[2]} R&D <i>' in text and f'{codes[-1]} 股{codes[-1][:6]}' in text


@pytest.mark.parametrize('language', LANGUAGES)
def test_params_and_rules(language, page_of):
    """What differs from the defaults stands first, the others can be opened; in Chinese what a rule means stands before it."""
    section = next(read_page(page_of('ten_weekly', language)).all('section', id='run'))
    _, rules, params = next(section.all('div', **{'class': 'two'})).children[1::2]
    own, others = (([row[0].split()[-1], row[1]] for row in table.rows()) for table in params.all('table'))
    own, others, yes = dict(own), dict(others), {'en': 'yes', 'zh': '是'}[language]
    assert own == {'stocknum': '10', 'min_cap': '0', 'max_cap': 'inf', 'boards': 'main,chinext', 'min_listed_days': '375',
                   'skip_limits': yes, 'weekday': '1', 'keep': yes, 'cash': '3e6'}
    (box,) = params.all('details')
    assert {'refresh_rate', 'min_price', 'parking'} <= set(others) and not set(own) & set(others)
    assert re.search(r'\d+', next(box.all('summary')).text)[0] == str(len(others))
    names = [row[0] for row in next(rules.all('table')).rows()]
    assert {'commission', 'stamp_duty', 'delist'} <= {name.split()[-1] for name in names}
    in_chinese = [bool(re.match('[\u4e00-\u9fff]', name)) for name in names]
    assert all(in_chinese) if language == 'zh' else not any(in_chinese)


@pytest.mark.parametrize('language', LANGUAGES)
def test_what_says_too_little_is_not_shown(language, page_of):
    words = LANGUAGES[language]

    def shown(name):
        page = read_page(page_of(name, language))
        return page, {cell.attributes['data-figure']: cell for cell in page.all('td', data_figure=None)}

    page, cells = shown('short')
    for name in ('annual_return', 'cagr', 'volatility', 'sharpe', 'sortino', 'calmar', 'alpha', 'beta', 'skew', 'value_at_risk'):
        assert (cells[name].text, cells[name].attributes['class']) == (words['few_days'], 'none')
    assert re.fullmatch(r'-?\d+\.\d\d%', cells['total_return'].text)
    assert {node.attributes['data-key'] for node in page.all('b', data_key=None)} == {
        'end_value', 'total_return', 'max_drawdown', 'percentile'}
    assert [node.text for node in page.all('b', **{'class': 'word'})] == [words['few_days']] * 2
    _, cells = shown('few trades')
    for name in ('win_rate', 'payoff', 'profit_factor', 'expectancy', 'expectancy_rate'):
        assert (cells[name].text, cells[name].attributes['class']) == (words['few_trades'], 'none')
    assert re.fullmatch(r'-?\d+\.\d\d', cells['sharpe'].text)


@pytest.mark.parametrize('language', LANGUAGES)
def test_side_by_side(language, folder_of, tmp_path):
    # the second begins on a Monday within the days of the first, after a fall on its first day or not, and ends before it
    table = market(*MARKETS['original'])
    first = run(tmp_path / 'first', table, stocknum=3, picks=0, **WIDE)
    second = run(tmp_path / 'second', table, stocknum=6, start=dt.datetime(2020, 2, 28), end=dt.datetime(2020, 9, 1), **WIDE)
    folders = [folder_of('original'), first, second]
    path = report([str(folder) for folder in folders], tmp_path / 'report.html', language=language)
    assert differences_side_by_side(folders, path, LANGUAGES[language]) == []


@pytest.mark.parametrize(('pattern', 'told'), [
    (r'(data-figure="sharpe">-?\d+\.\d)(\d)', 'figure sharpe'),
    (r'(data-key="end_value">[\d,]+)(\d)', 'key end_value'),
    (r'(data-table="years">.*?<td class="[a-z]*">[+-]\d+\.)(\d)', 'table years, row 1, cell 2'),
    (r'(data-table="volume">.*?<td>\d\.\d)(\d)', 'table volume, row 1, cell 1'),
    (r'(<details data-stock="[^"]*"><summary>[^<]* <span class="soft">[+-][\d,]*)(\d)', 'profit of'),
    (r'(<section id="rebalances">.*?<b>picks</b> \d{5})(\d)', 'rebalance of'),
])
def test_a_wrong_number_is_found(pattern, told, folder_of, page_of, tmp_path):
    """The comparison itself: one digit of the page is changed."""
    text, count = re.subn(pattern, lambda found: f'{found[1]}{(int(found[2]) + 1) % 10}', page_of('original').read_text('utf-8'),
                          count=1, flags=re.DOTALL)
    assert count == 1
    path = tmp_path / 'report.html'
    path.write_text(text, encoding='utf-8')
    found = differences(folder_of('original'), path, ENGLISH)
    assert len(found) == 1 and found[0].startswith(told)


@pytest.mark.parametrize(('name', 'column', 'charts'), [
    ('random_equity.csv', 'seed_3', {'value'}), ('positions.csv', 'market_cap', {'market_caps'})])
def test_a_wrong_chart_is_found(name, column, charts, folder_of, page_of, tmp_path):
    """The comparison itself: a file of the run is changed after the page was made."""
    other = Path(shutil.copytree(folder_of('original'), tmp_path / 'other'))
    table = pd.read_csv(other / name)
    table[column] *= 1.5
    table.to_csv(other / name, index=False)
    found = differences(other, page_of('original'), ENGLISH)
    assert {line.split(':')[0] for line in found} == {f'chart {chart}' for chart in charts}


@pytest.mark.parametrize('explicit', [True, False])
def test_adjusted_prices_by_the_table(explicit, tmp_path):
    """prices.csv by its definition: each close times what every ex-date after it has taken off, to the level of the last day."""
    table = market(60, 300, 4, explicit)
    folder = run(tmp_path / 'run', table, stocknum=40, refresh_rate=1000, cash=1e7, **WIDE)
    rows = read(folder / 'prices.csv')
    last_day = json.loads((folder / 'summary.json').read_text('utf-8'))['last_day']
    moved = 0
    for code in {row['code'] for row in rows}:
        stock = table[(table['code'] == code) & (table['date'] <= last_day)]
        level, expected, after = 1.0, {}, None
        for day in stock[::-1].to_dict('records'):
            if after is not None:
                if explicit:
                    level *= (day['close'] - after['cash_dividend']) / after['share_ratio'] / day['close']
                elif abs(after['preclose'] - day['close']) > 0.005:
                    level *= after['preclose'] / day['close']
            expected[str(day['date'].date())], after = day['close'] * level, day
        moved += level != 1.0
        found = {row['date']: float(row['adjusted']) for row in rows if row['code'] == code}
        assert all(found[day] == pytest.approx(expected[day], rel=1e-9) for day in expected if day in found)
        assert set(found) >= {day for day in expected if day >= min(found)}
    assert moved >= 2
