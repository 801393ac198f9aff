# SPDX-License-Identifier: MIT
"""
httpd.py PROGRAM CLIENTS: the HTTP server of doc/examples, with curl where there is one and with clients that curl would not be

Waits are for states, never for a time: for a connection to be refused, for the server to have no descriptors but its own. The
output is TAP. Standard library only.
"""
import hashlib
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

from tap import end, result

PATIENT = 600000        # milliseconds, which no client here takes
HASTY = 300


class Server:
    def __init__(self, program, folder, patience, procs):
        self.process = subprocess.Popen([program, '127.0.0.1:0', folder, str(patience)], stdout=subprocess.PIPE,
                                        universal_newlines=True, env=dict(os.environ, GOMAXPROCS=str(procs)))
        host, port = self.process.stdout.readline().strip().split(':')
        self.address = host, int(port)
        self.url = 'http://%s:%s' % (host, port)
        self.folder = folder

    def descriptors(self):
        """How many it has of sockets, and of what is in the folder."""
        n = 0
        for name in os.listdir('/proc/%d/fd' % self.process.pid):
            try:
                n += os.readlink('/proc/%d/fd/%s' % (self.process.pid, name)).startswith(('socket:', self.folder))
            except OSError:
                pass
        return n

    def wait_for_rest(self):
        """Until it has no descriptor but the folder and the listener."""
        while self.descriptors() > 2 and self.process.poll() is None:
            pass

    def end(self, signo=signal.SIGTERM):
        self.process.send_signal(signo)
        return self.process.wait()

    def refuses(self):
        """Waits until it takes no more connections."""
        while True:
            try:
                socket.create_connection(self.address).close()
            except ConnectionRefusedError:
                return
            except OSError:
                pass


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def closes(self):
        return self.headers.get('connection') == 'close'

    def __repr__(self):
        return '%d %r %.200r' % (self.status, self.headers, self.body)


