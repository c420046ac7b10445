"""What brokers export, in their own words and with their own oddities; all rows here are made up."""

from datetime import date

import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.live.booking import book
from bt_microcap.live.books import EventRow, FillRow, Holding
from bt_microcap.live.statement import Fees, read_statement, together
from tests.support.living import new_account

MONDAY, TUESDAY = date(2024, 3, 4), date(2024, 3, 5)
A = '600000.XSHG'


@pytest.fixture
def account(tmp_path):
    return new_account(tmp_path, MONDAY, cash=1e6, holdings=[Holding(A, 3000, 3000, 9.0)])


def read(account, text, encoding='utf-8', name='fills.csv', **options):
    path = account.path.with_name(name)
    path.write_bytes(text.encode(encoding))
    return read_statement(path, account, **options)


def plain(fill):
    return fill[:5]


def test_history_of_tongdaxin(account):
    # sales have a negative quantity, a tax on dividends calls itself a purchase of nothing, notes stand around the table
    found = read(account, (
        '----------------------------\n'
        '成交日期\t成交时间\t证券代码\t证券名称\t买卖标志\t成交数量\t成交价格\t成交金额\t委托编号\t成交编号\t发生金额\t股东代码\t备注\n'
        '20240304\t09:25:00\t600000\t浦发银行\t卖出\t-1000.00\t10.000\t10000.00\t12\t0101000075800458\t9989.90\tA1\t\n'
        '20240305\t09:30:01\t000001\t平安银行\t买入\t500.00\t11.000\t5500.00\t13\t0202\t-5505.06\tA1\t\n'
        '20240305\t00:00:00\t600000\t浦发银行\t买入\t0.00\t0.000\t0.00\t\t\t-12.50\tA1\t股息红利税差异化处理资金下账\n'
        '#数据来源:通达信\n'), 'gb18030', '20240305.xls')
    assert [plain(fill) for fill in found.fills] == [
        (MONDAY, A, 'SELL', 1000, 10.0), (TUESDAY, '000001.XSHE', 'BUY', 500, 11.0)]
    sale, purchase = found.fills
    # what the account got tells all fees: 10.10 of the sale, of which the stamp duty is 5.00 and the transfer fee 0.10
    assert (sale.commission, sale.tax, sale.transfer_fee) == pytest.approx((5.0, 5.0, 0.1))
    assert (purchase.commission, purchase.tax, purchase.transfer_fee) == pytest.approx((5.005, 0.0, 0.055))
    # of a number a spreadsheet would take the zero, too
    assert (sale.fill_id, sale.order_id, sale.time) == ('101000075800458', '12', '09:25:00')
    assert found.events == [EventRow(TUESDAY, '', 'tax', 0, 0, -12.5)]
    assert found.computed == 0


def test_a_day_of_tonghuashun_without_dates_and_fees(account):
    text = ('成交时间,证券代码,证券名称,操作,成交数量,成交均价,成交金额,合同编号,成交编号\n'
            '09:25:00,"=""000001""",平安银行,证券买入,1000,11.00,11000.00,7,1\n'
            '09:25:00,"=""000001""",平安银行,证券买入,500,11.00,5500.00,7,2\n'
            '10:01:00,600000,浦发银行,证券卖出,100,9.50,950.00,8,3\n'
            '10:02:00,600000,浦发银行,撤单,0,0,0,9,4\n')
    with pytest.raises(DataError, match='found no column of dates, .*; give --date YYYY-MM-DD for all rows'):
        read(account, text)
    found = read(account, text, day=MONDAY)
    assert [plain(fill) for fill in found.fills] == [
        (MONDAY, '000001.XSHE', 'BUY', 1000, 11.0), (MONDAY, '000001.XSHE', 'BUY', 500, 11.0), (MONDAY, A, 'SELL', 100, 9.5)]
    # one order pays the least commission once: 16,500 x 0.0003 = 4.95, so 5 in all
    assert [fill.commission for fill in found.fills] == pytest.approx([5.0, 0.0, 5.0])
    assert [fill.tax for fill in found.fills] == pytest.approx([0.0, 0.0, 0.475])  # 0.05 % since 2023-08-28
    assert [fill.transfer_fee for fill in found.fills] == pytest.approx([0.11, 0.055, 0.0095])
    assert found.computed == 3
    assert [text.rpartition(': ')[2] for text in found.skipped] == ['撤单']


