# SPDX-License-Identifier: MIT
"""types.py INCLUDE-DIR...: which types <gort/typed.h> lets pass, with gcc and clang as they are there.

First, statements with a hole. What fits compiles under strict flags without a warning; what does not is an error without any
flag, with all warnings off, and in a system header, where compilers keep warnings to themselves. Since the statement is the
same but for the hole, it is the type that the compiler refuses; the two stand side by side in one file.

Then every kind of value is sent to channels of every type, and every kind of pointer received to, in one file; the compiler's
own verdict on the plain assignment, with C's constraints held to, decides which lines must compile.
"""
import re
import shutil
import subprocess
import sys

COMPILERS = ['gcc', 'clang']
CXX_COMPILERS = ['g++', 'clang++']
STANDARDS = ['-std=c11', '-std=gnu11']
STRICT = ['-pedantic', '-Wall', '-Wextra', '-Wshadow', '-Wcast-align', '-Wunused', '-Werror']
LENIENT = [([], '-I'), (['-std=c11', '-w'], '-isystem')]

PRELUDE = r'''
#include <gort/typed.h>
#include <errno.h>

struct point { int x, y; };
struct line { struct point a, b; };
struct other { int x, y; };
union either { int i; float f; };
enum colour { RED, GREEN };
struct opaque;
typedef void handler(int signo);
typedef struct { int numbers[4]; } four;

typedef gort_chan_of(int) int_chan;
typedef gort_chan_of(long) long_chan;
typedef gort_chan_of(bool) bool_chan;
typedef gort_chan_of(double) double_chan;
typedef gort_chan_of(enum colour) colour_chan;
typedef gort_chan_of(struct point) point_chan;
typedef gort_chan_of(struct line) line_chan;
typedef gort_chan_of(union either) either_chan;
typedef gort_chan_of(char *) text_chan;
typedef gort_chan_of(const char *) string_chan;
typedef gort_chan_of(int *) intp_chan;
typedef gort_chan_of(void *) any_chan;
typedef gort_chan_of(const void *) any_const_chan;
typedef gort_chan_of(struct opaque *) opaque_chan;
typedef gort_chan_of(handler *) handler_chan;
typedef gort_chan_of(void (*)(int)) callback_chan;
typedef gort_chan_of(four) four_chan;
typedef gort_chan_of(int_chan) int_chan_chan;

extern int_chan ints, *intsp;
extern const int_chan const_ints;
extern long_chan longs;
extern bool_chan bools;
extern double_chan doubles;
extern colour_chan colours;
extern point_chan points;
extern line_chan lines;
extern either_chan eithers;
extern text_chan texts;
extern string_chan strings;
extern intp_chan intps;
extern any_chan anys;
extern any_const_chan any_consts;
extern opaque_chan opaques;
extern handler_chan handlers;
extern callback_chan callbacks;
extern four_chan fours;
extern int_chan_chan chans;
extern gort_chan *untyped;

extern int i, ia[3];
extern unsigned u;
extern long l;
extern short s;
extern bool b;
extern double d;
extern float f;
extern struct point pt, *ptp;
extern struct line ln;
extern struct other ot;
extern union either ei;
extern four fo;
extern const int ci;
extern volatile int vi;
extern char ca[4];
extern unsigned char *ucp;
extern const char *ccp, **ccpp;
extern char *cp, **cpp;
extern struct { unsigned low : 3; } bits;
extern struct opaque *op;
extern const struct opaque *cop;
extern handler h;
int number(int_chan c);
int takes_longs(long_chan c);
int h2(int signo);
void nothing(void);
'''

