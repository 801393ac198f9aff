/* SPDX-License-Identifier: MIT */
/*
 * What ThreadSanitizer, AddressSanitizer and valgrind have to be told of stacks and switches. Nothing remains of it in
 * other builds. The sanitizers' own interface headers declare these functions; they are repeated here because clang's
 * and gcc's packages put them in different places.
 */
#ifndef GORT__SANITIZE_H
#define GORT__SANITIZE_H

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
/* LeakSanitizer looks for pointers here too: descriptors, and the warm part of each stack in use. */
#define GORT__LEAK_ROOT(p, size) __lsan_register_root_region((p), (size))
#else
#define GORT__LEAK_ROOT(p, size) ((void)(p), (void)(size))
#define GORT__ASAN_LEAVING() ((void)0)
#endif

#endif
