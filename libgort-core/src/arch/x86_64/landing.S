/* SPDX-License-Identifier: MIT */
/*
 * gort__landing_call(landing *rdi, fn rsi, arg rdx): its frame holds all that a jump has to bring back.
 *
 *      rbp + 8   return address
 *      rbp - 0   the caller's rbp
 *      rbp - 40  rbx, r12, r13, r14, r15
 *      rbp - 48  alignment; rsp while fn runs, and landing->sp
 */
	.text
	.globl	gort__landing_call
	.hidden	gort__landing_call
	.hidden	gort__landing_personality
	.type	gort__landing_call, @function
	.p2align 4
gort__landing_call:
	.cfi_startproc
	.cfi_personality 0x1b, gort__landing_personality        /* relative to here, four bytes */
	endbr64
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset rbp, -16
	movq	%rsp, %rbp
	.cfi_def_cfa_register rbp
	pushq	%rbx
	.cfi_offset rbx, -24
	pushq	%r12
	.cfi_offset r12, -32
	pushq	%r13
	.cfi_offset r13, -40
	pushq	%r14
	.cfi_offset r14, -48
	pushq	%r15
	.cfi_offset r15, -56
	subq	$8, %rsp
	movq	%rsp, (%rdi)
	movq	%rdx, %rdi
	call	*%rsi
	xorl	%eax, %eax
	addq	$48, %rsp               /* fn gave all registers back */
	popq	%rbp
	.cfi_def_cfa rsp, 8
	ret
	.cfi_endproc
	.size	gort__landing_call, .-gort__landing_call

/* gort__landing_jump(landing *rdi): the call above returns 1. */
	.globl	gort__landing_jump
	.hidden	gort__landing_jump
	.type	gort__landing_jump, @function
	.p2align 4
gort__landing_jump:
	.cfi_startproc
	endbr64
	movq	(%rdi), %rsp
	.cfi_def_cfa rsp, 64
	.cfi_offset rbp, -16
	.cfi_offset rbx, -24
	.cfi_offset r12, -32
	.cfi_offset r13, -40
	.cfi_offset r14, -48
	.cfi_offset r15, -56
	movl	$1, %eax
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	popq	%r15
	.cfi_adjust_cfa_offset -8
	popq	%r14
	.cfi_adjust_cfa_offset -8
	popq	%r13
	.cfi_adjust_cfa_offset -8
	popq	%r12
	.cfi_adjust_cfa_offset -8
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_endproc
	.size	gort__landing_jump, .-gort__landing_jump

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
