# SPDX-License-Identifier: MIT
"""
live.py FOLDER-OF-THE-PROGRAMS: the programs of doc/examples that are talked to while they run, at several GOMAXPROCS.

Times are only held to their lower bounds. The output is TAP. Standard library only.
"""
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

from tap import end, result

PROCS = (1, 2, 5)


class Program:
    def __init__(self, folder, procs, *args, **popen):
        # unbuffered: communicate knows nothing of what readline has read ahead
        self.process = subprocess.Popen([os.path.join(folder, args[0])] + list(args[1:]), bufsize=0, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=dict(os.environ, GOMAXPROCS=str(procs)), **popen)

    def line(self):
        """The next line of its output; waits for it."""
        return self.process.stdout.readline().decode()

    def end(self):
        """Whatever else it writes, and its exit status; waits for its end."""
        out, err = self.process.communicate()
        return self.process.returncode, out.decode(), err.decode()


def fanin(folder, procs, directory):
    """Whoever has a line is served at once, whatever the others do."""
    names = [os.path.join(directory, "fifo%d" % i) for i in range(3)]
    for name in names:
        os.mkfifo(name)
    program = Program(folder, procs, "fanin", *names)
    writers = [open(name, "wb", buffering=0) for name in names]
    chance = random.Random(procs)
    notes = []
    for i in range(100):
        k = chance.randrange(3)
        writers[k].write(b"%d\n" % i)
        expected = "%s: %d\n" % (names[k], i)
        got = program.line()
        if got != expected:
            notes.append((got, expected))
            break
    writers[0].close()
    for k in (1, 2, 1):
        writers[k].write(b"after\n")
        notes += [got for got in [program.line()] if got != "%s: after\n" % names[k]]
    writers[2].write(b"no newline")
    writers[2].close()
    notes += [got for got in [program.line()] if got != "%s: no newline\n" % names[2]]
    writers[1].close()
    end = program.end()
    result(not notes and end == (0, "", ""), "fanin, P=%d: lines are printed as they come" % procs, *notes, end)


def ratelimit(folder, procs, directory):
    """All lines in order, and not before there is a token for each."""
    lines = b"".join(b"%d\n" % i for i in range(40))
    for rate, burst, least in ((200, None, 39 / 200), (100, 20, 20 / 100), (1000, 40, 0), (1000, 1000, 0)):
        start = time.monotonic()
        program = Program(folder, procs, "ratelimit", str(rate), *([str(burst)] if burst else []), stdin=subprocess.PIPE)
        out, err = program.process.communicate(lines)
        took = time.monotonic() - start
        result(program.process.returncode == 0 and out == lines and err == b"" and took >= least,
               "ratelimit %s %s, P=%d: not faster than %g s" % (rate, burst, procs, least), took, out, err)


def graceful(folder, procs, directory):
    """What has begun at the interrupt is done in the end, and nothing else."""
    for takes, begun in ((0, 1), (20, 5), (300, 10)):
        program = Program(folder, procs, "graceful", str(takes))
        got = []
        while sum("begun" in line for line in got) < begun and (got[-1:] != [""]):
            got.append(program.line())
        program.process.send_signal(signal.SIGINT)
        status, out, err = program.end()
        got = "".join(got) + out
        jobs = {verb: sorted(map(int, re.findall(r"job (\d+) %s\n" % verb, got))) for verb in ("has begun", "is done")}
        expected = list(range(1, len(jobs["has begun"]) + 1))
        after = got.partition("interrupted\n")[2]
        result(status == 0 and err == "" and len(expected) >= begun and jobs == {"has begun": expected, "is done": expected} and
               "begun" not in after and after.endswith("%d jobs are done\n" % len(expected)),
               "graceful %d, P=%d: SIGINT after %d jobs" % (takes, procs, begun), status, got, err)
    program = Program(folder, procs, "graceful", "1000000")
    program.line()
    program.process.send_signal(signal.SIGINT)
    while program.line() not in ("interrupted\n", ""):
        pass
    while program.process.poll() is None:       # the first one ends it that comes after the signal was given back
        program.process.send_signal(signal.SIGINT)
        time.sleep(0.001)
    status, out, err = program.end()
    result(status == -signal.SIGINT and err == "", "graceful, P=%d: the second SIGINT ends it" % procs, status, out, err)


def search(folder, procs, directory):
    block = 64 * 1024
    tree = os.path.join(directory, "tree")
    needles = {"deep": "d/e/e/p", "across": "across", "end": "end", "hash": "many/77"}
    for path in ("d/e/e", "many", "empty"):
        os.makedirs(os.path.join(tree, path))
    for name, contents in [("d/e/e/p", b"<deep>"), ("across", b"x" * (block - 4) + b"<across>" + b"y" * block),
                           ("end", b"z" * (3 * block) + b"<end>"), ("nothing", b"")] + \
            [("many/%d" % i, b"<many> %d\n" % i * 1000 + (b"<hash>" if i == 77 else b"")) for i in range(200)]:
        with open(os.path.join(tree, name), "wb") as f:
            f.write(contents)
    os.symlink("..", os.path.join(tree, "loop"))
    for text, path in needles.items():
        end = Program(folder, procs, "search", "<%s>" % text, tree).end()
        result(end == (0, "%s/%s\n" % (tree, path), ""), "search, P=%d: %s" % (procs, text), end)
    status, out, err = Program(folder, procs, "search", "-t", "1000000", "<many>", tree).end()
    result(status == 0 and re.fullmatch(re.escape(tree) + r"/many/\d+\n", out) and err == "",
           "search, P=%d: the first of many" % procs, status, out, err)
    end = Program(folder, procs, "search", "<none>", tree, os.path.join(tree, "end")).end()
    result(end == (1, "", ""), "search, P=%d: not there" % procs, end)
    missing = os.path.join(directory, "missing")
    end = Program(folder, procs, "search", "<none>", missing, tree).end()
    result(end == (2, "", "search: %s: No such file or directory\n" % missing), "search, P=%d: a missing file" % procs, end)
    fifo = os.path.join(tree, "fifo")           # nobody writes to it: reading it blocks for ever
    os.mkfifo(fifo)
    start = time.monotonic()
    end = Program(folder, procs, "search", "-t", "50", "<none>", tree).end()
    result(end == (124, "", "search: out of time\n") and time.monotonic() - start >= 0.05,
           "search, P=%d: out of time" % procs, end)
    end = Program(folder, procs, "search", "-t", "1000000", "<deep>", tree).end()
    result(end == (0, "%s/d/e/e/p\n" % tree, ""), "search, P=%d: found although a reader is stuck" % procs, end)
    for arguments in ([], ["x"], ["", tree], ["-t", "x", "x", tree], ["-t", "-1", "x", tree], ["-t", "1", "x"]):
        status, out, err = Program(folder, procs, "search", *arguments).end()
        result(status == 2 and out == "" and re.fullmatch(r"usage: \S*search .*\n", err),
               "search %s, P=%d: usage" % (arguments, procs), status, out, err)


def main(folder):
    for procs in PROCS:
        for test in (fanin, ratelimit, graceful, search):
            if not os.path.exists(os.path.join(folder, test.__name__)):
                print("# %s is not built here: not tested" % test.__name__)
                continue
            with tempfile.TemporaryDirectory(prefix="examples-") as directory:
                test(folder, procs, directory)
    return end()


sys.exit(main(os.path.abspath(sys.argv[1])))
