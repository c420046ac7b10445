"""The languages: every text that a user reads has its Chinese, with the same numbers in it, and no English is left over."""

import ast
import inspect
import re
from datetime import date
from html.parser import HTMLParser

import pytest

from bt_microcap import save_run
from bt_microcap.study.kinds import costs
from bt_microcap.study.ledger import DATES, FIGURES
from bt_microcap.views import figure_names, fonts, picture, study_texts
from bt_microcap.views.chinese import TEXTS
from bt_microcap.views.language import CODES, NUMBERS, columns_of, known_language, say, translate
from bt_microcap.views.report import definitions
from bt_microcap.views.results import table_of
from tests.support.running import run_market
from tests.support.texts import PACKAGE, SAME, called, holes, modules, words

# -- what is spoken --------------------------------------------------------------------------------------------------------


def spoken_by_python():
    """Return the texts that modules give to ``_``, ``say`` and ``doubt``, and what they give that is no literal."""
    texts, others = set(), set()
    for _, tree in modules(PACKAGE):
        for node in ast.walk(tree):
            place = {'_': 0, 'doubt': 0, 'say': 1}.get(called(node))
            if place is not None:
                given = node.args[place]
                (texts if isinstance(given, ast.Constant) else others).add(
                    given.value if isinstance(given, ast.Constant) else ast.unparse(given))
            if isinstance(node, ast.For) and isinstance(node.target, ast.Tuple) and isinstance(node.iter, ast.Tuple):
                names = [getattr(part, 'id', '') for part in node.target.elts]
                for at in (names.index(name) for name in ('title', 'label') if name in names):
                    texts |= {row.elts[at].value for row in node.iter.elts if isinstance(row.elts[at], ast.Constant)}
    return texts, others


def spoken_by_pages():
    """Return the texts that the templates give to ``_``, and what they give that is no literal."""
    jinja2 = pytest.importorskip('jinja2')
    nodes, texts, others = jinja2.nodes, set(), set()
    for path in sorted((PACKAGE / 'views' / 'report').glob('*.html')):
        tree = jinja2.Environment().parse(path.read_text(encoding='utf-8'))
        for call in tree.find_all(nodes.Call):
            if getattr(call.node, 'name', '') == '_':
                given = call.args[0]
                if isinstance(given, nodes.Const):
                    texts.add(given.value)
                else:
                    others.add(type(given).__name__ + ' ' + str(getattr(given, 'name', getattr(given, 'attr', ''))))
        for made in (*tree.find_all(nodes.Assign), *tree.find_all(nodes.For)):
            listed = made.node if isinstance(made, nodes.Assign) else made.iter
            if isinstance(listed, nodes.Dict):
                texts |= {item.value.value for item in listed.items}
            elif isinstance(listed, nodes.Tuple) and all(isinstance(item, nodes.Tuple) for item in listed.items):
                texts |= {item.items[-1].value for item in listed.items}
    return texts, others


def test_every_text_of_the_modules_is_in_the_catalogue():
    texts, others = spoken_by_python()
    assert len(texts) > 60
    assert {'Drawdown', 'report: {path}', 'The benchmark made more over the same days.', 'bought',
            'Return a year, over the last {days} days'} <= texts  # one of each kind of place: the search does find them
    assert texts - set(TEXTS) == set()
    # what is no literal goes through lists that are looked at below, or is handed on
    assert others <= {'text', 'title', 'label', 'BOARD_NAMES[board_of(code)]', 'template', 'head', 'HEADS[name]',
                      'SHOWN[name][0]', 'HEADS[study.names[0]]', "PARAMS[facts['param']]", 'TITLES[study.kind]',
                      'TITLES[kind.name]', 'TITLES[name]', "RULE_NAMES.get(rule, rule.replace('_', ' '))", 'found.label'}


def test_every_word_of_the_studies():
    said = {*study_texts.TITLES.values(), *study_texts.PARAMS.values(), *study_texts.HEADS.values(),
            *study_texts.RULE_NAMES.values(), *(head for head, _ in study_texts.SHOWN.values()), *study_texts.WINDOW_HEADS,
            *(name.replace('_', ' ') for name in costs.VALUES if name not in study_texts.RULE_NAMES)}
    assert len(said) > 25
    assert said - set(TEXTS) == set()


