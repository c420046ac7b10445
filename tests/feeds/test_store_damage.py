"""A damaged store is named."""

import json
import shutil
import zlib

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.store import MarketStore, check
from tests.support.bad_tables import good, write
from tests.support.script_calls import call, one_error_line
from tests.support.stores import market


@pytest.fixture(scope='module')
def table():
    return market()


@pytest.fixture(scope='module')
def folder(table, tmp_path_factory):
    place = tmp_path_factory.mktemp('store')
    table.to_parquet(place / 'market.parquet', index=False)
    assert call('ingest', 'parquet', place / 'market.parquet', '--store', place / 'market').status == 0
    return place / 'market'


# ---------------------------------------------------------------------------------------------------- damage


def version(store):
    return store / json.loads((store / 'manifest.json').read_text())['version']


def edit(**entries):
    def change(store):
        manifest = json.loads((store / 'manifest.json').read_text())
        for name, value in entries.items():
            where = manifest['arrays']['stock/close'] if name in ('shape', 'dtype', 'crc32') else manifest
            if value is None:
                del where[name]
            else:
                where[name] = value
        (store / 'manifest.json').write_text(json.dumps(manifest))
    return change


def text(content):
    return lambda store: (store / 'manifest.json').write_bytes(content)


def flip(name, at):
    def change(store):
        data = bytearray((version(store) / name).read_bytes())
        data[at] ^= 0x10
        (version(store) / name).write_bytes(data)
    return change


def cut(store):
    data = (version(store) / 'stock-close.bin').read_bytes()
    (version(store) / 'stock-close.bin').write_bytes(data[:-8])


def lengthen(store):
    with open(version(store) / 'stock-close.bin', 'ab') as stream:
        stream.write(bytes(8))


def swap(store):
    first, second = version(store) / 'stock-open.bin', version(store) / 'stock-high.bin'
    assert first.stat().st_size == second.stat().st_size
    first.rename(version(store) / 'x')
    second.rename(first)
    (version(store) / 'x').rename(second)


def no_version(store):
    shutil.rmtree(version(store))


DAMAGE = [  # what is done, the file that is named, whether opening finds it already
    ('cut off', cut, 'stock-close.bin', True),
    ('lengthened', lengthen, 'stock-close.bin', True),
    ('emptied', lambda store: (version(store) / 'index.bin').write_bytes(b''), 'index.bin', True),
    ('removed', lambda store: (version(store) / 'day_stock.bin').unlink(), 'day_stock.bin', True),
    ('all removed', no_version, '.bin', True),
    ('swapped', swap, ('stock-open.bin', 'stock-high.bin'), False),
    ('first byte', flip('stock-close.bin', 0), 'stock-close.bin', False),
    ('last byte', flip('day-market_cap.bin', -1), 'day-market_cap.bin', False),
    ('byte of the index', flip('index.bin', 100), 'index.bin', False),
    ('no manifest', lambda store: (store / 'manifest.json').unlink(), 'manifest.json', True),
    ('empty manifest', text(b''), 'manifest.json', True),
    ('half a manifest', lambda store: text((store / 'manifest.json').read_bytes()[:500])(store), 'manifest.json', True),
    ('bytes for a manifest', text(bytes(range(256))), 'manifest.json', True),
    ('a list for a manifest', text(b'[1, 2]'), 'manifest.json', True),
    ('a word for a manifest', text(b'"format"'), 'manifest.json', True),
    ('nothing in the manifest', text(b'{}'), 'manifest.json', True),
    ('format alone', text(b'{"format": 1}'), 'manifest.json', True),
    ('older format', edit(format=0), 'found format 0, expected 1 or 2', True),
    ('newer format', edit(format=3), 'found format 3, expected 1 or 2', True),
    ('other format', edit(format=1), 'manifest.json: the content is not what was written', True),
    ('format in words', edit(format='2'), "found format '2', expected 1 or 2", True),
    ('no version in it', edit(version=None), 'manifest.json', True),
    ('no arrays in it', edit(arrays=None), 'manifest.json', True),
    ('no columns in it', edit(columns=None), 'manifest.json', True),
    ('other dtype', edit(dtype='<z9'), 'manifest.json', True),
    ('list of arrays', edit(arrays=[]), 'manifest.json', True),
    ('other shape', edit(shape=[7]), 'manifest.json', True),
    ('dtype of another kind', edit(dtype='<i8'), 'manifest.json', False),
    ('checksum in words', edit(crc32='none'), 'manifest.json', False),
]


