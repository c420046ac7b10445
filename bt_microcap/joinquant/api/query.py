"""``query(...)`` objects: columns of the platform's tables, conditions, order and limit, over vectors of all stocks.

Conditions have three values, as in SQL: what compares with a value that is not known is neither true nor false, and is left out.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from .errors import Unsupported

UNNAMED = 'anon'  # of arithmetic without a label


class Rows(Protocol):
    """Gives a column of a table for all stocks of a day."""

    codes: np.ndarray

    def column(self, table: str, field: str) -> np.ndarray:
        """Return the values, NaN where they are not known."""

    def places(self, codes: Iterable[str]) -> np.ndarray:
        """Return a mask of some codes."""


def _text(other: Any) -> bool:
    return isinstance(other, str)


class Expression:
    """A column, or what arithmetic makes of columns; comparisons make a `Condition`."""

    __hash__ = object.__hash__

    def __init__(self, work: Callable[[Rows], np.ndarray], used: tuple[tuple[str, str], ...], name: str) -> None:
        self.work, self.used, self.name = work, used, name

    def label(self, name: str) -> Expression:
        """Return the same under another name of its column."""
        return Expression(self.work, self.used, name)

    def _with(self, other: Any, how: Callable[[Any, Any], Any], swapped: bool = False) -> Expression:
        def work(rows: Rows) -> np.ndarray:
            left, right = value_of(self, rows), value_of(other, rows)
            with np.errstate(all='ignore'):
                out = how(right, left) if swapped else how(left, right)
                return np.where(np.isfinite(out), out, np.nan)  # SQL has no infinity: what is divided by 0 is not known

        return Expression(work, (*self.used, *used_by(other)), UNNAMED)

    def _compare(self, other: Any, how: Callable[[Any, Any], Any]) -> Condition:
        def work(rows: Rows) -> np.ndarray:
            left, right = value_of(self, rows), value_of(other, rows)
            if isinstance(left, np.ndarray) and left.dtype.kind == 'M' and not isinstance(right, np.ndarray):
                right = np.datetime64(str(right)[:10], 'D')
            found = np.asarray(how(left, right), dtype=float)
            return np.where(_unknown(left) | _unknown(right), np.nan, found)

        return Condition(work, (*self.used, *used_by(other)))

    def __add__(self, other: Any) -> Expression:
        return self._with(other, operator.add)

    def __radd__(self, other: Any) -> Expression:
        return self._with(other, operator.add, True)

    def __sub__(self, other: Any) -> Expression:
        return self._with(other, operator.sub)

    def __rsub__(self, other: Any) -> Expression:
        return self._with(other, operator.sub, True)

    def __mul__(self, other: Any) -> Expression:
        return self._with(other, operator.mul)

    def __rmul__(self, other: Any) -> Expression:
        return self._with(other, operator.mul, True)

    def __truediv__(self, other: Any) -> Expression:
        return self._with(other, operator.truediv)

    def __rtruediv__(self, other: Any) -> Expression:
        return self._with(other, operator.truediv, True)

    def __neg__(self) -> Expression:
        return self._with(-1, operator.mul)

    def __gt__(self, other: Any) -> Condition:
        return self._compare(other, operator.gt)

    def __ge__(self, other: Any) -> Condition:
        return self._compare(other, operator.ge)

    def __lt__(self, other: Any) -> Condition:
        return self._compare(other, operator.lt)

    def __le__(self, other: Any) -> Condition:
        return self._compare(other, operator.le)

    def __eq__(self, other: Any) -> Condition:  # type: ignore[override]
        return self.is_(None) if other is None else self._compare(other, operator.eq)

    def __ne__(self, other: Any) -> Condition:  # type: ignore[override]
        return self.isnot(None) if other is None else self._compare(other, operator.ne)

    def between(self, low: Any, high: Any) -> Condition:
        """Return whether it lies in a range, both ends in."""
        return (self >= low) & (self <= high)

    def in_(self, others: Iterable[Any]) -> Condition:
        """Return whether it is one of some codes or numbers."""
        others = list(others)

        def work(rows: Rows) -> np.ndarray:
            if all(map(_text, others)) and self.name == 'code':
                return rows.places(others).astype(float)
            values = value_of(self, rows)
            return np.where(_unknown(values), np.nan, np.isin(values, others))

        return Condition(work, self.used)

    def notin_(self, others: Iterable[Any]) -> Condition:
        """Return whether it is none of some codes or numbers."""
        return ~self.in_(others)

    not_in = notin_

    def is_(self, other: Any) -> Condition:
        """Return whether it is not known; ``None`` alone can be asked for."""
        return Condition(lambda rows: _unknown(value_of(self, rows)).astype(float), self.used)

    def isnot(self, other: Any) -> Condition:
        """Return whether it is known."""
        return ~self.is_(other)

    is_not = isnot

    def like(self, pattern: str) -> Condition:
        """Return whether a code is like a pattern of SQL: ``%`` for any text, ``_`` for a sign."""
        import re

        wanted = re.compile(''.join({'%': '.*', '_': '.'}.get(sign, re.escape(sign)) for sign in pattern), re.S)
        return Condition(lambda rows: np.array([bool(wanted.fullmatch(str(value))) for value in value_of(self, rows)], float),
                         self.used)

    def startswith(self, text: str) -> Condition:
        """Return whether a code begins with some digits."""
        return self.like(f'{text}%')

    def asc(self) -> Order:
        """Return the order with the smallest first."""
        return Order(self, False)

    def desc(self) -> Order:
        """Return the order with the largest first."""
        return Order(self, True)


class Condition:
    """A yes, a no or neither per stock: 1, 0, NaN. Combined by ``&``, ``|``, ``~``."""

    def __init__(self, work: Callable[[Rows], np.ndarray], used: tuple[tuple[str, str], ...]) -> None:
        self.work, self.used = work, used

    def __and__(self, other: Condition) -> Condition:
        def work(rows: Rows) -> np.ndarray:
            left, right = self.work(rows), other.work(rows)
            return np.where((left == 0) | (right == 0), 0.0, left * right)

        return Condition(work, self.used + other.used)

    def __or__(self, other: Condition) -> Condition:
        def work(rows: Rows) -> np.ndarray:
            left, right = self.work(rows), other.work(rows)
            return np.where((left == 1) | (right == 1), 1.0, left * right)

        return Condition(work, self.used + other.used)

    def __invert__(self) -> Condition:
        return Condition(lambda rows: 1 - self.work(rows), self.used)

    def __bool__(self) -> bool:
        raise Unsupported('a condition of a query has no truth of its own: combine conditions with &, |, ~ in brackets, or give '
                          'filter() several')


class Order:
    """By what a query orders its rows."""

    def __init__(self, by: Expression, falling: bool) -> None:
        self.by, self.falling = by, falling


class Field(Expression):
    """A column of a table."""

    def __init__(self, table: str, field: str) -> None:
        super().__init__(lambda rows: rows.column(table, field), ((table, field),), field)
        self.table, self.field = table, field


class Table:
    """A table of the platform, such as ``valuation``; its fields are attributes.

    Parameters
    ----------
    name : str
    fields : tuple of str
        All that it has on the platform.
    """

    def __init__(self, name: str, fields: tuple[str, ...]) -> None:
        self._name, self._fields = name, frozenset(fields)
        self._whole = fields

    def __getattr__(self, field: str) -> Field:
        if field.startswith('__') or field not in self._fields:
            raise AttributeError(f'{self._name} has no field {field!r}; it has {", ".join(self._whole)}')
        found = self.__dict__[field] = Field(self._name, field)
        return found


class Query:
    """What a script asks for, unchanged by what is added: each step returns another one."""

    def __init__(self, asked: tuple[Any, ...]) -> None:
        self.asked = asked
        self.filters: tuple[Condition, ...] = ()
        self.orders: tuple[Order, ...] = ()
        self.most: int | None = None
        self.skipped = 0

    def _more(self, **changes: Any) -> Query:
        made = Query(self.asked)
        made.__dict__.update({**self.__dict__, **changes})
        return made

    def filter(self, *conditions: Any) -> Query:
        """Return the query with further conditions, all of which must hold."""
        for condition in conditions:
            if not isinstance(condition, (Condition, Expression, bool, np.bool_)):
                raise Unsupported(f'filter() takes conditions such as valuation.market_cap > 20, found {condition!r}')
        fixed = [Condition(lambda rows, held=held: np.full(len(rows.codes), float(held)), ())
                 if isinstance(held, (bool, np.bool_)) else held != 0 if isinstance(held, Expression) else held
                 for held in conditions]
        return self._more(filters=(*self.filters, *fixed))

    def order_by(self, *orders: Any) -> Query:
        """Return the query with an order, the first counting most."""
        made = [order if isinstance(order, Order) else Order(order, False) for order in orders if order is not None]
        return self._more(orders=(*self.orders, *made))

    def limit(self, most: int | None) -> Query:
        """Return the query with at most some rows."""
        return self._more(most=None if most is None else int(most))

    def offset(self, count: int) -> Query:
        """Return the query without its first rows."""
        return self._more(skipped=int(count))

    def group_by(self, *columns: Any) -> Query:
        """Refuse what a query cannot do here."""
        raise Unsupported('group_by() is not supported: take the rows with get_fundamentals() and group them with pandas')

    having = join = distinct = group_by

    @property
    def columns(self) -> list[Expression]:
        """The columns that are asked for."""
        found: list[Expression] = []
        for asked in self.asked:
            found += [getattr(asked, field) for field in asked._whole] if isinstance(asked, Table) else [asked]
        return found

    @property
    def used(self) -> set[tuple[str, str]]:
        """The fields that are looked at, each as table and field."""
        parts = [*self.columns, *self.filters, *(order.by for order in self.orders)]
        return {field for part in parts for field in part.used}


def query(*asked: Any) -> Query:
    """Return a query for tables or columns."""
    for part in asked:
        if not isinstance(part, (Table, Expression)):
            raise Unsupported(f'query() takes tables and fields such as valuation.market_cap, found {part!r}')
    return Query(asked)


def chosen(asked: Query, rows: Rows, mask: np.ndarray) -> np.ndarray:
    """Return the places of the stocks that a query gives, in its order.

    Parameters
    ----------
    asked : Query
    rows : Rows
    mask : ndarray of bool, shape (stocks,)
        Which stocks the tables have.
    """
    for condition in asked.filters:
        mask = mask & (condition.work(rows) == 1)
    places = np.flatnonzero(mask)
    for order in reversed(asked.orders):
        values = value_of(order.by, rows)[places]
        if values.dtype.kind in 'fiu':
            values = np.where(np.isnan(values), -np.inf, values)  # what is not known is the smallest, as in MySQL
            places = places[np.argsort(-values if order.falling else values, kind='stable')]
        else:
            ranks = np.unique(values, return_inverse=True)[1]
            places = places[np.argsort(-ranks if order.falling else ranks, kind='stable')]
    end = None if asked.most is None else asked.skipped + asked.most
    return places[asked.skipped:end]


def value_of(part: Any, rows: Rows) -> Any:
    """Return the vector of an expression; anything else as it is."""
    return part.work(rows) if isinstance(part, (Expression, Condition)) else part


def used_by(part: Any) -> tuple[tuple[str, str], ...]:
    """Return the fields of an expression; none of a number."""
    return part.used if isinstance(part, Expression) else ()


def _unknown(values: Any) -> np.ndarray:
    values = np.asarray(values)
    return np.isnan(values) if values.dtype.kind == 'f' else np.zeros(values.shape, bool)


def and_(*conditions: Condition) -> Condition:
    """Return whether all conditions hold."""
    found = conditions[0]
    for condition in conditions[1:]:
        found = found & condition
    return found


def or_(*conditions: Condition) -> Condition:
    """Return whether any condition holds."""
    found = conditions[0]
    for condition in conditions[1:]:
        found = found | condition
    return found


def not_(condition: Condition) -> Condition:
    """Return whether a condition does not hold."""
    return ~condition


def desc(by: Expression) -> Order:
    """Return the order with the largest first."""
    return Order(by, True)


def asc(by: Expression) -> Order:
    """Return the order with the smallest first."""
    return Order(by, False)
