"""What screens and ranks are made of: one vector over all stocks, of a day's cross-section, combined by ordinary Python.

::

    cheap_and_good = cap_between(2e9, 3e9) & (column('roe') > 0.1) & ~opens_at_high_limit
    small_and_quiet = market_cap / 1e9 + 2 * volatility(20)

A `Value` is one number per stock, a `Screen` one yes or no. Both are called with a `CrossSection`, as any function that takes
one and returns a vector: such a function can stand wherever a piece can.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..feeds.universe import CrossSection

CHEAP: set[Callable[..., Any]] = set()  # functions that only read a column: to keep what they read costs more than it saves
OURS = __name__.partition('.')[0] + '.'  # the package, whose functions are the same in every run

# How a combination is written.
_SIGNS = {
    operator.and_: '&', operator.or_: '|', operator.gt: '>', operator.ge: '>=', operator.lt: '<', operator.le: '<=',
    operator.eq: '==', operator.ne: '!=', operator.add: '+', operator.sub: '-', operator.mul: '*', operator.truediv: '/',
}


class Piece:
    """One vector over all stocks, of a cross-section.

    A piece holds no state of a run, can be pickled where its function can, and is worked out once a day, however often it is
    asked for by the same section.

    Parameters
    ----------
    function : callable
        Takes the section and the arguments, returns a vector of shape (stocks,).
    *args
        What the function takes beside the section.
    name : str, optional
        How the piece is written where it has no arguments; by default the function's name.
    """

    def __init__(self, function: Callable[..., np.ndarray], *args: Any, name: str = '') -> None:
        self.function, self.args, self.name = function, args, name or function.__name__.lstrip('_')

    def __call__(self, section: CrossSection, among: np.ndarray | None = None) -> np.ndarray:
        """Return the vector.

        Parameters
        ----------
        section : CrossSection
        among : ndarray of bool, shape (stocks,), optional
            The stocks to compare with each other, for pieces such as `ranks.weighted_ranks`; others do without.

        Returns
        -------
        ndarray, shape (stocks,)
            Not to be changed in place.
        """
        key = self.function, self.args
        found = section.memo.get(key)
        if found is None:
            found = section.memo[key] = self._shared(section, key)
        return found

    def _shared(self, section: CrossSection, key: Any) -> np.ndarray:
        """Work the vector out, or take it from another run of a study; what a function of the user's does is not known."""
        vectors, day = section.shared
        if vectors is None or self.function in CHEAP or not (_is_ours(self.function) and all(map(_is_plain, self.args))):
            return self.function(section, *self.args)
        found = vectors.get((day, key))
        if found is None:
            found = self.function(section, *self.args)
            vectors.put((day, key), found)
        return found

    def __repr__(self) -> str:
        return f'{self.name}({", ".join(map(repr, self.args))})' if self.args else self.name

    def __bool__(self) -> bool:
        raise TypeError(f'{self!r} is one yes or no per stock: combine with & | ~ instead of and, or, not, and write a < b < c '
                        'as (a < b) & (b < c)')

    __hash__ = object.__hash__  # Value defines ==, which makes a Screen


def _is_ours(function: Any) -> bool:
    """Return whether a function is one of the package, by itself: neither a piece around others nor a wrapper."""
    home = sys.modules.get(getattr(function, '__module__', None) or '')
    return (home is not None and home.__name__.startswith(OURS) and not hasattr(function, '__wrapped__')
            and vars(home).get(getattr(function, '__name__', '')) is function)


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float)) or isinstance(value, tuple) and all(map(_is_plain, value))


