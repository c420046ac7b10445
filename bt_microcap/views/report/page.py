"""The page of a report: one HTML file that asks no network for anything."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from bokeh.embed import components, json_item
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ...record.param_texts import as_text
from ...study.studies import Study
from .. import study_picture
from ..language import CHINESE, say, translate
from ..study_texts import TITLES, sentence, table
from . import definitions, tables
from .charts import GREEN, RED, Charts
from .reading import RunFiles

REBALANCES = 600  # that are listed: more make a page too heavy for a phone
ORDERS = 6_000  # of all listed rebalances together
ROWS = 12  # of a table of best or worst
LETTERS = 26  # of runs side by side; further ones have numbers
DELISTED_SHARE = 0.05  # of the cash at the start, from which on delistings are a reason to doubt


def environment(language: str, names: Mapping[str, str] | None = None) -> Environment:
    """Return the templates with what they write by; `names` are those of the stocks."""
    made = Environment(loader=PackageLoader('bt_microcap.views.report', ''), autoescape=True, undefined=StrictUndefined,
                       trim_blocks=True, lstrip_blocks=True)

    def _(text: str, **values: Any) -> str:
        return say(language, text, **values)

    def percent(value: float | None, digits: int = 1, sign: bool = False) -> str:
        return '–' if value is None or value != value else f'{value:{"+" if sign else ""}.{digits}%}'

    def yuan(value: float | None, sign: bool = False) -> str:
        return '–' if value is None or value != value else f'{value:{"+" if sign else ""},.0f}'

    def named(name: str) -> str:
        shown = translate(name, language)
        return name if shown == name else f'{shown} {name}'

    made.globals.update(_=_, translate=lambda text: translate(str(text), language), language=language, named=named)
    gain, loss = (RED, GREEN) if language == CHINESE else (GREEN, RED)
    made.filters.update(percent=percent, yuan=yuan, heat=partial(heat, gain=gain, loss=loss),
                        setting=lambda value: translate(setting(value), language),
                        stock=lambda code: f'{code} {names[code]}' if names and names.get(code) else code,
                        plain=lambda value: f'{value:,.10g}')
    return made


def heat(value: float | None, whole: float = 0.1, *, gain: str, loss: str) -> Markup:
    """Return the style of a heatmap's cell, the stronger the larger its value is."""
    if value is None or value != value or not value:
        return Markup('')
    strength = min(1.0, abs(value) / whole) ** 0.7 * 0.62
    return Markup(f'style="background:{gain if value > 0 else loss}{round(255 * strength):02x}"')


def setting(value: Any) -> str:
    """Return a param or rule as it is typed."""
    return as_text(value) if value != '' else '–'


def inlined(name: str) -> Markup:
    """Return a file that lies beside this one."""
    return Markup((Path(__file__).parent / name).read_text(encoding='utf-8'))


def bokeh_script() -> Markup:
    """Return bokeh's own script, to stand in the page."""
    return Markup('\n'.join(Resources(mode='inline', components=['bokeh']).js_raw))


