"""A market of four stocks, made by hand, in which a stock costs the same every day."""

from datetime import date

import pandas as pd

from bt_microcap import MarketStore

A, B, C, D = '000001.XSHE', '300001.XSHE', '600000.XSHG', '688001.XSHG'
DAYS = ['2024-03-01', '2024-03-04', '2024-03-05', '2024-03-06']
MONDAY, TUESDAY, WEDNESDAY = (date.fromisoformat(day) for day in DAYS[1:])
CHEAP = {'commission': 0.0003, 'min_commission': 5.0, 'stamp_duty': 0.0005, 'transfer_fee': 0.0}


def market(days=DAYS[:1], closes=None, **columns):
    """Return a store in which every stock costs the same every day, and is in the band."""
    closes = closes or {A: 10.0, B: 20.0, C: 5.0, D: 50.0}
    rows = []
    for day in days:
        for number, (code, close) in enumerate(closes.items()):
            row = {'date': pd.Timestamp(day), 'code': code, 'open': close, 'high': close, 'low': close, 'close': close,
                   'volume': 1e7, 'market_cap': 2.1e9 + number * 1e8, 'is_st': 0, 'paused': 0, 'preclose': close}
            row.update({name: values.get((day, code), default) for name, (default, values) in columns.items()})
            rows.append(row)
    return MarketStore.from_table(pd.DataFrame(rows), checked=True)
