// Package filter holds the programs that stand between a connection and the
// program that serves it, or between two pipes:
//
//	recordio   records what passes on descriptor 2
//	fixcrio    LF becomes CR LF, both ways
//	addcr      LF becomes CR LF
//	delcr      CR LF becomes LF
//
// recordio and fixcrio put a relay between the client and the program. The
// program keeps the process, its number and its parent; the relay is its child,
// as in C:
//
//	client ──0──▶ relay ──pipe──▶ 0 program
//	client ◀──1── relay ◀──pipe── 1
//
//	the client's end (0)         the program reads an end; its output still passes
//	the program ends             what it wrote has passed, then the relay ends; from a
//	                             client that still sends it reads until all is there
//	the program closes only 0    input is not read any more, output still passes
//	the program closes only 1    the client reads an end; its input still passes
//	the client is gone           the relay ends; the program reads an end, and
//	                             writes into a broken pipe
//
// Inside a server the relay is two goroutines and the program a function, or a
// process of the server's.
package filter
