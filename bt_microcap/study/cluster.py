"""The runs of a study on the workers of a Dask cluster, be they on this machine or on others.

What travels is kilobytes: the name of the store's folder and its mark, the strategy's class by its name, the params. A worker
opens the store by itself, once, and keeps it for its next runs. Dask gives the runs of a worker that is lost to another one.
"""

from __future__ import annotations

import importlib
import pickle
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, NamedTuple

from ..feeds.errors import DataError
from ..feeds.invocation import command
from ..feeds.store import MarketStore
from . import extras
from .again import one_line
from .own_code import checksum, own_files, runs_script
from .trials import Outcome, Setting, Trial, run_trial

ADDRESS = re.compile(r'((tcp|tls|ws|wss|ucx)://)?[^/:\s]+:\d{1,5}|((tcp|tls|ws|wss|ucx)://)\[[0-9a-fA-F:]+\]:\d{1,5}')
PATIENCE = 10  # seconds to wait for the scheduler, and for a first worker
AHEAD = 3  # runs that each thread of a worker is given ahead, so that it never waits for the next one


class Parcel(NamedTuple):
    """What a worker needs before its first run."""

    version: str
    store: str  # absolute path of its folder
    mark: int  # the store's checksum
    folders: tuple[str, ...]  # where the strategy's modules are
    files: dict[str, int]  # absolute paths of the user's own files, each with its checksum
    there: tuple[str, ...]  # absolute paths that must be there, of files that all machines share
    setting: bytes  # pickled, without its store
    job: bytes  # pickled, without its setting


def outcomes_on(
    address: str, setting: Setting, tasks: Sequence[Any], job: Any = None, shared: Sequence[Path] = (),
) -> Iterator[tuple[int, Any]]:
    """Give what comes of each task, as it comes, from the workers of a cluster.

    Parameters
    ----------
    address : str
        Of its scheduler, such as ``tcp://host:8786``.
    setting : Setting
        Over a store in a folder that all workers have under the same path.
    tasks : sequence
        Trials, or whatever the job's ``run`` takes.
    job : dataclass, optional
        Has a field ``setting``, which is left out when it travels; by default trials are run.
    shared : sequence of Path
        Files that all workers must have under the same path.

    Raises
    ------
    DataError
        distributed is not installed, there is no such scheduler, a worker has another version, store or strategy file, or a run
        fails.
    """
    distributed = extras.needed('distributed', '--dask', 'dask')
    parcel = pickle.dumps(parcel_of(setting, job, shared))
    client = _connected(distributed, address)
    try:
        _check_workers(client, parcel)
        yield from _results(distributed, client, parcel, tasks)
    finally:
        client.close(timeout=5)


def _connected(distributed: Any, address: str) -> Any:
    """Return a client of a scheduler that has a worker."""
    if not ADDRESS.fullmatch(address):  # said here: a client of it would go on trying in the background
        raise DataError(f'--dask {address}: found no address of a scheduler, expected such as tcp://host:8786')
    try:
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise DataError(f'--dask {address}: found no scheduler there ({one_line(error)}); start one '
                        'with: dask scheduler, and on each machine: dask worker ADDRESS --nthreads 1') from None
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        client.close()
        raise DataError(f'--dask {address}: the scheduler has no worker; start one on each machine with: dask worker {address} '
                        '--nthreads 1') from None
    return client


def parcel_of(setting: Setting, job: Any = None, shared: Sequence[Path] = ()) -> Parcel:
    """Return what a worker needs of a setting, and of a job; see `outcomes_on`.

    Raises
    ------
    DataError
        The store is in memory only, or the strategy is in no file that a worker could import.
    """
    from .. import __version__

    store = setting.store
    if store.path is None or store.is_temporary:
        raise DataError(f'--dask: the market is in the memory of this process; make a store with {command("ingest")}, in a '
                        'folder that all workers have under the same path, and give it as --data')
    kind = setting.strategy
    module = sys.modules.get(kind.__module__)
    file = getattr(module, '__file__', None)
    if kind.__module__ == '__main__' or '<locals>' in kind.__qualname__ or file is None:
        raise DataError(f'--dask: {kind.__qualname__} is in no module that a worker could import; put it into a file of its own')
    own = not kind.__module__.startswith(__name__.partition('.')[0] + '.')
    parents = Path(file).resolve().parents
    folders = (str(parents[kind.__module__.count('.')]),) if own else ()
    files = own_files(kind) if own else []
    params = dict(setting.params)
    if runs_script(kind):  # a worker has another working folder
        files.append(Path(params['script']).resolve())
        params['script'] = str(files[-1])
    setting = replace(setting, store=None, params=params)  # type: ignore[arg-type]
    return Parcel(__version__, str(store.path), store.checksum(), folders, {str(path): checksum([path]) for path in files},
                  tuple(str(path.resolve()) for path in shared), bytes(ForkingPickler.dumps(setting)),
                  bytes(ForkingPickler.dumps(None if job is None else replace(job, setting=None))))


