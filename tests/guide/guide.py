# SPDX-License-Identifier: MIT
"""guide.py SOURCE-ROOT WORK-DIR LIBRARY... -- COMPILER...: the guide holds what it says.

Each C program of doc/guide is compiled as a user's would be and run, and prints what the text after it shows.
go-names.md names every public function and nothing that is not there; sources.md has every source file; links lead
somewhere.
"""
import concurrent.futures
import glob
import os
import re
import subprocess
import sys

FLAGS = ['-std=gnu11', '-O1', '-Wall', '-Wextra', '-Werror', '-Wno-unused-parameter', '-pthread']
# A program, and the block after it, which is to be what it prints.
PROGRAM = re.compile(r'^```c\n(.*?)^```\n(?:\s*^```text\n(.*?)^```\n)?', re.MULTILINE | re.DOTALL)

ran = 0
failed = 0


def result(ok, name, why=''):
    global ran, failed
    ran += 1
    failed += not ok
    print('%s %d - %s' % ('ok' if ok else 'not ok', ran, name))
    for line in why.splitlines() if not ok else ():
        print('# ' + line)


def read(*path):
    with open(os.path.join(*path), encoding='utf-8') as f:
        return f.read()


def try_program(base, text, expected, root, libraries, compiler):
    """What is wrong with a program; '' for nothing."""
    if expected is None:
        return 'no ```text block after it says what it prints'
    with open(base + '.c', 'w', encoding='utf-8') as f:
        f.write(text)
    command = compiler + FLAGS + ['-I' + d for d in glob.glob(os.path.join(root, 'libgort-*', 'include'))]
    command += ['-o', base, base + '.c'] + libraries
    # those whose libraries need one another: as pkg-config's paths would, but in the build tree
    dirs = sorted({os.path.dirname(lib) for lib in libraries})
    command += ['-Wl,-rpath,' + d for d in dirs] + ['-Wl,-rpath-link,' + d for d in dirs]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    if done.returncode != 0:
        return done.stdout
    done = subprocess.run([base], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    if done.returncode != 0 or done.stdout != expected:
        return 'status %d, printed:\n%sinstead of:\n%s' % (done.returncode, done.stdout, expected)
    return ''


def programs(root, work, libraries, compiler):
    jobs = []
    os.makedirs(work, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for page in sorted(glob.glob(os.path.join(root, 'doc', 'guide', '*.md'))):
            text = read(page)
            name = os.path.basename(page)
            found = list(PROGRAM.finditer(text))
            if len(found) != len(re.findall(r'^```c\b', text, re.MULTILINE)):
                result(False, name + ': every block of C is a whole program')
            for m in found:
                line = text.count('\n', 0, m.start()) + 1
                base = os.path.join(work, '%s-%d' % (os.path.splitext(name)[0], line))
                jobs.append(('%s:%d' % (name, line), pool.submit(try_program, base, m.group(1), m.group(2), root,
                                                                  libraries, compiler)))
    result(jobs != [], 'there are programs')
    for name, job in jobs:
        result(job.result() == '', name, job.result())


def names_of(page, public):
    """The names in a page's tables, those that begin with _ spelt out, and what cannot be."""
    names, unknown, last = set(), set(), ''
    rows = ''.join(re.findall(r'^\|.*\n', page, re.MULTILINE))
    for span in re.findall(r'`([^`\n]+)`', rows):
        if re.fullmatch(r'_\w+', span):
            stems = [last[:i] for i, c in enumerate(last) if c == '_'] + [last]
            full = [stem + span for stem in stems if stem + span in public]
            names |= set(full[-1:])                     # what shares the most with the one before
            if not full:
                unknown.add('%s after %s' % (span, last))
        else:
            for name in re.findall(r'\b(?:gort|GORT)_\w+', span):
                names.add(name)
                last = name
    return names, unknown


def go_names(root):
    public, headers = set(), ''
    for path in glob.glob(os.path.join(root, 'libgort-*', '*.map')):
        public |= set(re.findall(r'^\s*(gort_(?!_)\w+);$', read(path), re.MULTILINE))
    for path in glob.glob(os.path.join(root, 'libgort-*', 'include', 'gort', '*.h')):
        headers += read(path)
    macros = set(re.findall(r'^#define (gort_(?!_)\w+|GORT_(?!_)(?:ON|CASE|SELECT)\w*)\(', headers, re.MULTILINE))
    known = set(re.findall(r'\b(?:gort|GORT)_\w+', headers)) | {'GORT_DEBUG'}
    names, unknown = names_of(read(root, 'doc', 'guide', 'go-names.md'), public)
    result(len(public) > 100, 'the maps have public functions')
    result(public <= names, 'go-names.md has every function', '\n'.join(sorted(public - names)))
    result(macros <= names, 'go-names.md has the macros of channels', '\n'.join(sorted(macros - names)))
    result(names <= known and not unknown, 'go-names.md has nothing that is not there',
           '\n'.join(sorted((names - known) | unknown)))


def sources(root):
    rows = re.findall(r'`(libgort-[^`]+)`', read(root, 'doc', 'guide', 'sources.md'))
    gone = [r for r in rows if not os.path.exists(os.path.join(root, r))]
    result(rows and not gone, 'what sources.md names is there', '\n'.join(gone))
    paths = glob.glob(os.path.join(root, 'libgort-*', 'src', '**', '*.c'), recursive=True)
    files = [os.path.relpath(p, root) for p in paths]
    missing = [f for f in files if not any(f == r or f.startswith(r + '/') for r in rows)]
    result(files and not missing, 'sources.md has every source file', '\n'.join(sorted(missing)))


def links(root):
    guide = os.path.join(root, 'doc', 'guide')
    broken = []
    for page in sorted(glob.glob(os.path.join(guide, '*.md'))):
        for to in re.findall(r'\]\(([^)#]+)\)', read(page)):
            if '://' not in to and not os.path.exists(os.path.join(guide, to)):
                broken.append('%s: %s' % (os.path.basename(page), to))
    result(not broken, 'links lead somewhere', '\n'.join(broken))
    index = read(guide, 'README.md')
    lost = [p for p in os.listdir(guide) if p != 'README.md' and '(%s)' % p not in index]
    result(not lost, 'README.md has every page', '\n'.join(lost))


def main(root, work, *rest):
    cut = rest.index('--')
    programs(root, work, list(rest[:cut]), list(rest[cut + 1:]))
    go_names(root)
    sources(root)
    links(root)
    print('1..%d' % ran)
    return 1 if failed else 0


sys.exit(main(*sys.argv[1:]))
