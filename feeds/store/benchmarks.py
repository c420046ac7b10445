"""How indices are named, and how those that are worked out are kept beside the arrays of a store."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .indices import COUNT, NEW_SHARE_DAYS, market_index, microcap_index

DEFINITION = 1  # of the indices, in the names of the files: files of another definition are not read
WEIGHTS = ('equal', 'float_cap')
FORMS = ('market, market:new=60, microcap, microcap:100, microcap:100:renew=5:weight=float_cap:new=60, '
         'or six digits of an index of the store such as 000300')


@dataclass(frozen=True)
class Benchmark:
    """Which index is meant.

    Parameters
    ----------
    kind : str
        ``market``, ``microcap``, or six digits of an index of the store.
    count : int
        Stocks of the micro-cap index.
    renew : int
        Trading days between two choices of the micro-cap index' members.
    weight : str
        Of `WEIGHTS`; of the micro-cap index.
    new_share_days : int
        Trading days before a new share joins.
    """

    kind: str
    count: int = COUNT
    renew: int = 1
    weight: str = 'equal'
    new_share_days: int = NEW_SHARE_DAYS

    @property
    def of_store(self) -> bool:
        """Whether it is an index of the store's own table, not one that is worked out."""
        return self.kind.isdigit()

    def about(self) -> str:
        """Return in one sentence how it is weighted and renewed."""
        if self.of_store:
            return f'the index {self.kind}, as the source gives it'
        new = f'after {self.new_share_days} trading days'
        if self.kind == 'market':
            return f'all A shares, equal weight, renewed daily, new shares {new}, suspended ones at 0 %'
        weight = 'equal weight' if self.weight == 'equal' else "weighted by the day before's float market cap"
        renewed = 'renewed daily' if self.renew == 1 else f'renewed every {self.renew} trading days'
        return (f"the {self.count} smallest A shares by the day before's market cap, without ST, suspended, delisting and "
                f'Beijing ones, {weight}, {renewed}, no costs, new shares {new}, members suspended later at 0 %')


MARKET, MICROCAP = Benchmark('market'), Benchmark('microcap')


def parse(spec: str) -> Benchmark:
    """Return which index a name means.

    Parameters
    ----------
    spec : str
        See `FORMS`.

    Raises
    ------
    DataError
        It is not of these forms.
    """
    def wrong(found: str, expected: str) -> DataError:
        return DataError(f'benchmark {spec!r}: found {found!r}, expected {expected}; the forms are {FORMS}')

    if not isinstance(spec, str):
        raise wrong(spec, 'text')
    kind, *options = spec.split(':')
    if len(kind) == 6 and kind.isascii() and kind.isdigit():
        if options:
            raise wrong(options[0], 'nothing after the six digits')
        return Benchmark(kind)
    if kind not in ('market', 'microcap'):
        raise wrong(kind, 'market, microcap or six digits')
    found: dict[str, Any] = {}
    for number, option in enumerate(options):
        name, equals, value = option.partition('=')
        if not equals and kind == 'microcap' and not number:
            name, value = 'count', option
        elif name not in (('new',) if kind == 'market' else ('renew', 'weight', 'new')) or not equals:
            raise wrong(option, 'new=DAYS' if kind == 'market' else 'a number of stocks first, then renew=DAYS, '
                        'weight=equal, weight=float_cap or new=DAYS')
        name = 'new_share_days' if name == 'new' else name
        if name in found:
            raise wrong(option, 'each option once')
        if name == 'weight':
            if value not in WEIGHTS:
                raise wrong(option, 'weight=equal or weight=float_cap')
            found[name] = value
            continue
        least = 0 if name == 'new_share_days' else 1
        if not (value.isascii() and value.isdigit() and len(value) < 7 and int(value) >= least):
            raise wrong(option, f'a whole number of {least} or more')
        found[name] = int(value)
    return Benchmark(kind, **found)


def benchmark(store: Any, spec: str, phase: int = 0) -> np.ndarray:
    """Return an index by its name: one that the store has, or one worked out, which a store's folder then keeps.

    Parameters
    ----------
    store : MarketStore
    spec : str
        See `FORMS`.
    phase : int
        An index renewed every k days is renewed on the days whose number leaves the same rest over k as this.

    Returns
    -------
    ndarray of float, shape (5, days)
        Open, high, low, close (points), volume (shares). Read-only.

    Raises
    ------
    DataError
        There is no such index.
    """
    try:
        meant = parse(spec)
        if meant.of_store:
            values = np.array(list(store.reference_data.benchmark(meant.kind).values()))
            values.setflags(write=False)
            return values
    except DataError as error:
        has = ', '.join(sorted(set(store.reference_table('benchmarks')['index']))) or 'none'
        forms = '' if FORMS in str(error) else f'; the forms are {FORMS}'
        raise DataError(f'{error}{forms}; indices of this market: {has}') from None
    # a store without the micro-cap index is of the first format, whose `index` counts issue prices
    if 'index/microcap' in store.arrays and meant in (MARKET, MICROCAP):
        return store.arrays['index' if meant == MARKET else 'index/microcap']
    if meant.kind == 'market':
        return _kept(store, f'market-new={meant.new_share_days}', lambda: market_index(store, meant.new_share_days))
    phase %= meant.renew
    name = f'microcap-{meant.count}-renew={meant.renew}-phase={phase}-weight={meant.weight}-new={meant.new_share_days}'
    return _kept(store, name, lambda: microcap_index(
        store, meant.count, meant.new_share_days, meant.renew, phase, meant.weight))


def _kept(store: Any, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return an index from the file beside a store's arrays, or make it and keep it there."""
    file = None if store.version is None else Path(store.version) / f'benchmark{DEFINITION}-{name}.bin'
    shape = 5, len(store.days)
    values = None
    with contextlib.suppress(OSError):
        if file is not None and file.stat().st_size == 8 * shape[0] * shape[1]:
            values = np.fromfile(file, '<f8').reshape(shape)
    if values is None:
        values = make()
        if file is not None:
            part = file.with_name(f'{file.name}.{os.getpid()}.part')
            with contextlib.suppress(OSError):  # a folder that may not be written only costs the time
                try:
                    part.write_bytes(values.astype('<f8').tobytes())
                    os.replace(part, file)
                finally:
                    part.unlink(missing_ok=True)
    values.setflags(write=False)
    return values
