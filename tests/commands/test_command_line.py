"""The console command, what it loads, and what messages call it."""

import ast
import os
import subprocess
import sys

import pytest

import bt_microcap
from bt_microcap.__main__ import main
from bt_microcap.commands import COMMANDS
from bt_microcap.feeds.invocation import command, title
from tests.support.script_calls import ROOT, shell

HEAVY = {'pandas', 'matplotlib', 'pyarrow'}
# What a run alone has no use for: modules of ours, a progress bar that nobody sees, masked arrays for a median.
UNUSED = {'bt_microcap.study.chance', 'bt_microcap.study.processes', 'bt_microcap.views.html_report', 'bt_microcap.views.chinese',
          'bt_microcap.feeds.store.data_report', 'bt_microcap.feeds.quarantine', 'tqdm', 'numpy.ma'}


def loaded(code, cwd):
    """Run a line of Python in a process of its own and return which heavy packages it has loaded."""
    code += '\nimport sys; print("loaded", *sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], cwd=cwd, capture_output=True, text=True, check=True)
    return (HEAVY | UNUSED | {'numpy', 'backtrader'}) & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(('called', 'ingest', 'reconcile', 'shown'), [
    ('/usr/bin/bt-microcap', 'bt-microcap ingest', 'bt-microcap reconcile', 'bt-microcap ingest'),
    ('bt-microcap.exe', 'bt-microcap ingest', 'bt-microcap reconcile', 'bt-microcap ingest'),
    (str(ROOT / 'scripts' / 'backtest.py'), 'scripts/ingest.py', 'scripts/reconcile_joinquant.py', 'ingest.py'),
    ('/somewhere/bt_microcap/__main__.py', 'python -m bt_microcap ingest', 'python -m bt_microcap reconcile',
     'python -m bt_microcap ingest'),
    ('my_strategy.py', 'python -m bt_microcap ingest', 'python -m bt_microcap reconcile', 'python -m bt_microcap ingest'),
])
def test_messages_name_a_command_that_the_user_has(monkeypatch, called, ingest, reconcile, shown):
    monkeypatch.setattr(sys, 'argv', [called])
    assert (command('ingest'), command('reconcile'), title('ingest')) == (ingest, reconcile, shown)


def test_a_script_of_the_users_own_in_a_folder_scripts(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, 'argv', [str(tmp_path / 'scripts' / 'mine.py')])
    assert command('ingest') == 'python -m bt_microcap ingest'


def test_the_program(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['bt-microcap'])
    assert main(['--help']) == 0
    out = capsys.readouterr().out
    assert out.startswith('usage: bt-microcap COMMAND ...') and all(f'\n  {name} ' in out for name in COMMANDS)
    assert main(['--version']) == 0
    assert capsys.readouterr().out == f'{bt_microcap.__version__}\n'
    assert main([]) == 2
    assert capsys.readouterr().err == out
    assert main(['optimise']) == 2
    assert capsys.readouterr().err == (f"bt-microcap: found no command 'optimise', expected one of {', '.join(COMMANDS)}; did "
                                       'you mean optimize?\n')


def test_the_same_run_whichever_way(tmp_path):
    module = subprocess.run([sys.executable, '-m', 'bt_microcap', 'backtest', '--end', '2019-03-01', '--no-plot', '--out', 'one'],
                            cwd=tmp_path, capture_output=True, text=True, check=True)
    script = shell('backtest', '--end', '2019-03-01', '--no-plot', '--out', 'two', cwd=tmp_path)
    assert script.status == 0 and module.stdout == script.out.replace('two/', 'one/')
    for file in (tmp_path / 'one').iterdir():
        assert file.read_bytes() == (tmp_path / 'two' / file.name).read_bytes(), file.name
    assert len(list((tmp_path / 'one').iterdir())) == 12


def test_an_import_loads_nothing(tmp_path):
    assert loaded('import bt_microcap', tmp_path) == set()


@pytest.mark.parametrize('name', COMMANDS)
def test_help_is_light(name, tmp_path):
    code = f"""from bt_microcap.__main__ import main
try:
    main([{name!r}, '--help'])
except SystemExit as end:
    assert end.code == 0"""
    assert not loaded(code, tmp_path) & HEAVY


def test_a_run_from_a_store_is_light(tmp_path):
    code = """from bt_microcap.__main__ import main
assert main(['backtest', '--data', 'store', '--no-plot']) == 0"""
    from bt_microcap import MarketStore
    from bt_microcap.feeds.demo import demo_market

    MarketStore.from_table(demo_market(30, days=60), checked=True).save(tmp_path / 'store')
    assert not loaded(code, tmp_path) & (HEAVY | UNUSED)


@pytest.mark.parametrize(('call', 'arguments', 'expected'), [
    ('main()', ['presets'], 'True 1'),  # what a process is for
    ("command_main('presets')()", [], 'True 1'),
    ("main(['presets'])", [], 'False None'),  # from a program that does other things, too
    ("command_main('presets')([])", [], 'False None'),
])
def test_only_a_process_of_its_own_is_set_up(call, arguments, expected, tmp_path):
    """Without threads of algebra, and without a look through all imports for garbage; nothing of a caller's is touched."""
    code = f"""import gc, os, sys
from bt_microcap.__main__ import command_main, main
sys.argv = ['bt-microcap', *{arguments}]
{call}
print('found', gc.get_freeze_count() > 100, os.environ.get('OPENBLAS_NUM_THREADS'))"""
    environment = {name: value for name, value in os.environ.items() if name != 'OPENBLAS_NUM_THREADS'}
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == f'found {expected}'


def test_the_public_names():
    tree = ast.parse((ROOT / 'bt_microcap' / '__init__.py').read_text('utf-8'))
    typed = next(node for node in tree.body if isinstance(node, ast.If))  # under TYPE_CHECKING: what editors see
    seen = {alias.name: node.module for node in typed.body for alias in node.names}
    assert seen == bt_microcap._HOMES
    assert set(seen) == {*bt_microcap.__all__, 'rules'}
    for name in seen:
        assert getattr(bt_microcap, name) is not None
    with pytest.raises(AttributeError, match='no attribute'):
        _ = bt_microcap.nothing
