"""Many runs in several processes of this machine, each told the next one when it has sent one."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, Protocol

from ..feeds.errors import DataError

try:
    from multiprocessing import resource_tracker
except ImportError:  # no such thing on Windows
    resource_tracker = None  # type: ignore[assignment]

RARELY = 100_000  # new objects after which a worker looks for garbage


class Job(Protocol):
    """What is done many times."""

    def run(self, number: int) -> Any:
        """Do it for the number-th time and return what came of it, which can be pickled.

        Raises
        ------
        DataError
            It fails; in one line, why.
        """


def outcomes(
    job: Job, numbers: Iterable[int], processes: int, method: str = '', what: str = 'the runs',
) -> Iterator[tuple[int, Any]]:
    """Give what comes of each number, as it comes; to be closed, where it is left before its end.

    Parameters
    ----------
    job : Job
        Where processes are begun anew (everywhere but on Linux) and it cannot be pickled, this process does all.
    numbers : iterable of int
    processes : int
        1: this one.
    method : str
        How a process is begun; by default `start_method`.
    what : str
        What messages call the runs.

    Raises
    ------
    DataError
        A run fails, or a process ends before its time.
    """
    numbers, method = list(numbers), method or start_method()
    processes = min(processes, len(numbers))
    if processes <= 1 or multiprocessing.current_process().daemon or (method == 'spawn' and not _travels(job)):
        return _here(job, numbers)
    return _elsewhere(job, numbers, processes, method, what)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def start_method() -> str:
    """Return how a process is begun: as a copy of this one where that is the platform's habit, so that nothing is pickled."""
    return 'fork' if sys.platform == 'linux' and multiprocessing.get_start_method(allow_none=True) != 'spawn' else 'spawn'


def _travels(job: Job) -> bool:
    """Return whether a job can be pickled, and found again by a process that begins anew."""
    try:
        pickled = bytes(ForkingPickler.dumps(job))
    except (pickle.PicklingError, TypeError, AttributeError):
        return False
    main = sys.modules['__main__']
    file = getattr(main, '__file__', None)
    if file is None:  # what was typed in is in no file
        return b'__main__' not in pickled
    return getattr(main, '__spec__', None) is not None or os.path.isfile(file)  # no file: a program that came through a pipe


def _here(job: Job, numbers: list[int]) -> Iterator[tuple[int, Any]]:
    for number in numbers:
        before = gc.get_threshold()
        gc.set_threshold(RARELY)
        try:
            outcome = job.run(number)
        finally:
            gc.set_threshold(*before)
        yield number, outcome


def _elsewhere(job: Job, asked: list[int], processes: int, method: str, what: str) -> Iterator[tuple[int, Any]]:
    """Give the outcomes as they come, from some processes, each of which is told the next run when it has sent one.

    No pool of the standard library: one hangs when a process is killed, the other leaves its processes at work on Ctrl-C.
    """
    context = multiprocessing.get_context(method)
    if method == 'spawn' and resource_tracker is not None:
        resource_tracker.ensure_running()  # here: where it begins on its own it lets signals through again
    numbers = iter(asked)
    with ExitStack() as stack:
        at_work: dict[Connection, BaseProcess] = {}
        with _without_interrupts():  # processes inherit it from the first moment on: Ctrl-C is for this one alone
            for _ in range(processes):
                line, end = context.Pipe()
                stack.callback(line.close)
                process = context.Process(target=_work, args=(job, end), daemon=True)
                process.start()
                stack.callback(_stop, process)
                end.close()  # the process alone has it: it ends with the process
                at_work[line] = process
        for line, process in at_work.items():
            _send(line, process, next(numbers), what)
        while at_work:
            for line in wait(list(at_work)):
                number, outcome, error = _received(line, at_work[line], what)
                if error:
                    raise DataError(error)
                if (following := next(numbers, None)) is None:
                    del at_work[line]
                else:
                    _send(line, at_work[line], following, what)
                yield number, outcome


def _send(line: Connection, process: BaseProcess, number: int, what: str) -> None:
    try:
        line.send(number)
    except OSError:
        raise _died(process, what) from None


def _received(line: Connection, process: BaseProcess, what: str) -> tuple[int, Any, str]:
    try:
        return line.recv()
    except (EOFError, OSError):
        raise _died(process, what) from None


def _died(process: BaseProcess, what: str) -> DataError:
    process.join()
    return DataError(f'a process of {what} ended before its time, with the exit code {process.exitcode}; a program that '
                     "begins processes needs if __name__ == '__main__':, and fewer of them (processes=1) need less memory")


def _stop(process: BaseProcess) -> None:
    process.terminate()
    process.join()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Put off Ctrl-C, where the platform can."""
    if not hasattr(signal, 'pthread_sigmask'):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(job: Job, end: Connection) -> None:
    """Make the runs that are asked for, until the process that asks is gone or stops this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A quarter of a run would go into looking for garbage: what is there already stays, and need not be looked through; a copied
    # process goes on sharing its memory, too.
    gc.freeze()
    gc.set_threshold(RARELY)
    asking = multiprocessing.parent_process().sentinel
    with suppress(EOFError, OSError):  # nobody asks any more
        while end in wait([end, asking]):
            number = end.recv()
            try:
                answer = number, job.run(number), ''
            except DataError as error:
                answer = number, None, str(error)
            end.send(answer)
