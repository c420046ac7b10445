"""The account file: what is held, the cash, for which strategy it trades, and beside it the journal of all that happened.

Three files of one name. ``account.json`` says how the account began, what it holds now, and how much of the two others counts.
``account.journal.csv`` has every fill, ``account.events.csv`` what changed without an order. These grow, row by row, and are
never changed; they are written beside and renamed, the account last: what a killed process left behind it does not count.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from ..feeds.errors import DataError
from ..feeds.invocation import command
from ..feeds.store.folder import lock_file
from .books import BUY, Books, EventRow, FillRow, Holding, add_up
from .text_tables import csv_text

FORMAT = 1


@dataclass
class Account:
    """An account, as its files say.

    Parameters
    ----------
    path : Path
        Of the account's JSON file.
    begun : date
        Day 0 of the rotation: the first day for which orders were, or are, made.
    cash : float
        Yuan at the start.
    holdings : list of Holding
        Held at the start.
    strategy, rules : dict
        Which strategy it trades, and by which profile, as the command ``orders`` notes them.
    fills, events : list
        All that happened since.
    seen : dict
        Up to which day the data was looked at, and its digest then; empty before the first list.
    issued : list of dict
        The orders of the lists that were written: of the last one, and of those before it of which nothing is booked.
    bookings : list of tuple
        How many fills and events there were before each booking, for `undo`.
    settled : str
        The day up to which the user has said that nothing more was filled; empty where he has not.
    data : str
        Where its data is; empty for the demo market.
    """

    path: Path
    begun: date
    cash: float
    holdings: list[Holding]
    strategy: dict[str, Any]
    rules: dict[str, Any]
    fills: list[FillRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    seen: dict[str, Any] = field(default_factory=dict)
    issued: list[dict[str, Any]] = field(default_factory=list)
    bookings: list[tuple[int, int]] = field(default_factory=list)
    _shrinks: bool = field(default=False, repr=False, compare=False)  # rows were taken back since it was read
    settled: str = ''
    data: str = ''

    @property
    def journal_path(self) -> Path:
        """The file of the fills."""
        return self.path.with_suffix('.journal.csv')

    @property
    def events_path(self) -> Path:
        """The file of what changed without an order."""
        return self.path.with_suffix('.events.csv')

    @property
    def undone_path(self) -> Path:
        """The file of rows that were taken back."""
        return self.path.with_suffix('.undone.csv')

    @property
    def may_owe(self) -> bool:
        """Whether its cash may be below zero: by JoinQuant's sizes, which leave out fees."""
        return not self.rules.get('values', {}).get('size_with_fees', True)

    @property
    def last_day(self) -> date | None:
        """The day of the last change; None before the first."""
        return max([*(row.datetime for row in self.fills), *(row.date for row in self.events)], default=None)

    def held_before(self, code: str, day: int) -> int:
        """Return the shares of a stock before the open of a day, an ordinal; none before the account began."""
        on = date.fromordinal(day)
        if on < self.begun:
            return 0
        return (sum(each.shares for each in self.holdings if each.code == code)
                + sum(row.quantity * (1 if row.side == BUY else -1)
                      for row in self.fills if row.code == code and row.datetime < on)
                + sum(row.shares_after - row.shares_before for row in self.events if row.code == code and row.date < on))

    def books(self, source: str = '') -> Books:
        """Return what is held now; `source` is what messages call the fills.

        Raises
        ------
        DataError
            They do not add up.
        """
        return add_up(self.cash, self.holdings, self.events, self.fills, source or str(self.journal_path), self.may_owe)

    def issue(self, day: date, orders: list[dict[str, Any]]) -> None:
        """Keep a list, and those of earlier days of which nothing is booked."""
        filled = {row.datetime.isoformat() for row in self.fills}
        kept = [each for each in self.issued if each['date'] < day.isoformat() and each['date'] not in filled]
        self.issued = kept + orders

    def undo(self) -> tuple[list[FillRow], list[EventRow]]:
        """Take the last booking back: its rows, which are kept in a file of their own.

        Raises
        ------
        DataError
            Nothing is booked.
        """
        if not self.bookings:
            raise DataError(f'{self.path}: has no booking that could be taken back')
        fills, events = self.bookings.pop()
        taken = self.fills[fills:], self.events[events:]
        before = self.undone_path.read_bytes() if self.undone_path.exists() else csv_text(('kind', *FillRow._fields), []).encode()
        rows = [('fill', *row) for row in taken[0]] + [('event', *row) for row in taken[1]]
        _write(self.undone_path, before + csv_text((), rows).encode())
        self.fills, self.events, self._shrinks = self.fills[:fills], self.events[:events], True
        return taken

    def save(self) -> None:
        """Write the three files, the account's own last."""
        books = self.books()
        journal = csv_text(FillRow._fields, self.fills).encode()
        events = csv_text(EventRow._fields, self.events).encode()
        last = self.last_day
        content = {
            'format': FORMAT, 'begun': self.begun.isoformat(), 'strategy': self.strategy, 'rules': self.rules,
            'opening': {'cash': self.cash, 'holdings': [_holding(each) for each in self.holdings]},
            'day': None if last is None else last.isoformat(),
            'cash': books.cash, 'holdings': [_holding(each) for each in books.holdings()],
            'journal': _mark(journal, len(self.fills)), 'events': _mark(events, len(self.events)),
            'data': self.data, 'settled': self.settled, 'seen': self.seen, 'issued': self.issued,
            'bookings': [list(each) for each in self.bookings],
        }
        content['crc32'] = _checksum(content)
        own = (json.dumps(content, indent=2, ensure_ascii=False) + '\n').encode()
        files = [(self.journal_path, journal), (self.events_path, events)]
        if self._shrinks:
            _write(self.path, own)  # rows are taken back: first they count no more, then they go
        for path, text in files:
            _write(path, text)
        _write(self.path, own)


