# SPDX-License-Identifier: MIT
"""socks5.py PROGRAM: the proxy of doc/examples, with curl where there is one and with clients that speak the protocol badly"""
import hashlib
import http.server
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

from servers import become
from tap import end, result, run

PATIENT = 600000        # milliseconds, which nobody here takes
HASTY = 200
DEAD = 300              # seconds: what takes so long hangs
OK = bytes([5, 0])


class Proxy:
    def __init__(self, program, *options, patience=PATIENT, procs=2):
        self.process = subprocess.Popen([program, '-t', str(patience), *options, '127.0.0.1:0'], stdout=subprocess.PIPE,
                                        universal_newlines=True, env=dict(os.environ, GOMAXPROCS=str(procs)),
                                        preexec_fn=become(None, signal.SIGKILL))
        host, port = self.process.stdout.readline().strip().split(':')
        self.address = host, int(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def wait_for_rest(self):
        """Until it has no socket but the listener."""
        while self.process.poll() is None:
            n = 0
            for name in os.listdir('/proc/%d/fd' % self.process.pid):
                try:
                    n += os.readlink('/proc/%d/fd/%s' % (self.process.pid, name)).startswith('socket:')
                except OSError:
                    pass
            if n <= 1:
                return

    def refuses(self):
        """Waits until it takes no more connections."""
        while True:
            try:
                socket.create_connection(self.address).close()
            except ConnectionRefusedError:
                return
            except OSError:
                pass


class Client:
    def __init__(self, proxy):
        self.socket = socket.create_connection(proxy.address)
        self.socket.settimeout(DEAD)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass                        # an answer that came before the end of what is said

    def get(self, n):
        """n bytes, fewer at the end, None when the connection is reset."""
        got = b''
        while len(got) < n:
            try:
                piece = self.socket.recv(min(n - len(got), 65536))   # so much is allocated
            except ConnectionResetError:
                return None
            if piece == b'':
                break
            got += piece
        return got

    def rest(self):
        return self.get(1 << 30)

    def reply(self):
        """The code of a reply, which is to be whole; None at the end."""
        head = self.get(4)
        if head in (b'', None):
            return None
        assert head[0] == 5 and head[2] == 0 and head[3] in (1, 4), head
        n = 6 if head[3] == 1 else 18
        self.bound = self.get(n)
        assert len(self.bound) == n
        return head[1]

    def ask(self, request):
        self.send(b'\5\1\0')
        got = self.get(2)
        assert got == OK, got
        self.send(request)
        return self.reply()


def to_ip(address, command=1):
    host, port = address[:2]
    if ':' in host:
        return bytes([5, command, 0, 4]) + socket.inet_pton(socket.AF_INET6, host) + struct.pack('>H', port)
    return bytes([5, command, 0, 1]) + socket.inet_aton(host) + struct.pack('>H', port)


def to_name(name, port, command=1):
    name = name if isinstance(name, bytes) else name.encode()
    return bytes([5, command, 0, 3, len(name)]) + name + struct.pack('>H', port)


class Peer:
    """Somebody to connect to. what(socket) runs on a thread for each connection."""
    def __init__(self, what, host='127.0.0.1'):
        self.what = what
        self.listener = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET)
        self.listener.bind((host, 0))
        self.listener.listen(64)
        self.address = self.listener.getsockname()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        with s:
            try:
                self.what(s)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def echo(s):
    while True:
        data = s.recv(65536)
        if data == b'':
            return
        s.sendall(data)


def sums(s):
    """Reads to the end, and only then answers."""
    h = hashlib.sha256()
    while True:
        data = s.recv(65536)
        if data == b'':
            break
        h.update(data)
    s.sendall(h.hexdigest().encode())


def greets(s):
    """Has nothing to say any more, and listens on."""
    s.sendall(b'hello')
    s.shutdown(socket.SHUT_WR)
    n = 0
    while True:
        data = s.recv(65536)
        if data == b'':
            break
        n += len(data)
    HEARD.append(n)
    GREETED.release()


