# SPDX-License-Identifier: MIT
"""
across.py ACROSS ECHO PERCENT: servers and clients with a bad link between them: delay, loss, black holes, and IPv6 that does
not work. PERCENT: of the usual sizes.
"""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'examples'))
from link import Link, Unavailable
from tap import end, result, timed

DEAD = 300000           # milliseconds: what takes so long hangs


def run(side, *command, files=(), procs=2):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
                          preexec_fn=side.enter(files), env=dict(os.environ, GOMAXPROCS=str(procs)))


class Server:
    def __init__(self, side, *command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, universal_newlines=True, preexec_fn=side.enter())
        self.address = self.process.stdout.readline().strip()
        self.port = self.address.rsplit(':', 1)[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def echoes(link, echo, percent):
    for what, delay, loss, conns, lines in (('10 ms', 0.005, 0, 50 * percent // 100, 20),
                                            ('10 ms and 3 % loss', 0.005, 0.03, 10, 10)):
        link.set(delay, loss, 2)
        with Server(link.b, echo, 'serve', '10.77.0.2:0') as server:
            done = run(link.a, echo, 'talk', server.address, str(conns), str(lines))
            n = conns * lines
            result(done.returncode == 0 and done.stdout == '%d of %d lines came back\n' % (n, n), 'echo over ' + what, done.stdout)


def bulk(link, across, percent):
    for what, delay, loss, size, procs in (('4 ms, P=1', 0.002, 0, 64 << 20, 1), ('4 ms, P=2', 0.002, 0, 64 << 20, 2),
                                           ('10 ms and 1 % loss', 0.005, 0.01, 8 << 20, 2)):
        size = size * percent // 100 & ~7
        before = link.set(delay, loss, 3)
        with Server(link.b, across, 'serve', '10.77.0.2:0') as server:
            done = run(link.a, across, 'send', server.address, str(size), str(DEAD), procs=procs)
            lost = link.set() - before
            result(done.returncode == 0 and done.stdout == 'connected\n%d bytes each way\n' % size and (lost > 0) == (loss > 0),
                   '%d KiB each way over %s' % (size >> 10, what), done.stdout, lost)


def breaks(link, across):
    with Server(link.b, across, 'serve', '10.77.0.2:0') as server:
        def attempt(ms):
            link.set()
            client = subprocess.Popen([across, 'send', server.address, str(1 << 40), str(ms)], stdout=subprocess.PIPE,
                                      universal_newlines=True, preexec_fn=link.a.enter())
            first = client.stdout.readline()
            link.set(0, 1.0)
            rest = client.communicate()[0]
            return (first == 'connected\n' and rest == 'send: Connection timed out\n' and client.returncode == 1, first, rest)
        timed('a link that breaks: deadlines hold', attempt, 1000, 10000)
        link.set()
        client = subprocess.Popen([across, 'send', server.address, str(16 << 20), str(DEAD)], stdout=subprocess.PIPE,
                                  universal_newlines=True, preexec_fn=link.a.enter())
        first = client.stdout.readline()
        before = link.set(0, 1.0)
        while client.poll() is None and link.set(0, 1.0) - before < 3:
            pass
        link.set()
        rest = client.communicate()[0]
        result(first == 'connected\n' and rest == '%d bytes each way\n' % (16 << 20) and client.returncode == 0,
               'one that comes back: what was under way goes on', first, rest)


def dialled(side, across, address, ms, files=()):
    """Milliseconds, and whom it has reached or why not."""
    took, _, what = run(side, across, 'dial', address, str(ms), files=files).stdout.strip().partition(' ')
    return int(took), what


def black_holes(link, across):
    link.set()
    for ms in (100, 700):
        took, what = dialled(link.a, across, '10.77.0.99:80', ms)
        # the system would try for minutes
        result(what == 'Connection timed out' and ms <= took < 60000, 'nobody there: a deadline of %d ms' % ms, took, what)
    took, what = dialled(link.a, across, '10.77.0.99:80', 0)
    result(what == 'Connection timed out', 'or one that has passed', took, what)
    took, what = dialled(link.a, across, '192.0.2.1:80', DEAD)
    result(what == 'Network is unreachable', 'no route', took, what)
    took, what = dialled(link.a, across, '10.77.0.2:1', DEAD)
    result(what == 'Connection refused', 'nobody listens', took, what)
    link.set(0.15)
    with Server(link.b, across, 'serve', '10.77.0.2:0') as server:
        took, what = dialled(link.a, across, server.address, 100)
        result(what == 'Connection timed out', 'one that is too far away', took, what)
        took, what = dialled(link.a, across, server.address, DEAD)
        result(what == server.address and took >= 300, 'but not when there is time', took, what)


def happy_eyeballs(link, across, folder):
    if link.a.v6 is None or link.b.v6 is None:
        print('# no IPv6 here: not tried')
        return
    hosts = {'/etc/' + name: os.path.join(folder, name) for name in ('hosts', 'nsswitch.conf', 'gai.conf')}
    with open(hosts['/etc/nsswitch.conf'], 'w') as f:
        f.write('hosts: files\n')
    with open(hosts['/etc/gai.conf'], 'w'):
        pass                            # the usual order
    with open(hosts['/etc/hosts'], 'w') as f:
        f.write('127.0.0.1 localhost\n2001:db8:77::2 both.test\n10.77.0.2 both.test\n2001:db8:77::99 hole.test\n'
                '10.77.0.2 hole.test\n2001:db8:66::1 unrouted.test\n10.77.0.2 unrouted.test\n10.77.0.99 first.test\n'
                '10.77.0.2 first.test\n')
    link.set()
    with Server(link.b, across, 'serve', ':0') as server:
        took, what = dialled(link.a, across, 'both.test:' + server.port, DEAD, hosts)
        result(what == '[2001:db8:77::2]:' + server.port, 'IPv6 is taken when it works', took, what)
        took, what = dialled(link.a, across, 'hole.test:' + server.port, DEAD, hosts)
        # it was tried first, or this would say nothing; the system would go on for minutes
        result(what == '10.77.0.2:' + server.port and 200 <= took < 60000, 'IPv4 when packets of IPv6 are lost', took, what)
        took, what = dialled(link.a, across, 'unrouted.test:' + server.port, DEAD, hosts)
        result(what == '10.77.0.2:' + server.port, 'and when there is no route for them', took, what)
        took, what = dialled(link.a, across, 'hole.test:' + server.port, 50, hosts)
        result(what == 'Connection timed out' and took < 60000, 'a deadline before its turn comes', took, what)
        took, what = dialled(link.a, across, 'first.test:' + server.port, DEAD, hosts)
        result(what == '10.77.0.2:' + server.port and took < 60000, 'one of two addresses that is not there', took, what)
    with Server(link.b, across, 'serve', '10.77.0.2:0') as server:
        took, what = dialled(link.a, across, 'both.test:' + server.port, DEAD, hosts)
        result(what == server.address, 'IPv4 when IPv6 is refused', took, what)
    took, what = dialled(link.a, across, 'hole.test:1', 500, hosts)
    result(what in ('Connection refused', 'Connection timed out'), 'neither', took, what)


def main(across, echo, percent):
    try:
        link = Link()
    except Unavailable as why:
        print('1..0 # SKIP %s' % why)
        return 0
    with link, tempfile.TemporaryDirectory(prefix='across-') as folder:
        black_holes(link, across)
        happy_eyeballs(link, across, folder)
        echoes(link, echo, int(percent))
        bulk(link, across, int(percent))
        breaks(link, across)
    return end()


sys.exit(main(*sys.argv[1:]))
