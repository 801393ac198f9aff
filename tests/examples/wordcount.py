# SPDX-License-Identifier: MIT
"""
Holds doc/examples/wordcount to an independent count: makes a tree of awkward files from a seed, counts it here, and
compares the whole output, the messages and the exit status at several GOMAXPROCS.

    wordcount.py PATH-OF-WORDCOUNT [--seed N] [--megabytes N] [--long-word N]

The output is TAP. Standard library only; paths and words are bytes throughout.
"""
import argparse
import collections
import os
import pty
import random
import re
import resource
import shutil
import socket
import stat
import subprocess
import sys
import tempfile

SPACES = b" \t\n\v\f\r"
BLOCK = 128 * 1024      # what wordcount reads at once
TOP = 20
SHOWN = 80
PROCS = (1, 2, 5)


# --- the reference: what wordcount's head says, in Python -------------------------------------------------------------

def escape(text, keep_spaces):
    out = bytearray()
    for c in text:
        if c == 0x5c:
            out += b"\\\\"
        elif 0x21 <= c <= 0x7e or (c == 0x20 and keep_spaces):
            out.append(c)
        else:
            out += b"\\x%02x" % c
    return bytes(out)


class Count:
    def __init__(self):
        self.words = collections.Counter()
        self.files = 0
        self.bytes = 0
        self.errors = []

    def error(self, path, why):
        self.errors.append(b"wordcount: %s: %s" % (escape(path, True), why.encode()))

    def file(self, fd):
        with os.fdopen(fd, "rb") as f:
            data = f.read()
        self.files += 1
        self.bytes += len(data)
        self.words.update(data.split())         # splits at SPACES, see main

    def directory(self, fd, path):
        """By descriptors, since paths may be longer than PATH_MAX."""
        for name in map(os.fsencode, os.listdir(fd)):
            mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
            below = path + (b"" if path.endswith(b"/") else b"/") + name
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                continue
            try:
                sub = os.open(name, os.O_RDONLY, dir_fd=fd)
            except OSError as e:
                self.error(below, os.strerror(e.errno))
                continue
            if stat.S_ISREG(mode):
                self.file(sub)
            else:
                self.directory(sub, below)
        os.close(fd)

    def argument(self, path):
        try:
            mode = os.stat(path).st_mode
            if stat.S_ISREG(mode):
                self.file(os.open(path, os.O_RDONLY))
            elif stat.S_ISDIR(mode):
                self.directory(os.open(path, os.O_RDONLY), path)
            else:
                self.error(path, "not a regular file or directory")
        except OSError as e:
            self.error(path, os.strerror(e.errno))

    def output(self):
        lines = []
        for word, n in sorted(self.words.items(), key=lambda item: (-item[1], item[0]))[:TOP]:
            cut = b"...(%d bytes)" % len(word) if len(word) > SHOWN else b""
            lines.append(b"%12d %s%s" % (n, escape(word[:SHOWN], False), cut))
        if lines:
            lines.append(b"")
        for n, what in ((self.files, b"files"), (sum(self.words.values()), b"words"),
                        (len(self.words), b"distinct words"), (self.bytes, b"bytes")):
            lines.append(b"%12d %s" % (n, what))
        return lines


# --- the corpus -------------------------------------------------------------------------------------------------------

