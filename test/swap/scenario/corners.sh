# What goes wrong, program by program.

part delivery instructions
cd /mnt/home/alice
chmod 755 .
# deliver EXTENSION LINES: a .qmail file is tried by hand.
deliver() {
	printf "$2" >.qmail-$1
	chown alice .qmail-$1
	printf '%s\n' "$2"
	try setuidgid alice qmail-local alice /mnt/home/alice alice-$1 - $1 swap.test bob@swap.test ./Maildir/ </mnt/tmp/message
}
deliver empty ''
deliver comment '#nothing\n'
deliver blank '\n./Maildir/\n'
deliver spaces '|echo a \t\n'
deliver nomaildir ./none/
deliver nombox ./none/mbox
deliver directory ./Maildir
deliver relative Mailbox
deliver strange ';what\n'
deliver plus '+list\n&bob\n'
for code in 0 1 64 65 70 76 77 78 99 100 111 112 255; do
	deliver exit "|echo this is $code; exit $code\n./Mailbox\n"
done
deliver signal '|kill -9 $$\n'
deliver output '|echo one; echo two >&2\n'
deliver nothing '|/none/program\n'
deliver read '|head -n 1; cat >/dev/null\n'
deliver last './Mailbox'
printf '&bob\n|echo no program\n' >.qmail-exec
chown alice .qmail-exec
chmod +x .qmail-exec
try setuidgid alice qmail-local alice /mnt/home/alice alice-exec - exec swap.test bob@swap.test ./Maildir/ </mnt/tmp/message
chmod -x,g+w .qmail-exec
try setuidgid alice qmail-local alice /mnt/home/alice alice-exec - exec swap.test bob@swap.test ./Maildir/ </mnt/tmp/message
chmod o+w,g-w .qmail-exec
try setuidgid alice qmail-local alice /mnt/home/alice alice-exec - exec swap.test bob@swap.test ./Maildir/ </mnt/tmp/message
rm .qmail-exec
echo ./Mailbox >.qmail-dots:in:it
chown alice .qmail-dots:in:it
try setuidgid alice qmail-local -n alice /mnt/home/alice alice-DOTS.in.It - DOTS.in.It swap.test bob@swap.test ./Maildir/
try setuidgid alice qmail-local -n alice /mnt/home/alice alice-missing - missing swap.test bob@swap.test ./Maildir/
try setuidgid alice qmail-local -n alice /mnt/home/alice alice '' '' swap.test bob@swap.test '|program'
chmod +t .
try setuidgid alice qmail-local alice /mnt/home/alice alice-last - last swap.test bob@swap.test ./Maildir/ </mnt/tmp/message
chmod -t,o+w .
try setuidgid alice qmail-local alice /mnt/home/alice alice-last - last swap.test bob@swap.test ./Maildir/ </mnt/tmp/message
chmod o-w .
printf 'Delivered-To: alice-last@swap.test\n\n' | try setuidgid alice qmail-local alice /mnt/home/alice alice-last - last swap.test bob@swap.test ./Maildir/
try setuidgid alice qmail-local alice /mnt/home/none alice '' '' swap.test bob@swap.test ./Maildir/
try qmail-local

part headers
inject() { printf '%b' "$1" | try env - PATH=$PATH USER=user QMAILHOST=host.test ${2:+"$2"} qmail-inject -n; }
inject ''
inject 'To: a, b@c, (comment) <d@e.f>\nSubject: x\n\nbody'
inject 'From: "A B" <a@b>\nTo: group: a, b;\nCc: "quoted \\" one"@host\n\n'
inject 'Resent-To: x\nTo: y\nResent-From: z\n\n'
inject 'Mail-Followup-To: list\nReturn-Path: <other@place>\nTo: x\n\n'
inject 'Bcc: secret\n\n'
inject 'To: <@route.test:user@host+>\n\n'
inject 'To: broken@@address\n\n'
inject 'To: "unterminated\n\n'
inject 'no header at all\nTo: x\n'
inject 'To: x\nDate: then\nMessage-ID: <mine>\nContent-Length: 7\n\n'
inject 'To: a\n b,\n\tc\n\n'
inject 'To: x\n\n' QMAILINJECT=cfims
inject 'From: x@y\nTo: x\n\n' QMAILINJECT=fi
inject 'Sender: s@t\nFrom: x@y\nReply-To: r\nErrors-To: e\nReturn-Receipt-To: rr\nApparently-To: ap\nTo: x\n\n'
inject 'To: x\n\n' QMAILNAME='N. Ame'
inject 'To: gr\303\274\303\237e@x, a.b@c.d, "a b"@c\n\n'

