"""The files of a run, as a report reads them: every number of a report is made of these."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from ...feeds.errors import DataError
from ...feeds.invocation import command
from ...record.figures import annual_return, grown
from ...record.round_trips import PARKING, profits_by_stock
from ...study.kinds import KINDS
from ...study.studies import STUDY, Study
from ...study.studies import read as read_study

# name -> columns that a report asks for
FILES = {
    'equity.csv': ('date', 'cash', 'market_value', 'total_value'),
    'trades.csv': ('datetime', 'code', 'side', 'quantity', 'price', 'commission', 'tax', 'transfer_fee'),
    'orders.csv': ('date', 'code', 'side', 'why', 'wanted', 'quantity', 'price', 'commission', 'stamp_duty', 'transfer_fee',
                   'dividend_tax', 'slippage', 'status', 'reason', 'volume_share'),
    'rejections.csv': ('date', 'code', 'side', 'reason'),
    'corporate_actions.csv': ('date', 'code', 'action', 'shares_before', 'shares_after', 'cash'),
    'positions.csv': ('date', 'code', 'shares', 'price', 'value', 'market_cap', 'days_held', 'industry'),
    'round_trips.csv': ('code', 'opened', 'closed', 'days_held', 'profit', 'rate_of_return', 'why'),
    'picks.csv': ('date', 'place', 'code'),
    'missed.csv': ('date', 'code', 'side', 'reason', 'shares', 'open', 'until', 'price', 'cost'),
    'prices.csv': ('date', 'code', 'close', 'adjusted'),
}
# what a report asks of summary.json: name -> its kind
NUMBERS = ('start_value', 'end_value', 'total_return', 'annual_return', 'sharpe', 'max_drawdown', 'turnover', 'fees', 'trades',
           'rejections', 'closed_trades', 'days', 'days_a_year', 'risk_free', 'time_in_market')
TEXTS = ('data', 'strategy', 'title', 'profile', 'version', 'first_day', 'last_day', 'nothing_traded')
SUMMARY: dict[str, Any] = {
    **dict.fromkeys(NUMBERS, (int, float)), **dict.fromkeys(TEXTS, str),
    **dict.fromkeys(('params', 'rules', 'conventions', 'market', 'data_about', 'names'), dict), 'notes': list, 'own_params': list,
}
CASH_FLOWS, INDICES, RANDOM_PICKS, RANDOM_EQUITY, WITHOUT_COSTS = (
    'cash_flows.csv', 'indices.csv', 'random_picks.csv', 'random_equity.csv', 'without_costs.csv')
_TEXTS = ('code', 'side', 'why', 'status', 'reason', 'industry', 'action')
_DAYS = ('date', 'datetime', 'opened', 'closed', 'until')


def read_table(path: Path, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return a file of a run.

    Raises
    ------
    DataError
        It is not there, cannot be read, or lacks a column.
    """
    kinds = dict.fromkeys((*_TEXTS, *_DAYS), pa.string())
    try:
        table = pa_csv.read_csv(path, convert_options=pa_csv.ConvertOptions(column_types=kinds, null_values=[''])).to_pandas()
    except FileNotFoundError:
        raise DataError(f'{path}: there is no such file, expected the folder of a run of {command("backtest")} or save_run(); '
                        'a run of an earlier version has not all of them, make it again') from None
    except (OSError, pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise DataError(f'{path}: cannot be read as a table of a run ({str(error).splitlines()[0]}); make the run again'
                        ) from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataError(f'{path}: found no column {missing[0]}, expected {", ".join(columns)}; make the run again')
    try:
        for name in table.columns.intersection(_DAYS):
            table[name] = pd.to_datetime(table[name], format='%Y-%m-%d')
        for name in table.columns.intersection(_TEXTS):
            table[name] = table[name].fillna('')
        for name in table.columns.difference([*_DAYS, *_TEXTS]):  # a column without a value has no type
            table[name] = pd.to_numeric(table[name]) if len(table) else table[name].astype(float)
    except ValueError as error:
        raise DataError(f'{path}, column {name}: {str(error).splitlines()[0]}; make the run again') from None
    return table


@dataclass
class RunFiles:
    """A run as its folder tells it.

    Parameters
    ----------
    folder : Path
    summary : dict
        Of summary.json.
    tables : dict of str to DataFrame
        Of `FILES`, by name without ``.csv``.
    flows : DataFrame
        ``date`` and ``amount``; without rows where no money came in or went out.
    indices : DataFrame or None
        ``date`` and ``microcap``.
    random_picks, random_equity, without_costs : DataFrame or None
        What was run beside: one row a random run, one column a random run, the value a day without costs.
    studies : list of Study
        Of this very run, in the order of `study.kinds.KINDS`.
    other_studies : list of str
        Kinds of studies in the folder that are of another run.
    """

    folder: Path
    summary: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    flows: pd.DataFrame
    indices: pd.DataFrame | None
    random_picks: pd.DataFrame | None
    random_equity: pd.DataFrame | None
    without_costs: pd.DataFrame | None
    studies: list[Study] = field(default_factory=list)
    other_studies: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> pd.DataFrame:
        try:
            return self.__dict__['tables'][name]
        except KeyError:
            raise AttributeError(name) from None

    @cached_property
    def days(self) -> pd.DatetimeIndex:
        """The trading days of the run."""
        return pd.DatetimeIndex(self.equity['date'])

    @cached_property
    def values(self) -> np.ndarray:
        """The account, yuan: before the first day, and after each; shape (days + 1,)."""
        return np.concatenate([[self.summary['start_value']], self.equity['total_value'].to_numpy(float)])

    @cached_property
    def flow(self) -> np.ndarray:
        """What came in on each day, yuan; shape (days,)."""
        flow = np.zeros(len(self.days))
        for day, amount in zip(self.flows['date'], self.flows['amount'], strict=True):
            flow[min(bisect_left(self.days, day), len(flow) - 1)] += amount
        return flow

    @cached_property
    def before(self) -> np.ndarray:
        """The account before each day, yuan, to divide by: 1 where it held nothing; shape (days,)."""
        return np.where(self.values[:-1] == 0, 1.0, self.values[:-1])

    @cached_property
    def returns(self) -> np.ndarray:
        """The return of each day, without what came in; shape (days,)."""
        # of an account that holds nothing there is no return
        return np.where(self.values[:-1] == 0, 0.0, (self.values[1:] - self.flow) / self.before - 1)

    @cached_property
    def growth(self) -> np.ndarray:
        """What 1 has become: before the first day, and after each; shape (days + 1,)."""
        return grown(self.returns)

    def index(self, name: str) -> np.ndarray | None:
        """Return the level of ``benchmark`` or ``microcap`` as `growth`; None where the run has none."""
        table = self.equity if name == 'benchmark' else self.indices
        return np.concatenate([[1.0], table[name].to_numpy(float)]) if table is not None and name in table.columns else None

    @property
    def name_of(self) -> dict[str, str]:
        """The stocks' names by code, of those that are known."""
        return self.summary['names']

    @cached_property
    def events(self) -> tuple[list[Any], list[Any]]:
        """The fills and the corporate actions, as `record.round_trips` takes them."""
        return list(self.trades.itertuples(index=False)), list(self.corporate_actions.itertuples(index=False))

    @cached_property
    def profits(self) -> dict[str, float]:
        """What each stock has earned, yuan, as `record.round_trips.profits_by_stock`."""
        held = self.positions[self.positions['date'] == self.days[-1]]
        return profits_by_stock(*self.events, dict(zip(held['code'], held['value'].astype(float), strict=True)))

    @cached_property
    def parked(self) -> set[str]:
        """Codes that only parked idle cash: no stocks that the strategy has chosen."""
        why = self.orders[self.orders['quantity'] > 0].groupby('code')['why'].agg(set)
        return {code for code, reasons in why.items() if reasons == {PARKING}}

    @cached_property
    def chosen(self) -> pd.DataFrame:
        """The positions of each day without what parked idle cash."""
        return self.positions[~self.positions['code'].isin(self.parked)]

    @cached_property
    def closed(self) -> pd.DataFrame:
        """The round trips without what parked idle cash."""
        return self.round_trips[~self.round_trips['code'].isin(self.parked)]

    @property
    def days_a_year(self) -> float:
        """Trading days of the annual figures."""
        return float(self.summary['days_a_year'])

    def annual(self, growth: float) -> float:
        """Return what a growth over the run is a year, by trading days."""
        return annual_return(growth, len(self.days), self.days_a_year)


def read_summary(path: Path) -> dict[str, Any]:
    """Return summary.json.

    Raises
    ------
    DataError
        It is not there, or is none of a run.
    """
    try:
        summary = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise DataError(f'{path}: there is no such file, expected the folder of a run of {command("backtest")} or save_run()'
                        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f'{path}: cannot be read as the summary of a run ({str(error).splitlines()[0]}); make the run again'
                        ) from None
    for name, kind in SUMMARY.items():
        if not isinstance(summary, dict) or not isinstance(summary.get(name), kind) or isinstance(summary[name], bool):
            found = f'no {name}' if isinstance(summary, dict) and name not in summary else 'another kind of content'
            raise DataError(f'{path}, {name}: found {found}, expected the summary of a run; make the run again')
    return summary


def read_run(folder: Path) -> RunFiles:
    """Return a run as its folder tells it.

    Raises
    ------
    DataError
        The folder is none of a run, a file of it is damaged, or its files are of two runs.
    """
    summary = read_summary(folder / 'summary.json')
    tables = {name.removesuffix('.csv'): read_table(folder / name, columns) for name, columns in FILES.items()}
    beside = {name: read_table(folder / name) if (folder / name).exists() else None
              for name in (CASH_FLOWS, INDICES, RANDOM_PICKS, RANDOM_EQUITY, WITHOUT_COSTS)}
    if not len(tables['equity']):
        raise DataError(f'{folder / "equity.csv"}: found no day, expected one or more: the run has nothing to report')
    flows = beside.pop(CASH_FLOWS)
    run = RunFiles(folder, summary, tables, flows if flows is not None else pd.DataFrame(
        {'date': pd.to_datetime([]), 'amount': []}), *beside.values())
    for file, fits in _of_one_run(run):
        if not fits:
            raise DataError(f'{folder / file}: is of another run than summary.json, or a part of it is missing; make the run '
                            'again')
    for kind in KINDS:
        if (folder / kind / STUDY).exists():
            study = read_study(folder / kind)
            if is_of(study, summary):
                run.studies.append(study)
            else:
                run.other_studies.append(kind)
    return run


def is_of(study: Study, summary: dict[str, Any]) -> bool:
    """Return whether a study is of the run that a summary.json tells: the same data, days, strategy, rules and cash.

    And the same result: the study has made that run, too.
    """
    about = study.about
    same = ('end_value', 'trades', 'conventions', 'first_day', 'last_day', 'profile', 'strategy_content')
    own = all(about.get(name) == summary.get(name) for name in same) and summary.get('content') in (None, about['content'])
    own = own and all(_same_place(about.get(name), summary.get(name)) for name in ('data', 'strategy'))
    if not own or about.get('cash') != summary['start_value']:
        return False
    theirs = {part: dict(summary[part]) for part in ('params', 'rules')}
    if summary['strategy'].endswith('.py'):  # a JoinQuant script: it has set rules of its own since, and stands there by a path
        theirs = {'params': theirs['params'], 'given_rules': summary.get('given_rules', {})}
        theirs['params'].pop('script', None)
        if about.get('given_rules', {}) != theirs['given_rules']:
            return False
    return all({name: value for name, value in found.items() if name in about.get(part, {})} == {
        name: value for name, value in about.get(part, {}).items() if name in found} for part, found in theirs.items())


def _same_place(one: Any, other: Any) -> bool:
    """Return whether two texts name the same, be it by an absolute and a relative path."""
    return one == other or None not in (one, other) and Path(one).absolute() == Path(other).absolute()


def _of_one_run(run: RunFiles) -> Iterable[tuple[str, bool]]:
    """Give each file of a run, and whether it goes with the others; in the order in which they rely on each other."""
    summary = run.summary
    yield 'equity.csv', len(run.days) == summary['days'] and math.isclose(run.values[-1], summary['end_value'], rel_tol=1e-12)
    for name, table, count in (('trades', run.trades, 'trades'), ('rejections', run.rejections, 'rejections'),
                               ('round_trips', run.closed, 'closed_trades')):
        yield f'{name}.csv', len(table) == summary[count]
    for name in (INDICES, RANDOM_EQUITY, WITHOUT_COSTS):
        table = getattr(run, name.removesuffix('.csv'))
        yield name, table is None or 'date' in table.columns and table['date'].equals(run.equity['date'])
    yield RANDOM_PICKS, (run.random_picks is None) == (run.random_equity is None) and (
        run.random_picks is None or len(run.random_picks) == run.random_equity.shape[1] - 1)
    try:
        earned = sum(run.profits.values())
    except ValueError:  # a stock that is still held is not among the positions
        earned = math.nan
    yield 'positions.csv', math.isclose(
        earned, run.values[-1] - run.values[0] - run.flow.sum(), rel_tol=1e-9, abs_tol=1e-6 * max(run.values[-1], run.values[0]))
    yield 'prices.csv', set(run.prices['code']) <= set(run.profits)