# a statement, what makes it right, what makes it wrong
CASES = [
    ('gort_send(ints, @);',
     ['42', 'i', 'ci', 'vi', 's', 'b', "'x'", 'RED', 'bits.low', 'i++', 'number(ints)', 'ia[1]', 'k ? i : s', '(i)',
      'u', 'f',
      'gort_recv(longs, &l)', 'GORT_SELECT_TRY(GORT_ON_RECV(longs, &l))'],
     ['"42"', '&i', 'NULL', 'ia', 'pt', 'nothing()', 'gort_send(longs, l)', 'gort_recv(longs, &i)', 'h', 'ints',
      '1, 2', '', 'undeclared', '{ 1, 2 }']),
    ('gort_try_send(longs, @);', ['42', 'l', 'i', 'true'], ['&l', '"x"', 'NULL', 'pt', '']),
    ('gort_send_until(longs, @, gort_deadline(GORT_SECOND));', ['42', 'l', 'i'], ['&l', '"x"', 'pt', '']),
    ('gort_send(bools, @);', ['true', 'i', 'ptp', 'cp', '(void *)cp', 'k ? cp : NULL'], ['pt', 'ints']),
    ('gort_send(doubles, @);', ['1', 'd', 'f', 'i'], ['&d', 'NULL', 'pt']),
    ('gort_send(colours, @);', ['RED', 'i'], ['&i', 'pt', '"RED"']),
    ('gort_send(points, @);', ['pt', '(struct point){ 1, 2 }', '*ptp', 'ln.a', '(struct point){ .y = k }'],
     ['ot', 'ln', '1', '1, 2', '{ 1, 2 }', '&pt', 'NULL', '(struct line){ { 1, 2 }, { 3, 4 } }']),
    ('gort_send_until(points, @, 0);', ['pt', '((struct point){ 1, 2 })'], ['ot', '&pt']),
    # braces left out must not make a line of a point
    ('gort_send(lines, @);', ['ln', '(struct line){ { 1, 2 }, { 3, 4 } }'], ['pt', '1', 'pt, pt']),
    ('gort_send(eithers, @);', ['ei', '(union either){ 1 }'], ['1', '1.0f', 'pt']),
    ('gort_send(fours, @);', ['fo', '(four){ { 1, 2, 3, 4 } }'], ['ia', '1']),
    ('gort_send(texts, @);', ['cp', 'ca', 'NULL', '0', '(void *)ca', '"literals are of char *"'],
     ['ccp', 'ucp', '&cp', '1', 'i', 'RED + i', '(const char *)cp', "'x'", 'd', '(const void *)0', '&ca']),
    ('gort_send(strings, @);', ['cp', 'ccp', 'ca', 'NULL', '0', '"text"', '(void *)ca', '"a" "b"', 'k ? "a" : "b"',
      '(const void *)ccp'],
     ['ucp', '&ccp', '1', 'i', "'x'", '(const volatile void *)ccp', '(volatile char *)cp', 'cpp', 'GREEN']),
    ('gort_send(intps, @);', ['&i', 'ia', 'ia + 1', 'NULL', '0'], ['&ci', '&vi', '&l', '&u', 'i', '&ia', 'cp', '1', '0.0']),
    ('gort_send(anys, @);', ['&i', 'cp', 'NULL', '0', '&pt', 'op', 'cpp', 'ccpp'],
     ['&ci', 'ccp', '&vi', 'i', '1', 'pt', 'cop']),
    ('gort_send(any_consts, @);', ['&i', '&ci', 'ccp', 'NULL', 'op', 'cop'], ['&vi', 'i', '1', 'pt']),
    ('gort_send(opaques, @);', ['op', 'NULL', '(void *)ca'], ['cop', 'ptp', 'i', 'cp']),
    ('gort_send(handlers, @);', ['h', '&h', 'NULL', '0'], ['h2', '&h2', 'h(1)', 'i', '1', 'nothing']),
    ('gort_send(callbacks, @);', ['h', '&h', 'NULL', '*h'], ['h2', 'i']),
    ('gort_send(chans, @);', ['ints', 'const_ints', '*intsp', 'gort_typed(int_chan, untyped)'],
     ['longs', 'untyped', 'intsp', 'NULL', '1']),
    ('gort_send(@, 1);', ['ints', 'longs', '*intsp', 'gort_ref(ints)', 'gort_typed(int_chan, untyped)',
      '(int_chan){ 0 }', 'intsp[k]', 'const_ints', 'k ? ints : *intsp'],
     ['untyped', 'intsp', 'points', 'strings', 'pt', 'NULL', 'i']),

    ('gort_recv(ints, @);', ['&i', 'ia', 'ia + k', 'NULL', '0', '&pt.x', '(void *)&l', '&ei.i', '&k'],
     ['i', '&l', '&u', '&ci', '&vi', '&pt', 'ca', 'cp', '&ia', '1', '&bits', '&ints', '&f', '&s']),
    ('gort_try_recv(const_ints, @);', ['&i', 'NULL'], ['&l', 'i', '&ci', '&pt']),
    ('gort_recv_until(ints, @, gort_deadline(0));', ['&i', 'NULL'], ['&l', 'i', '&ci', '&pt']),
    ('k += gort_recv(strings, @) == 0;', ['&ccp', 'NULL', 'ccpp'], ['&cp', 'ccp', '&ucp', 'ca', 'cpp', '&i']),
    ('gort_recv(texts, @);', ['&cp', 'cpp'], ['&ccp', 'cp', 'ccpp', '&ucp']),
    ('gort_recv(points, @);', ['&pt', 'ptp', '&ln.a', 'NULL'], ['&ot', '&ln', '&pt.x', 'pt', '&ptp']),
    ('gort_recv(opaques, @);', ['&op'], ['&cop', 'op', '&ptp']),
    ('gort_recv(chans, @);', ['&ints', 'intsp'], ['&longs', '&untyped', '&const_ints']),
    ('gort_recv(@, &i);', ['ints', '*intsp', 'gort_typed(int_chan, untyped)', 'const_ints'],
     ['longs', 'untyped', 'intsp', 'points', 'NULL']),
    ('gort_range(@, v) { i += v; }', ['ints', 'longs', '*intsp', 'gort_typed(int_chan, untyped)', 'const_ints'],
     ['points', 'untyped', 'intsp', 'i']),
    ('gort_range(strings, v) { @ }', ['ccp = v;', 'if (v == NULL) break;', 'continue;', 'return 1;'],
     ['d += v;', 'v.x = 1;']),

    ('switch (GORT_SELECT(@)) { case 0: break; case 1: continue; default: return 1; }',
     ['GORT_ON_RECV(ints, &i)', 'GORT_ON_RECV(ints, NULL), GORT_ON_SEND(longs, 7)',
      'GORT_ON_SEND(points, (struct point){ 1, 2 })',
      'GORT_ON_RECV_OK(ints, &i, &k)', 'GORT_ON_RECV_OK(ints, NULL, ia), GORT_ON_RECV_OK(strings, &ccp, &k)',
      'GORT_CASE_RECV(untyped, NULL), GORT_ON_RECV(points, &pt)',
      'GORT_ON_SEND(strings, "text"), GORT_CASE_SEND(untyped, &i)',
      'GORT_ON_SEND(ints, k++), GORT_ON_SEND(ints, i)', ''],
     ['GORT_ON_RECV(ints, &l)', 'GORT_ON_RECV(ints, i)', 'GORT_ON_SEND(longs, "7")', 'GORT_ON_SEND(longs, NULL)',
      'GORT_ON_SEND(points, ot)', 'GORT_ON_SEND(lines, pt)', 'GORT_ON_RECV_OK(ints, &i, &l)',
      'GORT_ON_RECV_OK(ints, &i, k)',
      'GORT_ON_RECV_OK(ints, &l, &k)', 'GORT_ON_RECV_OK(ints, &i, &ci)', 'GORT_ON_RECV(untyped, &i)',
      'GORT_ON_SEND(texts, ccp)',
      'GORT_ON_SEND(longs, 1, 2)']),
    ('k = GORT_SELECT_TRY(GORT_ON_RECV(ints, @));', ['&i'], ['&l', 'i', '&ci']),
    ('k = GORT_SELECT_UNTIL(gort_deadline(GORT_SECOND), GORT_ON_SEND(strings, @));', ['ccp', '"x"', 'NULL'],
     ['ucp', 'i', '1']),
    ('gort_case c[] = { GORT_ON_RECV(ints, @) }; gort_select(c, 1);', ['&i'], ['&l', 'i']),

    ('ints = @;', ['gort_make(int_chan, 8)', 'gort_ref(ints)', '(int_chan){ 0 }', 'gort_typed(int_chan, untyped)',
      'const_ints',
                   'gort_typed(int_chan, (void *)cp)', 'gort_make(ints, 0)', 'gort_typed(int_chan, gort_untyped(longs))'],
     ['longs', 'gort_make(long_chan, 8)', 'gort_ref(longs)', 'untyped', 'NULL', '0', 'gort_typed(long_chan, untyped)',
      'gort_typed(int_chan, cp)', 'gort_typed(int_chan, longs)', 'gort_make(long, 8)', 'gort_make(8, 8)']),
    ('k = takes_longs(@);', ['longs', 'gort_make(long_chan, 1)'], ['ints', 'untyped', 'NULL', '&longs', '0']),
    ('gort_@(ints);', ['close', 'drop', 'ref', 'sender_done'], ['send', 'recv', 'range']),
    ('gort_close(@);', ['ints', 'points', '*intsp'], ['untyped', 'NULL', 'intsp', 'i']),
    ('gort_drop(@);', ['ints', 'points'], ['untyped', 'NULL', 'intsp', 'i']),
    ('k = (int)(gort_len(@) + gort_cap(ints));', ['ints', 'points'], ['untyped', 'i']),
    ('gort_add_sender(@, 1);', ['ints'], ['untyped', 'i']),
    ('untyped = @;', ['gort_untyped(ints)', 'gort_untyped(*intsp)'], ['ints', 'gort_untyped(untyped)']),
    ('typedef gort_chan_of(@) t; t c = gort_make(t, 1); gort_drop(c);',
     ['int', 'const int *', 'struct line', 'void (*)(int)', 'struct { int z; }', 'int *const *', 'bool', 'ints', 'four'],
     ['const int', 'int *const', 'volatile int', 'struct opaque', 'const struct point']),
]

