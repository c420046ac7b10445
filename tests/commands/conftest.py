"""What the tests of the commands share."""

import sys

import pytest


@pytest.fixture
def own_modules():
    """Forget afterwards which files of a user were imported."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if '.' not in name and str(getattr(sys.modules[name], '__file__', '')).find('pytest-of') > 0:
            del sys.modules[name]
