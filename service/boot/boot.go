// Package boot starts a machine's services and shows their errors:
//
//	init ─ svscanboot ─┬─ svscan /service ─┬─ …
//	                   │                   │ standard output and error
//	                   └─ readproctitle ←──┘
//
// The messages of svscan, and of all services without a log of their own, end up
// in the last argument of readproctitle, where ps(1) shows them.
package boot
