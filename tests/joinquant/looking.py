"""What a data function gives a script on one day, at one time: what the tests of these functions share."""

import textwrap
import warnings

from bt_microcap.rotation.tally import NothingTradedWarning

from .scripts import run

SCRIPT = """
from jqdata import *
{head}


def initialize(context):
    g.day, g.out = 0, None
    {setup}
    run_daily(look, {at!r})


def answer(context):
{body}


def look(context):
    g.day += 1
    if g.day == {day}:
        g.out = answer(context)
"""


def look(asked, market, tmp_path, day=1, at='9:30', setup='pass', head='', **more):
    """Return what a script finds on a day of the market, 0 being the first; a run begins on day 1.

    ``asked`` is an expression, or lines that end with a ``return``; see `run` for the keywords.
    """
    body = textwrap.dedent(asked).strip() if 'return ' in asked else f'return {asked}'
    text = SCRIPT.format(head=head, setup=setup, at=at, body=textwrap.indent(body, '    '), day=day)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NothingTradedWarning)  # these scripts only look
        return run(text, market, tmp_path, **more).g.out
