// Package chain holds the programs that change one thing about the process and
// become the program that the rest of their arguments names: who it is
// (setuidgid), its environment (envdir), its limits (softlimit).
//
//	exec envdir ./env setuidgid qmaild softlimit -m 40000000 tcpserver …
package chain
