"""A script's text, and what runs it: as it is, with the platform's names and modules."""

from __future__ import annotations

import ast
import builtins
import copy
import importlib
import sys
import traceback
import types
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .api.errors import FutureDataError, ScriptError
from .api.old_pandas import as_before

# Modules of the platform, which are ours while a script runs, whether or not others of these names are installed.
PLATFORM = ('jqdata', 'jqlib', 'jqfactor', 'kuanke', 'sqlalchemy', 'pandas', 'cPickle', 'six')
# What a script of Python 2 is made of, beside its division.
_FIXES = ('print', 'except', 'ne', 'raise', 'exec', 'numliterals', 'has_key', 'xrange', 'unicode', 'repr', 'dict', 'long',
          'basestring', 'tuple_params', 'reduce', 'map', 'filter', 'zip')


def read_text(path: Path) -> str:
    """Return the text of a script, UTF-8 or GB18030.

    Raises
    ------
    ScriptError
        There is no such file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ScriptError(f'{path}: {error.strerror}; give the file of a JoinQuant script') from None
    for encoding in ('utf-8-sig', 'gb18030'):
        try:
            return content.decode(encoding).replace('\r\n', '\n').replace('\r', '\n').replace('\u200b', '').replace('\xa0', ' ')
        except UnicodeDecodeError:
            continue
    raise ScriptError(f'{path}: neither UTF-8 nor GB18030, expected the text of a script')


def parsed(path: Path) -> tuple[ast.Module, str]:
    """Return a script as a tree, and what was made of it first; Python 2 is translated.

    Raises
    ------
    ScriptError
        It is no Python: the line, and why.
    """
    text = read_text(path)
    try:
        return _tree(text, path), ''
    except TabError:
        text = text.expandtabs(8)
    except SyntaxError:
        pass
    try:
        return _tree(text, path), 'tabs and blanks are mixed: a tab counts 8 columns'
    except SyntaxError as error:
        first = error
    translated = _from_python_2(text)
    if translated is not None:
        try:
            tree = _tree(translated, path)
        except SyntaxError:
            pass
        else:
            if any(isinstance(node, ast.ImportFrom) and node.module == '__future__' and any(
                    alias.name == 'division' for alias in node.names) for node in tree.body):
                return tree, 'Python 2: translated'
            return ast.fix_missing_locations(_WholeDivision().visit(tree)), (
                'Python 2: translated, whole numbers divide without a rest')
    raise ScriptError(f'{path}, line {first.lineno}: {first.msg}')


def _tree(text: str, path: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of a script's own strings: '\d'
        return ast.fix_missing_locations(_OldMethods().visit(ast.parse(text, str(path))))


def _from_python_2(text: str) -> str | None:
    """Return a script of Python 2 as one of Python 3; None where that cannot be done."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for package in ('lib2to3', 'fissix'):  # of the standard library until Python 3.12; then the extra python2
            try:
                refactor = importlib.import_module(f'{package}.refactor')
                tool = refactor.RefactoringTool([f'{package}.fixes.fix_{name}' for name in _FIXES])
                return str(tool.refactor_string(text.expandtabs(8).rstrip() + '\n', 'script'))
            except ImportError:
                continue
            except Exception:  # noqa: BLE001 - whatever the translator finds, it is no Python 2 either
                return None
    return None


class _OldMethods(ast.NodeTransformer):
    """Makes of the methods that Python 2's dicts had what they are now; scripts of Python 3 have them, too."""

    NOW = {'iteritems': 'items', 'itervalues': 'values', 'iterkeys': 'keys'}  # noqa: RUF012 - it is never changed

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr == 'has_key' and len(node.args) == 1:
            return ast.copy_location(ast.Compare(node.args[0], [ast.In()], [called.value]), node)
        if isinstance(called, ast.Attribute) and called.attr in self.NOW and not node.args:
            called.attr = self.NOW[called.attr]
        return node


