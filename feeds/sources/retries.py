"""Asking a service that may be busy, refuse, or answer with nothing: what is asked again, when, and what is said in the end."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import json
import os
import random
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pandas as pd

from ..errors import DataError
from . import clock

Fetch = Callable[[], pd.DataFrame]
SECRET_VARIABLES = ('TUSHARE_TOKEN', 'TS_TOKEN', 'JQDATA_PASSWORD', 'JQDATA_USER')
NETWORK_MODULES = ('requests', 'urllib3', 'thriftpy2', 'http', 'socket', 'jqdatasdk', 'akshare')  # of errors that may pass
WRONG_CALLS = ('InvalidParameterError',)  # of these modules, errors that do not
TEMPORARY_ERROR_WORDS = (
    '每分钟', '/分钟', '频繁', '频率', '稍后', '连接被关闭', '超时', 'too many requests', 'timed out', 'timeout')
# limits by the hour or the day are the account's: asking again after some seconds only uses them up
ACCOUNT_LIMIT = re.compile(r'/\s*(?:小时|天|日)|每个?(?:小时|天)|每日(?:最|限)|最大查询')


class BusyError(Exception):
    """The source answered that it cannot answer now.

    Parameters
    ----------
    message : str
    wait : float
        Seconds until it is worth while to ask again, where that is known.
    """

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class EmptyAnswerError(BusyError):
    """The source answered with nothing, where there must be something."""


class RefusalError(Exception):
    """The source refuses, and what to do about it is known.

    Parameters
    ----------
    message : str
        The source's words.
    advice : str
        Ours.
    stop : bool
        It will refuse everything else as well, for some hours or until tomorrow.
    """

    def __init__(self, message: str, advice: str, stop: bool = False) -> None:
        super().__init__(message)
        self.advice, self.stop = advice, stop


class RefusedError(DataError):
    """The source answered that it will not: asking again does not help."""


class StopError(RefusedError):
    """The source answers nothing more for now: what is optional is not to be done without, it is to be asked for later."""


class UnansweredError(DataError):
    """No answer, however often it was asked; `empty` where all that came was nothing."""

    def __init__(self, message: str, empty: bool = False) -> None:
        super().__init__(message)
        self.empty = empty


def import_client(package: str, extra: str) -> ModuleType:
    """Import a source's client package; a `DataError` names the command that installs it."""
    try:
        with suppress_output():
            return importlib.import_module(package)
    except ImportError as error:
        reason = one_line_message(error)
        raise DataError(f'{extra}: cannot import {package} ({reason}); pip install "bt-microcap[{extra}]"') from None


@contextlib.contextmanager
def suppress_output() -> Iterator[None]:
    """Keep what the clients print, such as ``login success!`` and bars, off the screen."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def http_timeout(seconds: float) -> Iterator[None]:
    """Give the requests of a client that sets no time-out of its own one; without, a silent server holds it for ever."""
    adapters: Any = sys.modules.get('requests.adapters')
    if adapters is None:
        yield
        return
    send = adapters.HTTPAdapter.send

    @functools.wraps(send)
    def send_in_time(self: Any, request: Any, stream: bool = False, timeout: Any = None, *rest: Any, **more: Any) -> Any:
        return send(self, request, stream, seconds if timeout is None else timeout, *rest, **more)

    adapters.HTTPAdapter.send = send_in_time
    try:
        yield
    finally:
        adapters.HTTPAdapter.send = send


def one_line_message(error: BaseException) -> str:
    """Return an error as one line, without the user's secrets."""
    text = ' '.join(str(error).split()) or type(error).__name__
    for name in SECRET_VARIABLES:
        if os.environ.get(name):
            text = text.replace(os.environ[name], '***')
    return re.sub(r'//[^/@\s]+@', '//***@', text)[:200]


def is_temporary(error: Exception) -> bool:
    """Tell whether an error is the network's, or a busy source's: one that asking again may mend."""
    if isinstance(error, BusyError):
        return True
    if ACCOUNT_LIMIT.search(str(error)) or type(error).__name__ in WRONG_CALLS:
        return False
    if isinstance(error, RefusalError):
        return False
    modules = {base.__module__.split('.')[0] for base in type(error).__mro__}
    kind = isinstance(error, (OSError, json.JSONDecodeError)) or bool(modules & set(NETWORK_MODULES))
    return kind or any(word in str(error).lower() for word in TEMPORARY_ERROR_WORDS)


def with_retries(
    call: Fetch, attempts: int = 5, wait: float = 2.0, what: str = 'the source', advice: str = '',
    empty_attempts: int | None = None,
) -> pd.DataFrame:
    """Make a call, and again after temporary errors, each time after twice the wait.

    Parameters
    ----------
    call : callable
    attempts : int
    wait : float
        Seconds before the second attempt.
    what : str
        What messages call it.
    advice : str
        What to do where there is no answer, of this source.
    empty_attempts : int, optional
        How often nothing is taken for no answer, where that is less.

    Raises
    ------
    RefusedError
        The source will not.
    UnansweredError
        It did not answer in all attempts, or only with nothing.
    """
    reason, empty, pause, nothing = '', True, 0.0, 0
    for attempt in range(attempts):
        if attempt:
            clock.sleep(max(pause, wait * 2 ** (attempt - 1)))
        try:
            with suppress_output():
                return call()
        except DataError:
            raise
        except Exception as error:  # noqa: BLE001  clients raise bare Exceptions
            reason, pause = one_line_message(error), getattr(error, 'wait', 0.0)
            if not is_temporary(error):
                more = f'; {error.advice}' if isinstance(error, RefusalError) else ''
                kind = StopError if getattr(error, 'stop', False) else RefusedError
                raise kind(f'{what}: the source refuses: {reason}{more}') from None
            nothing += isinstance(error, EmptyAnswerError)
            empty &= isinstance(error, EmptyAnswerError)
            if empty_attempts is not None and nothing >= empty_attempts:
                empty = True
                break
    if empty:
        advice = advice or 'the source is busy or limits this address: start again later'
        raise UnansweredError(f'{what}: {nothing} answers without rows, where there must be some ({reason}); {advice}; nothing '
                              'of them is kept, what was read before is', empty=True)
    advice = f': {advice}' if advice else ''
    raise UnansweredError(f'{what}: no answer in {attempts} attempts ({reason}); no network, or the source is down: start again '
                          f'later{advice}')


class Throttle:
    """Let through a number of calls in a number of seconds; the next one waits."""

    def __init__(self, calls: int, seconds: float) -> None:
        self.seconds_per_call = seconds / calls
        self.pace = f'{calls} calls in {seconds:g} s'
        self._seconds = seconds
        self._times: deque[float] = deque(maxlen=calls)

    def __call__(self) -> None:
        """Wait until a call may be made."""
        if len(self._times) == self._times.maxlen:
            clock.sleep(max(0.0, self._times[0] + self._seconds - clock.monotonic()))
        self._times.append(clock.monotonic())


class Pauses:
    """Let through one call after the other, with a pause of changing length between them, as a reader of pages makes.

    Parameters
    ----------
    least, most : float
        Seconds between two calls.
    """

    def __init__(self, least: float, most: float) -> None:
        self.seconds_per_call = (least + most) / 2
        self.pace = f'a call every {least:g} to {most:g} s'
        self._least, self._most, self._last = least, most, None

    def __call__(self) -> None:
        """Wait until a call may be made."""
        if self._last is not None:
            clock.sleep(max(0.0, self._last + random.uniform(self._least, self._most) - clock.monotonic()))
        self._last = clock.monotonic()
