# SPDX-License-Identifier: MIT
"""Reads a public header: what its comments say, and about which declarations.

    /**
     * name[, name...] - summary
     *
     * Words. Go: what Go calls it.
     *
     *     an example
     */
    declarations, up to the next blank line

What fits on one line may do without the blank ones: the summary ends at the first full stop or semicolon then. Comments
that begin with one star, and types and constants, belong to the section of the header in which they stand.
"""
import os
import re

NAME = r'(?:gort|GORT)_[A-Za-z0-9]\w*'


class Malformed(Exception):
    pass


class Block:
    """What one page is made of"""
    def __init__(self, names, summary, body, declarations):
        self.names, self.summary, self.declarations = names, summary, declarations
        self.body, self.go, self.example = body, None, None
        if self.body and self.body[-1][0] == 'literal':
            self.example = self.body.pop()[1]
        for i, (kind, text) in enumerate(self.body):
            # the last words of a paragraph
            go = re.search(r'(?:^|(?<=[.?!)"] ))Go(?:: | has ).*$', text) if kind == 'text' else None
            if go:
                self.go = re.sub(r'^Go: ', '', go.group())
                self.body[i] = kind, text[:go.start()].strip()
        self.body = [part for part in self.body if part[1]]


class Section:
    def __init__(self, title):
        self.title, self.blocks = title, []
        self.parts = []         # ('text' or 'item' or 'literal', words), as they come
        self.types = []         # the names of types and constants


class Header:
    def __init__(self, path):
        with open(path, encoding='utf-8') as f:
            text = f.read()
        self.library = 'gort-' + re.search(r'libgort-(\w+)', os.path.abspath(path)).group(1)
        self.include = 'gort/' + os.path.basename(path)
        self.page = 'gort-' + os.path.splitext(os.path.basename(path))[0]
        self.sections = [Section('')]
        about = re.match(r'/\* SPDX.*?\*/\s*/\*(.*?)\*/', text, re.DOTALL)
        if not about:
            raise Malformed('%s: no comment that says what it is' % path)
        words = paragraphs(about.group(1))
        self.summary, rest = cut(re.sub(r'^libgort-\w+: ', '', words[0][1]), r'[.:](?: |$)')
        self.summary = lower(self.summary)
        self.about = ([('text', rest)] if rest else []) + words[1:]
        self.blocks = []
        try:
            self.read(text[about.end():])
        except Malformed as e:
            raise Malformed('%s: %s' % (path, e)) from None

    def read(self, text):
        for chunk in chunks(text):
            section = re.match(r'/\* --- (.*?) -* ?\*/$', chunk)
            if section:
                if section.group(1).startswith('how it works'):
                    return
                self.sections.append(Section(section.group(1)))
            elif chunk.startswith('/**'):
                comment, rest = re.match(r'/\*\*(.*?)\*/(.*)', chunk, re.DOTALL).groups()
                block = parse(comment, rest)
                self.blocks.append(block)
                self.sections[-1].blocks.append(block)
            elif re.match(r'/\*(?:(?!\*/).)*\*/$', chunk, re.DOTALL):
                self.sections[-1].parts += paragraphs(chunk[2:-2])
            else:
                self.types(chunk)

    def types(self, chunk):
        code = re.sub(r'/\*.*?\*/', '', chunk, flags=re.DOTALL).strip()
        if not re.match(r'(?:typedef|enum|# *define GORT_\w+ )', code) or 'gort__' in code:
            return
        names = re.findall(r'^# *define (GORT_\w+)', code, re.MULTILINE)
        names += re.findall(r'^(?:typedef\b[^{;]*\b|\} ?)(%s);' % NAME, code, re.MULTILINE)
        for enum in re.findall(r'enum \{(.*?)\}', code, re.DOTALL):
            names += re.findall(NAME, enum)
        self.sections[-1].types += names
        self.sections[-1].parts.append(('literal', chunk.expandtabs(8)))