class _Combination:
    """An operator over pieces, plain functions of a section, and numbers."""

    def __init__(self, operation: Callable[..., np.ndarray], *parts: Any) -> None:
        self.operation, self.parts = operation, parts

    def __call__(self, section: CrossSection, among: np.ndarray | None = None) -> np.ndarray:
        return self.operation(*(_worked_out(part, section, among) for part in self.parts))

    def __repr__(self) -> str:
        shown = [_written(part) if not isinstance(part, _Combination) or len(part.parts) == 1 else f'({part!r})'
                 for part in self.parts]
        if len(shown) == 1:
            return f'{"~" if self.operation is operator.invert else "-"}{shown[0]}'
        return f'{shown[0]} {_SIGNS[self.operation]} {shown[1]}'


def _written(part: Any) -> str:
    return part.__name__ if callable(part) and not isinstance(part, Piece) and hasattr(part, '__name__') else repr(part)


def _worked_out(part: Any, section: CrossSection, among: np.ndarray | None) -> Any:
    if isinstance(part, (Piece, _Combination)):
        return part(section, among)
    return part(section) if callable(part) else part


class Screen(Piece):
    """One yes or no per stock: whether it is kept. ``&``, ``|`` and ``~`` combine screens."""

    def __and__(self, other: Any) -> Screen:
        return _Screen(operator.and_, self, _checked(other))

    def __rand__(self, other: Any) -> Screen:
        return _Screen(operator.and_, _checked(other), self)

    def __or__(self, other: Any) -> Screen:
        return _Screen(operator.or_, self, _checked(other))

    def __ror__(self, other: Any) -> Screen:
        return _Screen(operator.or_, _checked(other), self)

    def __invert__(self) -> Screen:
        return _Screen(operator.invert, self)


class Value(Piece):
    """One number per stock, NaN where it is not known. Comparisons make a `Screen`, arithmetic makes a `Value`.

    A comparison with NaN is no, so that a stock of which the number is not known is left out; under ``~`` it is kept.
    """

    def __gt__(self, other: Any) -> Screen:
        return _Screen(operator.gt, self, other)

    def __ge__(self, other: Any) -> Screen:
        return _Screen(operator.ge, self, other)

    def __lt__(self, other: Any) -> Screen:
        return _Screen(operator.lt, self, other)

    def __le__(self, other: Any) -> Screen:
        return _Screen(operator.le, self, other)

    def __eq__(self, other: object) -> Screen:  # type: ignore[override]
        return _Screen(operator.eq, self, other)

    def __ne__(self, other: object) -> Screen:  # type: ignore[override]
        return _Screen(operator.ne, self, other)

    def __add__(self, other: Any) -> Value:
        return _Value(operator.add, self, other)

    def __radd__(self, other: Any) -> Value:
        return _Value(operator.add, other, self)

    def __sub__(self, other: Any) -> Value:
        return _Value(operator.sub, self, other)

    def __rsub__(self, other: Any) -> Value:
        return _Value(operator.sub, other, self)

    def __mul__(self, other: Any) -> Value:
        return _Value(operator.mul, self, other)

    def __rmul__(self, other: Any) -> Value:
        return _Value(operator.mul, other, self)

    def __truediv__(self, other: Any) -> Value:
        return _Value(divided, self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return _Value(divided, other, self)

    def __and__(self, other: Any) -> Screen:
        return _checked(self)  # an error: a number is no yes or no

    __rand__ = __or__ = __ror__ = __and__

    def __neg__(self) -> Value:
        return _Value(operator.neg, self)

    __hash__ = object.__hash__


def divided(left: Any, right: Any) -> np.ndarray:
    """Return a quotient, NaN or infinite where it is not known, without a warning."""
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.true_divide(left, right)


_SIGNS[divided] = '/'


class _Screen(_Combination, Screen):
    """A screen made of pieces."""


class _Value(_Combination, Value):
    """A value made of pieces."""


def _checked(part: Any) -> Any:
    """Return what may stand beside & or |: a screen, or a function that makes a mask."""
    if isinstance(part, Value) or not callable(part):
        raise TypeError(f'found {part!r} beside & or |, expected a screen or a function of a section; comparisons need brackets: '
                        '(a > 1) & (b < 2)')
    return part