def test_every_figure_of_many_runs():
    named = {figure_names.named(name).label for name in FIGURES if name not in DATES}
    assert len(named) > 40
    assert named - set(TEXTS) == set()


def test_every_text_of_the_pages_is_in_the_catalogue():
    texts, others = spoken_by_pages()
    assert len(texts) > 90
    assert {'Reasons to doubt', '{count} sold', 'all together', 'largest drawdown', "The benchmark's months"} <= texts
    assert texts - set(TEXTS) == set()
    assert others <= {'Getattr title', 'Getattr label', 'Getattr meaning', 'Getitem ', 'Name group', 'Name text', 'Name label',
                      'Call '}


def test_every_figure_of_a_report():
    said = {group.title for group in definitions.GROUPS}
    said |= {text for group in definitions.GROUPS for figure in group.figures for text in (figure.label, figure.meaning)}
    said |= {definitions.TOO_FEW_DAYS, definitions.TOO_FEW_TRADES, definitions.NOT_DEFINED, definitions.JOINQUANT_SHARPE}
    assert len(said) > 70
    assert said - set(TEXTS) == set()


def test_every_board():
    charts = pytest.importorskip('bt_microcap.views.report.charts')
    assert {name: say('zh', name) for name in charts.BOARD_NAMES.values()} == {
        'main board': '主板', 'ChiNext': '创业板', 'STAR': '科创板', 'Beijing': '北交所', 'fund': '基金'}


def test_every_word_of_the_picture():
    assert set(picture.WORDS.values()) - set(TEXTS) == set()


# -- the catalogue ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('text', [text for text, entry in TEXTS.items() if holes(text)])
def test_the_same_holes(text):
    entry = TEXTS[text]
    if isinstance(entry, str):
        assert holes(entry) == holes(text)
        return
    _, *taken = inspect.signature(entry).parameters.values()  # the first one is `translate`
    assert {each.name for each in taken if each.default is each.empty} <= holes(text) <= {each.name for each in taken}


def test_no_english_is_left_in_the_catalogue():
    assert {text: entry for text, entry in TEXTS.items() if isinstance(entry, str) and words(entry) - SAME} == {}


def test_every_entry_is_chinese_with_full_width_punctuation():
    plain = {text: re.sub(r'\{\w+\}', '9', entry) for text, entry in TEXTS.items() if isinstance(entry, str)}
    assert [text for text, entry in plain.items() if not re.search('[\u4e00-\u9fff]', entry)] == ['{percent} ({name} {other})']
    assert [entry for entry in plain.values() if re.search('[\u4e00-\u9fff）][,;:!?]|[,;:!?][\u4e00-\u9fff]', entry)] == []
    assert [entry for entry in plain.values() if entry.endswith('.') and not entry.endswith(')')] == []


def test_numbers_are_what_stands_in_their_holes():
    assert set().union(*map(holes, TEXTS)) >= NUMBERS | CODES  # none that is of no text
    assert not NUMBERS & CODES


# -- say and translate -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('template, values, english, expected', [
    ('Closed trades', {}, 'Closed trades', '已平仓交易'),
    ('{count} sold', {'count': 3}, '3 sold', '卖出 3 笔'),
    ('benchmark {name}', {'name': 'market'}, 'benchmark market', '基准：全 A 等权指数'),
    ('benchmark {name}', {'name': '000300'}, 'benchmark 000300', '基准：000300'),
    ('No random picks: {why}', {'why': 'several strategies share one account'},
     'No random picks: several strategies share one account', '未做随机选股对照：多个策略共用一个账户'),
    ('Without its {count} best trades the strategy would have lost money.', {'count': 10},
     'Without its 10 best trades the strategy would have lost money.', '剔除收益最好的 10 笔交易，策略就是亏损的。'),
    ('never heard {name}', {'name': 'market'}, 'never heard market', 'never heard 全 A 等权指数'),
])
def test_say(template, values, english, expected):
    assert say('en', template, **values) == english
    assert say('zh', template, **values) == expected


