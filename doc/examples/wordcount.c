/* SPDX-License-Identifier: MIT */
/*
 * wordcount PATH... - the most frequent words of files and directory trees
 *
 * A word is a maximal run of bytes that are not ASCII white space (space, \t \n \v \f \r); files are bytes, whatever is
 * in them. The 20 most frequent words are shown, those of the same frequency in the order of their bytes. Bytes other
 * than '!' to '~' are shown as \xNN (two small hexadecimal digits) and a backslash as \\; paths keep their spaces. Of a
 * word of more than 80 bytes the first 80 are shown, then "...(N bytes)". The totals follow.
 *
 * Directories are walked to any depth. In them symbolic links are not followed and special files (FIFOs, sockets,
 * devices) not opened, both silently. On the command line a link is followed, and a special file is an error. There are
 * no options; a first argument of -- is left out.
 *
 * What cannot be opened or read is reported on stderr as "wordcount: PATH: why", and skipped; what was read of it
 * before counts as words and bytes, not as a file. So does a file with a word of a gibibyte or more, from that word
 * on.
 *
 * Exit status: 0, 1 when something was reported, 2 for a usage error.
 *
 * How it works: goroutines joined by channels.
 *
 *                         +-dirs-+                     +--free blocks---+
 *                         v      |                     v                |
 *     arguments --dirs--> walkers --files--> readers --blocks--> counters --counted--> merger --result--> main
 *         |                  |                 |                                                           ^
 *         +------------------+-----------------+----------------------failures-----------------------------+
 *
 * Every channel is bounded: who is too fast waits. So memory depends on the number of distinct words and on the longest
 * one, but neither on the number nor on the size of the files. The counters share one table of words (wordtable.h). A
 * channel is closed by its last sender, which ends its receivers, and so the end travels from left to right.
 */
#include <gort/chan.h>
#include <gort/core.h>
#include <gort/sync.h>

#include "wordtable.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SHOWN = 80,                     /* bytes of a word */
	BLOCK_SIZE = 128 * 1024,        /* read at once; more only for a word that does not fit */
	QUEUE = 16,                     /* files and directories waiting, each with an open descriptor */
	OPEN_FILES = 4096,              /* asked of the system, for deep trees: a walker holds one for each level */
};

#define PROGRESS_EVERY (100 * GORT_MILLISECOND)

/* A file or directory, open, on its way to a reader or walker, who owns both members then. */
struct file {
	char *path;                     /* for messages */
	int fd;
};

struct block {
	unsigned char *bytes;
	size_t size, room;              /* room: besides WORD_SLACK */
};

struct result {
	struct word_top top;
	uint64_t words, distinct;
};

struct pipeline {
	char **args;                    /* ends with NULL */
	gort_chan *dirs;                /* struct file; closed when none is pending */
	gort_chan *files;               /* struct file */
	gort_chan *blocks;              /* struct block *, to be counted */
	gort_chan *free_blocks;         /* struct block *, room for all; never closed */
	gort_chan *counted;             /* uint64_t: words of a counter that has ended */
	gort_chan *failures;            /* char *: lines for stderr, which the receiver frees */
	gort_chan *result;              /* struct result, one */
	gort_waitgroup pending;         /* directories found and not yet walked */
	gort_waitgroup all;             /* goroutines */
	unsigned ncounters;
	struct word_table *table;
	_Atomic uint64_t nfiles, nbytes;        /* relaxed: exact once everybody has ended, before that for show */
};

/* --- errors and memory ------------------------------------------------------------------------------------------ */

/*
 * errno belongs to the thread. A goroutine may be on another one after each channel operation, which the compiler does
 * not know: it may keep errno's address from before. So errno is read in functions of their own, which do not block.
 */
static __attribute__((noinline)) int last_error(void)
{
	return errno;
}

/* For what the program cannot go on without; exit in a goroutine ends the process. */
static _Noreturn void die(const char *what)
{
	fprintf(stderr, "wordcount: %s\n", what);
	exit(EXIT_FAILURE);
}

static void *must(void *memory)
{
	if (memory == NULL)
		die("out of memory");
	return memory;
}

