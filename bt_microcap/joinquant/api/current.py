"""``get_current_data()``: what is known of each stock at the moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .session import Session


class Current:
    """One stock now; every attribute is looked up when it is asked for."""

    __slots__ = ('_data', '_place', 'code')

    def __init__(self, data: CurrentData, code: str, place: int) -> None:
        self._data, self.code, self._place = data, code, place

    def __getattr__(self, name: str) -> Any:
        if name in ('last_price', 'day_open', 'high_limit', 'low_limit', 'paused', 'is_st'):
            return self._data.session.fact(name)[self._place]
        if name == 'name':
            return self._data.session.strategy.reference.name_now(self._place)
        if name == 'industry_code':
            return self._data.session.strategy.reference.industry_of(self._place)
        raise AttributeError(f'get_current_data()[...] has no {name!r}; it has last_price, day_open, high_limit, low_limit, '
                             'paused, is_st, name, industry_code')


class CurrentData:
    """All stocks now; a mapping from codes.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._made: dict[str, Current] = {}

    def __getitem__(self, code: str) -> Current:
        found = self._made.get(code)
        if found is None:
            found = self._made[code] = Current(self, code, self.session.stock(code))
        return found

    def __contains__(self, code: object) -> bool:
        return code in self.session.number

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)

    def get(self, code: str, default: Any = None) -> Any:
        """Return a stock, or the default where there is none."""
        return self[code] if code in self else default  # noqa: SIM401 - this is get()

    def keys(self) -> list[str]:
        """Return the codes that were looked up, as on the platform."""
        return list(self._made)
