# Mail for local users, and mail that comes back.

part with qmail-getpw
send bob@swap.test alice@swap.test
send alice@swap.test bob@local.test
send alice@swap.test root@swap.test
send alice@swap.test nobody-here@swap.test

part users/assign
try qmail-pw2u -/ </etc/passwd
echo alice:alice:alias2 >$qmail/users/mailnames
cat >$qmail/users/append <<APPEND
=eve:alice:$(id -u alice):$(id -g alice):/mnt/home/alice:-:assigned:
+from-:alice:$(id -u alice):$(id -g alice):/mnt/home/alice:-:assigned-:
APPEND
try qmail-pw2u -h </etc/passwd
qmail-pw2u -h </etc/passwd >$qmail/users/assign
try qmail-newu
send bob@swap.test alias2@swap.test
send bob@swap.test from-by@swap.test
send bob@swap.test eve@swap.test
try qmail-getpw alice-x | tr '\0' '\n'
try qmail-getpw nobody-here | tr '\0' '\n'

part .qmail
for ext in mbox address forward condredirect except bouncesaying maybe preline environment-x-y receipt biff stop hard list loop none; do
	send bob@swap.test alice-$ext@swap.test
done
for ext in condredirect except maybe; do
	send bob@swap.test alice-$ext@swap.test 'redirect, forbidden, unwanted'
done
printf 'Notice-Requested-Upon-Delivery-To: alice-receipt@swap.test\n\nReceipt?\n' | try qmail-inject -fbob@swap.test alice-receipt
rest
try qmail-local -n alice /mnt/home/alice alice-address - address swap.test bob@swap.test ./Maildir/

part domains
send alice@swap.test someone@virt.test
send alice@swap.test someone@sub.virt.test
send alice@swap.test someone@except.virt.test
send alice@swap.test user@swap.test
send alice@swap.test bob%local.test@swap.test

part bounces
send '' nobody-here@swap.test
send nobody@swap.test nobody-here@swap.test
send '#@[]' nobody-here@swap.test
send alice-list-@swap.test-@[] nobody-here@swap.test

part what users type
printf 'To: bob\nCc: alice (Alice), "Bob B" <bob@swap>\nBcc: root\nX: y\n\nbody\n' | setuidgid alice env - PATH=$PATH USER=alice QMAILNAME='A. Lice' qmail-inject -n
printf 'To: bob\n\nbody\n' | try setuidgid alice env - PATH=$PATH USER=alice sendmail -t -oi -fbob@swap.test
rest
printf 'body\n' | try setuidgid alice env - PATH=$PATH USER=alice mailsubj 'a subject' bob alice
rest
printf 'To: bob\nSubject: dated\n\nbody\n' | try env TZ=EST5 datemail -t
rest
printf 'To: bob\nSubject: dated\n\nbody\n' | try env TZ=EST5 predate cat
printf 'EHLO client\nQUIT\n' | addcr | try env TCPREMOTEIP=127.0.0.9 sendmail -bs
try sendmail -bp
try env QMAILQUEUE=/none qmail-inject bob </dev/null
try qmail-inject -a </dev/null
try forward bob </dev/null
try condredirect
try except
try bouncesaying
try preline
try qreceipt
try maildirmake Maildir
printf 'Subject: as a program\n\nbody\n' >/mnt/tmp/message
DTLINE='Delivered-To: x
' RPLINE='Return-Path: <y>
' NEWSENDER=bob@swap.test SENDER=bob@swap.test try forward alice </mnt/tmp/message
rest
setuidgid bob maildirmake /mnt/home/bob/once
send alice@swap.test bob-once@swap.test
sleep 1.1 # the messages of this second stay
MAILDIR=/mnt/home/bob/once MAIL=/mnt/home/bob/mbox MAILTMP=/mnt/home/bob/mbox.tmp try setuidgid bob maildir2mbox

part splogger
printf 'plain\nwarning: something\nalert: more\n%0900d\n' 7 | try splogger swap 3
