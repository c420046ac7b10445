"""The numbers of a report, worked out again from the CSV files and summary.json of the run, by what the page says of each.

It imports nothing of the project. `differences` reads a page and a folder and tells where the two do not agree;
``python -m tests.support.report_numbers OUT_DIR REPORT.html`` prints it.
"""

import base64
import gzip
import html
import json
import math
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from tests.support.report_oracle import LACKING, Run, Text
from tests.support.report_tables import chart_data, rebalances_of, said_of, side_by_side, side_by_side_charts, tables_of

VOID = {'meta', 'link', 'br', 'img', 'input', 'hr', 'wbr'}


class Node:
    """An element of a page."""

    def __init__(self, tag, attributes):
        self.tag, self.attributes, self.children = tag, attributes, []

    def all(self, tag, **attributes):
        """Give the elements below with a tag, and attributes; ``_`` stands for a dash, None for any value."""
        wanted = {name.replace('_', '-'): value for name, value in attributes.items()}
        for child in self.children:
            if isinstance(child, Node):
                if child.tag == tag and all(
                        name in child.attributes and value in (None, child.attributes[name]) for name, value in wanted.items()):
                    yield child
                yield from child.all(tag, **attributes)

    @property
    def text(self):
        """What is written in it, with single spaces."""
        return ' '.join(''.join(self._texts()).split())

    def raw(self):
        """Return what is written in it as it is: of a script."""
        return ''.join(self._texts())

    def _texts(self):
        for child in self.children:
            yield from child._texts() if isinstance(child, Node) else [child]

    def rows(self):
        """Return the texts of a table."""
        return [[cell.text for cell in row.children if isinstance(cell, Node)] for row in self.all('tr')]


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.root = Node('', {})
        self.open = [self.root]

    def handle_starttag(self, tag, attrs):
        node = Node(tag, dict(attrs))
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag):
        if self.open[-1].tag != tag:
            raise ValueError(f'</{tag}> closes <{self.open[-1].tag}>, line {self.getpos()[0]}')
        self.open.pop()

    def handle_data(self, data):
        self.open[-1].children.append(data)


def read_page(path):
    """Return a page as a tree; ValueError where an element is not closed."""
    reader = _Reader()
    reader.feed(Path(path).read_text(encoding='utf-8'))
    reader.close()
    if len(reader.open) != 1:
        raise ValueError(f'<{reader.open[-1].tag}> is not closed')
    return reader.root


# ------------------------------------------------------------------------------------ the charts' data


def sources(item):
    """Give the columns of each data source of bokeh's JSON, in its order."""
    if isinstance(item, dict):
        if item.get('name') == 'ColumnDataSource' and 'attributes' in item:
            yield {name: _column(values) for name, values in item['attributes']['data']['entries']}
        for value in item.values():
            yield from sources(value)
    elif isinstance(item, list):
        for value in item:
            yield from sources(value)


def _column(values):
    if isinstance(values, list):
        return values
    array = values['array']
    if isinstance(array, list):
        return array
    data = base64.b64decode(array['data'])
    data = gzip.decompress(data) if data[:2] == b'\x1f\x8b' else data
    return np.frombuffer(data, np.dtype(values['dtype']).newbyteorder('<')).astype(float)


def charts_of(page):
    """Return the data sources of each chart of a page by its name, those of the stocks under ``stock_CODE``."""
    script = next(found for node in page.all('script') if (found := re.search(r"const docs_json = '(.*)';\n", node.raw())))
    documents = json.loads(html.unescape(script[1].replace('\\\\', '\\')))
    found = {root['attributes']['name']: list(sources(root)) for document in documents.values() for root in document['roots']}
    for box in page.all('details', data_stock=None):
        item = json.loads(next(box.all('script')).raw())
        found[f'stock_{box.attributes["data-stock"]}'] = list(sources(item['doc']['roots'][0]))
    return found


# ------------------------------------------------------------------------------------ the comparison


def agrees(shown, want):
    """Return whether a text shows a number rounded, with the decimals, signs and percent that it is to have; or just a text."""
    if not isinstance(want, Text):
        return shown == str(want)
    if want.value is None or not math.isfinite(want.value):
        return shown == LACKING
    found = re.fullmatch(r'([+-]?)(\d[\d,]*)(?:\.(\d+))?(%?)', shown)
    if not found or len(found[3] or '') != want.digits or bool(found[4]) != want.percent:
        return False
    if (found[1] == '+') != (want.sign and found[1] != '-') or (',' in found[2]) != (len(found[2].replace(',', '')) > 3):
        return False
    value, unit = want.value * (100 if want.percent else 1), 10.0 ** -want.digits
    return abs(float(shown.replace(',', '').rstrip('%')) - value) <= unit / 2 * (1 + 1e-6) + 1e-9 * abs(value)


