#include "textflag.h"

// caught is the handler, called by the kernel as a C function is: DI is the
// signal's number. It touches nothing of the Go runtime, which may be anywhere.
TEXT ·caught(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	PUSHQ DI
	MOVL  ·caughtFD(SB), DI
	MOVQ  SP, SI            // the number's lowest byte
	MOVL  $1, DX
	MOVL  $1, AX            // write(2)
	SYSCALL
	POPQ  DI
	RET

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
