# SPDX-License-Identifier: MIT
"""crawl.py PROGRAM HTTPD: the link checker of doc/examples, on the server of doc/examples and on one that does worse things"""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading

from servers import become
from tap import end, result, run, timed

DEAD = 300              # seconds: what takes so long hangs
PATIENT = '3600000'     # milliseconds, which nothing here takes unless the machine stands still


def html(text, head=''):
    return ('HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n%sContent-Length: %d\r\n\r\n' % (head, len(text)) +
            text).encode()


def links(*to):
    return html(''.join('<a href="%s">x</a>\n' % t for t in to))


def status(code, head=''):
    return ('HTTP/1.1 %d X\r\n%sContent-Length: 4\r\n\r\nbody' % (code, head)).encode()


def moved(to):
    return status(301, 'Location: %s\r\n' % to)


class Site:
    """Answers by a table of targets: bytes, or a function of the socket, which returns whether the connection goes on."""
    def __init__(self, pages):
        self.pages = pages
        self.asked = []
        self.connections = 0
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.listener = socket.socket()
        self.listener.bind(('127.0.0.1', 0))
        self.listener.listen(64)
        self.host = '127.0.0.1:%d' % self.listener.getsockname()[1]
        self.url = 'http://' + self.host
        self.over = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        with s, s.makefile('rb') as f:
            try:
                while self.one(s, f):
                    pass
            except OSError:
                pass

    def one(self, s, f):
        line = f.readline().decode('latin-1')
        if line == '':
            return False
        method, target, version = line.split(' ')
        head = [f.readline()]
        while head[-1] not in (b'\r\n', b''):
            head.append(f.readline())
        assert method == 'GET' and ('Host: %s\r\n' % self.host).encode() in head, (line, head)
        with self.lock:
            self.asked.append(target)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        page = self.pages.get(target, status(404))
        try:
            if callable(page):
                return page(s)
            s.sendall(page)
            return True
        finally:
            with self.lock:
                self.at_once -= 1

    def stall(self, first=b''):
        """A page of which only the beginning comes."""
        def page(s):
            s.sendall(first)
            self.over.wait()
            return False
        return page


def crawl(program, url, *options, procs=2):
    done = run(program, '-p', PATIENT, *options, url, env=dict(os.environ, GOMAXPROCS=str(procs)))
    sums = re.search(r'^crawl: (\d+) pages, (\d+) broken links, (\d+) links elsewhere(.*)$', done.stderr, re.MULTILINE)
    return done, sums and tuple(map(int, sums.groups()[:3])) + (sums[4],), done.stdout.splitlines()


# --- whole sites --------------------------------------------------------------------------------------------------------

def on_httpd(program, httpd, procs):
    with tempfile.TemporaryDirectory(prefix='crawl-') as root:
        pages = {'index.html': '<a href="a/">a</a> <a href="index.html#x">self</a> <img src="picture.png">',
                 'a/index.html': '<a href=..>up</a> <a href="b.html">b</a> <a href="/a/b.html#there">again</a>',
                 'a/b.html': "<a href='./c.html?x=1&amp;y=2'>c</a> <a href=./>a</a>",
                 'a/c.html': '<a href="../none.html">no</a> <a href="//other.example/">far</a> <a href="mailto:x@y">m</a>',
                 'picture.png': 'x' * 200000}
        for name, text in pages.items():
            os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
            with open(os.path.join(root, name), 'w') as f:
                f.write(text)
        os.mkdir(os.path.join(root, 'b'))
        for i in range(200):            # a web of pages, each of which refers to all its neighbours
            with open(os.path.join(root, 'b/%d.html' % i), 'w') as f:
                f.write(''.join('<p><a href="%d.html">x</a>' % ((i + k) % 200) for k in range(1, 20)))
        with open(os.path.join(root, 'index.html'), 'a') as f:
            f.write('<a href=b/0.html>web</a>')
        server = subprocess.Popen([httpd, '127.0.0.1:0', root], stdout=subprocess.PIPE, universal_newlines=True,
                                  preexec_fn=become(None, signal.SIGKILL))
        try:
            url = 'http://' + server.stdout.readline().strip()
            done, sums, lines = crawl(program, url, procs=procs)
            # "/", "/index.html", "/a/", b, c, none, picture, and the web
            result(done.returncode == 1 and sums == (207, 1, 2, ''), 'a site of the server here, P=%d' % procs, done.stderr)
            result(lines == ['%s/a/c.html?x=1&y=2: %s/none.html: 404 Not Found' % (url, url)], 'one link of it is broken', lines)
            done, sums, lines = crawl(program, url + '/b/7.html', '-n', '1', procs=procs)
            result(done.returncode == 0 and sums == (200, 0, 0, '') and not lines, 'none of a part of it is', done.stderr, lines)
        finally:
            server.kill()
            server.wait()


