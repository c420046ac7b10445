"""Stand-ins for the data services' clients: the calls are noted and answered out of this file, nothing is asked."""

import inspect
import sys
from datetime import date, datetime, timedelta
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest

from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.sources import Request, clock, read

FORMATS = Path(__file__).parents[3] / "shared" / "data" / "formats"
needs_formats = pytest.mark.skipif(not FORMATS.exists(), reason="needs the real answers in ../shared/data/formats")
DAYS = [date(2024, 2, day) for day in (26, 27, 28, 29)]
NOW = datetime(2024, 3, 1, 12)  # a Friday, before the close
NO_NETWORK = OSError("[Errno 101] Network is unreachable")


class FakeClient(ModuleType):
    """A client package; `answers` are functions by the name of the call, `errors` those of the next calls, or None."""

    def __init__(self, name, **answers):
        super().__init__(name)
        self.answers, self.calls, self.errors = answers, [], []

    def __getattr__(self, name):
        if name.startswith("__") or name not in self.answers:
            raise AttributeError(name)
        return partial(self.answer, name)

    def answer(self, name, *arguments, **named):
        self.calls.append((name, arguments, named))
        trouble = self.errors.pop(0) if self.errors else None
        if trouble is not None:
            raise trouble
        return self.answers[name](*arguments, **named)

    def call_names(self):
        return [name for name, *_ in self.calls]

    def install(self, monkeypatch, waits=None, now=NOW):
        """Put it in place of the package; nothing sleeps, and it is midday of `now`."""
        monkeypatch.setitem(sys.modules, self.__name__, self)
        monkeypatch.setattr(clock, "sleep", (waits if waits is not None else []).append)
        monkeypatch.setattr(clock, "now", lambda: now)
        return self


class FakeColumn:
    """A column of a table in a query; compared, it is a condition on the rows."""

    def __init__(self, table, name):
        self.table, self.name = table, name

    def __gt__(self, value):
        assert type(value) in (int, str), "what the real client can write into its SQL"
        return self, value


class FakeQuery:
    """A query as jqdatasdk.query() gives it: columns of one table, picked when it is run."""

    def __init__(self, *columns, conditions=(), order=None):
        self.columns, self.conditions, self.order = columns, conditions, order

    def filter(self, *conditions):
        return FakeQuery(*self.columns, conditions=(*self.conditions, *conditions), order=self.order)

    def order_by(self, column):
        return FakeQuery(*self.columns, conditions=self.conditions, order=column.name)

    def run(self, tables, limit):
        (name,) = {column.table for column in self.columns}  # no joins
        frame = tables[name]
        for column, value in self.conditions:
            frame = frame[frame[column.name] > value]
        frame = frame.sort_values(self.order) if self.order else frame
        return frame[[column.name for column in self.columns]].head(limit).reset_index(drop=True)


class FakeDatabase:
    """A database such as jqdatasdk.finance, a frame per table; an answer has 5,000 rows at most."""

    RESULT_ROWS_LIMIT = 5000

    def __init__(self, client, name, **tables):
        self._client, self._name, self._tables = client, name, tables
        client.answers.setdefault(f"{name}.run_query", lambda query: query.run(tables, self.RESULT_ROWS_LIMIT))

    def __getattr__(self, name):
        if name not in self._tables:
            raise AttributeError(f"database {self._name!r} has no table {name!r}")
        return SimpleNamespace(**{column: FakeColumn(name, column) for column in self._tables[name]})

    def run_query(self, query_object):
        return self._client.answer(f"{self._name}.run_query", query_object)


class PagedResult:
    """An answer as baostock gives it: rows of text, in pages."""

    def __init__(self, fields, rows, page=2000, error=("0", "success"), lost_page=False):
        self.fields, self.per_page_count, self.lost_page = list(fields), str(page), lost_page
        self.error_code, self.error_msg = error
        self.pages = [rows[first : first + page] for first in range(0, len(rows), page)] or [[]]
        self.data, self.row = self.pages.pop(0), 0

    def next(self):
        if self.row < len(self.data):
            return True
        if len(self.data) < int(self.per_page_count) or self.lost_page:
            return False
        self.data, self.row = (self.pages.pop(0) if self.pages else []), 0
        return bool(self.data)

    def get_row_data(self):
        self.row += 1
        return self.data[self.row - 1]

    def get_data(self):
        raise AssertionError("get_data() breaks on a second page")


def check_signatures(stand_in, real, ignore=()):
    """Hold every call that was made against the real client's signature."""
    assert stand_in.calls
    for name, arguments, named in stand_in.calls:
        if name not in ignore:
            inspect.signature(attrgetter(name)(real)).bind(*arguments, **named)


def read_source(name, **fields):
    """Read a source to its end; return the request and the tables, each checked as a strict store does.

    That market caps are known the store asks of the whole market: a single stock may have none.
    """
    fields.setdefault("start", DAYS[0])
    fields.setdefault("end", DAYS[-1])
    request = Request(**fields)
    tables = list(read(name, request))
    for table in tables:
        check_table(table, table.attrs["source"], strict=True, need_cap=False)
        assert list(table.columns) == list(tables[0].columns)
    return request, tables


def rows(table, *columns):
    """Return rows as tuples, days as dates."""
    table = table[list(columns)] if columns else table
    return [tuple(value.date() if isinstance(value, pd.Timestamp) else value for value in row)
            for row in table.itertuples(index=False)]  # fmt: skip


def weekdays(first, last):
    """Return the weekdays of a span."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)
            if (first + timedelta(days=number)).weekday() < 5]  # fmt: skip


def assert_one_line(error, *parts):
    """Hold a DataError against the contract: one line, that says this."""
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text
    return text
