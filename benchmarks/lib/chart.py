# SPDX-License-Identifier: MIT
"""Charts as SVG, readable on light and on dark ground: the ratios, and curves over size."""
import math
from xml.sax.saxutils import escape

from lib.results import OURS, tie

# One for each system, told apart by people who see colours differently too, and by shape.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#b8860b', '#56b4e9', '#8060c0', '#808080', '#c03030')
SHAPES = ('circle', 'square', 'diamond', 'up', 'down')

STYLE = '''
svg { font: 12px system-ui, sans-serif; }
.ground { fill: #ffffff; } text { fill: #24292f; } .dim { fill: #57606a; }
.grid { stroke: #d0d7de; stroke-width: 1; } .one { stroke: #57606a; stroke-width: 1.5; }
.band { fill: #f3f5f7; } .curve { fill: none; stroke-width: 1.8; }
@media (prefers-color-scheme: dark) {
  .ground { fill: #0d1117; } text { fill: #e6edf3; } .dim { fill: #9198a1; }
  .grid { stroke: #30363d; } .one { stroke: #9198a1; } .band { fill: #161b22; }
}
''' + '\n'.join('.m%d { fill: %s; } .h%d { fill: none; stroke: %s; stroke-width: 1.4; } .c%d { stroke: %s; }' % (i, c, i, c, i, c)
                for i, c in enumerate(COLOURS)) + '\n'


class Svg:
    def __init__(self, width, height, title):
        self.width, self.height, self.title = width, height, title
        self.parts = []

    def text(self, x, y, text, anchor='start', extra=''):
        self.parts.append('<text x="%.1f" y="%.1f" text-anchor="%s"%s>\n%s</text>' % (x, y, anchor, extra, escape(text)))

    def line(self, x1, y1, x2, y2, name):
        self.parts.append('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>' % (x1, y1, x2, y2, name))

    def rect(self, x, y, w, h, name):
        self.parts.append('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="%s"/>' % (x, y, w, h, name))

    def mark(self, x, y, kind, hollow=False, hint=''):
        look = 'class="%s%d"' % ('h' if hollow else 'm', kind % len(COLOURS))
        r = 4.2
        shape = SHAPES[kind % len(SHAPES)]
        if shape == 'circle':
            body = '<circle cx="%.1f" cy="%.1f" r="%.1f" %s>' % (x, y, r, look), '</circle>'
        else:
            corners = {
                'square': ((-1, -1), (1, -1), (1, 1), (-1, 1)),
                'diamond': ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
                'up': ((0, -1.2), (1.2, 1), (-1.2, 1)),
                'down': ((0, 1.2), (1.2, -1), (-1.2, -1)),
            }[shape]
            points = ' '.join('%.1f,%.1f' % (x + dx * r * 0.9, y + dy * r * 0.9) for dx, dy in corners)
            body = '<polygon points="%s" %s>' % (points, look), '</polygon>'
        self.parts.append(body[0] + ('\n<title>%s</title>' % escape(hint) if hint else '') + body[1])

    def curve(self, points, kind):
        self.parts.append('<polyline points="%s" class="curve c%d"/>' % (
            '\n'.join('%.1f,%.1f' % p for p in points), kind % len(COLOURS)))

    def write(self, path):
        with open(path, 'w', encoding='utf-8') as f:
            f.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">\n'
                    '<title>%s</title>\n<style>%s</style>\n' % (
                        self.width, self.height, self.width, self.height, escape(self.title), STYLE))
            f.write('<rect width="100%" height="100%" class="ground"/>\n')
            f.write('\n'.join(self.parts) + '\n</svg>\n')


def bold(size=13):
    return ' font-weight="600" font-size="%d"' % size


# --- how many times as fast as each peer -------------------------------------------------------------------------------

LOW, HIGH = 0.1, 1000.0
LABELS, PANEL, GAP, ROW, TOP = 184, 330, 44, 20, 86


def ratios(results, path):
    """A line an item, a panel a number of processors, a mark a peer; to the right of the 1 ours is faster."""
    panels = results.procs()
    peers = [s for s in results.systems() if s != OURS]
    names = []
    for s in results.series.values():
        if s.name not in names and any(s.ratio(p) for p in peers):
            names.append(s.name)
    svg = Svg(LABELS + len(panels) * (PANEL + GAP), TOP + ROW * len(names) + 34, 'libgort against other systems')
    svg.text(12, 22, 'How many times as fast as others', extra=bold(15))
    svg.text(12, 40, 'Same work, same machine, in turn; right of 1: libgort is faster. Hollow: a tie, or gives less than is asked.',
             extra=' class="dim"')
    legend(svg, 12, 60, [('%s' % p, i) for i, p in enumerate(peers)])
    for row, name in enumerate(names):
        y = TOP + ROW * row
        if row % 2 == 0:
            svg.rect(0, y, svg.width, ROW, 'band')
        svg.text(LABELS - 10, y + 14, name, 'end')
    for i, procs in enumerate(panels):
        panel(svg, LABELS + i * (PANEL + GAP), procs, names, {s.name: s for s in results.at(procs)}, peers)
    svg.write(path)