# RFC 3986, 5.4: what these are, on a page at /b/c/d;p?q, where the host is that of the page
RESOLVED = [('g', '/b/c/g'), ('./g', '/b/c/g'), ('g/', '/b/c/g/'), ('/g', '/g'), ('?y', '/b/c/d;p?y'), ('g?y', '/b/c/g?y'),
            ('#s', '/b/c/d;p?q'), ('g#s', '/b/c/g'), ('g?y#s', '/b/c/g?y'), (';x', '/b/c/;x'), ('g;x', '/b/c/g;x'),
            ('g;x?y#s', '/b/c/g;x?y'), ('', '/b/c/d;p?q'), ('.', '/b/c/'), ('./', '/b/c/'), ('..', '/b/'), ('../', '/b/'),
            ('../g', '/b/g'), ('../..', '/'), ('../../', '/'), ('../../g', '/g'),
            ('../../../g', '/g'), ('../../../../g', '/g'), ('/./g', '/g'), ('/../g', '/g'), ('g.', '/b/c/g.'), ('.g', '/b/c/.g'),
            ('g..', '/b/c/g..'), ('..g', '/b/c/..g'), ('./../g', '/b/g'), ('./g/.', '/b/c/g/'), ('g/./h', '/b/c/g/h'),
            ('g/../h', '/b/c/h'), ('g;x=1/./y', '/b/c/g;x=1/y'), ('g;x=1/../y', '/b/c/y'), ('g?y/./x', '/b/c/g?y/./x'),
            ('g?y/../x', '/b/c/g?y/../x'), ('g#s/./x', '/b/c/g'), ('g#s/../x', '/b/c/g'),
            # and more: empty segments, blanks, what has to be escaped, what has been
            ('/a//b', '/a//b'), ('/a//../b', '/a/b'), (' /blank ', '/blank'), ('/two words', '/two%20words'), ('/li\nne', '/line'),
            ('/&eacute;', '/%C3%A9'), ('/%e9%2F', '/%e9%2F'), ('/a&amp;b', '/a&b'), ('/q?a b', '/q?a%20b'), ('?', '/b/c/d;p?'),
            ('/back\\slash', '/back%5Cslash'), ('/c:d', '/c:d'), ('./e:f', '/b/c/e:f')]


def resolves(program):
    refs = ''.join('<a href="%s">x</a>' % r for r, _ in RESOLVED)
    with Site({'/b/c/d;p?q': html(refs)}) as site:
        refs += ''.join('<a href="%s">x</a>' % r for r in (
            'HTTP://%s/whole' % site.host, '//%s/from/host' % site.host, '//user:word@%s/user' % site.host, '//%s' % site.host,
            '//%s?no-path' % site.host, 'mailto:a@b', 'javascript:x()', 'https://%s/' % site.host, 'data:text/plain,x',
            '//localhost:1/', '//x%s/' % site.host))
        site.pages['/b/c/d;p?q'] = html(refs)
        done, sums, _ = crawl(program, site.url + '/b/c/d;p?q')
        expected = {t for _, t in RESOLVED} | {'/whole', '/from/host', '/user', '/', '/?no-path'}
        asked = set(site.asked)
        result(asked == expected, 'references are resolved', sorted(asked - expected), sorted(expected - asked))
        result(len(site.asked) == len(asked), 'no page is asked for twice')
        result(sums and sums[2] == 6, 'others are left alone', done.stderr)
    bad = ('http://', 'http:///x', 'http:x', '//a b/',
           '//127.0.0.1:99999/', '//127.0.0.1:0/', '//[::1/', '//::1/', '//127.0.0.1:x/', '//a]/', '/' + 'x' * 3000)
    with Site({'/': links(*bad)}) as site:
        done, _, lines = crawl(program, site.url)
        result(done.returncode == 1 and len(lines) == len(bad) and site.asked == ['/'], 'and those that are none are broken',
               lines)
    with Site({'/': html('<base href="/deep/er/"><a href="x">'), '/deep/er/x': html('<a href=y>')}) as site:
        crawl(program, site.url)
        result(site.asked == ['/', '/deep/er/x', '/deep/er/y'], 'a page may say what its base is', site.asked)
    text = ('<!-- <a href="comment"> --><script>"<a href=script>"</script><a name=x>no</a><a href>none</a><A HREF=upper>'
            '<img src="image"><iframe src=frame></iframe><link rel=x href=style><div title="<a href=title>">')
    with Site({'/': html(text)}) as site:
        crawl(program, site.url)
        result(sorted(site.asked) == ['/', '/frame', '/image', '/style', '/upper'], 'only what refers to something does',
               site.asked)


