# SPDX-License-Identifier: MIT
"""Servers of other people, which a test starts for itself and which end with it, whatever happens"""
import ctypes
import glob
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile

PR_SET_PDEATHSIG = 1


def skip(why):
    """The whole test cannot run here."""
    print('1..0 # SKIP ' + why)
    sys.exit(0)


def find(name, *folders):
    """The path of a program, in $PATH or else in these folders, the last of them first; None for none."""
    for folder in reversed(folders):
        if os.access(os.path.join(folder, name), os.X_OK):
            return os.path.join(folder, name)
    return shutil.which(name)


def become(user, signo):
    """For a child to call: it is the user's (None: it stays as it is), and gets the signal when the test dies."""
    libc = ctypes.CDLL(None)

    def change():
        if user is not None:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        libc.prctl(PR_SET_PDEATHSIG, signo)
    return change


class Server:
    """A program that is ready when it has written a certain line. Use it in a with statement."""
    def __init__(self, command, ready, user=None, stop=signal.SIGTERM, **more):
        self.stop = stop
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        universal_newlines=True, errors='replace', preexec_fn=become(user, stop), **more)
        said = []
        for line in self.process.stdout:
            said.append(line)
            if ready in line:
                break
        else:
            self.end()
            raise RuntimeError('%s did not start:\n%s' % (command[0], ''.join(said)))

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(self.stop)
        # what it has to say, lest it wait for somebody to read that
        self.process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Postgres(Server):
    """A cluster of its own, on a Unix socket. self.conninfo is how to get there."""
    def __init__(self):
        initdb = find('initdb', *sorted(glob.glob('/usr/lib/postgresql/*/bin'), key=lambda p: float(p.split('/')[4])))
        if initdb is None:
            skip('there is no PostgreSQL')
        user = None
        if os.getuid() == 0:            # which it refuses to be
            try:
                user = pwd.getpwnam('postgres')
            except KeyError:
                user = pwd.getpwnam('nobody')
        # not below $TMPDIR, which others may not be allowed to enter, or be too long for a socket's name
        self.folder = tempfile.mkdtemp(prefix='gort-pg-', dir='/tmp')
        try:
            if user is not None:
                os.chown(self.folder, user.pw_uid, user.pw_gid)
            data = os.path.join(self.folder, 'data')
            done = subprocess.run([initdb, '-D', data, '-U', 'tester', '-A', 'trust', '-N', '--no-locale', '-E', 'UTF8'],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, cwd=self.folder,
                                  preexec_fn=become(user, signal.SIGKILL))
            if done.returncode != 0:
                raise RuntimeError('initdb:\n' + done.stdout)
            settings = {'listen_addresses': '', 'unix_socket_directories': self.folder, 'fsync': 'off', 'max_connections': '20',
                        'shared_buffers': '4MB', 'autovacuum': 'off'}
            command = [os.path.join(os.path.dirname(initdb), 'postgres'), '-D', data]
            for name, value in settings.items():
                command += ['-c', '%s=%s' % (name, value)]
            super().__init__(command, 'ready to accept connections', user, signal.SIGQUIT, cwd=self.folder)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self.conninfo = 'host=%s user=tester dbname=postgres' % self.folder

    def end(self):
        super().end()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Server):
    """On a Unix socket, self.path; it keeps nothing."""
    def __init__(self):
        program = find('redis-server')
        if program is None:
            skip('there is no redis-server')
        self.folder = tempfile.mkdtemp(prefix='gort-redis-', dir='/tmp')
        self.path = os.path.join(self.folder, 'socket')
        try:
            super().__init__([program, '--port', '0', '--unixsocket', self.path, '--save', '', '--appendonly', 'no',
                              '--daemonize', 'no', '--dir', self.folder], 'eady to accept connections at')
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def end(self):
        super().end()
        shutil.rmtree(self.folder, ignore_errors=True)
