"""The report as its readers see it: in a real browser, by day and by night, on a desk, on a phone and on paper."""

import datetime as dt
import re
from functools import cache

import pytest

from bt_microcap.views.html_report import report
from tests.support import browser as support
from tests.support.report_runs import WIDE, WithCashFlows, market, run

pytest.importorskip('bokeh')
pytest.importorskip('jinja2')

HURT = '<script>window.hurt = 1</script><img src="x" onerror="window.hurt = 1">'
HOSTILE = f'</script>{HURT}<!-- "\' & &amp; @line0{{0}} {{{{ 7 }}}} 微盘 \\ </title>'
DESK, PHONE = {'width': 1600, 'height': 900}, {'width': 390, 'height': 800, 'touch': True}
CONTRAST = 4.5  # of WCAG 2.1, level AA, for text of ordinary size
RUNS = {
    'demo': lambda folder: run(folder, market(80, 520, 3), picks=20, max_cap=5e9),
    'three days': lambda folder: run(
        folder, market(40, 150, 5), start=dt.datetime(2020, 3, 3), end=dt.datetime(2020, 3, 5), **WIDE),
    'no trade': lambda folder: run(folder, market(40, 150, 5), min_price=1e5, **WIDE),
    'cash flows': lambda folder: run(folder, market(40, 150, 5), strategy=WithCashFlows, **WIDE),
    'hostile': lambda folder: run(folder, market(40, 150, 5), name=HOSTILE, source=HOSTILE, stocknum=5, **WIDE),
}
PAGES = (*RUNS, 'side by side')
pytestmark = pytest.mark.filterwarnings('ignore:no stock was picked')


@pytest.fixture(scope='module')
def browser():
    with support.chromium() as made:
        yield made


@pytest.fixture(scope='module')
def folder_of(browser, tmp_path_factory):
    """Return the folder of a run, made when it is first asked for."""
    return cache(lambda name: RUNS[name](tmp_path_factory.mktemp('run')))


@pytest.fixture(scope='module')
def page_of(folder_of, tmp_path_factory):
    """Return a page in a language, made when it is first asked for."""
    def page(name, language='en'):
        runs = [str(folder_of(one)) for one in (('demo', 'hostile') if name == 'side by side' else (name,))]
        return report(runs, tmp_path_factory.mktemp('page') / 'report.html', language=language)

    return cache(page)


def charts_of(browser):
    """Return the charts of the page by name."""
    return {browser.run('return arguments[0].dataset.chart', element): element
            for element in browser.elements('.chart[data-chart]')}


def chart_of(browser, name):
    return charts_of(browser)[name]


def wait_for_colours(browser, element):
    """Wait until something is drawn that is no axis: what shows values has a colour."""
    browser.until('const pixels = (() => {' + support.PIXELS + '}).apply(null, arguments); return pixels.bright > 0', 'no colour',
                  element)


def too_pale(browser):
    """Return the texts that are hard to read, and how many there are in all."""
    texts = browser.run(support.CONTRASTS)
    return [text for text in texts if text[2] < CONTRAST], len(texts)


def colours_of_the_page(browser):
    return browser.run('const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]')


@pytest.mark.parametrize('dark', [False, True], ids=['day', 'night'])
@pytest.mark.parametrize(('language', 'look'), [('en', DESK), ('zh', PHONE)], ids=['desk', 'phone'])
@pytest.mark.parametrize('name', PAGES)
def test_it_is_whole(name, language, look, dark, browser, page_of):
    path = page_of(name, language)
    browser.open(path, **look, dark=dark)
    charts = charts_of(browser)
    assert {'value', 'drawdown'} <= set(charts)
    if name == 'demo':
        assert {'chance_total_return', 'rolling_return', 'rolling_beta', 'holdings', 'boards', 'turnover'} <= set(charts)
    for chart, element in charts.items():
        if (name, chart) not in (('no trade', 'turnover'), ('no trade', 'exposure')):
            wait_for_colours(browser, element)
        assert browser.pixels(element)['colours'] > 10, chart
        left, top, right, bottom = browser.box(element)
        assert left >= 0 and right <= look['width']
        for canvas in browser.run(support.CANVASES + 'return found', element):
            inner = browser.box(canvas)
            assert inner[0] >= left and inner[2] <= right + 0.5 and inner[1] >= top and inner[3] <= bottom + 0.5, chart
            assert inner[2] - inner[0] > 0.8 * (right - left)
    stocks = browser.elements('details[data-stock]')
    assert bool(stocks) == (name not in ('no trade', 'side by side'))
    for stock in stocks:
        assert browser.pixels(stock)['canvases'] == 0
    browser.run("for (const box of document.querySelectorAll('details')) box.open = true")
    for stock in stocks:
        wait_for_colours(browser, stock)
    assert browser.run('return document.documentElement.scrollWidth') <= look['width']
    pale, count = too_pale(browser)
    assert count > 100 and not pale
    assert browser.run('return document.documentElement.lang') == {'en': 'en', 'zh': 'zh-CN'}[language]
    title, heading = browser.run("return [document.title, document.querySelector('h1').textContent]")
    assert title and title == heading
    assert browser.said() == [] and browser.asked() == []


