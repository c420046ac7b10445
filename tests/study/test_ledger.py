"""The results of many runs in a folder: nothing is lost by an interruption, and nothing of another study is mixed in."""

import json
import threading

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.study.ledger import COUNTS, DATES, FIGURES, JOURNAL, Ledger
from bt_microcap.study.trials import Outcome

MONDAY = 738000  # 2021-07-26 is 737997; any ordinals do


def outcome(value, days=3, first=MONDAY):
    figures = {name: int(value) if name in COUNTS else '2021-07-26' if name in DATES else value for name in FIGURES}
    return Outcome(figures, np.arange(first, first + days), np.full(days, value))


def ledger(folder, order=(), **settings):
    return Ledger(folder, ('a', 'b'), {'data': 'x', **settings}, order)


def test_a_run_is_in_both_files(tmp_path):
    with ledger(tmp_path) as book:
        book.add(('1', 'x'), outcome(2.5))
        book.add(('2', 'x'), outcome(1 / 3, days=2, first=MONDAY + 2))
    table = pd.read_csv(tmp_path / 'results.csv', dtype={'a': str})
    assert list(table.columns) == ['a', 'b', *FIGURES]
    assert table[['a', 'b', 'total_return', 'trades', 'first_day']].values.tolist() == [
        ['1', 'x', 2.5, 2, '2021-07-26'], ['2', 'x', 1 / 3, 0, '2021-07-26']]
    returns = pq.read_table(tmp_path / 'returns.parquet')
    assert returns.column_names == ['date', 'a=1 b=x', 'a=2 b=x']
    assert [day.toordinal() for day in returns['date'].to_pylist()] == [MONDAY, MONDAY + 1, MONDAY + 2, MONDAY + 3]
    assert returns['a=1 b=x'].to_pylist() == [2.5, 2.5, 2.5, None]
    assert returns['a=2 b=x'].to_pylist() == [None, None, 1 / 3, 1 / 3]
    assert not (tmp_path / JOURNAL).exists()


def test_the_order_of_the_files_is_the_given_one_whatever_came_first(tmp_path):
    order = [('1', 'x'), ('2', 'x'), ('3', 'x')]
    with ledger(tmp_path / '.', order) as book:
        for key in reversed(order):
            book.add(key, outcome(float(key[0])))
        book.add(('0', 'y'), outcome(9.0))
    assert list(pd.read_csv(tmp_path / 'results.csv')['a']) == [1, 2, 3, 0]
    assert pq.read_table(tmp_path / 'returns.parquet').column_names[1:] == ['a=1 b=x', 'a=2 b=x', 'a=3 b=x', 'a=0 b=y']


def test_a_skipped_run_has_no_row(tmp_path):
    with ledger(tmp_path) as book:
        book.add(('1', 'x'), Outcome({}, np.zeros(0, int), np.zeros(0)))
        assert ('1', 'x') not in book
    assert (tmp_path / 'results.csv').read_text().count('\n') == 1


@pytest.mark.parametrize('cut', [0, 1, 40, 10_000])
def test_what_a_killed_process_has_written_is_there_again(tmp_path, cut):
    """The journal may end in the middle of a line; and the two files may be from long before."""
    book = ledger(tmp_path).__enter__()
    for number in range(3):
        book.add((str(number), 'x'), outcome(number + 0.1))
    journal = tmp_path / JOURNAL
    whole = journal.read_bytes()
    book._stack.close()  # as if it were killed: no file is written at the end
    (tmp_path / 'results.csv').unlink()
    (tmp_path / 'returns.parquet').unlink()
    last = whole.rindex(b'\n', 0, -1) + 1
    journal.write_bytes(whole[:max(last, len(whole) - cut)])
    with ledger(tmp_path) as again:
        lost = cut > 1  # without its line feed alone a line is whole
        assert sorted(key[0] for key in again.figures) == (['0', '1'] if lost else ['0', '1', '2'])
        assert again.figures['1', 'x']['sharpe'] == 1.1
        assert again.returns['1', 'x'].tolist() == [1.1] * 3
        again.add(('2', 'x'), outcome(2.1))
    assert list(pd.read_csv(tmp_path / 'results.csv')['a']) == [0, 1, 2]
    with ledger(tmp_path) as third:  # what was written after a cut line is whole
        assert len(third) == 3


def test_resumed_files_are_those_of_one_go(tmp_path):
    order = [(str(number), 'x') for number in range(5)]
    for folder, stop in (('one', None), ('two', 2)):
        path = tmp_path / folder
        path.mkdir()
        for part in ([order] if stop is None else [order[:stop], order[stop:]]):
            book = ledger(path, order).__enter__()
            for key in part:
                book.add(key, outcome(float(key[0]) / 7))
            book._stack.close() if part is not order and part[0] == order[0] else book.__exit__(None, None, None)
    for name in ('results.csv', 'returns.parquet', 'settings.json'):
        assert (tmp_path / 'one' / name).read_bytes() == (tmp_path / 'two' / name).read_bytes(), name


def test_figures_that_are_not_known_stay_so(tmp_path):
    with ledger(tmp_path) as book:
        given = outcome(1.0)
        given.figures['win_rate'] = None
        book.add(('1', 'x'), given)
    with ledger(tmp_path) as again:
        assert again.figures['1', 'x']['win_rate'] is None
        assert again.figures['1', 'x']['trades'] == 1 and isinstance(again.figures['1', 'x']['trades'], int)
        assert again.figures['1', 'x']['last_day'] == '2021-07-26'


def test_a_run_without_its_returns_is_run_again(tmp_path):
    with ledger(tmp_path) as book:
        book.add(('1', 'x'), outcome(1.0))
    (tmp_path / 'returns.parquet').unlink()
    with ledger(tmp_path) as again:
        assert ('1', 'x') not in again


def test_other_settings_are_refused(tmp_path):
    with ledger(tmp_path, cash=1):
        pass
    with pytest.raises(DataError, match='results with cash 1, found 2 now; give another --out'), ledger(tmp_path, cash=2):
        pass


@pytest.mark.parametrize(('name', 'text', 'said'), [
    ('results.csv', 'a,b\n', 'line 1, column 3: found nothing, expected total_return: the results are of another study'),
    ('returns.parquet', 'no parquet', 'cannot be read as the returns of a study'),
    ('settings.json', '{', 'cannot be read, so it is not known what'),
])
def test_damaged_files_are_named(tmp_path, name, text, said):
    with ledger(tmp_path) as book:
        book.add(('1', 'x'), outcome(1.0))
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said) as caught, ledger(tmp_path):
        pass
    assert str(tmp_path / name) in str(caught.value)


def test_two_at_once_are_refused(tmp_path):
    said = []

    def second():
        try:
            with ledger(tmp_path):
                said.append('in')
        except DataError as error:
            said.append(str(error))

    with ledger(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert said == [f'{tmp_path}: another sweep is at work there; wait until it is done, or give another --out']


def test_what_is_there_when_a_run_fails_is_kept(tmp_path):
    with pytest.raises(DataError, match='it failed'), ledger(tmp_path) as book:
        book.add(('1', 'x'), outcome(1.0))
        raise DataError('it failed')
    assert json.loads((tmp_path / JOURNAL).read_text())['key'] == ['1', 'x']
    assert len(pd.read_csv(tmp_path / 'results.csv')) == 1
    with ledger(tmp_path) as again:
        assert ('1', 'x') in again
