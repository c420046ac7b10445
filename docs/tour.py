# %% [markdown]
# # From data to a report
# A notebook as a script: VS Code and PyCharm show its cells, Jupyter opens it with jupytext, and `python docs/tour.py` runs it
# from top to bottom. It needs the extra `report`: `pip install "bt-microcap[report]"`. The market is made up: its returns say
# nothing of real ones. All that is written goes into the folder `tour_out`, below the one that it is run in.

# %%
# ruff: noqa: ANN001, ANN003, ANN201, D100, D101, D102, D103
from datetime import date
from pathlib import Path

import backtrader as bt
import numpy as np
import pandas as pd

from bt_microcap import Blotter, MarketFeed, MicroCapStrategy, figure_of, report, save_run, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.store import MarketStore
from bt_microcap.study.chance import random_picks

OUT = Path('tour_out')

# %% [markdown]
# ## The data
# One table with a row for each stock and trading day: raw prices, volume, market cap, ST and suspensions. A store keeps it on
# disk, so that it is opened at once and shared by processes. With data of your own: `bt-microcap ingest`.

# %%
if not (OUT / 'market').exists():
    OUT.mkdir(exist_ok=True)
    MarketStore.from_table(demo_market()).save(OUT / 'market')
store = MarketStore.open(OUT / 'market')
print(f'{len(store)} stocks, {len(store.days)} trading days from {store.span()[0]} to {store.span()[1]}')

# %% [markdown]
# ## One day across all stocks
# What a strategy knows before the open of 2019-01-03 is the day before. The three smallest of the band of 2 to 3 billion yuan
# that are neither ST nor suspended are what the original buys first.

# %%
day = store.day_number(date(2019, 1, 2).toordinal())
columns = {name: store.vector(name, day) for name in ('market_cap', 'close', 'is_st', 'paused')}
section = pd.DataFrame(columns, index=store.codes).dropna()  # without those that are not listed yet
band = section[section['market_cap'].between(2e9, 3e9) & (section['is_st'] == 0) & (section['paused'] == 0)]
smallest = band.nsmallest(3, 'market_cap')
print(f'{len(band)} of {len(section)} stocks lie in the band')
print(smallest)


# %% [markdown]
# ## The original
# Every five trading days all is sold, and the three smallest of the band are bought, by the exchange's rules and at its costs.
# Not every order is filled: orders for suspended stocks, and for those at their limit, are refused.

# %%
def run(strategy, **params):
    cerebro = bt.Cerebro()
    cerebro.adddata(MarketFeed(dataname=OUT / 'market'), name='market')
    cerebro.addstrategy(strategy, min_cap=2e9, max_cap=3e9, **params)
    setup(cerebro, cash=1_000_000)
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro, cerebro.run()[0]


cerebro, original = run(MicroCapStrategy, stocknum=3, refresh_rate=5)
books = original.analyzers.blotter
fills = pd.DataFrame(books.fills)
print(fills.head(6))
print(pd.DataFrame(books.rejections)['reason'].value_counts())

# %% [markdown]
# ## What `cerebro.plot()` shows
# The market, the account, its drawdown, how it does against the market, and the most traded stocks with their buys and sells.

# %%
figure_of(cerebro)

# %% [markdown]
# ## An own strategy in five lines
# Ten stocks below 10 yuan, and what is picked again is kept: it turns over less than half of what the original does, and pays
# less than half of its fees.

# %%
class Cheap(MicroCapStrategy):
    params = (('stocknum', 10), ('keep', True))

    def screen(self, section):
        return super().screen(section) & (section.previous('close') < 10)


_, cheap = run(Cheap)

# %% [markdown]
# ## Files, figures, and both side by side
# `save_run` writes the files of a run and its picture, `equity.png`, prints the summary and returns its figures. What is to be
# done once stands below a line of its own: on Windows and macOS the processes of random picks read this file again.

# %%
if __name__ == '__main__':
    figures = {'original': save_run(original, OUT / 'original'), 'cheap': save_run(cheap, OUT / 'cheap', show=False)}
    names = ['total_return', 'cagr', 'sharpe', 'max_drawdown', 'alpha', 'beta', 'turnover', 'fees', 'slippage', 'win_rate']
    print(pd.DataFrame(figures).loc[names])
    report([OUT / 'original', OUT / 'cheap'], OUT / 'both.html')

# %% [markdown]
# ## How much of it is chance
# The original again, with random picks among the stocks that passed its screen. The percentile is the part of these runs that did
# worse than it: near 50 its ranking knows nothing. Twenty runs are quick and say little; a report makes 200 by itself.

# %%
if __name__ == '__main__':
    chance = random_picks(original, 20)
    print('percentile', chance.percentile('end_value', cerebro.broker.getvalue()))
    print('total return, 5 %, median, 95 %:', np.quantile(chance.figures['total_return'], (0.05, 0.5, 0.95)).round(3))
    print('turnover a year, median:', round(chance.median_turnover, 1))

# %% [markdown]
# ## A report
# All of this and more, with every rebalance and reasons to doubt: one HTML file, `tour_out/report.html`, to open in a browser. It
# asks no network for anything. `language='zh'` has it in Chinese.

# %%
if __name__ == '__main__':
    report(original, OUT / 'report.html', random_picks=20)
