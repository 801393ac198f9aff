# SPDX-License-Identifier: MIT
"""symbols.py LIBRARY.so LIBRARY-FOLDER SOVERSION POLLER: a shared object's symbols against its map and its headers

POLLER is the library that the poller is taken from, as in libuv.so.1: libuv, or none.
"""
import glob
import os
import re
import shutil
import subprocess
import sys

ran = 0
failed = 0


def result(problems, name):
    global ran, failed
    ran += 1
    failed += bool(problems)
    print('%s %d - %s' % ('not ok' if problems else 'ok', ran, name))
    for p in sorted(problems):
        print('# ' + p)


def readelf(*args):
    return subprocess.run(['readelf', '-W'] + list(args), check=True, stdout=subprocess.PIPE,
                          universal_newlines=True, env=dict(os.environ, LC_ALL='C')).stdout


def read(path):
    with open(path, encoding='utf-8') as f:
        return re.sub(r'/\*.*?\*/', '', f.read(), flags=re.DOTALL)


def exported(library):
    """{symbol: version}"""
    found = {}
    for line in readelf('--dyn-syms', library).splitlines():
        w = line.split()
        if len(w) >= 8 and w[4] in ('GLOBAL', 'WEAK') and w[6] not in ('UND', 'ABS'):
            name, _, version = w[7].partition('@')
            found[name] = version.lstrip('@')
    return found


def in_map(path):
    """{symbol: version}"""
    found = {}
    for version, body in re.findall(r'([\w.]+)\s*\{(.*?)\}', read(path), re.DOTALL):
        body = re.sub(r'\blocal:.*', '', body, flags=re.DOTALL)
        for name in re.findall(r'(\w+);', body):
            found[name] = version
    return found


def declared(folder):
    text = ''.join(read(h) for h in glob.glob(os.path.join(folder, 'include', 'gort', '*.h')))
    return set(re.findall(r'\bGORT_API\b[^;{]*?\b(gort_\w+)\(', text))


def main(library, folder, soversion, poller):
    if not shutil.which('readelf'):
        print('1..0 # SKIP no readelf here')
        return 0
    name = 'gort-' + os.path.basename(folder).split('-')[1]
    symbols, wanted, public = exported(library), in_map(os.path.join(folder, name + '.map')), declared(folder)

    result({'exported, not in the map: ' + s for s in symbols.keys() - wanted.keys()} |
           # what ThreadSanitizer or the portable switch needs is there in their builds only
           {'in the map, not exported: ' + s for s in wanted.keys() - symbols.keys()
            if not s.startswith(('gort__tsan_', 'gort__arch_'))},
           'exports what its map names')
    result({'%s is %s, in the map %s' % (s, symbols[s], v) for s, v in wanted.items() if s in symbols and symbols[s] != v},
           'each with its version')
    # gort__ is ours: what a public macro calls is declared publicly, the rest in a node of its own
    private = {s for s, v in symbols.items() if v.startswith('GORT_PRIVATE_')}
    result({'exported, but in no public header: ' + s for s in symbols.keys() - private - public} |
           {'in a public header, not exported: ' + s for s in public - symbols.keys()},
           'exports what its headers declare')
    result({'private, with a public name: ' + s for s in private if not s.startswith('gort__')}, 'private names are private')
    result({'no prefix: ' + s for s in symbols if not s.startswith('gort_')}, 'every name has the prefix')

    dynamic = readelf('-d', library)
    soname = re.search(r'SONAME.*\[(.*)\]', dynamic)
    want = 'lib%s.so.%s' % (name, soversion)
    result({'it is ' + (soname.group(1) if soname else 'missing')} if not soname or soname.group(1) != want else set(),
           'its soname is ' + want)
    needed = re.findall(r'NEEDED.*\[(.*)\]', dynamic)
    wants = poller if name == 'gort-net' else 'none'
    result({'it needs ' + n for n in needed if n.startswith('libuv') and wants != 'libuv'} |
           ({'it does not'} if wants == 'libuv' and not any(n.startswith('libuv.so') for n in needed) else set()),
           'needs libuv' if wants == 'libuv' else 'needs no libuv')
    # nothing points back
    stands = {'core': [], 'context': ['core', 'chan']}.get(name[5:], ['core'])
    result({'it needs ' + n for n in needed if n.startswith('libgort-') and n[8:].split('.')[0] not in stands},
           'needs no other of ours than ' + (', '.join(stands) or 'none'))
    result({'TEXTREL'} if 'TEXTREL' in dynamic else set(), 'code without relocations')
    stack = re.search(r'GNU_STACK.* (R\S*)\s+0x', readelf('-l', library))
    result({'the mark is missing'} if not stack else {'flags ' + stack.group(1)} if 'E' in stack.group(1) else set(),
           'stacks are not executable')
    print('1..%d' % ran)
    return 1 if failed else 0


sys.exit(main(*sys.argv[1:]))
