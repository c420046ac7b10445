"""When the report tells a reason to doubt, and when it does not: of folders made by hand, whose numbers are round."""

import pytest

from bt_microcap.views.html_report import report
from tests.support.report_folder import folder_of, weekdays
from tests.support.report_numbers import read_page

pytest.importorskip('bokeh')
pytest.importorskip('jinja2')

FINE = [1_000.0] * 40  # of 1 million yuan: 4 % in all, none of the trades carries it
BETTER, WORSE = 0.05, 0.03  # total returns of random runs
FAIR = [(WORSE, 0.1, 1.0)] * 20


@pytest.fixture
def doubts(tmp_path):
    """Return a function that gives the doubts of a run made by hand."""
    def told(profits=FINE, **others):
        from bt_microcap.views.report.page import doubts_of
        from bt_microcap.views.report.reading import read_run

        return doubts_of(read_run(folder_of(tmp_path / f'run{len(list(tmp_path.iterdir()))}', profits, **others)), 'en')

    return told


def test_nothing_to_doubt(doubts):
    assert doubts() == doubts(random=FAIR) == []


@pytest.mark.parametrize('language', ['en', 'zh'])
def test_they_stand_on_the_page(language, tmp_path):
    def items(name, profits):
        page = read_page(report(folder_of(tmp_path / name, profits), tmp_path / f'{name}.html', language=language))
        return [[item.text for item in box.all('li')] for box in page.all('section', **{'class': 'doubt'})]

    assert items('fine', FINE) == []
    assert items('few', FINE[:29]) == [[{'en': 'Only 29 closed trades: too few to say anything of the strategy.',
                                         'zh': '已平仓交易只有 29 笔，太少，不足以评价策略。'}[language]]]


@pytest.mark.parametrize(('random', 'expected'), [
    # 19 worse of 20: percentile 95
    ([(BETTER, 0.1, 1.0)] * 1 + FAIR[:19], []),
    ([(BETTER, 0.1, 1.0)] * 2 + FAIR[:18], [
        'Random picks among the same stocks did as well or better in 10 % of 20 runs: the ranking has not shown skill.']),
    ([(BETTER, 0.1, 1.0)] * 8, [
        'Random picks among the same stocks did as well or better in 100 % of 8 runs: the ranking has not shown skill.']),
    # 11 the same, then 10 of 20 and 2 better
    ([(0.04, 0.1, 1.0)] * 11 + FAIR[:9], ['In 55 % of 20 random runs the result is the same: nearly all that passed was bought, '
                                          'and there was nothing to choose.']),
    ([(0.04, 0.1, 1.0)] * 10 + [(BETTER, 0.1, 1.0)] * 2 + FAIR[:8], [
        'Random picks among the same stocks did as well or better in 60 % of 20 runs: the ranking has not shown skill.']),
])
def test_random_picks_as_good(random, expected, doubts):
    assert doubts(random=random) == expected


@pytest.mark.parametrize(('deeper', 'expected'), [
    (0, ['Its largest drawdown was deeper than that of 100 % of the random runs.']),
    (1, ['Its largest drawdown was deeper than that of 96 % of the random runs.']),  # of 25
    (2, []),  # 8 %
])
def test_a_deeper_drawdown_than_the_random_runs(deeper, expected, doubts):
    random = [(WORSE, 0.5, 1.0)] * deeper + [(WORSE, 0.001, 1.0)] * (25 - deeper)
    assert doubts([*FINE, -2_000], random=random) == expected  # 0.19 %


def test_a_drawdown_like_all_of_them_is_no_doubt(doubts):
    assert doubts(random=[(WORSE, 0.0, 1.0)] * 20) == []


@pytest.mark.parametrize(('theirs', 'own', 'told'), [
    (1.99, 1.0, None), (2.01, 1.0, ('2.0', '1.0')), (5.1, 10.0, None), (4.9, 10.0, ('4.9', '10.0')), (3.0, 0.0, ('3.0', '0.0'))])
def test_another_turnover_than_the_random_runs(theirs, own, told, doubts):
    random = [(WORSE, 0.1, 100.0), (WORSE, 0.1, 0.0)] + [(WORSE, 0.1, theirs)] * 9  # their median counts
    assert doubts(random=random, turnover=own) == ([] if told is None else [
        f'The random runs turned over {told[0]} times a year, the strategy {told[1]} times: they paid other costs.'])


@pytest.mark.parametrize(('count', 'told'), [(29, True), (30, False)])
def test_few_trades(count, told, doubts):
    assert doubts(FINE[:count]) == (['Only 29 closed trades: too few to say anything of the strategy.'] if told else [])


