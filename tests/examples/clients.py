# SPDX-License-Identifier: MIT
"""clients.py FOLDER: the port scanner and the name look-up of doc/examples"""
import os
import re
import socket
import sys
import tempfile

from tap import end, result, run


def listeners(n):
    made = []
    for _ in range(n):
        s = socket.socket()
        s.bind(('127.0.0.1', 0))
        s.listen(1)
        made.append(s)
    return made


def scan(program):
    open_ones = listeners(5)
    numbers = sorted(s.getsockname()[1] for s in open_ones)
    first, last = max(1, numbers[0] - 500), min(65535, numbers[0] + 500)

    done = run(program, '127.0.0.1', '%d-%d' % (first, last))
    found = [int(line) for line in done.stdout.split()]
    # others may listen there too
    result(done.returncode == 0 and {n for n in numbers if n <= last} <= set(found) and found == sorted(found),
           'the ports that are open are found', done.stdout + done.stderr)
    sums = re.match(r'127\.0\.0\.1: (\d+) open, (\d+) closed, (\d+) silent, (\d+) not reached$', done.stderr.strip())
    result(sums and int(sums[1]) == len(found) and sum(map(int, sums.groups())) == last - first + 1,
           'each port is counted once', done.stderr)

    done = run(program, 'localhost', str(numbers[1]))
    result(done.returncode == 0 and done.stdout == '%d\n' % numbers[1], 'one port, of a host by name', done.stdout + done.stderr)

    for s in open_ones:
        s.close()
    done = run('sh', '-c', 'ulimit -n 40; exec "$0" 127.0.0.1 %d-%d' % (first, last), program)
    result(done.returncode == 0 and ', 0 silent, 0 not reached' in done.stderr, 'few descriptors make it slower only',
           done.stderr)
    for bad in ('0-10', '5-4', '1-65536', 'x', '1-', '-5', '1-2x', ''):
        result(run(program, '127.0.0.1', bad).returncode == 2, 'ports %r are refused' % bad)
    result(run(program).returncode == 2, 'a call without arguments is explained')
    done = run(program, 'no such host')
    result(done.returncode == 1 and done.stderr.startswith('portscan: no such host: '), 'a host that is not there is said to be',
           done.stderr)


def lookup(program):
    names = ['127.0.0.%d' % (i % 250 + 1) for i in range(1000)] + ['localhost', '::1']
    done = run(program, input='\n'.join(names) + '\n')
    lines = [line.split('\t') for line in done.stdout.splitlines()]
    result(done.returncode == 0 and [line[0] for line in lines] == names, 'all names in order', done.stderr)
    result(all(line[0] in line[1] for line in lines if line[0][0] == '1'), 'a number is its own address')
    local = dict(lines).get('localhost', '')
    result('127.0.0.1' in local or '::1' in local, 'the addresses of a name', local)

    # spaces around, empty lines, no newline at the end
    done = run(program, input='127.0.0.1 \r\n\n\t\n127.0.0.2')
    result(done.stdout == '127.0.0.1\t127.0.0.1\n127.0.0.2\t127.0.0.2\n', 'blanks and empty lines are left out', done.stdout)

    bad = '.'.join(['a' * 70] * 4)
    done = run(program, input='127.0.0.1\n%s\n127.0.0.2\n' % bad)
    lines = done.stdout.splitlines()
    result(done.returncode == 1 and len(lines) == 3 and lines[1].startswith(bad + '\t') and lines[2] == '127.0.0.2\t127.0.0.2',
           'a name that is not found does not stop the others', done.stdout)

    with tempfile.NamedTemporaryFile('w') as f:
        f.write('127.0.0.3\n')
        f.flush()
        done = run(program, f.name)
    result(done.returncode == 0 and done.stdout == '127.0.0.3\t127.0.0.3\n', 'names from a file', done.stdout)
    done = run(program, os.path.join(f.name, 'none'))
    result(done.returncode == 1 and done.stderr.startswith('lookup: '), 'a file that is not there', done.stderr)
    result(run(program, 'a', 'b').returncode == 2, 'a wrong call is explained')
    result(run(program, input='').returncode == 0, 'no names at all')


def main(folder):
    scan(os.path.join(folder, 'portscan'))
    lookup(os.path.join(folder, 'lookup'))
    return end()


sys.exit(main(sys.argv[1]))
