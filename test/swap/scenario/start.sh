# The services come up under svscanboot.

part svscanboot
services=/etc/service
for name in qmail smtpd pop3d qmtpd qmqpd; do
	mkdir -p /mnt/log/$name
	chown qmaill /mnt/log/$name
done
cp -r /mnt/scenario/service /mnt/service
find /mnt/service -name run -exec chmod +x {} +
mkdir /mnt/service/smtpd/env
echo yes >/mnt/service/smtpd/env/FROM_ENVDIR
touch /mnt/service/qmtpd/down
ln -s /mnt/service/* $services/
ln -s /mnt/none $services/gone
svscanboot &
boot=$!
for name in qmail smtpd pop3d qmtpd qmqpd; do
	until_ svok $services/$name
	test $name = qmqpd || until_ svok $services/$name/log
done
try svok $services/none
title() { tr '\0' ' ' </proc/$(pidof readproctitle)/cmdline; }
until_ eval 'title | grep -q gone'
title | grep -o 'svscan: [a-z: ]*gone[a-z: ]*' | sort -u
until_ test -s $log
# listens NAME N: its tcpserver has said N times that nobody is connected.
listens() { test "$(grep -c 'tcpserver: status: 0/' /mnt/log/$1/current)" = $2; }
until_ listens smtpd 1
until_ listens pop3d 1
until_ tcpclient -RHl0 127.0.0.1 628 true

part svc
state() { svstat $services/$1 | sed 's/ [0-9]* seconds/ # seconds/'; }
up() { svstat $services/$1 | grep -q ': up'; }
down() { svstat $services/$1 | grep -q ': down'; }
state qmtpd
try svc -u $services/qmtpd
until_ listens qmtpd 1
state qmtpd
try svc -o $services/qmtpd
try svc -t $services/qmtpd
until_ down qmtpd
state qmtpd
try svc -u $services/qmtpd
until_ listens qmtpd 2
try svc -p $services/qmtpd
until_ eval 'svstat $services/qmtpd | grep -q paused'
state qmtpd
try svc -c $services/qmtpd
until_ eval '! svstat $services/qmtpd | grep -q paused'
state qmail
state none
try svc -u $services/none
