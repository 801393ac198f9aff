# SPDX-License-Identifier: MIT
"""headers.py USE.c INCLUDE-DIR...: every public header alone, with gcc and clang as they are there, C11 and C++17.

USE.c is compiled in the same ways: it uses what macros and structures the headers have.
"""
import os
import re
import shutil
import subprocess
import sys

STRICT = ['-pedantic', '-Wall', '-Wextra', '-Werror', '-fsyntax-only']
WAYS = [
    ('gcc', 'c', ['-std=c11']),
    ('clang', 'c', ['-std=c11']),
    ('g++', 'c++', ['-std=c++17']),
    ('clang++', 'c++', ['-std=c++17']),
]
MAY_INCLUDE = re.compile(r'<(stdbool|stddef|stdint|gort/\w+)\.h>$')

ran = 0
failed = 0


def result(ok, name, why=''):
    global ran, failed
    ran += 1
    failed += not ok
    print('%s %d - %s' % ('ok' if ok else 'not ok', ran, name))
    for line in why.splitlines() if not ok else ():
        print('# ' + line)


def compile_text(way, dirs, text, more=()):
    compiler, language, standard = way
    return subprocess.run([compiler, '-x', language] + standard + list(more or STRICT) + ['-I' + d for d in dirs] + ['-'],
                          input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)


def macros(way, dirs, text):
    out = compile_text(way, dirs, text, ['-E', '-dM']).stdout
    return set(re.findall(r'^#define (\w+)', out, re.MULTILINE))


def main(use, *dirs):
    headers = sorted('gort/' + f for d in dirs for f in os.listdir(os.path.join(d, 'gort')))
    ways = [w for w in WAYS if shutil.which(w[0])]
    for w in WAYS:
        if w not in ways:
            print('# no %s here: not tried with it' % w[0])
    with open(use, encoding='utf-8') as f:
        program = f.read()
    for way in ways:
        name = '%s %s' % (way[0], way[2][0])
        for h in headers:
            # twice: the guard holds
            done = compile_text(way, dirs, '#include <%s>\n#include <%s>\ntypedef int not_empty;\n' % (h, h))
            result(done.returncode == 0, '%s alone, %s' % (h, name), done.stderr)
        have = ''.join('#define HAVE_%s 1\n' % re.sub(r'\W', '_', h).upper() for h in headers)
        done = compile_text(way, dirs, have + program)
        result(done.returncode == 0, 'macros and structures in use, ' + name, done.stderr)
        known = macros(way, dirs, '#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n')
        ours = macros(way, dirs, ''.join('#include <%s>\n' % h for h in headers)) - known
        odd = sorted(m for m in ours if not re.match(r'(GORT|gort)_', m))
        result(not odd, 'no macro without the prefix, ' + name, ' '.join(odd))
    for h in headers:
        path = [os.path.join(d, h) for d in dirs if os.path.exists(os.path.join(d, h))][0]
        with open(path, encoding='utf-8') as f:
            includes = re.findall(r'^\s*#\s*include\s*(.*?)\s*$', f.read(), re.MULTILINE)
        odd = [i for i in includes if not MAY_INCLUDE.match(i)]
        result(not odd, '%s includes nothing but the three plain headers and ours' % h, ' '.join(odd))
    print('1..%d' % ran)
    return 1 if failed or not ways else 0


sys.exit(main(*sys.argv[1:]))
