"""What the READMEs show is what a user gets."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ROOT / 'README.md', ROOT / 'README.zh-CN.md'
PAGES = [(ENGLISH, CHINESE), *((ROOT / f'docs/{name}.md', ROOT / f'docs/{name}.zh-CN.md') for name in ('pieces', 'porting'))]


def blocks(path, language):
    return re.findall(rf'```{language}\n(.*?)```', path.read_text(encoding='utf-8'), re.DOTALL)


def test_the_script_prints_what_the_readme_shows(tmp_path):
    script = tmp_path / 'example.py'
    script.write_text(blocks(ENGLISH, 'python')[0], encoding='utf-8')
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == blocks(ENGLISH, 'text')[0]
    assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize('language', ['sh', 'python'])
@pytest.mark.parametrize(('english', 'chinese'), PAGES, ids=['readme', 'pieces', 'porting'])
def test_both_languages_say_the_same(english, chinese, language):
    assert blocks(chinese, language) == blocks(english, language)
    rows = [path.read_text(encoding='utf-8').count('\n|') for path in (english, chinese)]
    assert rows[0] == rows[1]


def test_the_pictures_are_there():
    for path in (ENGLISH, CHINESE):
        shown = re.findall(r'!\[[^]]*\]\(([^)]+)\)', path.read_text(encoding='utf-8'))
        assert shown
        assert all((ROOT / name).stat().st_size > 10_000 for name in shown)


def test_the_commands_are_one_line_each():
    first, second = (block.strip() for block in blocks(ENGLISH, 'sh')[:2])
    assert first.endswith('scripts/backtest.py --out out')
    assert second.endswith('-m pytest')
    assert '\n' not in first + second