@pytest.mark.parametrize('text, expected', [
    ('', ''),
    ('limit up', '涨停'),
    ('2021-03-04', '2021-03-04'),
    ('000001.XSHE', '000001.XSHE'),
    ('3 smallest stocks of 2-3 bn yuan, every 5 days (realistic)',
     '市值 20-30 亿元的股票中最小的 3 只，每 5 个交易日调仓（贴近实盘）'),
    ('12 smallest stocks of 0.7-2.35 bn yuan, every 1 days (joinquant)',
     '市值 7-23.5 亿元的股票中最小的 12 只，每个交易日调仓（聚宽）'),
    ('3 smallest stocks of 2-inf bn yuan, every 5 days (by hand)',
     '市值不低于 20 亿元的股票中最小的 3 只，每 5 个交易日调仓（自定义）'),
    ('3 smallest stocks of 0-inf bn yuan, every 5 days (realistic)', '全部股票中市值最小的 3 只，每 5 个交易日调仓（贴近实盘）'),
    ('small_board (realistic)', 'small_board（贴近实盘）'),
    ('Mine, keep=yes, band=0.2, and 4 more (joinquant)', 'Mine, keep=yes, band=0.2，另有 4 项（聚宽）'),
    ('market stop, index trend', '大盘止损、指数趋势'),
    ('the data feed market is live', '数据 market 是实时行情'),
    ('benchmark market', '基准：全 A 等权指数'),
    ('report: limit up', '报告：limit up'),
    ('total market cap as given; suspended days: total shares x last close; estimated in 1,234 traded rows that have none: '
     'last known total shares x close',
     '数据源给出的总市值；停牌日：总股本 × 最近收盘价；1,234 行有成交但没有市值，按最近已知总股本 × 收盘价估算'),
    ('-0.53% (by the calendar)', '-0.53%（按自然日计）'),
])
def test_translate(text, expected):
    assert translate(text, 'zh') == expected
    assert translate(text, 'en') == text


@pytest.mark.parametrize('text', [
    'My strategy', 'every 5 days', 'many days', 'so many sold', 'He said: limit up', 'limit up, but not by much',
    '/data/market.parquet', 'limit up; nobody knows', '电子', 'limit up '])
def test_a_text_of_the_users_own_stays(text):
    assert translate(text, 'zh') == text


def test_languages():
    assert known_language('zh') == 'zh'
    with pytest.raises(ValueError, match="language is 'cn': expected one of en, zh"):
        known_language('cn')


def test_columns_of_a_terminal():
    assert [columns_of(text) for text in ('', 'abc', '净值', '（A）', '√×–')] == [0, 3, 4, 5, 3]
    assert table_of([('max drawdown', '1.00%'), ('note', 'limit up')], 'zh') == '最大回撤       1.00%\n提示           涨停'
    assert table_of([('max drawdown', '1.00%'), ('note', 'limit up')], 'en') == 'max drawdown   1.00%\nnote           limit up'


# -- from end to end -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def strategy():
    from bt_microcap.feeds.demo import demo_market

    return run_market(demo_market(60, '2021-03-01', days=150, seed=3), stocknum=3)


def without_names(text):
    """Return a text without names of files and codes of stocks."""
    return re.sub(r'\b\w+\.(?:csv|json|png|html)\b|\b\d{6}\.(?:XSHG|XSHE|BJSE)\b', '', text)


def test_the_summary_of_a_run(strategy, tmp_path, capsys):
    save_run(strategy, tmp_path, plot=False, language='zh')
    out = capsys.readouterr().out.replace(str(tmp_path), '')
    assert words(without_names(out)) - {'listings'} == set()
    lines = out.splitlines()
    assert len(lines) > 14
    for line in lines:
        name = re.match('[^ ]+', line)[0]
        spaces = len(line) - len(name) - len(line[len(name):].lstrip(' '))
        assert columns_of(name) + spaces == 15, line