def test_fees_of_several_columns(account):
    found = read(account, '交割日期,证券代码,业务名称,成交数量,成交价格,净佣金,规费,印花税,过户费\n'
                          '2024/03/04,1,证券买入,1000,11,3.1,0.4,0,0.11\n')  # a code that lost its zeros
    assert found.fills == [FillRow(MONDAY, '000001.XSHE', 'BUY', 1000, 11.0, 3.5, 0.0, 0.11)]


def test_fees_that_are_told_twice_count_once(account):
    # 手续费 holds 净佣金 and 其他费 already: what the account paid says so
    found = read(account, '成交日期,证券代码,操作,成交数量,成交均价,成交金额,手续费,其他费,印花税,过户费,发生金额\n'
                          '20240304,000001,买入,1000,11.00,11000.00,5.00,0.38,0,0.11,-11005.11\n')
    (fill,) = found.fills
    assert (fill.commission, fill.tax, fill.transfer_fee) == pytest.approx((5.0, 0.0, 0.11))


def test_what_happens_without_a_fill(account):
    found = read(account, '发生日期,证券代码,业务名称,成交数量,成交价格,发生金额,成交编号\n'
                          '20240304,600000,红利入账,3000,0,450.00,1\n'
                          '20240304,600000,红股入账,900,0,0,2\n'
                          '20240304,,银行转证券,0,0,5000.00,3\n'
                          '20240305,,证券转银行,0,0,2000.00,4\n'
                          '20240305,,利息归本,0,0,1.23,5\n')
    book(account, found, 'fills.csv')
    account.save()
    assert [(row.date, row.code, row.action, row.shares_before, row.shares_after, row.cash) for row in account.events] == [
        (MONDAY, A, 'dividend', 3000, 3000, 450.0), (MONDAY, A, 'bonus', 3000, 3900, 0.0), (MONDAY, '', 'cash', 0, 0, 5000.0),
        (TUESDAY, '', 'cash', 0, 0, -2000.0), (TUESDAY, '', 'interest', 0, 0, 1.23)]
    assert account.events[0].dividend == pytest.approx(0.15)
    assert account.events[1].ratio == pytest.approx(1.3)
    assert account.books().cash == pytest.approx(1_003_451.23)
    (held,) = account.books().holdings()
    assert (held.shares, held.cost) == (3900, pytest.approx((9.0 * 3000 - 450) / 3900))


def test_our_own_words(account):
    found = read(account, 'date,code,side,quantity,price,cash\n2024-03-04,600000.SH,buy,100,10,\n2024-03-04,,CASH,,,-500\n')
    assert [plain(fill) for fill in found.fills] == [(MONDAY, A, 'BUY', 100, 10.0)]
    assert found.events == [EventRow(MONDAY, '', 'cash', 0, 0, -500.0)]


HEAD = '成交日期,证券代码,操作,成交数量,成交均价,成交金额\n'


@pytest.mark.parametrize(('text', 'message'), [
    ('', r'found an empty file'),
    ('a,b\n1,2\n', r'found no column for side, only a, b; call it side, or one of 操作, 买卖标志'),
    (HEAD + '20240304,600000,买入,10,10,10000\n',
     r'line 2: found an amount of 10,000\.00 yuan, but 10 x 10 = 100\.00; quantities are in shares, not in lots'),
    (HEAD + '20240304,600000,配号,10,10,100\n', r"line 2, column 操作: found '配号', expected one of BUY, SELL"),
    (HEAD + '2024034,600000,买入,10,10,100\n', r"line 2, column 成交日期: found '2024034', expected a day"),
    (HEAD + '20240304,浦发,买入,10,10,100\n', r"line 2, column 证券代码: found '浦发', expected the code of an A share"),
    (HEAD + '20240304,600000,买入,10,x,100\n', r"line 2, column 成交均价: found 'x', expected a number"),
    (HEAD + '20240304,600000,买入,10,,\n', r'line 2, column 成交均价: found nothing, expected the yuan a share'),
    (HEAD + '20240304,600000,买入,10.5,10,\n', r'line 2, column 成交数量: found 10\.5, expected whole shares'),
    (HEAD + '20240304,600000,买入,"1,000",10,10,000\n', r'line 2: found 7 fields under a header of 6'),
])
def test_what_cannot_be_understood(account, text, message):
    with pytest.raises(DataError, match=message):
        read(account, text)