def differences(folder, path, words):
    """Return where a page does not show what the files of its run say: a line each.

    Parameters
    ----------
    folder : str or Path
        Of the run.
    path : str or Path
        The page.
    words : mapping of str to str
        What the page says for ``few_days``, ``few_trades``, ``not_defined``, ``not_yet``, ``none`` and ``without_best``.
    """
    run, page, found = Run(folder, words), read_page(path), []

    def compare(where, shown, want):
        if not agrees(shown, want):
            found.append(f'{where}: the page says {shown!r}, expected {want!r}')

    def compare_all(where, shown, want):
        if set(shown) != set(want):
            found.append(f'{where}: the page has {sorted(set(shown) - set(want))} and lacks {sorted(set(want) - set(shown))}')
        for name in [name for name in want if name in shown]:
            compare(f'{where} {name}', shown[name], want[name])

    figures = {cell.attributes['data-figure']: cell.text for cell in page.all('td', data_figure=None)}
    compare_all('figure', figures, run.figures())
    compare_all('key', {node.attributes['data-key']: node.text for node in page.all('b', data_key=None)}, run.keys())
    tables = {table.attributes['data-table']: table.rows() for table in page.all('table', data_table=None)}
    trades = [table.rows() for section in page.all('section', id='trades') for table in section.all('table')]
    tables.update(zip(('best_trades', 'worst_trades'), trades, strict=False))
    wanted = tables_of(run)
    if sorted(tables) != sorted(wanted):
        found.append(f'tables: the page has {sorted(tables)}, expected {sorted(wanted)}')
    for name in sorted(set(tables) & set(wanted)):
        shown, want = tables[name][HEADS.get(name, 1):], wanted[name]
        lengths = [[len(row) for row in rows] for rows in (shown, want)]
        if lengths[0] != lengths[1]:
            found.append(f'table {name}: the page has rows of {lengths[0]} cells, expected {lengths[1]}')
        for number, (texts, values) in enumerate(zip(shown, want, strict=False)):
            for place, (text, value) in enumerate(zip(texts, values, strict=False)):
                if value is not None:
                    compare(f'table {name}, row {number + 1}, cell {place + 1}', text, value)
    found += _sentences(page, run)
    found += _rebalances(page, run)
    found += _charts(charts_of(page), run)
    for box in page.all('details', data_stock=None):
        code = box.attributes['data-stock']
        stock, _, profit = next(box.all('summary')).text.rpartition(' ')[0].rpartition(' ')
        compare(f'stock of {code}', stock, run.stock(code))
        compare(f'profit of {code}', profit, Text(run.profits[code], sign=True))
    return found


def differences_side_by_side(folders, path, words):
    """Return where a page of several runs does not show what their files say: a line each; see `differences`."""
    runs, page, found = [Run(folder, words) for folder in folders], read_page(path), []
    tables = [table.rows()[1:] for table in page.all('table')]
    letters = [chr(ord('A') + number) for number in range(len(runs))]
    heads = [table.rows()[0] for table in page.all('table')]
    found += [f'the head of a table is {head}' for head in heads if head[1:] != letters]
    above = [line.text for line in next(page.all('header')).all('p')]
    if [text[:1] for text in above] != letters or not all(
            f'{run.summary["first_day"]} – {run.summary["last_day"]}' in text for run, text in zip(runs, above, strict=False)):
        found.append(f'above the tables stands {above}')
    cells = list(page.all('td', data_figure=None))
    wanted = [run.figures() for run in runs]
    if len(cells) != sum(map(len, wanted)):
        found.append(f'figures: the page has {len(cells)}, expected {sum(map(len, wanted))}')
    for number, cell in enumerate(cells):
        name = cell.attributes['data-figure']
        if not agrees(cell.text, want := wanted[number % len(runs)][name]):
            found.append(f'{name} of run {number % len(runs) + 1}: the page says {cell.text!r}, expected {want!r}')
    for number, want in enumerate(side_by_side(runs), GROUPS):
        shown = tables[number]
        if [len(row) for row in shown] != [len(row) for row in want]:
            found.append(f'table {number + 1}: the page has {shown}, expected {want}')
        found += [f'table {number + 1}: the page says {text!r}, expected {value!r}'
                  for texts, values in zip(shown, want, strict=False) for text, value in zip(texts, values, strict=False)
                  if value is not None and not agrees(text, value)]
    for name, columns in side_by_side_charts(runs).items():
        drawn = charts_of(page)[name][0]
        found += [f'chart {name}: {column} is {drawn.get(column)}, expected {values}' for column, values in columns.items()
                  if column not in drawn or not _equal(drawn[column], values)]
    return found


GROUPS = 5  # tables of figures of a page of several runs
HEADS = {'calendar_months': 0}  # rows of a table that are no values; 1 of the others


