# What the parts of the scenario share. Everything that they print is compared.

umask 022
cd /mnt/home/alice || exit
qmail=$QMAIL_HOME
PATH=$qmail/bin:/usr/bin:/bin
export PATH

part() { printf '\n== %s\n' "$*"; }

# try COMMAND...: what is asked, what comes of it, the exit status.
try() {
	printf '$ %s\n' "$*"
	"$@" 2>/mnt/tmp/stderr
	status=$?
	sed 's/^/! /' /mnt/tmp/stderr
	echo "= $status"
}

# until_ COMMAND...: waits until it succeeds. How long is not measured: a
# machine may be busy.
until_() {
	for i in $(seq 1500); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.02
	done
	echo "never: $*"
	tail -n 9 /mnt/log/*/current
}

log=/mnt/log/qmail/current

# counted N TEXT: qmail-send's log has TEXT N times.
counted() { test "$(grep -c -e "$2" $log)" = "$1"; }

# there PATTERN...: how many files there are. Nothing is started for it, for this
# is asked often.
there() {
	number=0
	for file in "$@"; do
		test -e "$file" && number=$((number + 1))
	done
}

# kept N: N messages are in the queue, and nothing is being done.
kept() {
	there $qmail/queue/todo/* $qmail/queue/intd/*
	test $number = 0 || return
	there $qmail/queue/mess/*/*
	test $number = "$1" || return
	case $(tail -n 1 $log) in
	*'status: local 0/'*' remote 0/'* | *' end msg '*) return 0 ;;
	esac
	return 1
}

# rest [N]: everything is done but for N messages that wait for another try.
rest() { until_ kept "${1-0}"; }

# post SENDER RECIPIENT [SUBJECT]: a message, and all that becomes of it.
post() {
	printf 'From: %s\nTo: %s\nSubject: %s\n\nHello.\nFrom here.\n' "$1" "$2" "${3-test}" |
		try qmail-inject -f"$1" "$2"
}
send() { post "$@"; rest; }

# listen ADDRESS PORT COMMAND...: a tcpserver of the scenario's own, until its
# end. Its log is compared.
listen() {
	address=$1 port=$2
	shift 2
	tcpserver -1 -v -R -H -l swap.test "$address" "$port" "$@" >/mnt/tmp/listen 2>/mnt/log/port-$port &
	servers="$servers $!"
	until_ test -s /mnt/tmp/listen
	rm /mnt/tmp/listen
}