def test_no_text(account):
    path = account.path.with_name('fills.xls')
    for content, message in ((b'\xd0\xcf\x11\xe0rest', 'found a workbook'), (b'PK\x03\x04rest', 'found a workbook'),
                             (b'side\xff\xfe\n\x81', 'neither UTF-8 nor GBK')):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_statement(path, account)


# -- once ----------------------------------------------------------------------------------------------------------------


def test_a_statement_twice(account):
    text = HEAD + '20240304,600000,卖出,100,10,1000\n'
    book(account, read(account, text), 'fills.csv')
    message = r'fills\.csv: 2024-03-04 600000\.XSHG SELL 100 at 10 may be booked already: .*journal\.csv has 2024-03-04 600000'
    with pytest.raises(DataError, match=message):
        book(account, read(account, text), 'fills.csv')
    assert len(account.fills) == 1


def test_a_row_twice_in_one_file(account):
    with pytest.raises(DataError, match='SELL 100 at 10 is there twice; two fills that differ in nothing want their number'):
        book(account, read(account, HEAD + '20240304,600000,卖出,100,10,1000\n' * 2), 'fills.csv')


def test_alike_but_told_apart(account):
    head = '成交日期,成交时间,证券代码,操作,成交数量,成交均价,成交编号\n'
    rows = '20240304,09:25:00,600000,卖出,100,10,1\n20240304,09:25:00,600000,卖出,100,10,2\n'
    book(account, read(account, head + rows), 'fills.csv')
    assert len(account.fills) == 2
    with pytest.raises(DataError, match='may be booked already'):  # the same by an export without numbers
        book(account, read(account, HEAD + '20240304,600000,卖出,100,10,1000\n'), 'fills.csv')
    book(account, read(account, head + '20240304,09:25:00,600000,卖出,100,10,3\n'), 'fills.csv')
    assert len(account.fills) == 3


def test_an_event_twice_and_of_what_is_not_held(account):
    text = '发生日期,证券代码,业务名称,发生金额\n20240304,600000,红利入账,450\n'
    book(account, read(account, text), 'fills.csv')
    with pytest.raises(DataError, match=r'2024-03-04 600000\.XSHG dividend of 450\.00 yuan is booked once'):
        book(account, read(account, text), 'fills.csv')
    with pytest.raises(DataError, match=r'found dividend of 000001\.XSHE on 2024-03-04, which .* does not hold before it'):
        book(account, read(account, text.replace('600000', '000001')), 'fills.csv')


def test_before_the_account_began(account):
    with pytest.raises(DataError, match='found a row of 2024-03-01, expected 2024-03-04, the first day'):
        book(account, read(account, HEAD + '20240301,600000,卖出,100,10,1000\n'), 'fills.csv')


@pytest.mark.parametrize('other', [
    '20240304,9:25:00,600000,卖出,500,10,101000001',  # opened and saved by a spreadsheet
    '2024/3/4,09:25:00,600000,卖出,500,10,101000001.0',
    '2024-03-04,092500,600000.SH,卖出,500,10,0101000001',
    '20240304,10:00:00,600000,卖出,500,10,0101000001',  # its number says enough
])
def test_the_same_in_another_form(account, other):
    head = '成交日期,成交时间,证券代码,操作,成交数量,成交均价,成交编号\n'
    book(account, read(account, head + '20240304,09:25:00,600000,卖出,500,10,0101000001\n'), 'fills.csv')
    with pytest.raises(DataError, match='may be booked already'):
        book(account, read(account, head + other + '\n'), 'fills.csv')


