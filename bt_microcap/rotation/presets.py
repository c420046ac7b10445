"""Well-known public styles of the micro-cap rotation, by the params of `MicroCapStrategy`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Preset(NamedTuple):
    """A style by its name.

    Parameters
    ----------
    about : str
        What it does, in one sentence.
    params : mapping
        Those of `MicroCapStrategy` that are not its defaults.
    """

    about: str
    params: Mapping[str, Any]


_MAIN = ('main', 'chinext')  # no STAR, no Beijing
PRESETS: Mapping[str, Preset] = MappingProxyType({
    'original': Preset(
        'The original: every 5 days sell all, then buy the 3 smallest of 2-3 billion yuan, equal cash each.',
        MappingProxyType({})),
    # The style of most newer public scripts (share of the newest 35 in a survey of 115: index 399101 51 %, 375 days 86 %,
    # weekly 63 %, empty in January and April 51 %, limit-up hold 86 %, stop-loss 60 %).
    'small_board': Preset(
        'The 5 smallest of the small and medium board (399101), listed for 375 days, on Tuesdays; the overlap and what closed at '
        'its limit are kept, a loss of 9 % is sold, January and April are empty.',
        MappingProxyType({
            'stocknum': 5, 'min_cap': 0.0, 'max_cap': math.inf, 'boards': ('main',), 'universe': '399101', 'min_listed_days': 375,
            'skip_limits': True, 'weekday': 2, 'keep': True, 'stop_loss': 0.09, 'limit_up_hold': True, 'empty_months': (1, 4)})),
    'ten_weekly': Preset(
        'The 10 smallest of the main board and ChiNext, listed for 375 days, on Mondays; the overlap is kept.',
        MappingProxyType({
            'stocknum': 10, 'min_cap': 0.0, 'max_cap': math.inf, 'boards': _MAIN, 'min_listed_days': 375, 'skip_limits': True,
            'weekday': 1, 'keep': True})),
    'microcap400': Preset(
        'The 400 smallest, equal weight with bands of a quarter, looked at daily: it follows the micro-cap index, given ten '
        'million yuan or more (a lot of each) and as many stocks.',
        MappingProxyType({
            'stocknum': 400, 'min_cap': 0.0, 'max_cap': math.inf, 'min_listed_days': 30, 'refresh_rate': 1, 'keep': True,
            'weights': 'equal', 'band': 0.25})),
    'parked': Preset(
        'The 10 smallest, on Mondays, the overlap kept; after a day on which the market fell by 3 %, and while it is below the '
        'mean of 20 days, all is sold and waits in a money-market fund.',
        MappingProxyType({
            'stocknum': 10, 'min_cap': 0.0, 'max_cap': math.inf, 'boards': _MAIN, 'min_listed_days': 375, 'skip_limits': True,
            'weekday': 1, 'keep': True, 'market_fall': 0.03, 'trend_days': 20,
            'parking': '511880.XSHG'})),
})
