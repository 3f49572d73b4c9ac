package main

import "strings"

// The scripts are those of Life with qmail, but for what needs root: there
// tcpserver gets -u and -g, and the loggers run under setuidgid qmaill; and but
// for -i, which is faster, and -T, by which Ctrl-C does not wait long for clients
// that are still there.

func rcScript(home string) string {
	return inHome(home, `#!/bin/sh
# Using qmail-local to deliver messages to ~/Maildir by default
exec env - QMAILHOME="{home}" PATH="{home}/bin:/usr/local/bin:/usr/bin:/bin" \
qmail-start "$(cat "{home}/control/defaultdelivery")"
`)
}

func sendScript(home string) string {
	return inHome(home, `#!/bin/sh
exec "{home}/rc"
`)
}

func smtpdScript(home string) string {
	return inHome(home, `#!/bin/sh
MAXSMTPD=$(cat "{home}/control/concurrencyincoming")
LOCAL=$(head -1 "{home}/control/me")
PORT=$(head -1 port)
if [ -z "$MAXSMTPD" -o -z "$LOCAL" -o -z "$PORT" ]; then
    echo MAXSMTPD, LOCAL or PORT is unset in
    echo $0
    exit 1
fi
if [ ! -f "{home}/control/rcpthosts" ]; then
    echo "No {home}/control/rcpthosts!"
    echo "Refusing to start SMTP listener because it'll create an open relay"
    exit 1
fi
# -i: qmail-smtpd runs inside tcpserver. Without it each connection is a process.
# -T: at the end clients have ten seconds.
exec softlimit -m 2000000 \
    tcpserver -i -T 10 -v -R -H -l "$LOCAL" -x "{home}/tcp.smtp.cdb" -c "$MAXSMTPD" \
        127.0.0.1 "$PORT" "{home}/bin/qmail-smtpd" 2>&1
`)
}

func pop3dScript(home string) string {
	return inHome(home, `#!/bin/sh
# Names, passwords and home directories; bin/checkpassword-set adds to them.
export CHECKPASSWORD_FILE="{home}/users/passwords"
exec softlimit -m 3000000 \
    tcpserver -T 10 -v -R -H -l 0 127.0.0.1 "$(head -1 port)" \
        qmail-popup "$(head -1 "{home}/control/me")" \
        "{home}/bin/checkpassword" "{home}/bin/qmail-pop3d" Maildir 2>&1
`)
}

func qmtpdScript(home string) string {
	return inHome(home, `#!/bin/sh
if [ ! -f "{home}/control/rcpthosts" ]; then
    echo "No {home}/control/rcpthosts!"
    echo "Refusing to start QMTP listener because it'll create an open relay"
    exit 1
fi
exec softlimit -m 2000000 \
    tcpserver -T 10 -v -R -H -l 0 -x "{home}/tcp.smtp.cdb" 127.0.0.1 "$(head -1 port)" \
        qmail-qmtpd 2>&1
`)
}

func qmqpdScript(home string) string {
	return inHome(home, `#!/bin/sh
# Whom tcp.qmqp lets in may send mail to anybody.
exec softlimit -m 2000000 \
    tcpserver -T 10 -v -R -H -l 0 -x "{home}/tcp.qmqp.cdb" 127.0.0.1 "$(head -1 port)" \
        qmail-qmqpd 2>&1
`)
}

func logScript(home, service string) string {
	return inHome(home, `#!/bin/sh
exec multilog t s2500000 "{home}/log/`+service+`"
`)
}

// inHome puts the home's name where a script says {home}. It has no characters
// that mean anything between double quotes (runDir sees to that).
func inHome(home, script string) string { return strings.ReplaceAll(script, "{home}", home) }
