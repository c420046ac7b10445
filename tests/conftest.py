"""The same random markets in every run: what is new is looked for by scripts/soak.py, not by chance in a test run."""

from hypothesis import settings

settings.register_profile('same', derandomize=True)
settings.load_profile('same')
