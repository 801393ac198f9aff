# SPDX-License-Identifier: MIT
"""Values measured round by round, their ratios, and how both are kept in a JSON file and shown as text."""
import json
import os
import platform
import statistics

from lib import counting

HIGHER_IS_BETTER = ('msg/s', 'conn/s', 'req/s', 'per us', '%')
OURS = 'gort'


def tie(ratio):
    return ratio[1] <= 1.0 <= ratio[2]


def brief(v):
    return float('%.5g' % v)


class Series:
    """The values of one line over the rounds, for each system; the unit is ours."""

    def __init__(self, item, name, unit, procs, values=None):
        self.item = item            # what was run
        self.name = name            # what it printed
        self.unit = unit
        self.procs = procs
        self.values = values or {}

    def key(self):
        return self.procs, self.name

    def median(self, system):
        values = self.values.get(system)
        return statistics.median(values) if values else None

    def ratio(self, peer):
        """(ratio, lowest, highest), more than 1: ours is better; None where there is nothing to compare"""
        ours, theirs = self.values.get(OURS), self.values.get(peer)
        if peer == OURS or not ours or not theirs or min(ours) <= 0 or min(theirs) <= 0:
            return None
        if self.unit in HIGHER_IS_BETTER:
            ours, theirs = theirs, ours
        rounds = [t / o for o, t in zip(ours, theirs)]
        return statistics.median(theirs) / statistics.median(ours), min(rounds), max(rounds)

    def counts(self, peer):
        return counting.counts(self.item, peer) and not self.name.endswith('_raw')     # nothing of ours is in that

    def as_json(self):
        out = {'item': self.item, 'name': self.name, 'unit': self.unit, 'procs': self.procs, 'systems': {}, 'ratios': {}}
        for system, values in self.values.items():
            out['systems'][system] = {'median': brief(self.median(system)), 'values': [brief(v) for v in values]}
            r = self.ratio(system)
            if r is not None:
                out['ratios'][system] = {'ratio': brief(r[0]), 'min': brief(r[1]), 'max': brief(r[2]),
                                         'tie': tie(r), 'counts': self.counts(system)}
        return out


class Results:
    """All series of one or several runs on one machine."""

    def __init__(self):
        self.series = {}            # by key
        self.about = {}             # system: version, or why it is not there
        self.failed = {}            # what ended without a result, and why
        self.quick = False

    def add(self, series):
        for s in series:
            self.series[s.key()] = s

    def sort(self, items):
        """in the order of these items, whatever they were measured in"""
        self.series = dict(sorted(self.series.items(), key=lambda s: (
            s[0][0], items.index(s[1].item) if s[1].item in items else len(items))))

    def procs(self):
        return sorted({procs for procs, _ in self.series})

    def at(self, procs):
        return [s for s in self.series.values() if s.procs == procs]

    def systems(self):
        """those with any value, in the order in which they were run"""
        seen = []
        for s in self.series.values():
            seen += [name for name in s.values if name not in seen]
        order = list(self.about)
        return sorted(seen, key=lambda n: order.index(n) if n in order else len(order))

    def load(self, path):
        """Takes over what an earlier run wrote; what is measured again replaces it."""
        with open(path) as f:
            kept = json.load(f)
        if kept['machine'] != processor():
            raise ValueError('%s is of another machine: %s' % (path, kept['machine']))
        self.about.update(kept['about'])
        self.failed.update(kept['failed'])
        self.quick = self.quick or kept['quick']
        self.add(Series(r['item'], r['name'], r['unit'], r['procs'], {n: v['values'] for n, v in r['systems'].items()})
                 for r in kept['results'])

    def save(self, path):
        whole = {
            'machine': processor(), 'system': '%s %s' % (platform.system(), platform.release()),
            'processors': len(os.sched_getaffinity(0)), 'quick': self.quick, 'about': self.about, 'failed': self.failed,
            'results': [self.series[k].as_json() for k in self.series],
        }
        with open(path + '.new', 'w') as f:
            json.dump(whole, f, indent=1)
            f.write('\n')
        os.replace(path + '.new', path)


def processor():
    try:
        with open('/proc/cpuinfo') as f:
            for line in f:
                if line.startswith('model name'):
                    return line.split(':', 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


# --- as text ----------------------------------------------------------------------------------------------------------

def number(v):
    if v == 0:
        return '0'
    return '%.0f' % v if abs(v) >= 1000 else '%.3g' % v


def cell(values):
    m = statistics.median(values)
    spread = (max(values) - min(values)) / 2 / m * 100 if m > 0 else 0
    return '%10s ±%2.0f%%' % (number(m), spread)


def lines(series, systems):
    """One line a system: median and spread; ratio and its range."""
    out = []
    for i, system in enumerate(s for s in systems if s in series.values):
        text = '%-26s %-14s' % ((series.name, series.unit) if i == 0 else ('', ''))
        text += ' %-9s %s' % (system, cell(series.values[system]))
        r = series.ratio(system)
        if r is not None:
            text += '  %8s  %s-%s' % ('tie' if tie(r) else number(r[0]), number(r[1]), number(r[2]))
            if not series.counts(system):
                text += '  (does not count)'
        out.append(text)
    return out


def matrix(results, procs):
    """The table of ratios: a line an item, a column a peer; in brackets those that do not count for it."""
    peers = [s for s in results.systems() if s != OURS]
    out = ['%-26s %12s' % ('P=%d' % procs, OURS) + ''.join('%11s' % p for p in peers)]
    for s in results.at(procs):
        ours = s.median(OURS)
        text = '%-26s %12s' % (s.name, number(ours) if ours is not None else '')
        for peer in peers:
            r = s.ratio(peer)
            shown = '' if r is None else 'tie' if tie(r) else number(r[0])
            text += '%11s' % ('(%s)' % shown if shown and not s.counts(peer) else shown + ' ' if shown else '')
        out.append(text.rstrip())
    return out


def behind(results):
    """What is slower than a peer that counts for it: (ratio, item, P, peer), the worst first."""
    found = []
    for s in results.series.values():
        for peer in s.values:
            r = s.ratio(peer)
            if r is not None and s.counts(peer) and r[0] < 1 and not tie(r):
                found.append((r[0], s.name, s.procs, peer))
    return sorted(found)
