# SPDX-License-Identifier: MIT
"""
Runs the small programs of doc/examples and compares what they print, and their exit status, at several GOMAXPROCS.

    outputs.py FOLDER-OF-THE-PROGRAMS [--leaves N]

The output is TAP. Standard library only.
"""
import argparse
import os
import random
import re
import subprocess
import sys
import tempfile

PROCS = (1, 2, 5)
# ThreadSanitizer would sleep for a second at the end of each of some hundred programs
ENV = dict(os.environ, TSAN_OPTIONS=os.environ.get("TSAN_OPTIONS", "") + " atexit_sleep_ms=0")


def primes(limit):
    return [n for n in range(2, limit + 1) if all(n % i for i in range(2, int(n ** 0.5) + 1))]


def lines(items):
    return "".join("%s\n" % item for item in items)


def by(n):
    """Lines that begin with the same n words in their order, the others in any."""
    return lambda lines: sorted(lines, key=lambda line: line.split(":")[:n])


def life(rows, generations):
    width = max(map(len, rows), default=0)
    board = [[c == "#" for c in row.ljust(width)] for row in rows]
    for _ in range(generations):
        around = [[sum(board[(y + dy) % len(board)][(x + dx) % width] for dy in (-1, 0, 1) for dx in (-1, 0, 1)) - board[y][x]
                   for x in range(width)] for y in range(len(board))]
        board = [[n == 3 or alive and n == 2 for n, alive in zip(*both)] for both in zip(around, board)]
    return lines("".join(".#"[alive] for alive in row) for row in board)


def boards():
    """(rows, generations)"""
    glider = [".#.", "..#", "###"]
    yield [], 10
    yield [""], 3
    yield ["#"], 1
    yield ["##", "##"], 2
    yield glider, 1
    yield glider + ["", "........"], 0
    yield glider + [" " * 8] * 5, 32
    for seed, (height, width, generations) in enumerate(((1, 9, 4), (9, 1, 4), (2, 7, 5), (17, 31, 40), (40, 20, 10))):
        chance = random.Random(seed)
        yield ["".join(chance.choices("#.", k=width)) for _ in range(height)], generations


def pubsub():
    """(input, output, messages)"""
    yield "", "", ""
    yield ("join ann news\njoin bob news\njoin ann weather\nsay news hello there\nsay weather  sun\nleave bob news\n"
           "say news bye\nsay nothing at all\n",
           "ann: news: hello there\nann: news: bye\nbob: news: hello there\nann: weather:  sun\n", "")
    yield ("join a b\njoin a b\nleave a c\nleave x b\nsay\nsay b\n\nshout b x\nsay b last", "a: b: last\n",
           "pubsub: line 2: File exists\npubsub: line 3: No such file or directory\n"
           "pubsub: line 4: No such file or directory\npubsub: line 5: Invalid argument\n"
           "pubsub: line 6: Invalid argument\npubsub: line 8: Invalid argument\n")
    names, many = ["n%d" % i for i in range(100)], range(500)
    yield (lines("join %s t" % n for n in names) + lines("say t %d" % i for i in many),
           lines("%s: t: %d" % (n, i) for n in names for i in many), "")


def texts():
    """To be sorted."""
    yield ""
    yield "\n"
    yield "\n\nb\n\na"
    yield "b\nab\na\n\xff\n\x00\nB\na\x00\na\x00b\n" * 100
    yield lines("%d" % (i * 7919 % 100003) for i in range(100000))
    yield "same\n" * 3000
    chance = random.Random(1)
    yield lines("".join(chance.choices("ab\x7f\x80", k=chance.randrange(12))) for _ in range(20000))


def case(command, out="", err="", status=0, order=list, stdin=""):
    """err is a regular expression, out may be None: anything; lines are compared as order puts them"""
    return command, out, err, status, order, stdin