/* A copy in printable bytes; spaces are as they are when keep_spaces. */
static char *escape(const unsigned char *bytes, size_t n, bool keep_spaces)
{
	char *text = must(malloc(4 * n + 1)), *to = text;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = bytes[i];

		if (c == '\\')
			to += sprintf(to, "\\\\");
		else if ((c > ' ' && c <= '~') || (c == ' ' && keep_spaces))
			*to++ = (char)c;
		else
			to += sprintf(to, "\\x%02x", c);
	}
	*to = '\0';
	return text;
}

/* Only main writes to stderr, where a line of progress may stand. */
static void report(struct pipeline *p, const char *path, const char *why)
{
	char *shown = escape((const unsigned char *)path, strlen(path), true);
	size_t size = strlen(shown) + strlen(why) + 32;
	char *line = must(malloc(size));

	snprintf(line, size, "wordcount: %s: %s\n", shown, why);
	free(shown);
	gort_chan_send(p->failures, &line);
}

/* --- walkers ---------------------------------------------------------------------------------------------------- */

/* The path of what a walker looks at, grown and cut as it goes down and up. */
struct path {
	char *text;
	size_t length, room;
};

static void path_append(struct path *path, const char *text)
{
	size_t n = strlen(text);

	if (path->length + n + 1 > path->room) {
		path->room = 2 * (path->length + n + 1);
		path->text = must(realloc(path->text, path->room));
	}
	memcpy(path->text + path->length, text, n + 1);
	path->length += n;
}

/* What is name: S_IFREG, S_IFDIR and so on, or a negative errno. */
static int kind_of(int dir, const char *name, int flags)
{
	struct stat st;

	return fstatat(dir, name, &st, flags) == 0 ? (int)(st.st_mode & S_IFMT) : -last_error();
}

/*
 * Opens a file or directory. The name may stand for something else by now than when it was looked at, thus O_NONBLOCK:
 * a FIFO would wait for a writer. The descriptor, or a negative errno; -EAGAIN when it did change.
 */
static int open_kind(int dir, const char *name, int kind, int flags)
{
	struct stat st;
	int fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags);

	if (fd < 0)
		return -last_error();
	if (fstat(fd, &st) != 0 || (int)(st.st_mode & S_IFMT) != kind) {
		close(fd);
		return -EAGAIN;
	}
	return fd;
}

/* The next name in a directory but . and .., NULL at its end, and *err. */
static __attribute__((noinline)) const struct dirent *next_entry(DIR *dir, int *err)
{
	const struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(dir);
	} while (entry != NULL && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
	*err = entry == NULL ? errno : 0;
	return entry;
}

static void walk(struct pipeline *p, struct path *path, int fd);

/* A name in a directory, of a type as readdir says, or an argument; path ends with it. */
static void visit(struct pipeline *p, struct path *path, int dir, const char *name, unsigned char type, bool argument)
{
	int kind = type == DT_UNKNOWN ? kind_of(dir, name, argument ? 0 : AT_SYMLINK_NOFOLLOW) : DTTOIF(type);
	struct file file;
	int fd;

	if (kind >= 0 && kind != S_IFREG && kind != S_IFDIR) {
		if (argument)
			report(p, path->text, "not a regular file or directory");
		return;
	}
	fd = kind < 0 ? kind : open_kind(dir, name, kind, argument ? 0 : O_NOFOLLOW);
	if (fd < 0) {
		report(p, path->text, gort_strerror(fd));
		return;
	}
	file = (struct file){ must(strdup(path->text)), fd };
	if (kind == S_IFREG) {
		gort_chan_send(p->files, &file);
		return;
	}
	/* some walker's, if there is room in the queue; if not, walkers that wait for room would wait for each other */
	gort_waitgroup_add(&p->pending, 1);
	if (gort_chan_try_send(p->dirs, &file) != 0) {
		free(file.path);
		walk(p, path, fd);
		gort_waitgroup_done(&p->pending);
	}
}

