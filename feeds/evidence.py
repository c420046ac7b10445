"""What tells that a table is wrong as a whole: units, adjusted prices, market caps that are not known.

Rows are sampled: whatever is wrong with a table shows in some ten thousand of them.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from bt_microcap.exchange import rules

from .cleaning import MAX_MARKET_CAP, MIN_MARKET_CAP, clean, unit
from .columns import years_of
from .errors import DataError
from .quarantine import FEW, YEARS, Quarantine, last_year
from .rows import Rows

SAMPLE = 20_000  # rows of each part
CAP_UNITS = ((1e-8, 1e5, '亿 yuan', 1e8), (1e5, MIN_MARKET_CAP, '万 yuan', 1e4), (MAX_MARKET_CAP, 1e18, '分 (0.01 yuan)', 0.01))
# amount / (volume x close) is about ten to this power -> what it looks like, and what mends it
AMOUNT_UNITS = {
    2: ('volume in lots of 100 shares', ('volume', 100)), -3: ('amount in thousands of yuan', ('amount', 1000)),
    -4: ('amount in 万 yuan', ('amount', 10000)),
    -1: ('volume in lots of 100 shares and amount in thousands of yuan', ('volume', 100), ('amount', 1000)),
    3: ('volume in thousands of shares', ('volume', 1000)), 4: ('volume in 万 shares', ('volume', 10000)),
    -2: ('volume in lots of 100 shares and amount in 万 yuan', ('volume', 100), ('amount', 10000)),
}
ADJUSTED = 0.02  # share of the rows whose mean price lies outside the day's prices; raw prices have 0.0001, adjusted 0.1 or more
MIN_VOLUME = 1e5  # shares, below which amount / volume is too rough
RAW = 'expected raw ones, without adjustment: take the unadjusted prices from your source (不复权)'
# Raw prices: a stock's number of shares, market cap / close, falls by 0.2 to 10 % once in 12 to 20 years (cancelled shares); over
# adjusted ones it falls at every dividend, once in 1.5 to 3 years. Measured on 280 stocks of 2018-2022 and on the market of 2021.
SHARES_FALL, FALLS_A_YEAR, MIN_STOCK_YEARS = (0.002, 0.10), 0.15, 20
TRADING_DAYS = 243  # a year
FLOAT_SHARE = (0.01, 2.0)  # of the total cap: the median lies between, be the float cap ever so small


class Evidence:
    """Gathers samples of a table's rows, before single ones are mended.

    Parameters
    ----------
    since, until : int
        Ordinals of the first and the last day that count.
    """

    def __init__(self, since: int, until: int) -> None:
        self._days = since, until
        self._caps: list[np.ndarray] = []
        self._float_shares: list[np.ndarray] = []
        self._traded = self._without_cap = 0
        self._first_cap: DataError | None = None
        self._powers: dict[int, np.ndarray] = {}  # year -> how often each power of ten of amount / (volume x close)
        # year -> rows whose mean price is known, and those of them whose mean lies outside the day's prices
        self._compared: dict[int, list[int]] = {}
        self._outside: str = ''
        self._amount_rows = self._volume_rows = 0

    def take(self, rows: Rows) -> None:
        """Look at some rows as they were read."""
        since, until = self._days
        if len(rows) and (rows.day.min() < since or rows.day.max() > until):
            rows = rows.take(np.flatnonzero((rows.day >= since) & (rows.day <= until)))
        columns = rows.columns
        step = max(1, len(rows) // SAMPLE)
        with np.errstate(invalid='ignore', divide='ignore'):
            cap, stocks = columns['market_cap'], ~rows.of_funds()
            known = (cap > 0) & stocks
            traded = (columns['paused'] == 0) & stocks
            self._traded += int(traded.sum())
            self._without_cap += int((traded & ~known).sum())
            self._caps.append(cap[known][::step])
            if 'circ_market_cap' in columns:
                shares = columns['circ_market_cap'][known][::step] / self._caps[-1]
                self._float_shares.append(shares[shares > 0])
            if self._first_cap is None:
                odd = known & ((cap < MIN_MARKET_CAP) | (cap > MAX_MARKET_CAP))
                if odd.any():
                    row = int(odd.argmax())
                    self._first_cap = rows.error(
                        row, 'market_cap', rows.found('market_cap', row),
                        f'yuan between {MIN_MARKET_CAP:g} and {MAX_MARKET_CAP:g}', '{mend}')
            traded_rows = columns['volume'] > 0
            self._volume_rows += int(traded_rows.sum())
            if 'amount' in columns:
                self._amount_rows += int((traded_rows & (columns['amount'] > 0)).sum())
                self._amounts(rows, step)

    def clean(self, rows: Rows, quarantine: Quarantine, *, need_cap: bool = True) -> Rows:
        """Look at some rows as they were read, then return those that can be used; see `cleaning.clean`.

        A row that is refused because the whole column has a wrong unit is said as such.
        """
        self.take(rows)
        try:
            return clean(rows, quarantine)
        except DataError:
            self.judge(rows.source, need_cap=need_cap)
            raise

    def _amounts(self, rows: Rows, step: int) -> None:
        part = slice(None, None, step)
        volume, amount, close, high, low = (rows.columns[name][part] for name in ('volume', 'amount', 'close', 'high', 'low'))
        good = np.flatnonzero((volume > 0) & (amount > 0) & (close > 0) & (rows.day[part] > 0))
        mean = amount[good] / volume[good]
        power = np.rint(np.log10(mean / close[good])).clip(-20, 20).astype(int) + 20
        years = years_of(rows.day[part][good])
        slack = 0.01 + 0.002 * high[good]
        large = volume[good] >= MIN_VOLUME
        outside = large & ((mean > high[good] + slack) | (mean < low[good] - slack))
        for year in np.unique(years).tolist():
            mine = years == year
            self._powers[year] = self._powers.get(year, 0) + np.bincount(power[mine], minlength=41)
            compared = self._compared.setdefault(year, [0, 0])
            compared[0] += int((mine & large).sum())
            compared[1] += int((mine & outside).sum())
        if outside.any() and not self._outside:
            row = int(good[outside.argmax()])
            self._outside = (f'{rows.place(row * step)}: found prices from {low[row]:g} to {high[row]:g}, but amount / volume is '
                             f'{amount[row] / volume[row]:.4g}')

    @property
    def has_amounts(self) -> bool:
        """Whether the amounts of most rows tell if prices are adjusted."""
        return 2 * self._amount_rows > self._volume_rows

    def judge(self, source: str, *, need_cap: bool = True) -> None:
        """Refuse a table that is wrong as a whole.

        Parameters
        ----------
        source : str
            What messages call it.
        need_cap : bool
            Whether a market cap must be known in half of the rows.

        Raises
        ------
        DataError
            A wrong unit, adjusted prices, or market caps that are mostly not known.
        """
        self._judge_caps(source, need_cap)
        last = last_year({year: int(powers.sum()) for year, powers in self._powers.items()})
        recent = [year for year in self._powers if last - YEARS < year <= last]
        for year in recent:
            powers = self._powers[year]
            power = int(powers.argmax()) - 20
            if power and powers[power + 20] > powers.sum() / 2 and powers.sum() > 2:
                looks = AMOUNT_UNITS.get(power)
                raise DataError(
                    f'{source}: amount is about {10.0 ** power:g} times volume x close in {year}, expected about 1: yuan, shares'
                    + (f'; that looks like {looks[0]}: multiply by --scale '
                       + ' --scale '.join(f'{name}={factor}' for name, factor in looks[1:]) if looks else ''))
        compared = sum(self._compared[year][0] for year in recent)
        outside = sum(self._compared[year][1] for year in recent)
        if outside > max(2, ADJUSTED * compared):
            raise DataError(f'{self._outside}: adjusted prices ({outside / compared:.0%} of the rows are so); {RAW}')

    def _judge_caps(self, source: str, need_cap: bool) -> None:
        caps = np.concatenate([np.empty(0), *self._caps])
        if len(caps) and self._first_cap is not None:
            middle = float(np.median(caps))
            if not MIN_MARKET_CAP <= middle <= MAX_MARKET_CAP:
                hint = 'check the column'
                for low, high, name, factor in CAP_UNITS:
                    if low <= middle < high:
                        hint = f'looks like {name}: multiply the column by {factor:g} (--scale market_cap={factor:g})'
                raise DataError(str(self._first_cap).replace('{mend}', hint))
        shares = np.concatenate([np.empty(0), *self._float_shares])
        if len(shares) > FEW and not FLOAT_SHARE[0] <= (middle := float(np.median(shares))) <= FLOAT_SHARE[1]:
            raise DataError(f'{source}, column circ_market_cap: found {middle:.3g} times market_cap as a rule, expected 0.01 '
                            'to 1: another unit? Multiply it (--scale circ_market_cap=FACTOR), or leave the column out')
        if need_cap and 2 * self._without_cap > self._traded > 0:
            raise DataError(
                f'{source}, column market_cap: found nothing in {self._without_cap:,} of {self._traded:,} traded rows, expected '
                f'{unit("market_cap")}; without it no stock can be picked: take it from a source that has it')


def _rounding(cap: np.ndarray) -> float:
    """Return what caps are rounded to, yuan; 0 where they are not."""
    part = cap[::max(1, len(cap) // SAMPLE)]
    for yuan in (1e9, 1e8, 1e7, 1e6, 1e5):
        if len(part) and np.abs(part / yuan - np.round(part / yuan)).max() < 1e-6:
            return yuan
    return 0.0


class Falls:
    """Counts how often the number of shares behind a market cap falls a little, in the last ten years; see `SHARES_FALL`.

    Parameters
    ----------
    last : int
        Ordinal of the last day.
    """

    def __init__(self, last: int) -> None:
        self._since = last - 365 * YEARS
        self._falls = self._rows = 0
        self._example = ''

    def take(self, cap: np.ndarray, close: np.ndarray, stock: np.ndarray, day: np.ndarray, codes: np.ndarray) -> None:
        """Look at rows, one stock after the other, days ascending."""
        funds = np.array([rules.is_fund(str(code)) for code in codes.tolist()], bool)  # whose units come and go every day
        known = np.flatnonzero((cap > 0) & (close > 0) & (day >= self._since) & ~funds[stock])
        shares, stock, day = cap[known] / close[known], stock[known], day[known]
        fall = 1 - shares[1:] / shares[:-1]
        low, high = SHARES_FALL
        noise = 2 * _rounding(cap[known]) / cap[known][1:]  # of caps in whole 亿, say
        at = np.flatnonzero((stock[1:] == stock[:-1]) & (fall > low + noise) & (fall < high))
        self._falls += len(at)
        self._rows += len(known)
        if len(at) and not self._example:
            row = int(at[0])
            self._example = (f'{codes[stock[row + 1]]} {date.fromordinal(int(day[row + 1]))}: market_cap / close is '
                             f'{fall[row]:.1%} less than the day before')

    def judge(self, source: str) -> None:
        """Refuse adjusted prices."""
        years = self._rows / TRADING_DAYS
        if years >= MIN_STOCK_YEARS and self._falls > FALLS_A_YEAR * years:
            raise DataError(f'{source}: {self._example}, and so in {self._falls:,} rows: the caps do not follow the prices, '
                            f'which look adjusted; {RAW}')
