"""What a run says in Chinese: its summary, reasons of orders, and notes of the data."""

import ast
import inspect
import itertools
import re
from collections import Counter
from datetime import date
from pathlib import Path

import backtrader as bt
import pandas as pd
import pytest

from bt_microcap import feeds
from bt_microcap.exchange import account, execution
from bt_microcap.feeds import cleaning, quarantine
from bt_microcap.feeds.sources.delisting import DerivedPeriods
from bt_microcap.feeds.sources.share_services import CAPS
from bt_microcap.feeds.sources.shares import UNFIT
from bt_microcap.feeds.store.benchmarks import parse
from bt_microcap.feeds.store.layout import GUESSED, UNDATED
from bt_microcap.profiles import PROFILES
from bt_microcap.record.run import BY_HAND
from bt_microcap.record.statistics import summary_rows
from bt_microcap.rotation import overlays
from bt_microcap.rotation.tally import Tally
from bt_microcap.views.language import columns_of
from tests.support.texts import PACKAGE, SAME, called, chinese, modules, words

FEEDS = Path(feeds.__file__).parent

# -- what a run says -------------------------------------------------------------------------------------------------------


FIGURES = {
    'first_day': '2021-01-04', 'last_day': '2021-12-31', 'days': 243, 'start_value': 1e6, 'end_value': 1234567.891,
    'total_return': 0.2346,
    'annual_return': 0.2442, 'days_a_year': 252, 'sharpe': -1.234, 'risk_free': 0.04, 'max_drawdown': 0.15, 'turnover': 48.82,
    'fees': 12345.67, 'commission': 2345.0, 'tax': 9000.67, 'transfer_fee': 1000.0, 'trades': 1167, 'rejections': 17,
    'cash_flows': -5e4,
    'delisted': 2, 'delisted_cash': 4321.0, 'median_volume_share': 0.034, 'cagr': 0.236, 'volatility': 0.325, 'alpha': -0.1013,
    'beta': 1.017, 'slippage': 448329.72, 'win_rate': 0.4777, 'closed_trades': 582}


def test_the_summary_with_every_row():
    shown = [(chinese(name), chinese(text)) for name, text in summary_rows(FIGURES, 0.343, 'microcap:100')]
    assert shown == [
        ('回测区间', '2021-01-04 至 2021-12-31（243 个交易日）'),
        ('账户总值', '1,000,000.00 → 1,234,567.89 元'),
        ('收益率', '23.46%（microcap:100 34.30%）'),
        ('年化收益', '24.42%（每年按 252 个交易日计）'),
        ('复合年化收益', '23.60%（按自然日计）'),
        ('波动率', '年化 32.50%'),
        ('夏普比率', '-1.23（无风险利率年化 4.00%）'),
        ('最大回撤', '15.00%'),
        ('阿尔法、贝塔', '年化 -10.13%，1.02（基准：microcap:100）'),
        ('换手率', '每年 48.8 倍'),
        ('费用合计', '12,345.67 元（佣金 2,345.00，税 9,000.67，过户费 1,000.00）'),
        ('滑点', '448,329.72 元（已含在成交价中）'),
        ('交易笔数', '1167'),
        ('胜率', '47.77%（已平仓 582 笔）'),
        ('拒单与退市', '17'),
        ('出入金', '净转入 -50,000.00 元，不计入收益'),
        ('退市', '2 只持仓退市，折算现金 4,321.00 元（占期初总值 0.43%）'),
        ('警告', '委托数量的中位数占当日成交量的 3.4%，且全部按同一价格成交；资金量这么大，实盘成交价会更差'),
    ]


def test_the_summary_without_a_benchmark():
    assert ('return', '23.46%') in summary_rows(FIGURES)
    assert chinese('23.46% (market -2.00%)') == '23.46%（全 A 等权指数 -2.00%）'


def test_every_row_of_the_summary_has_a_name():
    for name in (*(name for name, _ in summary_rows(FIGURES, 0.1)), 'note', 'written'):
        assert columns_of(chinese(name)) < 15, name