/* A directory and what is below it. Closes the descriptor; path is the directory's, in the end too. */
static void walk(struct pipeline *p, struct path *path, int fd)
{
	const struct dirent *entry;
	size_t length = path->length;
	DIR *dir = must(fdopendir(fd));
	int err;

	while ((entry = next_entry(dir, &err)) != NULL) {
		if (path->text[length - 1] != '/')
			path_append(path, "/");
		path_append(path, entry->d_name);
		visit(p, path, fd, entry->d_name, entry->d_type, false);
		path->text[path->length = length] = '\0';
	}
	if (err != 0)
		report(p, path->text, gort_strerror(err));
	closedir(dir);
}

static void walker(void *arg)
{
	struct pipeline *p = arg;
	struct path path = { 0 };
	struct file dir;

	while (gort_chan_recv(p->dirs, &dir) == 0) {
		path.length = 0;
		path_append(&path, dir.path);
		free(dir.path);
		walk(p, &path, dir.fd);
		gort_waitgroup_done(&p->pending);
	}
	free(path.text);
	gort_chan_sender_done(p->files);
	gort_chan_sender_done(p->failures);
}

/* Sends the paths of the command line on their way, and sees the walkers off. */
static void arguments(void *arg)
{
	struct pipeline *p = arg;
	struct path path = { 0 };

	for (char **name = p->args; *name != NULL; name++) {
		path.length = 0;
		path_append(&path, *name);
		visit(p, &path, AT_FDCWD, *name, DT_UNKNOWN, true);
	}
	free(path.text);
	gort_waitgroup_wait(&p->pending);
	gort_chan_close(p->dirs);
	gort_chan_sender_done(p->files);
	gort_chan_sender_done(p->failures);
}

/* --- readers ---------------------------------------------------------------------------------------------------- */

/* How many bytes were read, 0 at the end, or a negative errno. */
static ptrdiff_t read_some(int fd, void *bytes, size_t size)
{
	ssize_t n;

	do
		n = read(fd, bytes, size);
	while (n < 0 && last_error() == EINTR);
	return n < 0 ? -last_error() : n;
}

static struct block *take_block(struct pipeline *p)
{
	struct block *block = NULL;

	gort_chan_recv(p->free_blocks, &block);         /* never closed: cannot fail */
	block->size = 0;
	return block;
}

/* Makes it hold so many bytes. */
static void grow(struct block *block, size_t room)
{
	if (block->room >= room)
		return;
	while (block->room < room)
		block->room *= 2;
	block->bytes = must(realloc(block->bytes, block->room + WORD_SLACK));
}

static void send_block(struct pipeline *p, struct block *block)
{
	memset(block->bytes + block->size, ' ', WORD_SLACK);
	gort_chan_send(p->blocks, &block);
}

/* A file's blocks, each cut behind a word. */
static void read_file(struct pipeline *p, const struct file *file)
{
	struct block *block = take_block(p);
	size_t unseen = 0;              /* no white space in the bytes before */
	const char *wrong = NULL;
	ptrdiff_t n;

	while ((n = read_some(file->fd, block->bytes + block->size, block->room - block->size)) > 0) {
		size_t cut;

		block->size += (size_t)n;
		atomic_fetch_add_explicit(&p->nbytes, (uint64_t)n, memory_order_relaxed);
		if (block->size < block->room)
			continue;
		for (cut = block->size; cut > unseen && !word_space(block->bytes[cut - 1]); cut--)
			;
		unseen = block->size;
		if (cut > 0 && word_space(block->bytes[cut - 1])) {
			/* what stands behind the last white space goes to the next block */
			struct block *next = take_block(p);

			unseen = block->size - cut;
			grow(next, unseen + 1);
			memcpy(next->bytes, block->bytes + cut, unseen);
			next->size = unseen;
			block->size = cut;
			send_block(p, block);
			block = next;
		} else if (block->room < WORD_MAX) {
			grow(block, block->room + 1);
		} else {
			wrong = "a word is too long";
			block->size = 0;
			break;
		}
	}
	if (n < 0)
		wrong = gort_strerror((int)n);
	if (wrong != NULL)
		report(p, file->path, wrong);
	else
		atomic_fetch_add_explicit(&p->nfiles, 1, memory_order_relaxed);
	send_block(p, block);
}

