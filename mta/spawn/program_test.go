package spawn

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"paperpath/internal/child"
	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
	"paperpath/mta/spawn/delnum"
	"paperpath/mta/users"
)

// script puts a shell script into a qmail home.
func script(t *testing.T, home, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(home, "bin"), 0755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "bin", name), []byte("#!/bin/sh\n"+text+"\n"), 0755); err != nil {
		t.Fatal(err)
	}
}

func testProcesses(t *testing.T) *processes {
	t.Helper()
	p, err := watch()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// report has one delivery made and returns the report without its number.
func report(t *testing.T, home string, with deliverer, sender, recipient string) string {
	t.Helper()
	got := talk(t, testSpawner(home, with), command4(1, "1/24", sender, recipient))
	if len(got) != 1 || got[0][0] != 1 {
		t.Fatalf("reports: %q", got)
	}
	return got[0][1 : len(got[0])-1]
}

// someone is a user that this test may become: itself, or, as root, an
// arbitrary one.
func someone(t *testing.T, home string) (uid, gid int, rootless bool) {
	if os.Getuid() != 0 {
		return os.Getuid(), os.Getgid(), true
	}
	// So that the other may come in to run the scripts.
	for dir := home; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0755); err != nil {
			t.Fatal(err)
		}
	}
	return 12345, 12346, false
}

func testLocals(t *testing.T) (*locals, string) {
	home := messages(t)
	uid, gid, rootless := someone(t, home)
	fs := fsys.OS{Root: home}
	if err := os.Mkdir(filepath.Join(home, "users"), 0755); err != nil {
		t.Fatal(err)
	}
	ids := strconv.Itoa(uid) + ":" + strconv.Itoa(gid)
	assign := "=joe:joe:" + ids + ":/home/joe:::\n" +
		"+joe-:joe:" + ids + ":/home/joe:-:pre-:\n" +
		"=root:root:0:0:/root:::\n=none:none:x:0:/:::\n=big:big:4294967296:7:/:::\n" +
		"=other:other:" + strconv.Itoa(uid+1) + ":" + strconv.Itoa(gid) + ":/home/other:::\n.\n"
	if err := os.WriteFile(filepath.Join(home, "users/assign"), []byte(assign), 0644); err != nil {
		t.Fatal(err)
	}
	if err := users.Compile(fs); err != nil {
		t.Fatal(err)
	}
	l := &locals{home: home, defaultDelivery: "./Mailbox", rootless: rootless, log: 2, processes: testProcesses(t)}
	l.null = -1
	l.agents = newAgents(home+"/bin/qmail-local", l.processes)
	l.agents.start = l.startAgent
	l.passwd = credential(uint32(uid), uint32(gid))
	return l, home
}

func TestLocalDelivery(t *testing.T) {
	l, home := testLocals(t)
	script(t, home, "qmail-local", `for a; do echo "$a"; done; pwd; id -G; cat; echo complaint >&2; printf 'end\000more'`)
	groups := strconv.Itoa(os.Getgid())
	if !l.rootless {
		groups = "12346"
	}
	for recipient, args := range map[string]string{
		"joe@here":           "--\njoe\n/home/joe\njoe\n\n\nhere\n-me@x\n./Mailbox\n",
		"JOE-Some@Thing@b@c": "--\njoe\n/home/joe\nJOE-Some@Thing@b\n-\npre-Some@Thing@b\nc\n-me@x\n./Mailbox\n",
	} {
		got := report(t, home, l, "-me@x", recipient)
		head, ok := strings.CutPrefix(got, "K"+args+home+"\n")
		if !ok || !strings.HasSuffix(got, "textcomplaint\nend") || !l.rootless && !strings.HasPrefix(head, groups+"\n") {
			t.Errorf("%s: %q", recipient, got)
		}
	}
	if got := report(t, home, l, "", "@here"); got != "K" {
		t.Errorf("the trash address: %q", got)
	}
	for recipient, want := range map[string]string{
		"root@here": "ZNot allowed to perform deliveries as root.\n",
		"none@here": "ZNot allowed to perform deliveries as root.\n",
		"big@here":  "ZInternal qmail-lspawn bug.\n",
	} {
		if got := report(t, home, l, "", recipient); got != want {
			t.Errorf("%s: %q", recipient, got)
		}
	}
	if l.rootless {
		if got := report(t, home, l, "", "other@here"); !strings.HasPrefix(got, "ZUnable to deliver for another user") {
			t.Errorf("another user: %q", got)
		}
		if got := report(t, home, l, "", "nobody@here"); got != "ZUnable to find alias user!\n" {
			t.Errorf("no user: %q", got)
		}
	}
}