HEARD = []
GREETED = threading.Semaphore(0)


def unused_port(six):
    """Sockets which have a port that nobody listens on: it is taken."""
    while True:
        held = [socket.socket()]
        held[0].bind(('127.0.0.1', 0))
        if six:
            held.append(socket.socket(socket.AF_INET6))
            try:
                held[1].bind(('::1', held[0].getsockname()[1]))
            except OSError:
                continue
        return held


# --- what goes well -----------------------------------------------------------------------------------------------------

def connects(proxy, six):
    e = Peer(echo)
    data = random.Random(1).randbytes(1 << 20)
    requests = [('an IPv4 address', to_ip(e.address)), ('a name', to_name('localhost', e.address[1])),
                ('a number as a name', to_name('127.0.0.1', e.address[1]))]
    if six:
        e6 = Peer(echo, '::1')
        requests += [('an IPv6 address', to_ip(e6.address)), ('an IPv6 number as a name', to_name('::1', e6.address[1]))]
    for what, request in requests:
        with Client(proxy) as c:
            code = c.ask(request)
            result(code == 0 and c.bound[-2:] != b'\0\0', 'CONNECT to ' + what, code)
            sender = threading.Thread(target=c.send, args=(data,))
            sender.start()
            got = c.get(len(data))
            sender.join()
            result(got == data, 'and a megabyte each way', len(got or b''))
    with Client(proxy) as c:            # all at once, with what is for the target behind it
        c.send(b'\5\2\0\2' + to_ip(e.address) + b'early')
        got = c.get(2), c.reply(), c.get(5)
        result(got == (OK, 0, b'early'), 'who does not wait for answers loses nothing', got)
    with Client(proxy) as c:
        for i, byte in enumerate(b'\5\1\0' + to_name('localhost', e.address[1]) + b'x'):
            c.send(bytes([byte]))
            if i == 2:
                first = c.get(2)
        got = first, c.reply(), c.get(1)
        result(got == (OK, 0, b'x'), 'a byte at a time', got)
    return e


