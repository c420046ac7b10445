"""The connection to baostock: what closes, hangs or refuses ends in one line, soon, and without a processor that spins."""

import socket
import threading
import time
from datetime import date, datetime

import pytest

from bt_microcap.feeds.sources import baostock_client
from tests.support.downloading import Downloads, compare_rows
from tests.support.little_market import LittleMarket
from tests.support.socket_services import BaostockServer

BARS, BASIC = 'query_history_k_data_plus', 'query_stock_basic'
START, END = '2024-05-13', '2024-05-31'
NOON = datetime(2024, 6, 3, 12)
MARKET = LittleMarket(first=date(2024, 5, 13))
CODES = [code for code in MARKET.stocks if not code.endswith('BJSE') and code != '600116.XSHG']  # that one ended before
FEW = ('--codes', '600111.XSHG', '000118.XSHE')
NETWORK_ERROR = '10002007 '
SECONDS = 5.0  # of the processor; a client that spins would take all there is


@pytest.fixture
def downloads(monkeypatch, tmp_path):
    with BaostockServer(MARKET) as server:
        server.patch(monkeypatch)
        yield Downloads(monkeypatch, tmp_path, 'baostock', server, NOON)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(baostock_client, 'CONNECT_TIMEOUT', 0.5)
    monkeypatch.setattr(baostock_client, 'ANSWER_TIMEOUT', 0.5)


@pytest.fixture(autouse=True)
def idle():
    """Hold that the processor was hardly used."""
    before = time.process_time()
    yield
    assert time.process_time() - before < SECONDS


def names(downloads):
    return [name for name, _ in downloads.made]


def waits(downloads):
    return [wait for wait in downloads.waits if wait >= 2]


# ------------------------------------------------------------------------------- closed


def test_a_connection_that_is_closed_at_login_is_tried_again_then_said(downloads):
    downloads.server.close_at_login = True
    line = downloads.refused(START, END)
    assert f'error: baostock {BASIC}: no answer in 5 attempts ({NETWORK_ERROR}' in line
    assert 'no network, or the source is down: start again later' in line
    assert names(downloads) == ['login'] * 5
    assert waits(downloads) == [2.0, 4.0, 8.0, 16.0]


@pytest.mark.parametrize('number', range(1, 7))
def test_an_answer_that_breaks_off_in_the_middle_is_asked_for_again(downloads, number):
    downloads.server.close_after(number)  # the login, the list, the calendar, the industries, a stock, another
    downloads.download(START, END, *FEW)
    assert names(downloads).count('login') == 2
    assert downloads.server.connections == 2
    assert waits(downloads) == [2.0]
    compare_rows(downloads.rows(), MARKET, FEW[1:])


def test_a_connection_that_is_closed_between_two_calls_is_made_anew(downloads):
    plain, dropped = downloads.server._query_stock_industry, []

    def drop_after(arguments):
        dropped.append(threading.Timer(0.0, downloads.server.drop))
        dropped[-1].start()
        return plain(arguments)

    downloads.server.answers['query_stock_industry'] = drop_after
    downloads.download(START, END, *FEW)
    for timer in dropped:
        timer.join()
    compare_rows(downloads.rows(), MARKET, FEW[1:])


def test_a_page_that_breaks_off_is_not_taken_for_the_end(downloads, monkeypatch, tmp_path):
    with BaostockServer(MARKET, page=5) as server:
        server.patch(monkeypatch)
        paged = Downloads(monkeypatch, tmp_path, 'baostock', server, NOON)
        plain, asked = server._query_history_k_data_plus, []

        def close_on_the_second_page(arguments):
            asked.append(arguments)
            if arguments[0] == '2' and len([one for one in asked if one[0] == '2']) == 1:
                server.close_after(1)
            return plain(arguments)

        server.answers[BARS] = close_on_the_second_page
        paged.download(START, END, *FEW, store='paged')
        compare_rows(paged.rows('paged'), MARKET, FEW[1:])


# -------------------------------------------------------------------------------- silent


def test_a_server_that_never_answers_the_login_is_given_up(downloads, impatient):
    downloads.server.hang = True
    line = downloads.refused(START, END)
    assert f'baostock {BASIC}: no answer in 5 attempts ({NETWORK_ERROR}' in line
    assert names(downloads) == ['login'] * 5


