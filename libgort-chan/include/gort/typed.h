/* SPDX-License-Identifier: MIT */
/*
 * Channels that know the type of their elements. A layer of macros over chan.h, for C11 with the extensions of gcc and clang:
 * each use compiles to the untyped call, and nothing is linked that was not there before.
 *
 *     typedef gort_chan_of(int) int_chan;
 *
 *     int_chan c = gort_make(int_chan, 8);
 *     gort_send(c, 42);
 *     gort_range(c, v) { printf("%d\n", v); }
 *
 * A value goes into a channel if C assigns it to an element without a diagnostic: 42 to one of long, NULL or a char * to one
 * of const char *. What C assigns with a mere warning, or not at all, does not compile here, whatever the flags: a long *
 * for an int *, a const char * for a char *, an int for a pointer.
 *
 * Every argument is evaluated once. The calls block, panic and answer as those of chan.h that they are named after; each is
 * an expression, so gort_recv may be a loop's condition and GORT_SELECT a switch's. Values with commas of their own, as
 * compound literals have, can be sent as they are, but for gort_send_until, where they go in parentheses.
 *
 * In C++ this header is just chan.h: the untyped calls are the ones to use there.
 */
#ifndef GORT_TYPED_H
#define GORT_TYPED_H

#include <gort/chan.h>

#ifdef __cplusplus

#define gort_chan_of(T) gort__typed_h_is_for_C__use_the_calls_of_chan_h_in_cxx

#else

/* --- types and lifetime ----------------------------------------------------------------------------------------- */

/**
 * gort_chan_of - the type of a channel of T
 *
 * As large as a pointer, copied as one; {0} is Go's nil channel. T is any type but one that is const or volatile itself; of
 * arrays only the receiving side works, so put them in a struct. As with struct {...}, each use is a type of its own: name it
 * once, by a typedef. Go: chan T.
 *
 *     typedef gort_chan_of(struct job) job_chan;
 *     typedef gort_chan_of(void (*)(int)) callback_chan;
 */
#define gort_chan_of(T) union { gort_chan *gort__chan; __typeof__(T) *gort__elem; }

/**
 * gort_make - make a channel of such a type
 *
 * As gort_chan_new: the reference is the caller's, and gort_untyped() of it is NULL when out of memory. Go:
 * make(chan T, capacity).
 *
 *     int_chan c = gort_make(int_chan, 8);
 *     if (gort_untyped(c) == NULL) return -ENOMEM;
 */
#define gort_make(type, capacity) \
	((__typeof__(type)){ .gort__chan = gort_chan_new(GORT__ELEM_SIZE(type), (capacity)) })

/** gort_ref - one more reference; returns the channel. As gort_chan_ref. */
#define gort_ref(c) __extension__ ({ (__typeof__(c)){ .gort__chan = gort_chan_ref((c).gort__chan) }; })

/** gort_drop - one reference fewer; the last one frees the channel. As gort_chan_unref. */
#define gort_drop(c) gort_chan_unref((c).gort__chan)

/**
 * gort_untyped - the channel as those know it who ask for no type
 *
 * A gort_chan *, borrowed: for the calls of chan.h, as a goroutine's argument, to look whether it is NULL. Never blocks.
 *
 *     gort_go(worker, gort_untyped(c));
 */
#define gort_untyped(c) ((c).gort__chan)

/**
 * gort_typed - a gort_chan * as a channel of such a type
 *
 * Borrowed; also from a goroutine's void *. Like a cast, it is believed: the elements must be of that type. Never blocks.
 *
 *     static void worker(void *arg) { int_chan c = gort_typed(int_chan, arg); ... }
 */
#define gort_typed(type, untyped) \
	((__typeof__(type)){ .gort__chan = _Generic((untyped), gort_chan *: (untyped), void *: (untyped)) })

/* --- sending and receiving -------------------------------------------------------------------------------------- */

/**
 * gort_send - send a value
 *
 * Any expression that C would assign to an element. As gort_chan_send: blocks, and panics when closed. Go: c <- v.
 *
 *     gort_send(points, (struct point){ 1, 2 });
 */
#define gort_send(c, ...) gort_chan_send((c).gort__chan, GORT__VALUE(c, __VA_ARGS__))

/**
 * gort_recv - receive into *ptr
 *
 * ptr points to an element, or is NULL to drop the value. As gort_chan_recv: blocks; 0, or -EPIPE when the channel is closed
 * and drained. Go: v, ok = <-c.
 *
 *     int v;
 *     while (gort_recv(c, &v) == 0) use(v);
 */
