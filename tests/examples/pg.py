# SPDX-License-Identifier: MIT
"""pg.py PROGRAM: the runner of SQL of doc/examples, on a PostgreSQL that is made for this, and on servers that are none"""
import os
import socket
import sys
import tempfile
import threading

from servers import Postgres
from tap import end, result, run, timed


PATIENT = '36000000'    # milliseconds, which nothing here takes unless the machine stands still


def pg(program, conninfo, statements, *options, procs=2):
    text = ''.join(s + '\n' for s in statements)
    done = run(program, '-t', PATIENT, *options, conninfo, input=text,
               env=dict(os.environ, GOMAXPROCS=str(procs), PGCONNECT_TIMEOUT='300'))
    return done, done.stdout.splitlines(), done.stderr.splitlines()


def queries(program, db, procs):
    n = 300
    done, lines, _ = pg(program, db, ["select %d, repeat('x', %d), null" % (i, i) for i in range(n)], procs=procs)
    result(done.returncode == 0 and lines == ['%d\t%s\t' % (i, 'x' * i) for i in range(n)],
           'P=%d: %d statements, in order' % (procs, n), done.stderr)
    done, lines, _ = pg(program, db, ['select pg_backend_pid()'] * n, '-c', '3', procs=procs)
    result(done.returncode == 0 and len(lines) == n and 1 <= len(set(lines)) <= 3, 'on no more connections than there may be',
           set(lines), done.stderr)
    # each waits until all are there, so they run at the same time
    meet = ('select pg_advisory_lock_shared(%d); do $$ begin while (select count(*) from pg_locks where locktype = \'advisory\''
            ' and objid = %d and granted) < 4 loop perform pg_sleep(0.001); end loop; end $$; select 1' % (procs, procs))
    done, lines, _ = pg(program, db, [meet] * 4, '-c', '4', procs=procs)
    result(done.returncode == 0 and lines == ['1'] * 4, 'and on all of them at once', done.stderr)


def large(program, db):
    text = 'x' * (8 << 20)              # more than a socket takes at once
    done, lines, _ = pg(program, db, ["select length('%s')" % text, "select repeat('y', %d)" % len(text),
                                      'select count(*), sum(i) from generate_series(1, 100000) i',
                                      'select i from generate_series(1, 100000) i'])
    result(done.returncode == 0 and lines[:1] == [str(len(text))] and lines[1:2] == ['y' * len(text)] and
           lines[2] == '100000\t5000050000' and lines[3:] == [str(i) for i in range(1, 100001)],
           'much to send, and much to get', done.stderr, [line[:50] for line in lines[:4]])


def failures(program, db):
    done, lines, errors = pg(program, db, [
        'select 1', 'selekt 2', 'select 3; select 1/0; select 4', '',
        'select 5; select 6', 'begin', 'begin; select 1/0',
        "copy (select 1) to stdout", 'create temp table t (a int); copy t from stdin', 'select 7',
        'select pg_terminate_backend(pg_backend_pid())', 'select 8'], '-c', '1')
    result(done.returncode == 1 and lines == ['1', '6', '7', '8'], 'the others run all the same', lines, errors)
    expected = [('2', 'syntax error'), ('3', 'division by zero'), ('7', 'division by zero'), ('8', 'COPY'), ('9', 'COPY'),
                ('11', 'terminating connection')]
    right = [e.startswith('pg: line %s: ' % n) and why in e for e, (n, why) in zip(errors, expected)]
    result(len(errors) == len(expected) and all(right), 'each is told of', errors)
    done, lines, errors = pg(program, db + ' password=x dbname=none', ['select 1'] * 3)
    result(done.returncode == 1 and len(errors) == 3 and all('"none" does not exist' in e for e in errors), 'no such database',
           errors)
    done, lines, errors = pg(program, 'host=/nowhere', ['select 1'])
    result(done.returncode == 1 and len(errors) == 1 and '/nowhere' in errors[0], 'no server', errors)
    done, lines, errors = pg(program, 'nonsense=1', ['select 1'])
    result(done.returncode == 1 and 'nonsense' in errors[0], 'no conninfo', errors)


