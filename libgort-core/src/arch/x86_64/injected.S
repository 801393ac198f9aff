/* SPDX-License-Identifier: MIT */
/*
 * gort__arch_injected: where a thread finds itself after inject.c. rbx: the ucontext_t that it goes on from; rsi: what it
 * calls first, with that. rsp is a multiple of 16, and rsp + 0 and + 8 are a frame for who follows frame pointers.
 *
 * For who unwinds by tables every register lies in the ucontext_t, which rbx keeps: as in a signal handler.
 */
	.text
	.globl	gort__arch_injected
	.hidden	gort__arch_injected
	.type	gort__arch_injected, @function
	.p2align 4
gort__arch_injected:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_escape 0x0f, 0x04, 0x73, 0xa0, 0x01, 0x06		/* CFA: the stack pointer in it */
	.cfi_escape 0x10, 0x08, 0x02, 0x73, 0x28			/* r8 */
	.cfi_escape 0x10, 0x09, 0x02, 0x73, 0x30			/* r9 */
	.cfi_escape 0x10, 0x0a, 0x02, 0x73, 0x38			/* r10 */
	.cfi_escape 0x10, 0x0b, 0x03, 0x73, 0xc0, 0x00		/* r11 */
	.cfi_escape 0x10, 0x0c, 0x03, 0x73, 0xc8, 0x00		/* r12 */
	.cfi_escape 0x10, 0x0d, 0x03, 0x73, 0xd0, 0x00		/* r13 */
	.cfi_escape 0x10, 0x0e, 0x03, 0x73, 0xd8, 0x00		/* r14 */
	.cfi_escape 0x10, 0x0f, 0x03, 0x73, 0xe0, 0x00		/* r15 */
	.cfi_escape 0x10, 0x05, 0x03, 0x73, 0xe8, 0x00		/* rdi */
	.cfi_escape 0x10, 0x04, 0x03, 0x73, 0xf0, 0x00		/* rsi */
	.cfi_escape 0x10, 0x06, 0x03, 0x73, 0xf8, 0x00		/* rbp */
	.cfi_escape 0x10, 0x03, 0x03, 0x73, 0x80, 0x01		/* rbx */
	.cfi_escape 0x10, 0x01, 0x03, 0x73, 0x88, 0x01		/* rdx */
	.cfi_escape 0x10, 0x00, 0x03, 0x73, 0x90, 0x01		/* rax */
	.cfi_escape 0x10, 0x02, 0x03, 0x73, 0x98, 0x01		/* rcx */
	.cfi_escape 0x10, 0x10, 0x03, 0x73, 0xa8, 0x01		/* rip */
	endbr64
	movq	%rsp, %rbp
	emms                            /* the x87 registers may all be in use; a call finds none so */
	movq	%rbx, %rdi
	call	*%rsi
	movq	%rbx, %rsp
	movl	$15, %eax               /* rt_sigreturn */
	syscall
	ud2
	.cfi_endproc
	.size	gort__arch_injected, .-gort__arch_injected

	.section .note.gnu.property, "a"
	.p2align 3
	.long	4
	.long	16
	.long	5
	.asciz	"GNU"
	.long	0xc0000002
	.long	4
	.long	1
	.long	0

	.section .note.GNU-stack, "", @progbits
