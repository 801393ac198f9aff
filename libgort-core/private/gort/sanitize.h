/* SPDX-License-Identifier: MIT */
/*
 * What ThreadSanitizer, AddressSanitizer and valgrind have to be told of stacks and switches. The sanitizers are built in,
 * so nothing remains of them in other builds. Their own interface headers declare these functions; they are repeated here
 * because clang's and gcc's packages put them in different places.
 *
 * valgrind takes any program, so it is asked for at run time, where core was built with its header at hand
 * (GORT__HAVE_VALGRIND, from libgort-core/meson.build). It finds out about switches itself, by the stack pointer; but it
 * must know what is a stack, or else a jump to a near one looks to it like a large frame.
 */
#ifndef GORT__SANITIZE_H
#define GORT__SANITIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define GORT__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GORT__TSAN 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#define GORT__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GORT__ASAN 1
#endif
#endif

/* For functions that are left by a switch: their entry would stay on ThreadSanitizer's record of calls for ever. */
#ifdef GORT__TSAN
#define GORT__NO_TSAN __attribute__((no_sanitize("thread"), noinline))
#else
#define GORT__NO_TSAN
#endif

#ifdef GORT__TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

#ifdef GORT__ASAN
void __sanitizer_start_switch_fiber(void **fake_stack_save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack_save, const void **bottom_old, size_t *size_old);
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
void __asan_handle_no_return(void);
/* The frames that the caller stands on are about to be left. */
#define GORT__ASAN_LEAVING() __asan_handle_no_return()
void __lsan_register_root_region(const void *p, size_t size);
void __lsan_unregister_root_region(const void *p, size_t size);
/* LeakSanitizer looks for pointers here too: descriptors, and the warm part of each stack in use. */
#define GORT__LEAK_ROOT(p, size) __lsan_register_root_region((p), (size))
/* And no longer, before the memory goes away. As it was registered. */
#define GORT__LEAK_ROOT_END(p, size) __lsan_unregister_root_region((p), (size))
/* Of a stack that is given back: whoever has the addresses next shall not find the marks around its last user's variables. */
#define GORT__ASAN_CLEAN(lo, hi) __asan_unpoison_memory_region((void *)(lo), (hi) - (lo))
#else
#define GORT__LEAK_ROOT(p, size) ((void)(p), (void)(size))
#define GORT__LEAK_ROOT_END(p, size) ((void)(p), (void)(size))
#define GORT__ASAN_LEAVING() ((void)0)
#define GORT__ASAN_CLEAN(lo, hi) ((void)(lo), (void)(hi))
#endif

#ifdef GORT__HAVE_VALGRIND
#include <valgrind/memcheck.h>
#define GORT__ON_VALGRIND() (RUNNING_ON_VALGRIND != 0)
/*
 * Address space for stacks, which nobody may touch but where a stack pointer has passed. It is also what keeps memcheck's
 * search for leaks out of guards that it knows nothing of, where each word would be a fault.
 */
#define GORT__STACK_SPACE(p, size) ((void)VALGRIND_MAKE_MEM_NOACCESS((p), (size)))
/*
 * [lo, hi) is a stack from now on; its number is for the other one. To valgrind it is [lo, hi]: a stack pointer at hi, as in
 * a goroutine that has not begun, would be one outside. Its top is where a context may be laid before the first switch.
 */
#define GORT__STACK_REGISTER(lo, hi) \
	((void)VALGRIND_MAKE_MEM_UNDEFINED((hi) - 4096, 4096), VALGRIND_STACK_REGISTER((lo), (hi)))
#define GORT__STACK_DEREGISTER(number) VALGRIND_STACK_DEREGISTER(number)
/* A copy of a stack, to be looked through: words that nobody has written are among them, and are allowed for. */
#define GORT__PEEKED(p, size) ((void)VALGRIND_MAKE_MEM_DEFINED((p), (size)))
#else
#define GORT__ON_VALGRIND() false
#define GORT__STACK_SPACE(p, size) ((void)(p), (void)(size))
#define GORT__STACK_REGISTER(lo, hi) ((void)(lo), (void)(hi), 0u)
#define GORT__STACK_DEREGISTER(number) ((void)(number))
#define GORT__PEEKED(p, size) ((void)(p), (void)(size))
#endif

#endif
