# SPDX-License-Identifier: MIT
"""What the scripts here have in common: results in TAP, and programs run to their end"""
import subprocess
import sys

ran = 0
failed = 0


def result(ok, name, *notes):
    """notes are shown when it is not ok: text as its lines, anything else as Python writes it"""
    global ran, failed
    ran += 1
    failed += not ok
    print('%s %d - %s' % ('ok' if ok else 'not ok', ran, name))
    for note in notes if not ok else ():
        for line in note.splitlines() if isinstance(note, str) else [repr(note)]:
            print('# %.2000s' % line)
    sys.stdout.flush()


def end():
    """The plan; the exit status."""
    print('1..%d' % ran)
    return 1 if failed else 0


def timed(name, attempt, *times):
    """attempt(time) says whether it went well, and notes. Only a slow machine needs more than the first of the times."""
    for time in times:
        ok, *notes = attempt(time)
        if ok:
            break
    result(ok, name, *notes)


def run(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, **more)
