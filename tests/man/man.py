# SPDX-License-Identifier: MIT
"""man.py SOURCE BUILD MAN3 WORK LIBRARY...: the man pages in the folder MAN3, of these libraries of SOURCE

What must have a page is found in the symbol maps and headers here, not as the generator does it.
"""
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ran = 0
failed = 0


def result(problems, name):
    global ran, failed
    ran += 1
    failed += bool(problems)
    print('%s %d - %s' % ('not ok' if problems else 'ok', ran, name))
    for p in sorted(problems):
        print('# ' + p.replace('\n', '\n#   '))


def skip(name, why):
    global ran
    ran += 1
    print('ok %d - %s # SKIP %s' % (ran, name, why))


def run(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8', errors='replace', **more)


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def bare(path):
    return re.sub(r'/\*.*?\*/', '', read(path), flags=re.DOTALL)


def headers(source, library):
    # attributes.h is how headers are written, and nothing to call
    return [h for h in sorted(glob.glob(os.path.join(source, 'libgort-' + library, 'include', 'gort', '*.h')))
            if os.path.basename(h) != 'attributes.h']


def exported(source, library):
    """The symbols in the map's nodes that are not private; gort__ is what macros call"""
    text = bare(os.path.join(source, 'libgort-' + library, 'gort-%s.map' % library))
    found = set()
    for version, body in re.findall(r'([\w.]+)\s*\{(.*?)\}', text, re.DOTALL):
        if not version.startswith('GORT_PRIVATE_'):
            found |= set(re.findall(r'(\w+);', re.sub(r'\blocal:.*', '', body, flags=re.DOTALL)))
    return {s for s in found if not s.startswith('gort__')}


def macros(header):
    """Those with arguments, and the initialisers"""
    return {m for m in re.findall(r'^\s*#\s*define\s+((?:gort|GORT)_\w+(?=\()|GORT_\w+_INIT\b)', bare(header), re.MULTILINE)
            if '__' not in m}


def examples(header):
    """The lines that are code in the comments of functions"""
    return {line for comment in re.findall(r'/\*\*.*?\*/', read(header), re.DOTALL)
            for line in re.findall(r'^ \*     (.*)$', comment, re.MULTILINE)}


def generate(source, out, *headers):
    return run(sys.executable, os.path.join(source, 'doc', 'man', 'generate.py'), out, '0', *headers)


def without_page(names, man3):
    return {'no page: ' + n for n in names if not os.path.isfile(os.path.join(man3, n + '.3'))}


def of_links(man3, pages):
    """A link leads to a page that has its name, or to one of a header, which shows all its types"""
    problems = set()
    for path in pages:
        name, text = os.path.basename(path)[:-2], read(path)
        link = re.match(r'\.so man3/(\S+)$', text)
        to = os.path.join(man3, link.group(1)) if link else path
        if not os.path.isfile(to):
            problems.add('%s: leads nowhere' % name)
        elif name not in re.findall(r'[\w-]+', read(to).replace('\\-', '-').replace('\\%', '')):
            problems.add('%s: not on the page %s' % (name, os.path.basename(to)))
        elif not link:
            # the page of the one header there is, is alone
            alone = name == 'gort-core' and not any(os.path.isfile(os.path.join(man3, 'gort-%s.3' % h)) for h in ('chan', 'sync'))
            for section in ('NAME', 'LIBRARY', 'SYNOPSIS', 'DESCRIPTION') + (() if alone else ('SEE ALSO',)):
                if not re.search(r'^\.SH %s\n(?!\.SH)' % section, text, re.MULTILINE):
                    problems.add('%s: no %s' % (name, section))
    return problems


def of_references(man3, pages):
    found = {m for p in pages for m in re.findall(r'((?:gort|GORT)[\w-]+)(?:\\fP| )\(3\)', read(p).replace('\\-', '-'))}
    return without_page(found, man3) if found else {'no page refers to another'}


def mutants(source, work):
    """Headers that the generator must not take, or that leave a name without a page: else the tests here see nothing"""
    chan = os.path.join(source, 'libgort-chan', 'include', 'gort', 'chan.h')
    text, problems = read(chan), set()
    folder = os.path.join(work, 'libgort-chan')
    os.makedirs(folder)
    for what, change in (
            ('a function without words', lambda t: re.sub(r'/\*\*\n \* gort_chan_recv -.*?\*/\n', '', t, flags=re.DOTALL)),
            ('words about another function', lambda t: t.replace(' * gort_chan_recv -', ' * gort_chan_receive -')),
            ('words about nothing', lambda t: re.sub(r'^GORT_API int gort_chan_recv\(.*\n', '', t, flags=re.MULTILINE)),
            ('words without a name', lambda t: t.replace(' * gort_chan_recv - ', ' * '))):
        mutant = os.path.join(folder, 'chan.h')
        with open(mutant, 'w', encoding='utf-8') as f:
            f.write(change(text))
        man3 = os.path.join(work, 'man3')
        if change(text) == text:
            problems.add('not changed: ' + what)
        elif generate(source, man3, mutant).returncode == 0 and not without_page(exported(source, 'chan'), man3):
            problems.add('not noticed: ' + what)
    return problems


def each(function, pages):
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1) as pool:
        return {p for p in pool.map(function, pages) if p}