def test_what_a_test_of_the_console_and_of_requests_sees(browser, tmp_path):
    """The browser itself: an error, a warning and a request are found; a page that draws nothing has no colours."""
    path = tmp_path / 'page.html'
    path.write_text('<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><p style="color:#999;background:#fff">pale</p>'
                    '<p>plain</p><canvas width="20" height="20"></canvas><img src="http://127.0.0.1:9/one.png">'
                    '<script>document.documentElement.dataset.drawn = 1; console.warn("beware"); throw Error("broken")</script>',
                    encoding='utf-8')
    browser.open(path)
    said = browser.said()
    assert any('beware' in text for text in said) and any('broken' in text for text in said)
    assert browser.asked() == ['http://127.0.0.1:9/one.png']
    assert browser.pixels(browser.elements('body')[0])['colours'] == 0
    pale, count = too_pale(browser)
    assert [text for _, text, _ in pale] == ['pale'] and count == 2
    assert round(pale[0][2], 2) == 2.85  # 1.05 over 0.3185 + 0.05: the luminance of 153 of 255 is 0.3185


def test_night_falls_while_it_is_open(browser, page_of):
    browser.open(page_of('demo'))
    chart = chart_of(browser, 'drawdown')
    assert colours_of_the_page(browser)[0] == 'rgb(255, 255, 255)'
    assert browser.pixels(chart)['darkest'] < 120
    browser.look(dark=True)
    browser.settle()
    back, text = (sum(map(int, re.findall(r'\d+', colour))) / 3 for colour in colours_of_the_page(browser))
    assert back < 40 and text > 200
    night = browser.pixels(chart)
    assert night['brightest'] > 150
    browser.look(dark=False)
    browser.settle()
    assert colours_of_the_page(browser)[0] == 'rgb(255, 255, 255)'
    assert browser.pixels(chart)['darkest'] < 120
    assert browser.said() == []


@pytest.mark.parametrize('language', ['en', 'zh'])
def test_a_mouse_over_a_chart_tells_the_day(language, browser, page_of, folder_of):
    browser.open(page_of('demo', language))
    x, y = browser.middle(chart_of(browser, 'value'))
    for step in range(3):
        browser.mouse('mouseMoved', x + step, y)
    browser.settle()
    shown = browser.run(support.TOOLTIPS)
    day = re.search(r'\d{4}-\d\d-\d\d', shown)[0]
    header, *rows = (folder_of('demo') / 'equity.csv').read_text('utf-8').splitlines()
    found = next(row.split(',') for row in rows if row.startswith(day))
    for name, start in (('total_value', 1e6), ('benchmark', 1.0)):
        assert f'{float(found[header.split(",").index(name)]) / start:.2f}' in shown
    assert {'en': 'strategy', 'zh': '策略'}[language] in shown


def test_a_part_of_the_days_is_zoomed_in_all_charts_over_days(browser, page_of):
    browser.open(page_of('demo'))
    chart = chart_of(browser, 'value')
    x, y = browser.middle(chart)
    before = browser.run(support.RANGES)
    browser.drag((x - 100, y), (x + 100, y))
    after = browser.run(support.RANGES)
    start, end = after['value']
    assert before['value'][0] < start < end < before['value'][1]
    over_days = {'value', 'excess', 'drawdown', 'rolling_return', 'rolling_volatility', 'rolling_sharpe', 'rolling_beta',
                 'holdings', 'exposure', 'days_held', 'market_caps', 'boards', 'turnover'}
    assert {name for name in after if after[name] == [start, end]} == over_days
    assert {name for name in after if after[name] == before[name]} == set(before) - over_days
    left, top, right, bottom = browser.box(browser.inside(chart, 'bk-tool-icon-reset'))
    place = (left + right) / 2, (top + bottom) / 2
    browser.mouse('mouseMoved', *place)
    for kind in ('mousePressed', 'mouseReleased'):
        browser.mouse(kind, *place, button='left', clickCount=1)
    browser.settle()
    assert browser.run(support.RANGES) == before
    assert browser.said() == []


