# SPDX-License-Identifier: MIT
"""The systems that are compared: how each is built, and how it is told the number of processors.

Every program is called as gort-bench is: PROGRAM --list, PROGRAM ITEM [SIZE], $GOMAXPROCS; an item has the same name in
all of them. Nothing but ours has to be there: what cannot be built says why and leaves its column empty.
"""
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))      # benchmarks/
TOP = os.path.dirname(HERE)
PEERS = os.path.join(HERE, 'peers')
OUT = os.path.join(TOP, 'build', 'peers')


def run(command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                          universal_newlines=True, **more)


def must(command):
    try:
        done = run(command)
    except OSError as e:
        sys.exit('%s: %s' % (command[0], e.strerror))
    if done.returncode != 0:
        sys.exit('%s\n%s%s' % (' '.join(command), done.stdout, done.stderr))
    return done.stdout


class Missing(Exception):
    """why a system cannot be built here"""


class System:
    """program: the command's first words; items: the names it knows; note: what it is, or why it is not there"""
    name = ''
    program = None
    items = ()
    note = None
    env = {}
    only_procs = None           # makes sense with this many processors only

    def build(self):
        try:
            self.program, self.note = self.make()
        except Missing as e:
            self.note = 'not compared: %s' % e
        except OSError as e:
            self.note = 'not compared: %s' % e
        if self.program is not None:
            listed = run(self.program + ['--list'], env=self.environment(1))
            if listed.returncode != 0:
                self.note = 'not compared: its program does not run: ' + listed.stderr.strip()[-500:]
                self.program = None
            self.items = listed.stdout.split()

    def make(self):
        raise NotImplementedError

    def environment(self, procs):
        return dict(os.environ, GOMAXPROCS=str(procs), **self.env)

    def prefix(self, procs):
        return []


def tool(name, wants=None):
    found = shutil.which(name)
    if found is None:
        raise Missing('there is no %s here%s' % (name, ' (Debian: %s)' % wants if wants else ''))
    return found


def built(command, **more):
    os.makedirs(OUT, exist_ok=True)
    done = run(command, **more)
    if done.returncode != 0:
        raise Missing('does not build: ' + (done.stderr.strip() or done.stdout.strip())[-2000:])
    return done


def version(command, pattern=r'.*'):
    said = run(command)
    found = re.search(pattern, said.stdout + said.stderr)
    return found.group(0).strip() if found else ''


class Gort(System):
    name = 'gort'

    def __init__(self, folder):
        self.folder = folder

    def make(self):
        folder = self.folder
        if folder is None:
            folder = os.path.join(TOP, 'build', 'release')
            if not os.path.exists(os.path.join(folder, 'build.ninja')):
                must(['meson', 'setup', folder, TOP, '--buildtype=release', '-Dtests=disabled'])
        must(['ninja', '-C', folder, 'benchmarks/gort-bench'])
        note = 'libgort'
        described = run(['meson', 'introspect', '--projectinfo', '--buildoptions', folder])
        if described.returncode == 0:
            described = json.loads(described.stdout)
            values = {o['name']: o['value'] for o in described['buildoptions']}
            note = 'libgort %s' % described['projectinfo']['version']
            if values.get('optimization') in ('0', '1', 'g') or values.get('b_sanitize') != 'none':
                note += ', NO RELEASE BUILD: optimization=%s, b_sanitize=%s' % (
                    values.get('optimization'), values.get('b_sanitize'))
        return [os.path.join(folder, 'benchmarks', 'gort-bench')], note


class Go(System):
    name = 'go'

    def __init__(self, command):
        self.command = command

    def make(self):
        go = tool(self.command)
        # no network: nothing but the standard library is used, and no other toolchain is wanted
        env = dict(os.environ, GOTOOLCHAIN='local', GOFLAGS='', GOPROXY='off')
        env.setdefault('GOCACHE', os.path.join(TOP, 'build', 'go-cache'))
        program = os.path.join(OUT, 'go-bench')
        built([go, 'build', '-o', program, '.'], cwd=os.path.join(PEERS, 'go'), env=env)
        return [program], version([go, 'version'], r'go[0-9][^ ]*').replace('go', 'Go ')


