"""The commands orders, fills and slippage, as a user calls them."""

import csv
import json
import re
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from bt_microcap import MarketStore
from bt_microcap.live import sessions
from tests.support.living import demo
from tests.support.script_calls import one_error_line
from tests.support.studying import command

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / 'docs/orders.md', ROOT / 'docs/orders.zh-CN.md']


@pytest.fixture(scope='module')
def market(tmp_path_factory):
    """The demo market of 2019 and the first half of 2020 as a store."""
    folder = tmp_path_factory.mktemp('market') / 'store'
    table = demo().table()
    MarketStore.from_table(table[table['date'] <= '2020-06-30'].reset_index(drop=True), checked=True).save(folder)
    return folder


@pytest.fixture
def account(tmp_path, monkeypatch, market):
    monkeypatch.chdir(tmp_path)
    given = ('--data', market, '--cash', '300000', '--start', '2020-03-02')
    assert command('orders', '--init', '--account', 'a.json', *given).status == 0
    return tmp_path / 'a.json'


def list_of(market, day, *more):
    return command('orders', '--account', 'a.json', '--data', market, '--date', day, *more)


def rows(path):
    with open(path, encoding='utf-8-sig', newline='') as stream:
        return list(csv.DictReader(stream))


# -- the page ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('path', PAGES, ids=['english', 'chinese'])
def test_the_week_of_the_page(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = path.read_text(encoding='utf-8')
    (statement,) = re.findall(r'```csv\n(.*?)```', text, re.DOTALL)
    Path('monday.csv').write_text(statement, encoding='utf-8')
    line = r'\.venv/bin/python -m bt_microcap (?:orders|fills)[^\n]*\n'
    told = re.findall(rf'```sh\n((?:{line})+)```\n\n```text\n(.*?)```', text, re.DOTALL)
    assert len(told) == 3
    for commands, printed in told:
        found = ''
        for line in commands.splitlines():
            outcome = command(*shlex.split(line)[3:])
            assert (outcome.status, outcome.err) == (0, '')
            found += outcome.out
        assert found == printed
    assert {entry.name for entry in Path('monday').iterdir()} == {
        'orders.csv', 'blocked.csv', 'orders.json', '委托单.csv', 'qmt_buy.txt'}


@pytest.mark.parametrize('path', PAGES, ids=['english', 'chinese'])
def test_the_loop_of_the_page(path, tmp_path, market):
    """In a shell, for a few days; what it prints at its end is that the journal is the backtest's."""
    (block,) = re.findall(r'```sh\n(PY=.*?)```', path.read_text(encoding='utf-8'), re.DOTALL)
    python = shlex.quote(str(sys.executable))
    script = (block.replace('PY=".venv/bin/python -m bt_microcap"', f'PY="{python} -m bt_microcap"')
              .replace('--data market', f'--data {shlex.quote(str(market))}')
              .replace('2021-04-01', '2020-03-02').replace('2021-06-30', '2020-03-11'))
    done = subprocess.run(['sh', '-c', script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.splitlines()[-1] == 'the same'
    assert len(rows(tmp_path / 'paper.journal.csv')) == len(rows(tmp_path / 'bt/trades.csv')) == 9


# -- files -------------------------------------------------------------------------------------------------------------------


def test_the_files_of_a_list(account, market):
    given = ('--out', 'out', '--price', 'auction', '--away', '0.03')
    assert list_of(market, '2020-03-02', *given, '--format', 'dts', '--format', 'cats', '--format', 'ptrade',
                   '--broker-account', '10001').status == 0
    orders = rows('out/orders.csv')
    assert [row['order_id'][:9] for row in orders] == ['20200302B'] * 3
    for row in orders:
        price, reference = float(row['limit_price']), float(row['reference_price'])
        assert reference < price <= reference * 1.03 + 1e-9
        assert float(row['value']) == pytest.approx(int(row['shares']) * price)
        assert int(row['shares']) % 100 == 0 or row['code'].startswith('68')
    content = json.loads(Path('out/orders.json').read_text(encoding='utf-8'))
    assert [order['order_id'] for order in content['orders']] == [row['order_id'] for row in orders]
    assert content['value'] == pytest.approx(sum(float(row['value']) for row in orders))
    assert Path('out/Order.csv').read_text(encoding='utf-8').count('10001') == 3
    issued = json.loads(account.read_text(encoding='utf-8'))['issued']
    assert [each['order_id'] for each in issued] == [row['order_id'] for row in orders]
    # made again it is the same, and files of a list with other forms do not stay
    before = Path('out/orders.csv').read_bytes()
    outcome = list_of(market, '2020-03-02', '--out', 'out', '--format', 'chinese', '--price', 'auction', '--away', '0.03')
    assert outcome.status == 0
    assert Path('out/orders.csv').read_bytes() == before
    assert {entry.name for entry in Path('out').iterdir()} == {'orders.csv', 'blocked.csv', 'orders.json', '委托单.csv'}


def test_without_out_nothing_is_written(account, market):
    before = {path.name: path.read_bytes() for path in account.parent.iterdir()}
    shown = list_of(market, '2020-03-02', '--show', 'csv')
    assert len(list(csv.DictReader(shown.out.splitlines()))) == 3
    assert json.loads(list_of(market, '2020-03-02', '--show', 'json').out)['days_left'] == 0
    assert '买入' in list_of(market, '2020-03-02', '--lang', 'zh').out
    assert {path.name: path.read_bytes() for path in account.parent.iterdir()} == before


def test_fills_of_a_list_and_their_slippage(account, market):
    list_of(market, '2020-03-02', '--out', 'out')
    orders = rows('out/orders.csv')
    store = demo()
    day = store.day_number(datetime(2020, 3, 2).toordinal())
    highs = [store.vector('high', day)[store.stock_number(row['code'])] for row in orders]
    lines = [f'2020-03-02,{row["code"]},BUY,{row["shares"]},{high},{number}'
             for number, (row, high) in enumerate(zip(orders[:2], highs, strict=False))]
    Path('filled.csv').write_text('\n'.join(['date,code,side,quantity,price,fill_id', *lines]) + '\n', encoding='utf-8')
    outcome = command('fills', '--account', 'a.json', '--fills', 'filled.csv', '--data', market)
    assert outcome.status == 0
    assert outcome.out.splitlines()[0].startswith('a.json: 2 fills and 0 events booked; ')
    assert f'BUY {orders[2]["code"]}: 0 of {int(orders[2]["shares"]):,} shares filled' in outcome.out
    journal = rows('a.journal.csv')
    assert [row['reference_price'] for row in journal] == [row['reference_price'] for row in orders[:2]]
    opens = [store.vector('open', day)[store.stock_number(row['code'])] for row in journal]
    assert [float(row['open']) for row in journal] == opens
    real = sum(int(row['quantity']) * (float(row['price']) - opened) for row, opened in zip(journal, opens, strict=True))
    said = command('slippage', '--journal', 'a.journal.csv')
    assert said.status == 0
    assert f'{real:,.2f}' in said.out
    assert re.search(r'the backtest would have assumed [\d,.]+ yuan with: --slippage 0\.0\d+', said.out)
    assert '回测' in command('slippage', '--journal', 'a.journal.csv', '--lang', 'zh').out


# -- what is refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('more', 'message'), [
    (('--date', '2020-03-01'), r'--date 2020-03-01: the exchange does not trade on it, as .* tells; the next .* 2020-03-02'),
    (('--date', '2020-02-28'), r'--date 2020-02-28: a\.json begins on 2020-03-02; give that day or a later one'),
    (('--max-orders', '2'), r'2020-03-02 has 3 orders, --max-orders allows 2; nothing is written'),
    (('--max-order-value', '1000'), r'the orders of 2020-03-02 are worth .* --max-order-value allows 1,000\.00; nothing is '
                                     'written'),
    (('--preset', 'ten_weekly'), r'a\.json: was begun for the original, found ten_weekly; leave the strategy out'),
    (('--set', 'stop_loss=0.1'), r'a\.json: was begun for the original, found stop_loss=0\.1; leave the strategy out'),
    (('--slippage', '0.01'), r'a\.json: was begun with --slippage 0\.002, found 0\.01; leave it out'),
    (('--profile', 'joinquant'), r'a\.json: was begun with --profile realistic, found joinquant; leave it out'),
    (('--joinquant', 'x.py'), r'--joinquant: a JoinQuant script decides during the day'),
    (('--facts', 'none.csv'), r'none\.csv: there is no such file'),
    (('--format', 'dts'), r'--format dts needs --out DIR to write it into'),
    (('--format', 'dts', '--out', 'x'), r"--format dts needs --broker-account ID"),
    (('--cash', '5'), r'--cash goes with --init'),
    (('--away', '0.1'), r'--away goes with --price auction or close'),
    (('--account', 'none.json'), r'none\.json: there is no account; .* orders --init --account none\.json --cash YUAN makes'),
])
def test_a_list_that_is_refused(account, market, more, message):
    outcome = command('orders', '--account', 'a.json', '--data', market, '--date', '2020-03-02', *more)
    assert re.search(message, one_error_line(outcome))
    assert not Path('x').exists()


def test_stale_data(account, market):
    pytest.importorskip('exchange_calendars')
    assert list_of(market, '2020-07-01').status == 0  # the day after the last
    line = one_error_line(list_of(market, '2020-07-02'))
    assert re.search(r'ends on 2020-06-30, expected 2020-07-01, the trading day before 2020-07-02: the data is stale', line)
    line = one_error_line(list_of(market, '2020-07-04'))
    assert '--date 2020-07-04: the exchange does not trade on it; the next trading day is 2020-07-06' in line
    line = one_error_line(command('orders', '--account', 'a.json', '--data', market))  # the next open by the clock
    assert 'the data is stale' in line


def test_the_extra_is_asked_for(account, market, monkeypatch):
    monkeypatch.setitem(sys.modules, 'exchange_calendars', None)
    line = one_error_line(list_of(market, '2020-07-01'))
    assert 'needs exchange_calendars: pip install "bt-microcap[calendar]"' in line
    assert list_of(market, '2020-03-02').status == 0  # a day of the data needs none
    monkeypatch.setitem(sys.modules, 'dbf', None)
    line = one_error_line(list_of(market, '2020-03-02', '--out', 'out', '--format', 'xt', '--broker-account', '1'))
    assert 'XT_DBF_ORDER.dbf needs dbf: pip install "bt-microcap[dbf]"' in line
    assert not Path('out').exists()


@pytest.mark.parametrize(('now', 'expected'), [
    ('2024-02-08T01:00:00', '2024-02-08'),  # 9:00 in Shanghai, before the auction
    ('2024-02-08T01:15:00', '2024-02-19'),  # 9:15: the next one is after the holidays
    ('2024-03-01T16:30:00', '2024-03-04'),  # Saturday there
])
def test_the_next_open_by_the_clock(now, expected):
    pytest.importorskip('exchange_calendars')
    assert sessions.next_open(datetime.fromisoformat(now).replace(tzinfo=timezone.utc)).isoformat() == expected


def test_beyond_the_known_holidays():
    pytest.importorskip('exchange_calendars')
    with pytest.raises(Exception, match='knows the holidays of Shanghai until .*; a newer one may know more'):
        sessions.is_session(datetime(2099, 1, 5).date())


@pytest.mark.parametrize(('more', 'message'), [
    ((), r'a\.json: is there already; an account begins once'),
    (('--account', 'b.txt'), r'--account b\.txt: expected a name that ends in \.json'),
    (('--account', 'none/b.json'), r'none.b\.json: there is no folder'),
    (('--account', 'b.json', '--start', '2020-03-01'), r'--start 2020-03-01: the exchange does not trade on it'),
    (('--account', 'b.json', '--preset', 'nine'), r'--preset nine: found no such preset'),
    (('--account', 'b.json', '--holdings', 'held.csv'), r'held\.csv: holds 600999\.XSHG, which .* does not have'),
    (('--account', 'b.json', '--holdings', 'twice.csv'), r'twice\.csv, line 3: found 600533\.XSHG twice'),
    (('--account', 'b.json', '--holdings', 'free.csv'), r'free\.csv, line 2, column cost: found nothing, expected the yuan'),
])
def test_an_account_that_cannot_begin(account, market, more, message):
    Path('held.csv').write_text('code,shares,cost\n600999,100,1\n', encoding='utf-8')
    Path('twice.csv').write_text('code,shares,cost\n600533,100,1\n600533,100,1\n', encoding='utf-8')
    Path('free.csv').write_text('code,shares,cost\n600533,100,\n', encoding='utf-8')
    given = ('--account', 'a.json', '--start', '2020-03-02', *more)
    assert re.search(message, one_error_line(command('orders', '--init', '--data', market, '--cash', '1000', *given)))
    assert not Path('b.json').exists()


def test_an_account_that_holds_something(account, market):
    Path('held.csv').write_bytes('证券代码\t证券名称\t股票余额\t可用余额\t成本价\n600533\t某股\t1250\t1250\t4.321\n'.encode('gbk'))
    given = ('--account', 'b.json', '--data', market)
    more = ('--cash', '1000', '--start', '2020-03-02', '--holdings', 'held.csv')
    assert command('orders', '--init', *given, *more).status == 0
    content = json.loads(Path('b.json').read_text(encoding='utf-8'))
    assert content['holdings'] == [{'code': '600533.XSHG', 'shares': 1250, 'sellable': 1250, 'cost': 4.321, 'bought': None}]
    outcome = command('orders', *given, '--date', '2020-03-02', '--out', 'out', '--format', 'ptrade')
    assert re.search(r'SELL +600533\.XSHG +1,250 ', outcome.out)
    text = Path('out/Poslist.csv').read_text(encoding='utf-8')
    assert text == 'sid,enable_amount,amount,cost_basis\n600533.SS,1250,1250,4.3210\n'


@pytest.mark.parametrize(('more', 'message'), [
    ((), r'give --fills FILE, --ex-rights, --undo, --unfilled, or what'),
    (('--ex-rights', '--undo'), r'--undo takes a booking back, and books nothing'),
    (('--cash', '299000'), r'a\.json: cash 300,000\.00, the broker shows 299,000\.00; nothing is booked'),
    (('--fills', 'none.csv'), r'none\.csv: there is no such file'),
    (('--unfilled', '2099-01-01'), r'--unfilled 2099-01-01: is to come; today is'),
])
def test_fills_that_are_refused(account, more, message):
    assert re.search(message, one_error_line(command('fills', '--account', 'a.json', *more)))


def test_a_fill_twice_books_nothing(account):
    Path('f.csv').write_text('date,code,side,quantity,price\n2020-03-02,600533,BUY,100,7\n', encoding='utf-8')
    assert command('fills', '--account', 'a.json', '--fills', 'f.csv').status == 0
    before = {path.name: path.read_bytes() for path in account.parent.iterdir()}
    assert 'may be booked already' in one_error_line(command('fills', '--account', 'a.json', '--fills', 'f.csv'))
    assert {path.name: path.read_bytes() for path in account.parent.iterdir()} == before


def test_a_strategy_whose_file_has_changed(market, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = Path('changing_strategy.py')
    file.write_text('from bt_microcap import MicroCapStrategy\n\n\nclass Mine(MicroCapStrategy):\n'
                    "    params = (('stocknum', 2),)\n", encoding='utf-8')
    given = ('--cash', '1000000', '--start', '2020-03-02', '--strategy', 'changing_strategy.py:Mine')
    assert command('orders', '--init', '--account', 'a.json', '--data', market, *given).status == 0
    assert len(json.loads(list_of(market, '2020-03-02', '--show', 'json').out)['orders']) == 2
    file.write_text(file.read_text(encoding='utf-8') + '\n# another\n', encoding='utf-8')
    assert 'has changed since a.json was begun' in one_error_line(list_of(market, '2020-03-02'))
    assert list_of(market, '2020-03-02', '--accept-changes').status == 0


def test_the_account_remembers_its_data(account, market):
    without = command('orders', '--account', 'a.json', '--date', '2020-03-02')
    assert without.out == list_of(market, '2020-03-02').out
    assert re.search(r'^BUY ', without.out, re.MULTILINE)
    content = json.loads(account.read_text(encoding='utf-8'))
    assert content['data'] == str(market)
    more = ('--cash', '300,000.00', '--start', '2020-03-02')  # as a terminal shows it
    assert command('orders', '--init', '--account', 'b.json', '--data', market, *more).status == 0
    market_gone = market.with_name('elsewhere')
    market.rename(market_gone)
    try:
        line = one_error_line(command('orders', '--account', 'a.json', '--date', '2020-03-02'))
        assert re.search(r'a\.json: its data .* is not there; give --data', line)
    finally:
        market_gone.rename(market)


def test_what_is_to_be_known_reaches_programs_too(account, market):
    list_of(market, '2020-03-02', '--out', 'out')
    shown = command('orders', '--account', 'a.json', '--date', '2020-03-04', '--show', 'json')
    note = 'nothing is booked of the list of 2020-03-02, orders 3: fills books what was filled'
    assert note in json.loads(shown.out)['notes']
    assert note in shown.err.splitlines()
    assert note in command('orders', '--account', 'a.json', '--date', '2020-03-04').out.splitlines()
    assert '2020-03-02 的清单（3 笔委托）尚未记入任何成交' in command(
        'orders', '--account', 'a.json', '--date', '2020-03-04', '--show', 'csv', '--lang', 'zh').err
    assert command('fills', '--account', 'a.json', '--unfilled', '2020-03-02').status == 0
    assert note not in command('orders', '--account', 'a.json', '--date', '2020-03-04').out


def test_programs_get_the_buys_that_wait_for_sales_apart(account, market):
    orders = json.loads(list_of(market, '2020-03-02', '--show', 'json').out)['orders']
    lines = [f'2020-03-02,{order["code"]},BUY,{order["shares"]},{order["reference_price"]},{number}'
             for number, order in enumerate(orders)]
    Path('f.csv').write_text('\n'.join(['date,code,side,quantity,price,fill_id', *lines]) + '\n', encoding='utf-8')
    assert command('fills', '--account', 'a.json', '--fills', 'f.csv').status == 0
    given = ('--format', 'dts', '--format', 'cats', '--format', 'qmt', '--broker-account', '1')
    assert list_of(market, '2020-03-09', '--out', 'out', *given).status == 0
    waiting = [row['needs_sale'] for row in rows('out/orders.csv')]
    assert waiting.count('True') >= 2
    for name in ('Order.csv', 'OrderList.csv'):
        now, later = (Path('out', *folder, name).read_text(encoding='utf-8').splitlines() for folder in ((), ('after_sales',)))
        assert [len(now), len(later)] == [waiting.count('False'), waiting.count('True')]
        assert all(',20200309B' in line or line.split(',')[1].startswith('20200309B') for line in later)
    assert list_of(market, '2020-03-09', '--out', 'out').status == 0
    assert not Path('out/after_sales').exists()


def test_bookings_are_taken_back_one_by_one(account, market):
    for number, day in enumerate(('2020-03-02', '2020-03-03')):
        Path('f.csv').write_text(f'date,code,side,cash\n{day},,CASH,{100 + number}\n', encoding='utf-8')
        assert command('fills', '--account', 'a.json', '--fills', 'f.csv').status == 0
    Path('f.csv').write_text('date,code,side,cash\n', encoding='utf-8')  # nothing in it is no booking
    assert command('fills', '--account', 'a.json', '--fills', 'f.csv').status == 0
    assert '1 events taken back; 300,100.00 yuan' in command('fills', '--account', 'a.json', '--undo').out
    assert '1 events taken back; 300,000.00 yuan' in command('fills', '--account', 'a.json', '--undo').out
    assert 'has no booking that could be taken back' in one_error_line(command('fills', '--account', 'a.json', '--undo'))


def test_a_column_of_the_fills_by_another_name(account, market):
    Path('f.csv').write_text('date,code,side,so_many,price\n2020-03-02,600533,BUY,1,7\n', encoding='utf-8')
    given = ('fills', '--account', 'a.json', '--fills', 'f.csv')
    assert "found no column" not in command(*given, '--rename', 'so_many=quantity', '--scale', 'quantity=100').err
    assert rows('a.journal.csv')[0]['quantity'] == '100'


def test_a_reader_that_leaves_early_does_not_keep_the_files_from_being_written(account, market):
    python = shlex.quote(sys.executable)
    done = subprocess.run(
        ['sh', '-c', f'{python} -m bt_microcap orders --account a.json --date 2020-03-02 --out out | true'], cwd=account.parent,
        capture_output=True, text=True, check=False)
    assert done.stderr == ''
    assert len(rows('out/orders.csv')) == 3
    assert len(json.loads(account.read_text(encoding='utf-8'))['issued']) == 3