class Client:
    def __init__(self, server, receive=None):
        self.socket = socket.socket()
        if receive is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.connect(server.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile('rb')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass                        # an answer that came before the end of what is asked

    def head(self):
        """Status and headers of an answer, or None at the end."""
        try:
            line = self.file.readline().decode('latin-1')
        except ConnectionResetError:
            return None
        if line == '':
            return None
        status = int(re.fullmatch(r'HTTP/1\.1 (\d{3}) [A-Za-z -]+\r\n', line).group(1))
        headers = {}
        while True:
            line = self.file.readline().decode('latin-1')
            if line == '\r\n':
                return status, headers
            name, value = re.fullmatch(r'([A-Za-z-]+): (.*)\r\n', line).groups()
            headers[name.lower()] = value

    def answer(self, method='GET'):
        got = self.head()
        if got is None:
            return None
        status, headers = got
        n = 0 if method == 'HEAD' or status == 304 else int(headers['content-length'])
        return Answer(status, headers, self.file.read(n))

    def ask(self, path, method='GET', **headers):
        lines = ''.join('%s: %s\r\n' % (k.replace('_', '-'), v) for k, v in dict({'Host': 'x'}, **headers).items())
        self.send(('%s %s HTTP/1.1\r\n%s\r\n' % (method, path, lines)).encode('latin-1'))
        return self.answer(method)

    def ended(self):
        try:
            return self.file.read(1) == b''
        except ConnectionResetError:
            return True


class Files:
    def __init__(self, root):
        chance = random.Random(1)
        self.root = root
        self.contents = {'index.html': b'<p>hello\n', 'empty': b'', 'small.txt': bytes(range(256)) * 4,
                         'edge': chance.randbytes(8192), 'big': chance.randbytes(5 * 1024 * 1024 + 7), 'a name': b'blank',
                         'sub/index.html': b'<p>below\n', 'sub/more.css': b'p {}', 'odd"%\xff'.encode('latin-1'): b'odd'}
        os.makedirs(os.path.join(root, 'sub/none'))
        for name, data in self.contents.items():
            with open(os.path.join(os.fsencode(root), os.fsencode(name)), 'wb') as f:
                f.write(data)
        with open(os.path.join(root, 'vast'), 'wb') as f:
            f.truncate(64 << 20)
        os.mkfifo(os.path.join(root, 'fifo'))
        os.mkfifo(os.path.join(root, 'sub/none/index.html'))
        with open(os.path.join(os.path.dirname(root), 'secret'), 'w') as f:
            f.write('secret')


# --- what goes well -----------------------------------------------------------------------------------------------------

def files(server, kept):
    with Client(server) as c:
        for name, data in sorted((k, v) for k, v in kept.contents.items() if isinstance(k, str)):
            a = c.ask('/' + name.replace(' ', '%20'))
            result(a.status == 200 and a.body == data and not a.closes(), 'GET %s' % name, a)
        for path, like in (('/', 'index.html'), ('/sub/', 'sub/index.html'), ('/./sub/.', 'sub/index.html'),
                           ('//sub//more.css', 'sub/more.css'), ('/index.html?a=/../b', 'index.html'),
                           ('http://somewhere/small.txt', 'small.txt'), ('http://somewhere', 'index.html'),
                           ('/%69ndex%2ehtml', 'index.html'), ('/odd%22%25%FF', 'odd"%\xff'.encode('latin-1'))):
            a = c.ask(path)
            result(a.status == 200 and a.body == kept.contents[like], 'GET %s is %s' % (path, like), a)
        for path, to in (('/sub', '/sub/'), ('//sub', '/sub/'), ('/sub/none?x', '/sub/none/')):
            a = c.ask(path)
            result(a.status == 301 and a.headers.get('location') == to, '%s is a folder' % path, a)
        for path in ('/none', '/sub/none/', '/fifo', '/small.txt/', '/small.txt/x', '/' + 'n' * 300, '/' + 'n/' * 1000,
                     '/x' * 1000):
            a = c.ask(path)
            result(a.status == 404 and not a.closes(), 'there is no %.40s' % path, a)
        a = c.ask('/sub/more.css')
        result(a.headers['content-type'] == 'text/css', 'a type', a)


def heads(server, kept):
    with Client(server) as c:
        for path, status, n in (('/big', 200, len(kept.contents['big'])), ('/none', 404, None), ('/sub', 301, None),
                                ('/index.html', 200, len(kept.contents['index.html']))):
            a = c.ask(path, 'HEAD', Range='bytes=0-3')
            result(a.status == status and (n is None or a.headers['content-length'] == str(n)), 'HEAD %s' % path, a)
        a = c.ask('/index.html')
        result(a.status == 200 and a.body == kept.contents['index.html'], 'and no byte behind any of them', a)


def ranges(server, kept):
    data = kept.contents['small.txt']
    n = len(data)
    with Client(server) as c:
        for text, first, last in (('0-0', 0, 0), ('0-', 0, n - 1), ('5-9', 5, 9), ('1023-', n - 1, n - 1),
                                  ('1000-99999', 1000, n - 1), ('-1', n - 1, n - 1), ('-100', n - 100, n - 1), ('-99999', 0, n - 1),
                                  ('0-' + '9' * 40, 0, n - 1), ('-' + '9' * 40, 0, n - 1)):
            a = c.ask('/small.txt', Range='bytes=' + text)
            result(a.status == 206 and a.body == data[first:last + 1] and
                   a.headers['content-range'] == 'bytes %d-%d/%d' % (first, last, n), 'range %.20s' % text, a)
        for text in ('1024-', '1024-2000', '-0', '9' * 40 + '-'):
            a = c.ask('/small.txt', Range='bytes=' + text)
            result(a.status == 416 and a.headers['content-range'] == 'bytes */%d' % n, 'range %.20s is not there' % text, a)
        a = c.ask('/empty', Range='bytes=0-')
        result(a.status == 416 and a.headers['content-range'] == 'bytes */0', 'a range of nothing', a)
        for text in ('bytes=5-2', 'bytes=-', 'bytes=', 'bytes=a-b', 'bytes=1-2,4-5', 'lines=1-2', 'bytes=1-2x', 'bytes=--1',
                     'bytes=' + '1' * 1000 + '-'):
            a = c.ask('/small.txt', Range=text)
            result(a.status == 200 and a.body == data, 'no range: %.20s' % text, a)
        big = kept.contents['big']
        a = c.ask('/big', Range='bytes=1000-3000000')
        result(a.status == 206 and a.body == big[1000:3000001], 'a large range', a.status, len(a.body))

        tag = c.ask('/small.txt').headers['etag']
        a = c.ask('/small.txt', If_None_Match=tag)
        result(a.status == 304 and a.headers['etag'] == tag, 'not changed', a)
        a = c.ask('/small.txt', If_None_Match='"other", W/%s' % tag)
        result(a.status == 304, 'one of several is what it is', a)
        a = c.ask('/small.txt', If_None_Match='"other"')
        result(a.status == 200 and a.body == data, 'changed', a)
        a = c.ask('/small.txt', Range='bytes=0-1', If_Range=tag)
        result(a.status == 206, 'a range of what it is', a)
        a = c.ask('/small.txt', Range='bytes=0-1', If_Range='"other"')
        result(a.status == 200 and a.body == data, 'no range of what it was', a)


def keeps_alive(server, kept):
    hello = kept.contents['index.html']
    with Client(server) as c:
        got = [c.ask('/index.html') for _ in range(200)]
        result(all(a.status == 200 and a.body == hello and not a.closes() for a in got), '200 requests on a connection')
        a = c.ask('/index.html', Connection='close')
        result(a.body == hello and a.closes() and c.ended(), 'and a last one')
    with Client(server) as c:
        c.send(b'GET / HTTP/1.0\r\n\r\n')
        a = c.answer()
        result(a.body == hello and a.closes() and c.ended(), 'HTTP/1.0 ends with the answer', a)
    with Client(server) as c:
        c.send(b'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
        a = c.answer()
        b = c.ask('/')
        result(a.headers['connection'] == 'keep-alive' and b.body == hello, 'but where it asks not to', a, b)
    with Client(server) as c:
        paths = ['/index.html', '/none', '/small.txt', '/big', '/sub', '/a%20name'] * 20
        want = [kept.contents.get(p[1:].replace('%20', ' ')) for p in paths]
        requests = ''.join('\r\n' * (i % 3 == 0) + 'GET %s HTTP/1.1\r\nHost: x\r\n\r\n' % p for i, p in enumerate(paths)).encode()
        sender = threading.Thread(target=c.send, args=(requests,))
        sender.start()
        got = [c.answer() for _ in paths]
        sender.join()
        result(all(a.status in (301, 404) if w is None else a.body == w for a, w in zip(got, want)), 'all requests at once')
    with Client(server) as c:
        for byte in b'GET /small.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=1-2\r\n\r\nHEAD /':
            c.send(bytes([byte]))
        a = c.answer()
        c.send(b'empty HTTP/1.1\r\nHost: x\r\n\r\n')
        b = c.answer('HEAD')
        result(a.status == 206 and b.status == 200, 'a byte at a time', a, b)
    with Client(server) as c:
        c.send(b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /'
               b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nTrailer: y\r\n\r\n'
               b'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc'
               b'GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'
               b'GET /small.txt HTTP/1.1\r\nHost: x\r\n\r\n')
        got = [c.answer() for _ in range(5)]
        result([a.status for a in got] == [405, 405, 200, 200, 200] and got[4].body == kept.contents['small.txt'],
               'bodies are read and left out of account', *got)


def slow_reader(server, kept):
    with Client(server, receive=4096) as c:
        c.send(b'GET /big HTTP/1.1\r\nHost: x\r\n\r\n')
        status, headers = c.head()
        left, digest, chance = int(headers['content-length']), hashlib.sha256(), random.Random(2)
        while left > 0:
            data = c.file.read(min(left, chance.randrange(1, 20000)))
            digest.update(data)
            left -= len(data)
        result(status == 200 and digest.digest() == hashlib.sha256(kept.contents['big']).digest(), 'a slow reader gets all of it')


def many(server, kept, n):
    clients = [Client(server) for _ in range(n)]
    for round in range(3):
        for c in clients:
            c.send(b'GET /edge HTTP/1.1\r\nHost: x\r\n\r\n')
        got = [c.answer() for c in clients]
        result(all(a.body == kept.contents['edge'] for a in got), '%d clients at once, round %d' % (n, round))
    for c in clients:
        c.__exit__()


def with_curl(server, kept, directory):
    if shutil.which('curl') is None:
        print('# no curl here: not tested with it')
        return

    def curl(*arguments):
        done = subprocess.run(['curl', '--silent', '--show-error', '--noproxy', '*'] + list(arguments), stdout=subprocess.PIPE)
        return done.returncode, done.stdout
    result(curl(server.url + '/big') == (0, kept.contents['big']), 'curl')
    result(curl('--range', '10-99999', server.url + '/big') == (0, kept.contents['big'][10:100000]), 'curl --range')
    result(curl('--location', server.url + '/sub') == (0, kept.contents['sub/index.html']), 'curl --location')
    status, out = curl('--head', '--write-out', '%{http_code}', server.url + '/big')
    result(status == 0 and b'Content-Length: %d\r\n' % len(kept.contents['big']) in out and out.endswith(b'200'), 'curl --head',
           out)
    got = curl('--write-out', '%{num_connects} ', '--output', '/dev/null', server.url + '/big', '--output', '/dev/null',
               server.url + '/none', '--output', '/dev/null', server.url + '/')
    result(got == (0, b'1 0 0 '), 'curl keeps its connection', got)
    # what breaks off is taken up where it was
    part = os.path.join(directory, 'part')
    with open(part, 'wb') as f:
        f.write(kept.contents['big'][:1234567])
    status, _ = curl('--continue-at', '-', '--output', part, server.url + '/big')
    with open(part, 'rb') as f:
        result(status == 0 and f.read() == kept.contents['big'], 'curl --continue-at')
    got = curl('--data', 'x' * 100, '--write-out', '%{http_code}', '--output', '/dev/null', server.url + '/')
    result(got == (0, b'405'), 'curl --data', got)
    got = curl('--header', 'Expect: 100-continue', '--data-binary', '@' + os.path.join(kept.root, 'big'),
               '--write-out', '%{http_code}', '--output', '/dev/null', server.url + '/')
    result(got[1] in (b'413', b'417'), 'curl with very much', got)


# --- what does not ------------------------------------------------------------------------------------------------------

HOST = b'Host: x\r\n'
BAD = [
    # what, status
    (b'BREW / HTTP/1.1\r\n' + HOST + b'\r\n', 501),
    (b'GETX / HTTP/1.1\r\n' + HOST + b'\r\n', 501),
    (b'get / HTTP/1.1\r\n' + HOST + b'\r\n', 501),
    (b'G' * 100000, 501),
    (b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\x00' * 500, 400),
    (b'\x00', 400),
    (b' GET / HTTP/1.1\r\n' + HOST + b'\r\n', 400),
    (b'GET\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\n' + HOST + HOST + b'\r\n', 400),
    (b'GET / HTTP/2.0\r\n' + HOST + b'\r\n', 505),
    (b'GET / HTTP/0.9\r\n' + HOST + b'\r\n', 505),
    (b'GET /\r\n\r\n', 505),
    (b'GET / HTTP/1.1.1\r\n' + HOST + b'\r\n', 400),
    (b'GET / HTTP/x\r\n' + HOST + b'\r\n', 400),
    (b'GET index.html HTTP/1.1\r\n' + HOST + b'\r\n', 400),
    (b'GET / /x HTTP/1.1\r\n' + HOST + b'\r\n', 400),
    (b'GET / HTTP/1.1\r\n' + HOST + b'no colon\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\n' + HOST + b': no name\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\n' + HOST + b'a name: x\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\n' + HOST + b'a\x00: x\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\n' + HOST + b'a: \x00\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\n' + HOST + b'Content-Length: -1\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\n' + HOST + b'Content-Length: five\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\n' + HOST + b'Content-Length: 1 1\r\n\r\nx', 400),
    (b'GET / HTTP/1.1\r\n' + HOST + b'Content-Length: 99999999999999999999999\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\n' + HOST + b'Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx', 400),
    (b'GET / HTTP/1.1\r\n' + HOST + b'Content-Length: 18446744073709551615\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\n' + HOST + b'Content-Length: 18446744073709550000\r\n\r\n', 413),
    (b'GET / HTTP/1.1\r\n' + HOST + b'Content-Length: 1844674407370954000\r\n\r\n', 413),
    (b'POST / HTTP/1.1\r\n' + HOST + b'Content-Length: 65537\r\n\r\n', 413),
    (b'POST / HTTP/1.1\r\n' + HOST + b'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400),
    (b'POST / HTTP/1.1\r\n' + HOST + b'Transfer-Encoding: gzip\r\n\r\n', 400),
    (b'POST / HTTP/1.1\r\n' + HOST + b'Transfer-Encoding: chunked\r\n\r\nzz\r\n', 400),
    (b'POST / HTTP/1.1\r\n' + HOST + b'Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n', 400),
    (b'POST / HTTP/1.1\r\n' + HOST + b'Transfer-Encoding: chunked\r\n\r\n' + b'400\r\n' + b'x' * 1024 + b'\r\n' +
     b'1000\r\n' + b'x' * 4096 + b'\r\n' + b'20000\r\n' + b'x' * 131072 + b'\r\n0\r\n\r\n', 413),
    (b'POST / HTTP/1.1\r\n' + HOST + b'Transfer-Encoding: chunked\r\n\r\n' + b'1\r\nx\r\n' * 20000, 413),
    (b'POST / HTTP/1.1\r\n' + HOST + b'Expect: 100-continue\r\nContent-Length: 3\r\n\r\n', 417),
    (b'GET /' + b'x' * 3000 + b' HTTP/1.1\r\n' + HOST + b'\r\n', 414),
    (b'GET /' + b'x' * 1000000, 414),
    (b'GET / HTTP/1.1\r\n' + HOST + b'a: ' + b'x' * 10000 + b'\r\n\r\n', 431),
    (b'GET / HTTP/1.1\r\n' + HOST + b'x' * 10000 + b': y\r\n\r\n', 431),
    (b'GET / HTTP/1.1\r\n' + HOST + b'a: x\r\n' * 101 + b'\r\n', 431),
    (b'GET / HTTP/1.1\r\n' + HOST + b'a: x\r\n' * 100000, 431),
    (b'\r\n' * 100000, 431),
]
# http_parser can be built strict or not, and takes these for good when it is not
LOOSE = [b'GET / HTTX/1.1\r\n' + HOST + b'\r\n', b'GET /\xff HTTP/1.1\r\n' + HOST + b'\r\n']
PATHS = ['/..', '/../secret', '/../../../../../../etc/passwd', '/sub/../../secret', '/sub/../index.html', '/%2e%2e/secret',
         '/.%2E/secret', '/..%2fsecret', '/%2e%2e%2fsecret', '/sub/..', '/sub%2f..%2f..%2fsecret', '/index.html%00', '/%00', '/%',
         '/%4', '/%zz', '/%2', '/%-1', '/%2fetc%2fpasswd', 'http://x/../secret', '*', '//../secret', '/..//', '/./../secret']
OTHER_METHODS = ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH', 'PROPFIND', 'M-SEARCH']


def malformed(server, kept):
    for data, status in BAD:
        with Client(server) as c:
            sender = threading.Thread(target=c.send, args=(data,))
            sender.start()
            a = c.answer()
            ended = a is not None and a.closes() and c.ended()
            c.socket.shutdown(socket.SHUT_RDWR)
            sender.join()
            result(ended and a.status == status, '%d for %.60r' % (status, data), a)
    for data in LOOSE:
        with Client(server) as c:
            c.send(data)
            a = c.answer()
            result(a is not None and a.status in (200, 400, 404), 'an answer to %.60r' % data, a)
    with Client(server) as c:
        for path in PATHS:
            a = c.ask(path)
            result(a.status == 400 and b'secret' not in a.body and not a.closes(), 'no path: %s' % path, a)
        for path in ('//etc/passwd', '/.../secret', '/secret', '/~root', '/\\..\\secret', '/C:/'):
            a = c.ask(path)
            result(a.status == 404, 'not there: %s' % path, a)
        for method in OTHER_METHODS:
            a = c.ask('/', method)
            result(a.status == 405 and a.headers['allow'] == 'GET, HEAD' and not a.closes(), 'not allowed: %s' % method, a)
        a = c.ask('*', 'OPTIONS')
        result(a.status == 405, 'OPTIONS *', a)
        a = c.ask('x:80', 'CONNECT')
        result(a.status == 405, 'CONNECT', a)
        a = c.ask('/')
        result(a.status == 200 and a.body == kept.contents['index.html'], 'and the connection is as good as ever', a)
    for data in (b'', b'G', b'GET / HTTP/1.1\r\nHost:', b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc', b'\r\n'):
        with Client(server) as c:       # ends in the middle: nobody to answer to
            c.send(data)
            c.socket.shutdown(socket.SHUT_WR)
            result(c.ended(), 'it ends after %r' % data)
    for data in (b'', b'GET / HT', b'GET /vast HTTP/1.1\r\nHost: x\r\n\r\n' * 3):
        with Client(server) as c:       # is reset in the middle
            c.send(data)
            c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    chance = random.Random(3)
    for i in range(200):                # anything at all
        with Client(server) as c:
            c.send(chance.choice((b'', b'GET ', b'GET / HTTP/1.1\r\n')) + chance.randbytes(chance.randrange(1, 300)))
            c.socket.shutdown(socket.SHUT_WR)
            try:
                c.file.read()
            except ConnectionResetError:
                pass
    with Client(server) as c:
        a = c.ask('/')
        result(a.status == 200, 'and after 200 of noise the server goes on', a)


def tried(server, what, receive=None):
    """What what(client) returns, if it is not None: a client may be slower here than the server is patient, and is let go."""
    for _ in range(50):
        with Client(server, receive) as c:
            got = what(c)
        if got is not None:
            return got
    return None


def too_slow(server):
    with Client(server) as c:
        result(c.ended(), 'who says nothing is let go')

    def once(c):
        return c.ended() if c.ask('/') is not None else None
    result(tried(server, once), 'and after a request, too')

    for data in (b'G', b'GET / HTTP/1.1\r\nHost: x\r\n', b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc'):
        def half(c):
            c.send(data)
            a = c.answer()
            return a and (a.status, a.closes(), c.ended())
        got = tried(server, half)
        result(got == (408, True, True), '408 after %r' % data, got)

    def drips(c):                       # some byte, again and again, is no request
        c.send(b'GET / HTTP/1.1\r\nx: ')
        while not select.select([c.socket], [], [], 0.01)[0]:
            c.send(b'y')
        a = c.answer()
        return a and (a.status, c.ended())
    got = tried(server, drips)
    result(got == (408, True), '408 though a byte came now and then', got)

    def stalls(c):
        c.send(b'GET /vast HTTP/1.1\r\nHost: x\r\n\r\n')
        head = c.head()
        if head is None:
            return None
        server.wait_for_rest()
        try:
            n = len(c.file.read())
        except ConnectionResetError:
            n = 0
        return head[0], n < int(head[1]['content-length'])
    got = tried(server, stalls, receive=4096)
    result(got == (200, True), 'who does not read is let go', got)


# --- the end ------------------------------------------------------------------------------------------------------------

def ends(program, kept, procs):
    server = Server(program, kept.root, PATIENT, procs)
    idle, half, busy, silent = Client(server), Client(server), Client(server, receive=4096), Client(server)
    first = idle.ask('/')
    half.send(b'GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /small.txt HTTP/1.1\r\n')     # the second one is under way
    half.answer()
    busy.send(b'GET /big HTTP/1.1\r\nHost: x\r\n\r\n')
    status, headers = busy.head()
    server.process.send_signal(signal.SIGTERM)
    server.refuses()
    result(first.status == 200 and idle.ended(), 'SIGTERM, P=%d: who waits is let go' % procs)
    result(silent.ended(), 'and who never said a word')
    idle.__exit__()
    silent.__exit__()
    half.send(b'Host: x\r\n\r\n')
    a = half.answer()
    result(a is not None and a.status == 200 and a.body == kept.contents['small.txt'] and a.closes() and half.ended(),
           'a request that had begun is answered, and the last', a)
    half.__exit__()
    result(server.process.poll() is None, 'the server is there for who is not done')
    body = busy.file.read(int(headers['content-length']))
    result(status == 200 and body == kept.contents['big'] and busy.ended(), 'a file on its way arrives', len(body))
    busy.__exit__()
    status = server.process.wait()
    result(status == 0, 'then it ends well', status)

    server = Server(program, kept.root, PATIENT, procs)
    status = server.end(signal.SIGINT)
    result(status == 0, 'SIGINT, P=%d, with nothing to do' % procs, status)

    server = Server(program, kept.root, PATIENT, procs)
    with Client(server, receive=4096) as c:
        c.send(b'GET /vast HTTP/1.1\r\nHost: x\r\n\r\n')
        c.head()
        server.process.send_signal(signal.SIGTERM)
        server.refuses()
        status = server.end()
    result(status == -signal.SIGTERM, 'a second SIGTERM, P=%d, does not wait' % procs, status)


def bad_calls(program, root, server):
    def run(*arguments):
        done = subprocess.run([program] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        return done.returncode, done.stdout + done.stderr
    for arguments in ((), ('127.0.0.1:0',), ('127.0.0.1:0', root, '0'), ('127.0.0.1:0', root, '-5'), ('127.0.0.1:0', root, '5s'),
                      ('127.0.0.1:0', root, '99999999999999999999'), ('127.0.0.1:0', root, '1', '1')):
        status, out = run(*arguments)
        result(status == 2 and out.startswith('usage: '), 'a call with %d arguments is explained' % len(arguments), status, out)
    for address, folder, why in (('%s:%d' % server.address, root, 'in use'), ('127.0.0.1:99999', root, 'no such service or port'),
                                 ('127.0.0.1', root, 'malformed'), ('127.0.0.1:0', root + '/none', 'No such file'),
                                 ('127.0.0.1:0', root + '/index.html', 'Not a directory')):
        status, out = run(address, folder)
        result(status == 1 and why in out, 'said to be: %s' % why, status, out)


def main(program, clients):
    with tempfile.TemporaryDirectory(prefix='httpd-') as directory:
        root = os.path.join(os.path.realpath(directory), 'root')
        os.mkdir(root)
        kept = Files(root)
        for procs in (1, 2):
            server = Server(program, root, PATIENT, procs)
            try:
                files(server, kept)
                heads(server, kept)
                ranges(server, kept)
                keeps_alive(server, kept)
                slow_reader(server, kept)
                many(server, kept, int(clients))
                with_curl(server, kept, directory)
                malformed(server, kept)
                bad_calls(program, root, server)
                server.wait_for_rest()
                result(server.process.poll() is None, 'P=%d: the server is still there, with no descriptor too many' % procs)
            finally:
                server.process.kill()
                server.process.wait()
            hasty = Server(program, root, HASTY, procs)
            try:
                too_slow(hasty)
            finally:
                hasty.process.kill()
                hasty.process.wait()
            ends(program, kept, procs)
    return end()


sys.exit(main(*sys.argv[1:]))