def test_the_files_of_a_run_are_the_same(strategy, tmp_path):
    for language in ('en', 'zh'):
        save_run(strategy, tmp_path / language, plot=False, show=False, language=language)
    for path in sorted((tmp_path / 'en').iterdir()):
        assert path.read_bytes() == (tmp_path / 'zh' / path.name).read_bytes(), path.name


@pytest.mark.parametrize('font', [True, False])
def test_the_names_in_the_picture(font, tmp_path, monkeypatch):
    if font and fonts.chinese_font() is None:
        pytest.skip('no font with Chinese characters')
    drawn = {}
    monkeypatch.setattr(picture, '_draw_value',
                        lambda axes, stamps, lines, words: drawn.update(names=[line[0] for line in lines]))
    monkeypatch.setattr(picture.textwrap, 'fill', lambda text, width: drawn.setdefault('title', text))
    if not font:
        monkeypatch.setattr(fonts, 'CHINESE', ('No such font',))
    picture.picture(tmp_path / 'a.png', [date(2021, 1, 4)], [1, 1.1], title='Mine (by hand)', benchmark=[1, 1],
                    benchmark_name='market', microcap=[1, 1], language='zh')
    assert drawn == ({'names': ['策略', '全 A 等权指数', '微盘股指数'], 'title': 'Mine（自定义）'} if font else
                     {'names': ['strategy', 'market', 'micro-cap index'], 'title': 'Mine (by hand)'})


class Visible(HTMLParser):
    """Gathers what a reader sees of a page."""

    def __init__(self):
        super().__init__()
        self.hidden, self.texts = 0, []

    def handle_starttag(self, tag, attrs):
        self.hidden += tag in ('script', 'style')
        self.texts += [value for name, value in attrs if name == 'title']

    def handle_endtag(self, tag):
        self.hidden -= tag in ('script', 'style')

    def handle_data(self, data):
        if not self.hidden and data.strip():
            self.texts.append(data.strip())


def visible(path):
    parser = Visible()
    parser.feed(path.read_text(encoding='utf-8'))
    return parser.texts


def english_of(path, summary):
    """Return the English words that a reader of a page sees, beside names of params and rules and their values."""
    from bt_microcap.record.param_texts import as_text

    own = {part for settings in (summary['params'], summary['rules']) for name, value in settings.items()
           for part in words(f'{name} {as_text(value)}')}
    return set().union(*(words(without_names(text)) for text in visible(path))) - own - {
        'MicroCapStrategy', 'bt', 'microcap', 'CSV', 'ST', 'listings'}


def test_the_report_of_a_run(strategy, tmp_path):
    pytest.importorskip('bokeh')
    pytest.importorskip('jinja2')
    from bt_microcap.views.html_report import report

    summary = save_run(strategy, tmp_path / 'one', plot=False, show=False)
    page = report(strategy, tmp_path / 'zh.html', language='zh', random_picks=3)
    assert english_of(page, summary) == set()
    seen = visible(page)
    assert '市值 20-30 亿元的股票中最小的 3 只，每 5 个交易日调仓（贴近实盘）' in seen
    parts = {part for text in seen for part in text.split(': ')}
    assert {'随机对照', '夏普比率', '基准：全 A 等权指数', '贴近实盘', '调仓记录'} <= parts
    assert english_of(report(strategy, tmp_path /
    'en.html', random_picks=0), summary)  # the same look finds the English of a page


def test_the_report_of_several_runs(strategy, tmp_path):
    pytest.importorskip('bokeh')
    pytest.importorskip('jinja2')
    from bt_microcap.views.html_report import report

    summary = save_run(strategy, tmp_path / 'one', plot=False, show=False)
    save_run(strategy, tmp_path / 'two', plot=False, show=False, name='other')
    page = report([tmp_path / 'one', tmp_path / 'two'], tmp_path / 'zh.html', language='zh')
    assert english_of(page, summary) == {'other', 'one', 'two'}  # the names of the folders
    assert '2 次回测对比' in visible(page)
