"""Bad arguments and exports: one line that says what was found and what to do; exit status 2; nothing written."""

import shutil

import pytest

from tests.support.bad_tables import good, put, refuse, write
from tests.support.joinquant_exports import HEADER, buy, held, save
from tests.support.script_calls import call, one_error_line, shell

# ------------------------------------------------------------------------------------------------ arguments
ARGUMENTS = [
    (['--start', '2024-01-05', '--end', '2024-01-03'], ['--start 2024-01-05 is after --end 2024-01-03']),
    (['--start', '2025-01-01'],
     ['market.csv', 'no trading day', 'from 2025-01-01', 'it has 4 days from 2024-01-02 to 2024-01-05']),
    (['--end', '2023-01-01'], ['market.csv', 'no trading day', 'to 2023-01-01', 'it has 4 days from 2024-01-02 to 2024-01-05']),
    (['--end', '2024-01-02'], ['market.csv', 'no trading day with a day before it']),
    (['--start', '2024-01-06', '--end', '2024-01-07'], ['market.csv', 'from 2024-01-06 to 2024-01-07']),
    (['--start', '03.01.2024'], ['argument --start', "found '03.01.2024'", 'a day as YYYY-MM-DD']),
    (['--end', '2024-02-30'], ['argument --end', "found '2024-02-30'", 'a day as YYYY-MM-DD']),
    (['--profile', 'ideal'], ['argument --profile', "'ideal'", 'joinquant', 'realistic']),
    (['--stocknum', '0'], ['argument --stocknum', "found '0'", 'a whole number of 1 or more']),
    (['--stocknum', '2.5'], ['argument --stocknum', "found '2.5'", 'a whole number of 1 or more']),
    (['--refresh-rate', 'weekly'], ['argument --refresh-rate', "found 'weekly'", 'a whole number of 1 or more']),
    (['--cash', '-1000'], ['argument --cash', "found '-1000'", 'a number above 0']),
    (['--cash', '0'], ['argument --cash', "found '0'", 'a number above 0']),
    (['--cash', 'inf'], ['argument --cash', "found 'inf'", 'a number above 0']),
    (['--cash', 'nan'], ['argument --cash', "found 'nan'", 'a number above 0']),
    (['--min-cap', '3e9', '--max-cap', '2e9'], ['--min-cap 3e+09 is above --max-cap 2e+09']),
    (['--min-cap', '4e9'], ['--min-cap 4e+09 is above --max-cap 3e+09']),
    (['--stamp-duty', 'legal'], ['argument --stamp-duty', "'legal'", 'a number of 0 or more, at most 1']),
    (['--transfer-fee', '-0.1'], ['argument --transfer-fee', "found '-0.1'", 'a number of 0 or more, at most 1']),
    (['--commission', '3'], ['argument --commission', "found '3'", 'at most 1']),
    (['--slippage', 'nan'], ['argument --slippage', "found 'nan'", 'a number of 0 or more, at most 1']),
    (['--volume-limit', '-1'], ['argument --volume-limit', "found '-1'", 'a number of 0 or more']),
    (['--delist', 'half'], ['argument --delist', "'half'", 'last_close', 'zero']),
    (['--ex-rights', 'on'], ['argument --ex-rights', "'on'", 'auto', 'reinvest', 'off']),
    (['--stocks', '5'], ['unrecognized arguments: --stocks 5']),
    (['--cash'], ['argument --cash', 'expected one argument']),
]


@pytest.mark.parametrize(('arguments', 'fragments'), ARGUMENTS, ids=[' '.join(case[0]) for case in ARGUMENTS])
def test_wrong_arguments(tmp_path, arguments, fragments):
    path = write(good(), tmp_path / 'market.csv')
    line = refuse(tmp_path, '--data', path, *arguments)
    for fragment in fragments:
        assert fragment in line


def test_dated_is_said_where_it_can_be_given(tmp_path):
    line = refuse(tmp_path, '--stamp-duty', 'legal')
    assert "'dated'" in line or ' dated' in line


def test_out_is_a_file(tmp_path):
    path = write(good(), tmp_path / 'market.csv')
    out = tmp_path / 'results'
    out.write_text('mine')
    line = one_error_line(call('backtest', '--data', path, '--out', out))
    for fragment in (str(out), 'found a file', 'expected a folder', '--out'):
        assert fragment in line
    assert out.read_text() == 'mine'


def test_out_under_a_file(tmp_path):
    path = write(good(), tmp_path / 'market.csv')
    out = path / 'results'
    line = one_error_line(call('backtest', '--data', path, '--out', out))
    for fragment in (str(out), 'cannot be made', 'give another --out'):
        assert fragment in line


def test_bad_input_leaves_an_older_result_alone(tmp_path):
    path = write(good(), tmp_path / 'market.csv')
    out = tmp_path / 'results'
    assert call('backtest', '--data', path, '--out', out, '--no-plot').status == 0
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    write(put('close', 3, 0.0)(good()), path)
    one_error_line(call('backtest', '--data', path, '--strict', '--out', out, '--no-plot'))
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_the_list_of_a_run_before_does_not_stay(tmp_path):
    """Rows that were left out are listed beside the results, until a run has none."""
    path, out = write(put('close', 3, 0.0)(good()), tmp_path / 'market.csv'), tmp_path / 'results'
    outcome = call('backtest', '--data', path, '--out', out, '--no-plot')
    assert (outcome.status, outcome.err) == (0, '')
    said = '1 row not as they should be: 1 no price (row left out); each is in quarantine.csv'
    assert said in outcome.out
    assert (out / 'quarantine.csv').read_text(encoding='utf-8').splitlines() == [
        'file,line,date,code,column,found,finding,done',
        f'{path},5,2024-01-03,000002.XSHE,close,0,no price,row left out']
    write(good(), path)
    outcome = call('backtest', '--data', path, '--out', out, '--no-plot')
    assert (outcome.status, outcome.err) == (0, '') and 'quarantine' not in outcome.out
    assert not (out / 'quarantine.csv').exists()