@pytest.mark.parametrize(('days', 'told'), [(59, False), (60, True), (239, True), (240, False)])
def test_a_part_of_a_year(days, told, doubts):
    assert doubts(days=days) == ([f'Only {days} trading days: annual figures stretch a part of a year.'] if told else [])


def test_why_nothing_was_traded(doubts):
    assert doubts(nothing_traded='no stock passed') == ['no stock passed']


@pytest.mark.parametrize(('cash', 'worth', 'told'), [
    (50_000.0, 'last_close', False), (50_001.0, 'last_close', True), (900_000.0, 'zero', False), (900_000.0, 0.3, False)])
def test_delistings_at_the_last_close(cash, worth, told, doubts):
    """From a twentieth of the cash at the start on."""
    assert doubts(delisted=3, delisted_cash=cash, rules={'delist': worth}) == ([
        '3 holdings were delisted and became 50,001 yuan at their last close, which hardly anybody would have paid: run it with '
        '--delist zero, too.'] if told else [])


@pytest.mark.parametrize(('ended', 'days', 'told'), [(0, 241, True), (0, 240, False), (1, 900, False)])
def test_no_stock_ended(ended, days, told, doubts):
    market = {'stocks': 50, 'days': days, 'ended': ended, 'first_day': '2021-01-04', 'last_day': '2024-01-04'}
    assert doubts(market=market) == ([
        'No stock of the data ended before its last day: the delisted ones are missing, so that any result looks too good.'
    ] if told else [])


@pytest.mark.parametrize(('share', 'told'), [(0.05, False), (0.06, True)])
def test_orders_that_would_have_moved_the_price(share, told, doubts):
    assert doubts(volume_share=share) == ([
        'One order in twenty took over 6 % of its stock\'s volume of the day: that would have moved the price.'] if told else [])


@pytest.mark.parametrize(('profits', 'expected'), [
    # the best come last: what is left without them is that of the others, of 1 million yuan
    ([1_000.0] * 30 + [2_900.0] * 10, []),  # 3 of 5.9 %
    ([1_000.0] * 30 + [3_100.0] * 10, ['Its 10 best trades made most of it: without them +3.0% instead of +6.1%.']),
    ([-1_000.0] * 30 + [3_100.0] * 10, ['Without its 10 best trades the strategy would have lost money.']),  # 0.1 %
    ([-1_000.0] * 30 + [50_000.0] * 4, ['Without its 4 best trades the strategy would have lost money.']),
    ([-1_000.0] * 30 + [2_900.0] * 10, []),  # a loss anyhow
    ([100.0] * 19 + [50_000.0] * 10, ['Only 29 closed trades: too few to say anything of the strategy.']),
])
def test_the_best_trades_made_it(profits, expected, doubts):
    assert doubts(profits) == expected


@pytest.mark.parametrize(('months', 'lost', 'told'), [((1, 2), 100.0, True), ((1, 2), -1.0, False), ((5, 6), 100.0, False)])
def test_january_and_february_made_it(months, lost, told, doubts):
    days = weekdays(300)
    good = [number for number, day in enumerate(days) if day.month in months and days[number + 1].month in months]
    other = [number for number, day in enumerate(days) if day.month in (9, 10)]
    profits = [2_000.0] * len(good) + [-lost] * len(other)
    assert doubts(profits, at=[*good, *other]) == (
        ['Without January and February the strategy would have lost money.'] if told else [])


@pytest.mark.parametrize(('days', 'slippage', 'told'), [(300, 100_000.0, False), (300, 150_000.0, True), (59, 150_000.0, False)])
def test_costs_take_much(days, slippage, told, doubts):
    """Given back on the first day 1.04 becomes 1.15 x 1.04; a year is 252 of 300 days: 16.2 less 3.3 %."""
    assert round(100 * ((1.15 * 1.04) ** 0.84 - 1.04 ** 0.84)) == 13
    assert doubts(slippage=slippage, days=days) == ([
        'Costs take 13 percentage points of return a year: a little more slippage than assumed changes the result.'
    ] if told else [])


@pytest.mark.parametrize(('excess', 'told'), [(-0.001, True), (0.0, False), (None, False)])
def test_behind_the_benchmark(excess, told, doubts):
    assert doubts(excess_return=excess) == (['The benchmark made more over the same days.'] if told else [])


@pytest.mark.parametrize(('microcap', 'told'), [(0.0512, True), (0.039, False), (None, False), (-0.3, False)])
def test_behind_the_index_of_the_micro_caps(microcap, told, doubts):
    assert doubts(microcap_return=microcap) == (
        ['The index of the micro-caps made more over the same days: +5.1%.'] if told else [])