static void reader(void *arg)
{
	struct pipeline *p = arg;
	struct file file;

	while (gort_chan_recv(p->files, &file) == 0) {
		read_file(p, &file);
		close(file.fd);
		free(file.path);
	}
	gort_chan_sender_done(p->blocks);
	gort_chan_sender_done(p->failures);
}

/* --- counters --------------------------------------------------------------------------------------------------- */

static void counter(void *arg)
{
	struct pipeline *p = arg;
	struct block *block;
	uint64_t words = 0;

	while (gort_chan_recv(p->blocks, &block) == 0) {
		if (!word_table_count(p->table, block->bytes, block->size, &words))
			die("out of memory");
		if (block->room > BLOCK_SIZE) {         /* grown for a long word, which may remain the only one */
			block->room = BLOCK_SIZE;
			block->bytes = must(realloc(block->bytes, block->room + WORD_SLACK));
		}
		gort_chan_send(p->free_blocks, &block);
	}
	gort_chan_send(p->counted, &words);
	gort_chan_sender_done(p->counted);
}

/* --- the merger ------------------------------------------------------------------------------------------------- */

struct merge {
	const struct word_table *table;
	gort_chan *shards;              /* unsigned: what is left to do */
	gort_mutex lock;
	struct result result;           /* under lock */
};

/* Finds the best words of some shards, until there are none left; several do so at the same time. */
static void rank(void *arg)
{
	struct merge *m = arg;
	struct word_top top = { .n = 0 };
	uint64_t distinct = 0;
	unsigned shard;

	while (gort_chan_recv(m->shards, &shard) == 0) {
		word_table_top(m->table, shard, &top);
		distinct += word_table_distinct(m->table, shard);
	}
	gort_mutex_lock(&m->lock);
	for (unsigned i = 0; i < top.n; i++)
		word_top_offer(&m->result.top, top.words[i]);
	m->result.distinct += distinct;
	gort_mutex_unlock(&m->lock);
}

static void merger(void *arg)
{
	struct pipeline *p = arg;
	struct merge m = { .table = p->table, .lock = GORT_MUTEX_INIT };
	gort_waitgroup rankers = GORT_WAITGROUP_INIT;
	uint64_t words;

	while (gort_chan_recv(p->counted, &words) == 0)
		m.result.words += words;
	m.shards = must(gort_chan_new(sizeof(unsigned), WORD_SHARDS));
	for (unsigned shard = 0; shard < WORD_SHARDS; shard++)
		gort_chan_send(m.shards, &shard);
	gort_chan_close(m.shards);
	for (unsigned i = 0; i < p->ncounters; i++) {
		if (gort_waitgroup_go(&rankers, rank, &m) != 0)
			die("out of memory");
	}
	gort_waitgroup_wait(&rankers);
	gort_chan_unref(m.shards);
	gort_chan_send(p->result, &m.result);
}

/* --- main ------------------------------------------------------------------------------------------------------- */

/* A new channel with so many senders, the last of which will close it; 0: it is closed otherwise. */
static gort_chan *channel(size_t elem_size, size_t capacity, unsigned senders)
{
	gort_chan *c = must(gort_chan_new(elem_size, capacity));

	if (senders > 0)
		gort_chan_add_sender(c, (int)senders);
	return c;
}

static void start(struct pipeline *p, unsigned n, void (*fn)(void *arg))
{
	while (n-- > 0) {
		if (gort_waitgroup_go(&p->all, fn, p) != 0)
			die("out of memory");
	}
}

