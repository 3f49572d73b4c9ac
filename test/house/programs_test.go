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

// source parses the package of a program, tests left out.
func source(t *testing.T, p programs.Program) (*token.FileSet, []*ast.File) {
	t.Helper()
	dir := filepath.Join(bin.Root(t), strings.TrimPrefix(p.Package, "paperpath/"))
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
	_, files := source(t, p)
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
		want[p.Name] = true
		got, err := os.ReadFile(filepath.Join(root, "cmd", p.Name, "main.go"))
		if err != nil || string(got) != p.Main() {
			t.Errorf("cmd/%s/main.go is not what PROGRAMS makes of it (make mains): %v", p.Name, err)
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
	for _, p := range table(t) {
		banned, ok := heavy[p.Weight]
		if !ok {
			t.Errorf("%s: unknown weight %q", p.Name, p.Weight)
		}
		for _, dep := range goList(t, "-deps", "./cmd/"+p.Name) {
			if slices.Contains(banned, dep) {
				t.Errorf("%s is to be %s and links %s", p.Name, p.Weight, dep)
			}
		}
	}
}

// A program that may run inside a server uses its Env and nothing of the
// process.
func TestInsidePrograms(t *testing.T) {
	banned := []string{
		"os.Args", "os.Stdin", "os.Stdout", "os.Stderr", "os.Getenv", "os.LookupEnv", "os.Environ", "os.Setenv",
		"os.Chdir", "os.Exit", "syscall.Exit", "syscall.Chdir", "unix.Chdir", "syscall.Umask", "unix.Umask",
		"signal.Notify", "signal.Ignore", "syscall.Setuid", "syscall.Setgid", "log.Fatal",
	}
	for _, p := range table(t) {
		if !p.Inside {
			continue
		}
		fset, files := source(t, p)
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if x, ok := sel.X.(*ast.Ident); ok && slices.Contains(banned, x.Name+"."+sel.Sel.Name) {
					t.Errorf("%s: %s.%s in a program that may run inside", fset.Position(sel.Pos()), x.Name, sel.Sel.Name)
				}
				return true
			})
		}
	}
}