#define gort_recv(c, ptr) gort_chan_recv((c).gort__chan, GORT__PLACE(c, ptr))

/** gort_try_send - send if that takes no waiting. As gort_chan_try_send: 0 or -EAGAIN, panics when closed. */
#define gort_try_send(c, ...) gort_chan_try_send((c).gort__chan, GORT__VALUE(c, __VA_ARGS__))

/** gort_try_recv - receive if that takes no waiting. As gort_chan_try_recv: 0, -EAGAIN or -EPIPE. */
#define gort_try_recv(c, ptr) gort_chan_try_recv((c).gort__chan, GORT__PLACE(c, ptr))

/**
 * gort_send_until - send, or give up at the deadline
 *
 * As gort_chan_send_until: 0 or -ETIMEDOUT, panics when closed.
 *
 *     gort_send_until(points, ((struct point){ 1, 2 }), gort_deadline(GORT_SECOND));
 */
#define gort_send_until(c, value, deadline) \
	gort_chan_send_until((c).gort__chan, GORT__VALUE(c, value), (deadline))

/** gort_recv_until - receive, or give up at the deadline. As gort_chan_recv_until: 0, -EPIPE or -ETIMEDOUT. */
#define gort_recv_until(c, ptr, deadline) gort_chan_recv_until((c).gort__chan, GORT__PLACE(c, ptr), (deadline))

/**
 * gort_range - receive until the channel is closed and drained
 *
 * A loop, whose body has each value in turn as a variable v, declared here. continue, break, goto and return do what they do
 * in a loop of C. Blocks. Go: for v := range c.
 *
 *     gort_range(c, v) {
 *             if (v < 0) break;
 *             sum += v;
 *     }
 */
#define gort_range(c, v) GORT__RANGE(c, v, gort__from_##v, gort__once_##v)

/** gort_close - no more values. As gort_chan_close. */
#define gort_close(c) gort_chan_close((c).gort__chan)

/** gort_len - how many values are buffered at this moment. As gort_chan_len. */
#define gort_len(c) gort_chan_len((c).gort__chan)

/** gort_cap - room for how many. As gort_chan_cap. */
#define gort_cap(c) gort_chan_cap((c).gort__chan)

/** gort_add_sender - n more goroutines are going to send. As gort_chan_add_sender. */
#define gort_add_sender(c, n) gort_chan_add_sender((c).gort__chan, (n))

/** gort_sender_done - one sender fewer; the last one closes the channel. As gort_chan_sender_done. */
#define gort_sender_done(c) gort_chan_sender_done((c).gort__chan)

/* --- select ----------------------------------------------------------------------------------------------------- */

/**
 * GORT_SELECT - wait for several channel operations, do one
 *
 * The cases are GORT_ON_RECV, GORT_ON_RECV_OK and GORT_ON_SEND, and for channels without a type GORT_CASE_RECV and
 * GORT_CASE_SEND. The value is the number of the one that ran, from 0, as the cases stand. All arguments are evaluated first,
 * in no certain order. continue and return in the switch are those of the loop and function around it. As gort_select:
 * blocks. Go: select.
 *
 *     switch (GORT_SELECT(GORT_ON_RECV(in, &v), GORT_ON_SEND(out, w), GORT_CASE_RECV(quit, NULL))) {
 *     case 0: sum += v; break;
 *     case 1: w = next(); break;
 *     case 2: return;
 *     }
 */
#define GORT_SELECT(...) GORT__SELECT(gort_select(gort__cases, GORT__CASES), __VA_ARGS__)

/** GORT_SELECT_TRY - as GORT_SELECT, or -EAGAIN when none is ready. Never blocks. Go: select with a default. */
#define GORT_SELECT_TRY(...) GORT__SELECT(gort_select_try(gort__cases, GORT__CASES), __VA_ARGS__)

/**
 * GORT_SELECT_UNTIL - as GORT_SELECT, or -ETIMEDOUT at the deadline
 *
 * A deadline that has passed beats readiness. Blocks.
 *
 *     switch (GORT_SELECT_UNTIL(gort_deadline(GORT_SECOND), GORT_ON_RECV(c, &v))) { case 0: ... case -ETIMEDOUT: ... }
 */
#define GORT_SELECT_UNTIL(deadline, ...) \
	GORT__SELECT(gort_select_until(gort__cases, GORT__CASES, (deadline)), __VA_ARGS__)

/** GORT_ON_RECV - a case that receives into *ptr. It gets zeroes when the channel is closed; ptr is as for gort_recv. */
#define GORT_ON_RECV(c, ptr) { (c).gort__chan, GORT__PLACE(c, ptr), GORT_OP_RECV, 0 }

