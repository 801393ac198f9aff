/* SPDX-License-Identifier: MIT */
/*
 * host PLUGIN: a program that knows nothing of libgort loads a plugin that uses it, has it run, shut down, and unloads it; over
 * and over, with threads that have called in and end afterwards, and forks in between.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int tests, failed;

static void result(bool ok, const char *what)
{
	failed += !ok;
	printf("%s %d - %s\n", ok ? "ok" : "not ok", ++tests, what);
	fflush(stdout);
}

static long lines_with(const char *path, const char *text)
{
	FILE *f = fopen(path, "re");
	char line[1024];
	long n = 0;

	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		n += strstr(line, text) != NULL;
	if (f != NULL)
		fclose(f);
	return n;
}

static int (*plugin_run)(int rounds);
static void (*plugin_call)(void);

static void *load(const char *path)
{
	void *p = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (p == NULL) {
		printf("Bail out! %s\n", dlerror());
		exit(1);
	}
	*(void **)&plugin_run = dlsym(p, "plugin_run");
	*(void **)&plugin_call = dlsym(p, "plugin_call");
	return p;
}

static bool unload(void *p)
{
	return dlclose(p) == 0 && lines_with("/proc/self/maps", "libgort") == 0;
}

/* A thread that calls in, and ends when all is unloaded. */
struct guest {
	pthread_t id;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int at;
};

static void move_to(struct guest *g, int at)
{
	pthread_mutex_lock(&g->lock);
	g->at = at;
	pthread_cond_broadcast(&g->cond);
	pthread_mutex_unlock(&g->lock);
}

static void await(struct guest *g, int at)
{
	pthread_mutex_lock(&g->lock);
	while (g->at < at)
		pthread_cond_wait(&g->cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static void *guest_main(void *arg)
{
	struct guest *g = arg;

	plugin_call();
	move_to(g, 1);
	await(g, 2);
	return NULL;
}

int main(int argc, char **argv)
{
	const char *scale = getenv("GORT_TEST_VALGRIND");
	int rounds = scale != NULL && *scale == '1' ? 3 : 30, status;
	bool ok = true;
	void *p;

	if (argc != 2)
		return 99;
	for (int i = 0; i < rounds && ok; i++) {
		p = load(argv[1]);
		ok = plugin_run(1 + i % 3) == 10 && unload(p);
	}
	result(ok, "runs, is shut down and unloaded, and nothing of it is left mapped");

	ok = true;
	for (int i = 0; i < rounds && ok; i++) {
		struct guest g = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

		p = load(argv[1]);
		pthread_create(&g.id, NULL, guest_main, &g);
		await(&g, 1);
		ok = plugin_run(1) == 10 && unload(p);
		move_to(&g, 2);
		pthread_join(g.id, NULL);
	}
	result(ok, "a thread that had called in ends when all is unloaded");

	p = load(argv[1]);
	ok = plugin_run(1) == 10 && unload(p);
	fflush(stdout);
	if (fork() == 0) {
		p = load(argv[1]);
		_exit(plugin_run(2) == 10 && unload(p) ? 33 : 1);
	}
	ok = wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 33 && ok;
	result(ok, "a fork afterwards finds no handler of it");

	printf("1..%d\n", tests);
	return failed != 0;
}
