"""Running the command search in tests, and reading what it leaves."""

import csv
import os
import signal
import subprocess
import sys
import time

from tests.support.script_calls import ROOT
from tests.support.studying import command


def look(data, out, *arguments):
    return command('search', '--data', data, '--no-plot', '--out', out, *arguments)


def tried(out):
    with open(out / 'trials.csv', newline='', encoding='utf-8') as stream:
        return list(csv.DictReader(stream))


def killed(data, out, *arguments, when):
    """Start a search as a program of its own, kill it when `when` is true, with the processes that it has begun."""
    process = subprocess.Popen(
        [sys.executable, '-m', 'bt_microcap', 'search', '--data', data, '--no-plot', '--out', out, *map(str, arguments)],
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None and not when():
        time.sleep(0.005)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    while time.monotonic() < deadline + 60:  # its children hold the folder's lock until they are gone, too
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.01)
