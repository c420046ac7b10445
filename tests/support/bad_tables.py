"""A small good table, and what makes it bad."""

import pandas as pd

from tests.support.script_calls import call, one_error_line

DAYS = ('2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05')
CODES = ('600001.XSHG', '000002.XSHE')
ENDINGS = ('.csv', '.csv.gz', '.parquet')


def good():
    """Eight rows, by date then code: the row of day d and stock s is number 2 d + s."""
    rows = []
    for number, day in enumerate(DAYS):
        for stock, code in enumerate(CODES):
            price = 10.0 + number + 5 * stock
            rows.append({
                'date': pd.Timestamp(day), 'code': code, 'open': price, 'high': price + 0.5, 'low': price - 0.5,
                'close': price + 0.1, 'preclose': price - 0.2, 'volume': 1e6, 'market_cap': 2.1e9 + 1e8 * stock,
                'is_st': 0.0, 'paused': 0.0})
    return pd.DataFrame(rows)


def write(table, path):
    if path.suffix == '.parquet':
        for name in table.columns[[kind.kind == 'O' for kind in table.dtypes]]:  # Parquet has one type a column: text
            if name not in ('date', 'code'):
                table[name] = table[name].astype('string')
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False)
    return path


def refuse(folder, *arguments):
    """Run the backtest on something bad and return its one line; the folder for the results stays empty.

    Of single bad rows `take` tells what becomes; with ``--strict`` they are refused.
    """
    out = folder / 'results'
    line = one_error_line(call('backtest', *arguments, '--out', out))
    assert not out.exists() or not list(out.iterdir())
    return line


def take(folder, path):
    """Run the backtest on a table with bad rows; return what it lists, without the file and what stood there."""
    out = folder / 'results'
    outcome = call('backtest', '--data', path, '--out', out, '--no-plot')
    assert (outcome.status, outcome.err) == (0, '')
    listed = pd.read_csv(out / 'quarantine.csv', dtype=str, keep_default_na=False)
    assert set(listed['file']) == {str(path)}
    assert '; each is in quarantine.csv' in outcome.out
    return [(int(row.line), row.date, row.code, row.column, row.finding, row.done) for row in listed.itertuples()]


def put(column, row, value):
    def change(table):
        if isinstance(value, str):
            table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table
    return change


def times(column, factor):
    def change(table):
        table[column] = table[column] * factor
        return table
    return change


def add(**columns):
    def change(table):
        return table.assign(**columns)
    return change


def swap(*pairs):
    def change(table):
        order = list(table.index)
        for first, second in pairs:
            order[first], order[second] = order[second], order[first]
        return table.loc[order].reset_index(drop=True)
    return change


def rows_of(codes):
    def change(table):
        table['code'] = list(codes) * len(DAYS)
        return table
    return change