def half_closes(proxy):
    s = Peer(sums)
    data = random.Random(2).randbytes(3 << 20)
    with Client(proxy) as c:
        code = c.ask(to_ip(s.address))
        c.send(data)
        c.socket.shutdown(socket.SHUT_WR)
        got = c.rest()
        result(code == 0 and got == hashlib.sha256(data).hexdigest().encode(),
               "the client's end is passed on, and an answer to it comes", got)
    g = Peer(greets)
    HEARD.clear()
    with Client(proxy) as c:
        code = c.ask(to_ip(g.address))
        got = c.rest()
        c.send(data)
        c.socket.shutdown(socket.SHUT_WR)
        GREETED.acquire(timeout=DEAD)
        result(code == 0 and got == b'hello' and HEARD == [len(data)], "the target's end is passed on, and it hears the rest",
               got, HEARD)

    def resets(s):
        s.sendall(b'half')
        s.recv(1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    r = Peer(resets)
    with Client(proxy) as c:
        code = c.ask(to_ip(r.address))
        got = c.get(4)
        c.send(b'x')
        result(code == 0 and got == b'half' and c.get(1) is None, 'a reset is one on the other side, and no end')
    for p in (s, g, r):
        p.close()


def many(proxy, e, n):
    wrong = []

    def one(i):
        try:
            with Client(proxy) as c:
                data = b'%d ' % i * 100
                code = c.ask(to_ip(e.address))
                c.send(data)
                c.socket.shutdown(socket.SHUT_WR)
                if code != 0 or c.rest() != data:
                    wrong.append(i)
        except Exception as why:
            wrong.append(repr(why))
    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    result(not wrong, '%d clients at once' % n, wrong)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    body = random.Random(3).randbytes(300000)

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        pass


def with_curl(proxy, guarded):
    if shutil.which('curl') is None:
        print('# no curl: not tried')
        return
    web = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    port = web.server_address[1]
    at = '%s:%d' % guarded.address
    plain = '%s:%d' % proxy.address

    def curl(*arguments):
        done = subprocess.run(['curl', '-sS', '--noproxy', '', '-m', str(DEAD), *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        return done.returncode, done.stdout, done.stderr.decode()
    for what, arguments, good in (
            ('--socks5', ('--socks5', plain, 'http://127.0.0.1:%d/' % port), True),
            ('--socks5-hostname', ('--socks5-hostname', plain, 'http://localhost:%d/' % port), True),
            ('two transfers', ('--socks5', plain, 'http://127.0.0.1:%d/' % port, 'http://127.0.0.1:%d/' % port), True),
            ('--proxy-user', ('--socks5', at, '--proxy-user', 'ann:secret:1', 'http://127.0.0.1:%d/' % port), True),
            ('a wrong password', ('--socks5', at, '--proxy-user', 'ann:secret', 'http://127.0.0.1:%d/' % port), False),
            ('no password', ('--socks5', at, 'http://127.0.0.1:%d/' % port), False),
            ('a name that is not there', ('--socks5-hostname', plain, 'http://a..b:%d/' % port), False)):
        status, out, err = curl(*arguments)
        if good:
            result(status == 0 and out in (Handler.body, Handler.body * 2), 'curl: ' + what, status, err)
        else:
            result(status == 97 and out == b'', 'curl: ' + what, status, err)
    web.shutdown()
    web.server_close()


# --- what does not ------------------------------------------------------------------------------------------------------

def failures(proxy, e, six):
    held = unused_port(six)
    port = held[0].getsockname()[1]
    for what, request, codes in (
            ('refused', to_ip(('127.0.0.1', port)), (5,)), ('refused, by a name', to_name('localhost', port), (5,)),
            # no route to it from anywhere; what is said depends on the routes that there are
            ('an address that cannot be', to_ip(('255.255.255.255', 80)), (2, 3, 4)),
            ('an IPv6 address that cannot be', to_ip(('ff0e::1', 80)), (3, 4)),
            ('port 0', to_ip(('127.0.0.1', 0)), (1, 3, 5)),
            ('a name that cannot be', to_name('a' * 64 + '.invalid', 80), (4,)),
            ('an empty name', to_name('', 80), (4,)), ('a zero byte in a name', to_name(b'localhost\0', e.address[1]), (4,)),
            ('a port in a name', to_name('127.0.0.1:%d' % e.address[1], e.address[1]), (4,)),
            ('brackets in a name', to_name('[127.0.0.1]', e.address[1]), (4,)),
            ('blanks in a name', to_name(' localhost', e.address[1]), (4,)),
            ('BIND', to_ip(e.address, 2), (7,)), ('UDP ASSOCIATE', to_ip(e.address, 3), (7,)),
            ('command 0', to_ip(e.address, 0), (7,)), ('command 255', to_name('localhost', e.address[1], 255), (7,)),
            ('address type 0', b'\5\1\0\0' + b'x' * 100, (8,)), ('address type 2', b'\5\1\0\2' + b'x' * 6, (8,)),
            ('address type 255', b'\5\1\0\xff', (8,)), ('version 4 in the request', b'\4\1\0\1' + b'x' * 6, (1,))):
        with Client(proxy) as c:
            code = c.ask(request)
            result(code in codes and c.rest() == b'', '%s: reply %s' % (what, ' or '.join(map(str, codes))), code)
    for s in held:
        s.close()


BAD = [b'', b'\5', b'\5\1', b'\5\2\0', b'\5\xff' + b'\0' * 254, b'\4\1\0\x50\x7f\0\0\1\0', b'\0\1\0', b'\6\1\0',
       b'GET / HTTP/1.1\r\n\r\n', b'\x16\x03\x01\x02\x00\x01' + b'\0' * 600, b'\xff' * 100000]
CUT = [b'', b'\5', b'\5\1\0', b'\5\1\0\1', b'\5\1\0\1\x7f\0\0\1\0', b'\5\1\0\3', b'\5\1\0\3\xff', b'\5\1\0\3\xff' + b'a' * 254,
       b'\5\1\0\3\1a\0', b'\5\1\0\4' + b'\0' * 17]


def malformed(proxy):
    for data in BAD:
        with Client(proxy) as c:
            c.send(data)
            try:
                c.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            got = c.rest()
            result(got in (b'', None), 'nothing is said to %.30r' % data, got)
    for methods in (b'', b'\1', b'\2', b'\xff', bytes(range(1, 256))):
        with Client(proxy) as c:
            c.send(bytes([5, len(methods)]) + methods)
            got = c.rest()
            result(got == b'\5\xff', 'no acceptable method among %d' % len(methods), got)
    with Client(proxy) as c:
        c.send(b'\5\xff' + b'\x80' * 254 + b'\0')
        result(c.get(2) == OK, 'the last of 255 methods')
    for data in CUT:
        with Client(proxy) as c:
            c.send(b'\5\1\0')
            first = c.get(2)
            c.send(data)
            c.socket.shutdown(socket.SHUT_WR)
            got = c.rest()
            result(first == OK and got == b'', 'a request of %d bytes is none' % len(data), got)
    chance = random.Random(4)
    for _ in range(100):                # anything at all
        with Client(proxy) as c:
            c.send(chance.choice((b'', b'\5', b'\5\1\0', b'\5\1\0\5\1\0')) + chance.randbytes(chance.randrange(1, 300)))
            if chance.random() < 0.5:
                c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            else:
                c.socket.shutdown(socket.SHUT_WR)
                c.rest()


def passwords(guarded, e):
    def tried(data):
        with Client(guarded) as c:
            c.send(b'\5\2\0\2')
            first = c.get(2)
            c.send(data)
            got = c.get(2)
            if got != b'\1\0':
                return first, got, c.rest()
            c.send(to_ip(e.address))
            return first, got, c.reply()

    def words(name, password, version=1):
        return bytes([version, len(name)]) + name + bytes([len(password)]) + password
    for name, password in ((b'ann', b'secret:1'), (b'bob', b''), (b'l' * 255, b'p' * 255)):
        got = tried(words(name, password))
        result(got == (b'\5\2', b'\1\0', 0), 'the password of %.9r' % name, got)
    for name, password in ((b'ann', b'secret'), (b'ann', b''), (b'ann:secret', b'1'), (b'an', b'secret:1'), (b'nn', b'secret:1'),
                           (b'', b''), (b'bob', b'\n'), (b'ann', b'secret:1\nbob:'), (b'ann', b'secret:1\0'),
                           (b'ann\0', b'secret:1'),
                           (b'\xff' * 255, b'\xff' * 255)):
        got = tried(words(name, password))
        result(got == (b'\5\2', b'\1\1', b''), 'not that of %.9r' % name, got)
    got = tried(words(b'ann', b'secret:1', 5))
    result(got == (b'\5\2', b'', b''), 'another version of it', got)
    with Client(guarded) as c:
        c.send(b'\5\1\0')
        got = c.rest()
        result(got == b'\5\xff', 'without one nobody gets in', got)


def too_slow(program):
    with Proxy(program, patience=HASTY) as proxy:
        for data in (b'', b'\5', b'\5\1\0', b'\5\1\0\5\1\0\3\xffa'):
            with Client(proxy) as c:
                c.send(data)
                got = c.rest()
                result(got in (b'', OK), 'who says %d bytes and no more is let go' % len(data), got)
        with Client(proxy) as c:        # some byte, again and again, gains no time
            c.socket.settimeout(0.02)
            data = b'\5\xff' + bytes(255) + b'\5\1\0\3\xff' + b'a' * 255
            n, got = 0, b'?'
            while n < len(data) and got != b'':
                c.send(data[n:n + 1])
                n += 1
                try:
                    got = c.socket.recv(2)
                except socket.timeout:
                    pass
                except ConnectionResetError:
                    got = b''
            result(got == b'', 'though a byte comes now and then', n)
        proxy.wait_for_rest()
        result(proxy.process.poll() is None, 'and nothing of them is left')


# --- the end ------------------------------------------------------------------------------------------------------------

def ends(program, e, procs):
    with Proxy(program, procs=procs) as proxy:
        silent, half, busy = Client(proxy), Client(proxy), Client(proxy)
        half.send(b'\5\1\0')
        codes = half.get(2), busy.ask(to_ip(e.address))
        proxy.process.send_signal(signal.SIGTERM)
        proxy.refuses()
        result(codes == (OK, 0) and
               silent.rest() == b'' and half.rest() == b'', 'SIGTERM, P=%d: who has not asked yet is let go' % procs)
        silent.socket.close()
        half.socket.close()
        busy.send(b'still there')
        got = busy.get(11)
        busy.socket.shutdown(socket.SHUT_WR)
        result(got == b'still there' and busy.rest() == b'', 'a tunnel is there until it ends', got)
        busy.socket.close()
        status = proxy.process.wait(DEAD)
        result(status == 0, 'then it ends well', status)
    with Proxy(program, procs=procs, patience=HASTY) as proxy:
        for _ in range(50):             # a client may be slower than this proxy is patient
            busy = Client(proxy)
            busy.send(b'\5\1\0' + to_ip(e.address))
            if busy.get(2) == OK and busy.reply() == 0:
                break
        proxy.process.send_signal(signal.SIGINT)
        got = busy.rest()
        status = proxy.process.wait(DEAD)
        busy.socket.close()
        result(got in (b'', None) and status == 1, 'SIGINT, P=%d: who goes on is cut off in the end' % procs, got, status)
    with Proxy(program, procs=procs) as proxy:
        with Client(proxy) as c:
            c.ask(to_ip(e.address))
            proxy.process.send_signal(signal.SIGTERM)
            proxy.refuses()
            proxy.process.send_signal(signal.SIGTERM)
            status = proxy.process.wait(DEAD)
            result(status == -signal.SIGTERM, 'a second SIGTERM, P=%d, does not wait' % procs, status)


def bad_calls(program, directory):
    for arguments in ((), ('-t', '0', ':0'), ('-t', '5s', ':0'), ('-t', '', ':0'), (':0', ':0'), ('-x', ':0'), ('-a',)):
        done = run(program, *arguments)
        result(done.returncode == 2 and 'usage: ' in done.stderr, 'a call with %r is explained' % (arguments,), done.stderr)
    big = os.path.join(directory, 'big')
    with open(big, 'w') as f:
        f.write('a:b\n' * 20000)
    for arguments, why in ((('127.0.0.1:99999',), 'no such service or port'), (('-a', directory + '/none', ':0'), 'No such file'),
                           (('-a', big, ':0'), 'too large'), (('-a', directory, ':0'), 'error')):
        done = run(program, *arguments)
        result(done.returncode == 1 and why in done.stderr, 'said to be: ' + why, done.stderr)


def main(program):
    try:
        Peer(echo, '::1').close()
        six = True
    except OSError:
        six = False
        print('# no IPv6 here: not tried')
    with tempfile.TemporaryDirectory(prefix='socks5-') as directory:
        users = os.path.join(directory, 'users')
        with open(users, 'w') as f:
            f.write('ann:secret:1\nbob:\n%s:%s' % ('l' * 255, 'p' * 255))
        for procs in (1, 2):
            with Proxy(program, procs=procs) as proxy, Proxy(program, '-a', users, procs=procs) as guarded:
                e = connects(proxy, six)
                half_closes(proxy)
                many(proxy, e, 30)
                with_curl(proxy, guarded)
                failures(proxy, e, six)
                malformed(proxy)
                passwords(guarded, e)
                proxy.wait_for_rest()
                guarded.wait_for_rest()
                result(proxy.process.poll() is None and guarded.process.poll() is None,
                       'P=%d: the proxy is still there, with no descriptor too many' % procs)
            ends(program, e, procs)
        too_slow(program)
        bad_calls(program, directory)
    return end()


sys.exit(main(*sys.argv[1:]))
