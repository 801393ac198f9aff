# SPDX-License-Identifier: MIT
"""
tlsecho.py PROGRAM CONNS: the echo server over TLS of doc/examples, with its own client, with Python's and that of openssl, and
with peers that do it wrong
"""
import os
import random
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading

from servers import become, find, skip
from tap import end, result, run

DEAD = 300              # seconds: what takes so long hangs
PATIENT = 600000        # milliseconds, which nobody here takes
HASTY = 300


class Certificate:
    def __init__(self, openssl, folder, name, host):
        self.key, self.path = os.path.join(folder, name + '.key'), os.path.join(folder, name + '.pem')
        done = run(openssl, 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', self.key, '-out', self.path, '-days', '2',
                   '-subj', '/CN=' + host, '-addext', 'subjectAltName=DNS:' + host)
        if done.returncode != 0:
            raise RuntimeError('openssl req:\n' + done.stderr)


class Server:
    def __init__(self, program, certificate, patience=PATIENT, procs=2):
        self.process = subprocess.Popen([program, 'serve', '127.0.0.1:0', certificate.path, certificate.key, str(patience)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                                        env=dict(os.environ, GOMAXPROCS=str(procs)), preexec_fn=become(None, signal.SIGKILL))
        self.text = self.process.stdout.readline().strip()
        host, port = self.text.split(':')
        self.address = host, int(port)

    def connect(self):
        s = socket.create_connection(self.address)
        s.settimeout(DEAD)
        return s

    def said(self):
        """The next line of what it complains of."""
        return self.process.stderr.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def client_context(certificate):
    return ssl.create_default_context(cafile=certificate.path)


def talks(program, server, certificate, conns):
    lines = 20
    done = run(program, 'talk', server.text, certificate.path, 'echo.test', conns, str(lines), str(PATIENT))
    total = int(conns) * lines
    result(done.returncode == 0 and done.stdout == '%d of %d lines came back\n' % (total, total),
           'all that %s clients of its own send comes back' % conns, done.stdout + done.stderr)
    data = random.Random(1).randbytes(3 << 20)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = client_context(certificate)
        context.minimum_version = context.maximum_version = version
        with server.connect() as plain, context.wrap_socket(plain, server_hostname='echo.test') as s:
            got = bytearray()
            for i in range(0, len(data), 50000):
                s.sendall(data[i:i + 50000])
                while len(got) < min(i + 50000, len(data)):
                    got += s.recv(65536)
            result(got == data, 'Python, %s: three megabytes' % s.version())
            # what the server still has to say is that it has nothing more to say
            result(s.unwrap() is not None, 'and an end in good order')


def with_openssl(openssl, server, certificate):
    for version in ('-tls1_2', '-tls1_3'):
        p = subprocess.Popen([openssl, 's_client', '-connect', server.text, '-servername', 'echo.test', '-CAfile', certificate.path,
                              '-verify_return_error', '-verify_hostname', 'echo.test', '-quiet', version],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                             preexec_fn=become(None, signal.SIGKILL))
        try:
            p.stdin.write('through openssl\n')
            p.stdin.flush()
            got = p.stdout.readline()
            result(got == 'through openssl\n', 'openssl s_client %s' % version, got)
        finally:
            p.kill()
            p.communicate()
        server.said()                   # that it has gone, in whatever way


def renews(server, certificate):
    """A client that has keys changed in the middle, both ways: reading has the server write."""
    context = client_context(certificate)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    plain = server.connect()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    s = context.wrap_bio(incoming, outgoing, server_hostname='echo.test')

    def flush(slow=False):
        data = outgoing.read()
        step = 1 if slow else len(data) or 1
        for i in range(0, len(data), step):
            plain.sendall(data[i:i + step])

    def until(call):
        while True:
            try:
                got = call()
                flush(True)
                return got
            except ssl.SSLWantReadError:
                flush(True)
                piece = plain.recv(3)   # records come in splinters
                if piece == b'':
                    incoming.write_eof()
                incoming.write(piece)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    until(s.do_handshake)
    for text in (b'a', b'b' * 1000, b'c' * 20000):
        s.write(text)
        got = b''
        while len(got) < len(text):
            got += until(lambda: s.read(100000))
        result(got == text, '%d bytes, a byte at a time' % len(text))
    until(s.unwrap)
    plain.close()


def refuses(program, server, certificate, other):
    for what, path, host in (('another authority', other.path, 'echo.test'), ('another host', certificate.path, 'other.test')):
        done = run(program, 'talk', server.text, path, host, '3', '3')
        result(done.returncode == 1 and done.stdout == '0 of 9 lines came back\n' and 'certificate verify failed' in done.stderr,
               'a certificate for %s' % what, done.stdout, done.stderr)
        for _ in range(3):
            said = server.said()
            if 'handshake' not in said and 'client' not in said:
                result(False, 'the server hears of it', said)
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        done = run(program, 'talk', '127.0.0.1:%d' % s.getsockname()[1], certificate.path, 'echo.test', '1', '1')
        result(done.returncode == 1 and 'refused' in done.stderr, 'nobody there', done.stderr)


def hello(certificate):
    """What a client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    s = client_context(certificate).wrap_bio(incoming, outgoing, server_hostname='echo.test')
    try:
        s.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def bad_peers(server, certificate):
    good = hello(certificate)
    chance = random.Random(2)
    bad = [b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', b'\x16\x03\x01\xff\xff' + bytes(100), b'\x16\x03\x01\x00\x00' * 100, bytes(1000),
           b'\x80\x2e\x01\x00\x02' + bytes(100), good[:5] + bytes(len(good) - 5), good + good,
           good[:43] + b'\xff' + good[44:], b'\x15\x03\x03\x00\x02\x02\x28', b'\x17\x03\x03\x00\x05hello',
           b'\x16\x02\x00' + good[3:], good[:9] + b'\x02\x00' + good[11:]]
    bad += [good[:n] for n in (1, 4, 5, 6, 50, len(good) - 1, len(good))]
    bad += [chance.randbytes(chance.randrange(1, 2000)) for _ in range(30)]
    quiet = []
    for data in bad:
        with server.connect() as s:
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536) != b'':
                    pass
            except OSError:
                pass
        said = server.said()
        if not said.startswith('tlsecho: handshake: '):
            quiet.append((data[:20], said))
    result(not quiet, '%d bad hellos are none' % len(bad), *quiet)
    with server.connect() as s:         # in the middle of one
        s.sendall(good)
        s.recv(1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    said = server.said()
    result(said.startswith('tlsecho: handshake: '), 'a reset in the handshake', said)
    for what, after in (('an end without a word', lambda s: s.shutdown(socket.SHUT_WR)),
                        ('nonsense after the handshake', lambda s: s.sendall(b'\x17\x03\x03\x00\x20' + bytes(32))),
                        ('a reset', lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)))):
        plain = server.connect()
        s = client_context(certificate).wrap_socket(plain.dup(), server_hostname='echo.test')
        s.sendall(b'hello')
        got = s.recv(5)
        after(plain)
        s.close()
        plain.close()
        said = server.said()
        result(got == b'hello' and said.startswith('tlsecho: client: '), what, said)


def too_slow(program, certificate):
    good = hello(certificate)
    with Server(program, certificate, HASTY) as server:
        for data in (b'', good[:20], good):
            with server.connect() as s:
                s.sendall(data)
                while s.recv(65536) != b'':
                    pass
            said = server.said()
            result(said == 'tlsecho: handshake: Connection timed out\n',
                   'who says %d bytes and no more is let go' % min(len(data), 99), said)
        for _ in range(50):             # a client may be slower than this server is patient
            try:
                with server.connect() as plain, client_context(certificate).wrap_socket(plain, server_hostname='echo.test') as s:
                    s.setblocking(False)
                    while True:         # takes nothing
                        try:
                            s.send(b'x' * 16384)
                        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                            pass
                        except OSError:
                            break
                    said = server.said()
                    break
            except (OSError, ssl.SSLError):
                server.said()
        result(said == 'tlsecho: client: Connection timed out\n', 'who takes nothing is let go', said)


class Silent:
    """Takes connections, and says something that is no answer."""
    def __init__(self, data):
        self.listener = socket.socket()
        self.listener.bind(('127.0.0.1', 0))
        self.listener.listen(10)
        self.address = '127.0.0.1:%d' % self.listener.getsockname()[1]
        self.data = data
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                with self.listener.accept()[0] as s:
                    s.recv(65536)
                    s.sendall(self.data)
            except OSError:
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def bad_servers(program, certificate):
    for data in (b'', b'HTTP/1.1 400 Bad Request\r\n\r\n', b'\x16\x03\x03\x40\x00' + bytes(1000), b'\x15\x03\x03\x00\x02\x02\x28'):
        with Silent(data) as s:
            done = run(program, 'talk', s.address, certificate.path, 'echo.test', '2', '2')
            result(done.returncode == 1 and done.stdout == '0 of 4 lines came back\n' and done.stderr.count('tlsecho: ') == 2,
                   'a server that says %.20r' % data, done.stdout, done.stderr)


def bad_calls(program, certificate, other):
    for arguments in ((), ('serve',), ('serve', ':0', 'a'), ('serve', ':0', 'a', 'b', '0'), ('talk', 'a', 'b', 'c', '1', '0'),
                      ('talk', 'a', 'b', 'c', 'x', '1'), ('sing', 'a', 'b', 'c')):
        done = run(program, *arguments)
        result(done.returncode == 2 and 'usage: ' in done.stderr, 'a call with %r is explained' % (arguments,), done.stderr)
    for arguments in (('serve', ':0', '/nowhere', certificate.key), ('serve', ':0', certificate.path, '/nowhere'),
                      ('serve', ':0', certificate.path, other.key), ('serve', ':0', certificate.key, certificate.key),
                      ('serve', '127.0.0.1:99999', certificate.path, certificate.key),
                      ('talk', '127.0.0.1:1', '/nowhere', 'x', '1', '1')):
        done = run(program, *arguments)
        result(done.returncode == 1 and done.stderr.startswith('tlsecho: '), 'said to be wrong: %s' % (arguments[-1],), done.stderr)


def main(program, conns):
    openssl = find('openssl')
    if openssl is None:
        skip('there is no openssl to make certificates with')
    with tempfile.TemporaryDirectory(prefix='tlsecho-') as folder:
        certificate = Certificate(openssl, folder, 'server', 'echo.test')
        other = Certificate(openssl, folder, 'other', 'echo.test')
        for procs in (1, 2):
            with Server(program, certificate, procs=procs) as server:
                talks(program, server, certificate, conns)
                with_openssl(openssl, server, certificate)
                renews(server, certificate)
                refuses(program, server, certificate, other)
                bad_peers(server, certificate)
                talks(program, server, certificate, '5')
                result(server.process.poll() is None, 'P=%d: the server is still there' % procs)
        too_slow(program, certificate)
        bad_servers(program, certificate)
        bad_calls(program, certificate, other)
    return end()


sys.exit(main(*sys.argv[1:]))
