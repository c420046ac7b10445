"""The files for terminals, byte for byte."""

import math
import subprocess
import sys
from datetime import date

import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.live.books import Holding
from bt_microcap.live.formats import FORMATS, HOLDINGS
from bt_microcap.live.order_list import ListedOrder

DAY = date(2024, 3, 4)


def order(order_id, code, name, side, shares, price, *, needs=False, kind='open', why='调仓', note=''):
    return ListedOrder(order_id, DAY, code, name, side, shares, price, math.nan, math.nan, price, price, shares * price, 5.0, 0.0,
                       needs, kind, why, note)


ORDERS = [
    order('20240304S000001', '000001.XSHE', '平安银行', 'SELL', 1050, 10.5),
    order('20240304B600000', '600000.XSHG', '浦发银行', 'BUY', 700, 12.34, needs=True),
    order('20240304B511880', '511880.XSHG', '银华日利', 'BUY', 100, 100.123, kind='resting', why='闲置资金'),
    order('20240304S300001', '300001.XSHE', '特锐德', 'SELL', 300, 20.0, kind='watch', why='开板', note='收盘时'),
]


def test_chinese():
    assert FORMATS['chinese'].write(ORDERS, '') == {'委托单.csv': (
        b'\xef\xbb\xbf' + '代码,名称,方向,数量,委托价,理由\r\n'
        '000001.SZ,平安银行,卖出,1050,10.50,调仓\r\n'
        '600000.SH,浦发银行,买入,700,12.34,调仓；卖出成交后再下单\r\n'
        '511880.SH,银华日利,买入,100,100.123,闲置资金；盘中挂单\r\n'
        '300001.SZ,特锐德,卖出,300,20.00,开板；暂不下单，盯盘：收盘时\r\n'.encode())}


def test_qmt():
    assert FORMATS['qmt'].write(ORDERS, '') == {
        'qmt_sell.txt': b'000001.SZ,1050,', 'qmt_buy.txt': b'600000.SH,700,'}  # a price that it waits for cannot be told
    assert FORMATS['qmt'].write([order('x', '920001.BJSE', '', 'BUY', 100, 10.0)], '') == {'qmt_buy.txt': b'920001.BJ,100,'}
    assert FORMATS['qmt'].write([], '') == {}


def test_dts():
    assert FORMATS['dts'].write(ORDERS, '10001') == {'Order.csv': (
        b'O,20240304S000001,,10001,,000001,1,,1050,10.50,0,\r\n'
        b'O,20240304B600000,,10001,,600000,3,,700,12.34,0,\r\n'
        b'O,20240304B511880,,10001,,511880,3,,100,100.123,0,\r\n')}


def test_cats():
    assert FORMATS['cats'].write(ORDERS, '10001') == {'OrderList.csv': (
        b'O,20240304S000001,S0,10001,,000001.SZ,2,1050,10.50,0,\r\n'
        b'O,20240304B600000,S0,10001,,600000.SH,1,700,12.34,0,\r\n'
        b'O,20240304B511880,S0,10001,,511880.SH,1,100,100.123,0,\r\n')}


def test_ptrade():
    holdings = [Holding('600570.XSHG', 10000, 9000, 45.0), Holding('000001.XSHE', 50, 50, 10.1234)]
    assert HOLDINGS['ptrade'].write(holdings, '') == {
        'Poslist.csv': b'sid,enable_amount,amount,cost_basis\n600570.SS,9000,10000,45.0000\n000001.SZ,50,50,10.1234\n'}


NAMES = (b'ORDER_TYPE', b'PRICE_TYPE', b'MODE_PRICE', b'STOCK_CODE', b'VOLUME', b'ACCOUNT_ID', b'ACT_TYPE', b'BROKERTYPE',
         b'STRATEGY', b'NOTE', b'NOTE1', b'TRADEPARAM', b'COMMAND_ID', b'BASKETPATH', b'INSERTTIME', b'EXTRAPARAM', b'BATCH_ID')
WIDTHS = (10, 10, 10, 10, 10, 50, 10, 10, 50, 100, 100, 100, 10, 100, 50, 100, 10)


def test_xt():
    pytest.importorskip('dbf')
    (name, content), = FORMATS['xt'].write(ORDERS[:2], '账户1').items()
    assert name == 'XT_DBF_ORDER.dbf'
    # dBase III: the version, the day of the orders, rows, the lengths of header and row, 0x4D for GBK
    length = 32 + 32 * len(NAMES) + 1
    head = b'\x03' + bytes((124, 3, 4)) + (2).to_bytes(4, 'little') + length.to_bytes(2, 'little')
    assert content[:12] == head + (1 + sum(WIDTHS)).to_bytes(2, 'little')
    assert content[29] == 0x4D
    for number, (field, width) in enumerate(zip(NAMES, WIDTHS, strict=True)):
        told = content[32 + 32 * number:64 + 32 * number]
        assert (told[:11].rstrip(b'\0'), told[11:12], told[16]) == (field, b'C', width)
    assert content[length - 1:length] == b'\r'
    account = '账户1'.encode('gbk')
    rows = [
        (b'24', b'3', b'10.50', b'000001', b'1050', account, b'49', b'2', b'bt-microcap', b'20240304S000001', *[b''] * 7),
        (b'23', b'3', b'12.34', b'600000', b'700', account, b'49', b'2', b'bt-microcap', b'20240304B600000', *[b''] * 7)]
    body = b''.join(b' ' + b''.join(cell.ljust(width) for cell, width in zip(row, WIDTHS, strict=True)) for row in rows)
    assert content[length:] == body + b'\x1a'
    assert FORMATS['xt'].write(ORDERS[:2], '账户1')[name] == content  # on any day
    with pytest.raises(DataError, match=r'XT_DBF_ORDER\.dbf: .*must be GBK text of at most 50 bytes'):
        FORMATS['xt'].write(ORDERS, 'x' * 51)


def test_no_library_is_needed_for_the_others():
    code = ('import sys; import bt_microcap.live.formats; '
            'assert not {"dbf", "exchange_calendars", "pandas"} & set(sys.modules), sorted(sys.modules)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