/**
 * GORT_ON_RECV_OK - as GORT_ON_RECV, and says whether the channel is closed
 *
 * If this case runs, *result, an int, gets 0, or -EPIPE when the channel is closed and drained.
 *
 *     switch (GORT_SELECT(GORT_ON_RECV_OK(in, &v, &err), GORT_ON_SEND(out, w))) {
 *     case 0: if (err != 0) return; break;
 *     }
 */
#define GORT_ON_RECV_OK(c, ptr, result) \
	{ (c).gort__chan, GORT__PLACE(c, ptr), GORT_OP_RECV, \
	  gort__ok_note(&gort__oks, &(struct gort__ok){ GORT__POINTER(*(int **)0, result), 0, NULL }) }

/** GORT_ON_SEND - a case that sends a value, as for gort_send. The value is taken whether the case runs or not. */
#define GORT_ON_SEND(c, ...) { (c).gort__chan, GORT__VALUE(c, __VA_ARGS__), GORT_OP_SEND, 0 }

/* --- how it works: nothing below is for use outside of this file ------------------------------------------------ */

/*
 * A channel of T is a union of the channel and of a pointer that only carries the type: nobody reads it. A union, since
 * compilers let one pointer pass for another with a warning, but never one union. Assigning to a void * is how elements get
 * to the calls of chan.h, so each value and pointer is held to the element's type before, by _Static_assert in an operand
 * of sizeof, where nothing is evaluated.
 */

/* The size of an element of this type of channel. */
#define GORT__ELEM_SIZE(type) \
	(GORT__ASSERT(!__builtin_types_compatible_p(__typeof__((*(__typeof__(type) *)0).gort__elem), \
		const __typeof__(*(*(__typeof__(type) *)0).gort__elem) *) && \
		!__builtin_types_compatible_p(__typeof__((*(__typeof__(type) *)0).gort__elem), \
		volatile __typeof__(*(*(__typeof__(type) *)0).gort__elem) *), \
		"a channel's element type must not be const or volatile itself"), \
	 sizeof(*(*(__typeof__(type) *)0).gort__elem))

/* The value, in memory that lives as long as the enclosing block. An array of one: braces alone would begin with a member. */
#define GORT__VALUE(c, ...) \
	(GORT__ASSERT_ASSIGNS(*(c).gort__elem, "this value is not of the channel's element type", __VA_ARGS__), \
	 (void *)(__typeof__(*(c).gort__elem)[1]){ [0] = __VA_ARGS__ })

/* The pointer to where an element is received to. */
#define GORT__PLACE(c, ptr) \
	(GORT__ASSERT_ASSIGNS((c).gort__elem, "this pointer is not one to the channel's element type", ptr), (void *)(ptr))

/* ptr as a pointer of the type of t. */
#define GORT__POINTER(t, ptr) (GORT__ASSERT_ASSIGNS(t, "this pointer is of a wrong type", ptr), (void *)(ptr))

/* The outer loop runs once, to hold the channel: break leaves the inner one, and with it both. */
#define GORT__RANGE(c, v, from, once) \
	for (__typeof__(c) from = (c), *once = &from; once != NULL; once = NULL) \
		for (__typeof__(*from.gort__elem) v; gort_chan_recv(from.gort__chan, (void *)&v) == 0;)

#define GORT__ASSERT(cond, text) ((void)sizeof(struct { char c; _Static_assert(cond, text); }))

/*
 * Does C assign the value to an lvalue such as t without a diagnostic (C11, 6.5.16.1)? The value's type is that of **gort__v,
 * by way of a comma operator, so that arrays are pointers and bit-fields have a type. Two things cannot be told by its type: a
 * constant zero, which is a null pointer, makes *gort__v an array of two; and _Generic does not take two values with a comma
 * between for one. All in one declaration, whose name does not exist yet where the value stands, with macros of ours in it.
 */
#define GORT__ASSERT_ASSIGNS(t, text, ...) \
	((void)__extension__ sizeof(({ \
		__typeof__(((void)_Generic(__VA_ARGS__, default: 0), (__VA_ARGS__))) \
			(*gort__v)[_Generic(GORT__IF_ZERO((__VA_ARGS__)), int *: 2, default: 1)] = NULL; \
		__typeof__(t) *gort__t = NULL; \
		enum { gort__assignable = GORT__ASSIGNS(*gort__t, **gort__v) }; \
		_Static_assert(gort__assignable, text); \
		gort__v; \
	})))