# --- everything to everything ---------------------------------------------------------------------------------------

TYPES = ['int', 'unsigned', 'long', 'char', 'bool', 'double', 'float', 'unsigned char', 'enum colour', 'struct point',
         'struct other', 'union either', 'int *', 'const int *', 'volatile int *', 'const volatile int *',
         'unsigned *', 'long *',
         'char *', 'const char *', 'unsigned char *', 'signed char *', 'void *', 'const void *', 'volatile void *',
         'int **',
         'const int **', 'int *const *', 'struct point *', 'const struct point *', 'struct other *', 'struct opaque *',
         'const struct opaque *', 'enum colour *', 'handler *', 'int (*)(int)', 'int (*)(void)', 'int (*)[4]', 'int (*)[5]',
         'int (*)[]', 'four', 'float _Complex', 'bool *', 'int_chan', 'long_chan', 'gort_chan *']
VALUES = ['0', '1', '-1', '42L', '1.5f', "'x'", 'RED', 'GREEN', 'NULL', '"text"', '(void *)1', '(char *)0', '0L', '(int)0', '1 - 1',
          'h', '&h', 'h2', 'ia', '&ia', 'ca', 'bits.low', 'ci', 'vi', 'nothing()', '(const void *)0']


# Functions and void *: no error but with -pedantic-errors, and of no interest here.
FUNCTIONS = {'handler *', 'int (*)(int)', 'int (*)(void)', 'h', '&h', 'h2'}
VOIDS = {'void *', 'const void *', 'volatile void *', '(void *)1', '(const void *)0'}