# ------------------------------------------------------------------------------------- a program of its own


def test_as_a_program_wrong_content(tmp_path):
    path = write(put('close', 3, 0.0)(good()), tmp_path / 'market.csv')
    line = one_error_line(shell('backtest', '--data', path, '--strict', cwd=tmp_path))
    assert line.startswith(f'error: {path}, line 5 (2024-01-03 000002.XSHE), column close: found 0, ')
    assert not (tmp_path / 'out').exists()


def test_as_a_program_wrong_argument(tmp_path):
    line = one_error_line(shell('backtest', '--stocknum', '0', cwd=tmp_path))
    assert line == ("backtest.py: argument --stocknum: found '0', expected a whole number of 1 or more; "
                    'see backtest.py --help')
    assert not (tmp_path / 'out').exists()


# ------------------------------------------------------------------------------------------- reconciliation


@pytest.fixture
def export(tmp_path):
    """A log and positions that go together."""
    log = save(tmp_path, buy('2030-01-07', '600111.XSHG', 50000.0, [(10.01, 5000, 15.015)], 1))
    positions = save(tmp_path, [HEADER, held('2030-01-07', '600111.XSHG', 5000, 10.5, 10.01, 2450, 5000)], 'positions.csv')
    return log, positions


def refuse_export(folder, log, positions, *arguments):
    out = folder / 'results'
    given = [*(['--log', log] if log else []), *(['--positions', positions] if positions else [])]
    line = one_error_line(call('reconcile_joinquant', *given, *arguments, '--out', out))
    assert not out.exists() or not list(out.iterdir())
    return line


def test_no_log_given(tmp_path, export):
    assert 'the following arguments are required: --log' in refuse_export(tmp_path, None, export[1])


def test_missing_log(tmp_path, export):
    line = refuse_export(tmp_path, tmp_path / 'nowhere.txt', export[1])
    for fragment in (str(tmp_path / 'nowhere.txt'), 'No such file', 'give the path of an order log'):
        assert fragment in line


def test_empty_log(tmp_path, export):
    export[0].write_bytes(b'')
    line = refuse_export(tmp_path, *export)
    for fragment in (str(export[0]), 'the file is empty', 'expected an order log', 'export it again'):
        assert fragment in line


def test_log_of_blank_lines(tmp_path, export):
    export[0].write_bytes(b'\r\n\r\n')
    assert 'the file is empty' in refuse_export(tmp_path, *export)


def test_log_without_orders(tmp_path, export):
    save(tmp_path, ['2030-01-07 09:30:00 - INFO  - hello'])
    line = refuse_export(tmp_path, *export)
    for fragment in ('has no orders', 'give the log of a trading account'):
        assert fragment in line


def test_cut_log(tmp_path, export):
    text = export[0].read_bytes()
    export[0].write_bytes(text[:-60])
    line = refuse_export(tmp_path, *export)
    for fragment in (str(export[0]), 'line 4', 'the log is cut off or edited, export it again'):
        assert fragment in line


def test_files_the_wrong_way_round(tmp_path, export):
    line = refuse_export(tmp_path, export[1], export[0])
    for fragment in (str(export[1]), 'line 1', '日期', 'give the order log, not the positions'):
        assert fragment in line


def test_log_as_positions(tmp_path, export):
    line = refuse_export(tmp_path, export[0], export[0])
    for fragment in (str(export[0]), 'line 1', '日期', 'give the positions export with its header line, not the order log'):
        assert fragment in line


def test_position_that_is_no_number(tmp_path, export):
    text = export[1].read_text('gb18030').replace('5000股', '五千股', 1)
    export[1].write_text(text, 'gb18030')
    line = refuse_export(tmp_path, *export)
    for fragment in (str(export[1]), 'line 2', 'column 数量', "found '五千股'", 'expected a whole number above 0'):
        assert fragment in line


def test_cut_positions(tmp_path, export):
    text = export[1].read_text('gb18030').rstrip()
    export[1].write_text(text[:-30], 'gb18030')
    line = refuse_export(tmp_path, *export)
    for fragment in (str(export[1]), 'line 2', 'expected 16 as in the header', 'export the file again'):
        assert fragment in line


def test_positions_without_rows(tmp_path, export):
    save(tmp_path, [HEADER], 'positions.csv')
    line = refuse_export(tmp_path, *export)
    assert str(export[1]) in line


def test_slots_of_the_account(tmp_path, export):
    line = refuse_export(tmp_path, *export, '--stocknum', '0')
    for fragment in ('argument --stocknum', "found '0'"):
        assert fragment in line


def test_as_a_program_missing_log(tmp_path, export):
    line = one_error_line(shell('reconcile_joinquant', '--log', 'nowhere.txt', '--positions', export[1], cwd=tmp_path))
    assert line.startswith('error: nowhere.txt: ')


def test_moved_files_are_named_as_given(tmp_path, monkeypatch):
    """A relative path stays relative in the message: what the user typed is what he can find."""
    shutil.copy(write(put('close', 3, 0.0)(good()), tmp_path / 'a.csv'), tmp_path / 'b.csv')
    monkeypatch.chdir(tmp_path)
    assert one_error_line(call('backtest', '--data', 'b.csv', '--strict')).startswith('error: b.csv, line 5 ')
