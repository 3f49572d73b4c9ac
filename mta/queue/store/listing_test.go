package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

// home lays out a qmail home with a queue and the given files in it.
func home(t *testing.T, files map[string]string) (string, proc.Vars) {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"mess", "info", "local", "remote"} {
		for _, name := range Subdirs(sub) {
			if err := os.MkdirAll(filepath.Join(dir, "queue", name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, sub := range []string{"todo", "bounce"} {
		if err := os.Mkdir(filepath.Join(dir, "queue", sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	birth := time.Unix(1700000000, 0)
	for name, text := range files {
		name = filepath.Join(dir, "queue", name)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, birth, birth); err != nil {
			t.Fatal(err)
		}
	}
	return dir, proc.Vars{"QMAILHOME=" + dir}
}

// The listing is what qmail-qread of notqmail printed for the same queue.
func TestQmailQread(t *testing.T) {
	_, vars := home(t, map[string]string{
		"mess/8/100": "0123456789", "info/8/100": "Fa@b\x00",
		"local/8/100": "Tx@y\x00Dz@w\x00", "remote/8/100": "Tr@q\x00",
		"mess/9/101": "", "info/9/101": "F\x00", "local/9/101": "Tx\x01\xff~ y\x00", "bounce/101": "text",
		"mess/0/46": "x", "info/0/46": "Fsen\tder\x7f\x00", "remote/0/46": "Drr\x00Q?\x00Tt\x00",
		"info/1/24":  "Fa\x00", // its message is gone
		"mess/2/25":  "..",     // not preprocessed
		"info/5/abc": "Fa\x00", "info/5/0005": "Fa\x00",
	})
	got := proctest.Run(&QmailQread, proctest.Case{Vars: vars})
	want := "14 Nov 2023 22:13:20 GMT  #46  1  <sen_der_> \n" +
		"  done\tremote\trr\n" +
		"\tremote\tt\n" +
		"warning: trouble with #24: file does not exist\n" +
		"14 Nov 2023 22:13:20 GMT  #100  10  <a@b> \n" +
		"\tlocal\tx@y\n" +
		"  done\tlocal\tz@w\n" +
		"\tremote\tr@q\n" +
		"14 Nov 2023 22:13:20 GMT  #101  0  <>  bouncing\n" +
		"\tlocal\tx__~ y\n"
	if got.Out != want || got.Status != 0 || got.Err != "" {
		t.Errorf("status %d\n%s%s\nwant\n%s", got.Status, got.Out, got.Err, want)
	}
}

func TestQmailQreadTroubles(t *testing.T) {
	dir, vars := home(t, map[string]string{
		"mess/8/100": "x", "info/8/100": "no sender",
		"mess/9/101": "x", "info/9/101": "Fs\x00", "local/9/101": "Ta\x00Tbroken",
	})
	got := proctest.Run(&QmailQread, proctest.Case{Vars: vars})
	want := "warning: trouble with #100: not a queue file\n" +
		"14 Nov 2023 22:13:20 GMT  #101  1  <s> \n\tlocal\ta\n" +
		"warning: trouble with #101: not a queue file\n"
	if got.Out != want || got.Status != 0 {
		t.Errorf("status %d\n%s\nwant\n%s", got.Status, got.Out, want)
	}
	os.RemoveAll(dir + "/queue/info/0")
	got = proctest.Run(&QmailQread, proctest.Case{Vars: vars})
	if want := "fatal: unable to opendir info/0: file does not exist\n"; got.Out != want || got.Status != 111 {
		t.Errorf("status %d, %q", got.Status, got.Out)
	}
	os.RemoveAll(dir + "/queue")
	got = proctest.Run(&QmailQread, proctest.Case{Vars: vars})
	if want := "fatal: unable to chdir: file does not exist\n"; got.Out != want || got.Status != 111 {
		t.Errorf("status %d, %q", got.Status, got.Out)
	}
}

func TestQmailQstat(t *testing.T) {
	dir, vars := home(t, map[string]string{
		"mess/0/23": "", "mess/1/24": "", "mess/1/47": "", "mess/1/notes": "", "todo/24": "",
	})
	got := proctest.Run(&QmailQstat, proctest.Case{Vars: vars})
	want := "messages in queue: 3\nmessages in queue but not yet preprocessed: 1\n"
	if got.Out != want || got.Status != 0 || got.Err != "" {
		t.Errorf("status %d, %q, %q", got.Status, got.Out, got.Err)
	}
	os.RemoveAll(dir + "/queue/todo")
	got = proctest.Run(&QmailQstat, proctest.Case{Vars: vars})
	want = "messages in queue: 3\nmessages in queue but not yet preprocessed: 0\n"
	if got.Out != want || got.Status != 0 || got.Err != "qmail-qstat: warning: unable to read todo: file does not exist\n" {
		t.Errorf("status %d, %q, %q", got.Status, got.Out, got.Err)
	}
}

func TestQmailQstatBigTodo(t *testing.T) {
	dir, vars := home(t, nil)
	for _, name := range Subdirs("todo") {
		os.Mkdir(dir+"/queue/"+name, 0o755)
	}
	// The last one has a name of the plain form.
	for _, name := range []string{"mess/1/24", "mess/0/23", "mess/2/25", "todo/1/24", "todo/0/23", "todo/25"} {
		os.WriteFile(dir+"/queue/"+name, nil, 0o644)
	}
	got := proctest.Run(&QmailQstat, proctest.Case{Vars: vars})
	want := "messages in queue: 3\nmessages in queue but not yet preprocessed: 3\n"
	if got.Out != want || got.Status != 0 || got.Err != "" {
		t.Errorf("status %d, %q, %q", got.Status, got.Out, got.Err)
	}
}
