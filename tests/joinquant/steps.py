"""Scripts made of steps: on which day of January 2024, at which time, what is called; what the tests of orders share."""

from textwrap import indent

from .scripts import FREE, market, run

A, B, STAR = '600001.XSHG', '000002.XSHE', '688003.XSHG'
# The codes are put together, so that a script does not name a stock that its market has not.
HEAD = FREE + """
A, B, STAR = [code + exchange for code, exchange in (('600001', '.XSHG'), ('000002', '.XSHE'), ('688003', '.XSHG'))]


def said(order):
    return None if order is None else (str(order.status), order.amount, order.filled, round(order.price, 6))


def initialize(context):
    g.seen = []
    portfolio, positions = context.portfolio, context.portfolio.positions
"""


def flat(*codes, days=4, price=10.0, **columns):
    """Stocks at one price, from Tuesday 2024-01-02; a run begins on Wednesday 2024-01-03. The days are 2, 3, 4, 5, 8, 9, 10."""
    return market({code: [price] * days for code in codes or (A, B, STAR)}, **columns)


def script_of(steps, setting='free_of_costs()'):
    """Return a script: ``steps`` maps '3 9:30' to what is done on the 3rd at 9:30; ``see(x)`` keeps x in g.seen."""
    body, functions = [setting, 'see = g.seen.append'], []
    for number, (when, what) in enumerate(steps.items()):
        day, time = when.split()
        body.append(f"run_daily(step_{number}, '{time}')")
        functions.append(f'def step_{number}(context):\n'
                         '    see, portfolio, positions = g.seen.append, context.portfolio, context.portfolio.positions\n'
                         f'    if context.current_dt.day != {day}:\n        return\n{indent(what.strip(), " " * 4)}\n')
    return HEAD + indent('\n'.join(body), ' ' * 4) + '\n\n\n' + '\n\n'.join(functions)


def play(steps, tmp_path, table=None, setting='free_of_costs()', **params):
    """Run the steps and return the strategy; ``.g.seen`` is what they have seen."""
    return run(script_of(steps, setting), flat() if table is None else table, tmp_path, **params)


def seen(steps, tmp_path, table=None, **params):
    """Return what the steps have seen."""
    return play(steps, tmp_path, table, **params).g.seen
