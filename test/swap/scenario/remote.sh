# Mail for other hosts, deferrals, and the queue's tools. The other host is a
# qmail-smtpd whose qmail-queue is other-queue.

part the other host
mkdir /mnt/other
chown qmaild /mnt/other
listen 127.0.0.2 25 setuidgid qmaild env RELAYCLIENT= QMAILQUEUE=/mnt/scenario/other-queue qmail-smtpd
chmod +x /mnt/scenario/other-queue

part deliveries
send alice@swap.test someone@remote.test
send alice@swap.test 'someone@[127.0.0.2]'
send alice@swap.test someone@routed.test
send alice@swap.test someone@cname.remote.test
send alice@swap.test bad@none.test
send alice@swap.test permanent@remote.test
send bad@remote.test someone@remote.test
try qmail-remote remote.test alice@swap.test someone@remote.test </mnt/tmp/message | tr '\0' '\n'
try qmail-remote dead.test alice@swap.test someone@dead.test </mnt/tmp/message | tr '\0' '\n'
try qmail-remote

part deferrals
post alice@swap.test alice-shop@swap.test
until_ counted 1 'deferral: The_shop_is_closed./'
post alice@swap.test temporary@remote.test
until_ counted 1 'deferral: .*mail_server_temporarily_rejected'
printf 'To: bob\nTo: someone@dead.test\n\nhalf\n' | try qmail-inject -fbob@swap.test bob@swap.test someone@dead.test
until_ counted 1 "deferral: .*t_able_to_establish"
rest 3
queue() { qmail-qread | sed 's/^.* GMT  #[0-9]*/DATE #N/' | sort; }
try queue
try qmail-qstat
touch /mnt/tmp/open
try svc -a $services/qmail
until_ counted 2 "deferral: .*t_able_to_establish"
rest 1
try qmail-qstat
try qmail-tcpto
post alice@swap.test someone@deaf.test
until_ counted 3 "deferral: .*t_able_to_establish"
try svc -a $services/qmail
until_ counted 5 "deferral: .*t_able_to_establish"
rest 2
try qmail-tcpto
try qmail-tcpok
try qmail-tcpto

part a new qmail-send
restart() {
	try svc -t $services/qmail
	until_ counted $1 'status: exiting'
	until_ eval 'tail -n 1 $log | grep -q "status: local 0/"'
}
echo 0 >$qmail/control/queuelifetime
restart 1
try svc -a $services/qmail
rest
rm $qmail/control/queuelifetime
restart 2
printf 'half\n' | try qmail-inject -fbob@swap.test bob@swap.test someone@dead.test
until_ counted 8 "t_able_to_establish"
rest 1