func TestLocalFailures(t *testing.T) {
	l, home := testLocals(t)
	if got := report(t, home, l, "", "joe@here"); got != "ZUnable to run qmail-local.\n" {
		t.Errorf("without qmail-local: %q", got)
	}
	script(t, home, "qmail-local", "echo text; exit $7") // the host
	for status, want := range map[int]string{
		0: "Ktext\n", 1: "Dtext\n", 2: "Zqmail-local crashed.\n", 64: "Dtext\n", 71: "Ztext\n", 74: "Ztext\n", 75: "Ztext\n", 99: "Dtext\n", 100: "Dtext\n", 101: "Dtext\n",
		111: "Ztext\n", 112: "ZInternal qmail-lspawn bug.\n", 113: "ZNot allowed to perform deliveries as root.\n", 114: "Dtext\n",
		115: "ZNFS failure in qmail-local.\n", 116: "ZUnable to find alias user!\n", 117: "ZTrouble reading users/cdb in qmail-lspawn.\n",
		118: "ZTemporary failure in qmail-lspawn.\n", 119: "ZOut of memory in qmail-lspawn.\n", 120: "ZUnable to run qmail-local.\n",
		121: "ZUnable to run qmail-getpw.\n", 126: "DUnable to run qmail-local.\n", 127: "Dtext\n",
	} {
		if got := report(t, home, l, "", "joe@"+strconv.Itoa(status)); got != want {
			t.Errorf("status %d: %q", status, got)
		}
	}
	script(t, home, "qmail-local", "kill -9 $$")
	if got := report(t, home, l, "", "joe@here"); got != "Zqmail-local crashed.\n" {
		t.Errorf("killed: %q", got)
	}
	if err := os.WriteFile(filepath.Join(home, "users/cdb"), []byte("damaged"), 0644); err != nil {
		t.Fatal(err)
	}
	if got := report(t, home, l, "", "joe@here"); got != "ZTrouble reading users/cdb in qmail-lspawn.\n" {
		t.Errorf("damaged table: %q", got)
	}
}

// The report ends with the program, and a long one is cut where it always was.
func TestOutput(t *testing.T) {
	l, home := testLocals(t)
	script(t, home, "qmail-local", "echo done; sleep 1000 & echo $! >&2")
	got := report(t, home, l, "", "joe@here")
	pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(got, "Kdone\n")))
	if err != nil {
		t.Fatalf("a child in the background: %q", got)
	}
	if p, err := os.FindProcess(pid); err == nil {
		p.Kill()
	}
	script(t, home, "qmail-local", "i=0; while [ $i -lt 5000 ]; do echo 012345678; i=$((i+1)); done; exit 111")
	got = report(t, home, l, "", "joe@here")
	if !strings.HasPrefix(got, "Z012345678\n") || len(got) > 3001 || strings.Count(got, "\nError report too long, sorry.\n") != 1 {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}

