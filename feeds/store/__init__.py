"""The whole market as a store: in memory, or memory-mapped from a folder."""

from .manifest import MANIFEST as MANIFEST
from .market_store import MarketStore as MarketStore
from .market_store import check as check
