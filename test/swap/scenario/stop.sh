# Everything is stopped; what stays behind is compared.

part the end
# svscan starts nothing again whose name is gone.
rm $services/*
try svc -dx /mnt/service/*
try svc -x /mnt/service/*/log
gone() { ! svok /mnt/service/$1; }
for name in qmail smtpd pop3d qmtpd qmqpd; do
	until_ gone $name
done
# It holds the pipes to the loggers.
kill $(pidof svscan)
wait $boot
for name in qmail smtpd pop3d qmtpd; do
	until_ gone $name/log
done
kill $servers
wait $servers
try queue
ps -e -o comm= | grep -vE '^(swap\.test|ps|sh|grep|sort)$'
