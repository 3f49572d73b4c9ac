package qualify

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"paperpath/internal/proc"
)

func TestNames(t *testing.T) {
	dir := t.TempDir()
	rules := filepath.Join(dir, "rules")
	if err := os.WriteFile(rules, []byte("# x\n=zz:one.test\n*.a:.b\n?:.test \t\n-.me:two.test\n?.q:+.r+\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	none := proc.Vars{"DNSREWRITEFILE=" + filepath.Join(dir, "none")}
	for _, c := range []struct {
		vars proc.Vars
		name string
		want []string
	}{
		{append(none, "LOCALDOMAIN=x.test y"), "host", []string{"host.x.test", "host.y"}},
		{append(none, "LOCALDOMAIN=x"), "a.b", []string{"a.b"}},
		{append(none, "LOCALDOMAIN=x"), "host.", []string{"host"}},
		{append(none, "LOCALDOMAIN="), "host", []string{"host"}},
		{append(none, "LOCALDOMAIN=x"), "[host]", []string{"[host]"}},
		{append(none, "LOCALDOMAIN=x"), "a.b+.c+.d", []string{"a.b.c", "a.b.d"}},
		{append(none, "LOCALDOMAIN=x"), "a.+", []string{"a."}},
		{proc.Vars{"DNSREWRITEFILE=" + rules}, "zz", []string{"one.test"}},
		{proc.Vars{"DNSREWRITEFILE=" + rules}, "zzz", []string{"zzz.test"}},
		{proc.Vars{"DNSREWRITEFILE=" + rules}, "x.A", []string{"x.b"}},
		{proc.Vars{"DNSREWRITEFILE=" + rules}, "x.y.me", []string{"two.test"}},
	} {
		got, err := Names(c.vars, c.name)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q, %q: %q, %v; want %q", c.vars, c.name, got, err, c.want)
		}
	}
	if _, err := Names(proc.Vars{"DNSREWRITEFILE=/"}, "x"); err == nil {
		t.Error("a directory is a file of rules")
	}
}

func TestResolvConf(t *testing.T) {
	none := proc.Vars{"DNSREWRITEFILE=/nonexistent/file"}
	file := filepath.Join(t.TempDir(), "resolv.conf")
	for text, want := range map[string][]string{
		"nameserver 1.2.3.4\nsearch a.b\tc\ndomain d\n": {"?:+.a.b+.c", "*.:"},
		"domain\td ":   {"?:+.d", "*.:"},
		"search \n":    {"?:", "*.:"},
		"searching x ": nil,
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := load(none, file)
		if err != nil || want != nil && !slices.Equal(got, want) || got[len(got)-1] != "*.:" {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
