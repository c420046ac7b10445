"""What of a strategy is the user's own: its file, and what it imports from beside it."""

import sys

from bt_microcap import MicroCapStrategy
from bt_microcap.commands.strategy_file import load_strategy
from bt_microcap.joinquant.strategy import JoinQuantStrategy
from bt_microcap.study.own_code import checksum, own_files
from tests.support.script_calls import call, one_error_line


def written(folder, number=5, sign=1):
    (folder / 'own_parts_of_mine').mkdir(exist_ok=True)
    (folder / 'own_parts_of_mine' / '__init__.py').write_text('')
    (folder / 'own_parts_of_mine' / 'numbers.py').write_text(f'N = {number}\n')
    (folder / 'own_base_of_mine.py').write_text(
        'from bt_microcap import MicroCapStrategy\n\n\nclass Base(MicroCapStrategy):\n    pass\n')
    (folder / 'own_with_helpers.py').write_text(
        'import numpy\nfrom own_base_of_mine import Base\nfrom own_parts_of_mine.numbers import N\n\n\n'
        "class Mine(Base):\n    params = (('stocknum', N),)\n\n    def rank(self, section):\n        import own_lazy_of_mine\n\n"
        '        return own_lazy_of_mine.SIGN * super().rank(section)\n')
    (folder / 'own_lazy_of_mine.py').write_text(f'SIGN = {sign}\n')
    (folder / 'own_not_imported.py').write_text('x = 1\n')
    return folder / 'own_with_helpers.py'


def test_the_file_its_bases_and_what_is_beside_it(tmp_path):
    file = written(tmp_path)
    kind = load_strategy(f'{file}:Mine')
    assert [path.relative_to(tmp_path).as_posix() for path in own_files(kind, file)] == [
        'own_base_of_mine.py', 'own_lazy_of_mine.py', 'own_parts_of_mine/__init__.py', 'own_parts_of_mine/numbers.py',
        'own_with_helpers.py']
    before = checksum(own_files(kind, file))
    written(tmp_path, 60)
    assert checksum(own_files(kind, file)) != before
    written(tmp_path, 5, -1)  # what is imported in a method only
    assert checksum(own_files(kind, file)) != before
    written(tmp_path)
    assert checksum(own_files(kind, file)) == before
    assert own_files(MicroCapStrategy) == own_files(JoinQuantStrategy) == []


def test_results_of_another_helper_are_not_gone_on_with(tmp_path, data):
    folder = tmp_path / 'code'
    folder.mkdir()
    file = written(folder)
    given = ['--data', data, '--strategy', f'{file}:Mine', '--no-plot', '--out', tmp_path / 'out']
    for name in [name for name in sys.modules if name.startswith('own_')]:
        del sys.modules[name]
    assert call('optimize', *given, '--grid', 'keep=no').status == 0
    written(folder, 60)
    for name in [name for name in sys.modules if name.startswith('own_')]:
        del sys.modules[name]
    assert 'the folder has results with strategy_content' in one_error_line(call('optimize', *given, '--grid', 'keep=no,yes'))
