"""Making the folder of a `MarketStore` from files of any size, or from the tables of a source."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..columns import ALWAYS, FLAGS, REFERENCE_TABLES
from ..errors import DataError
from ..mending import Mended, lost_rows
from ..quarantine import Quarantine
from ..rows import Rows
from ..settling import NEVER
from ..sources import SOURCES
from ..tables import Reading, rows_of_files, rows_of_table
from .folder import VersionFolder, writing
from .indices import market_index, microcap_index
from .layout import GUESSED, UNDATED, Layout, Read, build, units
from .manifest import MANIFEST
from .market_store import FINDINGS, MarketStore
from .staging import Staging, judge_falls

OF_A_RUN = ('last_day', 'window')  # notes of an earlier run alone
OF_TABLES = ('source', 'listings', 'names', 'industries', 'constituents', 'columns')  # notes that are not of rows


def ingest(
    paths: list[Path], store: Path, *, append: bool = False, about: dict[str, Any] | None = None,
    progress: Callable[[int, int], Any] | None = None, reading: Reading | None = None, strict: bool = False,
    reference_data: dict[str, pd.DataFrame] | None = None,
) -> MarketStore:
    """Make a store from canonical tables in files, or extend it.

    Parameters
    ----------
    paths : list of Path
        Parquet or CSV files, of any size; rows in any order. Wide files hold one column each, see `tables`.
    store : Path
        The folder.
    append : bool
        Keep the rows that the store has; a row of the files replaces that of the same stock and day.
    about : dict, optional
        What the manifest shall say of the source.
    progress : callable, optional
        Called with what is done and what there is to do.
    reading : Reading, optional
        How the tables are read.
    strict : bool
        Refuse the first row that is not as it should be.
    reference_data : dict of str to DataFrame, optional
        Tables beside the market, see `columns.REFERENCE_TABLES`.

    Returns
    -------
    MarketStore
        The new store, opened; `MarketStore.findings` tells which rows were mended or left out.

    Raises
    ------
    DataError
        Wrong input, found before the store is touched; or another writer at work.
    """
    reading = reading or Reading()
    source = ', '.join(path.name for path in paths)
    tell = progress or (lambda done, size: None)
    about = {'source': source, **(about or {})}
    return _make(rows_of_files(paths, reading, lambda done, size: tell(done // 2, size)), store, append, about, source,
                 Quarantine(strict), reference_data or {}, reading, lambda done, size: tell(size + done, 2 * size))


def ingest_tables(
    tables: Iterable[pd.DataFrame | Rows], store: Path, *, append: bool = False, about: dict[str, Any] | None = None,
    reference_data: dict[str, pd.DataFrame] | None = None, strict: bool = False,
    given: dict[str, pd.DataFrame] | None = None, renamed: dict[str, str] | None = None,
) -> MarketStore:
    """Make a store from canonical tables that a source yields, or extend it.

    Parameters
    ----------
    tables : iterable of DataFrame or Rows
        Frames with ``attrs['source']``, what messages call each; all with the same columns.
    store : Path
        The folder.
    append : bool
        Keep the rows that the store has; a row of the tables replaces that of the same stock and day.
    about : dict, optional
        What the manifest shall say of the source; read when the tables are done.
    reference_data : dict of str to DataFrame, optional
        Tables beside the market, see `columns.REFERENCE_TABLES`; read when the tables are done.
    strict : bool
        Refuse the first row that is not as it should be.
    given : dict of str to DataFrame, optional
        Such tables of the user's own; where the source says otherwise, they win.
    renamed : dict of str to str, optional
        Old codes -> new ones: what the store has under the old code becomes the new one's; read when the tables are done.

    Raises
    ------
    DataError
        Wrong input, found before the store is touched; or another writer at work.
    """
    reading = Reading()
    parts = (table if isinstance(table, Rows) else rows_of_table(table, reading, table.attrs.get('source', 'the source'))
             for table in tables)
    return _make(parts, store, append, {} if about is None else about, 'the source', Quarantine(strict),
                 {} if reference_data is None else reference_data, reading, given=given, renamed=renamed)


def _make(
    parts: Iterable[Rows], store: Path, append: bool, about: dict[str, Any], source: str, quarantine: Quarantine,
    reference_data: dict[str, pd.DataFrame], reading: Reading, tell: Callable[[int, int], Any] = lambda done, size: None,
    given: dict[str, pd.DataFrame] | None = None, renamed: dict[str, str] | None = None,
) -> MarketStore:
    """Make a new version of a store and put it in place."""
    if append and not (store / MANIFEST).exists():
        raise DataError(f'{store}: found no store to append to; leave out --append to make one')
    with writing(store):
        if not append and (store / MANIFEST).exists():  # asked under the lock: another writer may just have made it
            raise DataError(f'{store}: there is a store already; add --append to extend it, or remove the folder')
        old = MarketStore.open(store) if append else None
        sources = (old.about.get('source') if old is not None else None, about.get('source'))
        if sources[0] != sources[1] and set(sources) <= set(SOURCES):
            raise DataError(f'{store}: found a store made from {sources[0]}, expected one from {sources[1]}: '
                            'sources differ in how they see the same day; give another --store')
        folder = VersionFolder(store)
        temporary = folder.path / 'staging'
        temporary.mkdir()
        staging = Staging(quarantine, temporary)
        try:
            for rows in parts:
                staging.add(rows)
            renamed = renamed or {}
            layout = staging.layout(source, first_priced=None if old is None else partial(_first_rows, old, renamed),
                                    days=(reading.start, reading.end))
            columns, read, without_close, all_new = staging.columns, staging.column, staging.without_close, True
            if old is not None:
                columns = _wider({name: old.arrays[f'stock/{name}'].dtype.str for name in old.columns}, columns)
                layout, read, without_close, all_new = _merged(old, layout, staging, renamed)
            findings = _all_findings(old, quarantine)
            mended = Mended(layout, columns, read, without_close, lost_rows(findings) if len(findings) else None)
            columns = mended.columns
            done = iter(range(1, len(columns) + 1))

            def read_and_tell(name: str) -> np.ndarray:
                tell(next(done, len(columns)), len(columns))
                return mended.read(name)

            build(layout, columns, read_and_tell, folder.put)
        finally:
            staging.close()
        shutil.rmtree(temporary)
        names = staging.names()
        about = {**_old_notes(old, all_new), **about, **staging.about(names), **({} if all_new else _kept_notes(old, about)),
                 **({'columns': '; '.join(reading.lines)} if reading.lines else {})}
        arrays, maps = folder.arrays()
        made = MarketStore(arrays, units(columns), about, maps=maps, version=folder.path)
        judge_falls(staging, source, made.arrays)
        own = {} if names is None or 'names' in reference_data else {'names': names}
        layers = [own, reference_data, given or {}]
        if old is not None and {'listings'} <= {*old.reference_names} & {*reference_data}:
            before = _with_new_codes(old.reference_table('listings'), renamed)
            layers[1] = {**reference_data, 'listings': _listings(before, reference_data['listings'])}
        if old is not None:
            layers.insert(0, {name: _with_new_codes(old.reference_table(name), renamed) for name in old.reference_names})
        for name in sorted({name for layer in layers for name in layer}):
            both = [layer[name] for layer in layers if name in layer]
            made.add_reference_table(name, joined := _joined(name, both))
            folder.put_table(name, joined)
        if 'constituents' in made.reference_names:
            members = made.reference_table('constituents')
            for index in sorted(set(members.loc[members['date'] == ALWAYS, 'index'])):
                about[f'members of {index}'] = UNDATED
        if 'listings' not in made.reference_names:
            about['listings'] = GUESSED
        elif about.get('listings') == GUESSED:  # of an earlier time
            del about['listings']
        if len(findings):
            folder.put_table(FINDINGS, findings)
        folder.put('index', market_index(made))
        folder.put('index/microcap', microcap_index(made))
        folder.publish(units(columns), about)
    return MarketStore.open(store)


def _old_notes(old: MarketStore | None, all_new: bool) -> dict[str, Any]:
    """Return what an old store says that still holds: of rows that are all replaced, what is of other tables and files."""
    if old is None:
        return {}
    return {name: text for name, text in old.about.items()
            if name not in OF_A_RUN and (not all_new or name in OF_TABLES or name.startswith('members of '))}


def _kept_notes(old: MarketStore | None, new: dict[str, Any]) -> dict[str, Any]:
    """Return what an old store says of rows that stay, where the new rows do not say it again."""
    return {} if old is None else {name: text for name, text in old.about.items()
                                   if 'estimated' in str(text) and 'estimated' not in str(new.get(name))}


def _all_findings(old: MarketStore | None, quarantine: Quarantine) -> pd.DataFrame:
    """Return which rows were mended or left out, those of former times too."""
    parts = [old.findings()] if old is not None else []
    parts = [part for part in [*parts, quarantine.table()] if len(part)]
    return pd.concat(parts, ignore_index=True).drop_duplicates(ignore_index=True) if parts else quarantine.table()


def _codes_now(old: MarketStore, renamed: dict[str, str]) -> np.ndarray:
    """Return the codes of an old store as they are now; two may have become one."""
    codes = old.arrays['codes']
    return np.array([renamed.get(code, code) for code in codes.astype(str).tolist()], codes.dtype) if renamed else codes


def _with_new_codes(table: pd.DataFrame, renamed: dict[str, str]) -> pd.DataFrame:
    """Return a table beside the market with the codes as they are now; a stock that had two begins with the earlier."""
    if not renamed or 'code' not in table or not table['code'].isin(renamed).any():
        return table
    table = table.assign(code=table['code'].replace(renamed))
    if 'listed' not in table:
        return table
    first = table.groupby('code')['listed'].transform('min')
    return table.assign(listed=first).drop_duplicates('code', keep='last').reset_index(drop=True)


def _old_rows(old: MarketStore) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the stock and of the day of each row that a store has."""
    return old.arrays['day_stock'], np.repeat(np.arange(len(old.days), dtype='int32'), np.diff(old.arrays['day_start']))


