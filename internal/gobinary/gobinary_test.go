package gobinary

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestThisProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, err := Info(self)
	if err != nil {
		t.Fatal(err)
	}
	if got := Main(info); !strings.HasSuffix(got, "internal/gobinary.test") {
		t.Errorf("main package %q of\n%s", got, info)
	}
	if !SameBuild(info, info) {
		t.Error("not the same build as itself")
	}
}

func TestOtherFiles(t *testing.T) {
	for _, name := range []string{"/bin/sh", "gobinary.go", "/dev/null", "no/such/file", "."} {
		if info, err := Info(name); err == nil {
			t.Errorf("%s: %q", name, info)
		}
	}
}

func TestSameBuild(t *testing.T) {
	a := "path\tm/cmd/a\nmod\tm\tv1\t\ndep\tx\tv3\th1:=\nbuild\t-tags=x\n"
	for _, c := range []struct {
		b    string
		same bool
	}{
		{"path\tm/cmd/b\nmod\tm\tv1\t\nbuild\t-tags=x\n", true},
		{"path\tm/cmd/b\nmod\tm\tv2\t\nbuild\t-tags=x\n", false},
		{"path\tm/cmd/b\nmod\tm\tv1\t\n", false},
		{"path\tm/cmd/b\nmod\tm\tv1\t\ndep\tx\tv3\th1:=\nbuild\t-tags=x\n", true},
		{"path\tm/cmd/b\nmod\tm\tv1\t\ndep\tx\tv4\th1:=\nbuild\t-tags=x\n", false},
		{"path\tm/cmd/b\nmod\tm\tv1\t\ndep\ty\tv4\th1:=\n=>\t../y\nbuild\t-tags=x\n", true},
		{"path\tm/cmd/b\nmod\tm\tv1\t\nbuild\t-tags=y\n", false},
		{"path\tm/cmd/b\nmod\tm\tv1\t\nbuild\t-tags=x\nbuild\t-race=true\n", false},
		{"path\tn/cmd/b\nmod\tn\tv1\t\nbuild\t-tags=x\n", false},
		{"", false},
	} {
		if got := SameBuild(c.b, a); got != c.same {
			t.Errorf("%q, the other way: %v", c.b, got)
		}
		if got := SameBuild(a, c.b); got != c.same {
			t.Errorf("%q: %v", c.b, got)
		}
	}
	if Main(a) != "m/cmd/a" {
		t.Errorf("main package %q", Main(a))
	}
}

// elf makes the smallest file that has the section.
func elf(section []byte) []byte {
	const strtab = "\x00.go.buildinfo\x00"
	b := make([]byte, 64+2*64)
	copy(b, magic)
	b[4], b[5] = 2, 1
	b[40], b[58], b[60], b[62] = 64, 64, 2, 1
	b[64] = 1                                    // section 0: its name is at 1
	b[64+24], b[64+32] = 208, byte(len(section)) // where, how long
	b[128+24], b[128+32] = 192, byte(len(strtab))
	b = append(b, strtab+"\x00"...)
	return append(b, section...)
}

// elf32 is elf for 32 bits and the other order.
func elf32(section []byte) []byte {
	const strtab = "\x00.go.buildinfo\x00"
	b := make([]byte, 64+2*40)
	copy(b, magic)
	b[4], b[5] = 1, 2
	b[35], b[47], b[49], b[51] = 64, 40, 2, 1
	b[64+3] = 1
	b[64+19], b[64+23] = 160, byte(len(section))
	b[104+19], b[104+23] = 144, byte(len(strtab))
	b = append(b, strtab+"\x00"...)
	return append(b, section...)
}

func TestKindsOfFiles(t *testing.T) {
	header := "\xff Go buildinf:\x08"
	rest := strings.Repeat("\x00", 16) + "\x04go1." + "\x25" +
		strings.Repeat("s", 16) + "path\t" + strings.Repeat("e", 16)
	for _, c := range []struct {
		name    string
		section string
		info    string
	}{
		{"with modules", header + "\x02" + rest, "path\t"},
		{"without", header + "\x02" + strings.Repeat("\x00", 16) + "\x04go1.\x00", ""},
		{"before Go 1.18", header + "\x00" + rest, ""},
	} {
		for _, file := range [][]byte{elf([]byte(c.section)), elf32([]byte(c.section))} {
			if info, err := Read(bytes.NewReader(file)); err != nil || info != c.info {
				t.Errorf("%s: %q, %v; want %q", c.name, info, err, c.info)
			}
		}
	}
	for _, section := range []string{"", header, "\xff No buildinf:\x08\x02" + rest, header + "\x02" + rest[:30]} {
		if info, err := Read(bytes.NewReader(elf([]byte(section)))); err == nil {
			t.Errorf("section %q: %q", section, info)
		}
	}
}

func FuzzRead(f *testing.F) {
	section := []byte("\xff Go buildinf:\x08\x02" + strings.Repeat("\x00", 16) + "\x04go1." + "\x25" +
		strings.Repeat("s", 16) + "path\t" + strings.Repeat("e", 16))
	if info, err := Read(bytes.NewReader(elf(section))); info != "path\t" || err != nil {
		f.Fatalf("%q, %v", info, err)
	}
	f.Add(elf(section))
	f.Add(elf(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if info, err := Read(bytes.NewReader(b)); err == nil && len(info) > len(b) {
			t.Errorf("%d bytes of information in a file of %d", len(info), len(b))
		}
	})
}
