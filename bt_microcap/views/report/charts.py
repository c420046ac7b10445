"""The charts of a report, by bokeh: one document, so that what shows the same days is zoomed together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from bokeh.models import (
    BasicTicker,
    BoxZoomTool,
    ColumnDataSource,
    CrosshairTool,
    CustomJSTickFormatter,
    DatetimeTickFormatter,
    HoverTool,
    NumeralTickFormatter,
    PanTool,
    Range1d,
    ResetTool,
    SaveTool,
    Span,
    WheelZoomTool,
)
from bokeh.plotting import figure

from ...exchange import rules
from ..language import CHINESE, say
from .reading import RunFiles
from .tables import band_of, chance_of, rolling, rolling_window, turnover_by_month

# Middle tones: they are read on white and on near black alike.
BLUE, GREY, AMBER, RED, GREEN, VIOLET = '#3577d4', '#8a929e', '#c98a1b', '#d0493a', '#1f8f77', '#8e6bd1'
LEFT = 56  # pixels for the numbers, so that charts over the same days stand in line
LINES = (BLUE, AMBER, VIOLET, GREEN, RED, '#c2589b', '#5aa0a8', '#9a7b4f')
BOARD_NAMES = {rules.MAIN: 'main board', rules.CHINEXT: 'ChiNext', rules.STAR: 'STAR', rules.BSE: 'Beijing', rules.FUND: 'fund'}
TALL, MIDDLE, LOW = 360, 240, 180
MAX_POINTS = 4_000  # of a line: more are not seen on any screen


class Caption(NamedTuple):
    """What the page writes above a chart: its title, and what each colour is."""

    title: str
    legend: list[tuple[str, str]]


class Charts:
    """Makes the charts of a run, or of several.

    Parameters
    ----------
    language : str
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self.days: Range1d | None = None  # that all charts over the days share
        self.made: dict[str, Any] = {}
        self.captions: dict[str, Caption] = {}
        # red is a gain on Chinese screens, and a loss on others
        self.gain, self.loss = (RED, GREEN) if language == CHINESE else (GREEN, RED)

    def _(self, text: str, **values: Any) -> str:
        return say(self.language, text, **values)

    # -- the canvas -------------------------------------------------------------------------------------------

    def _figure(self, name: str, height: int, title: str, *, days: pd.DatetimeIndex | None = None, **kwargs: Any) -> Any:
        if days is not None:
            if self.days is None:
                pad = max((days[-1] - days[0]) * 0.01, pd.Timedelta(days=1))
                self.days = Range1d(days[0] - pad, days[-1] + pad)
            kwargs.update(x_axis_type='datetime', x_range=self.days)
        plot = figure(height=height, sizing_mode='stretch_width', output_backend='canvas', toolbar_location='above', tools='',
                      background_fill_color=None, border_fill_color=None, outline_line_color=None, min_border_left=LEFT,
                      min_border_right=12, **kwargs)
        self.captions[name] = Caption(title, [])  # of the page, where it can wrap on a phone
        width = 'width' if days is not None else 'both'
        tools = [PanTool(dimensions=width, description=self._('Pan')),
                 BoxZoomTool(dimensions=width, description=self._('Zoom a part')),
                 WheelZoomTool(dimensions=width, description=self._('Zoom by the wheel')), ResetTool(description=self._('Reset')),
                 SaveTool(description=self._('Save'))]
        plot.add_tools(*tools)
        plot.toolbar.active_drag, plot.toolbar.active_scroll, plot.toolbar.logo = tools[1], None, None
        if days is not None:
            plot.add_tools(CrosshairTool(dimensions='height', line_alpha=0.35, visible=False))
            plot.xaxis.ticker.desired_num_ticks = 4  # on a phone, too
            plot.xaxis.formatter = DatetimeTickFormatter(years='%Y', months='%Y-%m', days='%m-%d', hours='%m-%d', minutes='%m-%d')
        plot.axis.axis_line_color = plot.axis.major_tick_line_color = None
        plot.axis.minor_tick_line_color = None
        plot.grid.grid_line_alpha = 0.35
        plot.xgrid.grid_line_color = None
        plot.name = name
        self.made[name] = plot
        return plot

    def _hover(self, plot: Any, renderer: Any, rows: Sequence[tuple[str, str]], *, day: bool = True, mode: str = 'vline') -> None:
        first = [(self._('day'), '@day{%F}')] if day else []
        plot.add_tools(HoverTool(renderers=[renderer], tooltips=[*first, *rows], formatters={'@day': 'datetime'}, mode=mode,
                                 visible=False))

    def _lines(
        self, name: str, height: int, title: str, days: pd.DatetimeIndex, lines: dict[str, np.ndarray], form: str, *,
        log: bool = False, area: bool = False, step: bool = False, colors: Sequence[str] = LINES, zero: float | None = None,
        band: Sequence[np.ndarray] | None = None, band_label: str = '',
    ) -> Any:
        """Draw lines over the days; values and label of each in `lines`."""
        keep = thinned(len(days))
        plot = self._figure(name, height, title, days=days, **({'y_axis_type': 'log'} if log else {}))
        data = {'day': days[keep]}
        for field, drawn in (('line', list(lines.values())), ('band', band or ())):
            data.update({f'{field}{number}': values[keep].astype('float32') for number, values in enumerate(drawn)})
        source = ColumnDataSource(data)
        legend, rows = self.captions[name].legend, []
        if band is not None:
            plot.varea(x='day', y1='band0', y2='band2', source=source, fill_color=VIOLET, fill_alpha=0.2)
            plot.line(x='day', y='band1', source=source, line_color=VIOLET, line_dash='dotted', line_width=1.3)
            legend.append((band_label, VIOLET))
            rows.append((band_label, f'@band0{{{form}}} .. @band1{{{form}}} .. @band2{{{form}}}'))
        first = None
        for number, (label, color) in enumerate(zip(lines, colors * 4, strict=False)):
            field = f'line{number}'
            if area and number == 0:
                plot.varea(x='day', y1=0, y2=field, source=source, fill_color=color, fill_alpha=0.25)
            draw = plot.step if step else plot.line
            drawn = draw(x='day', y=field, source=source, line_color=color, line_width=1.8 if number == 0 else 1.3,
                         **({'mode': 'after'} if step else {}))
            first = first or drawn
            legend.insert(number, (label, color))
            rows.insert(number, (label, f'@{field}{{{form}}}'))
        if zero is not None:
            plot.add_layout(Span(location=zero, dimension='width', line_color=GREY, line_width=1))
        plot.yaxis.formatter = NumeralTickFormatter(format=form)
        self._hover(plot, first, rows)
        return plot

    # -- of one run -------------------------------------------------------------------------------------------

    def value(self, run: RunFiles) -> None:
        """Value against the indices on a log scale, the band of the random picks behind it."""
        days = with_eve(run.days)
        lines = {self._('strategy'): run.growth}
        name, band = run.summary.get('benchmark'), band_of(run)
        for column, label in (('benchmark', name), ('microcap', 'microcap')):
            level = run.index(column)
            if level is not None:
                lines[self._('benchmark {name}', name=label) if column == 'benchmark' else self._('micro-cap index')] = level
        positive = {label: np.where(level > 0, level, np.nan) for label, level in lines.items()}
        plot = self._lines('value', TALL, self._('Value of 1 yuan, log scale'), days, positive, '0.00', log=True,
                           colors=(BLUE, GREY, AMBER), band=band,
                           band_label=self._('random picks: 5 %, median (dotted), 95 %'))
        known = np.concatenate([level[level > 0] for level in (*positive.values(), *(band or ()))])
        if len(known):
            low, high = float(known.min()), float(known.max())
            plot.yaxis.ticker.desired_num_ticks = 8
            plot.yaxis.formatter = log_ticks()
            plot.y_range = Range1d(low / 1.12, high * 1.12)
        benchmark = run.index('benchmark')
        if benchmark is not None:
            self._lines('excess', MIDDLE, self._('Value over the benchmark: rising is better than it'), days,
                        {self._('strategy / benchmark'): run.growth / benchmark}, '0.00', zero=1.0)
        falls = {self._('strategy'): run.growth / np.maximum.accumulate(run.growth) - 1}
        if benchmark is not None:
            falls[self._('benchmark {name}', name=name)] = benchmark / np.maximum.accumulate(benchmark) - 1
        self._lines('drawdown', MIDDLE, self._('Drawdown'), days, falls, '0[.]0%', area=True, colors=(RED, GREY))

    def rolling(self, run: RunFiles) -> None:
        """Return, volatility, Sharpe ratio and beta over the last days."""
        window = rolling_window(len(run.days))
        if not window:
            return
        found = rolling(run, window)
        for name, title, form in (('return', 'Return a year, over the last {days} days', '0[.]0%'),
                                  ('volatility', 'Volatility a year, over the last {days} days', '0[.]0%'),
                                  ('sharpe', 'Sharpe ratio, over the last {days} days', '0[.]0'),
                                  ('beta', 'Beta to the benchmark, over the last {days} days', '0.00')):
            if name in found and np.isfinite(found[name]).any():
                self._lines(f'rolling_{name}', LOW, self._(title, days=window), run.days, {self._('strategy'): found[name]}, form,
                            zero=0.0 if name in ('return', 'sharpe') else None)

    def distribution(self, run: RunFiles) -> None:
        """How often each daily return happened, and that of the closed trades."""
        self._histogram('distribution', self._('Daily returns'), run.returns, '0[.]0%', self._('days'))
        trips = run.closed['rate_of_return'].to_numpy(float)
        if len(trips):
            self._histogram('trade_returns', self._('Returns of closed trades'), trips, '0[.]0%', self._('trades'))

    def _histogram(
        self, name: str, title: str, values: np.ndarray, form: str, what: str, marks: Sequence[tuple[float, str]] = (),
    ) -> Any:
        low, high = np.quantile(values, [0.001, 0.999]) if len(values) > 500 else (values.min(), values.max())
        low, high = min([low, *(mark for mark, _ in marks)]), max([high, *(mark for mark, _ in marks)])
        if high - low < 1e-12:
            low, high = low - 0.005, high + 0.005
        bins = min(60, max(8, int(math.sqrt(len(values)) * 2)))
        counts, edges = np.histogram(np.clip(values, low, high), bins=bins, range=(low, high))
        plot = self._figure(name, MIDDLE, title)
        middle = (edges[1:] + edges[:-1]) / 2
        source = ColumnDataSource({'left': edges[:-1], 'right': edges[1:], 'count': counts, 'color': np.where(
            middle >= 0, self.gain, self.loss) if not marks else np.full(len(counts), GREY)})
        bars = plot.quad(left='left', right='right', top='count', bottom=0, fill_color='color', line_color=None, fill_alpha=0.7,
                         source=source)
        for mark, color in marks:
            plot.add_layout(Span(location=mark, dimension='height', line_color=color, line_width=2.5))
        plot.xaxis.formatter = NumeralTickFormatter(format=form)
        plot.y_range.start = 0
        self._hover(plot, bars, [(self._('from'), f'@left{{{form}}}'), (self._('to'), f'@right{{{form}}}'), (what, '@count')],
                    day=False, mode='mouse')
        return plot

    def holdings(self, run: RunFiles) -> None:
        """How many, how long held, on which boards, in which industries, how large."""
        held = run.chosen
        by_day = held.groupby('date')
        count = by_day.size().reindex(run.days, fill_value=0).to_numpy(float)
        plot = self._lines('holdings', LOW, self._('Stocks held'), run.days, {self._('stocks'): count}, '0', step=True)
        plot.yaxis.ticker, plot.y_range.start = BasicTicker(min_interval=1), 0
        invested = (by_day['value'].sum().reindex(run.days, fill_value=0.0).to_numpy(float)
                    / np.where(run.values[1:] == 0, 1.0, run.values[1:]))
        self._lines('exposure', LOW, self._('Part of the account in stocks'), run.days, {self._('invested'): invested}, '0[.]0%',
                    area=True)
        if not len(held):
            return
        age = by_day['days_held'].mean().reindex(run.days).to_numpy(float)
        self._lines('days_held', LOW, self._('Trading days held so far, mean of the holdings'), run.days,
                    {self._('days'): age}, '0[.]0')
        caps = by_day['market_cap'].agg(['min', 'median', 'max']).reindex(run.days) / 1e8
        if caps['median'].notna().any():
            self._lines('market_caps', MIDDLE, self._('Market cap of what is held, 100 million yuan'), run.days, {
                self._('median'): caps['median'].to_numpy(float), self._('smallest'): caps['min'].to_numpy(float),
                self._('largest'): caps['max'].to_numpy(float)}, '0[.]0', colors=(BLUE, GREY, AMBER))
        boards = held['code'].map(lambda code: self._(BOARD_NAMES[board_of(code)]))
        self._stacked('boards', self._('Boards, part of the holdings\' value'), run, boards)
        if (held['industry'] != '').any():
            known = held['industry'].where(held['industry'] != '', self._('not known'))
            largest = held['value'].groupby(known).sum().sort_values(ascending=False).index[:7]
            self._stacked('industries', self._('Industries, part of the holdings\' value'), run,
                          known.where(known.isin(largest), self._('others')))

    def _stacked(self, name: str, title: str, run: RunFiles, groups: pd.Series) -> None:
        table = run.chosen['value'].groupby([run.chosen['date'], groups]).sum().unstack(fill_value=0.0).reindex(
            run.days, fill_value=0.0)
        table = table[table.sum().sort_values(ascending=False).index]
        whole = table.sum(axis=1)
        parts = table.div(whole.where(whole > 0), axis=0).fillna(0.0)
        keep = thinned(len(run.days))
        fields = [f'part{number}' for number in range(parts.shape[1])]
        source = ColumnDataSource({'day': run.days[keep], **{
            field: parts.iloc[keep, number].to_numpy('float32') for number, field in enumerate(fields)}})
        plot = self._figure(name, MIDDLE, title, days=run.days, y_range=Range1d(0, 1))
        colors = [LINES[number % len(LINES)] for number in range(len(fields))]
        plot.varea_stack(fields, x='day', source=source, fill_color=colors, fill_alpha=0.75)
        plot.yaxis.formatter = NumeralTickFormatter(format='0[.]0%')
        line = plot.line(x='day', y=fields[0], source=source, line_alpha=0)
        self._hover(plot, line, [(label, f'@{field}{{0[.]0%}}') for label, field in zip(parts.columns, fields, strict=True)])
        self.captions[name].legend.extend(zip(parts.columns, colors, strict=True))

    def turnover(self, run: RunFiles) -> None:
        """Turnover of each month."""
        months = turnover_by_month(run)
        days = run.days.to_series().groupby(run.days.to_period('M'))  # a bar stands over its days: a month may be cut
        first, last = days.min().to_numpy(), days.max().to_numpy()
        plot = self._figure('turnover', LOW, self._('Turnover of each month'), days=run.days)
        source = ColumnDataSource({'day': first + (last - first) / 2, 'width': (last - first) * 0.7 + np.timedelta64(12, 'h'),
                                   'month': months.index.strftime('%Y-%m'), 'value': months.to_numpy(float)})
        bars = plot.vbar(x='day', top='value', width='width', source=source, fill_color=BLUE, line_color=None, fill_alpha=0.7)
        plot.y_range.start = 0
        plot.yaxis.formatter = NumeralTickFormatter(format='0[.]0%')
        self._hover(plot, bars, [(self._('month'), '@month'), (self._('turnover'), '@value{0[.]0%}')], day=False, mode='mouse')

    def chance(self, run: RunFiles) -> None:
        """Where the strategy stands among the random picks."""
        found = chance_of(run)
        if found is None:
            return
        for name, title, form in (('total_return', 'Total return: the strategy (line) among the random picks', '0[.]0%'),
                                  ('sharpe', 'Sharpe ratio', '0[.]0'),
                                  ('max_drawdown', 'Largest drawdown: left is better', '0[.]0%')):
            part = found[name]
            self._histogram(f'chance_{name}', self._(title), part['others'], form, self._('random runs'), [(part['own'], BLUE)])

    def stock(self, run: RunFiles, code: str) -> Any:
        """Return the chart of one stock with its buys and sells, adjusted; a document of its own, drawn when it is opened."""
        prices = run.prices[run.prices['code'] == code]
        days = pd.DatetimeIndex(prices['date'])
        shared, self.days = self.days, None
        name = f'stock_{code}'
        plot = self._figure(name, MIDDLE, self._('{code}: close, adjusted for ex-rights', code=code), days=days)
        self.days = shared
        del self.made[name]
        source = ColumnDataSource({'day': days, 'close': prices['close'].to_numpy('float32'),
                                   'adjusted': prices['adjusted'].to_numpy('float32')})
        line = plot.line(x='day', y='adjusted', source=source, line_color=GREY, line_width=1.4)
        self._hover(plot, line, [(self._('adjusted'), '@adjusted{0.00}'), (self._('close'), '@close{0.00}')])
        factor = pd.Series((prices['adjusted'] / prices['close']).to_numpy(), days)
        trades = run.trades[run.trades['code'] == code]
        legend = self.captions[name].legend
        legend.append((self._('close'), GREY))
        for side, label, marker, color in (('BUY', 'bought', 'triangle', self.gain),
                                           ('SELL', 'sold', 'inverted_triangle', self.loss)):
            rows = trades[trades['side'] == side]
            if not len(rows):
                continue
            level = rows['price'].to_numpy(float) * factor.reindex(rows['datetime'], method='ffill').to_numpy(float)
            fills = ColumnDataSource({
                'day': rows['datetime'], 'adjusted': level, 'price': rows['price'], 'shares': rows['quantity']})
            drawn = plot.scatter(x='day', y='adjusted', source=fills, marker=marker, size=10, fill_color=color, line_color=None,
                                 fill_alpha=0.9)
            self._hover(plot, drawn, [(self._(label), '@shares{0,0}'), (self._('price'), '@price{0.00}')], mode='mouse')
            legend.append((self._(label), color))
        plot.yaxis.formatter = NumeralTickFormatter(format='0.00')
        return plot

    # -- of several runs --------------------------------------------------------------------------------------

    def side_by_side(self, runs: dict[str, RunFiles]) -> None:
        """Value and drawdown of several runs."""
        days = with_eve(pd.DatetimeIndex(np.unique(np.concatenate([run.days.to_numpy() for run in runs.values()]))))
        growth, falls = {}, {}
        for label, run in runs.items():
            fall = run.growth / np.maximum.accumulate(run.growth) - 1
            own = pd.DataFrame({'level': run.growth, 'fall': fall}, with_eve(run.days))
            own = own.reindex(days.union(own.index)).ffill().reindex(days)
            own[days > run.days[-1]] = np.nan
            growth[label] = own['level'].where(own['level'] > 0).to_numpy(float)
            falls[label] = own['fall'].to_numpy(float)
        plot = self._lines('value', TALL, self._('Value of 1 yuan, log scale'), days, growth, '0.00', log=True)
        plot.yaxis.formatter = log_ticks()
        plot.yaxis.ticker.desired_num_ticks = 6
        self._lines('drawdown', MIDDLE, self._('Drawdown'), days, falls, '0[.]0%')


def log_ticks() -> CustomJSTickFormatter:
    """Return a formatter that writes 0.5, 1, 20 instead of powers."""
    return CustomJSTickFormatter(code='return tick >= 10 ? tick.toFixed(0) : String(Number(tick.toPrecision(2)))')


def with_eve(days: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return the days with the one before the first: where 1 is."""
    return days.insert(0, days[0] - pd.Timedelta(days=1))


def thinned(count: int) -> np.ndarray:
    """Return which points of a long line are drawn: all, or every n-th and the last."""
    step = -(-count // MAX_POINTS)
    return np.unique(np.concatenate([np.arange(0, count, step), [count - 1]]))


def board_of(code: str) -> str:
    """Return the board of a code; that of the main board where the code tells none."""
    try:
        return rules.board(code)
    except rules.RuleError:
        return rules.MAIN

