"""Running the command optimize in tests, and reading what it leaves."""

import csv

from tests.support.script_calls import call


def sweep(data, out, *arguments):
    return call('optimize', '--data', data, '--no-plot', '--out', out, *arguments)


def rows(out):
    with open(out / 'results.csv', newline='', encoding='utf-8') as stream:
        return list(csv.DictReader(stream))
