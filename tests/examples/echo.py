# SPDX-License-Identifier: MIT
"""echo.py PROGRAM CONNS: the echo server of doc/examples with its own client, one of ours, and bad calls"""
import os
import re
import socket
import subprocess
import sys

from tap import end, result, run


def main(program, conns):
    server = subprocess.Popen([program, 'serve', '127.0.0.1:0'], stdout=subprocess.PIPE, universal_newlines=True)
    try:
        address = server.stdout.readline().strip()
        result(re.match(r'127\.0\.0\.1:[1-9]\d*$', address), 'the server says where it is', address)
        host, port = address.split(':')

        lines = 20
        done = run(program, 'talk', address, conns, str(lines), env=dict(os.environ, GOMAXPROCS='2'))
        total = int(conns) * lines
        result(done.returncode == 0 and done.stdout == '%d of %d lines came back\n' % (total, total),
               'all that %s clients of its own send comes back' % conns, done.stdout + done.stderr)

        data = os.urandom(1 << 20)
        with socket.create_connection((host, int(port))) as s:
            got = bytearray()
            s.settimeout(300)
            for i in range(0, len(data), 1 << 14):
                s.sendall(data[i:i + (1 << 14)])
                while len(got) < i + (1 << 14):
                    got += s.recv(1 << 16)
            s.shutdown(socket.SHUT_WR)
            rest = s.recv(1)
        result(bytes(got) == data, 'a mebibyte of another client comes back')
        result(rest == b'', 'and the end after it')

        with socket.create_connection((host, int(port))) as s:
            s.sendall(b'x' * 100000)        # and leaves without reading: the server goes on
        done = run(program, 'talk', address, '2', '2')
        result(done.returncode == 0, 'a client that leaves in the middle does no harm', done.stderr)

        done = run(program, 'serve', address)
        result(done.returncode == 1 and 'in use' in done.stderr, 'an address in use is said to be', done.stderr)
        done = run(program, 'serve', '127.0.0.1:99999')
        result(done.returncode == 1 and 'no such service' in done.stderr, 'a port out of range', done.stderr)
        result(server.poll() is None, 'the server is still there')
    finally:
        server.kill()
        server.wait()
    done = run(program, 'talk', address, '1', '1')
    result(done.returncode == 1 and 'refused' in done.stderr, 'nobody there is said to be', done.stderr)
    result(run(program).returncode == 2, 'a call without arguments is explained')
    return end()


sys.exit(main(*sys.argv[1:]))