class Corpus:
    def __init__(self, root, seed, megabytes, long_word):
        self.root = root
        self.random = random.Random(seed)
        self.vocabulary = self.make_words()
        self.weights = [1 / (i + 1) for i in range(len(self.vocabulary))]
        self.tree = os.path.join(root, b"tree")
        os.mkdir(self.tree)
        self.nested(self.tree, 4)
        self.wide()
        self.deep()
        self.odd_names()
        self.edges()
        self.special()
        self.huge(megabytes)
        self.long_word(long_word)

    def make_words(self):
        words = {b"the", b"of", b"\\", b"\x00", b"\x00\x00", b"a", b"a\x00", b"\xc3\xa9t\xc3\xa9", b"\x85\xa0", b"\x7f",
                 b"x" * 80, b"x" * 81, b"\x1c\x1d\x1e\x1f"}
        alphabet = bytes(c for c in range(256) if c not in SPACES)
        while len(words) < 3000:
            n = self.random.choice((1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 40))
            letters = alphabet if self.random.random() < 0.1 else b"etaoinshr"
            words.add(bytes(self.random.choices(letters, k=n)))
        words = sorted(words)
        self.random.shuffle(words)
        return words

    def text(self, size):
        """About size bytes."""
        out = []
        while size > 0:
            for word in self.random.choices(self.vocabulary, self.weights, k=max(1, min(size // 8, 4096))):
                gap = bytes(self.random.choices(SPACES, k=self.random.choice((1, 1, 1, 2, 9))))
                out.append(word + gap)
                size -= len(out[-1])
        return b"".join(out)

    def write(self, directory, name, data):
        with open(os.path.join(directory, name), "wb") as f:
            f.write(data)

    def nested(self, directory, levels):
        for i in range(self.random.randint(2, 8)):
            self.write(directory, b"f%d" % i, self.text(self.random.choice((0, 1, 10, 1000, 5000, 20000))))
        for i in range(self.random.randint(1, 4) if levels > 0 else 0):
            below = os.path.join(directory, b"d%d" % i)
            os.mkdir(below)
            self.nested(below, levels - 1)

    def wide(self):
        """More directories than the walkers' queue holds, with some below each."""
        for i in range(200):
            path = os.path.join(self.tree, b"wide", b"%d" % i, b"a", b"b")
            os.makedirs(path)
            self.write(path, b"f", b"wide wide%d" % (i % 7))

    def deep(self):
        """A path longer than PATH_MAX. There is a directory beside each step, so that the queue is full for some."""
        fd = os.open(self.tree, os.O_RDONLY)
        for i in range(60):
            name = (b"deep%d" % i).ljust(100, b"-")
            for below in (name, b"beside"):
                os.mkdir(below, dir_fd=fd)
            down = os.open(name, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = down
        with os.fdopen(os.open(b"bottom", os.O_WRONLY | os.O_CREAT, dir_fd=fd), "wb") as f:
            f.write(b"bottom of a deep tree")
        os.close(fd)

    def odd_names(self):
        directory = os.path.join(self.tree, b"odd \n names")
        os.mkdir(directory)
        for i, name in enumerate((b"-x", b"--", b"--help", b" ", b"a b", b"line\nbreak", b"\xff\xfe", b"back\\slash",
                                  b"...", b".hidden", b"'", b"\"", b"*", b"\x01\x7f", b"~", b"n" * 255)):
            self.write(directory, name, b"odd odd%d" % i)

    def edges(self):
        directory = os.path.join(self.tree, b"edges")
        os.mkdir(directory)
        self.write(directory, b"empty", b"")
        self.write(directory, b"spaces", SPACES * 50000)
        self.write(directory, b"one", b"lonely")
        self.write(directory, b"binary", self.random.randbytes(3 * BLOCK + 17))
        self.write(directory, b"no space", bytes(self.random.choices(b"abc", k=3 * BLOCK)))
        for n in (BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1):
            for tail in (b"", b" ", b"end", b" end", b"\nend\n"):
                self.write(directory, b"%d%s" % (n, tail.hex().encode()), b"y" * n + tail)
                words = self.text(n)[:n - 3]
                self.write(directory, b"w%d%s" % (n, tail.hex().encode()), words + b" z " + tail)
        for i in range(20):             # words of all lengths across the border of two blocks
            self.write(directory, b"across%d" % i, b" " * (BLOCK - i) + b"across the border" + b"\t" * i + b"b" * i)

    def special(self):
        directory = os.path.join(self.tree, b"special")
        os.mkdir(directory)
        os.mkfifo(os.path.join(directory, b"fifo"))
        here = os.open(b".", os.O_RDONLY)
        os.chdir(directory)             # a socket's name must be short
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(b"socket")
        os.fchdir(here)
        os.close(here)
        for name, to in ((b"up", b".."), (b"self", b"self"), (b"dangling", b"nowhere"), (b"file", b"../edges/one")):
            os.symlink(to, os.path.join(directory, name))

    def huge(self, megabytes):
        blocks = [self.text(1 << 18) for _ in range(8)]
        self.write(self.tree, b"huge", b"".join(self.random.choice(blocks) for _ in range(megabytes * 4)))

    def long_word(self, megabytes):
        path = os.path.join(self.tree, b"long word")
        self.write(self.tree, b"long word", b"before ")
        os.truncate(path, megabytes << 20)      # zero bytes, without taking up the disk
        with open(path, "ab") as f:
            f.write(b" after")


# --- tests ------------------------------------------------------------------------------------------------------------

class Tests:
    def __init__(self, wordcount):
        self.wordcount = wordcount
        self.n = 0
        self.failed = 0

    def ok(self, good, what, *notes):
        self.n += 1
        self.failed += not good
        print("%s %d - %s" % ("ok" if good else "not ok", self.n, what))
        for note in notes if not good else ():
            print("# %r" % (note,))
        sys.stdout.flush()

    def run(self, args, procs, **popen):
        env = dict(os.environ, GOMAXPROCS=str(procs))
        popen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **popen}
        done = subprocess.run([self.wordcount] + args, env=env, **popen)
        return done.returncode, (done.stdout or b"").split(b"\n"), (done.stderr or b"").split(b"\n")

    def compare(self, what, args, expected, **popen):
        """Messages may come in any order, all else is as expected."""
        lines, errors = expected.output() + [b""], sorted(expected.errors) + [b""]
        status = 1 if expected.errors else 0
        for procs in PROCS:
            got_status, got, got_errors = self.run(args, procs, **popen)
            got_errors = sorted(got_errors[:-1]) + got_errors[-1:]
            notes = [(a, b) for a, b in zip(got, lines) if a != b][:3]
            notes += sorted(set(got_errors) ^ set(errors))[:6] + [(got_status, status), (len(got), len(lines))]
            self.ok((got_status, got, got_errors) == (status, lines, errors), "%s, P=%d" % (what, procs), *notes)

    def usage(self):
        for args in ([], ["--"], ["--help"]):
            got = self.run(args, 2)
            self.ok(got == (2, [b""], [b"usage: wordcount PATH...", b""]), "usage for %s" % args, got)

    def full_disk(self, tree):
        if not os.path.exists("/dev/full"):
            print("# no /dev/full here: a failing standard output is not tested")
            return
        with open("/dev/full", "wb") as full:
            got = self.run([tree], 2, stdout=full)
        self.ok(got[0] == 1 and got[2] == [b"wordcount: cannot write the result", b""], "result cannot be written", got)

    def few_files(self, tree):
        """Whatever cannot be opened then, it is reported and the rest goes on to the end."""
        for procs in PROCS:
            status, out, errors = self.run([tree], procs,
                                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)))
            odd = [e for e in errors[:-1] if not e.endswith(b": Too many open files")]
            self.ok(status == (len(errors) > 1) and not odd and b"files" in out[-5],
                    "40 open files, P=%d" % procs, status, out[-5:], *odd[:3])

    def terminal(self, args, expected):
        """With a terminal for stderr there may be progress; without it the messages are the same."""
        main, other = pty.openpty()
        child = subprocess.Popen([self.wordcount] + args, env=dict(os.environ, GOMAXPROCS="2"), stdout=subprocess.PIPE,
                                 stderr=other, stdin=subprocess.DEVNULL)
        os.close(other)
        got = b""
        try:
            while chunk := os.read(main, 65536):
                got += chunk
        except OSError:                 # EIO: the other end was closed
            pass
        out = child.communicate()[0]
        os.close(main)
        plain = re.sub(rb"\d+ files, \d+ MB\r\x1b\[K", b"", got)
        self.ok(sorted(plain.split(b"\r\n")) == sorted(expected.errors + [b""]) and
                out.split(b"\n") == expected.output() + [b""] and child.returncode == 1,
                "progress on a terminal (%d lines)" % got.count(b"\x1b[K"), plain[:500])

    def forbidden(self, root):
        """Files that may not be read; root may read everything, so that it becomes somebody else for this."""
        directory = os.path.join(root, b"forbidden")
        for name, mode in ((b"file", 0o000), (b"unreadable/f", 0o644), (b"unsearchable/f", 0o644), (b"fine/f", 0o644)):
            path = os.path.join(directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(b"secret " + name)
            os.chmod(path, mode)
        expected = Count()
        expected.argument(os.path.join(directory, b"fine"))
        os.chmod(os.path.join(directory, b"unreadable"), 0o311)
        os.chmod(os.path.join(directory, b"unsearchable"), 0o644)
        for name in (b"file", b"unreadable", b"unsearchable/f"):
            expected.error(os.path.join(directory, name), "Permission denied")

        def become_nobody():
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)

        popen = {"preexec_fn": become_nobody} if os.geteuid() == 0 else {}
        try:
            runs = self.run(["--help"], 1, **popen)[0] == 2
        except (OSError, subprocess.SubprocessError):
            runs = False
        if runs:
            self.compare("forbidden files", [directory], expected, **popen)
        else:
            print("# cannot run wordcount as somebody without root's rights: forbidden files are not tested")
        for name in (b"unreadable", b"unsearchable"):
            os.chmod(os.path.join(directory, name), 0o755)


def awkward_arguments(corpus):
    root, tree = corpus.root, corpus.tree
    os.symlink(tree + b"/edges", root + b"/link to a directory")
    os.symlink(tree + b"/edges/one", root + b"/link to a file")
    os.symlink(b"nowhere", root + b"/dangling")
    os.symlink(b"loop", root + b"/loop")
    os.mkdir(root + b"/empty")
    return [tree, tree + b"/d0/", root + b"/link to a directory", root + b"/link to a directory/", root + b"/empty",
            root + b"/link to a file", root + b"/dangling", root + b"/loop", root + b"/missing \n\\\xff", b"",
            b"-missing", root + b"/" + b"n" * 300, tree + b"/huge/", tree + b"/huge/below", tree + b"/special/fifo",
            tree + b"/special/socket", b"/dev/null", tree + b"/odd \n names/line\nbreak", tree + b"//edges//one",
            tree + b"/edges/"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("wordcount", type=os.path.abspath)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--megabytes", type=int, default=24, help="of the huge file")
    parser.add_argument("--long-word", type=int, default=100, help="megabytes")
    options = parser.parse_args()
    tests = Tests(options.wordcount)
    tests.ok(bytes(range(256)).split() == [bytes(range(9)), bytes(range(14, 32)), bytes(range(33, 256))],
             "bytes.split() splits at the six ASCII white-space bytes")
    root = os.fsencode(tempfile.mkdtemp(prefix="wordcount-"))
    os.chmod(root, 0o755)
    try:
        corpus = Corpus(root, options.seed, options.megabytes, options.long_word)
        whole, awkward = Count(), Count()
        whole.argument(corpus.tree)
        tests.compare("a tree", [corpus.tree], whole)
        here = os.open(b".", os.O_RDONLY)
        os.chdir(corpus.tree + b"/odd \n names")
        odd = Count()
        for name in (b"-x", b"--", b"--help"):
            odd.argument(name)
        tests.compare("arguments with dashes", [b"--", b"-x", b"--", b"--help"], odd)
        os.fchdir(here)
        os.close(here)
        arguments = awkward_arguments(corpus)
        for path in arguments:
            awkward.argument(path)
        tests.compare("awkward arguments", arguments, awkward)
        tests.terminal(arguments, awkward)
        empty = Count()
        tests.compare("nothing to count", [root + b"/empty", root + b"/empty"], empty)
        tests.usage()
        tests.full_disk(corpus.tree + b"/edges")
        tests.few_files(corpus.tree)
        tests.forbidden(root)
    finally:
        shutil.rmtree(root)
    print("1..%d" % tests.n)
    return 1 if tests.failed else 0


if __name__ == "__main__":
    sys.exit(main())