def deadlines(program, db):
    slow = 'select pg_sleep(1000), 77'

    def cancelled(ms):
        done, lines, errors = pg(program, db, ['select 1'] * 4 + [slow] * 3, '-c', '4', '-t', str(ms))
        return (done.returncode == 1 and lines == ['1'] * 4 and errors == ['pg: line %d: out of time' % i for i in (5, 6, 7)],
                lines, errors)
    timed('what takes too long is cancelled', cancelled, 1000, 10000)
    done, lines, _ = pg(program, db, ["select count(*) from pg_stat_activity where query like '%pg_sleep(1000), 77' and "
                                      "state = 'active'"])
    result(lines == ['0'], 'in the server, too', lines, done.stderr)

    def goes_on(ms):
        pid = 'select pg_backend_pid()'
        done, lines, errors = pg(program, db, [slow, pid, slow, pid], '-c', '1', '-t', str(ms))
        return len(lines) == 2 and len(set(lines)) == 1, lines, errors
    timed('and the connection is as good as before', goes_on, 1000, 5000)


class Fake:
    """Takes connections, and does what it likes with them."""
    def __init__(self, what):
        self.folder = tempfile.TemporaryDirectory(prefix='gort-pg-', dir='/tmp')
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(self.folder.name, '.s.PGSQL.5432'))
        self.listener.listen(10)
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
        return 'host=%s user=x dbname=x' % self.folder.name

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self.kept:
            s.close()
        self.folder.cleanup()


HELLO = b'R\0\0\0\x08\0\0\0\0' + b'Z\0\0\0\x05I'


def strange(program):
    def silent_then(s, seen=[]):
        if not seen:                    # and whoever wants to cancel that hears nothing, either
            until_query(s)
        seen.append(s)

    def until_query(s):
        s.recv(1000)
        s.sendall(HELLO)
        s.recv(1000)
    for what, do, why in (
            ('says nothing', lambda s: None, 'out of time'),
            ('says half of something', lambda s: s.sendall(HELLO[:12]), 'out of time'),
            ('goes away', lambda s: s.shutdown(socket.SHUT_RDWR), ''),
            ('is another', lambda s: s.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n'), ''),
            ('says nothing to a query', silent_then, 'out of time'),
            ('goes away when asked', lambda s: (until_query(s), s.shutdown(socket.SHUT_RDWR)), ''),
            ('answers nonsense', lambda s: (until_query(s), s.sendall(b'T\0\0\0\x06\xff\xff' + bytes(100))), '')):
        with Fake(do) as at:
            done, lines, errors = pg(program, at, ['select 1'], '-t', '300' if why == 'out of time' else '300000')
            result(done.returncode == 1 and not lines and errors and errors[0].startswith('pg: line 1: ') and why in errors[0],
                   'a server that ' + what, errors)


def bad_calls(program):
    for arguments in ((), ('a', 'b'), ('-c', '0', ''), ('-c', '101', ''), ('-t', 'x', ''), ('-t', '', ''), ('-x', '')):
        done = run(program, *arguments, input='')
        result(done.returncode == 2 and 'usage: ' in done.stderr, 'a call with %r is explained' % (arguments,), done.stderr)
    done = run(program, '', input='')
    result(done.returncode == 0 and done.stdout == done.stderr == '', 'nothing to do', done.stderr)


def main(program):
    with Postgres() as server:
        for procs in (1, 2):
            queries(program, server.conninfo, procs)
        large(program, server.conninfo)
        failures(program, server.conninfo)
        deadlines(program, server.conninfo)
    strange(program)
    bad_calls(program)
    return end()


sys.exit(main(sys.argv[1]))
