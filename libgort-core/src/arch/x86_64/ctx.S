/* SPDX-License-Identifier: MIT */
/*
 * gort__ctx_entry: the outermost frame of a goroutine. Entered by a jump with rsp at the 16-byte aligned top of an empty
 * stack:
 *
 *      hi - 0    (end of the stack)
 *      hi - 8    return address into this function, where unwinding ends
 *      ...       gort__g_main
 */
	.text
	.globl	gort__ctx_entry
	.hidden	gort__ctx_entry
	.type	gort__ctx_entry, @function
	.p2align 4
gort__ctx_entry:
	.cfi_startproc
	.cfi_undefined rip
	.cfi_undefined rbp
	endbr64
	xorl	%ebp, %ebp
	call	gort__g_main
	ud2
	.cfi_endproc
	.size	gort__ctx_entry, .-gort__ctx_entry

/* Landing pads are in place (IBT); no shadow stack is promised, since the switch does not switch one. */
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
