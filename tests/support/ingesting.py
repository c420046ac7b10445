"""Making stores from files in tests."""

import json

import pandas as pd
import pytest

from bt_microcap.feeds.store import MarketStore, check
from tests.support.bad_tables import good
from tests.support.script_calls import call, one_error_line


def write(table, path):
    """Write a table under a name, in the format that the name says; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.parquet':
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False)
    return path


def kind_of(path):
    return 'parquet' if path.suffix == '.parquet' else 'csv'


def ingest(store, *paths, append=False, options=()):
    """Make or extend a store, and hold what is printed and left behind against the contract; return the store."""
    outcome = call('ingest', kind_of(paths[0]), *paths, '--store', store, *(['--append'] if append else []), *options)
    assert (outcome.status, outcome.err) == (0, '')
    assert outcome.out.startswith(f'{store}: ')
    report, listed = (store.with_name(f'{store.name}.{ending}') for ending in ('report.txt', 'quarantine.csv'))
    assert outcome.lines[1:-1] == report.read_text(encoding='utf-8').splitlines()
    found = MarketStore.open(store).findings()
    if len(found):
        pd.testing.assert_frame_equal(
            pd.read_csv(listed, dtype=str, keep_default_na=False), found.reset_index(drop=True).astype(str), check_dtype=False)
        assert outcome.lines[-1] == f'written {store}/, {report} and {listed}'
        assert outcome.lines[-2].endswith(f'; each is in {listed.name}')
    else:
        assert outcome.lines[-1] == f'written {store}/ and {report}'
        assert not listed.exists()
    assert_tidy(store)
    check(store)
    return MarketStore.open(store)


def assert_tidy(store):
    """One version, its arrays and tables and nothing else; beside it no part of a file."""
    manifest = json.loads((store / 'manifest.json').read_text())
    assert sorted(entry.name for entry in store.iterdir()) == ['.lock', 'manifest.json', manifest['version']]
    files = sorted(file.name for file in (store / manifest['version']).iterdir())
    assert files == sorted(entry['file'] for kind in ('arrays', 'sides') for entry in manifest[kind].values())
    assert not list(store.parent.glob('*.part'))


def refuse(store, *paths, append=False, options=()):
    """Ingest something that must be refused: one line, and everything in the store's folder and beside it as it was.

    Return the line.
    """
    before, around = contents(store), beside(store)
    line = one_error_line(
        call('ingest', kind_of(paths[0]), *paths, '--store', store, *(['--append'] if append else []), *options))
    assert contents(store) == before
    assert beside(store) == around
    return line


def findings(store):
    """What was found in a store's rows, without what stood there: line, date, code, column, finding, what was done."""
    return list(store.findings()[['line', 'date', 'code', 'column', 'finding', 'done']].itertuples(index=False, name=None))


def beside(store):
    """The files of the folder that a store is in, such as its report and its quarantine, with their content."""
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(store.parent.glob('*'))}


def contents(path):
    if path.is_file():
        return path.read_bytes()
    return {str(file.relative_to(path)): file.read_bytes() if file.is_file() else None for file in sorted(path.rglob('*'))}


def expected(*tables):
    """The store of the union of tables, a later row in place of an earlier one."""
    union = pd.concat([table.assign(code=table['code'].astype(str)) for table in tables])
    union = union.drop_duplicates(['date', 'code'], keep='last').sort_values(['date', 'code']).reset_index(drop=True)
    return MarketStore.from_table(union)


def shuffled(table, seed=1):
    return table.sample(frac=1, random_state=seed).reset_index(drop=True)


def later(days=98):
    """The good table some weeks later: the same days of the week."""
    return good().assign(date=good()['date'] + pd.Timedelta(days=days))


def restated(table):
    return table.assign(volume=table['volume'] + 100, market_cap=table['market_cap'] * 1.01)


def named(reason, *values):
    return pytest.param(*values, id=reason)