def redirections(program):
    pages = {'/': links('/0', '/1', '/loop', '/broken', '/far', '/self', '/nowhere'), '/end': links('/0'),
             '/loop': moved('/pool'), '/pool': moved('loop'), '/broken': moved('none#there'),
             '/far': moved('http://other.example/'), '/self': moved('/self'), '/nowhere': status(302)}
    for i in range(11):                 # 0 is too far from the end, 1 is not
        pages['/%d' % i] = moved('%d' % (i + 1) if i < 10 else 'end')
    with Site(pages) as site:
        done, sums, lines = crawl(program, site.url)
        u = site.url
        expected = ['%s/: %s/%s' % (u, u, x) for x in (
            '0: more than 10 redirections', 'broken: 404 Not Found', 'loop: more than 10 redirections',
            'self: more than 10 redirections')]
        expected += ['%s/broken: %s/none: 404 Not Found' % (u, u), '%s/end: %s/0: more than 10 redirections' % (u, u),
                     '%s/loop: %s/pool: more than 10 redirections' % (u, u), '%s/pool: %s/loop: more than 10 redirections' % (u, u),
                     '%s/self: %s/self: more than 10 redirections' % (u, u)]
        result(lines == sorted(expected), 'redirections are followed within a bound', lines)
        result(sums and sums[2] == 1 and len(site.asked) == len(set(site.asked)) == 20, 'and each is asked for once', sums,
               site.asked)


# --- bad servers --------------------------------------------------------------------------------------------------------

def connections(program):
    names = ['/%d' % i for i in range(300)]
    pages = {'/': links(*names), **{n: links(*names[:5]) for n in names}}
    with Site(dict(pages)) as site:
        done, sums, _ = crawl(program, site.url, '-n', '3')
        result(done.returncode == 0 and sums == (301, 0, 0, ''), 'many pages', done.stderr)
        result(site.connections <= 3 and site.most_at_once <= 3, 'on few connections', site.connections, site.most_at_once)
    gate = threading.Barrier(5)

    def together(s):
        gate.wait(DEAD)
        s.sendall(links())
        return True
    with Site({'/': links(*names[:20]), **{n: together for n in names[:20]}}) as site:
        done, sums, _ = crawl(program, site.url, '-n', '5')
        result(done.returncode == 0 and site.most_at_once == 5, 'as many at a time as there may be', done.stderr, site.most_at_once)

    def closes(page):                   # without having said so
        def answer(s):
            s.sendall(page)
            return False
        return answer
    with Site({k: closes(v) for k, v in pages.items()}) as site:
        done, sums, lines = crawl(program, site.url)
        result(done.returncode == 0 and sums == (301, 0, 0, ''), 'a server that closes kept connections', done.stderr, lines[:5])
    ends = {k: closes(v.replace(b'Content-Length', b'Connection: close\r\nX')) for k, v in pages.items()}
    with Site(ends) as site:
        done, sums, lines = crawl(program, site.url)
        result(done.returncode == 0 and sums == (301, 0, 0, ''), 'a server whose pages end with the connection', done.stderr,
               lines[:5])
    chunks = b'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n' + b''.join(
        b'1\r\n%c\r\n' % c for c in b'<a href="split">') + b'0\r\nLocation: /trailer\r\n\r\n'
    with Site({'/': b'HTTP/1.1 100 Continue\r\nLocation: /no\r\n\r\n' + chunks, '/split': b'HTTP/1.1 204 Fine\r\n\r\n'}) as site:
        done, sums, lines = crawl(program, site.url)
        result(done.returncode == 0 and site.asked == ['/', '/split'], 'pieces of a byte', done.stderr, lines)


