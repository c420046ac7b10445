"""The files of an account: they grow, they add up, and a killed command has booked all or nothing."""

import json
import os
from datetime import date

import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.live import account as module
from bt_microcap.live.account import changing, load
from bt_microcap.live.books import EventRow, FillRow, Holding
from tests.support.living import new_account

MONDAY, TUESDAY = date(2024, 3, 4), date(2024, 3, 5)
FILL = FillRow(MONDAY, '600000.XSHG', 'BUY', 1000, 10.1, 5.0, 0.0, 0.101, 10.0, 10.05, '20240304B600000', '09:25:00', '77')
DIVIDEND = EventRow(TUESDAY, '600000.XSHG', 'dividend', 1000, 1000, 150.0, 1.0, 0.15, 'x1')


@pytest.fixture
def account(tmp_path):
    made = new_account(tmp_path, MONDAY, cash=20_000.0, holdings=[Holding('000001.XSHE', 200, 200, 12.5, date(2023, 1, 5))])
    made.fills, made.events = [FILL], [DIVIDEND]
    made.save()
    return made


def test_what_is_written_is_read(account):
    read = load(account.path)
    assert read == account
    content = json.loads(account.path.read_text(encoding='utf-8'))
    assert content['cash'] == pytest.approx(20_000 - 10_100 - 5.101 + 150)
    assert content['day'] == '2024-03-05'
    assert [(each['code'], each['shares'], each['sellable'], round(each['cost'], 6)) for each in content['holdings']] == [
        ('000001.XSHE', 200, 200, 12.5), ('600000.XSHG', 1000, 1000, 9.95)]
    assert account.journal_path.read_text(encoding='utf-8').splitlines() == [
        'datetime,code,side,quantity,price,commission,tax,transfer_fee,open,reference_price,order_id,time,fill_id',
        '2024-03-04,600000.XSHG,BUY,1000,10.1,5.0,0.0,0.101,10.0,10.05,20240304B600000,09:25:00,77']


def test_rows_that_a_killed_command_left_do_not_count(account):
    with account.journal_path.open('a', encoding='utf-8') as stream:
        stream.write('2024-03-05,600000.XSHG,SELL,500,10.1,5.0,0.0,0.1,,,,,\n')
    read = load(account.path)
    assert read.fills == [FILL]
    read.save()
    assert len(account.journal_path.read_text(encoding='utf-8').splitlines()) == 2


@pytest.mark.parametrize('killed_at', ['account.journal.csv', 'account.events.csv', 'account.json'])
def test_killed_at_any_file(account, killed_at, monkeypatch):
    real = os.replace

    def replace(source, target):
        if str(target).endswith(killed_at):
            raise KeyboardInterrupt
        real(source, target)

    before = account.books()
    with pytest.raises(KeyboardInterrupt), changing(account.path) as changed:
        changed.fills.append(FILL._replace(datetime=TUESDAY, side='SELL', quantity=500, fill_id='78', tax=2.5))
        changed.events.append(EventRow(TUESDAY, '', 'cash', 0, 0, 99.0))
        monkeypatch.setattr(module.os, 'replace', replace)
        changed.save()
    monkeypatch.undo()
    assert load(account.path).books() == before


def test_changed_by_hand(account):
    written = account.path.read_text(encoding='utf-8')
    for old, new in (('"cash": 10044.899', '"cash": 20044.899'), ('"shares": 1000', '"shares": 100'), ('"begun": "2024-03-04"',
                     '"begun": "2024-03-01"'), ('"profile": "realistic"', '"profile": "x"')):
        assert written.count(old)
        account.path.write_text(written.replace(old, new), encoding='utf-8')
        with pytest.raises(DataError, match=r'account\.json: was changed by hand; .* fills --undo'):
            load(account.path)
    account.path.write_text(written, encoding='utf-8')
    text = account.journal_path.read_text(encoding='utf-8')
    account.journal_path.write_text(text.replace('1000', '1001'), encoding='utf-8')
    with pytest.raises(DataError, match='found other rows than the account has booked; a journal only grows'):
        load(account.path)
    account.journal_path.unlink()
    with pytest.raises(DataError, match='cannot be read'):
        load(account.path)


def test_what_was_booked_is_taken_back(account, monkeypatch):
    with pytest.raises(DataError, match='has no booking that could be taken back'):
        account.undo()
    before = account.books()
    account.bookings.append((1, 1))
    account.fills.append(FILL._replace(datetime=TUESDAY, side='SELL', quantity=500, fill_id='78'))
    account.events.append(EventRow(TUESDAY, '', 'cash', 0, 0, 99.0))
    account.save()
    read = load(account.path)
    assert [len(rows) for rows in read.undo()] == [1, 1]
    real, done, moment = os.replace, [], [0]

    def replace(source, target):
        done.append(str(target))
        real(source, target)
        if len(done) == moment[0]:
            raise KeyboardInterrupt

    monkeypatch.setattr(module.os, 'replace', replace)
    for moment[0] in (1, 2, 3):  # at any moment it is taken back, or not
        done.clear()
        with pytest.raises(KeyboardInterrupt):
            read.save()
        assert load(account.path).books() == before
    monkeypatch.undo()
    undone = account.undone_path.read_text(encoding='utf-8').splitlines()
    assert [line.split(',')[0] for line in undone] == ['kind', 'fill', 'event']


@pytest.mark.parametrize('content', ['', '{}', '[1]', '{"format": 1}', '\xff'])
def test_no_account(content, tmp_path):
    path = tmp_path / 'account.json'
    path.write_bytes(content.encode('latin1'))
    with pytest.raises(DataError, match=r'account\.json: not readable as an account'):
        load(path)
    with pytest.raises(DataError, match='there is no account; .* orders --init'):
        load(tmp_path / 'other.json')


def test_one_writer(account):
    with (changing(account.path), pytest.raises(DataError, match='another process is at work on this account'),
          changing(account.path)):
        pass


def test_two_kills(account, monkeypatch):
    """A booking killed after its journal, then a shorter one killed before the account: what was there before stays."""
    before = account.books()
    real = os.replace
    for rows, last in ((5, 'account.journal.csv'), (2, 'account.events.csv')):
        def replace(source, target, last=last):
            real(source, target)
            if str(target).endswith(last):
                raise KeyboardInterrupt

        changed = load(account.path)
        changed.fills += [FILL._replace(datetime=TUESDAY, fill_id=str(number)) for number in range(rows)]
        changed.cash += 1e6
        monkeypatch.setattr(module.os, 'replace', replace)
        with pytest.raises(KeyboardInterrupt):
            changed.save()
        monkeypatch.undo()
        assert load(account.path).books() == before
