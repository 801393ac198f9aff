/* SPDX-License-Identifier: MIT */
/* How a symbol is exported, marked and checked: the one header that asks which compiler it is. */
#ifndef GORT_ATTRIBUTES_H
#define GORT_ATTRIBUTES_H

#if defined(__GNUC__) || defined(__clang__)
#  define GORT_API __attribute__((visibility("default")))
#  define GORT_NORETURN __attribute__((noreturn))
#  define GORT_PRINTF(f, a) __attribute__((format(printf, f, a)))
#  define GORT__ATOMICS 1       /* the __atomic builtins are there, for inline functions in headers */
#else
#  define GORT_API
#  define GORT_NORETURN
#  define GORT_PRINTF(f, a)
#endif

#ifdef __cplusplus
#  define GORT_EXTERN_C_BEGIN extern "C" {
#  define GORT_EXTERN_C_END }
#else
#  define GORT_EXTERN_C_BEGIN
#  define GORT_EXTERN_C_END
#endif

#endif
