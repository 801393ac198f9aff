# SPDX-License-Identifier: MIT
"""readme.py extract README.md OUT.c      the one C program of the README
readme.py run PROGRAM LINE...          the program must end well and print these lines"""
import re
import subprocess
import sys


def extract(readme, out):
    with open(readme, encoding='utf-8') as f:
        programs = re.findall(r'^```c\n(.*?)^```$', f.read(), re.MULTILINE | re.DOTALL)
    if len(programs) != 1:
        sys.exit('%d C programs in %s, not one' % (len(programs), readme))
    with open(out, 'w', encoding='utf-8') as f:
        f.write(programs[0])


def run(program, *lines):
    done = subprocess.run([program], stdout=subprocess.PIPE, universal_newlines=True)
    if done.returncode != 0 or done.stdout.split('\n') != list(lines) + ['']:
        sys.exit('status %d, printed:\n%s' % (done.returncode, done.stdout))


{'extract': extract, 'run': run}[sys.argv[1]](*sys.argv[2:])
