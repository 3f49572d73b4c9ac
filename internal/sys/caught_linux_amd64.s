#include "textflag.h"

// caught is the handler, called by the kernel as a C function is: DI is the
// signal's number. It may interrupt the Go runtime anywhere, so it touches
// nothing of it: no goroutine, no stack but the one that the runtime gives each
// thread for signals (SA_ONSTACK), and one system call, whose result it drops.
// There is no errno to save. The kernel has saved all registers in the frame
// below, and rt_sigreturn brings them and the mask back.
TEXT ·caught(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	PUSHQ DI
	MOVL  ·caughtFD(SB), DI // -1 once nothing is caught any more: EBADF
	MOVQ  SP, SI            // the number's lowest byte
	MOVL  $1, DX
	MOVL  $1, AX            // write(2)
	SYSCALL
	POPQ  DI
	RET                     // to restorer, which the kernel has pushed

TEXT ·restorer(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVL $15, AX            // rt_sigreturn(2)
	SYSCALL
	INT  $3

// func handlers() (caught, restorer uintptr)
TEXT ·handlers(SB), NOSPLIT, $0-16
	LEAQ ·caught(SB), AX
	MOVQ AX, caught+0(FP)
	LEAQ ·restorer(SB), AX
	MOVQ AX, restorer+8(FP)
	RET
