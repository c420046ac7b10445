"""What reading a script tells before it runs: what it asks for that cannot be had, and which columns it needs."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .api.errors import ScriptError, Unsupported, needed_columns
from .api.factors import lacks_for_factor
from .api.fields import FIELDS, KEYS
from .api.finance import TABLES
from .api.fundamentals import lacking
from .api.prices import step_of
from .api.query import Table
from .api.reference import BOARD_INDICES, lacks_members
from .api.supported import MODULES, REFUSED
from .loading import PLATFORM

ENTRIES = ('initialize', 'after_code_changed', 'process_initialize', 'before_trading_start', 'handle_data', 'after_trading_end',
           'on_strategy_end')
BARS = {'get_price': ('frequency', 3), 'history': ('unit', 1), 'attribute_history': ('unit', 2), 'get_bars': ('unit', 2)}
ORDERS = ('order', 'order_value', 'order_target', 'order_target_value')
ABOUT = (*BARS, 'get_security_info', *ORDERS)  # whose first argument is a code
CODE = re.compile(r'\d{6}\.XSH[GE]')
COUNTS = {'get_price': ('count', 7), 'history': ('count', 0), 'attribute_history': ('count', 1), 'get_bars': ('count', 1)}


class Reading:
    """A script that was read.

    Parameters
    ----------
    path : Path
    tree : ast.Module
    remark : str
        What was made of its text first.
    """

    def __init__(self, path: Path, tree: ast.Module, remark: str = '') -> None:
        self.path, self.tree, self.remark = path, tree, remark
        self.nodes = [node for part in _reached(tree) for node in ast.walk(part)]
        self._modules = {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
                         for alias in node.names if alias.name in ('jqdata', 'jqfactor')}
        self._constants = _constants(tree)

    def name(self, node: ast.AST | None) -> str:
        """Return a name with its dots, without that of the platform's module; empty where it is none."""
        found = _name(node)
        first, dot, rest = found.partition('.')
        return rest if dot and first in self._modules else found

    def value(self, node: ast.AST | None) -> Any:
        """Return a literal, also of a name that is given one once; None where it is not known."""
        return _literal(node) if isinstance(node, (ast.Constant, ast.List, ast.Tuple)) else self._constants.get(_name(node))

    def texts(self, node: ast.AST | None) -> list[str]:
        """Return the texts of a literal text or list; none where it is neither."""
        found = self.value(node)
        return [text for text in (found if isinstance(found, (list, tuple)) else [found]) if isinstance(text, str)]

    @property
    def recorded(self) -> tuple[str, ...]:
        """The names that ``record()`` is given."""
        names = {word.arg: None for node in self.nodes if isinstance(node, ast.Call) and self.name(node.func) == 'record'
                 for word in node.keywords if word.arg and word.arg.isidentifier()}
        return tuple(names)

    @property
    def benchmark(self) -> str:
        """The six digits of the index that ``set_benchmark()`` names; empty where none is."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and self.name(node.func) == 'set_benchmark':
                code = self.value(node.args[0]) if node.args else None
                if isinstance(code, str):
                    return code[:6]
        return ''


def check(reading: Reading, platform: Any) -> None:
    """Refuse a script that asks for what cannot be had.

    Parameters
    ----------
    reading : Reading
    platform : Platform
        Of the run.

    Raises
    ------
    ScriptError
        What, at which line, and what to do instead.
    """
    found = sorted(set(_faults(reading, platform)))
    if found:
        line, text = found[0]
        others = '; '.join(f'line {other}: {said}' for other, said in found[1:3])
        more = f' (and {len(found) - 1} more: {others})' if others else ''
        raise ScriptError(f'{reading.path}, line {line}: {text}{more}')
    missing = {node.value: node.lineno for node in reversed(reading.nodes)
               if isinstance(node, ast.Constant) and isinstance(node.value, str) and _lacks(node.value, platform.session)}
    if missing:
        platform.session.say_once(f'{reading.path.name} names what {platform.session.source} lacks: ' + ', '.join(
            f'{code} (line {line})' for code, line in sorted(missing.items())) + '; its orders are refused')
    columns = _columns(reading, platform.session)
    if columns:
        lines = ', '.join(f'{name} (line {line})' for name, line in sorted(columns.items()))
        raise ScriptError(f'{reading.path} needs columns: {lines}. {needed_columns(columns, platform.session.source)}')


def _faults(reading: Reading, platform: Any) -> Iterator[tuple[int, str]]:
    bound = _bound(reading.tree)
    known = {*bound, *vars(builtins), *platform.names, '_divided', 'unicode',
             'basestring', 'long', 'xrange', 'reload', '__file__', '__name__'}
    stars = [node for node in ast.walk(reading.tree) if isinstance(node, ast.ImportFrom) and any(
        alias.name == '*' for alias in node.names)]
    yield from _imports(reading, platform)
    for star in stars:
        known |= _names_of(star.module or '', reading.path, platform)
    for node in reading.nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            if node.id in REFUSED and node.id not in bound:
                yield node.lineno, f'{node.id}() is not supported: {REFUSED[node.id]}'
            elif node.id not in known:
                yield node.lineno, (f'{node.id} is not known: the script does not define it, and it is no function that is '
                                    'supported here')
        elif isinstance(node, ast.Attribute):
            if (name := reading.name(node)) in REFUSED and name != _name(node):
                yield node.lineno, f'{name}() is not supported: {REFUSED[name]}'
            table = reading.name(node.value)
            if table in FIELDS and table not in bound and node.attr not in FIELDS[table] and not hasattr(Table, node.attr):
                yield node.lineno, f'{table} has no field {node.attr}'
            if table == 'finance' and node.attr.isupper() and node.attr not in TABLES:
                yield node.lineno, (f"finance.{node.attr} is not supported: of the platform's finance tables there are "
                                    f'{", ".join(TABLES)}')
            name = table.removeprefix('finance.')
            if table.startswith('finance.') and name in TABLES and node.attr not in TABLES[name]:
                yield node.lineno, f'finance.{name} has no field {node.attr} here; it has {", ".join(TABLES[name])}'
        elif isinstance(node, ast.Call):
            yield from _call(node, reading, platform.session, bound)
    for handler in ('handle_tick',):
        if handler in bound:
            yield bound[handler], f'{handler}() is not supported: {REFUSED[handler]}'


def _call(node: ast.Call, reading: Reading, session: Any, bound: dict[str, int]) -> Iterator[tuple[int, str]]:
    name, literal = reading.name(node.func), reading.value
    if name in bound:
        return
    if name in ABOUT and node.args and isinstance(code := literal(node.args[0]), str) and _lacks(code, session):
        yield node.lineno, f'{name}({code!r}): {session.source} has no such stock, fund or index'
    if name in BARS:
        unit = literal(_argument(node, *BARS[name]))
        if isinstance(unit, str):
            try:
                kind, size = step_of(unit)
            except Unsupported as error:
                yield node.lineno, f'{name}(): {error}'
                return
            count = literal(_argument(node, *COUNTS[name]))
            if kind == 'minute' and isinstance(count, int) and count != 1:
                yield node.lineno, (f'{name}() of {count} bars of {unit!r} is not supported: there are no minute bars; of them '
                                    'the last price alone can be asked for, with count=1')
            elif kind == 'minute' and size != 1:
                yield node.lineno, f'{name}() of bars of {unit!r} is not supported: there are no minute bars; ask for 1d'
            elif kind not in ('minute', 'day') and name != 'get_bars':
                yield node.lineno, f'{name}() of bars of {unit!r} is not supported: ask for 1d'
    elif name == 'get_index_stocks':
        code = literal(_argument(node, 'index_symbol', 0))
        if isinstance(code, str):
            digits = code[:6]
            tables = session.store.reference_names
            has = 'constituents' in tables and digits in set(session.store.reference_table('constituents')['index'])
            if not has and digits not in BOARD_INDICES and code != '000001.XSHG':
                yield node.lineno, f'get_index_stocks({code!r}): {lacks_members(session.source, digits)}'
    elif name == 'get_industry_stocks' and 'industries' not in session.store.reference_names:
        yield node.lineno, f'{name}(): {session.source} has no industries: give ingest --industries FILE'
    elif name == 'get_fundamentals' and _argument(node, 'statDate', 2) is not None and literal(
            _argument(node, 'statDate', 2)) is not None:
        yield node.lineno, ('get_fundamentals(statDate=...) is not supported: it asks for statements by quarter, and the store '
                            'has values by day; give date')


def _lacks(code: str, session: Any) -> bool:
    """Return whether a text is the code of a stock or fund that the store lacks; of an index it is not said."""
    return bool(CODE.fullmatch(code)) and code not in session.number and not code.startswith('399') and not (
        code.startswith('000') and code.endswith('XSHG'))


def _columns(reading: Reading, session: Any) -> dict[str, int]:
    """Return the columns that a script needs and the store lacks, each with the line that asks first."""
    needed: dict[str, int] = {}
    columns = session.store.columns
    for node in reading.nodes:
        if isinstance(node, ast.Attribute) and (table := reading.name(node.value)) in FIELDS and node.attr in FIELDS[table]:
            for name in lacking([(table, node.attr)], columns):
                needed[name] = min(needed.get(name, node.lineno), node.lineno)
        elif isinstance(node, ast.Call) and reading.name(node.func) == 'get_factor_values':
            for name in reading.texts(_argument(node, 'factors', 1)):
                column = lacks_for_factor(name, session)
                if column:
                    needed[column] = min(needed.get(column, node.lineno), node.lineno)
        elif isinstance(node, ast.Attribute) and reading.name(node.value) == 'finance' and node.attr == 'STK_XR_XD' and (
                'cash_dividend' not in columns):
            needed['cash_dividend'] = min(needed.get('cash_dividend', node.lineno), node.lineno)
        elif isinstance(node, ast.Call) and reading.name(node.func) == 'query':
            for table in {reading.name(each) for each in node.args} & set(FIELDS):
                if all(field in KEYS or lacking([(table, field)], columns) for field in FIELDS[table]):
                    needed.setdefault(f'{table}.{FIELDS[table][5]}', node.lineno)
    return needed


def _imports(reading: Reading, platform: Any) -> Iterator[tuple[int, str]]:
    """Give the imports that cannot be had, outside of ``try``."""
    guarded = {id(node) for attempt in ast.walk(reading.tree) if isinstance(attempt, ast.Try) for node in ast.walk(attempt)}
    for node in reading.nodes:
        if id(node) in guarded or not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or '']
        if isinstance(node, ast.ImportFrom) and (node.module or '').partition('.')[0] in ('sqlalchemy', 'six') and (
                node.module in platform.modules):
            there = platform.modules[node.module].__all__
            for alias in node.names:
                if alias.name != '*' and alias.name not in there:
                    yield node.lineno, f'{node.module}.{alias.name} is not supported; there are {", ".join(sorted(there))}'
        for module in modules:
            top = module.partition('.')[0]
            if module in MODULES:
                yield node.lineno, f'{module} is not supported: {MODULES[module]}'
            elif top in PLATFORM or (reading.path.parent / f'{module}.py').is_file() or isinstance(
                    node, ast.ImportFrom) and node.level:
                if top == 'pandas' and '.' in module and not _there(module):
                    yield node.lineno, f'{module} is gone from pandas; the script was written for an older one'
            elif not _there(module):
                yield node.lineno, f'the script needs the package {top}: pip install {PACKAGES.get(top, top)}'


PACKAGES = {'sklearn': 'scikit-learn', 'talib': 'TA-Lib', 'cv2': 'opencv-python', 'pywt': 'PyWavelets', 'MySQLdb': 'mysqlclient'}


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError, AttributeError):
        return False


def _names_of(module: str, path: Path, platform: Any) -> set[str]:
    """Return what ``from module import *`` brings."""
    if module in platform.modules:
        return set(platform.modules[module].__all__)
    beside = path.parent / f'{module}.py'
    if beside.is_file():
        from .loading import parsed

        return set(_bound(parsed(beside)[0]))
    try:
        return set(vars(importlib.import_module(module)))
    except Exception:  # noqa: BLE001 - it was refused already, or fails by itself
        return set()


def _reached(tree: ast.Module) -> Iterator[ast.AST]:
    """Give the parts of a script that can run: what stands outside of functions, and what that and the platform call."""
    parts = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef))}
    outside = [node for node in tree.body if node not in parts.values()]
    yield from outside
    wanted = [*outside, *(parts[name] for name in ENTRIES if name in parts)]
    seen = {name for name in ENTRIES if name in parts}
    yield from (parts[name] for name in seen)
    while wanted:
        part = wanted.pop()
        for node in ast.walk(part):
            names = [node.id] if isinstance(node, ast.Name) else [node.value] if isinstance(node, ast.Constant) and isinstance(
                node.value, str) else []
            for name in names:
                if name in parts and name not in seen:
                    seen.add(name)
                    yield parts[name]
                    wanted.append(parts[name])


def _bound(tree: ast.AST) -> dict[str, int]:
    """Return every name that a script defines anywhere, with a line."""
    found: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
            found[node.name] = node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            found.setdefault(node.id, node.lineno)
        elif isinstance(node, ast.arg):
            found.setdefault(node.arg, node.lineno)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                module = node.module if isinstance(node, ast.ImportFrom) else alias.name
                if (module or '').partition('.')[0] in ('jqdata', 'jqfactor', 'kuanke') and isinstance(node, ast.ImportFrom):
                    continue  # the platform's own names: known, or refused
                found.setdefault((alias.asname or alias.name).partition('.')[0], node.lineno)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.setdefault(node.name, node.lineno)
    found.pop('*', None)
    return found


def _constants(tree: ast.AST) -> dict[str, Any]:
    """Return the names, also with dots, that a script gives a value once, and that a literal."""
    found: dict[str, list[Any]] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            found.setdefault(_name(node), []).append(None)
        elif isinstance(node, ast.arg):
            found.setdefault(node.arg, []).append(None)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            name = _name(node.targets[0])
            if len(found.get(name, ())) == 1:
                found[name] = [_literal(node.value)]
    return {name: values[0] for name, values in found.items() if name and len(values) == 1 and values[0] is not None}


def _name(node: ast.AST | None) -> str:
    """Return a name, or names with dots; empty where it is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _name(node.value)
        return f'{inner}.{node.attr}' if inner else ''
    return ''


def _argument(node: ast.Call, name: str, place: int) -> ast.AST | None:
    for word in node.keywords:
        if word.arg == name:
            return word.value
    return node.args[place] if len(node.args) > place and not any(isinstance(each, ast.Starred) for each in node.args) else None


def _literal(node: ast.AST | None) -> Any:
    """Return a literal value, or a list of such; None where it is none."""
    if isinstance(node, ast.Constant):
        return node.value
    return [_literal(each) for each in node.elts] if isinstance(node, (ast.List, ast.Tuple)) else None
