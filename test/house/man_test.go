package house

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"paperpath/internal/programs"
	"paperpath/test/bin"
)

// page is a manual page, macros stripped, by section.
type page map[string]string

func readPage(t *testing.T, p programs.Program) (text string, sections page) {
	t.Helper()
	name := filepath.Join(bin.Root(t), "man", p.Name+"."+p.Section)
	source, err := os.ReadFile(name)
	if err != nil {
		t.Errorf("%s has no manual page: %v", p.Name, err)
		return "", nil
	}
	sections = page{}
	section := ""
	for _, line := range strings.Split(string(source), "\n") {
		if title, ok := cutMacro(line, ".SH", ".Sh"); ok {
			section = strings.Trim(strings.ToUpper(title), `"`)
			continue
		}
		sections[section] += plain(line) + "\n"
	}
	return plain(string(source)), sections
}

func cutMacro(line string, names ...string) (rest string, ok bool) {
	for _, name := range names {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return rest, true
		}
	}
	return line, false
}

var (
	font  = regexp.MustCompile(`\\f[BIRP]`)
	macro = regexp.MustCompile(`(?m)^\.(\\".*|[A-Za-z]+ ?)`)
)

// plain takes the markup off roff text.
func plain(s string) string {
	s = font.ReplaceAllString(s, "")
	s = macro.ReplaceAllString(s, "")
	return strings.NewReplacer(`\-`, "-", `\&`, "", `\(aq`, "'", `\e`, `\`, `\ `, " ", `\.`, ".", `\(bu`, "").Replace(s)
}

// bare leaves of a usage line what does not depend on how it is set.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\n[]-\"", r) {
			return -1
		}
		return r
	}, s)
}

func TestManualPages(t *testing.T) {
	for _, p := range table(t) {
		_, sections := readPage(t, p)
		if sections == nil {
			continue
		}
		if !strings.HasPrefix(bare(sections["NAME"]), bare(p.Name)) {
			t.Errorf("%s: its page's NAME is %q", p.Name, sections["NAME"])
		}
		usage := bare(p.Name + fields(t, p)["Usage"])
		if synopsis := bare(sections["SYNOPSIS"]); synopsis != usage {
			t.Errorf("%s: its page's SYNOPSIS is %q, its usage %q", p.Name, synopsis, usage)
		}
		exits := false
		for title := range sections {
			exits = exits || strings.HasPrefix(title, "EXIT")
		}
		if !exits {
			t.Errorf("%s: its page has no EXIT STATUS", p.Name)
		}
	}
}

// settings returns the environment variables and control files that a package
// asks for by a literal name.
func settings(t *testing.T, p programs.Program) (names []string) {
	t.Helper()
	variables := []string{"Get", "Value"}
	files := []string{"Line", "LineOr", "LineOrMe", "Int", "List", "ListOrMe"}
	_, sources := source(t, p.Package)
	for _, f := range sources {
		// fsys has a List, too.
		reads := slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"paperpath/mta/control"` })
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			name := constant(call.Args[0], nil)
			isVariable := slices.Contains(variables, sel.Sel.Name) && name == strings.ToUpper(name)
			isFile := reads && slices.Contains(files, sel.Sel.Name) && name == strings.ToLower(name)
			if name != "" && (isVariable || isFile) && !slices.Contains(names, name) {
				names = append(names, name)
			}
			return true
		})
	}
	return names
}

// Whatever a package reads is in the page of one of its programs at least.
func TestManualPagesNameWhatIsRead(t *testing.T) {
	pages := map[string]string{}
	first := map[string]programs.Program{}
	for _, p := range table(t) {
		text, _ := readPage(t, p)
		pages[p.Package] += text
		if _, ok := first[p.Package]; !ok {
			first[p.Package] = p
		}
	}
	for pkg, p := range first {
		for _, name := range settings(t, p) {
			if !regexp.MustCompile(`(^|[^A-Za-z0-9])` + regexp.QuoteMeta(name) + `($|[^A-Za-z0-9])`).MatchString(pages[pkg]) {
				t.Errorf("%s reads %s, which no page of its programs mentions", pkg, name)
			}
		}
	}
}

// documents are the pages of the C package that describe no program.
var documents = []string{
	"addresses.5", "dot-qmail.5", "envelopes.5", "maildir.5", "mbox.5", "qmail-control.5", "qmail-header.5", "qmail-log.5",
	"qmail-users.5", "tcp-environ.5", "forgeries.7", "qmail.7", "qmail-limits.7", "qmail-command.8",
}

// foreign are pages that somebody else installs.
var foreign = regexp.MustCompile(`^(cgroups|getent|groupadd|passwd|ps|regex|resolv\.conf|shadow|stty|syslogd|systemctl|systemd|useradd)\.|\.[23]$`)

// reference matches how both sets of macros name another page.
var reference = regexp.MustCompile(`(?m)^\.(?:Xr|It Xr) (\S+) (\d)|^\.BR (\S+) "?\((\d)\)`)

// Nobody is sent to a page that does not exist, and the original's are all there.
func TestReferences(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(bin.Root(t), "man", "*.[1-9]"))
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, f := range files {
		have[filepath.Base(f)] = true
	}
	for _, name := range documents {
		if !have[name] {
			t.Errorf("there is no page %s", name)
		}
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range reference.FindAllStringSubmatch(string(text), -1) {
			name := strings.ReplaceAll(m[1]+m[3], `\-`, "-") + "." + m[2] + m[4]
			if !have[name] && !foreign.MatchString(name) {
				t.Errorf("%s sends its reader to %s, which does not exist", filepath.Base(f), name)
			}
		}
	}
}

// Every line of qmail-send's log begins as qmail-log(5) has it.
func TestLogPage(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(bin.Root(t), "man/qmail-log.5"))
	if err != nil {
		t.Fatal(err)
	}
	page := regexp.MustCompile(`[ "]+`).ReplaceAllString(plain(string(source)), " ")
	files, err := filepath.Glob(filepath.Join(bin.Root(t), "mta/send/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	call := regexp.MustCompile(`log\.line\("([^"]+)"|warn\("([^"]+)"`)
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllStringSubmatch(string(text), -1) {
			begins := m[1]
			if m[2] != "" {
				begins = "warning: " + m[2]
			}
			if begins == "warning: " || begins == "alert: " {
				continue // the text follows
			}
			found++
			if !strings.Contains(page, "Li "+strings.TrimSpace(begins)) {
				t.Errorf("%s: qmail-log(5) does not know %q", filepath.Base(f), begins)
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d lines were found", found)
	}
}