def test_every_reason_of_an_order():
    reasons = {value for name, value in vars(execution).items() if name.isupper() and isinstance(value, str)}
    assert {'suspended', 'limit up', 'condition not met'} <= reasons
    reasons |= {account.DELISTED, account.CONSOLIDATED}
    kinds = [kind for kind in vars(overlays).values() if inspect.isclass(kind) and issubclass(kind, overlays.Overlay)]
    whys = {kind.why for kind in kinds if kind.why}
    assert {'stop loss', 'drawdown brake'} <= whys
    given = {node.value.value for _, tree in modules(PACKAGE / 'rotation') for node in ast.walk(tree)
             if isinstance(node, ast.keyword) and node.arg == 'why' and isinstance(node.value, ast.Constant)}
    assert {'rebalance', 'parking'} <= given
    assert [text for text in sorted(reasons | whys | given) if words(chinese(text))] == []


def test_backtraders_own_statuses():
    assert [chinese(name.lower()) for name in bt.Order.Status if name != 'Created'] == [
        '已提交', '已受理', '部分成交', '全部成交', '已撤单', '已过期', '资金不足', '被拒']


def test_profiles_and_sides():
    assert [chinese(name) for name in (*PROFILES, BY_HAND, 'BUY', 'SELL')] == ['聚宽', '贴近实盘', '自定义', '买入', '卖出']
    assert chinese('Mine (by hand)') == 'Mine（自定义）'


def tally(**counts):
    made = Tally()
    for name, value in counts.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize('counts, screened, expected', [
    ({'shut': {'market stop': 2, 'empty month': 3}}, '', '没有选出任何股票：5 个调仓日都因大盘止损、空仓月份而空仓'),
    ({'rebalances': 7}, '', '7 个调仓日都没有选出股票：screen 和 select 没有放行任何股票'),
    ({'rebalances': 7, 'band_days': 0}, '',
     '7 个调仓日都没有选出股票：没有一天有股票的市值介于 min_cap 2e9 元和 max_cap inf 元之间'),
    ({'rebalances': 7, 'band_days': 4}, 'on the boards main, star',
     '7 个调仓日都没有选出股票：其中 4 天有市值在区间内的股票，但它们停牌、属于 ST、处于退市整理期，或不在板块 main, star 内，'
     '或未被 select 选中'),
    ({'rebalances': 7, 'band_days': 4}, 'on the boards main, that min_price, rebuy_ban kept out',
     '7 个调仓日都没有选出股票：其中 4 天有市值在区间内的股票，但它们停牌、属于 ST、处于退市整理期，或不在板块 main 内，或被 '
     'min_price, rebuy_ban 排除，或未被 select 选中'),
    ({'rebalances': 7, 'picks': 21, 'refusals': {'limit up': 20, 'margin': 1}}, '',
     '选出 21 只次，但没有一笔委托成交：21 笔被拒，最常见的原因是“涨停”'),
    ({'rebalances': 7, 'picks': 21, 'notices': 2}, '',
     '选出 21 只次，但没有一笔委托成交：没有被拒的，委托到期末仍未成交或已撤回'),
    ({'rebalances': 7, 'picks': 21}, '', '选出 21 只次，但没有一笔委托成交：没有下单'),
])
def test_nothing_traded(counts, screened, expected):
    made = tally(**{name: Counter(value) if isinstance(value, dict) else value for name, value in counts.items()})
    assert chinese(made.nothing_traded(2e9, float('inf'), lambda: screened)) == expected


@pytest.mark.parametrize('spec, expected', [
    ('market', '全部 A 股等权，每日调整成分，新股上市 20 个交易日后纳入，停牌按 0% 计'),
    ('microcap:100:renew=5:weight=float_cap:new=60',
     '按前一日总市值最小的 100 只 A 股，剔除 ST、停牌、退市整理期和北交所股票，按前一日流通市值加权，每 5 个交易日调整成分，'
     '不计成本，新股上市 60 '
     '个交易日后纳入，成分股之后停牌按 0% 计'),
    ('microcap',
     '按前一日总市值最小的 400 只 A 股，剔除 ST、停牌、退市整理期和北交所股票，等权，每日调整成分，不计成本，新股上市 20 '
     '个交易日后纳入，成分股之后停牌按 0% 计'),
    ('000300', '指数 000300，按数据源给出的点位'),
])
def test_what_a_benchmark_is(spec, expected):
    assert chinese(parse(spec).about()) == expected


# -- what is said of data --------------------------------------------------------------------------------------------------


