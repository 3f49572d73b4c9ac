package service

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paperpath/internal/proc"
)

// files makes a service directory with these files; a name that ends with a slash
// is a directory.
func files(t *testing.T, files map[string]string) *Dir {
	t.Helper()
	base := t.TempDir()
	for name, text := range files {
		path := filepath.Join(base, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		var err error
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o755)
		} else {
			err = os.WriteFile(path, []byte(text), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(&proc.Env{}, base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestRules(t *testing.T) {
	rules := func(change func(*Rules)) Rules {
		r := DefaultRules
		r.Permafail = true
		change(&r)
		return r
	}
	for _, c := range []struct {
		files map[string]string
		want  Rules
		warns string
	}{
		{files: map[string]string{"run": "", "down": "", "log/": ""}, want: DefaultRules},
		{files: map[string]string{"permafail": ""}, want: rules(func(*Rules) {})},
		{files: map[string]string{"finish": ""}, want: rules(func(*Rules) {})},
		{files: map[string]string{"notification-fd": "3\n"}, want: rules(func(r *Rules) { r.NotifyFD = 3 })},
		{files: map[string]string{"notification-fd": "0\n"}, want: rules(func(*Rules) {}), warns: "unable to use notification-fd: not understood"},
		{files: map[string]string{"notification-fd": "1\n"}, want: rules(func(r *Rules) { r.NotifyFD = 1 })}, // s6-ipcserver -1
		{files: map[string]string{"notification-fd": "1023"}, want: rules(func(r *Rules) { r.NotifyFD = 1023 })},
		{files: map[string]string{"notification-fd": "1024"}, want: rules(func(*Rules) {}), warns: "unable to use notification-fd: not understood"},
		{files: map[string]string{"notification-socket": ""}, want: rules(func(r *Rules) { r.NotifySocket = true })},
		{files: map[string]string{"down-signal": " int \n"}, want: rules(func(r *Rules) { r.DownSignal = unix.SIGINT })},
		{files: map[string]string{"down-signal": "SIGQUIT\n"}, want: rules(func(r *Rules) { r.DownSignal = unix.SIGQUIT })},
		{files: map[string]string{"down-signal": "10\n"}, want: rules(func(r *Rules) { r.DownSignal = unix.SIGUSR1 })},
		{files: map[string]string{"down-signal": "SIGNAL\n"}, want: rules(func(*Rules) {}), warns: "unable to use down-signal: not understood"},
		{files: map[string]string{"down-signal": "0\n"}, want: rules(func(*Rules) {}), warns: "unable to use down-signal: not understood"},
		{files: map[string]string{"timeout-kill": "1500\nanything\n"}, want: rules(func(r *Rules) { r.KillAfter = 1500 * time.Millisecond })},
		{files: map[string]string{"timeout-kill": "-1\n"}, want: rules(func(*Rules) {}), warns: "unable to use timeout-kill: not understood"},
		{files: map[string]string{"timeout-finish": "0\n"}, want: rules(func(r *Rules) { r.FinishWithin = 0 })},
		{files: map[string]string{"restart-delay": ""}, want: rules(func(r *Rules) { r.MaxDelay = time.Minute })},
		{files: map[string]string{"restart-delay": "8000"}, want: rules(func(r *Rules) { r.MaxDelay = 8 * time.Second })},
		{files: map[string]string{"restart-delay/": ""}, want: rules(func(*Rules) {}), warns: "unable to use restart-delay: not a regular file"},
		{files: map[string]string{"after": "db\n# comment\n\n cache/log \n"}, want: rules(func(r *Rules) { r.After = []string{"db", "cache/log"} })},
		{files: map[string]string{"after/b": "", "after/a": "", "after/.c": ""}, want: rules(func(r *Rules) { r.After = []string{"a", "b"} })},
		{files: map[string]string{"after": "../x\n/y\n.z\na/b\nok"}, want: rules(func(r *Rules) { r.After = []string{"ok"} }),
			warns: "unable to use after: ../x is no name of a service"},
	} {
		var warned []string
		got := files(t, c.files).Rules(func(err error) { warned = append(warned, err.Error()) })
		if len(c.want.After) == 0 && len(got.After) == 0 {
			got.After = nil
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %+v, want %+v", c.files, got, c.want)
		}
		if len(warned) == 0 != (c.warns == "") || len(warned) > 0 && warned[0] != c.warns {
			t.Errorf("%v: warns %q, want %q", c.files, warned, c.warns)
		}
	}
}

// A list of any length is read whole, or refused.
func TestRulesOfLongAfter(t *testing.T) {
	numbered := func(n int) (names []string) {
		for i := range n {
			names = append(names, fmt.Sprintf("service-%05d", i))
		}
		return names
	}
	for n, warns := range map[int]string{1000: "", 5000: "unable to use after: too long"} {
		names := numbered(n)
		file := files(t, map[string]string{"after": strings.Join(names, "\n")})
		dir := files(t, map[string]string{"after/": ""})
		for _, name := range names {
			fd, err := unix.Openat(dir.at(), "after/"+name, unix.O_CREAT|unix.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			unix.Close(fd)
		}
		if warns != "" {
			names = nil
		}
		for kind, d := range map[string]*Dir{"file": file, "directory": dir} {
			warned := ""
			got := d.Rules(func(err error) { warned = err.Error() })
			if !slices.Equal(got.After, names) || warned != warns {
				t.Errorf("%s of %d names: %d read, warning %q, want %q", kind, n, len(got.After), warned, warns)
			}
		}
	}
}

// A fifo is not waited for.
func TestRulesOfFIFO(t *testing.T) {
	d := files(t, map[string]string{"run": ""})
	for _, name := range []string{"after", "down-signal"} {
		if err := unix.Mkfifoat(d.at(), name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	warned := 0
	if got := d.Rules(func(error) { warned++ }); got.DownSignal != unix.SIGTERM || len(got.After) != 0 || warned != 2 {
		t.Errorf("%+v, %d warnings", got, warned)
	}
}