part SMTP, badly spoken
# HELP names another page; addresses that are none are refused (doc/differences.md).
smtp() { printf '%b' "$1" | try timeout 60 tcpclient -RHl0 -i 127.0.0.9 127.0.0.1 25 sh -c 'cat <&6 & cat >&7; wait'; }
smtp 'QUIT\r\n'
smtp 'quit\n'
smtp 'MAIL FROM:a@b\r\nRCPT TO: <bob@swap.test>\r\nRSET\r\nQUIT\r\n'
smtp 'MAIL FROM:<@x,@y:a@b> BODY=8BITMIME\r\nRCPT TO:<@swap.test:bob@swap.test>\r\nDATA\r\nSubject: long\r\n\r\n'$(printf '%01200d' 5)'\r\n..\r\n.\r\nQUIT\r\n'
smtp 'MAIL FROM:<>\r\nRCPT TO:<bob@[127.0.0.1]>\r\nRCPT TO:<"bob"@SWAP.test>\r\nRCPT TO:<bob>\r\nDATA\r\n.\r\nQUIT\r\n'
smtp 'MAIL FROM:<a@b>\r\nRCPT TO:<bob@swap.test>\r\nDATA\r\nbare\nlf\r\n.\r\nQUIT\r\n'
smtp 'MAIL FROM:<a@b>\r\nRCPT TO:<bob@swap.test>\r\nDATA\r\n'"$(printf '%0100d' | sed 's/0/Received: x\\r\\n/g')"'\r\n.\r\nQUIT\r\n'
smtp 'MAIL FROM:<a@b>\r\nRCPT TO:<bob@swap.test>\r\nDATA\r\n'$(printf '%02100d')'\r\n.\r\nQUIT\r\n'
smtp 'DATA\r\nRCPT\r\nMAIL FROM:<a@b>\r\nDATA\r\nSTARTTLS\r\nAUTH PLAIN\r\nQUIT\r\n'
rest 1

part SMTP, rudely answered
port=2000
rude() {
	port=$((port + 1))
	listen 127.0.0.8 $port sh /mnt/scenario/rude "$@"
	echo "rude$port.test:127.0.0.8:$port" >>$qmail/control/smtproutes
	printf '%s; ' "$@"
	echo
	try qmail-remote rude$port.test alice@swap.test one@rude$port.test two@rude$port.test </mnt/tmp/message | tr '\0' '\n'
}
rude ''
rude '220 hello' ''
rude '421 later' '221 bye'
rude '554 never' '221 bye'
rude '220 hello' '554 no helo' '502 nor that' '221 bye'
rude '220-two\r\n220 lines' '250-a\r\n250-SIZE\r\n250 b' '250 ok' '250 ok' '250 ok' '354 go' '250 taken' '221 bye'
rude '220 hello' '250 ok' '451 not this sender' '221 bye'
rude '220 hello' '250 ok' '553 not this sender' '221 bye'
rude '220 hello' '250 ok' '250 ok' '550 not one' '550 not two' '221 bye'
rude '220 hello' '250 ok' '250 ok' '450 not one' '250 two' '354 go' '250 taken' '221 bye'
rude '220 hello' '250 ok' '250 ok' '550 not one' '250 two' '354 go' '554 no text' '221 bye'
rude '220 hello' '250 ok' '250 ok' '250 one' '250 two' '451 no data' '221 bye'
rude '220 hello' '250 ok' '250 ok' '250 one' '250 two' '554 no data' '221 bye'
rude '220 hello' '250 ok' '250 ok' '250 one' '250 two' '354 go' ''
rude '220 hello' '250 ok' '250 ok' '250 one' '250 two' '354 go' '452 full' '221 bye'
rude 'nonsense' 'nonsense'

part many at once
echo 3 >$qmail/control/concurrencylocal
restart 3
for i in $(seq 20); do
	printf 'Subject: one of many\n\n' | qmail-inject -fbob@swap.test bob@swap.test alice-mbox nobody-there &
	many="$many $!"
done
wait $many
rest 1
rm $qmail/control/concurrencylocal
# One failure alone: which of two is the first in the bounce is chance.
{ echo; seq -f %01000g 150; } | try qmail-inject -fbob@swap.test bob@swap.test someone@remote.test nobody-there
rest 1
