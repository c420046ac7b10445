"""Hold random markets against the model and against everything that is true of any run, for as long as asked.

It needs the tests' helpers (tests/) and hypothesis. Every batch of examples has a seed of its own: what fails is
run again with --seed SEED --examples BATCH.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path

from bt_microcap.commands.command_line import Parser, number, one_line_errors

BATCH = 25  # examples a seed


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('soak', description=__doc__.splitlines()[0])
    parser.add_argument('--examples', type=number(int, 1), default=1000, help='random runs (default: 1000)')
    parser.add_argument('--seed', type=number(int, 0), default=0, help='of the first batch (default: 0)')
    return parser.parse_args(pargs)


def check_batch(seed: int, examples: int) -> None:
    """Run some random markets both ways; what does not hold raises."""
    import hypothesis

    from tests.support.invariants import check_run
    from tests.support.markets import cases
    from tests.support.model import compare
    from tests.support.running import run_feeds, run_market

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=examples, deadline=None, database=None, phases=[hypothesis.Phase.generate],
                         suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(cases())
    def run(case: tuple) -> None:
        table, options = case
        for way in (run_market, run_feeds):
            blotter = way(table, **options).analyzers.blotter
            compare(table, options, blotter)
            check_run(table, options, blotter)

    run()


@one_line_errors
def main(pargs: list[str] | None = None) -> int:
    """Run the batches until one fails."""
    args = parse_args(pargs)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    end = '\r' if sys.stdout.isatty() else '\n'
    done, seed, started = 0, args.seed, time.perf_counter()
    while done < args.examples:
        examples = min(BATCH, args.examples - done)
        try:
            check_batch(seed, examples)
        except Exception:
            traceback.print_exc()
            print(f'failed: --seed {seed} --examples {examples}')
            return 1
        done, seed = done + examples, seed + 1
        rate = done / (time.perf_counter() - started)
        print(f'{done}/{args.examples} runs, {rate:.1f} a second, last seed {seed - 1}', end=end, flush=True)
    print('\nall of them hold' if end == '\r' else 'all of them hold')
    return 0


if __name__ == '__main__':
    sys.exit(main())
