// Package boot starts a machine's services and shows their errors:
//
//	init ─ svscanboot ─┬─ svscan /service ─┬─ …
//	                   │                   │ standard output and error
//	                   └─ readproctitle ←──┘
//
// What svscan, and whatever has no log of its own, complain about ends up where
// ps(1) shows it, in the last argument of readproctitle.
package boot
