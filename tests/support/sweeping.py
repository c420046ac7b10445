"""Running the command optimize in tests, and reading what it leaves."""

import csv
import os
import signal
import subprocess
import sys
import time

from bt_microcap.study.ledger import DATES, FIGURES
from tests.support.script_calls import ROOT, call


def sweep(data, out, *arguments):
    return call('optimize', '--data', data, '--no-plot', '--out', out, *arguments)


def rows(out):
    with open(out / 'results.csv', newline='', encoding='utf-8') as stream:
        return list(csv.DictReader(stream))


def figures(row):
    """Return the figures of a row of results.csv as numbers, those that are not known as None."""
    return {name: None if row[name] == '' else row[name] if name in DATES else float(row[name]) for name in FIGURES}


def killed(data, out, *arguments):
    """Start a sweep in one process and kill it when its first result is there; return its rows."""
    process = subprocess.Popen(
        [sys.executable, ROOT / 'scripts' / 'optimize.py', '--data', data, '--no-plot', '--maxcpus', '1', '--out', out,
         *arguments],
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (out / 'results.csv').exists():
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return rows(out)