@pytest.mark.parametrize(('what', 'damage', 'named', 'on_opening'), DAMAGE)
def test_damage_is_found(tmp_path, folder, what, damage, named, on_opening):
    store = tmp_path / 'damaged'
    shutil.copytree(folder, store)
    damage(store)
    named = (named,) if isinstance(named, str) else named
    if on_opening:
        with pytest.raises(DataError) as error:
            MarketStore.open(store)
        assert str(store) in str(error.value) and any(name in str(error.value) for name in named)
    with pytest.raises(DataError) as error:
        check(store)
    assert str(store) in str(error.value) and any(name in str(error.value) for name in named)
    line = one_error_line(call('ingest', '--check', store))
    assert line == f'error: {error.value}'.replace('python -m bt_microcap ingest', 'scripts/ingest.py')


def test_every_file_is_read_by_the_check(tmp_path, folder):
    store = tmp_path / 'damaged'
    shutil.copytree(folder, store)
    files = sorted(version(store).iterdir())
    assert call('ingest', '--check', store).out == f'{store}: {len(files)} files are as they were written\n'
    for file in files:
        whole = file.read_bytes()
        flip(file.name, len(whole) // 2)(store)
        with pytest.raises(DataError, match=f'{file.name}: found the checksum'):
            check(store)
        file.write_bytes(whole)
    assert check(store) == len(files)


def test_a_store_of_format_1_is_readable(tmp_path, folder):
    """It has one index, of another definition: that is worked out anew, and nothing is written into the store."""
    old = tmp_path / 'old'
    shutil.copytree(folder, old)
    manifest = json.loads((old / 'manifest.json').read_text())
    manifest['format'] = 1
    (version(old) / manifest['arrays'].pop('index/microcap')['file']).unlink()
    index = manifest['arrays']['index']
    data = np.full(index['shape'], 1000.0).tobytes()
    (version(old) / index['file']).write_bytes(data)
    index['crc32'] = zlib.crc32(data)
    manifest['crc32'] = zlib.crc32(json.dumps(
        {name: value for name, value in manifest.items() if name != 'crc32'}, sort_keys=True).encode())
    (old / 'manifest.json').write_text(json.dumps(manifest))
    assert check(old) == len(manifest['arrays']) + len(manifest['sides'])
    store, new = MarketStore.open(old), MarketStore.open(folder)
    pd.testing.assert_frame_equal(store.table(), new.table())
    for name in ('market', 'microcap'):
        for found, expected in zip(store.benchmark(name).values(), new.benchmark(name).values(), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)
    path = write(good().assign(date=good()['date'] - pd.Timedelta(days=3000)), tmp_path / 'm.parquet')
    assert call('ingest', 'parquet', path, '--store', old, '--append').status == 0
    assert json.loads((old / 'manifest.json').read_text())['format'] == 2
    assert MarketStore.open(old).rows == new.rows + 8


def test_a_file_removed_after_opening(tmp_path, folder):
    shutil.copytree(folder, tmp_path / 'damaged')
    MarketStore.open(tmp_path / 'damaged')
    (version(tmp_path / 'damaged') / 'index.bin').unlink()
    with pytest.raises(DataError, match=r'index\.bin'):
        check(tmp_path / 'damaged')