def _first_rows(
    old: MarketStore, renamed: dict[str, str], codes: np.ndarray, stock: np.ndarray, day: np.ndarray,
) -> np.ndarray:
    """Return the ordinal of the first old row of each stock that no new row replaces; beyond all days where there is none."""
    first = np.full(len(codes), NEVER, 'int64')
    now = _codes_now(old, renamed)
    number = np.minimum(np.searchsorted(codes, now), len(codes) - 1)
    known = codes[number] == now
    own_stock, own_day = _old_rows(old)
    mine = known[own_stock]
    own_stock, own_day = number[own_stock[mine]], old.days[own_day[mine]].astype('int64')
    stays = ~np.isin(own_day * len(codes) + own_stock, day.astype('int64') * len(codes) + stock)
    np.minimum.at(first, own_stock[stays], own_day[stays])
    return first


def _wider(one: dict[str, str], other: dict[str, str]) -> dict[str, str]:
    """Return all columns, each with the dtype that holds the values of both."""
    both = {**other, **one}
    return {name: np.promote_types(both[name], other.get(name, both[name])).str for name in {**one, **other}}


def _listings(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Return new listings, with the listing days that were known before: rows that begin late tell no listing."""
    before = old.drop_duplicates('code', keep='last').set_index('code')['listed']
    known = new['code'].isin(before.index)
    listed = new['listed'].where(~known, pd.to_datetime(new['code'].map(before)).astype(new['listed'].dtype))
    return new.assign(listed=listed)


def _joined(name: str, parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Return old and new rows of a table beside the market; a new row replaces the old one of the same key."""
    columns = list(REFERENCE_TABLES[name])
    key = [column for column in columns if column in ('code', 'date', 'index')]
    table = pd.concat([part[columns] for part in parts if len(part)] or [parts[0][columns]])
    return table.drop_duplicates(key, keep='last').sort_values(key).reset_index(drop=True)


def _merged(
    old: MarketStore, new: Layout, staging: Staging, renamed: dict[str, str],
) -> tuple[Layout, Read, np.ndarray, bool]:
    """Return the layout of an old store with new rows, its columns, its rows without a close, and whether all rows are new.

    Old rows that stay come first, then the new ones.
    """
    now = _codes_now(old, renamed)
    codes = np.union1d(now, new.codes)
    days = np.union1d(old.days, new.days).astype('int32')
    there = np.zeros((len(days), len(codes)), bool)
    there[np.ix_(np.searchsorted(days, new.days), np.searchsorted(codes, new.codes))] = new.exists
    own_stock, own_day = _old_rows(old)
    stock = np.searchsorted(codes, now).astype('int32')[own_stock]
    day = np.searchsorted(days, old.days).astype('int32')[own_day]
    stays = ~there[day, stock]
    if renamed:  # of two codes that became one the store may have the same day
        first = np.zeros(len(stays), bool)
        first[np.unique(day.astype('int64') * len(codes) + stock, return_index=True)[1]] = True
        stays &= first
    places = old.arrays['start'][own_stock[stays]] + (own_day[stays] - old.first[own_stock[stays]])
    new_stock = np.searchsorted(codes, new.codes).astype('int32')[staging.stock]
    new_day = np.searchsorted(days, new.days).astype('int32')[staging.day]
    layout = Layout(codes, days, np.concatenate([stock[stays], new_stock]), np.concatenate([day[stays], new_day]))

    def read(name: str) -> np.ndarray:
        column = old.arrays.get(f'stock/{name}')
        unknown = 0.0 if name in FLAGS else np.nan  # a flag has no third value
        kept = np.full(len(places), unknown) if column is None else column[places]
        added = staging.column(name) if name in staging.columns else np.full(len(new_stock), unknown)
        return np.concatenate([kept, added])

    # closes that were the last ones then need not be so now; what a preclose told still holds
    mended = old.findings().query('done == "given the last close"').assign(done='left out')
    all_new = not stays.any()
    if not len(mended):
        return layout, read, staging.without_close + len(places), all_new
    codes_then, days_then = lost_rows(mended)
    number = np.searchsorted(old.arrays['codes'].astype(str), codes_then)
    again = np.isin(own_day[stays].astype('int64') * len(old) + own_stock[stays],
                    np.searchsorted(old.days, days_then).astype('int64') * len(old) + number)
    if 'preclose' in old.columns:
        again &= ~(old.arrays['stock/preclose'][places] > 0)
    return layout, read, np.concatenate([np.flatnonzero(again), staging.without_close + len(places)]), all_new
