"""Calling the scripts from tests: in this process for speed, or as a user does."""

import contextlib
import importlib.util
import io
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass
class Outcome:
    status: int
    out: str
    err: str

    @property
    def lines(self):
        return self.out.splitlines()


@cache
def module(name):
    """Import scripts/<name>.py without its `if __name__ == '__main__'` part."""
    spec = importlib.util.spec_from_file_location(f'script_{name}', ROOT / 'scripts' / f'{name}.py')
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def call(name, *arguments):
    """Run main() of a script in this process; an exception that it lets through fails the test."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, [str(ROOT / 'scripts' / f'{name}.py')]  # how the user came is seen in messages
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = module(name).main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
        finally:
            sys.argv = before
    return Outcome(status, out.getvalue(), err.getvalue())


def shell(name, *arguments, cwd):
    """Run a script as a program of its own."""
    done = subprocess.run(
        [sys.executable, str(ROOT / 'scripts' / f'{name}.py'), *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, encoding='utf-8', check=False)
    return Outcome(done.returncode, done.stdout, done.stderr)


def one_error_line(outcome):
    """Hold a refusal against the contract: status 2, one line on stderr, nothing printed. Return the line."""
    lines = [line for line in outcome.err.splitlines() if line.strip()]
    assert len(lines) == 1, outcome.err
    assert 'Traceback' not in outcome.err
    assert outcome.out == ''
    assert outcome.status == 2
    return lines[0]