func TestAskPasswd(t *testing.T) {
	l, home := testLocals(t)
	uid, gid, _ := someone(t, home)
	l.rootless = false
	if os.Getuid() != 0 {
		t.Skip("becoming another user needs root")
	}
	script(t, home, "qmail-local", `echo "$2 $3 $4 $5 $6"`)
	for text, want := range map[string]string{
		`printf 'joe\000` + strconv.Itoa(uid) + `\000` + strconv.Itoa(gid) + `\000/h\000-\000%s\000' "$1"`: "Kjoe /h nobody-x - nobody-x\n",
		"exit 116":                 "ZUnable to find alias user!\n",
		"exit 118":                 "ZTemporary failure in qmail-lspawn.\n",
		"echo text; exit 111":      "Z",
		"echo text; exit 100":      "D",
		"kill -9 $$":               "ZTemporary failure in qmail-lspawn.\n",
		`printf 'a\0001\0001\000'`: "ZInternal qmail-lspawn bug.\n",
		"":                         "ZInternal qmail-lspawn bug.\n",
	} {
		script(t, home, "qmail-getpw", text)
		if got := report(t, home, l, "", "nobody-x@here"); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	if err := os.Remove(filepath.Join(home, "bin/qmail-getpw")); err != nil {
		t.Fatal(err)
	}
	if got := report(t, home, l, "", "nobody-x@here"); got != "ZUnable to run qmail-getpw.\n" {
		t.Errorf("without qmail-getpw: %q", got)
	}
}

func TestRemoteReport(t *testing.T) {
	for text, want := range map[string]string{
		"rtext\x00Kyes\n\x00":     "Ktextyes\n",
		"rtext\x00Zno\n\x00":      "Ztextno\n",
		"rtext\x00Dno\n\x00":      "Dtextno\n",
		"stext\x00Kyes\n\x00":     "Ztext",
		"stext\x00Zno\n\x00":      "Ztextno\n",
		"stext\x00Dno\n\x00":      "Ztextno\n",
		"htext\x00Kyes\n\x00":     "Dtext",
		"htext\x00Zno\n\x00":      "Dtext",
		"htext\x00Dno\n\x00":      "Dtextno\n",
		"Kx\x00":                  "Kx",
		"Zx\x00":                  "Zx",
		"Dx\x00":                  "Dx",
		"x":                       "D",
		"Z":                       "D",
		"s":                       "Z",
		"\x00":                    "D",
		"\x00\x00":                "D",
		"r\x00":                   "D",
		"r1\x00r2\x00Kz\x00":      "K1",
		"rtext\x00Kcut":           "Dtextcut",
		"rtext\x00":               "Dtext",
		"rtext\x00x\x00Zlate\x00": "Ztext",
		"":                        "Zqmail-remote produced no output.\n",
	} {
		if got := remoteReport(0, []byte(text)); got != want {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
	for status, want := range map[child.Status]string{
		9:        "Zqmail-remote crashed.\n",
		2 << 8:   "Zqmail-remote crashed.\n",
		111 << 8: "ZUnable to run qmail-remote.\n",
		1 << 8:   "DUnable to run qmail-remote.\n",
		100 << 8: "DUnable to run qmail-remote.\n",
	} {
		if got := remoteReport(status, []byte("rtext\x00Kyes\n\x00")); got != want {
			t.Errorf("status %d: %q", status, got)
		}
	}
}

func TestRemoteDelivery(t *testing.T) {
	home := messages(t)
	script(t, home, "qmail-remote", `printf r; for a; do echo "$a"; done; pwd; cat; printf '\000Kgone\000'`)
	r := &remotes{dir: home + "/queue/mess", argv0: "qmail-remote", path: home + "/bin/qmail-remote", processes: testProcesses(t)}
	want := "Kthere\nme@x\nyou@a@there\n" + home + "/queue/mess\ntextgone"
	if got := report(t, home, r, "me@x", "you@a@there"); got != want {
		t.Errorf("%q", got)
	}
	// Many at once, each under its own number.
	var commands []string
	for n := range delnum.MaxNarrow {
		commands = append(commands, command4(byte(n), "1/24", "", strconv.Itoa(n)+"@x"))
	}
	reports := talk(t, testSpawner(home, r), commands...)
	for _, report := range reports {
		if want := "Kx\n\n" + strconv.Itoa(int(report[0])) + "@x\n"; !strings.HasPrefix(report[1:], want) {
			t.Errorf("%q", report)
		}
	}
	if len(reports) != delnum.MaxNarrow {
		t.Errorf("%d reports", len(reports))
	}
	r.argv0, r.path, r.vars = "no-such-program", "", proc.Vars{"PATH=" + home}
	if got := report(t, home, r, "", "you@there"); got != "ZUnable to run qmail-remote.\n" {
		t.Errorf("a program that is not there: %q", got)
	}
}

func TestPrograms(t *testing.T) {
	home := messages(t)
	script(t, home, "qmail-remote", `printf 'rtext\000Kgone\000'`)
	script(t, home, "mine", `printf 'rmine\000Kgone\000'`)
	type run struct {
		vars proc.Vars
		want string
	}
	runs := []run{
		{nil, "\x03Ktextgone\x00"},
		{proc.Vars{"QMAILREMOTE=mine", "PATH=" + home + "/bin"}, "\x03Kminegone\x00"},
	}
	if os.Getuid() == 0 {
		runs = nil // whose the message must be depends on the machine's accounts
	}
	for _, c := range runs {
		in := command4(3, "1/24", "", "a@b")
		r := proctest.Run(&QmailRspawn, proctest.Case{Vars: append(c.vars, "QMAILHOME="+home), In: in})
		if r.Status != 0 || r.Out != "\xff"+c.want || r.Err != "" {
			t.Errorf("status %d, %q, %q", r.Status, r.Out, r.Err)
		}
	}
	for _, p := range []*proc.Program{&QmailLspawn, &QmailRspawn} {
		r := proctest.Run(p, proctest.Case{Args: []string{"./Mailbox"}, Vars: proc.Vars{"QMAILHOME=" + home + "/none"}})
		if r.Status != 111 || r.Out+r.Err != "" {
			t.Errorf("%s without a queue: status %d, %q", p.Name, r.Status, r.Out+r.Err)
		}
	}
}

// FuzzRemoteReport: a report is a verdict and text without NUL, and a message
// that was not accepted is never reported as delivered.
func FuzzRemoteReport(f *testing.F) {
	f.Add([]byte("rtext\x00Kyes\x00"))
	f.Add([]byte("htext\x00Zno\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got := remoteReport(0, text)
		if !strings.ContainsAny(got[:1], "KZD") || strings.Contains(got, "\x00") {
			t.Errorf("%q: %q", text, got)
		}
		if got[0] == 'K' && !strings.Contains(string(text), "K") {
			t.Errorf("%q: %q", text, got)
		}
	})
}