def pairs():
    """(what, the plain assignment, the call) for all of them"""
    for n, t in enumerate(TYPES):
        for v, name in [('v%d' % m, u) for m, u in enumerate(TYPES)] + [(v, v) for v in VALUES]:
            if not (t in FUNCTIONS and name in VOIDS or t in VOIDS and name in FUNCTIONS):
                yield '%s to a channel of %s' % (name, t), 'v%d = %s;' % (n, v), 'gort_send(c%d, %s);' % (n, v)
        for m, u in enumerate(TYPES):
            yield '%s * from a channel of %s' % (u, t), 'p%d = &v%d;' % (n, m), 'gort_recv(c%d, &v%d);' % (n, m)
        for v in [v for m, u in enumerate(TYPES) if '*' in u for v in ('v%d' % m,)] + ['NULL', '0', '1', 'ca', 'ia', 'h']:
            yield '%s from a channel of %s' % (v, t), 'p%d = %s;' % (n, v), 'gort_recv(c%d, %s);' % (n, v)


def declarations():
    for n, t in enumerate(TYPES):
        yield 'extern __typeof__(%s) v%d, *p%d; extern gort_chan_of(%s) c%d;' % (t, n, n, t, n)


# --- running the compilers ------------------------------------------------------------------------------------------

ran = 0
failed = 0


def result(ok, name, why=''):
    global ran, failed
    ran += 1
    failed += not ok
    print('%s %d - %s' % ('ok' if ok else 'not ok', ran, name))
    for line in why.splitlines()[:40] if not ok else ():
        print('# ' + line)
    sys.stdout.flush()


def run(compiler, flags, include, dirs, text):
    return subprocess.run([compiler, '-x', 'c', '-fsyntax-only'] + flags + [include + d for d in dirs] + ['-'],
                          input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)


