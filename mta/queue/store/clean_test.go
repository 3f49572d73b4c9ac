package store

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"paperpath/internal/fsys"
	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

func exists(fs fsys.OS, name string) bool {
	_, err := os.Lstat(fs.Root + "/" + name)
	return err == nil
}

func serve(t *testing.T, fs fsys.FS, commands string) string {
	t.Helper()
	out := &proctest.Buffer{}
	if err := ServeClean(fs, strings.NewReader(commands), out, time.Now); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestCleanTodoLeavesTheMessage(t *testing.T) {
	fs := queueDir(t)
	put(t, fs, "intd/24", "")
	put(t, fs, "todo/24", "")
	put(t, fs, "mess/1/24", "body")
	if got := serve(t, fs, "todo/24\x00"); got != "+" {
		t.Errorf("answer %q", got)
	}
	if exists(fs, "intd/24") || exists(fs, "todo/24") || !exists(fs, "mess/1/24") {
		t.Error("wrong files are left")
	}
}

// A queue of the big-todo patch, with commands as its qmail-send and as ours
// gives them.
func TestCleanBigTodo(t *testing.T) {
	for _, command := range []string{"todo/24", "todo/1/24"} {
		fs := queueDir(t)
		for _, dir := range []string{"todo/0", "todo/1", "intd/1"} {
			os.Mkdir(fs.Root+"/"+dir, 0o700)
		}
		put(t, fs, "intd/1/24", "")
		put(t, fs, "todo/1/24", "")
		put(t, fs, "mess/1/24", "body")
		if got := serve(t, fs, "todo/2/24\x00todo/1/2/24\x00/24\x00"+command+"\x00"); got != "xxx+" {
			t.Errorf("answers %q", got)
		}
		if exists(fs, "intd/1/24") || exists(fs, "todo/1/24") || !exists(fs, "mess/1/24") {
			t.Error("wrong files are left")
		}
		put(t, fs, "intd/1/24", "")
		if got := serve(t, fs, "foop/1/24\x00"); got != "+" || exists(fs, "intd/1/24") || exists(fs, "mess/1/24") {
			t.Errorf("foop: answer %q", got)
		}
		put(t, fs, "todo/1/24", "")
		put(t, fs, "mess/1/24", "body")
		if got := serve(t, fs, "hold/24\x00"); got != "+" || exists(fs, "todo/1/24") || !exists(fs, "corrupt/24.todo") {
			t.Errorf("hold: answer %q", got)
		}
	}
}

// Names of the plain form in such a queue are as good. The subdirectories may
// come while qmail-clean runs.
func TestCleanBothForms(t *testing.T) {
	fs := queueDir(t)
	commands, w := io.Pipe()
	r, answers := io.Pipe()
	defer w.Close()
	go ServeClean(fs, commands, answers, time.Now)
	command := func(command string) string {
		w.Write([]byte(command + "\x00"))
		b := make([]byte, 1)
		r.Read(b)
		return string(b)
	}
	plain := []string{"intd/24", "todo/24", "mess/1/24"}
	big := []string{"intd/1/24", "todo/1/24", "mess/1/24"}
	for i, names := range [][]string{plain, big, plain} {
		if i == 1 {
			for _, dir := range []string{"todo/0", "todo/1", "intd/1"} {
				os.Mkdir(fs.Root+"/"+dir, 0o700)
			}
		}
		for _, name := range names {
			put(t, fs, name, "")
		}
		if got := command("todo/24"); got != "+" || exists(fs, names[0]) || exists(fs, names[1]) || !exists(fs, names[2]) {
			t.Errorf("%q: answer %q", names, got)
		}
		put(t, fs, names[0], "")
		if got := command("foop/24"); got != "+" || exists(fs, names[0]) || exists(fs, names[2]) {
			t.Errorf("%q: foop: answer %q", names, got)
		}
		for _, name := range names {
			put(t, fs, name, "of "+name)
		}
		if got := command("hold/24"); got != "+" || exists(fs, names[0]) || exists(fs, names[1]) {
			t.Errorf("%q: hold: answer %q", names, got)
		}
		if b, err := os.ReadFile(fs.Root + "/corrupt/24.todo"); string(b) != "of "+names[1] {
			t.Errorf("%q: held %q %v", names, b, err)
		}
	}
}

func TestCleanMessAnswersInOrder(t *testing.T) {
	fs := queueDir(t)
	put(t, fs, "intd/24", "")
	put(t, fs, "mess/1/24", "body")
	os.Mkdir(fs.Root+"/mess/2/25", 0o700) // cannot be unlinked
	got := serve(t, fs, "foop/24\x00foop/25\x00foop/26\x00nonsense/1\x00foop/\x00foop/1x\x00"+
		"foop/"+strings.Repeat("1", 6000)+"\x00foop/"+strings.Repeat("1", 200)+"\x00foop/27\x00foop/28")
	if want := "+!+xxxxx+"; got != want {
		t.Errorf("answers %q, want %q", got, want)
	}
	if exists(fs, "intd/24") || exists(fs, "mess/1/24") {
		t.Error("files are left")
	}
}

func TestHoldKeepsEveryByte(t *testing.T) {
	fs := queueDir(t)
	put(t, fs, "mess/1/24", "body")
	put(t, fs, "todo/24", "garbage")
	put(t, fs, "intd/24", "garbage")
	for range 2 { // the second finds nothing left to do
		if got := serve(t, fs, "hold/24\x00"); got != "+" {
			t.Errorf("answer %q", got)
		}
	}
	for name, want := range map[string]string{"corrupt/24.mess": "body", "corrupt/24.todo": "garbage"} {
		if b, err := os.ReadFile(fs.Root + "/" + name); err != nil || string(b) != want {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
	if exists(fs, "mess/1/24") || exists(fs, "todo/24") || exists(fs, "intd/24") {
		t.Error("the message is still in the queue")
	}
}

func TestPidIsCleanedAfter36Hours(t *testing.T) {
	fs := queueDir(t)
	put(t, fs, "pid/1.2.3", "")
	clock := time.Now().Add(Ossified - time.Minute)
	now := func() time.Time { return clock }
	ServeClean(fs, strings.NewReader(""), &proctest.Buffer{}, now)
	if !exists(fs, "pid/1.2.3") {
		t.Error("removed while its qmail-queue may live")
	}
	clock = clock.Add(2 * time.Minute)
	ServeClean(fs, strings.NewReader(""), &proctest.Buffer{}, now)
	if exists(fs, "pid/1.2.3") {
		t.Error("not removed")
	}
	// What counts is the access time, wherever that comes from.
	put(t, fs, "pid/4.5.6", "")
	old := time.Now().Add(-Ossified - time.Minute)
	if err := os.Chtimes(fs.Root+"/pid/4.5.6", old, time.Now()); err != nil {
		t.Fatal(err)
	}
	ServeClean(fs, strings.NewReader(""), &proctest.Buffer{}, time.Now)
	if exists(fs, "pid/4.5.6") {
		t.Error("not removed though long not read")
	}
}

func TestQmailCleanEndsWithItsInput(t *testing.T) {
	fs := queueDir(t)
	home := t.TempDir()
	os.Symlink(fs.Root, home+"/queue")
	vars := proc.Vars{"QMAILHOME=" + home}
	if r := proctest.Run(&QmailClean, proctest.Case{Vars: vars, In: "todo/1\x00todo/2"}); r.Status != 0 || r.Out != "+" || r.Err != "" {
		t.Errorf("%+v", r)
	}
	if r := proctest.Run(&QmailClean, proctest.Case{Vars: proc.Vars{"QMAILHOME=" + home + "/no"}}); r.Status != 111 || r.Err != "" {
		t.Errorf("without a queue: %+v", r)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("foop/1\x00todo/2\x00hold/3\x00x")
	f.Fuzz(func(t *testing.T, commands string) {
		fs := fsys.OS{Root: t.TempDir()}
		out := &proctest.Buffer{}
		ServeClean(fs, strings.NewReader(commands), out, time.Now)
		if got, want := len(out.String()), strings.Count(commands, "\x00"); got != want {
			t.Errorf("%d answers to %d commands", got, want)
		}
	})
}