def breaks(program):
    def endless(s):
        s.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<a href="/seen">x</a>')
        while True:
            s.sendall(b'<p>and so on</p>\n' * 4096)

    def vast(s):                        # nobody wants to read it
        s.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: video/x\r\n\r\n')
        while True:
            s.sendall(bytes(65536))

    def silent(s):
        return False

    def short(s):
        s.sendall(html('<a href="/in-part">').replace(b'Length: ', b'Length: 9'))
        return False
    pages = {'/endless': (endless, 'longer than 4 MiB'), '/vast': (vast, None), '/silent': (silent, 'no whole answer of HTTP'),
             '/short': (short, 'no whole answer of HTTP'), '/noise': (bytes(range(256)) * 50, 'no whole answer of HTTP'),
             '/head': (b'HTTP/1.1 200 OK\r\nx: ' + b'x' * 100000 + b'\r\n\r\n', 'no whole answer of HTTP'),
             '/headers': (b'HTTP/1.1 200 OK\r\n' + b'x: y\r\n' * 101 + b'\r\n', 'no whole answer of HTTP'),
             '/500': (status(500), '500 Internal Server Error'), '/410': (status(410), '410 Gone'),
             '/304': (b'HTTP/1.1 304 Same\r\n\r\n', None), '/empty': (html(''), None),
             '/mess': (html('<<a href="/from-mess"<p>\x00<a b c=\'<table><tr></p></a>&#xffffffff;&lt<'), None),
             '/deep': (html('<div>' * 30000), None)}
    with Site({'/': links(*pages), '/seen': html(''), '/in-part': html(''), '/from-mess': html(''),
               **{k: v for k, (v, _) in pages.items()}}) as site:
        done, _, lines = crawl(program, site.url)
        expected = ['%s/: %s%s: %s' % (site.url, site.url, k, why) for k, (_, why) in pages.items() if why is not None]
        result(done.returncode == 1 and lines == sorted(expected), 'pages that are broken, and some that are not', lines,
               done.stderr)
        result('/seen' in site.asked and '/in-part' in site.asked, 'what has come of them counts', site.asked)


def slow(program):
    def stalling(ms):
        site = Site({})
        with site:
            stalls = {'/silent': b'', '/head': b'HTTP/1.1 200 OK\r\nContent-Ty',
                      '/body': html('<a href="/seen">x</a>' + 'x' * 4000)[:-10]}
            site.pages.update({'/': links(*stalls), '/seen': html(''), **{k: site.stall(v) for k, v in stalls.items()}})
            done, _, lines = crawl(program, site.url, '-p', str(ms))
            expected = ['%s/: %s%s: Connection timed out' % (site.url, site.url, k) for k in sorted(stalls)]
            return done.returncode == 1 and lines == expected and '/seen' in site.asked, lines, done.stderr
    timed('a page that does not come is broken', stalling, 1000, 10000)

    def limited(ms):
        site = Site({})
        with site:
            site.pages.update({'/': links('/none', '/stall'), '/stall': site.stall()})
            done, sums, lines = crawl(program, site.url, '-t', str(ms))
            return done.returncode == 1 and len(lines) == 1 and sums == (2, 1, 0, '; out of time'), done.stderr, lines
    timed('out of time', limited, 500, 10000)
    site = Site({})
    with site:
        site.pages['/'] = site.stall()
        done, sums, lines = crawl(program, site.url, '-t', '1')
        result(done.returncode == 124 and not lines and sums == (0, 0, 0, '; out of time'), 'out of time at once', done.stderr)

    site = Site({})
    with site:
        reached = threading.Event()

        def page(s):
            reached.set()
            site.over.wait()
        site.pages['/'] = page
        process = subprocess.Popen([program, '-p', PATIENT, site.url], stderr=subprocess.PIPE, universal_newlines=True)
        try:
            reached.wait(DEAD)
            process.send_signal(signal.SIGINT)
            err = process.communicate(timeout=DEAD)[1]
            result(process.returncode == 124 and err == 'crawl: 0 pages, 0 broken links, 0 links elsewhere; interrupted\n',
                   'SIGINT ends it, and it says what it has', process.returncode, err)
        finally:
            process.kill()
            process.wait()


def bad_calls(program):
    for arguments in ((), ('-n', '0', 'x'), ('-n', '257', 'x'), ('-p', 'x', 'x'), ('-t', '', 'x'), ('x', 'x'), ('-z', 'x')):
        done = run(program, *arguments)
        result(done.returncode == 2 and 'usage: ' in done.stderr, 'a call with %r is explained' % (arguments,), done.stderr)
    for url in ('https://127.0.0.1/', 'ftp://127.0.0.1/', '127.0.0.1', '/x', 'http://', '', 'http://127.0.0.1:x/'):
        done = run(program, url)
        result(done.returncode == 2 and done.stderr.startswith('crawl: %s: ' % url), 'no URL to begin with: %r' % url, done.stderr)
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        url = 'http://127.0.0.1:%d/' % s.getsockname()[1]
        done, _, lines = crawl(program, url)
        result(done.returncode == 1 and lines == ['(the start): %s: Connection refused' % url], 'a server that is not there', lines)


def main(program, httpd):
    for procs in (1, 2):
        on_httpd(program, httpd, procs)
    resolves(program)
    redirections(program)
    connections(program)
    breaks(program)
    slow(program)
    bad_calls(program)
    return end()


sys.exit(main(*sys.argv[1:]))