def test_parts_and_then_the_whole(account):
    parts = '20240304,600000,卖出,100,10,1000\n20240304,600000,卖出,200,10,2000\n'
    book(account, read(account, HEAD + parts), 'fills.csv')
    with pytest.raises(DataError, match='SELL 300 at 10 may be booked already: .* has 2024-03-04 600000.XSHG SELL 100 at 10'):
        book(account, read(account, HEAD + '20240304,600000,卖出,300,10,3000\n'), 'fills.csv')


def test_events_twice(account):
    head = '发生日期,证券代码,业务名称,成交数量,发生金额,成交编号\n'
    bonus, dividend = '20240304,600000,红股入账,900,0,b1\n', '20240304,600000,红利入账,3000,450,d1\n'
    for twice in (bonus, dividend):
        with pytest.raises(DataError, match='is booked once'):
            book(account, read(account, head + twice * 2), 'fills.csv')
        account.events.clear()
    book(account, read(account, head + dividend + bonus), 'fills.csv')
    for again in (bonus, dividend):
        with pytest.raises(DataError, match='is booked once'):
            book(account, read(account, head + again), 'fills.csv')
    with pytest.raises(DataError, match='is booked once'):  # without the number
        book(account, read(account, head.replace(',成交编号', '') + '20240304,600000,红股入账,900,0\n'), 'fills.csv')


def test_new_shares_are_no_money(account):
    found = read(account, '发生日期,证券代码,业务名称,成交数量,成交价格,成交金额\n20240304,600000,红股入账,100,8.6,860\n')
    assert [(event.shares_after, event.cash) for event in found.events] == [(100, 0.0)]
    with pytest.raises(DataError, match='found bonus of 600000.XSHG on 2024-03-04 without shares'):
        book(account, read(account, '发生日期,证券代码,业务名称,发生金额\n20240304,600000,红股入账,0\n'), 'fills.csv')


def test_a_dividend_that_comes_after_the_sale(account):
    book(account, read(account, HEAD + '20240304,600000,卖出,3000,10,30000\n'), 'fills.csv')
    text = '发生日期,证券代码,业务名称,成交数量,发生金额\n20240305,600000,红利入账,3000,450\n'
    book(account, read(account, text), 'dividend.csv')
    assert account.events == [EventRow(TUESDAY, A, 'dividend', 0, 0, 450.0, 1.0, 0.0)]
    assert account.books().cash == pytest.approx(1e6 + 30_000 - 9 - 15 - 0.3 + 450)


def test_an_order_in_two_files_pays_the_least_commission_once(account):
    head = '成交日期,成交时间,证券代码,操作,成交数量,成交均价,合同编号,成交编号\n'
    for row in ('20240304,09:30:00,600000,卖出,100,10,777,1\n', '20240304,10:30:00,600000,卖出,100,10,0777,2\n'):
        book(account, read(account, head + row), 'fills.csv')
    assert [fill.commission for fill in account.fills] == pytest.approx([5.0, 0.0])


@pytest.mark.parametrize(('row', 'said'), [
    ('20240304,603389,买入,6600,4.41,已撤', '已撤'), ('20240304,603389,证券买入,-100,4.41,撤单成交', '撤单成交'),
    ('20240304,603389,买入,0,0,废单', '废单')])
def test_what_was_withdrawn(account, row, said):
    found = read(account, f'成交日期,证券代码,操作,成交数量,成交均价,备注\n{row}\n')
    assert (found.fills, [text.rpartition(': ')[2] for text in found.skipped]) == ([], [said])


def test_what_was_withdrawn_in_part_was_filled_in_part(account):
    found = read(account, '成交日期,证券代码,操作,成交数量,成交均价,状态\n20240304,600000,卖出,300,4.41,部分撤单\n')
    assert [plain(fill) for fill in found.fills] == [(MONDAY, A, 'SELL', 300, 4.41)]