def lines_with_errors(compiler, flags, include, dirs, statements):
    """The numbers of those statements, each in a loop in a function of its own. None: it went wrong elsewhere."""
    function = 'int f%d(void); int f%d(void) { int k = 0; for (k = 0; k < 2; k++) { %s } return k; }'
    before = (PRELUDE + '\n'.join(declarations())).split('\n')
    text = before + [function % (n, n, s) for n, s in enumerate(statements)]
    limit = ['-ferror-limit=0'] if 'clang' in compiler else ['-fmax-errors=0', '-ftrack-macro-expansion=0']
    done = run(compiler, flags + limit, include, dirs, '\n'.join(text) + '\n')
    found = {int(n) - len(before) - 1 for n in re.findall(r'^<stdin>:(\d+):\d+: (?:fatal )?error: ', done.stderr, re.MULTILINE)}
    elsewhere = re.findall(r'^(?!<stdin>:).*error: .*', done.stderr, re.MULTILINE)
    if elsewhere or min(found, default=0) < 0 or (done.returncode == 0) != (not found):
        print('# %d, %s' % (done.returncode, elsewhere[:5] or done.stderr[:500]))
        return None
    return found


def statements(compiler, dirs):
    right = [statement.replace('@', hole) for statement, holes, _ in CASES for hole in holes]
    for standard in STANDARDS:
        found = lines_with_errors(compiler, STRICT + [standard], '-I', dirs, right)
        result(found == set(), '%s %s: all %d right statements compile without a warning' % (compiler, standard, len(right)),
               '\n'.join(right[n] for n in found or ()))
    # each wrong one beside a right one, in which nothing must be wrong
    both = []
    for statement, holes, wrong in CASES:
        for n, hole in enumerate(wrong):
            both += [statement.replace('@', hole), statement.replace('@', holes[n % len(holes)])]
    expected = set(range(0, len(both), 2))
    for flags, include in LENIENT:
        found = lines_with_errors(compiler, flags, include, dirs, both)
        result(found == expected, '%s %s: of each of %d pairs of statements the wrong one is an error' %
               (compiler, ' '.join(flags + [include]), len(expected)),
               '\n'.join('%s %s' % (both[n], 'compiles' if n in expected else 'is an error') for n in expected ^ (found or set())))


def everything(compiler, dirs):
    all_pairs = list(pairs())
    plain = lines_with_errors(compiler, ['-std=c11', '-pedantic-errors'], '-I', dirs, [p[1] for p in all_pairs])
    typed = lines_with_errors(compiler, ['-w'], '-I', dirs, [p[2] for p in all_pairs])
    name = '%s: of %d pairs of types' % (compiler, len(all_pairs))
    if plain is None or typed is None:
        result(False, name + ' all could be looked at')
        return
    result(len(all_pairs) // 10 < len(plain) < len(all_pairs) * 19 // 20, '%s C takes %d' % (name, len(all_pairs) - len(plain)))
    odd = ['%s: %s %s' % (all_pairs[n][0], all_pairs[n][1], 'is an error in C, and compiles here' if n in plain else
                          'is fine in C, and an error here') for n in sorted(plain ^ typed)]
    result(not odd, name + ' those compile that C assigns', '\n'.join(odd))


def in_cxx(compiler, dirs):
    """The header is chan.h there, and its one macro says why there is no more."""
    text = '#include <gort/typed.h>\n%s\nint f(gort_chan *c) { return gort_chan_recv(c, NULL); }\n'
    flags = ['-x', 'c++', '-std=c++17']
    done = run(compiler, flags, '-I', dirs, text % '')
    result(done.returncode == 0, '%s: in C++ it is chan.h' % compiler, done.stderr)
    done = run(compiler, flags, '-I', dirs, text % 'typedef gort_chan_of(int) int_chan;')
    result(done.returncode != 0 and 'gort__typed_h_is_for_C' in done.stderr, '%s: in C++ it has no types' % compiler, done.stderr)


def main(*dirs):
    compilers = [c for c in COMPILERS if shutil.which(c)]
    for c in COMPILERS:
        if c not in compilers:
            print('# no %s here: not tried with it' % c)
    for c in compilers:
        statements(c, dirs)
        everything(c, dirs)
    for c in CXX_COMPILERS:
        if shutil.which(c):
            in_cxx(c, dirs)
        else:
            print('# no %s here: not tried with it' % c)
    print('1..%d' % ran)
    return 1 if failed or not compilers else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
