# Programs that need no server.

part daemontools: change the process, run the rest
mkdir /mnt/tmp/env
echo value >/mnt/tmp/env/SET
: >/mnt/tmp/env/UNSET
UNSET=x try envdir /mnt/tmp/env sh -c 'echo "${SET-none} ${UNSET-none}"'
try envdir /mnt/tmp/none true
try setuidgid alice id
try setuidgid nobody-here true
try envuidgid alice sh -c 'echo $UID $GID'
try softlimit -m 30000000 -o 20 sh -c 'ulimit -v; ulimit -n'
try softlimit -f 100 sh -c 'ulimit -f'
try setlock -n /mnt/tmp/lock setlock -n /mnt/tmp/lock true
try setlock -N -x /mnt/tmp/lock setlock -n -X /mnt/tmp/lock true
try setlock /mnt/tmp/none/lock true
try fghack sh -c '(sleep 0.1; echo late) & echo early'
try pgrphack sh -c 'test $$ = "$(ps -o pgid= -p $$ | tr -d " ")"'
try argv0 sh arg0 -c 'tr "\0" " " </proc/$$/cmdline; echo'
try argv0 /none arg0

part readproctitle
mkfifo /mnt/tmp/errors
readproctitle service errors: .................... </mnt/tmp/errors &
exec 8>/mnt/tmp/errors
printf 'something is wrong\n' >&8
until_ grep -q wrong /proc/$!/cmdline
tr '\0' ' ' </proc/$!/cmdline
echo
exec 8>&-
wait $!
echo "= $?"

part multilog
mkdir /mnt/log/selected
# Lines of 1024 bytes: a file ends where C's multilog writes its buffer, too.
seq -f %01023g 12 | try multilog s4096 n2 /mnt/log/count
printf 'keep one\ndrop two\nsay three\n' | try multilog '-drop*' e '-*' '+say*' =/mnt/log/selected/status '+*' '-drop*' t /mnt/log/selected
try tai64nlocal </dev/null
echo stamped | tai64n | tee /mnt/tmp/stamp | sed 's/^@[0-9a-f]\{24\} /@STAMP /'
tai64nlocal </mnt/tmp/stamp
echo '@400000003c675d4000fc2e29 then' | try tai64nlocal
echo '@400000003c675d4000fc2e29 then' | TZ=EST5 try tai64nlocal

part tcprules
cat >/mnt/tcp.smtp <<RULES
127.0.0.:allow,RELAYCLIENT=""
127.0.0.6:deny
=mx.remote.test:allow,NAMED="yes"
:allow,DATABYTES="2000"
RULES
try tcprules /mnt/tcp.smtp.cdb /mnt/tmp/tcp.smtp </mnt/tcp.smtp
echo 'nonsense' | try tcprules /mnt/tmp/none.cdb /mnt/tmp/none.tmp
TCPREMOTEIP=127.0.0.1 try tcprulescheck /mnt/tcp.smtp.cdb
TCPREMOTEIP=127.0.0.6 try tcprulescheck /mnt/tcp.smtp.cdb
TCPREMOTEIP=10.0.0.1 TCPREMOTEHOST=mx.remote.test try tcprulescheck /mnt/tcp.smtp.cdb

part filters
printf 'a\nb' | addcr | od -c
printf 'a\r\nb\rc\r\n' | delcr | od -c
printf 'a\nb\r\n' | fixcrio cat | od -c
echo hello | recordio cat 2>&1 | sort # who records may be the last

part names
try hostname
try ipmeprint | grep -v '^::' # C's knows nothing of IPv6
try dnsip mx.remote.test
try dnsip none.test
try dnsptr 127.0.0.2
try dnsfq alias.remote.test