def finished(node, known):
    """Return every text that an expression can give, 7 for what is not known before a run."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        return [''.join(parts) for parts in itertools.product(*(finished(part, known) for part in node.values))]
    if isinstance(node, ast.FormattedValue):
        return finished(node.value, known)
    if isinstance(node, ast.IfExp):
        return finished(node.body, known) + finished(node.orelse, known)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [left + right for left in finished(node.left, known) for right in finished(node.right, known)]
    return [str(known[node.id])] if isinstance(node, ast.Name) and node.id in known else ['7']


def constants(tree):
    """Return the texts that a module names on its top level."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets, values = [node.targets[0]], [node.value]
            if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
                targets, values = node.targets[0].elts, node.value.elts
            found.update({target.id: value.value for target, value in zip(targets, values, strict=False)
                          if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str)})
    return found


def notes_of_the_sources():
    """Return what the sources say in ``request.about``: (name, text)."""
    trees = [tree for _, tree in modules(FEEDS / 'sources')]
    every = {}  # names that one module takes from another
    for tree in trees:
        every |= constants(tree)
    for tree in trees:
        known = every | constants(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and re.match(r'(?:self\.)?request\.about\[', ast.unparse(node.targets[0])):
                if isinstance(node.value, ast.Call) or ast.unparse(node.value) == 'UNFIT':  # looked at below
                    continue
                for name in finished(node.targets[0].slice, known):
                    yield from ((name, text) for text in finished(node.value, known))


NOTES = sorted(set(notes_of_the_sources()) - {('delisting_period', 'by the name of the day7'), (
    'window', '7: other days are not known')})


def test_the_notes_are_found():
    assert len(NOTES) > 25
    assert {('is_st', 'as given for each day'), ('delisting_period', 'not known, no column: no files of STK_NAME_HISTORY'),
            ('market_cap', 'not known: no files of daily_basic')} <= set(NOTES)


@pytest.mark.parametrize('name, text', [
    *NOTES, ('market_cap', UNFIT), *(('market_cap', f'{text}; not known before the first record') for text in CAPS.values()),
    ('market_cap', 'total shares of the file 7 x close; not known before the first record; none known of 7 stocks: 7'),
    ('delisting_period', DerivedPeriods(pd.DataFrame({'code': [], 'name': [], 'delisted': []}), date(2024, 3, 1)).about()),
    ('window', 'the account may read 2023-02-01 to 2024-02-01 alone: other days are not known'),
    ('dividends', 'explicit, by ex-date; not known are those by the reports of 2023-06-30, 2023-12-31: no answer'),
    ('is_st', 'by names that never change: not known for the past, that of today on all days'), ('listings', GUESSED),
    ('is_st', 'as given for each day; not known, taken as 0, in 1,234 rows'), ('members of 000852', UNDATED),
    ('delisting_period', 'by the name of the day; 0 for 12 stocks that have no names by date')])
def test_every_note_of_a_source(name, text):
    name = {'7': 'is_st'}.get(name, name)  # of a call that is a variable: its names are looked at below
    allowed = SAME | {'STK_NAME_HISTORY', 'trade_cal', 'suspend_d', 'stk_limit', 'namechange', 'of'}
    for said in (chinese(text), chinese(name), chinese(f'{name}: {text}')):
        assert re.search('[\u4e00-\u9fff]', said), said
        assert not words(said) - allowed, said


@pytest.mark.parametrize('name', ['stk_limit', 'suspend_d', 'stock_st', 'industries', 'constituents', 'names', 'trading_days'])
def test_the_names_of_tables_stay_to_be_found(name):
    assert re.fullmatch(f'.*[\u4e00-\u9fff]+（{name}）', chinese(name))
    assert chinese(f'{name}: not known, as not read: HTTP error 404') == f'{chinese(name)}：未知，因为没有读到：HTTP error 404'


@pytest.mark.parametrize('text, expected', [
    ('suspend_d: not known: suspended days, which have no rows; no files of suspend_d',
     '停牌（suspend_d）：未知：停牌日（没有行情）；没有 suspend_d 的文件'),
    ('stk_limit: not known: high_limit and low_limit; no files of stk_limit',
     '涨跌停价（stk_limit）：未知：涨停价和跌停价；没有 stk_limit 的文件'),
    ('代码 -> code; not read, as they are no stocks: 000300.XSHG', '代码 -> code；未读取，因为不是股票：000300.XSHG'),
    ('from_files', '原始文件'), ('columns', '列名对应'), ('source', '来源'), ('stocks', '股票')])
def test_what_is_written_out(text, expected):
    assert chinese(text) == expected


def test_what_may_differ_between_runs():
    assert [chinese(name) for name in ('strategy', 'preset', 'data', 'profile', 'benchmark', 'version')] == [
        '策略', '预设', '数据', '交易规则', '基准', '版本']


def test_the_columns_of_a_table():
    assert chinese('columns: 代码 -> code, 成交量(手) x 1e2 -> volume; not read, as they are no stocks: 000300.XSHG, '
                   '510300.XSHG') == (
        '列名对应：代码 -> code, 成交量(手) x 1e2 -> volume；未读取，因为不是股票：000300.XSHG, 510300.XSHG')
    assert chinese('columns: 代码 -> code') == '列名对应：代码 -> code'


def test_rows_that_were_found_wrong():
    kinds = [kind for kind in vars(cleaning).values() if isinstance(kind, quarantine.Kind)]
    assert len(kinds) > 20
    table = pd.DataFrame([
        {'file': 'a', 'line': number, 'date': '', 'code': '', 'column': '开盘', 'found': '', 'finding': kind.finding,
         'done': kind.done}
        for number, kind in enumerate(kinds)])
    said = chinese(f'{quarantine.summary_line(table)}; each is in out/quarantine.csv')
    assert said.startswith(f'{len(kinds)} 行数据有问题：') and said.endswith('；明细见 out/quarantine.csv')
    assert not words(said) - {'out', 'quarantine', 'csv'} and said.count(' 条（') == len(kinds)
    assert '停牌日没有价格，之前也没有 1 条（整行舍弃）' in said and '开盘 不大于 0 1 条（按未知处理）' in said
    one = chinese(f'{quarantine.summary_line(table[:1])}; each is in quarantine.csv')
    assert one == '1 行数据有问题：字段缺少或多余 1 条（整行舍弃）；明细见 quarantine.csv'


@pytest.mark.parametrize('text, expected', [
    ('the benchmark 000300 is not known from the day before the run to its end: there is no comparison',
     '从回测前一日到结束，基准（000300）的数据不全，因此不做比较'),
    ('the data has no preclose: price limits are not applied', '数据没有前收盘价（preclose），不执行涨跌停限制'),
    ('the data has no preclose: price limits and ex-rights are not applied',
     '数据没有前收盘价（preclose），不执行涨跌停限制，也不处理除权除息'),
    ('the demo market', '演示行情（虚构）'), ('feeds of one stock each', '每只股票一个数据'), ('the table', '内存中的数据表'),
    ('/data/whole', '/data/whole')])
def test_what_a_run_says_of_its_market(text, expected):
    assert chinese(text) == expected


# -- why a run is not made again -------------------------------------------------------------------------------------------


def reasons_not_to_repeat():
    for path, tree in modules(PACKAGE / 'study'):
        if path.name not in ('again.py', 'chance.py'):
            continue
        for node in ast.walk(tree):
            if called(node) == 'CannotRepeat' and not isinstance(node.args[0], ast.Name):
                texts = finished(node.args[0], {})
                yield from (text for text in texts if text != 'the data feed 7 7')
            if isinstance(node, ast.For) and ast.unparse(node.target) == '(held, why)':
                whole = any(isinstance(row.elts[1], ast.JoinedStr) for row in node.iter.elts)
                for row in node.iter.elts:
                    yield from (text if whole else f'the data feed 7 {text}' for text in finished(row.elts[1], {}))


REASONS = sorted(set(reasons_not_to_repeat()))


def test_the_reasons_are_found():
    assert len(REASONS) > 15
    assert {'the data feed 7 is filtered', 'several strategies share one account', 'the strategy skips the run'} <= set(REASONS)


@pytest.mark.parametrize('text', [*REASONS, 'the run cannot be made again: 7'])
def test_every_reason_not_to_repeat(text):
    said = chinese(text)
    assert re.search('[\u4e00-\u9fff]', said) and not words(said) - SAME
