"""Downloads by the command ingest from stand-ins of the services; only the test moves the clock, and nobody waits."""

from bt_microcap.feeds.sources import clock
from bt_microcap.feeds.store import MarketStore
from tests.support.script_calls import call

PRICES = ('open', 'high', 'low', 'close', 'volume', 'amount')


class Downloads:
    """Downloads of a source into stores below a folder.

    `now` is the time in Shanghai, `waits` are the seconds that were waited, in all; a `server` has its `calls`.
    """

    def __init__(self, monkeypatch, folder, source, server, now):
        self.folder, self.source, self.server, self.now, self.waits = folder, source, server, now, []
        monkeypatch.setattr(clock, 'sleep', self.waits.append)
        monkeypatch.setattr(clock, 'monotonic', lambda: float(sum(self.waits)))
        monkeypatch.setattr(clock, 'now', lambda: self.now)

    def ingest(self, start, end, *options, store='store'):
        """Return what the command printed; `made` are then the calls that it made."""
        before = len(self.server.calls)
        outcome = call('ingest', self.source, '--start', start, '--end', end, '--store', self.folder / store, *options)
        self.made = self.server.calls[before:]
        return outcome

    def download(self, start, end, *options, store='store'):
        """Download, and hold that nothing went wrong."""
        outcome = self.ingest(start, end, *options, store=store)
        assert outcome.status == 0, outcome.err
        return outcome

    def refused(self, start, end, *options, store='store'):
        """Download in vain: return the one line that says why."""
        outcome = self.ingest(start, end, *options, store=store)
        *told, line = [line for line in outcome.err.splitlines() if line.strip()]
        assert (outcome.status, outcome.out) == (2, ''), outcome
        assert all(text.startswith((self.source, 'usage: ')) or ': about ' in text for text in told), outcome.err
        assert 'error: ' in line
        return line

    def backtest(self, *options, store='store'):
        """Run a backtest on a store; return what it printed, and the text of its summary."""
        out = self.folder / f'{store}.out'
        outcome = call('backtest', '--data', self.folder / store, '--out', out, '--no-plot', *options)
        assert outcome.status == 0, outcome.err
        return outcome.out, (out / 'summary.json').read_text(encoding='utf-8')

    def store(self, name='store'):
        return MarketStore.open(self.folder / name)

    def report(self, name='store'):
        return (self.folder / f'{name}.report.txt').read_text(encoding='utf-8')

    def rows(self, name='store'):
        """Return the rows of a store, by code and day."""
        return {(row.code, row.date.date()): row for row in self.store(name).table().itertuples(index=False)}

    def minutes(self):
        """Return the waits that are no pause between calls."""
        return [wait for wait in self.waits if wait > 5]


def compare_rows(found, market, codes, columns=(*PRICES, 'is_st', 'paused')):
    """Hold the rows of a store against those of a market, all that the stocks have."""
    wanted = {key: row for key, row in market.rows.items() if key[0] in codes}
    assert sorted(found) == sorted(wanted)
    for key, row in wanted.items():
        assert [getattr(found[key], name) for name in columns] == [getattr(row, name) for name in columns], key
