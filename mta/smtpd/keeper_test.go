package smtpd

import (
	"os"
	"sync"
	"testing"
	"time"

	"paperpath/internal/fsys"
)

// greet returns the greeting that the next connection would get, and whether
// files were read for it.
func greet(t *testing.T, k *keeper, home string) (greeting string, fresh bool) {
	t.Helper()
	set, fresh, err := k.get(home)
	if err != nil {
		t.Fatal(err)
	}
	defer k.put(set)
	return set.greeting, fresh
}

// A change counts from the next connection on, however the file was changed
// and however long nothing had been; and without a change nothing is read.
func TestChangesCountAtOnce(t *testing.T) {
	type tree struct{ home, elsewhere string }
	write := func(t *testing.T, name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name           string
		before, change func(t *testing.T, d tree) error
		want           string
		linkToNowhere  bool // which is never trusted
	}{
		{name: "written in place, as long as before", want: "two",
			change: func(t *testing.T, d tree) error { write(t, d.home+"/control/me", "two"); return nil }},
		{name: "replaced", want: "two",
			change: func(t *testing.T, d tree) error {
				write(t, d.home+"/control/new", "two")
				return os.Rename(d.home+"/control/new", d.home+"/control/me")
			}},
		{name: "a new file", want: "two",
			change: func(t *testing.T, d tree) error { write(t, d.home+"/control/smtpgreeting", "two"); return nil }},
		{name: "a file less", want: "one",
			before: func(t *testing.T, d tree) error { write(t, d.home+"/control/smtpgreeting", "two"); return nil },
			change: func(t *testing.T, d tree) error { return os.Remove(d.home + "/control/smtpgreeting") }},
		{name: "written at the end of a link", want: "two",
			before: func(t *testing.T, d tree) error {
				write(t, d.elsewhere+"/g", "was")
				return os.Symlink(d.elsewhere+"/g", d.home+"/control/smtpgreeting")
			},
			change: func(t *testing.T, d tree) error { write(t, d.elsewhere+"/g", "two"); return nil }},
		{name: "a link that led nowhere", want: "two", linkToNowhere: true,
			before: func(t *testing.T, d tree) error { return os.Symlink(d.elsewhere+"/g", d.home+"/control/smtpgreeting") },
			change: func(t *testing.T, d tree) error { write(t, d.elsewhere+"/g", "two"); return nil }},
		{name: "another directory", want: "two",
			before: func(t *testing.T, d tree) error {
				if err := os.Mkdir(d.home+"/next", 0o755); err != nil {
					return err
				}
				write(t, d.home+"/next/me", "two")
				return nil
			},
			change: func(t *testing.T, d tree) error {
				if err := os.Rename(d.home+"/control", d.home+"/was"); err != nil {
					return err
				}
				return os.Rename(d.home+"/next", d.home+"/control")
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := tree{t.TempDir(), t.TempDir()}
			if err := os.Mkdir(d.home+"/control", 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, d.home+"/control/me", "one")
			if tt.before != nil {
				if err := tt.before(t, d); err != nil {
					t.Fatal(err)
				}
			}
			var k keeper
			for range 2 {
				if _, fresh := greet(t, &k, d.home); !fresh {
					t.Error("files that have just changed were trusted")
				}
			}
			time.Sleep(settled + 100*time.Millisecond)
			greet(t, &k, d.home)
			if _, fresh := greet(t, &k, d.home); fresh != tt.linkToNowhere {
				t.Errorf("files were read: %v", fresh)
			}
			using, _, err := k.get(d.home)
			if err != nil {
				t.Fatal(err)
			}
			was := using.greeting

			if err := tt.change(t, d); err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					if got, _ := greet(t, &k, d.home); got != tt.want {
						t.Errorf("%q, want %q", got, tt.want)
					}
				})
			}
			all.Wait()
			if using.greeting != was {
				t.Errorf("what is in use became %q", using.greeting)
			}
			k.put(using)
		})
	}
}

// Settings are of one home directory, and a home without any is an error each
// time.
func TestOtherHomes(t *testing.T) {
	var k keeper
	for range 2 {
		if _, _, err := k.get(t.TempDir()); err == nil {
			t.Error("no control/me, no error")
		}
	}
	one, two := home(t, map[string]string{"me": "one"}), home(t, map[string]string{"me": "two"})
	for range 2 {
		for fs, want := range map[fsys.FS]string{one: "one", two: "two"} {
			if got, _ := greet(t, &k, fs.(fsys.OS).Root); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
}
