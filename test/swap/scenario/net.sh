# What the services say to clients.

part SMTP
cat >/mnt/tmp/dialogue <<SMTP
EHLO client.test
NOOP
VRFY x
EXPN x
RCPT TO:<bob@swap.test>
MAIL FROM:<bad@remote.test>
RCPT TO:<bob@swap.test>
MAIL FROM:<alice@swap.test> SIZE=100
RCPT TO:<bob@swap.test>
RCPT TO:<someone@virt.test>
RCPT TO:<x@many.test>
RSET
MAIL FROM:<alice@swap.test>
RCPT TO:<bob@swap.test>
DATA
Subject: by SMTP

..dot
.
QUIT
SMTP
try mconnect 127.0.0.1 25 </mnt/tmp/dialogue
rest
printf 'HELO there\r\nMAIL FROM:<a@b>\r\nRCPT TO:<bob@elsewhere.test>\r\nRCPT TO:<bob@many.test>\r\nRCPT TO:<bob@x.more.test>\r\nRCPT TO:<bob@swap.test>\r\nQUIT\r\n' >/mnt/tmp/dialogue
from() { address=$1; shift; try tcpclient -RHl0 -i $address 127.0.0.1 25 sh -c 'cat <&6 & cat >&7; wait' </mnt/tmp/dialogue; }
from 127.0.0.1
from 127.0.0.5
try tcpclient -RHl0 -i 127.0.0.6 127.0.0.1 25 sh -c 'cat <&6'
from 127.0.0.2
rest

part POP3
# Messages are in the order of their seconds, and those of this one are for the
# next time.
mv Maildir Maildir.before
setuidgid alice maildirmake Maildir
send bob@swap.test alice@swap.test first
sleep 1.1
send bob@swap.test alice@swap.test 'the second'
sleep 1.1
cat >/mnt/tmp/dialogue <<POP3
NOOP
USER alice
PASS wrong
POP3
try mconnect 127.0.0.1 110 </mnt/tmp/dialogue
cat >/mnt/tmp/dialogue <<POP3
STAT
LIST
UIDL 1
TOP 1 1
RETR 2
DELE 2
LIST 2
NOOP
RSET
DELE 1
LAST
XYZ
QUIT
POP3
try tcpclient -RHl0 127.0.0.1 110 sh /mnt/scenario/pop-client </mnt/tmp/dialogue
setuidgid alice env - PATH=$PATH HOME=/mnt/home/alice qmail-pop3d Maildir <<POP3
STAT
QUIT
POP3
try qmail-popup
try qmail-pop3d

part QMTP and QMQP
netstring() { printf '%d:%s,' ${#1} "$1"; }
message='
Subject: by QMTP

body'
{
	netstring "$message"
	netstring alice@swap.test
	netstring "$(netstring bob@swap.test; netstring alice-none@swap.test; netstring x@elsewhere.test)"
} >/mnt/tmp/dialogue
try tcpclient -RHl0 127.0.0.1 209 sh -c 'cat >&7; head -c 110 <&6' </mnt/tmp/dialogue
rest
printf 'Subject: by QMQP\n\nbody\n' | try env QMAILQUEUE=$qmail/bin/qmail-qmqpc qmail-inject -fbob@swap.test alice bob
rest
try tcpclient -RHl0 127.0.0.1 628 sh -c 'printf 3:xyz, >&7; cat <&6'

part small services
listen 127.0.0.1 79 argv0 sh finger -c 'read line; echo "$0 $line"'
listen 127.0.0.1 13 sh -c 'printf "today\r\n"'
listen 127.0.0.1 11 sh -c 'printf "nobody\r\n"'
listen 127.0.0.1 17 sh -c 'echo a quotation'
listen 127.0.0.1 80 sh -c 'read line; printf "HTTP/1.0 200 OK\r\n\r\n%s\n" "$line"'
listen 127.0.0.1 70 tcp-env -R sh -c 'env | grep -E "^(TCP|PROTO)" | grep -v REMOTEPORT | LC_ALL=C sort'
listen 127.0.0.1 71 recordio fixcrio cat
try finger@ 127.0.0.1 someone
try date@ 127.0.0.1
try who@ 127.0.0.1
try tcpcat 127.0.0.1
try http@ 127.0.0.1 path
try tcpcat 127.0.0.1 70
try tcpclient -RHl0 127.0.0.1 71 sh -c 'echo ping >&7; head -n 1 <&6'
try tcpclient -RHl0 127.0.0.1 1 true
try tcpclient 127.0.0.1
try mconnect-io </dev/null 6</dev/null 7>/dev/null