#define GORT__IS_ZERO __builtin_types_compatible_p(__typeof__(*gort__v), __typeof__(**gort__v)[2])

#define GORT__ASSIGNS(t, v) \
	(__builtin_types_compatible_p(__typeof__(t), __typeof__(v)) || \
	 (GORT__IS_ARITHMETIC(t) && GORT__IS_ARITHMETIC(v)) || \
	 (_Generic((t), _Bool: 1, default: 0) && GORT__IS_POINTER(v)) || \
	 (GORT__IS_POINTER(t) && (GORT__IS_ZERO || GORT__IS_VOID_POINTER(v))) || \
	 (GORT__IS_POINTER(t) && GORT__IS_POINTER(v) && !GORT__IS_VOID_POINTER(v) && \
	  (GORT__IS_CV_VOID_POINTER(v) ? GORT__TAKES_VOID(t, v) : GORT__POINTS(t, v))))

/*
 * Both are pointers: the type of a conditional expression then has the qualifiers of both, and is a void * if one is. If that
 * is t's own, t has all of v's qualifiers and points to the same, or to void. With a v that points to void it must be what t
 * makes of a plain void *.
 */
#define GORT__POINTS(t, v) GORT__POINTS_(GORT__IF_POINTERS(t, v, t), GORT__IF_POINTERS(t, v, v))
#define GORT__POINTS_(t, v) _Generic(1 ? (t) : (v), __typeof__(1 ? (t) : (t)): 1, default: 0)
#define GORT__IF_POINTERS(t, v, x) GORT__IF(GORT__IS_POINTER(t) && GORT__IS_POINTER(v) && !GORT__IS_VOID_POINTER(v), x)

#define GORT__TAKES_VOID(t, v) GORT__TAKES_VOID_(GORT__IF_VOID(t, v, t), GORT__IF_VOID(t, v, v))
#define GORT__TAKES_VOID_(t, v) _Generic(1 ? (t) : (v), __typeof__(1 ? (t) : *(void **)0): 1, default: 0)
#define GORT__IF_VOID(t, v, x) GORT__IF(GORT__IS_POINTER(t) && GORT__IS_CV_VOID_POINTER(v), x)

/* x on that condition; else some pointer, so that what is asked of it can be compiled. */
#define GORT__IF(cond, x) __builtin_choose_expr(cond, (x), *(int **)0)

/* An int *, as an integer constant expression that is zero makes the void * a null pointer constant; else a void *. */
#define GORT__IF_ZERO(v) (1 ? *(int **)0 : (void *)(intptr_t)__builtin_choose_expr(GORT__IS_INTEGER(v), v, 1))

/* By their classes: integers, with char, enum, bool and, where there is one, _BitInt; reals and complex numbers; pointers. */
#define GORT__IS_INTEGER(x) (0x4001eu >> (__builtin_classify_type(x) & 31) & 1)
#define GORT__IS_ARITHMETIC(x) (0x4031eu >> (__builtin_classify_type(x) & 31) & 1)
#define GORT__IS_POINTER(x) (__builtin_classify_type(x) == 5)
#define GORT__IS_VOID_POINTER(x) _Generic((x), void *: 1, default: 0)
#define GORT__IS_CV_VOID_POINTER(x) \
	_Generic((x), const void *: 1, volatile void *: 1, const volatile void *: 1, default: 0)

/*
 * Where the results of GORT_ON_RECV_OK go: a list, made while the cases are. Until a select has run, such a case has its
 * place in the list as its result, from 1, and others have 0. The case that ran, if one did, got another result, which is
 * never positive, so that its place is the one that no case has any more.
 */
struct gort__ok {
	int *result;
	int place;
	struct gort__ok *next;
};

static inline int gort__ok_note(struct gort__ok **list, struct gort__ok *ok)
{
	ok->place = *list != NULL ? (*list)->place + 1 : 1;
	ok->next = *list;
	*list = ok;
	return ok->place;
}

static inline int gort__ok_tell(const struct gort__ok *list, const gort_case *cases, size_t n, int ran)
{
	for (; list != NULL; list = list->next) {
		size_t i = 0;

		while (i < n && cases[i].result != list->place)
			i++;
		if (i == n)
			*list->result = cases[ran].result;
	}
	return ran;
}

#define GORT__SELECT(call, ...) \
	__extension__ ({ \
		struct gort__ok *gort__oks = NULL; \
		gort_case gort__cases[] = { __VA_ARGS__ }; \
		gort__ok_tell(gort__oks, gort__cases, GORT__CASES, call); \
	})
#define GORT__CASES (sizeof gort__cases / sizeof *gort__cases)

#endif

#endif