def panel(svg, left, procs, names, series, peers):
    def x(ratio):
        r = min(max(ratio, LOW), HIGH)
        return left + PANEL * (math.log10(r) - math.log10(LOW)) / (math.log10(HIGH) - math.log10(LOW))

    bottom = TOP + ROW * len(names)
    svg.text(left + PANEL / 2, TOP - 8, '%d processor%s' % (procs, '' if procs == 1 else 's'), 'middle', bold())
    for tick in (0.1, 1, 10, 100, 1000):
        svg.line(x(tick), TOP, x(tick), bottom, 'one' if tick == 1 else 'grid')
        svg.text(x(tick), bottom + 16, '%g' % tick, 'middle', ' class="dim"')
    for row, name in enumerate(names):
        for kind, peer in enumerate(peers):
            r = series[name].ratio(peer) if name in series else None
            if r is not None:
                hollow = tie(r) or not series[name].counts(peer)
                svg.mark(x(r[0]), TOP + ROW * row + ROW / 2, kind, hollow, '%s %s %.3g' % (name, peer, r[0]))


def legend(svg, x, y, entries, width=10000):
    left = x
    for name, kind in entries:
        needs = 30 + 7.2 * len(name)
        if x > left and x + needs > left + width + 16:
            x, y = left, y + 16
        svg.mark(x + 5, y - 4, kind)
        svg.text(x + 14, y, name)
        x += needs


# --- curves over size -------------------------------------------------------------------------------------------------

WIDE, TALL, MARGIN, HEAD = 340, 190, 58, 72


def curves(title, note, plots, path, columns=2):
    """plots: (title, x label, y label, {name: [(x, y), ...]}), both axes logarithmic."""
    rows = (len(plots) + columns - 1) // columns
    cell_w, cell_h = WIDE + MARGIN + 24, TALL + HEAD + 44
    svg = Svg(columns * cell_w + 12, 56 + rows * cell_h, title)
    svg.text(12, 22, title, extra=bold(15))
    svg.text(12, 40, note, extra=' class="dim"')
    for i, plot in enumerate(plots):
        one_plot(svg, MARGIN + (i % columns) * cell_w, 48 + (i // columns) * cell_h + HEAD, *plot)
    svg.write(path)


def ticks_of(low, high):
    """Powers of ten around it all; of two where that is little."""
    base = 10.0 if high > 16 * low else 2.0
    found = [base ** e for e in range(math.floor(math.log(low, base) + 1e-9), math.ceil(math.log(high, base) - 1e-9) + 1)]
    return found if len(found) > 1 else [found[0], found[0] * base]


def short(v):
    for size, letter in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
        if v >= size:
            return '%.3g%s' % (v / size, letter)
    return '%.3g' % v


def one_plot(svg, left, top, title, xlabel, ylabel, lines):
    points = [p for line in lines.values() for p in line if p[0] > 0 and p[1] > 0]
    if not points:
        return
    xs = ticks_of(min(p[0] for p in points), max(p[0] for p in points))
    ys = ticks_of(min(p[1] for p in points), max(p[1] for p in points))

    def at(v, ticks, length):
        return length * (math.log10(v) - math.log10(ticks[0])) / (math.log10(ticks[-1]) - math.log10(ticks[0]))

    svg.text(left, top - 56, title, extra=bold())
    legend(svg, left, top - 40, [(n, i) for i, n in enumerate(lines)], WIDE)
    for tick in ys:
        y = top + TALL - at(tick, ys, TALL)
        svg.line(left, y, left + WIDE, y, 'grid')
        svg.text(left - 6, y + 4, short(tick), 'end', ' class="dim"')
    for tick in xs:
        x = left + at(tick, xs, WIDE)
        svg.line(x, top, x, top + TALL, 'grid')
        svg.text(x, top + TALL + 15, short(tick), 'middle', ' class="dim"')
    svg.text(left + WIDE, top + TALL + 30, xlabel, 'end', ' class="dim"')
    svg.text(left + WIDE, top - 56, ylabel, 'end', ' class="dim"')
    for kind, (name, line) in enumerate(lines.items()):
        where = [(left + at(x, xs, WIDE), top + TALL - at(y, ys, TALL)) for x, y in line if x > 0 and y > 0]
        svg.curve(where, kind)
        for (x, y), value in zip(where, line):
            svg.mark(x, y, kind, hint='%s: %g at %g' % (name, value[1], value[0]))
