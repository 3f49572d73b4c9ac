package install_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"paperpath/test/bin"
)

// elsewhere shows this host's files to a shell, and takes what is written to them
// for itself: in name spaces of its own, with a file system laid over the root
// directory. $1 is an empty directory, $2 has the programs, $3 is a script.
const elsewhere = `
set -e
mount --make-rprivate /
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root" 2>/dev/null || { echo no overlay; exit 0; }
cd "$1/root"
mount -t proc proc proc
mount --rbind /dev dev
mkdir -p paperpath tmp
mount --bind "$2" paperpath
rm -rf service command var/qmail var/log/qmail etc/service usr/local/bin usr/local/share/man usr/sbin/sendmail* usr/lib/sendmail* etc/tcp.smtp*
exec chroot . /bin/sh -c "$3"
`

// steps are those of Life with qmail, in order.
const steps = `
set -e
fail() { echo "FAILED: $*"; tail -n 20 /var/log/qmail/*/current; exit 1; }
soon() { # waits until a command succeeds
    i=0
    while ! "$@" >/dev/null 2>&1; do
        i=$((i + 1)); [ $i -lt 400 ] || fail "$*"; sleep 0.1
    done
}
cd /
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
for user in alias qmaild qmaill qmailp qmailr qmails; do userdel $user 2>/dev/null || :; done
for group in qmail nofiles; do groupdel -f $group 2>/dev/null || :; done
# One account is there already: it keeps its number.
id qmailq >/dev/null 2>&1 || { groupadd -g 4321 qmail; useradd -u 4321 -g qmail -d /var/qmail qmailq; }
number=$(id -u qmailq)

echo "# install"
(umask 077; /paperpath/instpackage)
[ "$(id -u qmailq)" = "$number" ] || fail "qmailq was $number"
[ "$(id -gn qmails)" = qmail ] && [ "$(id -gn qmaild)" = nofiles ] || fail groups
/var/qmail/bin/instcheck 2>&1 | grep -v control/me && fail "instcheck has more to say"
[ "$(/var/qmail/bin/instpackage)" = "nothing to change" ] || fail "a second installation changes something"

echo "# config-fast, aliases"
/var/qmail/bin/config-fast host.test
cd /var/qmail/alias
echo dave >.qmail-root
echo dave >.qmail-postmaster
ln -s .qmail-postmaster .qmail-mailer-daemon
cd /
useradd -m -d /dave dave

echo "# sendmail, which the guide puts aside whosever it is"
mv /usr/lib/sendmail /usr/lib/sendmail.old
mv /usr/sbin/sendmail /usr/sbin/sendmail.old
chmod 0 /usr/lib/sendmail.old /usr/sbin/sendmail.old
ln -s /var/qmail/bin/sendmail /usr/lib
ln -s /var/qmail/bin/sendmail /usr/sbin
su -s /bin/sh dave -c '/var/qmail/bin/maildirmake /dave/Maildir'
qmailctl cdb

echo "# services"
ln -s /var/qmail/supervise/qmail-send /var/qmail/supervise/qmail-smtpd /service
setsid /command/svscanboot &
for s in qmail-send qmail-send/log qmail-smtpd qmail-smtpd/log; do soon svok /service/$s; done
qmailctl start
soon grep -q 'status: local 0/10 remote 0/20' /var/log/qmail/qmail-send/current
soon grep -q 'tcpserver: status: 0/20' /var/log/qmail/qmail-smtpd/current
qmailctl stat
/var/qmail/bin/instcheck || fail instcheck

echo "# mail"
arrived() { [ "$(grep -l "$1" /dave/Maildir/new/* | wc -l)" = 1 ]; }
printf 'To: dave\nSubject: first\n\n' | /usr/sbin/sendmail -t
soon arrived 'Subject: first'
printf 'Subject: second\n\n' | /usr/lib/sendmail root
soon arrived 'Subject: second'
smtp() { # sends a message with a subject
    printf 'HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<dave@host.test>\r\nDATA\r\nSubject: %s\r\n\r\n.\r\nQUIT\r\n' "$1" |
        tcpclient -RHl0 127.0.0.1 25 sh -c 'cat >&7; cat <&6' | grep -q '^250 ok [0-9]* qp'
}
if ip link set lo up 2>/dev/null; then
    smtp third || fail SMTP
    soon arrived 'Subject: third'
fi
su -s /bin/sh nobody -c 'printf "Subject: fourth\n\n" | /usr/sbin/sendmail dave' || fail "the setuid program"
soon arrived 'Subject: fourth'

echo "# POP3, QMTP, QMQP"
ln -s /var/qmail/supervise/qmail-pop3d /var/qmail/supervise/qmail-qmtpd /var/qmail/supervise/qmail-qmqpd /service
for s in pop3d qmtpd qmqpd; do soon grep -q 'tcpserver: status: 0/20' /var/log/qmail/qmail-$s/current; done
pop3() { # one command at a time: qmail-pop3d does not see what qmail-popup has read
    tcpclient -RHl0 127.0.0.1 110 sh -c 'for command in "USER dave" "PASS secret" STAT QUIT; do
        read -r answer <&6; echo "$answer"; printf "%s\r\n" "$command" >&7; done' | grep '^+OK 4 '
}
if ip link set lo up 2>/dev/null && echo dave:secret | chpasswd 2>/dev/null; then
    soon pop3 # which leaves out the messages of this very second
fi
qmailctl stat | grep -q 'qmail-qmqpd: up' || fail "stat of all services"
/var/qmail/bin/instcheck || fail instcheck

echo "# qmailctl"
qmailctl pause
svstat /service/qmail-send | grep -q paused || fail pause
qmailctl cont
qmailctl queue | grep -q 'messages in queue: 0' || fail queue
qmailctl flush
qmailctl hup
qmailctl restart
qmailctl stop
down() { svstat "$1" | grep -q ': down'; }
for s in qmail-send qmail-smtpd qmail-pop3d qmail-send/log; do soon down /service/$s; done
printf 'Subject: fifth\n\n' | /usr/sbin/sendmail dave
qmailctl queue | grep -q 'messages in queue: 1' || fail "a stopped qmail-send"
qmailctl start
soon arrived 'Subject: fifth'

echo "# a run script with limits as the guide has them"
run=/var/qmail/supervise/qmail-smtpd/run
cp $run /run.ours
cat >$run <<'EOF'
#!/bin/sh
exec /usr/local/bin/softlimit -m 2000000 \
    /usr/local/bin/tcpserver -v -R -l host.test -x /etc/tcp.smtp.cdb -c 20 -u "$(id -u qmaild)" -g "$(id -g qmaild)" \
    0 25 /var/qmail/bin/qmail-smtpd 2>&1
EOF
svc -t /service/qmail-smtpd
if ip link set lo up 2>/dev/null; then
    soon smtp sixth
    soon arrived 'Subject: sixth'
fi
cp /run.ours $run

echo "# an open relay does not start"
rm /var/qmail/control/rcpthosts
svc -t /service/qmail-smtpd
soon grep -q 'Refusing to start the smtp listener' /var/log/qmail/qmail-smtpd/current
echo done
`

// A host becomes a mail host, by the steps that Life with qmail prints. Nothing of
// this host is touched.
func TestHost(t *testing.T) {
	t.Parallel() // it waits more than it works
	if os.Geteuid() != 0 {
		t.Skip("only root installs")
	}
	for _, tool := range []string{"useradd", "groupadd", "mount", "chroot", "su", "setsid"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s", tool)
		}
	}
	programs, err := filepath.Abs(bin.Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	onOtherHost(t, programs, steps)
}

// onOtherHost runs a script elsewhere; dir is /paperpath there.
func onOtherHost(t *testing.T, dir, script string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", elsewhere, "sh", t.TempDir(), dir, script)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// The shell is the first process of its name space: with it all others end.
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	switch said := string(out); {
	case len(out) == 0 && err != nil:
		t.Skipf("name spaces cannot be had: %v", err)
	case said == "no overlay\n":
		t.Skip("no file system can be laid over this host's")
	case err != nil || !strings.HasSuffix(said, "done\n"):
		t.Errorf("%v\n%s", err, said)
	default:
		t.Log(said)
	}
}
