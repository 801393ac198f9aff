# SPDX-License-Identifier: MIT
"""generate.py MAN3 VERSION HEADER...: makes the man pages of the public headers, in the folder MAN3

One page for each comment that header.py takes for one, links to it from the other functions it is about, and for each
header a page gort-NAME with what it says about itself, its types and constants (links from there too) and its functions.
"""
import os
import re
import shutil
import sys
import textwrap

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from header import NAME, Header, Malformed                      # noqa: E402

SEE_ALSO = 8
# parameters that are words of English as well: these are told apart only by a star before, or as calls
WORDS = ('attr', 'capacity', 'deadline', 'err', 'from', 'info', 'key', 'name', 'once', 'parent', 'path', 'result', 'run',
         'shared', 'size', 'type', 'untyped', 'value', 'what', 'why')


def plain(text):
    """Characters of text that roff would not print as they are"""
    text = text.replace('\\', '\\e')
    for char, escape in (('`', '\\(ga'), ('^', '\\(ha'), ('~', '\\(ti')):
        text = text.replace(char, escape)
    return ''.join(c if ord(c) < 128 else '\\[u%04X]' % ord(c) for c in text)


def code(text):
    return plain(text).replace('-', '\\-').replace("'", '\\(aq')


def minus(text):
    """A hyphen joins words, anything else is a minus"""
    return re.sub('(?<![a-z])-|-(?![a-z])', '\\\\-', text)


def line(text):
    """No request, whatever it begins with"""
    return '\\&' + text if text[:1] in ('.', "'") else text


def literal(text):
    return ['.RS 4', '.EX'] + [line(code(row.expandtabs(8))) for row in text.split('\n')] + ['.EE', '.RE']