def load(path: Path) -> Account:
    """Read an account, and check that it is what its journal adds up to.

    Raises
    ------
    DataError
        There is none, it is no account, or a file was changed by hand.
    """
    if not path.is_file():
        raise DataError(f'{path}: there is no account; {command("orders")} --init --account {path} --cash YUAN makes one')
    try:
        content = json.loads(path.read_bytes())
        if content['format'] != FORMAT:
            raise DataError(f'{path}: found an account of format {content["format"]}, expected {FORMAT}')
        if content.pop('crc32') != _checksum(content):
            raise DataError(f'{path}: was changed by hand; leave the file as it was written: book what is missing with '
                            f'{command("fills")}, take a booking back with {command("fills")} --undo, begin another account '
                            f'with {command("orders")} --init')
        opening = content['opening']
        account = Account(path, date.fromisoformat(content['begun']), float(opening['cash']),
                          [_holding_of(each) for each in opening['holdings']], content['strategy'], content['rules'],
                          seen=content['seen'], issued=content['issued'],
                          bookings=[tuple(each) for each in content['bookings']], settled=content['settled'],
                          data=content['data'])
        marks = content['journal'], content['events']
        cash, held = float(content['cash']), [_holding_of(each) for each in content['holdings']]
    except DataError:
        raise
    except (AttributeError, ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        said = f'no entry {error}' if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise DataError(f'{path}: not readable as an account ({said}); expected the file that {command("orders")} --init made, '
                        'or a copy of it') from None
    account.fills = [_fill_of(row, account.journal_path, line)
                     for line, row in _counted(account.journal_path, marks[0], FillRow._fields)]
    account.events = [_event_of(row, account.events_path, line)
                      for line, row in _counted(account.events_path, marks[1], EventRow._fields)]
    books = account.books()
    _check_same(path, books, cash, held)
    return account


def _check_same(path: Path, books: Books, cash: float, held: list[Holding]) -> None:
    """Refuse an account that says something else than its journal."""
    mine = {each.code: each.shares for each in books.holdings()}
    said = {each.code: each.shares for each in held}
    for code in sorted(mine.keys() | said.keys()):
        if mine.get(code, 0) != said.get(code, 0):
            raise DataError(f'{path}: found {said.get(code, 0):,} shares of {code}, expected {mine.get(code, 0):,}, to which '
                            'its journal adds up; leave the file as it was written, and book what is missing as a fill or an '
                            'event')
    if abs(cash - books.cash) > 1e-6:
        raise DataError(f'{path}: found {cash:,.2f} yuan of cash, expected {books.cash:,.2f}, to which its journal adds up; '
                        'leave the file as it was written, and book money that came in or went out, a row with the side CASH')


@contextmanager
def changing(path: Path) -> Iterator[Account]:
    """Hold an account for one writer and give it; who changes it calls `Account.save`.

    Raises
    ------
    DataError
        Another process is at work on it, or it cannot be read.
    """
    with held(path):
        yield load(path)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the files of an account, be they there or not.

    Raises
    ------
    DataError
        Another process is at work on them.
    """
    if not path.absolute().parent.is_dir():
        raise DataError(f'{path}: there is no folder {path.absolute().parent}; make it first')
    with open(path.with_suffix('.lock'), 'a+') as lock:
        if not lock_file(lock.fileno()):
            raise DataError(f'{path}: another process is at work on this account; wait until it is done')
        yield


# -- rows as text -----------------------------------------------------------------------------------------------------------


def _checksum(content: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True, ensure_ascii=False).encode())


def _mark(content: bytes, rows: int) -> dict[str, int]:
    return {'rows': rows, 'bytes': len(content), 'crc32': zlib.crc32(content)}


def _counted(path: Path, mark: dict[str, int], header: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Give the rows of a journal that count, each with its line."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f'{path}: cannot be read ({error.strerror}), expected the journal of the account beside it') from None
    counted = content[:mark['bytes']]
    if len(counted) < mark['bytes'] or zlib.crc32(counted) != mark['crc32']:
        raise DataError(f'{path}: found other rows than the account has booked; a journal only grows, by {command("fills")}: '
                        'put back the file as it was written')
    reader = csv.DictReader(io.StringIO(counted.decode(), newline=''))
    if tuple(reader.fieldnames or ()) != header:
        raise DataError(f'{path}: found the columns {", ".join(reader.fieldnames or ())}, expected {", ".join(header)}')
    for row in reader:
        yield reader.line_num, row


def _number(text: str) -> float:
    return float(text) if text else math.nan


def _fill_of(row: dict[str, str], path: Path, line: int) -> FillRow:
    try:
        return FillRow(date.fromisoformat(row['datetime']), row['code'], row['side'], int(row['quantity']), float(row['price']),
                       float(row['commission']), float(row['tax']), float(row['transfer_fee']), _number(row['open']),
                       _number(row['reference_price']), row['order_id'], row['time'], row['fill_id'])
    except ValueError as error:
        raise DataError(f'{path}, line {line}: {error}') from None


def _event_of(row: dict[str, str], path: Path, line: int) -> EventRow:
    try:
        return EventRow(date.fromisoformat(row['date']), row['code'], row['action'], int(row['shares_before']),
                        int(row['shares_after']), float(row['cash']), float(row['ratio']), float(row['dividend']),
                        row['event_id'])
    except ValueError as error:
        raise DataError(f'{path}, line {line}: {error}') from None


def _holding(each: Holding) -> dict[str, Any]:
    return {**each._asdict(), 'bought': None if each.bought is None else each.bought.isoformat()}


def _holding_of(content: dict[str, Any]) -> Holding:
    bought = content.get('bought')
    return Holding(content['code'], int(content['shares']), int(content['sellable']), float(content['cost']),
                   None if bought is None else date.fromisoformat(bought))


def _write(path: Path, content: bytes) -> None:
    """Write a file beside its place, on the disk for sure, then rename it."""
    part = path.with_name(path.name + '.part')
    with open(part, 'wb') as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, path)
