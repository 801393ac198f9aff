# SPDX-License-Identifier: MIT
"""
Two network namespaces with a bad link between them: a TUN device in each, and a process that carries packets from one to the
other, late, and not all of them. Which are lost is by a seed. Nothing has a name outside, and all of it ends with the test.
"""
import ctypes
import fcntl
import heapq
import os
import random
import select
import signal
import struct
import subprocess
import time

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 1, 0x1000
PR_SET_PDEATHSIG = 1
MTU = 9000

libc = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    pass


def must(result, what):
    if result != 0:
        err = ctypes.get_errno()
        raise Unavailable('%s: %s' % (what, os.strerror(err)))


def ip(*words):
    done = subprocess.run(('ip',) + words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    if done.returncode != 0:
        raise Unavailable('ip %s: %s' % (' '.join(words), done.stdout.strip()))


class Side:
    """A namespace, which the caller is in afterwards."""
    def __init__(self, v4, v6):
        must(libc.unshare(CLONE_NEWNET), 'a network namespace')
        self.namespace = os.open('/proc/self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.tun = os.open('/dev/net/tun', os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
            fcntl.ioctl(self.tun, TUNSETIFF, struct.pack('16sH22x', b'link', IFF_TUN | IFF_NO_PI))
        except OSError as why:
            raise Unavailable('/dev/net/tun: %s' % why)
        ip('link', 'set', 'dev', 'lo', 'up')
        ip('link', 'set', 'dev', 'link', 'mtu', str(MTU))
        ip('address', 'add', v4 + '/24', 'dev', 'link')
        ip('link', 'set', 'dev', 'link', 'up')
        try:
            ip('-6', 'address', 'add', v6 + '/64', 'dev', 'link', 'nodad')
            self.v6 = v6
        except Unavailable:
            self.v6 = None
        self.v4 = v4

    def enter(self, files=()):
        """For a child to call: it is in here, and ends with the test. files: what lies over files of the system's there."""
        def change():
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            must(libc.setns(self.namespace, CLONE_NEWNET), 'setns')
            if files:
                must(libc.unshare(CLONE_NEWNS), 'a mount namespace')
                must(libc.mount(b'none', b'/', None, MS_REC | MS_PRIVATE, None), 'mount')
            for at in files:
                if os.path.exists(at):
                    must(libc.mount(files[at].encode(), at.encode(), None, MS_BIND, None), 'mount')
        return change


def carry(tuns, control, report):
    """The process in between. A line of control: delay in seconds, the share of packets that are lost, a seed."""
    late = []                           # (when, number, to, packet)
    delay, loss, chance, n, lost = 0.0, 0.0, random.Random(0), 0, 0
    fds = list(tuns) + [control]
    while True:
        now = time.monotonic()
        while late and late[0][0] <= now:
            _, _, to, packet = heapq.heappop(late)
            try:
                os.write(to, packet)
            except OSError:
                pass                    # as a wire would
        wait = max(0, late[0][0] - time.monotonic()) if late else None
        for fd in select.select(fds, [], [], wait)[0]:
            if fd == control:
                words = os.read(control, 100).split()
                if not words:
                    return
                delay, loss, chance = float(words[0]), float(words[1]), random.Random(int(words[2]))
                os.write(report, b'%d\n' % lost)
                continue
            for _ in range(64):
                try:
                    packet = os.read(fd, 65536)
                except OSError:
                    break
                n += 1
                if loss > 0 and chance.random() < loss:
                    lost += 1
                    continue
                heapq.heappush(late, (time.monotonic() + delay, n, tuns[fd == tuns[0]], packet))


class Link:
    """a and b are the sides. Use it in a with statement."""
    def __init__(self):
        home = os.open('/proc/self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.a = Side('10.77.0.1', '2001:db8:77::1')
            self.b = Side('10.77.0.2', '2001:db8:77::2')
        finally:
            libc.setns(home, CLONE_NEWNET)
            os.close(home)
        control, self.control = os.pipe()
        self.report, report = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            try:
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                os.close(self.control)
                carry((self.a.tun, self.b.tun), control, report)
            finally:
                os._exit(0)
        os.close(control)
        os.close(report)

    def set(self, delay=0.0, loss=0.0, seed=1):
        """How many have been lost so far."""
        os.write(self.control, ('%r %r %d\n' % (delay, loss, seed)).encode())
        return int(os.read(self.report, 100))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.control)
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