def chunks(text):
    """What stands between blank lines, but comments and braces are not cut"""
    chunk = ''
    for line in text.split('\n'):
        chunk += line + '\n'
        bare = re.sub(r'/\*.*?\*/', '', chunk, flags=re.DOTALL)
        if not line.strip() and '/*' not in bare and bare.count('{') <= bare.count('}'):
            if chunk.strip():
                yield chunk.strip('\n')
            chunk = ''
    if chunk.strip():
        yield chunk.strip('\n')


def paragraphs(comment):
    """[(kind, words)]; kind is text, item (of a list) or literal"""
    parts, last = [], ''
    for line in comment.split('\n'):
        line = re.sub(r'^ ?\* ?', '', line).rstrip() if re.match(r' ?\*', line) else line.rstrip()
        if re.match(r' {4}', line) and (not last or parts[-1][0] == 'literal'):
            if parts and parts[-1][0] == 'literal':
                parts[-1][1] += ('\n' if last else '\n\n') + line[4:]
            else:
                parts.append(['literal', line[4:]])
        elif re.match(r' *- ', line):
            parts.append(['item', line.strip()[2:]])
        elif line.strip():
            if parts and last and parts[-1][0] != 'literal':
                parts[-1][1] += ' ' + line.strip()
            else:
                parts.append(['text', line.strip()])
        last = line.strip()
    return [tuple(p) for p in parts]


def cut(text, at):
    end = re.search(at, text)
    return (text[:end.start()] + text[end.start():end.end()].strip().rstrip('.;:'), text[end.end():]) if end else (text, '')


def lower(text):
    return text[0].lower() + text[1:] if re.match(r'[A-Z][a-z]* [a-z]', text) else text


def upper(text, names):
    word = re.match(r'[a-z]+(?![\w(])', text)
    return text[0].upper() + text[1:] if word and word.group() not in names else text


def declared(text):
    """[(name, parameters, text)] of a block's declarations"""
    found = []
    for m in re.finditer(r'\bGORT_API\b(.*?);|^#[ \t]*define[ \t]+(\w+(?:\([^)]*\))?)', text, re.DOTALL | re.MULTILINE):
        words = m.group(1) or m.group(2)
        words = re.sub(r'\s*GORT_PRINTF\(.*?\)', '', words).replace('GORT_NORETURN', '_Noreturn')
        words = re.sub(r'\s+', ' ', words).strip()
        name = re.search(r'\b(%s)(?=\(|$)' % NAME, words)
        if not name or any(name.group() == other[0] for other in found) or '__' in name.group():
            continue
        inside = words[name.end():]
        if m.group(1):
            parameters = re.findall(r'(?<=[\s*])([a-z_]\w*)(?=\s*[,)\[])', inside)
            words += ';'
        else:
            parameters = re.findall(r'[a-z_]\w*', inside)
        found.append((name.group(), parameters, words))
    return found


def parse(comment, rest):
    parts = paragraphs(comment)
    title = re.match(r'(%s(?:, %s)*) - (.*)' % (NAME, NAME), parts[0][1] if parts else '')
    if not title:
        raise Malformed('no "name - summary": %r' % comment.strip()[:60])
    names, declarations = title.group(1).split(', '), declared(rest)
    if names != [d[0] for d in declarations]:
        raise Malformed('the words are about %s, the declarations below them are %s' %
                        (', '.join(names), ', '.join(d[0] for d in declarations) or 'none'))
    summary, body = title.group(2), parts[1:]
    if not body:
        ending = re.search(r'[.;](?: |$)|(?<=\?) ', summary)
        if ending:
            more = upper(summary[ending.end():], [p for d in declarations for p in d[1]])
            summary, body = summary[:ending.start()], [('text', more)] if more else []
    elif len(body) and body[0][0] == 'literal' and re.search(r'\. ', summary):
        summary, more = summary.split('. ', 1)
        body.insert(0, ('text', more))
    return Block(names, summary.rstrip('.'), body, declarations)
