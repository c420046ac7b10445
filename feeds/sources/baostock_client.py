"""The client of baostock.com, kept from spinning and waiting for ever, and counted: an address may make 50,000 calls a day."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from . import clock
from .retries import BusyError, RefusalError, StopError, import_client, suppress_output

NOT_LOGGED_IN, TOO_MANY_LOGINS, BARRED, NETWORK_ERROR_PREFIX = '10001001', '10001005', '10001011', '10002'  # numbers of errors
CONNECT_TIMEOUT, ANSWER_TIMEOUT, WHOLE_ANSWER_TIMEOUT = 15.0, 60.0, 300.0  # seconds; of a part of an answer, of all of it
CALLS_A_DAY, MARGIN = 50_000, 500  # that an address may make; that are left alone, for what else asks from this address
PAGE = 2000  # rows in a page
WHOLE_ANSWERS = ('query_daily_history_k_AStock',)  # calls that answer in one page, whatever the client believes of it
GO_ON = 'go on tomorrow with the same command, what was read is kept'
_SAVED_EVERY = 50  # calls


class _Connection:
    """A connection that is given up after some time, and tells of its end: the client itself would wait, or spin, for ever."""

    def __init__(self, connection: Any) -> None:
        self._connection, self._until = connection, 0.0

    def connect(self, address: Any) -> None:
        self._connection.settimeout(CONNECT_TIMEOUT)
        self._connection.connect(address)
        self._connection.settimeout(ANSWER_TIMEOUT)

    def send(self, data: bytes) -> int:
        self._until = clock.monotonic() + WHOLE_ANSWER_TIMEOUT
        return self._connection.send(data)

    def recv(self, size: int) -> bytes:
        left = self._until - clock.monotonic()
        if left <= 0:
            raise TimeoutError('the answer takes too long')
        self._connection.settimeout(min(ANSWER_TIMEOUT, left))
        received = self._connection.recv(size)
        if not received:
            raise ConnectionError('the connection was closed')
        return received

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class _Sockets:
    """Stands for the module socket inside the client, so that all its connections are such."""

    def socket(self, *arguments: Any, **named: Any) -> _Connection:
        return _Connection(socket.socket(*arguments, **named))

    def __getattr__(self, name: str) -> Any:
        return getattr(socket, name)


class CallCount:
    """The calls of a day, kept beside the answers, so that they are counted over all runs.

    Parameters
    ----------
    folder : Path, optional
        The cache; without it a run alone is counted.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else Path(folder, 'baostock', 'calls of the day.json')
        self._day, self.calls, self._unsaved = str(clock.today()), 0, 0
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            held = json.loads(self._path.read_text()) if self._path is not None else {}
            self.calls = int(held['calls']) if held['day'] == self._day else 0

    def add(self, calls: int = 1) -> None:
        """Count, before calls are made.

        Raises
        ------
        StopError
            The day's calls are used up.
        """
        if (day := str(clock.today())) != self._day:
            self._day, self.calls = day, 0
        if self.calls + calls > CALLS_A_DAY - MARGIN:
            self.save()
            raise StopError(f'baostock: {self.calls:,} calls were made today, of {CALLS_A_DAY:,} that an address may make a day '
                            f'before it is barred for hours; {GO_ON}')
        self.calls += calls
        self._unsaved += calls
        if self._unsaved >= _SAVED_EVERY:
            self.save()

    def save(self) -> None:
        """Write the count."""
        if self._path is None or not self._unsaved:
            return
        part = self._path.with_name(f'{self._path.name}.part{os.getpid()}')
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({'day': self._day, 'calls': self.calls}))
            os.replace(part, self._path)
        self._unsaved = 0


class Client:
    """A session: logs in when it is first needed, and again when the session or the connection is lost.

    Parameters
    ----------
    folder : Path, optional
        The cache, in which the day's calls are counted.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.client: ModuleType = import_client('baostock', 'baostock')
        self.count = CallCount(folder)
        self._logged_in = False

    def query(self, call: str, *arguments: str, **named: str) -> pd.DataFrame:
        """Make a call and walk all pages of its answer."""
        with _own_sockets():
            if not self._logged_in:
                self.count.add()
                self._check(self.client.login())
                self._logged_in = True
            self.count.add()
            result = getattr(self.client, call)(*arguments, **named)
            if call in WHOLE_ANSWERS:
                self._check(result)
                return pd.DataFrame(result.data, columns=result.fields or None, dtype=object)
            rows = []
            while result.error_code == '0' and result.next():  # get_data() breaks on a second page
                rows.append(result.get_row_data())
                if len(rows) % PAGE == 0:
                    self.count.add()  # the next page
            self._check(result)
            if rows and len(result.data) == int(result.per_page_count):  # after the last page data is empty or shorter
                self._logged_in = False
                raise BusyError(f'the page after row {len(rows)} did not arrive')
            return pd.DataFrame(rows, columns=result.fields or None, dtype=object)

    def _check(self, result: Any) -> None:
        if result.error_code == '0':
            return
        message = f'{result.error_code} {result.error_msg}'
        if result.error_code in (NOT_LOGGED_IN, TOO_MANY_LOGINS) or result.error_code.startswith(NETWORK_ERROR_PREFIX):
            self._logged_in = False  # an answer that comes late would be taken for that of the next call: connect anew
            raise BusyError(message)
        if result.error_code == BARRED:
            raise RefusalError(message, f'baostock has barred this address, as it does for hours after {CALLS_A_DAY:,} calls '
                                        f'a day or too many at once; {self.count.calls:,} were counted here today; {GO_ON}',
                               stop=True)
        raise ValueError(message)

    def close(self) -> None:
        """Log out."""
        self.count.save()
        if self._logged_in:
            with contextlib.suppress(Exception), suppress_output(), _own_sockets():
                self.client.logout()


@contextlib.contextmanager
def _own_sockets() -> Iterator[None]:
    try:
        module = importlib.import_module('baostock.util.socketutil')
    except (ImportError, AttributeError):
        yield
        return
    before = module.socket
    module.socket = _Sockets()
    try:
        yield
    finally:
        module.socket = before
