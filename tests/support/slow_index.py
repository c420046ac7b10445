"""The market and the micro-cap index once more, in plain Python row by row: what the quick ones are held against."""

import re

import numpy as np
import pandas as pd

A_SHARE = re.compile(r'(60|688|689)\d+\.XSHG|(00|30)\d+\.XSHE|(43|83|87|88|92)\d+\.BJSE')
PRICES = ['open', 'high', 'low', 'close']


class SlowMarket:
    """Rows of a canonical table by stock and day number; `listed` maps codes to listing days."""

    def __init__(self, table, listed=None):
        table = table.assign(code=table['code'].astype(str))
        self.days = sorted(table['date'].unique())
        number = {day: count for count, day in enumerate(self.days)}
        self.rows = {}
        for row in table.to_dict('records'):
            self.rows.setdefault(row['code'], {})[number[row['date']]] = row
        self.codes = sorted(code for code in self.rows if A_SHARE.fullmatch(code))
        self.age_begins = {code: self._first(code, (listed or {}).get(code)) for code in self.codes}

    def _first(self, code, listed):
        if listed is None:
            first = min(self.rows[code])
            return first if first else -10_000
        listed = pd.Timestamp(listed)
        later = [number for number, day in enumerate(self.days) if day >= listed]
        if listed >= self.days[0]:
            return later[0] if later else len(self.days)
        return -sum(day.weekday() < 5 for day in pd.date_range(listed, self.days[0] - pd.Timedelta(days=1)))

    def ratios(self, code, day):
        """Give the day's prices over the reference; ones where nothing is known or nothing was traded."""
        rows = self.rows[code]
        row = rows.get(day)
        if row is None or row['paused']:
            return [1.0] * 4
        reference = row.get('preclose', np.nan)
        if pd.isna(reference):
            before = [number for number in rows if number < day]
            if not before:
                return [1.0] * 4
            reference = rows[max(before)]['close']
            if pd.notna(row.get('cash_dividend', np.nan)):
                reference -= row['cash_dividend']
            if pd.notna(row.get('share_ratio', np.nan)):
                reference /= row['share_ratio']
        return [row[name] / reference if reference > 0 else 1.0 for name in PRICES]

    def volume(self, code, day):
        return self.rows[code].get(day, {'volume': 0.0})['volume']


def slow_market_index(table, new=20, listed=None):
    market, level, out = SlowMarket(table, listed), 1000.0, []
    for day in range(len(market.days)):
        members = []
        for code in market.codes:
            past = [number for number in market.rows[code] if number <= day]
            if past and day - max(past) <= 60 and day - market.age_begins[code] >= new:  # by rows up to the day alone
                members.append(code)
        mean = np.mean([market.ratios(code, day) for code in members], axis=0) if members else np.ones(4)
        out.append([*(level * mean), sum(market.volume(code, day) for code in members)])
        level *= mean[3]
    return np.array(out).T


def slow_members(market, day, count, new=20, weight='equal'):
    """Give the members chosen for a day, each with its weight, by market cap then code."""
    found = []
    for code in market.codes:
        row = market.rows[code].get(day - 1)
        if (row is None or row['paused'] or row['is_st'] or row.get('delisting_period') or pd.isna(row['market_cap'])
                or code.endswith('.BJSE') or day - market.age_begins[code] < new):
            continue
        weight_of = 1.0 if weight == 'equal' else row['circ_market_cap']
        if weight_of > 0:
            found.append((row['market_cap'], code, weight_of))
    return {code: weight_of for _, code, weight_of in sorted(found)[:count]}


def slow_microcap_index(table, count, new=20, renew=1, phase=0, weight='equal', listed=None):
    """Money in each member: bought for the level of the day before, then left alone until the next choice."""
    market, money, level, out = SlowMarket(table, listed), {}, 1000.0, []
    for day in range(len(market.days)):
        if day % renew == phase:
            members = slow_members(market, day, count, new, weight)
            money = {code: level * part / sum(members.values()) for code, part in members.items()}
        if not money:
            out.append([level] * 4 + [0.0])
            continue
        now = {code: market.ratios(code, day) for code in money}
        out.append([sum(money[code] * now[code][number] for code in money) for number in range(4)])
        out[-1].append(sum(market.volume(code, day) for code in money))
        money = {code: money[code] * now[code][3] for code in money}
        level = sum(money.values())
    return np.array(out).T