def cases(leaves, directory):
    missing, text, many = (os.path.join(directory, name) for name in ("missing", "text", "many"))
    with open(text, "w") as f:
        f.write("12345")
    with open(many, "w") as f:
        f.write("x" * 100000)
    usage = r"usage: \S*%s .*\n"
    yield case("hello", "hello, world\n")
    yield case("hello a b c", "hello, a\nhello, b\nhello, c\n", order=sorted)
    for n in (0, 1, 10, 1000):
        squares = [i * i for i in range(1, n + 1)]
        yield case("pipeline %d" % n, lines(squares) + "sum %d\n" % sum(squares))
    yield case("pipeline", lines(i * i for i in range(1, 11)) + "sum 385\n")
    for n in (0, 1, 2, 3, 10000, 10001, 123457):
        yield case("workers %d" % n, "%d primes below %d\n" % (len(primes(n - 1)), n))
    for n in (0, 1, 2, 3, 100):
        yield case("sieve %d" % n, lines(primes(n)))
    yield case("sieve", lines(primes(1000)))
    for n in (0, 1, 9, 11, 1000, leaves):
        yield case("skynet %d" % n, "%d\n" % (n * (n - 1) // 2), r"%d leaves in \d+ ms\n" % n)
    for n in (0, 1, 10000):
        names = ("Aristotle", "Diotima", "Hypatia", "Plato", "Socrates")
        yield case("philosophers %d" % n, lines("%s has eaten %d times" % (name, n) for name in names))
    for rows, generations in boards():
        yield case("life %d" % generations, life(rows, generations), stdin=lines(rows))
    for n in (0, 1, 2, 3, 1000, 20000):
        yield case("queue %d" % n, "%d messages, %d bytes\n" % (n, sum(1 + i * 37 % 1000 for i in range(n))))
    for unsorted in texts():
        yield case("mergesort", lines(sorted(unsorted[:-1].split("\n") if unsorted.endswith("\n") else unsorted.split("\n")))
                   if unsorted else "", stdin=unsorted)
    yield case("mergesort x", "", usage % "mergesort", 2)
    for program in ("pipeline", "workers", "sieve", "skynet", "philosophers", "life", "queue", "graceful"):
        for argument in ("x", "-1", "1x", "99999999999999999999", "1 2"):
            yield case("%s %s" % (program, argument), "", usage % program, 2)
    for commands, out, err in pubsub():
        yield case("pubsub", out, re.escape(err), 1 if err else 0, order=by(2), stdin=commands)
    yield case("pubsub x", "", usage % "pubsub", 2)
    yield case("fanin", "", usage % "fanin", 2)
    yield case("fanin %s - %s" % (text, missing), "%s: 12345\n-: a\n-: \n-: b\n" % text,
               "fanin: %s: No such file or directory\n" % re.escape(missing), 1, order=by(1), stdin="a\n\nb")
    yield case("fanin " + " ".join([text] * 50), ("%s: 12345\n" % text) * 50)
    for arguments in ("", "0", "x", "-1", "1 0", "1 x", "1 2 3", "1000001"):
        yield case("ratelimit " + arguments, "", usage % "ratelimit", 2)
    yield case("ratelimit 1000 5", "a\n\nb\nno newline", stdin="a\n\nb\nno newline")
    yield case("ratelimit 1", stdin="")
    for status in (0, 1, 7, 255):
        yield case("exitcode %d" % status, status=status)
        yield case("exitcode %d goroutine" % status, status=status)
    yield case("exitcode")
    for arguments in ("256", "-1", "x", "1 thread", "1 goroutine 2"):
        yield case("exitcode " + arguments, "", usage % "exitcode", 2)
    found = "%s: 5 bytes\n%s: 100000 bytes\n" % (text, many)
    yield case("errors", "", usage % "errors", 64)
    yield case("errors %s %s" % (text, many), found, order=sorted)
    yield case("errors " + " ".join([text] * 100), ("%s: 5 bytes\n" % text) * 100)
    yield case("errors " + missing, "", "errors: %s: No such file or directory\n" % re.escape(missing), 66)
    yield case("errors " + directory, "", "errors: %s: Is a directory\n" % re.escape(directory), 74)
    # the others may have got as far as a line of output or not
    yield case("errors %s %s" % (text, missing), None, "errors: %s: .*\n" % re.escape(missing), 66)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=os.path.abspath)
    parser.add_argument("--leaves", type=int, default=1000000, help="of the largest skynet")
    options = parser.parse_args()
    n = failed = 0
    with tempfile.TemporaryDirectory(prefix="examples-") as directory:
        for command, out, err, status, order, stdin in cases(options.leaves, directory):
            for procs in PROCS:
                program, *args = command.split()
                done = subprocess.run([os.path.join(options.folder, program)] + args, capture_output=True,
                                      env=dict(ENV, GOMAXPROCS=str(procs)), input=stdin.encode("latin-1"))
                got, said = done.stdout.decode("latin-1"), done.stderr.decode("latin-1")
                good = done.returncode == status and re.fullmatch(err, said) and \
                    (out is None or order(got.split("\n")) == order(out.split("\n")))
                n += 1
                failed += not good
                print("%s %d - %s, P=%d" % ("ok" if good else "not ok", n, command.replace(directory, "..."), procs))
                if not good:
                    print("# %r" % ((done.returncode, got[-2000:], said[-2000:]),))
                sys.stdout.flush()
    print("1..%d" % n)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
