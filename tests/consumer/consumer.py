# SPDX-License-Identifier: MIT
"""consumer.py WAY SOURCE BUILD WORK LIBRARIES: uses libgort as somebody else's project would, below the folder WORK

LIBRARIES is what BUILD was configured for: shared, static or both.
"""
import glob
import os
import shlex
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SKIP = 77


def run(*command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, **more)
    if done.returncode != 0:
        sys.exit('%s: status %d\n%s' % (' '.join(command), done.returncode, done.stdout))
    return done.stdout


def meson():
    # the one that runs this test, if it says so
    return shlex.split(os.environ.get('MESONINTROSPECT', 'meson introspect').replace(' introspect', ''))


def expect(text, *words):
    if text.split()[-len(words):] != list(words):
        sys.exit('printed %r, not %r' % (text, words))


def version(source):
    with open(os.path.join(source, 'meson.build'), encoding='utf-8') as f:
        return f.read().split("version: '")[1].split("'")[0]


def subproject(project, source, work, *options):
    """Builds project with a copy of the source below it"""
    shutil.copytree(os.path.join(HERE, project), work)
    os.mkdir(os.path.join(work, 'subprojects'))
    shutil.copy(os.path.join(HERE, 'project', 'gort.wrap'), os.path.join(work, 'subprojects'))
    # what is built or fetched below the source stays there
    shutil.copytree(source, os.path.join(work, 'subprojects', 'gort'), symlinks=True,
                    ignore=shutil.ignore_patterns('build*', '.git', 'packagecache', '__pycache__', 'check-*'))
    # nothing may be fetched, and no libgort of the system is meant
    run(*meson(), 'setup', 'b', '--wrap-mode=forcefallback', *options, cwd=work)
    run('ninja', '-C', 'b', cwd=work)
    return os.path.join(work, 'b')


def built(folder, pattern):
    return glob.glob(os.path.join(folder, '**', pattern), recursive=True)


def whole(source, work, kind):
    b = subproject('project', source, work, '--default-library=' + kind)
    programs = [p for p in built(b, 'consumer-c*') if os.path.isfile(p) and os.access(p, os.X_OK)]
    if not programs:
        sys.exit('no program was built')
    for p in programs:
        expect(run(p), version(source), '1000', '50500')
        needed = run('readelf', '-d', p) if shutil.which('readelf') else ''
        if needed and ('libgort' in needed) != (kind == 'shared'):
            sys.exit('not linked %s:\n%s' % (kind, needed))
    extra = built(b, 'gort-bench') + built(b, 'test-*') + built(b, 'wordcount') + built(b, '*.3')
    if extra:
        sys.exit('built in a subproject: %s' % extra)


def part(source, work):
    b = subproject('part', source, work)
    expect(run(os.path.join(b, 'part')), '3')
    extra = [f for f in built(b, 'libgort-*.a') + built(b, 'libgort-*.so*') if not f.endswith('libgort-core.a')]
    if extra:
        sys.exit('not asked for: %s' % extra)


def headers(source, root, cflags, work):
    """All public ones of what was built are there, and each compiles alone with what is there"""
    libs = [os.path.basename(p)[:-len('.pc')] for p in built(root, '*.pc')]
    names = sorted(os.path.basename(h) for lib in libs
                   for h in glob.glob(os.path.join(source, 'lib' + lib, 'include', 'gort', '*.h')))
    there = sorted(os.path.relpath(h, root) for h in built(root, '*.h'))
    if [os.path.basename(h) for h in there] != names or len({os.path.dirname(h) for h in there}) != 1:
        sys.exit('headers: %s, not %s' % (there, names))
    for compiler, language, standard in (('cc', 'c', 'c11'), ('gcc', 'c', 'c11'), ('clang', 'c', 'c11'),
                                         ('g++', 'c++', 'c++17'), ('clang++', 'c++', 'c++17')):
        if not shutil.which(compiler):
            continue
        for name in names:
            text = os.path.join(work, 'alone.c')
            with open(text, 'w', encoding='utf-8') as f:
                f.write('#include <gort/%s>\nint main(void) { return 0; }\n' % name)
            run(compiler, '-x', language, '-std=' + standard, '-pedantic', '-Wall', '-Wextra', '-Werror', '-fsyntax-only',
                text, *cflags)


def installed(source, build, work, libraries):
    """Through the pkg-config files, below DESTDIR, split into runtime and development files as packages are"""
    if not shutil.which('pkg-config'):
        print('no pkg-config here')
        return SKIP
    root, runtime = os.path.join(work, 'root'), os.path.join(work, 'runtime')
    run(*meson(), 'install', '-C', build, '--no-rebuild', '--destdir', root)
    run(*meson(), 'install', '-C', build, '--no-rebuild', '--destdir', runtime, '--tags', 'runtime')
    pcs = built(root, '*.pc')
    want = ['gort-%s.pc' % name for name in ('chan', 'context', 'core', 'net', 'sync')]
    if sorted(os.path.basename(p) for p in pcs) != want:
        sys.exit('pkg-config files: %s' % pcs)
    strange = [f for f in built(runtime, '*') if os.path.isfile(f) and '.so.' not in f]
    if strange:
        sys.exit('not for running programs: %s' % strange)
    # ours first; the system's, for what libuv is to a build that stands on it
    there = os.pathsep.join([os.path.dirname(pcs[0]), run('pkg-config', '--variable', 'pc_path', 'pkg-config').strip()])
    env = dict(os.environ, PKG_CONFIG_LIBDIR=there, PKG_CONFIG_SYSROOT_DIR=root, PKG_CONFIG_PATH='')

    def flags(*words):
        return shlex.split(run('pkg-config', *words, 'gort-chan', 'gort-sync', 'gort-context', 'gort-net', env=env))

    strange = [f for f in flags('--cflags') if not f.startswith('-I')]
    if strange:
        sys.exit('compiler flags: %s' % strange)
    if run('pkg-config', '--modversion', 'gort-core', env=env).strip() != version(source):
        sys.exit('the version is another')
    headers(source, root, flags('--cflags'), work)
    main_c = os.path.join(HERE, 'project', 'main.c')
    tried = 0
    for compiler, language in (('cc', 'c'), ('gcc', 'c'), ('clang', 'c'), ('g++', 'c++'), ('clang++', 'c++')):
        if not shutil.which(compiler):
            continue
        for kind in ('shared', 'static') if libraries == 'both' else (libraries,):
            tried += 1
            program = os.path.join(work, 'program')
            command = [compiler, '-x', language, main_c, '-x', 'none', '-o', program] + flags('--cflags')
            if kind == 'static':
                # ours static, the system's shared: the archives by name
                command += [f if not f.startswith('-lgort') else '-l:lib%s.a' % f[2:] for f in flags('--static', '--libs')]
            else:
                command += flags('--libs')
            run(*command)
            # what the runtime package has must do
            run_env = dict(os.environ, LD_LIBRARY_PATH=os.path.dirname((built(runtime, '*.so.*') or [''])[0]))
            expect(run(program, env=run_env), version(source), '1000', '50500')
    print('%d programs' % tried)
    return 0 if tried else SKIP


def main(way, source, build, work, libraries):
    shutil.rmtree(work, ignore_errors=True)
    if way == 'installed':
        os.makedirs(work)
        return installed(source, build, work, libraries)
    os.makedirs(os.path.dirname(work), exist_ok=True)
    if way == 'subproject-part':
        part(source, work)
    else:
        whole(source, work, way.split('-')[1])
    shutil.rmtree(work, ignore_errors=True)
    return 0


sys.exit(main(*sys.argv[1:]))