/* As many open files as a deep tree may need, if the system lets us; if not, what cannot be opened is reported. */
static void allow_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < OPEN_FILES) {
		limit.rlim_cur = limit.rlim_max < OPEN_FILES ? limit.rlim_max : OPEN_FILES;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void print_result(struct pipeline *p, const struct result *result)
{
	for (unsigned i = 0; i < result->top.n; i++) {
		const struct word *word = result->top.words[i];
		char *shown = escape(word->bytes, word->length < SHOWN ? word->length : SHOWN, false);

		printf("%12" PRIu64 " %s", word->count, shown);
		if (word->length > SHOWN)
			printf("...(%" PRIu32 " bytes)", word->length);
		printf("\n");
		free(shown);
	}
	if (result->top.n > 0)
		printf("\n");
	printf("%12" PRIu64 " files\n%12" PRIu64 " words\n%12" PRIu64 " distinct words\n%12" PRIu64 " bytes\n",
	       atomic_load(&p->nfiles), result->words, result->distinct, atomic_load(&p->nbytes));
}

/* Prints failures until none can come any more and the result is there, and progress for whoever looks. The status. */
static int watch(struct pipeline *p, struct result *result)
{
	char *failure;
	gort_case cases[] = { GORT_CASE_RECV(p->failures, &failure), GORT_CASE_RECV(p->result, result) };
	gort_time progress = isatty(STDERR_FILENO) ? gort_deadline(PROGRESS_EVERY) : GORT_FOREVER;
	int status = EXIT_SUCCESS;
	bool shown = false;

	while (cases[0].chan != NULL || cases[1].chan != NULL) {
		int chosen = gort_select_until(cases, 2, progress);

		if (shown)
			fprintf(stderr, "\r\033[K");
		shown = chosen == -ETIMEDOUT;
		if (shown) {
			fprintf(stderr, "%" PRIu64 " files, %" PRIu64 " MB",
			        atomic_load_explicit(&p->nfiles, memory_order_relaxed),
			        atomic_load_explicit(&p->nbytes, memory_order_relaxed) / 1000000);
			progress = gort_deadline(PROGRESS_EVERY);
		} else if (chosen == 1 || cases[0].result == -EPIPE) {
			cases[chosen].chan = NULL;      /* a NULL channel is never ready: that case is over */
		} else {
			fputs(failure, stderr);
			free(failure);
			status = EXIT_FAILURE;
		}
	}
	return status;
}

GORT_MAIN(argc, argv)
{
	unsigned procs = (unsigned)gort_maxprocs();
	unsigned nwalkers = procs, nreaders = 2 * procs, nblocks = 3 * nreaders;
	struct pipeline p = { .args = argv + 1, .ncounters = procs };
	struct result result;
	int status;

	if (argc > 1 && strcmp(argv[1], "--") == 0)
		p.args++;
	if (argc == 0 || *p.args == NULL || strcmp(argv[1], "--help") == 0) {
		fprintf(stderr, "usage: wordcount PATH...\n");
		return 2;
	}
	allow_open_files();

	p.dirs = channel(sizeof(struct file), QUEUE, 0);
	p.files = channel(sizeof(struct file), QUEUE, 1 + nwalkers);
	p.blocks = channel(sizeof(struct block *), nblocks, nreaders);
	p.free_blocks = channel(sizeof(struct block *), nblocks, 0);
	p.counted = channel(sizeof(uint64_t), 0, p.ncounters);
	p.failures = channel(sizeof(char *), QUEUE, 1 + nwalkers + nreaders);
	p.result = channel(sizeof(struct result), 0, 0);
	p.table = must(word_table_new());
	/* a reader holds at most one block while it waits for the next: more blocks than readers, and none waits for ever */
	for (unsigned i = 0; i < nblocks; i++) {
		struct block *block = must(malloc(sizeof *block));

		*block = (struct block){ must(malloc(BLOCK_SIZE + WORD_SLACK)), 0, BLOCK_SIZE };
		gort_chan_send(p.free_blocks, &block);
	}
	start(&p, 1, arguments);
	start(&p, nwalkers, walker);
	start(&p, nreaders, reader);
	start(&p, p.ncounters, counter);
	start(&p, 1, merger);
	status = watch(&p, &result);
	gort_waitgroup_wait(&p.all);            /* what they use is freed below */
	print_result(&p, &result);
	if (fflush(stdout) != 0 || ferror(stdout))
		die("cannot write the result");

	word_table_free(p.table);
	for (struct block *block; gort_chan_try_recv(p.free_blocks, &block) == 0; free(block))
		free(block->bytes);
	gort_chan *channels[] = { p.dirs, p.files, p.blocks, p.free_blocks, p.counted, p.failures, p.result };

	for (unsigned i = 0; i < sizeof channels / sizeof channels[0]; i++)
		gort_chan_unref(channels[i]);
	return status;
}