def test_a_finger_scrolls_and_does_not_zoom(browser, page_of):
    browser.open(page_of('demo'), **PHONE)
    x, y = browser.middle(chart_of(browser, 'value'))
    before, place = browser.run(support.RANGES), browser.run('return scrollY')
    browser.swipe((x, y), (x, y - 200))
    assert browser.run('return scrollY') > place + 100
    x, y = browser.middle(chart_of(browser, 'drawdown'))
    browser.swipe((x - 80, y), (x + 80, y))
    assert browser.run(support.RANGES) == before


def seen_of_rebalances(browser):
    """Return what kinds of things are seen of the section, in the order of their first ones."""
    things = browser.elements('#rebalances p.paper, #rebalances details, #rebalances summary')
    seen = 'return arguments[0].filter((one) => one.checkVisibility()).map((one) => one.tagName)'
    return list(dict.fromkeys(browser.run(seen, things)))


@pytest.mark.parametrize('look', [DESK, PHONE], ids=['desk', 'phone'])
@pytest.mark.parametrize('dark', [False, True], ids=['day', 'night'])
def test_on_paper(dark, look, browser, page_of):
    """Chromium prints what `beforeprint` has made, laid out as wide as the paper: A4 less its margins is 700 pixels."""
    browser.open(page_of('demo'), **look, dark=dark)
    charts = charts_of(browser)
    # one line in place of the list of rebalances, also of a year that is open
    browser.run("document.querySelector('#rebalances details').open = true")
    assert seen_of_rebalances(browser) == ['DETAILS', 'SUMMARY']
    assert len(re.findall(rb'/Type\s*/Page\b', browser.pdf())) >= 3
    assert browser.elements('canvas.paper') == []
    browser.run("dispatchEvent(new Event('beforeprint'))")
    browser.look(width=700, dark=dark, media='print')
    assert colours_of_the_page(browser) == ['rgb(255, 255, 255)', 'rgb(27, 32, 40)']
    pale, count = too_pale(browser)
    assert count > 100 and not pale
    assert seen_of_rebalances(browser) == ['P']
    for name, chart in charts.items():
        (copy,) = browser.run("return [...arguments[0].querySelectorAll('canvas.paper')]", chart)
        found, inner, outer = browser.pixels(chart), browser.box(copy), browser.box(chart)
        assert found['bright'] and found['darkest'] < 120, name
        assert outer[0] <= inner[0] < inner[2] <= outer[2] + 0.5 <= 700.5 and inner[3] <= outer[3] + 0.5, name
        seen = browser.run(support.CANVASES + 'return found.filter((canvas) => canvas.checkVisibility()).length', chart)
        assert seen == 1, name
    browser.look(**look, dark=dark)
    browser.run("dispatchEvent(new Event('afterprint'))")
    browser.settle()
    assert browser.elements('canvas.paper') == []
    labels = browser.pixels(charts['drawdown'])
    assert labels['brightest'] > 150 if dark else labels['darkest'] < 120
    assert browser.said() == []


@pytest.mark.parametrize('language', ['en', 'zh'])
@pytest.mark.parametrize('look', [DESK, PHONE], ids=['desk', 'phone'])
def test_what_a_figure_means_stands_beside_it_or_below(look, language, browser, page_of):
    browser.open(page_of('demo', language), **look)
    rows = browser.elements('table.figures tr')
    assert len(rows) > 30
    for row in rows:
        label, value, meaning = (browser.box(cell) for cell in browser.run('return [...arguments[0].cells]', row))
        assert label[2] <= value[0] + 0.5 and abs(label[1] - value[1]) < 0.5
        if look is PHONE:
            assert meaning[1] >= max(label[3], value[3]) - 0.5 and meaning[0] <= label[0] + 0.5 and meaning[2] >= value[2] - 0.5
        else:
            assert meaning[0] >= value[2] - 0.5 and meaning[1] <= value[1] + 0.5
    assert browser.run("return [...document.querySelectorAll('.scroll:has(.figures)')].every((box) => box.scrollWidth <= "
                       'box.clientWidth)')