def _sentences(page, run):
    """Give what the sentences of a section do not tell."""
    for name, numbers in said_of(run).items():
        lines = ' '.join(line.text for line in next(page.all('section', id=name)).all('p'))
        texts = [text.rstrip('.,') for text in re.findall(r'[+-]?\d[\d,.]*%?', lines)]
        for want in numbers:
            if not any(agrees(text, want) for text in texts):
                yield f'section {name}: no sentence tells {want}'


def _rebalances(page, run):
    """Give what is wrong with the days of the rebalances: their counts, and the codes of each line."""
    section = next(page.all('section', id='rebalances'))
    names = '|'.join(map(re.escape, run.summary['names'].values())) or '(?!)'
    stock = rf'\d{{6}}\.[A-Z]{{4}}(?: (?:{names}))?(?: [\d,.]+ × [\d.]+)?'
    shown = []
    for year in section.all('details', **{'class': 'year'}):
        boxes = list(year.all('details'))
        if int(re.findall(r'\d+', next(year.all('summary')).text)[1]) != len(boxes):
            yield f'rebalances: {next(year.all("summary")).text!r} over {len(boxes)} days'
        for box in boxes:
            head = next(box.all('summary')).text
            lines = [(next(line.all('b')).text, re.findall(stock, line.text)) for line in box.all('p')]
            shown.append((head[:10], [int(number) for number in re.findall(r'\d+', head[10:])], [codes for _, codes in lines]))
    want = rebalances_of(run)
    if [day for day, *_ in shown] != [day for day, *_ in want]:
        yield f'rebalances: the page has {len(shown)} days, expected {len(want)}'
    for (day, counts, lines), (_, numbers, texts) in zip(shown, want, strict=False):
        if counts != numbers:
            yield f'rebalance of {day}: the page counts {counts}, expected {numbers}'
        if lines != texts:
            yield f'rebalance of {day}: the page lists {lines}, expected {texts}'


def _charts(shown, run):
    """Give what is wrong with the data of the charts, which have 32 bits."""
    want = chart_data(run)
    if set(shown) != set(want):
        yield f'charts: the page has {sorted(set(shown) - set(want))} and lacks {sorted(set(want) - set(shown))}'
    for name in sorted(set(shown) & set(want)):
        if len(shown[name]) != len(want[name]):
            yield f'chart {name}: it draws {len(shown[name])} tables, expected {len(want[name])}'
        for columns, values in zip(shown[name], want[name], strict=False):
            if 'left' in columns:
                yield from _histogram(name, columns, values['values'])
                continue
            for column, numbers in values.items():
                if column not in columns:
                    yield f'chart {name}: it has no {column}'
                elif not _equal(columns[column], numbers):
                    yield f'chart {name}: {column} is {columns[column]}, expected {numbers}'
            for column in set(columns) - set(values) - {'width'}:
                yield f'chart {name}: nothing is known of {column}'


def _equal(one, other):
    if len(one) != len(other):
        return False
    if any(isinstance(value, str) for value in other):
        return list(one) == other
    return np.allclose(np.asarray(one, float), other, rtol=3e-7, atol=1e-7, equal_nan=True)


def _histogram(name, columns, values):
    """Give what is wrong with bars: each value counts once, those beyond the ends to the first or last bar."""
    edges = np.append(columns['left'], columns['right'][-1])
    at = np.clip(np.searchsorted(edges, values, side='right') - 1, 0, len(edges) - 2)
    counts = np.bincount(at, minlength=len(edges) - 1)
    # a value on an edge may fall to either side of it
    if columns['count'].sum() != len(values) or np.abs(np.cumsum(counts) - np.cumsum(columns['count'])).max() > _on_edges(
            edges, values):
        yield f'chart {name}: it counts {columns["count"]}, expected {counts}'
    if len(values) <= 500 and not edges[0] - 1e-12 <= min(values) <= max(values) <= edges[-1] + 1e-12:
        yield f'chart {name}: it goes from {edges[0]} to {edges[-1]}, the values from {min(values)} to {max(values)}'


def _on_edges(edges, values):
    return sum(bool(np.isclose(edges, value, rtol=0, atol=1e-12).any()) for value in values)


ENGLISH = {'few_days': 'too few days to say', 'few_trades': 'too few trades to say', 'not_defined': 'not defined',
           'not_yet': 'not yet', 'none': 'none', 'without_best': 'without the {} best trades'}
CHINESE = {'few_days': '交易日太少', 'few_trades': '交易太少', 'not_defined': '无定义', 'not_yet': '尚未收复', 'none': '无',
           'without_best': '剔除收益最好的 {} 笔交易'}


if __name__ == '__main__':
    chinese = 'lang="zh-CN"' in Path(sys.argv[2]).read_text(encoding='utf-8')[:200]
    lines = differences(sys.argv[1], sys.argv[2], CHINESE if chinese else ENGLISH)
    print('\n'.join(lines) or 'all numbers agree')
    sys.exit(bool(lines))
