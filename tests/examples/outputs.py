# SPDX-License-Identifier: MIT
"""
Runs the small programs of doc/examples and compares what they print, and their exit status, at several GOMAXPROCS.

    outputs.py FOLDER-OF-THE-PROGRAMS [--leaves N]

The output is TAP. Standard library only.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

PROCS = (1, 2, 5)


def primes(limit):
    return [n for n in range(2, limit + 1) if all(n % i for i in range(2, int(n ** 0.5) + 1))]


def lines(items):
    return "".join("%s\n" % item for item in items)


def cases(leaves, directory):
    """(command, stdout, stderr as a regular expression, status, whether the lines may come in any order)"""
    missing, text, many = (os.path.join(directory, name) for name in ("missing", "text", "many"))
    with open(text, "w") as f:
        f.write("12345")
    with open(many, "w") as f:
        f.write("x" * 100000)
    usage = r"usage: \S*%s .*\n"
    yield "hello", "hello, world\n", "", 0, False
    yield "hello a b c", "hello, a\nhello, b\nhello, c\n", "", 0, True
    for n in (0, 1, 10, 1000):
        squares = [i * i for i in range(1, n + 1)]
        yield "pipeline %d" % n, lines(squares) + "sum %d\n" % sum(squares), "", 0, False
    yield "pipeline", lines(i * i for i in range(1, 11)) + "sum 385\n", "", 0, False
    for n in (0, 1, 2, 3, 10000, 10001, 123457):
        yield "workers %d" % n, "%d primes below %d\n" % (len(primes(n - 1)), n), "", 0, False
    for n in (0, 1, 2, 3, 100):
        yield "sieve %d" % n, lines(primes(n)), "", 0, False
    yield "sieve", lines(primes(1000)), "", 0, False
    for n in (0, 1, 9, 11, 1000, leaves):
        yield "skynet %d" % n, "%d\n" % (n * (n - 1) // 2), r"%d leaves in \d+ ms\n" % n, 0, False
    for program in ("pipeline", "workers", "sieve", "skynet"):
        for argument in ("x", "-1", "1x", "99999999999999999999", "1 2"):
            yield "%s %s" % (program, argument), "", usage % program, 2, False
    for status in (0, 1, 7, 255):
        yield "exitcode %d" % status, "", "", status, False
        yield "exitcode %d goroutine" % status, "", "", status, False
    yield "exitcode", "", "", 0, False
    for arguments in ("256", "-1", "x", "1 thread", "1 goroutine 2"):
        yield "exitcode " + arguments, "", usage % "exitcode", 2, False
    found = "%s: 5 bytes\n%s: 100000 bytes\n" % (text, many)
    yield "errors", "", usage % "errors", 64, False
    yield "errors %s %s" % (text, many), found, "", 0, True
    yield "errors " + " ".join([text] * 100), ("%s: 5 bytes\n" % text) * 100, "", 0, False
    yield "errors " + missing, "", "errors: %s: No such file or directory\n" % re.escape(missing), 66, False
    yield "errors " + directory, "", "errors: %s: Is a directory\n" % re.escape(directory), 74, False
    # the others may have got as far as a line of output or not
    yield "errors %s %s" % (text, missing), None, "errors: %s: .*\n" % re.escape(missing), 66, False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=os.path.abspath)
    parser.add_argument("--leaves", type=int, default=1000000, help="of the largest skynet")
    options = parser.parse_args()
    n = failed = 0
    with tempfile.TemporaryDirectory(prefix="examples-") as directory:
        for command, out, err, status, any_order in cases(options.leaves, directory):
            for procs in PROCS:
                program, *args = command.split()
                done = subprocess.run([os.path.join(options.folder, program)] + args, capture_output=True, text=True,
                                      env=dict(os.environ, GOMAXPROCS=str(procs)), stdin=subprocess.DEVNULL)
                got = lines(sorted(done.stdout.splitlines())) if any_order else done.stdout
                expected = lines(sorted(out.splitlines())) if any_order else out
                good = done.returncode == status and expected in (None, got) and re.fullmatch(err, done.stderr)
                n += 1
                failed += not good
                print("%s %d - %s, P=%d" % ("ok" if good else "not ok", n, command.replace(directory, "..."), procs))
                if not good:
                    print("# %r" % ((done.returncode, done.stdout[-2000:], done.stderr[-2000:]),))
                sys.stdout.flush()
    print("1..%d" % n)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