def write(path: Path, text: str) -> None:
    """Write a page: beside it first, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + '.part')
    part.write_text(text, encoding='utf-8')
    os.replace(part, path)


def page_of(run: RunFiles, language: str) -> str:
    """Return the report of a run."""
    charts = Charts(language)
    for draw in (charts.value, charts.chance, charts.rolling, charts.distribution, charts.holdings, charts.turnover):
        draw(run)
    codes = list(dict.fromkeys(run.prices['code']))
    stocks = [(code, Markup(_json(json_item(charts.stock(run, code))))) for code in codes]
    script, divs = components(charts.made)
    benchmark = tables.returns_of(run.index('benchmark'))
    by_stock = sorted(run.profits.items(), key=lambda item: (-item[1], item[0]))
    rebalances, left_out = listed(tables.rebalances_of(run))
    months = tables.months_of(run, run.returns)
    trips = run.closed.sort_values('profit', ascending=False, kind='stable')
    told = told_of(run)
    return environment(language, run.name_of).get_template('run.html').render(
        title=translate(run.summary['title'], language), page_language=html_language(language), style=inlined('style.css'),
        code=inlined('page.js'), bokeh=bokeh_script(), script=Markup(script), chart=divs, captions=charts.captions,
        summary=run.summary, run=run,
        figures=figures_of(run.summary), doubts=doubts_of(run, language, told), **told,
        drawdowns=tables.worst_drawdowns(run), months=grid_of(months), years=tables.year_figures(run),
        benchmark_months=None if benchmark is None else grid_of(tables.months_of(run, benchmark)),
        rolling=tables.rolling_window(len(run.days)), free=without_costs(run), refusals=tables.refusals_of(run),
        best=by_stock[:ROWS],
        worst=[item for item in by_stock[::-1][:ROWS] if item[1] < 0], total=sum(run.profits.values()),
        calendar_months=tables.profits_by_calendar_month(run), best_trades=trips.head(ROWS).to_dict('records'),
        worst_trades=trips.tail(ROWS)[::-1].to_dict('records'), rebalances=rebalances, left_out=left_out, stocks=stocks,
        few_trades=run.summary['closed_trades'] < definitions.FEW_TRADES, definitions=definitions,
        holdings=tables.last_holdings(run), params=params_of(run.summary),
        studies=[shown_study(study, language) for study in run.studies])


def shown_study(study: Study, language: str) -> dict[str, Any]:
    """Return what the page shows of a study: its picture is in the page itself."""
    stream = io.BytesIO()
    study_picture.draw(stream, study, language)
    heads, rows = table(study, language)
    return {'kind': study.kind, 'title': TITLES[study.kind], 'sentence': sentence(study, language), 'heads': heads, 'rows': rows,
            'picture': base64.b64encode(stream.getvalue()).decode('ascii')}


def compare_page_of(runs: Mapping[str, RunFiles], language: str) -> str:
    """Return the report of several runs side by side."""
    charts = Charts(language)
    charts.side_by_side({f'{label} {translate(run.summary["title"], language)}': run for label, run in runs.items()})
    script, divs = components(charts.made)
    years = {label: {row['year']: row['return'] for row in tables.year_figures(run)} for label, run in runs.items()}
    spans = {(run.summary['first_day'], run.summary['last_day']) for run in runs.values()}
    return environment(language).get_template('compare.html').render(
        title=say(language, '{count} runs side by side', count=len(runs)), page_language=html_language(language),
        style=inlined('style.css'), code=inlined('page.js'), bokeh=bokeh_script(), script=Markup(script), chart=divs,
        captions=charts.captions, runs=runs,
        figures={label: figures_of(run.summary) for label, run in runs.items()}, groups=definitions.GROUPS,
        meaning_of=definitions.meaning_of,
        years=years, all_years=sorted({year for rows in years.values() for year in rows}), spans=spans,
        costs={label: tables.costs_of(run) for label, run in runs.items()},
        chances={label: tables.chance_of(run) for label, run in runs.items()},
        best={label: tables.without_best_trades(run) for label, run in runs.items()},
        new_year={label: tables.without_months(run) for label, run in runs.items()}, differing=differing(runs))


def html_language(language: str) -> str:
    """Return what the page's tag says of its language."""
    return 'zh-CN' if language == CHINESE else language


