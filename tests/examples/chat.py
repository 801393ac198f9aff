# SPDX-License-Identifier: MIT
"""chat.py PROGRAM: the chat room of doc/examples with clients that talk, listen, shout, stall and leave"""
import random
import re
import signal
import socket
import subprocess
import sys

from tap import end, result


class Client:
    def __init__(self, address, name):
        self.sock = socket.create_connection(address)
        self.sock.settimeout(300)
        self.lines = self.sock.makefile('rb')
        self.say(name)
        self.joined = self.hears() == '* %s joins\n' % name.strip()

    def say(self, text):
        self.sock.sendall(text.encode() + b'\n')

    def hears(self):
        return self.lines.readline().decode(errors='replace')

    def hears_now(self):
        """those of before may still be leaving, and be heard"""
        while True:
            heard = self.hears()
            if not re.match(r'\* (talker|deaf|c\d+|ann|bob|eve) leaves\n$|talker: y*\n$', heard):
                return heard

    def close(self):
        self.lines.close()
        self.sock.close()


def serve(program):
    server = subprocess.Popen([program, '127.0.0.1:0'], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True)
    host, port = server.stdout.readline().strip().split(':')
    return server, (host, int(port))


def talks(address):
    ann = Client(address, 'ann')
    bob = Client(address, 'bob\r')
    result(ann.joined and bob.joined and ann.hears() == '* bob joins\n', 'who joins is announced, and told')
    eve = Client(address, 'eve')
    result(ann.hears() == '* eve joins\n' and bob.hears() == '* eve joins\n', 'to all that are there')
    ann.say('hello')
    result(bob.hears() == 'ann: hello\n' and eve.hears() == 'ann: hello\n', 'what one says all others hear')
    bob.sock.sendall(b'in ')
    bob.sock.sendall(b'pieces\r\nand two\n')
    result(ann.hears() == 'bob: in pieces\n' and ann.hears() == 'bob: and two\n', 'lines come whole, however they are sent')
    eve.sock.sendall(b'\x1b[2Jbell\x07\n')
    result(ann.hears() == 'eve: ?[2Jbell?\n', 'control characters are not passed on')
    eve.say('x' * 2500)
    heard = [ann.hears() for _ in range(3)]
    result([len(h) for h in heard] == [1006, 1006, 506], 'a long line comes in parts', [len(h) for h in heard])
    eve.sock.shutdown(socket.SHUT_WR)
    result(ann.hears() == '* eve leaves\n', 'who leaves is announced')
    for c in (ann, bob, eve):
        c.close()


def crowd(address, n):
    names = ['c%d' % i for i in range(n)]
    clients = []
    for name in names:
        clients.append(Client(address, name))
    if not all(c.joined for c in clients):
        return result(False, 'a crowd joins')
    right = True
    # a round at a time: who is more than 64 lines behind is put out
    for k in range(3):
        for i, c in enumerate(clients):
            c.say('%d.%d' % (i, k))
        for i, c in enumerate(clients):
            want = {'c%d: %d.%d\n' % (j, j, k) for j in range(n) if j != i}
            while want and right:
                heard = c.hears()
                if not heard.startswith('* '):
                    right = heard in want
                    want.discard(heard)
    result(right, '%d clients hear everything of each other, in order' % n)
    random.shuffle(clients)
    for c in clients:
        c.close()


def stalls(address):
    talker = Client(address, 'talker')
    deaf = Client(address, 'deaf')
    # far more than sockets hold
    text = 'y' * 900
    heard = b''
    for i in range(200000):
        talker.sock.settimeout(300)
        talker.say(text)
        if i % 100 == 99:
            talker.sock.settimeout(0.02)
            try:
                heard += talker.sock.recv(100)
            except socket.timeout:
                pass
            if b'* deaf leaves\n' in heard:
                break
    result(b'* deaf leaves\n' in heard, 'who does not keep up is put out, and holds up nobody')
    deaf.close()
    talker.close()


def main(program):
    server, address = serve(program)
    try:
        talks(address)
        with socket.create_connection(address) as s:
            s.sendall(b'\n')
            s.settimeout(300)
            result(s.recv(1) == b'', 'without a name nobody gets in')
        crowd(address, 20)
        stalls(address)
        result(server.poll() is None, 'the room is still there')

        ann, bob = Client(address, 'ann'), Client(address, 'bob')
        joined = ann.hears_now()
        server.send_signal(signal.SIGTERM)
        heard = [joined, ann.hears_now(), bob.hears_now()]
        result(heard == ['* bob joins\n'] + ['* the room closes\n'] * 2, 'a signal closes the room, which says so', heard)
        rest = [ann.hears_now(), bob.hears_now()]
        result(rest == ['', ''], 'and lets go of everybody', rest)
        ann.close()
        bob.close()
        result(server.wait(timeout=600) == 0, 'its status is 0')
    finally:
        server.kill()
        server.wait()
    done = subprocess.run([program, '127.0.0.1:99999'], stderr=subprocess.PIPE, universal_newlines=True)
    result(done.returncode == 1 and done.stderr.startswith('chat: 127.0.0.1:99999: '), 'a bad address is said to be', done.stderr)
    result(subprocess.run([program], stderr=subprocess.PIPE).returncode == 2, 'a wrong call is explained')
    return end()


sys.exit(main(sys.argv[1]))