@pytest.mark.parametrize(('text', 'message'), [
    (HEAD + '20240304,600000,买入,-100,10,1000\n', r'line 2, column 成交数量: found -100 of a purchase, expected shares without'),
    ('成交日期,证券代码,操作,成交数量,成交均价,成交金额,手续费,发生金额\n20240304,600000,买入,100,10,1000,5,-1541\n',
     r'line 2: found fees of 5\.00 yuan, but by what the account paid or got \(1,541\.00\) they are 541\.00; mend the row'),
    ('成交日期,证券代码,操作,成交数量,成交均价,发生金额\n20240304,600000,买入,100,10,-990\n',
     r'line 2: found fees of -10\.00 yuan in all .* does not fit shares x price'),
    ('发生日期,证券代码,业务名称,发生金额\n20240304,,银行转证券,-500\n',
     r'line 2: found 银行转证券 of -500\.00 yuan, which comes in'),
])
def test_what_contradicts_itself(account, text, message):
    with pytest.raises(DataError, match=message):
        read(account, text)


@pytest.mark.parametrize(('day', 'message'), [
    ('20240309', 'found a fill of 2024-03-09, a Saturday, on which the exchange does not trade; mend its date'),
    ('20991231', 'found a row of 2099-12-31, which is to come; today is'),
])
def test_days_that_cannot_be(account, day, message):
    with pytest.raises(DataError, match=message):
        book(account, read(account, HEAD + f'{day},600000,卖出,100,10,1000\n'), 'fills.csv')


# -- other columns -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('first', 'second'), [
    ('09:31:05', '9:31:05 AM'), ('09:31:05', '09:31'), ('09:31:05', '093105'), ('09:31:05', '09310500'), ('09:31:05', '0.396586'),
    ('13:02:00', '下午 1:02:00'), ('09:25:00', '00:00:00'), ('09:31:05', '09:20:00')])  # the last: of the order, not of the fill
def test_a_time_in_another_form_makes_no_other_fill(account, first, second):
    head = '成交日期,成交时间,证券代码,操作,成交数量,成交均价\n'
    book(account, read(account, f'{head}20240304,{first},600000,卖出,500,10\n'), 'fills.csv')
    with pytest.raises(DataError, match='may be booked already'):
        book(account, read(account, f'{head}20240304,{second},600000,卖出,500,10\n'), 'fills.csv')


def test_a_number_that_a_spreadsheet_spoiled_proves_nothing(account):
    head = '成交日期,证券代码,操作,成交数量,成交均价,成交编号\n'
    book(account, read(account, head + '20240304,600000,卖出,500,10,1020000000012345\n'), 'fills.csv')
    with pytest.raises(DataError, match='may be booked already'):
        book(account, read(account, head + '20240304,600000,卖出,500,10,1.02E+15\n'), 'fills.csv')


def test_what_was_filled_goes_before_what_was_ordered(account):
    found = read(account, 'date,code,side,quantity,filled_quantity,price,avg_price\n2024-03-04,600000,SELL,500,200,3.8,3.72\n'
                          '2024-03-04,600001,BUY,500,0,3.8,\n')
    assert [plain(fill) for fill in found.fills] == [(MONDAY, A, 'SELL', 200, 3.72)]
    assert [text.rpartition(': ')[2] for text in found.skipped] == ['nothing filled']


@pytest.mark.parametrize(('columns', 'fees', 'commission'), [
    ('佣金,经手费,证管费,结算费', '5,0.5,0.2,0.1', 5.8),
    ('佣金,手续费', '3,5', 5.0),  # the second holds the first
    ('手续费,其他费用,附加费,规费', '5,1,2,4', 12.0),
    ('净佣金,规费,手续费', '3.1,0.4,3.5', 3.5)])
