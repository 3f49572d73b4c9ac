package send

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"paperpath/internal/fsys"
	"paperpath/mta/queue/store"
)

// putFile puts a file into a queue by hand.
func putFile(t *testing.T, fs fsys.FS, name, text string) {
	t.Helper()
	f, err := fs.Open(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// Every combination of a message's files, those that INTERNALS forbids, too:
// what is delivered, and what stays. qmail-send of notqmail did the same with
// all of them, but for two: with +todo -mess it only complained, and an old
// bounce/N beside todo/N it sent.
func TestEveryState(t *testing.T) {
	const id = store.ID(23001)
	form := store.Form{}
	all := []struct{ name, text string }{
		{id.Mess(), "text\n"},
		{form.Intd(id), envelope("sender@here.example", "a@here.example", "b@there.example")},
		{form.Todo(id), envelope("sender@here.example", "a@here.example", "b@there.example")},
		{id.Info(), "Fs@here.example\x00"},
		{id.Local(), "Tc@here.example\x00"},
		{id.Remote(), "Td@there.example\x00"},
		{id.Bounce(), "<x@there.example>:\nno\n\n"},
	}
	const mess, intd, todo, info, local, remote, bounce = 1, 2, 4, 8, 16, 32, 64
	for state := range 128 {
		has := func(files int) bool { return state&files == files }
		lacks := func(files int) bool { return state&files == 0 }
		fs := emptyQueue()
		var stay, gone, delivered []string
		for i, f := range all {
			if has(1 << i) {
				putFile(t, fs, f.name, f.text)
				stay = append(stay, f.name)
			}
		}
		log := ""
		switch {
		case has(todo | mess): // S4
			delivered = []string{"a@here.example from sender@here.example", "b@there.example from sender@here.example"}
			gone = stay
		case has(todo):
			log = "alert: " + id.Mess() + " is missing; envelope is held in corrupt/23001.todo\n"
			delivered = []string{"postmaster@here.example from #@[]"}
			gone = []string{form.Todo(id), form.Intd(id)}
			for i, f := range stay {
				if f != form.Todo(id) && f != form.Intd(id) {
					stay[i] += ".corrupt"
				}
			}
		case lacks(info): // S1 to S3
		case lacks(local | remote | bounce): // S5, done
			log = "end msg 23001\n"
			gone = stay
		case lacks(mess):
			log = "warning: trouble injecting bounce message, will try later\n"
			if !lacks(local | remote) {
				log = "deferral: qmail-spawn_unable_to_open_message._(#4.3.0)/\n"
			}
		default: // S5
			gone = stay
			if has(local) {
				delivered = append(delivered, "c@here.example from s@here.example")
			}
			if has(remote) {
				delivered = append(delivered, "d@there.example from s@here.example")
			}
			if has(bounce) {
				delivered = append(delivered, "s@here.example from ")
			}
		}
		stay = slices.DeleteFunc(slices.Clone(stay), func(f string) bool { return slices.Contains(gone, f) })
		slices.Sort(stay)

		h := open(t, fs, usual)
		h.send("good\n", "s@there.example", "good@here.example")
		delivered = append(delivered, "good@here.example from s@there.example")
		slices.Sort(delivered)
		var got, left []string
		h.await(fmt.Sprintf("state %07b: %q stay, %q delivered, log %q", state, stay, delivered, log), func() bool {
			left, got = files(fs), nil
			slices.Sort(left)
			for _, d := range h.deliveries() {
				got = append(got, d.recipient+" from "+d.sender)
			}
			slices.Sort(got)
			return slices.Equal(left, stay) && slices.Equal(got, delivered) && strings.Contains(h.log.String(), log)
		})
		h.close()
	}
}

// Things that are no files where files should be. What C did was the same; but
// where bounce/N cannot be written it neither delivers anything nor exits.
func TestOtherThingsInPlaceOfFiles(t *testing.T) {
	put := map[string]func(name string) error{
		"directory": func(name string) error { return os.Mkdir(name, 0o700) },
		"dangling":  func(name string) error { return os.Symlink("/nonexistent/file", name) },
		"fifo":      func(name string) error { return unix.Mkfifo(name, 0o600) },
	}
	trouble := func(what string) string { return "warning: trouble " + what + "; will try again later\n" }
	for _, c := range []struct {
		file, what string
		log        string   // has this line
		left       []string // files of the message that are still there
	}{
		{"mess", "directory", "unable_to_open_message", []string{"mess/1/24", "info/1/24", "local/1/24"}},
		{"mess", "dangling", "unable_to_open_message", []string{"mess/1/24", "info/1/24", "local/1/24"}},
		{"todo", "directory", "warning: trouble reading todo/24\n", []string{"mess/1/24", "todo/24"}},
		{"todo", "dangling", "", []string{"mess/1/24", "todo/24"}},
		{"todo", "fifo", "alert: todo/24 is corrupt", []string{"corrupt/24.mess", "corrupt/24.todo"}},
		{"info", "directory", trouble("opening info/1/24"), []string{"mess/1/24", "info/1/24", "local/1/24"}},
		{"info", "dangling", "", []string{"mess/1/24", "info/1/24", "local/1/24"}},
		{"info", "fifo", "alert: info/1/24 is corrupt", []string{"corrupt/24.mess", "info/1/24.corrupt", "local/1/24.corrupt"}},
		{"local", "directory", trouble("reading local/1/24"), []string{"mess/1/24", "info/1/24", "local/1/24"}},
		{"local", "fifo", "alert: local/1/24 is corrupt", []string{"corrupt/24.mess", "info/1/24.corrupt", "local/1/24.corrupt"}},
		{"bounce", "directory", "alert: unable to append to bounce message; HELP! sleeping...\n", []string{"mess/1/24", "info/1/24", "local/1/24", "bounce/24"}},
		{"bounce", "dangling", "alert: unable to append to bounce message; HELP! sleeping...\n", []string{"mess/1/24", "info/1/24", "local/1/24", "bounce/24"}},
		{"bounce", "fifo", "alert: unable to append to bounce message; HELP! sleeping...\n", []string{"mess/1/24", "info/1/24", "local/1/24", "bounce/24"}},
	} {
		fs := fsys.OS{Root: t.TempDir()}
		for _, dir := range queueDirs() {
			if err := os.MkdirAll(fs.Root+"/"+dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		const id = store.ID(24)
		names := map[string]string{"mess": id.Mess(), "todo": store.Form{}.Todo(id), "info": id.Info(), "local": id.Local(), "bounce": id.Bounce()}
		texts := map[string]string{"mess": "text\n", "info": "Fs@there.example\x00", "local": "Tfail@here.example\x00"}
		if c.file == "todo" {
			texts = map[string]string{"mess": "text\n"}
		}
		delete(texts, c.file)
		for file, text := range texts {
			putFile(t, fs, names[file], text)
		}
		if err := put[c.what](fs.Root + "/" + names[c.file]); err != nil {
			t.Fatal(err)
		}
		h := open(t, fs, usual)
		h.send("good\n", "s@there.example", "good@here.example")
		h.awaitLog(c.log)
		h.await("delivery of the good one", func() bool {
			return slices.ContainsFunc(h.deliveries(), func(d delivered) bool { return d.recipient == "good@here.example" })
		})
		h.close()
		for _, name := range c.left {
			if _, err := fs.Lstat(name); err != nil {
				t.Errorf("%s in place of %s: %s: %v\n%s", c.what, c.file, name, err, h.log)
			}
		}
	}
}

// Names that are no message's are left alone, wherever they are.
func TestForeignNames(t *testing.T) {
	fs := emptyQueue()
	var want []string
	for _, dir := range []string{"todo", "intd", "pid", "bounce", "info/3", "local/3", "remote/3", "mess/3"} {
		for _, name := range []string{"foreign", ".dot", "12x", "-5", "+6", "012", "99999999999999999999999", "24.corrupt"} {
			if dir == "pid" && name != "foreign" {
				continue
			}
			putFile(t, fs, dir+"/"+name, "not a message")
			want = append(want, dir+"/"+name)
		}
	}
	h := open(t, fs, usual)
	h.send("good\n", "s@there.example", "good@here.example", "fail@here.example")
	h.await("other files alone", func() bool {
		left := files(fs)
		slices.Sort(left)
		slices.Sort(want)
		return len(h.deliveries()) == 2 && slices.Equal(left, want)
	})
	h.close()
	if log := h.log.String(); strings.Contains(log, "warning") || strings.Contains(log, "alert") {
		t.Error(log)
	}
}

// Damaged lists and envelopes: nothing vanishes.
func TestDamagedFiles(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		corrupt    bool
		delivered  string
	}{
		"empty todo":             {"todo", "", true, ""},
		"one NUL":                {"todo", "\x00", true, ""},
		"torn sender":            {"todo", "Fs@there.exam", true, ""},
		"no recipients":          {"todo", "Fs@there.example\x00", false, ""},
		"torn recipient":         {"todo", "Fs@there.example\x00Ta@here.example\x00Tb@he", true, ""},
		"recipient first":        {"todo", "Ta@here.example\x00Fs@there.example\x00", true, ""},
		"uid behind":             {"todo", "Fs@there.example\x00Ta@here.example\x00u5\x00", false, "a@here.example"},
		"uid that is none":       {"todo", "ux\x00p\x00Fs@there.example\x00Ta@here.example\x00", false, "a@here.example"},
		"empty recipient":        {"todo", "Fs@there.example\x00T\x00", false, "@here.example"},
		"empty list":             {"local", "", true, ""},
		"NUL in a list":          {"local", "\x00Ta@here.example\x00", true, ""},
		"torn list":              {"local", "Ta@here.example\x00Tb@he", true, "a@here.example"},
		"all done":               {"local", "Da@here.example\x00Db@here.example\x00", false, ""},
		"unknown letter":         {"local", "Ta@here.example\x00Qx\x00Tb@here.example\x00", true, "a@here.example"},
		"empty info":             {"info", "", true, ""},
		"torn info":              {"info", "Fs@there.exam", true, ""},
		"other letter in info":   {"info", "Xs@there.example\x00", true, ""},
		"more behind the sender": {"info", "Fs@there.example\x00Fother\x00junk", false, "a@here.example"},
		"long sender":            {"info", "F" + strings.Repeat("s", 5000) + "@there.example\x00", false, "a@here.example"},
	} {
		fs := emptyQueue()
		const id = store.ID(24)
		putFile(t, fs, id.Mess(), "text\n")
		switch c.file {
		case "todo":
			putFile(t, fs, store.Form{}.Todo(id), c.text)
		case "local":
			putFile(t, fs, id.Info(), "Fs@there.example\x00")
			putFile(t, fs, id.Local(), c.text)
		case "info":
			putFile(t, fs, id.Info(), c.text)
			putFile(t, fs, id.Local(), "Ta@here.example\x00")
		}
		h := open(t, fs, usual)
		if c.corrupt {
			h.awaitLog(" is corrupt; message is held in corrupt/24.mess\n")
			h.awaitLog("postmaster@here.example\n")
		} else {
			h.awaitLog("end msg 24\n")
		}
		h.await("end", h.finished)
		h.close()
		var got []string
		for _, d := range h.deliveries() {
			if d.sender != doubleBounceSender {
				got = append(got, d.recipient)
			}
		}
		if strings.Join(got, " ") != c.delivered {
			t.Errorf("%s: delivered to %q, want %q", name, got, c.delivered)
		}
		if c.corrupt && read(t, fs, "corrupt/24.mess") != "text\n" {
			t.Errorf("%s: the message changed", name)
		}
	}
}
