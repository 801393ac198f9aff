# SPDX-License-Identifier: MIT
"""Which peer counts for which item. It stands in the table of benchmarks/README.md, and is read from there."""
import os
import re

README = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'README.md')
HEAD = '| item |'


def read():
    """{item: {peer: 'yes', or the letters of the reasons why it does not count}}; empty cells are left out"""
    table, peers = {}, None
    with open(README, encoding='utf-8') as f:
        for line in f:
            if line.startswith(HEAD):
                peers = [c.strip() for c in line.strip().strip('|').split('|')][1:]
            elif peers and line.startswith('| `'):
                cells = [c.strip() for c in line.strip().strip('|').split('|')]
                for item in re.findall(r'`([^`]+)`', cells[0]):
                    table[item] = {p: c for p, c in zip(peers, cells[1:]) if c}
            elif peers and not line.startswith('|'):
                break
    return table


_table = None


def counts(item, peer):
    global _table
    if _table is None:
        _table = read()
    return _table.get(item, {}).get(peer) == 'yes'
