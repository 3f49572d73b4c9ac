package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"paperpath"
	"paperpath/internal/programs"
	"paperpath/test/bin"
)

func table(t *testing.T) []programs.Program {
	t.Helper()
	table, err := programs.Parse(paperpath.PROGRAMS)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// source parses a package of the module, tests left out.
func source(t *testing.T, path string) (*token.FileSet, []*ast.File) {
	t.Helper()
	dir := filepath.Join(bin.Root(t), strings.TrimPrefix(path, "paperpath/"))
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return fset, files
}

// fields returns the string fields of the program's composite literal.
func fields(t *testing.T, p programs.Program) map[string]string {
	t.Helper()
	_, files := source(t, p.Package)
	found := map[string]string{}
	consts := map[string]string{}
	for _, f := range files {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
				for _, spec := range g.Specs {
					if v := spec.(*ast.ValueSpec); len(v.Values) == len(v.Names) {
						for i, name := range v.Names {
							consts[name.Name] = constant(v.Values[i], nil)
						}
					}
				}
			}
		}
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Names) != 1 || spec.Names[0].Name != p.Value || len(spec.Values) != 1 {
				return true
			}
			lit, ok := spec.Values[0].(*ast.CompositeLit)
			if !ok {
				return true
			}
			for _, e := range lit.Elts {
				kv := e.(*ast.KeyValueExpr)
				found[kv.Key.(*ast.Ident).Name] = constant(kv.Value, consts)
			}
			return false
		})
	}
	return found
}

// constant evaluates string literals, constants and their sums.
func constant(e ast.Expr, consts map[string]string) string {
	switch e := e.(type) {
	case *ast.Ident:
		return consts[e.Name]
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.BinaryExpr:
		return constant(e.X, consts) + constant(e.Y, consts)
	}
	return ""
}

func TestProgramsAndTheirNames(t *testing.T) {
	for _, p := range table(t) {
		if got := fields(t, p)["Name"]; got != p.Name {
			t.Errorf("PROGRAMS says %s is %s.%s, whose Name is %q", p.Name, p.Package, p.Value, got)
		}
	}
}

func TestMainsAreGenerated(t *testing.T) {
	root := bin.Root(t)
	want := map[string]bool{}
	for _, p := range table(t) {
		want[p.Dir()] = true
		got, err := os.ReadFile(filepath.Join(root, "cmd", p.Dir(), "main.go"))
		if err != nil || string(got) != p.Main() {
			t.Errorf("cmd/%s/main.go is not what PROGRAMS makes of it (make mains): %v", p.Dir(), err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(root, "cmd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !want[e.Name()] {
			t.Errorf("cmd/%s is in no line of PROGRAMS", e.Name())
		}
	}
}

// What a program links is start-up time of every message and connection.
func TestWeights(t *testing.T) {
	heavy := map[string][]string{
		"bare": {"net", "crypto/tls", "github.com/miekg/dns", "os/exec", "regexp", "net/http"},
		"net":  {"crypto/tls", "github.com/miekg/dns", "net/http"},
		"dns":  {"net/http"},
	}
	// The lists of qmail-smtpd are regular expressions. The standard library's
	// cost it 3 % of its start, ours would be one more thing to get right.
	// tcpserver has qmail-smtpd inside.
	light := map[string]string{"qmail-smtpd": "regexp", "tcpserver": "regexp"}
	for _, p := range table(t) {
		banned, ok := heavy[p.Weight]
		if !ok {
			t.Errorf("%s: unknown weight %q", p.Name, p.Weight)
		}
		for _, dep := range goList(t, "-deps", "./cmd/"+p.Dir()) {
			if slices.Contains(banned, dep) && light[p.Name] != dep {
				t.Errorf("%s is to be %s and links %s", p.Name, p.Weight, dep)
			}
		}
	}
}

// What belongs to the process and not to an Env, by import path.
var processWide = map[string][]string{
	"os": {"Args", "Stdin", "Stdout", "Stderr", "Getenv", "LookupEnv", "Environ", "ExpandEnv", "Setenv", "Unsetenv",
		"Clearenv", "Getwd", "Chdir", "Exit"},
	"os/signal": {"Notify", "NotifyContext", "Ignore", "Reset"},
	"syscall": {"Stdin", "Stdout", "Stderr", "Getenv", "Environ", "Setenv", "Chdir", "Fchdir", "Chroot", "Umask", "Exit", "Exec",
		"Setuid", "Setgid", "Setgroups", "Setreuid", "Setregid", "Setresuid", "Setresgid", "Setrlimit", "Setsid", "Setpgid"},
	"golang.org/x/sys/unix": {"Stdin", "Stdout", "Stderr", "Getenv", "Environ", "Setenv", "Chdir", "Fchdir", "Chroot", "Umask",
		"Exit", "Exec", "Setuid", "Setgid", "Setgroups", "Setreuid", "Setregid", "Setresuid", "Setresgid", "Setrlimit",
		"Prlimit", "CloseRange", "Setsid", "Setpgid"},
	"log":                      {"Fatal", "Fatalf", "Fatalln", "Print", "Printf", "Println"},
	"runtime/debug":            {"SetTraceback", "SetMemoryLimit", "SetGCPercent", "SetMaxThreads"},
	"paperpath/internal/sys":   {"IgnoreSIGPIPE", "CatchSIGXFSZ", "CloseOnExecFrom", "Signals"},
	"paperpath/internal/limit": {"Exec"},
}

// Packages that have such functions for others and do nothing by themselves:
// who calls these functions is found by their names in processWide.
var processWideOwners = []string{"paperpath/internal/sys", "paperpath/internal/limit"}

// uses lists what file uses of processWide.
func uses(file *ast.File) (found []*ast.SelectorExpr) {
	banned := map[string][]string{}
	for _, imp := range file.Imports {
		path, _ := strconv.Unquote(imp.Path.Value)
		name := path[strings.LastIndexByte(path, '/')+1:]
		if imp.Name != nil {
			name = imp.Name.Name
		}
		banned[name] = processWide[path]
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && slices.Contains(banned[x.Name], sel.Sel.Name) {
				found = append(found, sel)
			}
		}
		return true
	})
	return found
}

// A program that may run inside a server uses its Env and nothing of the
// process; nor does any package of the module that it imports.
func TestInsidePrograms(t *testing.T) {
	for _, p := range table(t) {
		if !p.Inside {
			continue
		}
		for _, path := range goList(t, "-deps", p.Package) {
			if !strings.HasPrefix(path, "paperpath/") || slices.Contains(processWideOwners, path) {
				continue
			}
			fset, files := source(t, path)
			for _, f := range files {
				for _, sel := range uses(f) {
					t.Errorf("%s: %s.%s in what %s, which may run inside, imports",
						fset.Position(sel.Pos()), sel.X, sel.Sel.Name, p.Name)
				}
			}
		}
	}
}

func TestUsesOfTheProcess(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", `package x
import (
	system "os"
	"golang.org/x/sys/unix"
	"paperpath/internal/sys"
)
func f() { system.Getenv("X"); unix.Umask(0); sys.IgnoreSIGPIPE(); system.Open("f"); unix.Close(3) }
`, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, sel := range uses(file) {
		got = append(got, sel.Sel.Name)
	}
	if want := []string{"Getenv", "Umask", "IgnoreSIGPIPE"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