def test_fees_of_many_names(account, columns, fees, commission):
    head = f'成交日期,证券代码,操作,成交数量,成交均价,印花税,过户费,{columns}\n'
    found = read(account, f'{head}20240304,600000,卖出,100,10,0.5,0.01,{fees}\n')
    (fill,) = found.fills
    assert (fill.commission, fill.tax, fill.transfer_fee) == pytest.approx((commission, 0.5, 0.01))


@pytest.mark.parametrize(('text', 'message'), [
    ('date,code,side,quantity,price\n2024-03-04,00700,BUY,100,410.2\n', "column code: found '00700', expected the code of an"),
    ('发生日期,证券代码,业务名称,成交数量\n20240304,600000,红利入账,3000\n', 'found 红利入账 without an amount'),
    ('发生日期,证券代码,业务名称,成交数量,发生金额\n20240304,600000,除权除息,1500,0\n', 'new shares are a row of their own'),
])
def test_rows_that_would_be_taken_for_something_else(account, text, message):
    with pytest.raises(DataError, match=message):
        read(account, text)


@pytest.mark.parametrize('name', ['收付金额', '资金发生数', '变动金额', '净额', '实际收付'])
def test_money_under_other_names(account, name):
    found = read(account, f'发生日期,证券代码,业务名称,{name}\n20240304,600000,股息,500\n')
    assert [event.cash for event in found.events] == [500.0]


@pytest.mark.parametrize('name', ['quantity', '成交数量'])
def test_lots_may_be_made_shares(account, name):
    found = read(account, HEAD.replace(',成交金额', '') + '20240304,600000,卖出,5,10\n', scale={name: 100.0})
    assert [fill.quantity for fill in found.fills] == [500]


def test_an_export_that_grows(account):
    head = '成交日期,证券代码,操作,成交数量,成交均价,成交编号\n'
    old, new = '20240304,600000,卖出,100,10,1\n', '20240305,600000,卖出,100,10,2\n'
    book(account, read(account, head + old), 'fills.csv')
    rest = read(account, head + old + new, skip_booked=True)
    assert [text.rpartition(': ')[2] for text in rest.skipped] == ['number 1 is booked already']
    book(account, rest, 'fills.csv')
    assert [fill.fill_id for fill in account.fills] == ['1', '2']


def test_a_lost_account_is_booked_anew_from_its_files(account, tmp_path):
    (tmp_path / 'first.csv').write_text(
        '发生日期,证券代码,业务名称,成交数量,成交价格,发生金额\n20240304,600000,红股入账,900,0,0\n20240304,600000,红利入账,3000,0,450\n'
        '20240305,600000,证券卖出,3900,9,35000\n20240305,,银行转证券,,,77\n', encoding='utf-8')
    book(account, read_statement(tmp_path / 'first.csv', account), 'first.csv')
    account.save()
    other = new_account(tmp_path / 'other', MONDAY, cash=1e6, holdings=account.holdings)
    read_again = together([read_statement(path, other) for path in (account.journal_path, account.events_path)])
    book(other, read_again, 'both')
    other.save()
    assert (other.fills, other.events) == (account.fills, account.events)
    assert other.books().cash == account.books().cash


def test_fees_of_an_order_that_grows_or_stands_in_two_files(account, tmp_path):
    head = '成交日期,证券代码,操作,成交数量,成交均价,合同编号,成交编号\n'
    one, two = '20240304,600000,卖出,1000,9.76,77,1\n', '20240304,600000,卖出,1000,9.76,77,2\n'
    apart = [tmp_path / name for name in ('one.csv', 'two.csv')]
    for path, row in zip(apart, (one, two), strict=True):
        path.write_text(head + row, encoding='utf-8')
    fees = Fees(account.rules['values'], account.fills)
    found = together([read_statement(path, account, fees=fees) for path in apart])
    # 19,520 x 0.0003 = 5.856: five at first, the rest then
    assert [fill.commission for fill in found.fills] == pytest.approx([5.0, 0.856])
    book(account, read(account, head + one), 'fills.csv')
    grown = read(account, head + one + two, skip_booked=True)
    assert [fill.commission for fill in grown.fills] == pytest.approx([0.856])
    assert grown.computed == 1