def _check_workers(client: Any, parcel: bytes) -> None:
    """Refuse a cluster of which a worker cannot make the runs."""
    try:
        said = client.run(_prepared, parcel, on_error='return')
    except Exception as error:
        raise DataError(f'--dask: the workers cannot be asked: {one_line(error)}') from None
    for worker, answer in said.items():
        if isinstance(answer, BaseException):
            raise DataError(f'--dask: the worker {worker} cannot make the runs: {one_line(answer)}; it needs the same Python '
                            'packages as this machine')
        if answer:
            raise DataError(f'--dask: the worker {worker}: {answer}')


def _results(distributed: Any, client: Any, parcel: bytes, tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    threads = sum(client.nthreads().values()) or 1
    left = iter(range(len(tasks)))
    numbers: dict[Any, int] = {}

    def submit() -> Any:
        number = next(left, None)
        if number is None:
            return None
        future = client.submit(_run, parcel, bytes(ForkingPickler.dumps(tasks[number])), pure=False)
        numbers[future] = number
        return future

    first = [future for future in (submit() for _ in range(AHEAD * threads)) if future is not None]
    done = distributed.as_completed(first, loop=client.loop)
    for future in done:
        try:
            outcome, error = future.result()
        except Exception as problem:  # the worker was lost again and again, or the scheduler is gone
            raise DataError(f'--dask: a run could not be made: {one_line(problem)}; what is done is kept, start the same command '
                            'again') from None
        if error:
            raise DataError(error)
        following = submit()
        if following is not None:
            done.add(following)
        yield numbers.pop(future), outcome


# -- in a worker ---------------------------------------------------------------------------------------------

_ONE_AT_A_TIME = threading.Lock()  # a run changes what a whole process has, such as its warnings
_JOBS: dict[bytes, Any] = {}  # the last one
_READ: dict[str, int] = {}  # the user's own files that this process has read -> their checksum then


def _prepared(parcel: bytes) -> str:
    """Get ready for runs; return in one line why that fails, empty where it does not."""
    with _ONE_AT_A_TIME:
        try:
            _job(parcel)
        except DataError as error:
            return str(error)
    return ''


@dataclass(frozen=True)
class _Trials:
    """Runs trials."""

    setting: Setting

    def run(self, trial: Trial) -> Outcome:
        return run_trial(self.setting, trial)


def _job(parcel: bytes) -> Any:
    from .. import __version__

    if parcel not in _JOBS:
        wanted: Parcel = pickle.loads(parcel)
        if wanted.version != __version__:
            raise DataError(f'has version {__version__} of the package, expected {wanted.version}')
        for name, mark in wanted.files.items():
            _check_file(Path(name), mark)
        for path in wanted.there:
            if not Path(path).is_file():
                raise DataError(f'{path}: there is no such file here; --out has to be a folder that all machines share, under '
                                'the same path')
        for folder in wanted.folders:
            if folder not in sys.path:
                sys.path.append(folder)
                importlib.invalidate_caches()
        store = MarketStore.open(wanted.store)
        if store.checksum() != wanted.mark:
            raise DataError(f'{wanted.store}: found a store with the mark {store.checksum():08x}, expected {wanted.mark:08x}: it '
                            'is another market, or an earlier state of it; copy the store anew')
        setting, job = replace(pickle.loads(wanted.setting), store=store), pickle.loads(wanted.job)
        _JOBS.clear()
        _JOBS[parcel] = _Trials(setting) if job is None else replace(job, setting=setting)
    return _JOBS[parcel]


def _check_file(path: Path, mark: int) -> None:
    if not path.is_file():
        raise DataError(f'{path}: there is no such file here; it has to be under the same path on all machines')
    if checksum([path]) != mark:
        raise DataError(f'{path}: is another file here than where the study was started; copy it anew')
    if _READ.setdefault(str(path), mark) != mark:
        raise DataError(f'{path}: was changed since this worker has read it; restart the worker')


def _run(parcel: bytes, task: bytes) -> tuple[Any, str]:
    """Make a run; return what came of it, or in one line why it failed."""
    with _ONE_AT_A_TIME:
        try:
            return _job(parcel).run(pickle.loads(task)), ''
        except DataError as error:
            return None, str(error)