def of_roff(man3, pages):
    """What the formatters there are complain about"""
    folder = os.path.dirname(man3)
    env = dict(os.environ, LC_ALL='C.UTF-8', MANWIDTH='80', MANROFFSEQ='')
    commands = []
    if shutil.which('groff'):
        commands.append(['groff', '-man', '-ww', '-Tutf8', '-z'])
    elif have_man():        # it would run groff, and take its time
        commands.append(['man', '--warnings', '-E', 'UTF-8', '-l'])
    if shutil.which('mandoc'):
        commands.append(['mandoc', '-T', 'lint', '-W', 'error'])
    name = 'roff without a warning'
    if not commands:
        return skip(name, 'no groff, man or mandoc here')

    def complaint(path):
        for command in commands:
            # man prints the page on stdout
            done = run(*command, path, cwd=folder, env=env, stdin=subprocess.DEVNULL)
            said = done.stderr + (done.stdout if command[0] == 'mandoc' else '')
            if done.returncode != 0 or said:
                return '%s: %s: %s' % (os.path.basename(path), command[0], said.strip() or done.returncode)
        return None
    return result(each(complaint, pages), '%s, by %s' % (name, ', '.join(c[0] for c in commands)))


def of_examples(source, libraries, pages):
    """Nothing in them may be lost or changed on the way"""
    name = 'examples are printed as the headers have them'
    if not shutil.which('groff'):
        return skip(name, 'no groff here')
    wanted = {line for library in libraries for h in headers(source, library) for line in examples(h)}
    printed = run('groff', '-man', '-Tutf8', '-P-cbou', '-rLL=200n', *pages)
    lines = {line.strip() for line in printed.stdout.split('\n')}
    problems = {'not there: ' + line for line in wanted if line.strip() not in lines}
    return result(problems if len(wanted) > 20 else {'only %d lines of code' % len(wanted)}, name)


def have_man():
    """The one of man-db; some small systems have a script of that name which prints a refusal"""
    return shutil.which('man') is not None and re.match(r'man \d', run('man', '--version').stdout) is not None


def installed(build, work, names):
    root = os.path.join(work, 'root')
    meson = shlex.split(os.environ.get('MESONINTROSPECT', 'meson introspect').replace(' introspect', ''))
    for tag in ('devel', 'runtime'):
        done = run(*meson, 'install', '-C', build, '--no-rebuild', '--tags', tag, '--destdir', os.path.join(root, tag))
        if done.returncode != 0:
            return result({done.stdout + done.stderr}, 'installed')

    def found(tag):
        return glob.glob(os.path.join(root, tag, '**', 'man3', '*'), recursive=True)
    here = {os.path.basename(p)[:-2] for p in found('devel')}
    result({'not installed: ' + n for n in names - here} | {'for running programs: ' + p for p in found('runtime')},
           'installed with the development files')
    if not have_man():
        return skip('man finds them there', 'no man-db here')
    folder = os.path.dirname(os.path.dirname((found('devel') or ['/none/man3/none'])[0]))
    problems = set()
    for name in ['gort_chan_recv', 'gort_syscall_exit', 'gort_attr', 'gort-core']:
        if name not in here and name.startswith('gort_chan'):
            continue
        # by its name, and a link by that of another
        done = run('man', '-M', folder, name, stdin=subprocess.DEVNULL,
                   env=dict(os.environ, LC_ALL='C.UTF-8', MANPAGER='cat', PAGER='cat', MANWIDTH='80'))
        if done.returncode != 0 or 'SYNOPSIS' not in done.stdout or name not in done.stdout:
            problems.add('man %s: status %d\n%s' % (name, done.returncode, done.stderr))
    return result(problems, 'man finds them there')


def main(source, build, man3, work, *libraries):
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    names = set()
    for library in libraries:
        symbols = exported(source, library)
        wanted = symbols.union(*(macros(h) for h in headers(source, library)))
        names |= wanted
        result(without_page(wanted, man3) if symbols else {'no symbol'},
               'a page for each of the %d names of %s' % (len(wanted), library))
    pages = sorted(glob.glob(os.path.join(man3, '*')))
    result(of_links(man3, pages), 'every page has its sections, every link its page')
    pages = [p for p in pages if not read(p).startswith('.so ')]
    result(of_references(man3, pages), 'what pages refer to is there')
    if 'chan' in libraries:
        result(mutants(source, work), 'a header without its words is noticed')
    of_roff(man3, pages)
    of_examples(source, libraries, pages)
    installed(build, work, names)
    shutil.rmtree(work, ignore_errors=True)
    print('1..%d' % ran)
    return 1 if failed else 0


sys.exit(main(*sys.argv[1:]))