def params_of(summary: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the params that differ from the defaults of the strategy, with the cash; and the others."""
    own = [*summary['own_params'], 'cash']
    params = summary['params']
    return ({name: params[name] for name in own if name in params},
            {name: value for name, value in params.items() if name not in own})


def figures_of(summary: dict[str, Any]) -> list[tuple[str, list[tuple[definitions.Figure, str, bool]]]]:
    """Return the figures by group, each as it is written."""
    return [(group.title, [(figure, *definitions.shown(figure, summary)) for figure in group.figures])
            for group in definitions.GROUPS]


def grid_of(months: pd.Series) -> list[dict[str, Any]]:
    """Return the months as rows of a year, the first first: each with twelve values, None where there is none, and the year's."""
    rows = []
    for year, values in months.groupby(months.index.year):
        by_month = dict(zip(values.index.month, values, strict=True))
        rows.append({'year': int(year), 'months': [by_month.get(month) for month in range(1, 13)],
                     'year_return': float((1 + values).prod() - 1)})
    return rows


def listed(rebalances: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Return the rebalances that a page can bear, the last ones, and how many are left out."""
    orders, shown = 0, 0
    for row in rebalances[:REBALANCES]:
        orders += len(row['sold']) + len(row['bought']) + len(row['refused'])
        if shown and orders > ORDERS:
            break
        shown += 1
    return rebalances[:shown], len(rebalances) - shown


def without_costs(run: RunFiles) -> dict[str, float] | None:
    """Return what the run made without costs, when it was made again; None where it was not."""
    if run.without_costs is None:
        return None
    growth = float(run.without_costs['growth'].iloc[-1])
    return {'total': growth - 1, 'annual': run.annual(growth)}


def told_of(run: RunFiles) -> dict[str, Any]:
    """Return what both the page and its doubts tell."""
    return {'chance': tables.chance_of(run), 'costs': tables.costs_of(run), 'volume': tables.volume_shares(run),
            'without_best': tables.without_best_trades(run), 'without_new_year': tables.without_months(run)}


def doubts_of(run: RunFiles, language: str, told: Mapping[str, Any] | None = None) -> list[str]:
    """Return in plain words why the result may say less than it seems to; `told` is `told_of` the run, where it is at hand."""
    told = told_of(run) if told is None else told
    summary, found = run.summary, []

    def doubt(text: str, **values: Any) -> None:
        found.append(say(language, text, **values))

    chance, volume, best = told['chance'], told['volume'], told['without_best']
    if chance is not None:
        place, same = chance['total_return']['percentile'], chance['total_return']['same']
        if same > 50:
            doubt('In {percent} % of {count} random runs the result is the same: nearly all that passed was bought, and there '
                  'was nothing to choose.', percent=f'{same:.3g}', count=chance['count'])
        elif place < 95:
            doubt('Random picks among the same stocks did as well or better in {percent} % of {count} runs: the ranking has not '
                  'shown skill.', percent=f'{100 - place + same / 2:.3g}', count=chance['count'])
    if summary['closed_trades'] < definitions.FEW_TRADES:
        doubt('Only {count} closed trades: too few to say anything of the strategy.', count=summary['closed_trades'])
    if definitions.FEW_DAYS <= summary['days'] < definitions.A_YEAR:
        doubt('Only {count} trading days: annual figures stretch a part of a year.', count=summary['days'])
    if summary['nothing_traded']:
        found.append(translate(summary['nothing_traded'], language))
    gone = summary.get('delisted_cash', 0.0)
    if gone > DELISTED_SHARE * summary['start_value'] and summary['rules'].get('delist') == 'last_close':
        doubt('{count} holdings were delisted and became {cash} yuan at their last close, which hardly anybody would have paid: '
              'run it with --delist zero, too.', count=summary['delisted'], cash=f'{gone:,.0f}')
    market = summary['market']
    if market and not market['ended'] and market['days'] > definitions.A_YEAR:
        doubt('No stock of the data ended before its last day: the delisted ones are missing, so that any result looks too good.')
    if volume is not None and volume['p95'] > 0.05:
        doubt('One order in twenty took over {percent} % of its stock\'s volume of the day: that would have moved the price.',
              percent=f'{100 * volume["p95"]:.0f}')
    if best['count'] and summary['closed_trades'] >= definitions.FEW_TRADES and run.growth[-1] > 1:
        if best['total'] < 0:
            doubt('Without its {count} best trades the strategy would have lost money.', count=best['count'])
        elif best['total'] < summary['total_return'] / 2:
            doubt('Its {count} best trades made most of it: without them {total} instead of {own}.', count=best['count'],
                  total=f'{best["total"]:+.1%}', own=f'{summary["total_return"]:+.1%}')
    if run.growth[-1] > 1 and told['without_new_year']['total'] < 0:
        doubt('Without January and February the strategy would have lost money.')
    costs = told['costs'][-1]
    if costs['annual'] > 0.1 and summary['days'] >= definitions.FEW_DAYS:
        doubt('Costs take {percent} percentage points of return a year: a little more slippage than assumed changes the result.',
              percent=f'{100 * costs["annual"]:.0f}')
    if summary.get('excess_return') is not None and summary['excess_return'] < 0:
        doubt('The benchmark made more over the same days.')
    microcap = summary.get('microcap_return')
    if microcap is not None and summary['total_return'] < microcap:
        doubt('The index of the micro-caps made more over the same days: {percent}.', percent=f'{microcap:+.1%}')
    if chance is not None and chance['max_drawdown']['percentile'] < 5:
        doubt('Its largest drawdown was deeper than that of {percent} % of the random runs.',
              percent=f'{100 - chance["max_drawdown"]["percentile"]:.3g}')
    if chance is not None and not 0.5 < chance['turnover'] / max(summary['turnover'], 1e-9) < 2:
        doubt('The random runs turned over {turnover} times a year, the strategy {own} times: they paid other costs.',
              turnover=f'{chance["turnover"]:.1f}', own=f'{summary["turnover"]:.1f}')
    return found


def differing(runs: Mapping[str, RunFiles]) -> list[tuple[str, dict[str, str]]]:
    """Return the params, rules and other settings that are not the same in all runs: name -> text of each run."""
    flat = {}
    for label, run in runs.items():
        summary = run.summary
        flat[label] = {**{name: summary.get(name) for name in ('strategy', 'preset', 'data', 'profile', 'benchmark', 'version')},
                       **summary['params'], **summary['rules']}
    names = dict.fromkeys(name for values in flat.values() for name in values)
    rows = [(name, {label: '–' if values.get(name) is None else as_text(values[name]) for label, values in flat.items()})
            for name in names]
    return [(name, row) for name, row in rows if len(set(row.values())) > 1]


def labels_of(runs: Sequence[RunFiles]) -> dict[str, RunFiles]:
    """Return the runs by the letters that stand for them in a table's head, A for the first: on a phone no title fits there."""
    return {chr(ord('A') + number) if number < LETTERS else str(number + 1): run for number, run in enumerate(runs)}


def _json(item: Any) -> str:
    """Return JSON that can stand in a script of a page."""
    return json.dumps(item).replace('</', '<\\/')
