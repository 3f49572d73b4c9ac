package pop3

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/internal/sys"
)

// drop is a Maildir with files (name → text), one second apart in the order of
// their names behind new/ and cur/.
func drop(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(dir, files[i])
		if err := os.WriteFile(name, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Unix(1e9+int64(i), 0)
		if err := os.Chtimes(name, when, when); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// talk is a conversation with qmail-pop3d; both sides in lines without CR.
func talk(t *testing.T, dir, client string) string {
	t.Helper()
	// Without the question whether this is root: tests may run as root.
	program := proc.Program{Name: QmailPop3d.Name, Run: transact}
	r := proctest.Run(&program, proctest.Case{Args: []string{dir}, In: strings.ReplaceAll(client, "\n", "\r\n")})
	if r.Status != 0 || r.Err != "" {
		t.Errorf("status %d, %q", r.Status, r.Err)
	}
	return strings.ReplaceAll(r.Out, "\r\n", "\n")
}

func TestPop3d(t *testing.T) {
	dir := drop(t,
		"new/1.M1.h", "Subject: a\n\nfirst\n.\n..two\nend",
		"cur/2.M2.h:2,RS", "",
		"new/3.M3.h", "\n",
		"new/.hidden", "x",
		"tmp/4.M4.h", "a delivery that did not end",
	)
	got := talk(t, dir, `stat
LIST
UIDL
list 2
UIDL 1
RETR 1
TOP 1 1
Top 1 0
RETR 2
RETR 4
RETR 0
RETR 18446744073709551617
RETR x
DELE 1
DELE 1
LAST
STAT
LIST
RSET
STAT
DELE 2
NOOP
CAPA
nothing

QUIT
`)
	const first = "Subject: a\n\nfirst\n..\n...two\nend\n\n.\n"
	want := `+OK 
+OK 3 30
+OK 
1 29
2 0
3 1
.
+OK 
1 1.M1.h
2 2.M2.h
3 3.M3.h
.
+OK 2 0
+OK 1 1.M1.h
+OK 
` + first + `+OK 
Subject: a

first

.
+OK 
Subject: a


.
+OK 

.
-ERR not that many messages
-ERR messages are counted from 1
-ERR not that many messages
-ERR syntax error
+OK 
-ERR already deleted
+OK 1
+OK 2 1
+OK 
2 0
3 1
.
+OK 
+OK 3 30
+OK 
+OK 
+OK 
USER
TOP
UIDL
PIPELINING
.
-ERR unimplemented
-ERR unimplemented
+OK 
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := strings.Join(files(t, dir), " "); got != "cur/1.M1.h:2, cur/3.M3.h:2, new/.hidden" {
		t.Errorf("the Maildir has %s", got)
	}
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		list, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			names = append(names, sub+"/"+e.Name())
		}
	}
	return names
}

func TestPop3dAsRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this is not root")
	}
	r := proctest.Run(&QmailPop3d, proctest.Case{Args: []string{drop(t)}, In: "QUIT\r\n"})
	if r.Status != 1 || r.Out != "" || r.Err != "qmail-pop3d invoked as uid 0, terminating\n" {
		t.Errorf("%+v", r)
	}
}

// A client that goes away has deleted nothing.
func TestPop3dWithoutQuit(t *testing.T) {
	dir := drop(t, "new/1.M1.h", "x")
	if got := talk(t, dir, "DELE 1\n"); got != "+OK \n+OK \n" {
		t.Errorf("%q", got)
	}
	if got := files(t, dir); len(got) != 1 || got[0] != "new/1.M1.h" {
		t.Errorf("%q", got)
	}
}

// A message that went away in the meantime, and one that another program moved.
func TestPop3dRaces(t *testing.T) {
	dir := drop(t, "new/1.M1.h", "x")
	if err := os.Symlink("nowhere", filepath.Join(dir, "new/2.M2.h")); err != nil {
		t.Fatal(err)
	}
	if got := talk(t, dir, "LIST\nQUIT\n"); got != "+OK \n+OK \n1 1\n.\n+OK \n" {
		t.Errorf("%q", got)
	}
}

// Whatever a name has in it, its message is one of the others; and what is no
// message does not count.
func TestPop3dOddNames(t *testing.T) {
	long := strings.Repeat("n", 250)
	dir := drop(t, "new/a\nb c\x7f", "1", "new/\xe9:2,S:x", "2", "cur/"+long+":2,", "3", "new/"+long, "4", "cur/:2,S", "5")
	for _, name := range []string{"new/directory", "cur/directory"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		old := time.Unix(1e9, 0)
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	got := talk(t, dir, "UIDL\nRETR 1\nRETR 4\nDELE 1\nDELE 2\nDELE 5\nQUIT\n")
	want := "+OK \n+OK \n1 a=0Ab=20c=7F\n2 \xe9\n3 " + long + "\n4 " + long + "\n5 \n.\n+OK \n1\n\n.\n+OK \n4\n\n.\n+OK \n+OK \n+OK \n+OK \n"
	if got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	// The longest name has no room for ":2,", and stays where it is.
	if got := strings.Join(files(t, dir), " "); got != "cur/directory cur/"+long+":2, new/directory new/"+long {
		t.Errorf("the Maildir has %s", got)
	}
}

// What another session, or another program, does in the meantime.
func TestPop3dTwoAtOnce(t *testing.T) {
	dir := drop(t, "new/1.M1.h", "one", "new/2.M2.h", "two", "new/3.M3.h", "three", "cur/4.M4.h:2,", "four")
	say, quit := dial(t, dir)
	if got := say("DELE 2\r\n"); got != "+OK \r\n" {
		t.Fatalf("%q", got)
	}
	// The second session deletes 1 and moves the rest to cur/.
	if got := talk(t, dir, "DELE 1\nQUIT\n"); got != "+OK \n+OK \n+OK \n" {
		t.Errorf("%q", got)
	}
	os.Remove(filepath.Join(dir, "cur/4.M4.h:2,"))
	for _, c := range [][2]string{
		{"LIST 1", "+OK 1 3\r\n"},
		{"RETR 1", "-ERR unable to open that message\r\n"},
		{"RETR 4", "-ERR unable to open that message\r\n"},
		{"DELE 4", "+OK \r\n"},
	} {
		if got := say(c[0] + "\r\n"); got != c[1] {
			t.Errorf("%s: %q", c[0], got)
		}
	}
	// 2 has another name now, 4 is gone: neither may be called deleted.
	const not = "-ERR unable to unlink all deleted messages\r\n"
	if got := quit(); got != not+not+"+OK \r\n" {
		t.Errorf("QUIT: %q", got)
	}
	if got := strings.Join(files(t, dir), " "); got != "cur/2.M2.h:2, cur/3.M3.h:2," {
		t.Errorf("the Maildir has %s", got)
	}
}

// Answers do not wait for the rest of the next command.
func TestPop3dAnswersInTheMiddleOfACommand(t *testing.T) {
	say, quit := dial(t, drop(t))
	for _, part := range []string{"NOOP\r\nNO", "OP\r\nLAS", "T\r\n"} {
		if got := say(part); !strings.HasPrefix(got, "+OK") {
			t.Errorf("%q: %q", part, got)
		}
	}
	quit()
}

// A client that sends and sends, and reads no more, is served no more.
func TestPop3dNobodyReads(t *testing.T) {
	in, to, err1 := sys.Pipe()
	from, out, err2 := sys.Pipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	defer in.Close()
	defer out.Close()
	from.Close()
	go func() {
		defer to.Close()
		for range 100_000 {
			if _, err := to.Write([]byte("NOOP\r\nNO")); err != nil {
				return
			}
		}
	}()
	sys.IgnoreSIGPIPE()
	program := proc.Program{Name: QmailPop3d.Name, Run: transact}
	proctest.Run(&program, proctest.Case{Args: []string{drop(t)}, Files: map[int]proc.File{0: in, 1: out}})
	if n, err := in.Read(make([]byte, 1)); n == 0 {
		t.Errorf("all commands were read: %v", err)
	}
}

// dial starts a session that is talked to line by line.
func dial(t *testing.T, dir string) (say func(string) string, quit func() string) {
	t.Helper()
	in, to, err1 := sys.Pipe()
	from, out, err2 := sys.Pipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	done := make(chan struct{})
	go func() {
		program := proc.Program{Name: QmailPop3d.Name, Run: transact}
		proctest.Run(&program, proctest.Case{Args: []string{dir}, Files: map[int]proc.File{0: in, 1: out}})
		in.Close()
		out.Close()
		close(done)
	}()
	t.Cleanup(func() { to.Close(); <-done; from.Close() })
	r := bufio.NewReader(from)
	say = func(command string) string {
		to.Write([]byte(command))
		answer, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if got := say(""); got != "+OK \r\n" {
		t.Fatalf("%q", got)
	}
	return say, func() string {
		to.Write([]byte("QUIT\r\n"))
		rest, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(rest)
	}
}

// What QUIT removes is taken from the quota; what was not there to remove, and
// what a reader has thrown away before, is not.
func TestPop3dQuota(t *testing.T) {
	dir := drop(t, "cur/1,S=3:2,S", "one", "new/2", "two more", "new/3", "three", "cur/4:2,ST", "four", "cur/5,S=77:2,", "five")
	size := dir + "/maildirsize"
	const before = "1000S\n0 0\n"
	if err := os.WriteFile(size, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	talk(t, dir, "DELE 1\nDELE 2\nRSET\nQUIT\n")
	if got, _ := os.ReadFile(size); string(got) != before {
		t.Errorf("nothing removed: %q", got)
	}
	talk(t, dir, "DELE 1\nDELE 2\nDELE 4\nDELE 5\nQUIT\n")
	if got, _ := os.ReadFile(size); string(got) != before+"-88 -3\n" {
		t.Errorf("%q", got)
	}
}

func TestPop3dTrouble(t *testing.T) {
	const none = "-ERR this user has no $HOME/Maildir\n"
	if got := talk(t, filepath.Join(t.TempDir(), "none"), "QUIT\n"); got != none {
		t.Errorf("%q", got)
	}
	if got := talk(t, t.TempDir(), "QUIT\n"); got != "-ERR unable to scan $HOME/Maildir\n" {
		t.Errorf("%q", got)
	}
	if got := talk(t, drop(t), strings.Repeat("x", 20_000)+"\nQUIT\n"); got != "+OK \n-ERR line too long\n" {
		t.Errorf("%q", got)
	}
}

// Very long lines pass in pieces; a dot within one is no line's beginning.
func TestPop3dLongLine(t *testing.T) {
	long := strings.Repeat("x", 16<<10) + ".y" + strings.Repeat(".", 20<<10)
	if got := talk(t, drop(t, "new/1", "A: b\n\n"+long+"\n.z\n"), "RETR 1\n"); got != "+OK \n+OK \nA: b\n\n"+long+"\n..z\n\n.\n" {
		t.Errorf("%d bytes", len(got))
	}
}

// A message may end without a line feed anywhere, as where its last line has filled a buffer.
func TestPop3dOpenEnd(t *testing.T) {
	for _, buffers := range []int{1, 2} {
		for size := buffers*16384 - 1; size <= buffers*16384+1; size++ {
			body := strings.Repeat("x", size)
			for _, command := range []string{"RETR 1\n", "TOP 1 1\n"} {
				got := talk(t, drop(t, "new/1", "A: b\n\n"+body), command+"QUIT\n")
				if want := "+OK \n+OK \nA: b\n\n" + body + "\n\n.\n+OK \n"; got != want {
					t.Errorf("%d bytes, %q: %d, want %d", size, command, len(got), len(want))
				}
			}
		}
	}
}

// again is a client for whom a deadline counts for one Read alone.
type again struct{ *proctest.IdleClient }

func (c again) Read(b []byte) (int, error) {
	n, err := c.IdleClient.Read(b)
	if n > 0 {
		c.Deadline = time.Time{}
	}
	return n, err
}

// A client may be silent for ten minutes (RFC 1939 section 3), but not for ever,
// in both states.
func TestSilence(t *testing.T) {
	transaction := proc.Program{Name: QmailPop3d.Name, Run: transact}
	for program, args := range map[*proc.Program][]string{
		&transaction: {drop(t)}, &QmailPopup: {"host", "/bin/false"},
	} {
		for _, said := range []string{"", "NOOP\r\n", "NOOP\r\nNO"} {
			client := again{proctest.Idle(said)}
			proctest.Run(program, proctest.Case{Args: args, Files: map[int]proc.File{0: client}})
			if left := time.Until(client.Deadline); left < 10*time.Minute || left > 20*time.Minute {
				t.Errorf("%s, %q: %v are left", program.Name, said, left)
			}
		}
	}
}

// judge is a subprogram that prints what it was given and what follows it.
const judge = `tr '\0' '|' <&3 | sed 's/<[0-9]*\.[0-9]*@/<P.T@/'; echo; `

func TestPopup(t *testing.T) {
	for _, c := range []struct{ what, client, subprogram, want string }{
		{"a login", "USER joe\nPASS  a b \n", judge, "+OK \njoe|a b |<P.T@host>|\n"},
		{"what follows a password is the subprogram's", "USER joe\nPASS x\nSTAT\nQUIT\n", judge + "exec cat", "+OK \njoe|x|<P.T@host>|\nSTAT\nQUIT\n"},
		{"APOP", "APOP joe 0123 4\n", judge, "joe|0123 4|<P.T@host>|\n"},
		{"a wrong password", "USER joe\nPASS x\nQUIT\n", "cat <&3 >/dev/null; exit 1", "+OK \n-ERR authorization failed\n"},
		{"a crash", "USER joe\nPASS x\n", "cat <&3 >/dev/null; kill -9 $$", "+OK \n-ERR aack, child crashed\n"},
		{"not in order", "PASS x\nUSER\nUSER joe\nPASS\nAPOP joe\nSTAT\nNOOP\nQUIT\nNOOP\n", judge,
			"-ERR USER first\n-ERR syntax error\n+OK \n-ERR syntax error\n-ERR syntax error\n-ERR authorization first\n+OK \n+OK \n"},
		{"CAPA", "CAPA\n", judge, "+OK \nUSER\nTOP\nUIDL\nPIPELINING\n.\n"},
		{"a NUL", "USER joe\x00x\nPASS y\n", judge, "+OK \njoe|y|<P.T@host>|\n"},
		{"a long line", strings.Repeat("x", 20_000) + "\n", judge, "-ERR line too long\n"},
	} {
		got, status := login(t, c.client, "host", "/bin/sh", "-c", c.subprogram)
		if status != 1 || got != "+OK <P.T@host>\n"+c.want {
			t.Errorf("%s: status %d, %q", c.what, status, got)
		}
	}
	if got, _ := login(t, "USER a\nPASS b\n", "host", "/nonexistent"); got != "+OK <P.T@host>\n+OK \n-ERR authorization failed\n" {
		t.Errorf("no subprogram: %q", got)
	}
	if got, status := login(t, "", "host"); status != 1 || got != "-ERR usage: popup hostname subprogram\n" {
		t.Errorf("usage: %d, %q", status, got)
	}
}

var pidAndTime = regexp.MustCompile(`^\+OK <[0-9]+\.[0-9]+@`)

// login is a conversation with qmail-popup over pipes, which it hands on.
func login(t *testing.T, client string, args ...string) (server string, status int) {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, []byte(strings.ReplaceAll(client, "\n", "\r\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	files := map[int]proc.File{}
	for fd, name := range []string{in, out} {
		f, err := sys.Open(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[fd] = f
	}
	r := proctest.Run(&QmailPopup, proctest.Case{Args: args, Files: files, Vars: proc.Vars{"PATH=/usr/bin:/bin"}})
	b, err := os.ReadFile(out)
	if err != nil || r.Err != "" {
		t.Fatal(err, r.Err)
	}
	text := pidAndTime.ReplaceAllString(string(b), "+OK <P.T@")
	return strings.ReplaceAll(text, "\r\n", "\n"), r.Status
}
