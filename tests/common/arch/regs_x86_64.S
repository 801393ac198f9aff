/* SPDX-License-Identifier: MIT */
/*
 * regs_hold_x86(in rdi, out rsi, spins rdx, avx ecx): see regs.h. The layout of struct regs:
 */
#define GENERAL 0
#define FLAGS   112
#define MXCSR   120
#define X87CW   124
#define VECTOR  128
#define X87     640
#define RED     768

	.text
	.globl	regs_hold_x86
	.hidden	regs_hold_x86
	.type	regs_hold_x86, @function
	.p2align 4
/*
 *      rsp + 24   rbx, rbp, r12 to r15, return address
 *      rsp + 16   avx
 *      rsp + 8    MXCSR and x87 control word of the caller
 *      rsp        out
 *      rsp - 128  the red zone
 */
regs_hold_x86:
	.cfi_startproc
	endbr64
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	subq	$24, %rsp
	.cfi_adjust_cfa_offset 24
	movq	%rsi, (%rsp)
	movq	%rcx, 16(%rsp)
	stmxcsr	8(%rsp)
	fnstcw	12(%rsp)

	testl	%ecx, %ecx
	jz	1f
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqu	VECTOR+32*\i(%rdi), %ymm\i
	.endr
	jmp	2f
1:
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu	VECTOR+32*\i(%rdi), %xmm\i
	.endr
2:
	.irp	i, 7, 6, 5, 4, 3, 2, 1, 0
	fldt	X87+16*\i(%rdi)
	.endr
	ldmxcsr	MXCSR(%rdi)
	fldcw	X87CW(%rdi)
	movq	%rdx, %rcx
	pushq	FLAGS(%rdi)
	popfq
	/* from here on nothing may change the flags or push anything */
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movq	RED+8*\i(%rdi), %rax
	movq	%rax, 8*\i-128(%rsp)
	.endr
	movq	GENERAL+0(%rdi), %rax
	movq	GENERAL+8(%rdi), %rbx
	movq	GENERAL+16(%rdi), %rdx
	movq	GENERAL+24(%rdi), %rsi
	movq	GENERAL+40(%rdi), %rbp
	movq	GENERAL+48(%rdi), %r8
	movq	GENERAL+56(%rdi), %r9
	movq	GENERAL+64(%rdi), %r10
	movq	GENERAL+72(%rdi), %r11
	movq	GENERAL+80(%rdi), %r12
	movq	GENERAL+88(%rdi), %r13
	movq	GENERAL+96(%rdi), %r14
	movq	GENERAL+104(%rdi), %r15
	movq	GENERAL+32(%rdi), %rdi
3:
	jrcxz	4f
	leaq	-1(%rcx), %rcx
	jmp	3b
4:
	movq	(%rsp), %rcx
	movq	%rax, GENERAL+0(%rcx)
	movq	%rbx, GENERAL+8(%rcx)
	movq	%rdx, GENERAL+16(%rcx)
	movq	%rsi, GENERAL+24(%rcx)
	movq	%rdi, GENERAL+32(%rcx)
	movq	%rbp, GENERAL+40(%rcx)
	movq	%r8, GENERAL+48(%rcx)
	movq	%r9, GENERAL+56(%rcx)
	movq	%r10, GENERAL+64(%rcx)
	movq	%r11, GENERAL+72(%rcx)
	movq	%r12, GENERAL+80(%rcx)
	movq	%r13, GENERAL+88(%rcx)
	movq	%r14, GENERAL+96(%rcx)
	movq	%r15, GENERAL+104(%rcx)
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movq	8*\i-128(%rsp), %rax
	movq	%rax, RED+8*\i(%rcx)
	.endr
	pushfq
	popq	FLAGS(%rcx)
	cld
	stmxcsr	MXCSR(%rcx)
	fnstcw	X87CW(%rcx)
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7
	fstpt	X87+16*\i(%rcx)
	.endr
	cmpl	$0, 16(%rsp)
	je	5f
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqu	%ymm\i, VECTOR+32*\i(%rcx)
	.endr
	vzeroupper
	jmp	6f
5:
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu	%xmm\i, VECTOR+32*\i(%rcx)
	.endr
6:
	ldmxcsr	8(%rsp)
	fldcw	12(%rsp)
	addq	$24, %rsp
	.cfi_adjust_cfa_offset -24
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore r12
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbp
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	ret
	.cfi_endproc
	.size	regs_hold_x86, .-regs_hold_x86

	.section .note.GNU-stack, "", @progbits