class Rust(System):
    """A member of the workspace in peers/, whose Cargo.lock says which versions of the crates are used."""

    def __init__(self, name, crate, env=None, only_procs=None, label=''):
        self.name = name
        self.crate = crate
        self.env = env or {}
        self.only_procs = only_procs
        self.label = label

    def make(self):
        cargo = tool('cargo')
        built([cargo, 'build', '--release', '--locked', '--quiet', '-p', self.crate + '-bench',
               '--target-dir', os.path.join(OUT, 'rust')], cwd=PEERS)
        with open(os.path.join(PEERS, 'Cargo.lock')) as f:
            found = re.search(r'name = "%s"\nversion = "([^"]*)"' % self.crate, f.read())
        compiler = version([shutil.which('rustc') or cargo, '--version'], r'^\S+ \S+')
        return [os.path.join(OUT, 'rust', 'release', self.crate + '-bench')], '%s %s%s, %s' % (
            self.crate, found.group(1) if found else '', self.label, compiler)


class Boost(System):
    name = 'boost'

    def make(self):
        program = os.path.join(OUT, 'boost-bench')
        folder = os.path.join(PEERS, 'boost')
        cxx = tool(os.environ.get('CXX', 'g++'))
        sources = sorted(os.path.join(folder, f) for f in os.listdir(folder) if f.endswith('.cpp'))
        if run([cxx, '-x', 'c++', '-fsyntax-only', '-include', 'boost/fiber/all.hpp', '/dev/null']).returncode != 0:
            raise Missing('there is no Boost.Fiber here (Debian: libboost-fiber-dev)')
        built([cxx, '-std=c++17', '-O3', '-DNDEBUG', '-o', program] + sources + ['-lboost_fiber', '-lboost_context', '-pthread'])
        return [program], 'Boost.Fiber %s, %s' % (boost_version(cxx), version([cxx, '--version'], r'.*'))


def boost_version(cxx):
    said = subprocess.run([cxx, '-x', 'c++', '-E', '-P', '-'], input='#include <boost/version.hpp>\nBOOST_LIB_VERSION\n',
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True).stdout
    found = re.search(r'"([^"]*)"\s*$', said)
    return found.group(1).replace('_', '.') if found else ''


class Pthreads(System):
    """Threads of the kernel: which processors they may use is all that can be said."""
    name = 'pthreads'

    def make(self):
        program = os.path.join(OUT, 'pthreads-bench')
        folder = os.path.join(PEERS, 'pthreads')
        cc = tool(os.environ.get('CC', 'gcc').split()[0])
        tool('taskset', 'util-linux')
        sources = sorted(os.path.join(folder, f) for f in os.listdir(folder) if f.endswith('.c'))
        built([cc, '-std=gnu11', '-O3', '-o', program] + sources + ['-pthread'])
        return [program], 'threads of the kernel, C library %s' % version(['ldd', '--version'], r'[0-9.]+(?=\n)')

    def prefix(self, procs):
        return ['taskset', '-c', ','.join(str(c) for c in sorted(os.sched_getaffinity(0))[:procs])]


class Erlang(System):
    name = 'erlang'

    def make(self):
        erlc = tool('erlc', 'erlang-base')
        out = os.path.join(OUT, 'erlang')
        os.makedirs(out, exist_ok=True)
        folder = os.path.join(PEERS, 'erlang')
        built([erlc, '-o', out] + sorted(os.path.join(folder, f) for f in os.listdir(folder) if f.endswith('.erl')))
        release = run(['erl', '-noshell', '-eval', 'io:put_chars(erlang:system_info(otp_release)), halt().'])
        self.env = {'ERLANG_BENCH': out}
        return [os.path.join(folder, 'erlang-bench')], 'Erlang/OTP %s' % release.stdout.strip()


def all_systems(build, go):
    return [
        Gort(build),
        Go(go),
        Rust('tokio', 'tokio', label=', multi_thread'),
        Rust('tokio-ct', 'tokio', env={'TOKIO_FLAVOR': 'current_thread'}, only_procs=(1,), label=', current_thread'),
        Rust('may', 'may'),
        Rust('go-lib', 'go-lib'),
        Boost(),
        Pthreads(),
        Erlang(),
    ]