@pytest.mark.parametrize(('look', 'wraps'), [(DESK, False), (PHONE, True)], ids=['desk', 'phone'])
def test_the_heads_of_tables_wrap_on_a_phone(look, wraps, browser, page_of):
    browser.open(page_of('demo'), **look)
    heads = {browser.run('return arguments[0].textContent', head): browser.box(head)
             for head in browser.elements('[data-table=last_holdings] th')}
    assert {'stock', 'cost a share', 'part of the account'} <= set(heads)
    heights = {text: bottom - top for text, (_, top, _, bottom) in heads.items()}
    assert (max(heights.values()) > 32) == wraps  # two lines of 14 pixels or more


@pytest.mark.parametrize('dark', [False, True], ids=['day', 'night'])
def test_a_shadow_tells_where_a_table_goes_on(dark, browser, page_of):
    browser.open(page_of('demo'), **PHONE, dark=dark)
    (box,) = browser.run("return [document.querySelector('[data-table=years]').parentElement]")
    most = browser.run('return arguments[0].scrollWidth - arguments[0].clientWidth', box)
    assert most > 50
    (back,) = browser.columns(box, 150)
    seen = []
    for place in (0, most / 2, most):
        browser.run('arguments[0].scrollLeft = arguments[1]', box, place)
        seen.append([abs(grey - back) > 15 for grey in browser.columns(box, 1, -2)])
    assert seen == [[False, True], [True, True], [True, False]]
    browser.open(page_of('demo'), **DESK, dark=dark)
    (box,) = browser.run("return [document.querySelector('[data-table=years]').parentElement]")
    (back,) = browser.columns(box, 600)
    assert browser.columns(box, 1, -2) == [back, back]


@pytest.mark.parametrize('language', ['en', 'zh'])
def test_runs_side_by_side_fit_on_a_phone(language, browser, page_of):
    browser.open(page_of('side by side', language), **PHONE)
    heads = browser.run("return [...document.querySelectorAll('table')].map((table) => [...table.rows[0].cells].map("
                        '(cell) => cell.textContent))')
    assert len(heads) == 9 and all(head == ['', 'A', 'B'] for head in heads)
    fits = browser.run("return [...document.querySelectorAll('.scroll')].map((box) => box.scrollWidth <= box.clientWidth)")
    assert fits[:8] == [True] * 8  # the last one, what differs, has names of any length


@pytest.mark.parametrize('language', ['en', 'zh'])
@pytest.mark.parametrize('name', ['hostile', 'side by side'])
def test_a_name_is_only_a_name(name, language, browser, page_of):
    browser.open(page_of(name, language))
    browser.run("for (const box of document.querySelectorAll('details')) box.open = true")
    x, y = browser.middle(chart_of(browser, 'value'))
    for step in range(3):
        browser.mouse('mouseMoved', x + step, y)
    browser.settle()
    assert re.search(r'\d{4}-\d\d-\d\d', browser.run(support.TOOLTIPS))
    assert browser.run('return window.hurt ?? null') is None
    assert browser.elements('img') == browser.elements('main script:not([type])') == []
    text = browser.run('return document.body.textContent')
    assert text.count(HOSTILE) >= 2
    if name == 'hostile':
        title = browser.run('return document.title')
        assert title.startswith(HOSTILE) and title == browser.run("return document.querySelector('h1').textContent")
    else:
        assert HOSTILE in browser.run(support.TOOLTIPS)
    assert browser.said() == [] and browser.asked() == []


@pytest.mark.parametrize('missing', ['chromium', 'chromedriver'])
def test_without_a_browser_it_is_said_what_is_missing(missing, monkeypatch):
    names = set(support.CHROMIUM) if missing == 'chromium' else {missing}
    monkeypatch.setattr(support.shutil, 'which', lambda name: None if name in names else f'/usr/bin/{name}')
    with pytest.raises(pytest.skip.Exception, match=f'found no {missing}: on Debian apt-get install chromium chromium-driver'):
        support.needed()
