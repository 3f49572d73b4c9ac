// Package service owns the files through which services are watched and
// controlled, and the programs that do so for an administrator: svc, svok, svstat
// and svwait.
//
//	DIR/run                the program that supervise starts, in DIR
//	DIR/down               if it exists, the service starts down
//	DIR/log/               the service's logger, a service of its own
//	DIR/finish, DIR/after, DIR/notification-fd, … (Rules)
//	DIR/supervise/lock     flock(2)ed by the supervise of DIR
//	DIR/supervise/control  fifo: letters for supervise, one order each
//	DIR/supervise/ok       fifo: has a reader while supervise runs
//	DIR/supervise/status   replaced as a whole:
//
//	 0        8      12      16 17 18
//	+--------+-------+-------+--+--+
//	| TAI s  | ns    | pid   |p |w |    p: 1 if paused
//	+--------+-------+-------+--+--+    w: 'u', 'd', or 0 for once
//	 big-endian       little-endian
//
// The label is the time at which pid last changed; pid 0 is down. That is all that
// daemontools has, and its svstat reads no further. The other fields are ours:
//
//	 18 19 20 21 22   24           36           48       52       56         64       72     80     88
//	+--+--+--+--+----+------------+------------+--------+--------+----------+--------+------+------+
//	|ph|ex|c |t | 0  | ready      | due        | starts | finish | log pipe | forked | boot | init |
//	+--+--+--+--+----+------------+------------+--------+--------+----------+--------+------+------+
//	                  TAI64N       TAI64N       little-endian
//
//	ph        the phase (Phase); 0 to 5 are numbered as in daemontools-encore
//	ex, c     how run ended last: 0 it has not, or it is not known;
//	          1 with exit code c; 2 by signal c
//	t         2: supervise was told to exit; 1: it was not; 0: there are no boot
//	          and init (an earlier version wrote this)
//	ready     when the service announced that it is ready; zero: it has not
//	due       when run is started next; zero: not at a fixed time
//	starts    how often run was started again because it had ended
//	finish    the pid of ./finish, 0 if it is not running
//	log pipe  the inode of the pipe to the logger, 0 if there is none
//	forked    when pid, or finish, was forked, in nanoseconds since the system booted
//	boot      the first 8 bytes of the kernel's boot_id; zero: not known
//	init      when process 1 began, in nanoseconds since the system booted
//
// # Elsewhere
//
// SUPERVISEDIR, as in daemontools-encore, puts the files elsewhere. A relative
// name takes the place of "supervise" in DIR. An absolute one is followed by the
// directory's own path (links resolved), its inner slashes turned into colons:
// /run/sv and /service/qmail-send make /run/sv/service:qmail-send.
package service

// The orders that supervise takes, letter by letter (supervise(8)).
const (
	Up        = 'u'
	Down      = 'd'
	Once      = 'o'
	Pause     = 'p'
	Continue  = 'c'
	Hangup    = 'h'
	Alarm     = 'a'
	Interrupt = 'i'
	Terminate = 't'
	Kill      = 'k'
	Exit      = 'x'
)
