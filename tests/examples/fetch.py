# SPDX-License-Identifier: MIT
"""fetch.py PROGRAM [HTTPD]: the downloader of doc/examples, on the server of doc/examples where there is one, and on a bad one"""
import hashlib
import http.server
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading

from servers import become
from tap import end, result, run, timed

PATIENT = '36000000'    # milliseconds, which nothing here takes unless the machine stands still
ENV = {k: v for k, v in os.environ.items() if not k.lower().endswith('_proxy')}


def fetch(program, urls, *options, procs=2):
    done = run(program, '-t', PATIENT, *options, input=''.join(u + '\n' for u in urls), env=dict(ENV, GOMAXPROCS=str(procs)))
    return done, done.stdout.splitlines()


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.sha256(f.read()).hexdigest()


def on_httpd(program, httpd, procs):
    chance = random.Random(procs)
    with tempfile.TemporaryDirectory(prefix='fetch-') as folder:
        root, to = os.path.join(folder, 'root'), os.path.join(folder, 'to')
        os.mkdir(root)
        os.mkdir(to)
        sizes = [chance.choice((0, 1, 100, 8192, 100000)) for _ in range(100)] + [5 << 20, (3 << 20) + 1]
        for i, size in enumerate(sizes):
            with open(os.path.join(root, str(i)), 'wb') as f:
                f.write(chance.randbytes(size))
        server = subprocess.Popen([httpd, '127.0.0.1:0', root], stdout=subprocess.PIPE, universal_newlines=True,
                                  preexec_fn=become(None, signal.SIGKILL))
        try:
            url = 'http://' + server.stdout.readline().strip()
            order = list(range(len(sizes))) * 3
            chance.shuffle(order)
            done, lines = fetch(program, ['%s/%d' % (url, i) for i in order], '-d', to, procs=procs)
            result(done.returncode == 0 and lines == ['200 %d %s/%d' % (sizes[i], url, i) for i in order],
                   '%d files, P=%d' % (len(order), procs), done.stderr, *(line for line in lines if not line.startswith('200 ')))
            wrong = [i for n, i in enumerate(order) if digest('%s/%d' % (to, n + 1)) != digest('%s/%d' % (root, i))]
            result(not wrong, 'each as it was', wrong)
            done, lines = fetch(program, ['%s/%d' % (url, i) for i in order[:50]] + [url + '/none'], '-n', '1', procs=procs)
            result(done.returncode == 1 and lines[-1].startswith('404 ') and all(line.startswith('200 ') for line in lines[:-1]),
                   'one after the other, and one that is not there', *(line for line in lines if not line.startswith('200 ')))
        finally:
            server.kill()
            server.wait()


class Site(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.url = 'http://127.0.0.1:%d' % self.server_address[1]
        self.lock = threading.Lock()
        self.connections = self.at_once = self.most = 0
        self.over = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, address):
        pass                            # clients here go when they like

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        with self.server.lock:
            self.server.connections += 1
            self.server.at_once += 1
            self.server.most = max(self.server.most, self.server.at_once)

    def finish(self):
        with self.server.lock:
            self.server.at_once -= 1
        super().finish()

    def do_GET(self):
        kind, _, n = self.path[1:].partition('/')
        n = int(n or 0)
        if kind == 'moved':
            self.send_response(302)
            self.send_header('Location', '/moved/%d' % (n - 1) if n > 1 else '/ok/5')
            self.send_header('Content-Length', '0')
            self.end_headers()
            return
        if kind == 'stall':
            self.server.over.wait()
            self.close_connection = True
            return
        self.send_response(500 if kind == 'broken' else 200)
        self.send_header('Content-Length', str(n))
        self.end_headers()
        if kind == 'short':
            self.wfile.write(bytes(n // 2))
            self.close_connection = True
        elif kind == 'half':
            self.wfile.write(bytes(n // 2))
            self.server.over.wait()
            self.close_connection = True
        elif kind == 'drips':
            for _ in range(n):
                self.wfile.write(b'x')
        else:
            self.wfile.write(bytes(n))
            self.close_connection = kind == 'closes'

    def log_message(self, *_):
        pass


def bad_ones(program):
    with Site() as site:
        u = site.url
        done, lines = fetch(program, ['%s/ok/%d' % (u, i) for i in range(300)], '-n', '5')
        result(done.returncode == 0 and lines == ['200 %d %s/ok/%d' % (i, u, i) for i in range(300)], '300 small ones', done.stderr,
               *(line for line in lines if not line.startswith('200 ')))
        # one that curl closes, for another, the server may not know of yet
        result(site.connections <= 10, 'on few connections', site.connections, site.most)
    with Site() as site:
        u = site.url
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            nobody = 'http://127.0.0.1:%d/' % s.getsockname()[1]
            urls = [u + '/moved/3', u + '/moved/11', u + '/broken/3', u + '/short/100', u + '/drips/200', u + '/closes/7',
                    u + '/closes/8', nobody, 'gopher+x://a/', 'http://', '', u + '/ok/1000000'] * 3
            done, lines = fetch(program, urls)
        starts = ['200 5 ', '- Maximum', '500 3 ', '- ', '200 200 ', '200 7 ', '200 8 ', '- Failed to connect', '- Protocol', '- ',
                  '- ', '200 1000000 '] * 3
        right = [line.startswith(start) and line.endswith(url) for line, start, url in zip(lines, starts, urls)]
        result(done.returncode == 1 and len(lines) == len(urls) and all(right), 'good ones and bad ones, mixed', lines[:12])

    def stalling(ms):
        with Site() as site:
            u = site.url
            urls = [u + '/stall', u + '/ok/3', u + '/half/100000', u + '/ok/4'] * 2
            done, lines = fetch(program, urls, '-t', str(ms), '-n', '20')
            starts = ['- ', '200 3 ', '- ', '200 4 '] * 2
            return (done.returncode == 1 and len(lines) == 8 and all(line.startswith(s) for line, s in zip(lines, starts)) and
                    all('timed out' in line for line in lines[::2]), lines)
    timed('those that stall are given up', stalling, 1000, 10000)


def bad_calls(program):
    for arguments in (('x',), ('-n', '0'), ('-n', '1001'), ('-t', 'x'), ('-t', ''), ('-z',)):
        done = run(program, *arguments, input='')
        result(done.returncode == 2 and 'usage: ' in done.stderr, 'a call with %r is explained' % (arguments,), done.stderr)
    done = run(program, input='')
    result(done.returncode == 0 and done.stdout == '', 'nothing to do', done.stderr)
    done = run(program, '-d', '/nowhere', input='http://127.0.0.1/\n')
    result(done.returncode == 1 and done.stdout.startswith('- '), 'a folder that is not there', done.stdout)


def main(program, httpd=None):
    if httpd is None:
        print('# the server of doc/examples was not built: not tried')
    for procs in (1, 2) if httpd is not None else ():
        on_httpd(program, httpd, procs)
    bad_ones(program)
    bad_calls(program)
    return end()


sys.exit(main(*sys.argv[1:]))