class Manual:
    def __init__(self, out, version, headers):
        self.out, self.version, self.headers = out, version, headers
        self.pages = {}                 # name: the page that has it
        for h in headers:
            for name, page in [(h.page, h.page)] + [(n, b.names[0]) for b in h.blocks for n in b.names] + \
                    [(n, h.page) for s in h.sections for n in s.types]:
                if name in self.pages:
                    raise Malformed('%s is described twice' % name)
                self.pages[name] = page

    def prose(self, text, parameters=(), own=()):
        """With names in bold, and those of other pages as references; parameters in italics"""
        def word(m):
            before, name = m.group(1) or '', m.group(2)
            if re.match(NAME + r'$|gort-', name):
                text = before + '\\fB\\%' + name.replace('-', '\\-') + '\\fP'
                return text + ('(3)' if name in self.pages and name not in own and m.group(3) is None else '')
            if name in parameters and (before or m.group(3) is not None or name not in WORDS):
                return before + '\\fI' + name + '\\fP'
            return m.group()
        text, files = plain(text), [os.path.basename(h.include) for h in self.headers]
        text = re.sub(r'(?<![\w/<])([a-z]+\.h)\b', lambda m: '<gort/%s>' % m.group(1) if m.group(1) in files else m.group(), text)
        text = minus(text)
        text = re.sub(r"(\*)?(?<![\w\\])(gort-[a-z]+|[A-Za-z_]\w*)(?=(\()|)", word, text)
        return [line(row) for row in textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)]

    def parts(self, parts, parameters=(), own=(), below=False):
        rows = []
        for i, (kind, text) in enumerate(parts):
            if i or below:
                rows += [] if kind == 'item' else ['.PP']
            if kind == 'literal':
                rows += literal(text)
            elif kind == 'item':
                rows += ['.IP \\(bu 2'] + self.prose(text, parameters, own)
            else:
                rows += self.prose(text, parameters, own)
        return rows

    def top(self, name, names, summary, header):
        return ['.\\" Made from <%s>. SPDX-License-Identifier: MIT' % header.include,
                '.TH %s 3 "" "libgort %s" "libgort"' % (code(name), self.version),
                '.ad l', '.SH NAME', '%s \\- %s' % (', '.join(code(n) for n in names), minus(plain(summary))),
                '.SH LIBRARY', 'lib%s, by' % code(header.library),
                '.B pkg\\-config \\-\\-cflags \\-\\-libs ' + code(header.library),
                '.SH SYNOPSIS', '.nf', '.B #include <%s>' % code(header.include)]

    @staticmethod
    def synopsis(declarations):
        rows = []
        for name, parameters, text in declarations:
            wrapped = ['']
            # after a comma, but not one between the parameters of a parameter
            for part in re.findall(r'(?:[^,()]|\((?:[^()]|\([^()]*\))*\)(?=[,)(])|[()])+,? ?', text):
                if len(wrapped[-1] + part.rstrip()) > 76:
                    wrapped.append(' ' * (text.index('(') + 1))
                wrapped[-1] += part
            for row in wrapped:
                row = row.rstrip()
                row = code(row)
                for p in set(parameters):
                    row = re.sub(r'(?<=[\s*(,])%s(?=\s*[,)\[])' % p, r'\\fI%s\\fB' % p, row)
                rows.append('\\fB%s\\fP' % row)
        return rows

    def block(self, header, section, b):
        rows = self.top(b.names[0], b.names, b.summary, header) + ['.PP'] + self.synopsis(b.declarations) + ['.fi']
        parameters = {p for d in b.declarations for p in d[1]}
        rows += ['.SH DESCRIPTION']
        rows += self.parts(b.body, parameters, b.names) or self.prose(b.summary[0].upper() + b.summary[1:] + '.')
        if b.go:
            rows += ['.SH GO'] + self.prose(b.go)
        if b.example:
            rows += ['.SH EXAMPLES'] + literal(b.example)
        # what the words name, and then the nearest ones
        mentioned = re.findall(NAME, ' '.join(text for _, text in b.body) + ' ' + (b.go or ''))
        at = section.blocks.index(b)
        near = sorted(section.blocks, key=lambda other: (abs(section.blocks.index(other) - at), section.blocks.index(other)))
        see = []
        for name in [self.pages[n] for n in mentioned if n in self.pages] + [other.names[0] for other in near]:
            if name not in see and name not in (b.names[0], header.page):
                see.append(name)
        rows += ['.SH SEE ALSO'] + self.references([header.page] + sorted(see[:SEE_ALSO]))
        return rows

    @staticmethod
    def references(names):
        return ['.BR \\%%%s (3)%s' % (code(n), ',' if n != names[-1] else '') for n in names]

    def overview(self, header):
        rows = self.top(header.page, [header.page], header.summary, header) + ['.fi', '.SH DESCRIPTION']
        rows += self.parts(header.about) or self.prose(header.summary + '.')
        for s in header.sections:
            if not s.parts and not s.blocks:
                continue
            if s.title:
                rows += ['.SS ' + plain(s.title[0].upper() + s.title[1:])]
            rows += self.parts(s.parts, below=not s.title)
            for b in s.blocks:
                rows += ['.TP', line(', '.join('\\fB\\%%%s\\fP(3)' % code(n) for n in b.names))] + self.prose(b.summary)
        others = [h.page for h in self.headers if h is not header]
        return rows + (['.SH SEE ALSO'] + self.references(others) if others else [])

    def write(self):
        # afresh: nothing stays of what a header had before, and the folder's time is that of this run
        shutil.rmtree(self.out, ignore_errors=True)
        os.makedirs(self.out)
        for h in self.headers:
            self.page(h.page, self.overview(h))
            for s in h.sections:
                for b in s.blocks:
                    self.page(b.names[0], self.block(h, s, b))
        for name, page in self.pages.items():
            if name != page:
                self.page(name, ['.so man3/%s.3' % page])

    def page(self, name, rows):
        with open(os.path.join(self.out, name + '.3'), 'w', encoding='ascii') as f:
            f.write('\n'.join(rows) + '\n')


def main(out, version, *headers):
    try:
        Manual(out, version, [Header(h) for h in headers]).write()
    except Malformed as e:
        sys.exit(str(e))


main(*sys.argv[1:])