class _WholeDivision(ast.NodeTransformer):
    """Makes of each ``/`` what Python 2 did."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Div):
            return ast.copy_location(ast.Call(ast.Name('_divided', ast.Load()), [node.left, node.right], []), node)
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div):
            return node
        value = copy.deepcopy(node.target)
        value.ctx = ast.Load()
        quotient = ast.Call(ast.Name('_divided', ast.Load()), [value, node.value], [])
        return ast.copy_location(ast.Assign([node.target], quotient), node)


def summed(values: Any, *start: Any) -> Any:
    """Return a sum; of a frame that of each column: the platform's ``sum`` is NumPy's."""
    return values.sum() if hasattr(values, 'columns') and not start else sum(values, *start)


def divided(left: Any, right: Any) -> Any:
    """Return a quotient as Python 2 had it: of whole numbers a whole one."""
    whole = (int, np.integer)
    return left // right if isinstance(left, whole) and isinstance(right, whole) else left / right


class Script:
    """A script that is ready to run.

    Parameters
    ----------
    path : Path
    tree : ast.Module
        See `parsed`.
    names : mapping of str to object
        What it finds without an import.
    modules : mapping of str to ModuleType
        What it finds by ``import``, of `PLATFORM`.
    show : callable
        Takes the words of ``print``.
    """

    def __init__(self, path: Path, tree: ast.Module, names: Mapping[str, Any], modules: Mapping[str, types.ModuleType],
                 show: Callable[..., Any]) -> None:
        self.path, self._tree, self._modules = path, tree, modules
        self._files = {str(path)}
        own = {**vars(builtins), '__import__': self._import, 'print': show, '_divided': divided, 'unicode': str,
               'basestring': str, 'long': int, 'xrange': range, 'sum': summed, 'reload': lambda module: module}
        self.names: dict[str, Any] = {**names, '__builtins__': own, '__name__': '__main__', '__file__': str(path)}
        self._beside: dict[str, types.ModuleType] = {}

    def run(self) -> None:
        """Run what stands outside of functions."""
        self.call(lambda: exec(compile(self._tree, str(self.path), 'exec'), self.names))  # noqa: S102 - the user's own code

    def call(self, function: Callable[..., Any], *args: Any, name: str = '') -> Any:
        """Call a function of the script; say in one line what goes wrong in it.

        Raises
        ------
        ScriptError
            Something did: the file, the line, what.
        """
        try:
            with as_before(), warnings.catch_warnings():
                for kind in (RuntimeWarning, FutureWarning, DeprecationWarning):  # of the script's own arithmetic
                    warnings.simplefilter('ignore', kind)
                return function(*args)
        except RecursionError:
            raise ScriptError(f'{self.path}: a function of the script calls itself without end') from None
        except Exception as error:
            raise self._said(error, name) from error
        except SystemExit as error:
            raise self._said(error, name) from None

    def _said(self, error: BaseException, name: str) -> ScriptError:
        lines = [(Path(frame.f_code.co_filename), number) for frame, number in traceback.walk_tb(error.__traceback__)
                 if frame.f_code.co_filename in self._files]
        path, number = lines[-1] if lines else (self.path, 0)
        where = f'{path}, line {number}' if number else str(path)
        inside = f', in {name}()' if name else ''
        text = ' '.join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())
        if isinstance(error, (ScriptError, FutureDataError)) or type(error).__module__.startswith('bt_microcap.'):
            return ScriptError(f'{where}{inside}: {text}')
        return ScriptError(f'{where}{inside}: {type(error).__name__}: {text}')

    def where(self) -> str:
        """Return which line of the script is at work."""
        frame: Any = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename in self._files:
                return f'{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}'
            frame = frame.f_back
        return self.path.name

    def _import(self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:  # noqa: A002
        top = name.partition('.')[0]
        if not level and top in self._modules:
            if name not in self._modules:
                if top == 'pandas':
                    return importlib.import_module(name) if fromlist else self._modules[top]
                raise ModuleNotFoundError(f'No module named {name!r}')
            return self._modules[name] if fromlist else self._modules[top]
        beside = self.path.parent / f'{name}.py'
        if not level and beside.is_file():  # a file of the user's beside the script, which may ask for the platform too
            return self._beside_module(name, beside)
        return __import__(name, globals, locals, fromlist, level)

    def _beside_module(self, name: str, path: Path) -> types.ModuleType:
        if name not in self._beside:
            module = self._beside[name] = types.ModuleType(name)
            module.__dict__.update({key: value for key, value in self.names.items() if key == '__builtins__'})
            self._files.add(str(path))
            exec(compile(parsed(path)[0], str(path), 'exec'), module.__dict__)  # noqa: S102 - the user's own code
        return self._beside[name]