def test_a_server_that_falls_silent_is_given_up_and_what_was_read_is_kept(downloads, impatient, monkeypatch):
    def fall_silent(arguments):
        downloads.server.hang = True  # from the next call on
        return plain(arguments)

    plain = downloads.server._query_history_k_data_plus
    downloads.server.answers[BARS] = fall_silent
    line = downloads.refused(START, END, *FEW)
    assert f'baostock {BARS} 000118.XSHE: no answer in 5 attempts ({NETWORK_ERROR}' in line
    downloads.server.hang = False
    downloads.server.answers.clear()
    monkeypatch.setattr(baostock_client, 'ANSWER_TIMEOUT', 60.0)
    downloads.download(START, END, *FEW)
    assert names(downloads) == ['login', BARS, 'logout']
    compare_rows(downloads.rows(), MARKET, FEW[1:])


def test_an_answer_that_comes_too_late_is_not_taken_for_that_of_the_next_call(downloads, impatient):
    plain, late = downloads.server._query_history_k_data_plus, []

    def slowly(arguments):
        if not late:
            late.append(arguments[2])
            time.sleep(1.2)
        return plain(arguments)

    downloads.server.answers[BARS] = slowly
    downloads.download(START, END, *FEW)
    assert late == ['sh.600111']
    compare_rows(downloads.rows(), MARKET, FEW[1:])


def test_a_server_that_does_not_take_the_connection_is_given_up(downloads, impatient, monkeypatch):
    constants = pytest.importorskip('baostock.common.contants')
    with socket.socket() as full:
        full.bind(('127.0.0.1', 0))
        full.listen(0)
        full.settimeout(0)
        waiting = [socket.socket() for _ in range(4)]  # more than it lets wait
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        monkeypatch.setattr(constants, 'BAOSTOCK_SERVER_PORT', full.getsockname()[1])
        line = downloads.refused(START, END)
        for one in waiting:
            one.close()
    assert f'baostock {BASIC}: no answer in 5 attempts (' in line


def test_a_connection_that_is_refused_is_said(downloads):
    downloads.server.stop()
    line = downloads.refused(START, END)
    assert f'error: baostock {BASIC}: no answer in 5 attempts (' in line
    assert 'no network, or the source is down' in line
    assert waits(downloads) == [2.0, 4.0, 8.0, 16.0]


def test_the_client_is_left_as_it_was(downloads):
    module = pytest.importorskip('baostock.util.socketutil')
    downloads.download(START, END, *FEW)
    assert module.socket is socket


# -------------------------------------------------------------------------------- refused


@pytest.mark.parametrize('place', [2, 3, 4, 5])
def test_a_barred_address_is_explained_and_asks_nothing_more(downloads, place):
    downloads.server.errors = [None] * place + [('10001011', '黑名单用户')] * 50
    line = downloads.refused(START, END, *FEW)
    assert 'the source refuses: 10001011 黑名单用户; baostock has barred this address, as it does for hours' in line
    assert '50,000 calls a day' in line
    assert f'{place + 1} were counted here today' in line
    assert 'go on tomorrow with the same command, what was read is kept' in line
    assert waits(downloads) == []
    assert len([name for name in names(downloads) if name != 'logout']) == place + 1


def test_a_barred_address_is_explained_at_login(downloads):
    downloads.server.answers['login'] = lambda arguments: ('10001011', '黑名单用户')
    line = downloads.refused(START, END)
    assert 'baostock has barred this address' in line
    assert names(downloads) == ['login']


@pytest.mark.parametrize('error', [('10001001', '用户未登录'), ('10002007', '网络接收错误。'), ('10001005', '登录数达到上限')])
def test_a_lost_login_is_made_anew(downloads, error):
    downloads.server.errors = [None, None, None, None, error]
    downloads.download(START, END, *FEW)
    assert names(downloads).count('login') == 2
    assert waits(downloads) == [2.0]
    compare_rows(downloads.rows(), MARKET, FEW[1:])


def test_any_other_error_is_the_services_last_word(downloads):
    downloads.server.answers[BARS] = lambda arguments: ('10004012', '无效的指标')
    line = downloads.refused(START, END, *FEW)
    assert f'baostock {BARS} 600111.XSHG: the source refuses: 10004012 无效的指标' in line
    assert names(downloads).count(BARS) == 1


def test_without_a_calendar_the_days_are_those_of_the_index(downloads):
    downloads.server.answers['query_trade_dates'] = lambda arguments: ('10004020', '错误的消息类型')
    downloads.download(START, END)
    assert next(arguments[2] for name, arguments in downloads.made if name == BARS) == 'sh.000001'
    compare_rows(downloads.rows(), MARKET, CODES)
