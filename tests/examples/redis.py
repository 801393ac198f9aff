# SPDX-License-Identifier: MIT
"""redis.py PROGRAM: the client of Redis of doc/examples, with a server that is started for this, and with servers that are none"""
import collections
import os
import random
import signal
import socket
import subprocess
import sys
import threading

from servers import Redis, become
from tap import end, result, run, timed

DEAD = 300              # seconds: what takes so long hangs
PATIENT = '3600000'     # milliseconds, which nothing here takes unless the machine stands still


class Plain:
    """Another client, as simple as can be."""
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEAD)
        self.socket.connect(path)
        self.file = self.socket.makefile('rb')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def ask(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.socket.sendall(b'*%d\r\n' % len(words) + b''.join(b'$%d\r\n%s\r\n' % (len(w), w) for w in words))
        return self.answer()

    def answer(self):
        line = self.file.readline()
        kind, n = line[:1], line[1:-2]
        if kind == b'*':
            return [self.answer() for _ in range(int(n))]
        if kind == b'$':
            return self.file.read(int(n) + 2)[:-2] if int(n) >= 0 else None
        return int(n) if kind == b':' else n


def counts(program, path, procs):
    chance = random.Random(procs)
    lines = ['%x' % int(chance.expovariate(0.1)) for _ in range(20000)] + ['', 'two words', '%s %n %b', '"\'\\']
    env = dict(os.environ, GOMAXPROCS=str(procs))
    done = run(program, '-t', PATIENT, path, 'count', 'k%d' % procs, input='\n'.join(lines) + '\n', env=env)
    with Plain(path) as p:
        got = p.ask('HGETALL', 'k%d' % procs)
        commands = p.ask('INFO', 'clients')
    got = dict(zip([k.decode() for k in got[::2]], map(int, got[1::2])))
    result(done.returncode == 0 and done.stdout == '%d\n' % len(lines), 'P=%d: %d lines' % (procs, len(lines)), done.stderr,
           done.stdout)
    result(got == collections.Counter(lines), 'each is counted', len(got), commands)
    large = ['x' * n for n in (1 << 20, 3 << 20, 5, 1 << 16)] * 3
    done = run(program, '-t', PATIENT, path, 'count', 'large', input='\n'.join(large), env=env)
    with Plain(path) as p:
        got = [p.ask('HGET', 'large', k) for k in set(large)]
        p.ask('DEL', 'large')
    result(done.returncode == 0 and done.stdout == '12\n' and got == [b'3'] * 4, 'large ones, too', done.stderr)


def failures(program, path):
    with Plain(path) as p:
        p.ask('SET', 'text', 'x')
        p.ask('HSET', 'words', 'a', 'b')
    done = run(program, '-t', PATIENT, path, 'count', 'text', input='a\nb\n')
    result(done.returncode == 1 and done.stdout == '0\n' and 'WRONGTYPE' in done.stderr and done.stderr.count('\n') == 1,
           'what the server says against it is told, once', done.stderr)
    done = run(program, '-t', PATIENT, path, 'count', 'words', input='a\nb\n')
    result(done.returncode == 1 and done.stdout == '1\n' and 'not an integer' in done.stderr, 'the others count all the same',
           done.stderr)
    done = run(program, '-t', PATIENT, path, 'count', 'none', input='')
    result(done.returncode == 0 and done.stdout == '0\n', 'no lines at all', done.stderr)


class Follower:
    def __init__(self, program, path, *channels):
        self.process = subprocess.Popen([program, '-t', PATIENT, path, 'follow', *channels], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, universal_newlines=True, preexec_fn=become(None, signal.SIGKILL))
        self.followed = [self.process.stderr.readline() for _ in channels]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def follows(program, path):
    with Follower(program, path, 'one', 'two') as a, Follower(program, path, 'two') as b:
        result(a.followed == ['following one\n', 'following two\n'] and b.followed == ['following two\n'], 'channels are followed',
               a.followed, b.followed)
        n = 2000
        texts = ['message %d' % i for i in range(n)]
        done = run(program, '-t', PATIENT, path, 'publish', 'two', input='\n'.join(texts))
        result(done.returncode == 0 and done.stdout == '%d\n' % (2 * n), 'each message goes to both', done.stdout, done.stderr)
        heard = [f.process.stdout.readline() for f in (a, b) for _ in range(n)]
        expected = sorted('two %s\n' % t for t in texts)
        result(sorted(heard[:n]) == expected and sorted(heard[n:]) == expected, 'and arrives', heard[:3])
        done = run(program, '-t', PATIENT, path, 'publish', 'one', input='x' * 1000000)
        got = a.process.stdout.readline()
        result(done.stdout == '1\n' and got == 'one ' + 'x' * 1000000 + '\n', 'a large one', done.stdout, got[:50])
        for f, signo in ((a, signal.SIGINT), (b, signal.SIGTERM)):
            f.process.send_signal(signo)
            result(f.process.wait(DEAD) == 0, 'until %s' % signo.name, f.process.returncode)
    done = run(program, '-t', PATIENT, path, 'publish', 'two', input='x')
    result(done.stdout == '0\n' and done.returncode == 0, 'then nobody hears', done.stdout)


class Fake:
    """Takes connections, and does what it likes with them."""
    def __init__(self, what):
        self.listener = socket.socket()
        self.listener.bind(('127.0.0.1', 0))
        self.listener.listen(10)
        self.address = '127.0.0.1:%d' % self.listener.getsockname()[1]
        self.what = what
        self.kept = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
                self.kept.append(s)
                self.what(s)
            except OSError:
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self.kept:
            s.close()


def strange(program):
    def says(data, commands=0):
        def do(s):
            heard = s.recv(65536)
            while heard.count(b'HINCRBY') < commands:
                heard += s.recv(65536)
            s.sendall(data)
        return do

    def ends_with(data, commands=0):
        def do(s):
            says(data, commands)(s)
            s.shutdown(socket.SHUT_WR)
        return do
    lines = ''.join('%d\n' % i for i in range(100))
    for what, do, counted, why in (
            ('says nothing', lambda s: None, 0, 'timed out'),
            ('answers some', says(b':1\r\n' * 40 + b':', 100), 40, 'timed out'),
            ('answers some and goes', ends_with(b':1\r\n' * 40 + b':', 100), 40, 'reset'),
            ('goes at once', ends_with(b''), 0, 'reset'),
            ('is another', says(b'HTTP/1.1 400 Bad Request\r\n\r\n'), 0, 'rotocol'),
            ('answers nonsense', says(b'*2\r\n$-7\r\nx'), 0, 'rotocol'),
            ('answers other things', ends_with(b'+OK\r\n' * 5 + b'$-1\r\n' * 5 + b'*-1\r\n' * 5 + b':1\r\n' * 85, 100), 85,
             'no number')):
        def attempt(ms):
            with Fake(do) as f:
                done = run(program, '-t', str(ms), f.address, 'count', 'k', input=lines)
                return (done.returncode == 1 and done.stdout == '%d\n' % counted and why in done.stderr, done.stdout,
                        done.stderr)
        timed('a server that ' + what, attempt, *((300, 5000) if 'timed' in why else (PATIENT,)))
    for what, do, why in (('goes', ends_with(b''), 'reset'), ('is another', says(b'HTTP/1.1 400 Bad Request\r\n\r\n'), 'rotocol'),
                          ('wants none of it', says(b'-NOPERM no\r\n'), 'rotocol')):
        with Fake(do) as f:
            done = run(program, '-t', PATIENT, f.address, 'follow', 'x')
            result(done.returncode == 1 and why in done.stderr, 'a server to follow that ' + what, done.stderr)


def bad_calls(program):
    for arguments in ((), ('x',), ('x', 'count'), ('x', 'count', 'a', 'b'), ('x', 'follow'), ('x', 'sing', 'a'),
                      ('-t', '0', 'x', 'count', 'a'), ('-t', 'x', 'x', 'count', 'a'), ('-z', 'x', 'count', 'a')):
        done = run(program, *arguments, input='')
        result(done.returncode == 2 and 'usage: ' in done.stderr, 'a call with %r is explained' % (arguments,), done.stderr)
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        for address, why in (('127.0.0.1:%d' % s.getsockname()[1], 'refused'), ('/nowhere/at/all', 'No such file'),
                             ('x:y:z', 'malformed')):
            done = run(program, address, 'count', 'a', input='')
            result(done.returncode == 1 and why in done.stderr, 'said to be: ' + why, done.stderr)


def main(program):
    server = Redis()
    with server:
        for procs in (1, 2):
            counts(program, server.path, procs)
        failures(program, server.path)
        follows(program, server.path)
        follower = Follower(program, server.path, 'x')
    with follower:
        result(follower.process.wait(DEAD) == 1, 'who follows hears when the server ends')
    strange(program)
    bad_calls(program)
    return end()


sys.exit(main(sys.argv[1]))
