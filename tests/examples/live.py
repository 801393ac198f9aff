# SPDX-License-Identifier: MIT
"""
live.py FOLDER-OF-THE-PROGRAMS: the programs of doc/examples that are talked to while they run, at several GOMAXPROCS.

Times are only held to their lower bounds. The output is TAP. Standard library only.
"""
import os
import random
import subprocess
import sys
import tempfile

PROCS = (1, 2, 5)

ran = 0
failed = 0


def result(ok, name, *notes):
    global ran, failed
    ran += 1
    failed += not ok
    print("%s %d - %s" % ("ok" if ok else "not ok", ran, name))
    for note in notes if not ok else ():
        print("# %r" % (note,))
    sys.stdout.flush()


class Program:
    def __init__(self, folder, procs, *args, **popen):
        self.process = subprocess.Popen([os.path.join(folder, args[0])] + list(args[1:]), stdout=subprocess.PIPE,
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


def main(folder):
    for procs in PROCS:
        for test in (fanin,):
            with tempfile.TemporaryDirectory(prefix="examples-") as directory:
                test(folder, procs, directory)
    print("1..%d" % ran)
    return 1 if failed else 0


sys.exit(main(os.path.abspath(sys.argv[1])))
