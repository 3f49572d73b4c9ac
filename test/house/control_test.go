package house

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"paperpath/internal/programs"
	"paperpath/test/bin"
)

// controlFile is a row of the table in qmail-control(5).
type controlFile struct {
	def, format string
	programs    []string
}

func readControlPage(t *testing.T) (table map[string]controlFile, text string) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(bin.Root(t), "man/qmail-control.5"))
	if err != nil {
		t.Fatal(err)
	}
	table = map[string]controlFile{}
	row := regexp.MustCompile(`(?m)^\.I (\S+)\t\\f[IR](\S+)\t\\fR(\S+)\t(.+)$`)
	for _, m := range row.FindAllStringSubmatch(string(source), -1) {
		table[m[1]] = controlFile{m[2], m[3], strings.Split(m[4], ", ")}
	}
	if len(table) < 20 {
		t.Fatalf("the table of qmail-control(5) was not understood: %v", table)
	}
	return table, plain(string(source))
}

// readers are the methods of a control directory, by the format they read.
var readers = map[string][]string{
	"line":   {"Line", "LineOr", "LineOrMe"},
	"number": {"Int"},
	"list":   {"List", "ListOrMe"},
}

// reading is one place where a package reads a control file.
type reading struct {
	name, method string
	def          string // the literal default, "" for none
}

// controlReadings returns the control files that a package reads by a literal
// name, by the methods above or by its own functions that hand a parameter on
// to these.
func controlReadings(t *testing.T, path string) (found []reading) {
	t.Helper()
	_, sources := source(t, path)
	if path == "paperpath/mta/control" || !slices.ContainsFunc(sources, func(f *ast.File) bool {
		return slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"paperpath/mta/control"` })
	}) {
		return nil
	}
	type wrapper struct {
		method string
		index  int // of the name among its arguments
	}
	reads := map[string]wrapper{}
	for _, methods := range readers {
		for _, m := range methods {
			reads[m] = wrapper{m, 0}
		}
	}
	var functions []function
	for _, f := range sources {
		functions = append(functions, functionsOf(f)...)
	}
	for again := true; again; {
		again = false
		for _, fn := range functions {
			ast.Inspect(fn.body, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				w, ok := reads[callee(call)]
				if !ok || w.index >= len(call.Args) {
					return true
				}
				if arg, ok := call.Args[w.index].(*ast.Ident); ok {
					if i := slices.Index(fn.params, arg.Name); i >= 0 {
						if _, known := reads[fn.name]; !known {
							reads[fn.name] = wrapper{w.method, i}
							again = true
						}
					}
				}
				return true
			})
		}
	}
	for _, f := range sources {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				w, ok := reads[callee(n)]
				if !ok || w.index >= len(n.Args) {
					return true
				}
				if name := constant(n.Args[w.index], nil); regexp.MustCompile(`^[a-z][a-z-]+$`).MatchString(name) {
					def := ""
					if (w.method == "LineOr" || w.method == "Int") && w.index+1 < len(n.Args) {
						if lit, ok := n.Args[w.index+1].(*ast.BasicLit); ok {
							def = strings.Trim(lit.Value, `"`)
						}
					}
					found = append(found, reading{name, w.method, def})
				}
			case *ast.BasicLit:
				if name, ok := strings.CutPrefix(constant(n, nil), "control/"); ok && n.Kind == token.STRING &&
					regexp.MustCompile(`^[a-z][a-z.-]+$`).MatchString(name) {
					found = append(found, reading{name: name})
				}
			}
			return true
		})
	}
	return found
}

type function struct {
	name   string
	params []string
	body   *ast.BlockStmt
}

// functionsOf returns the functions of a file, and those in variables.
func functionsOf(f *ast.File) (list []function) {
	params := func(t *ast.FuncType) (names []string) {
		for _, field := range t.Params.List {
			for _, name := range field.Names {
				names = append(names, name.Name)
			}
		}
		return names
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Body != nil {
				list = append(list, function{n.Name.Name, params(n.Type), n.Body})
			}
		case *ast.AssignStmt:
			for i, e := range n.Rhs {
				lit, ok := e.(*ast.FuncLit)
				if name, isName := n.Lhs[min(i, len(n.Lhs)-1)].(*ast.Ident); ok && isName {
					list = append(list, function{name.Name, params(lit.Type), lit.Body})
				}
			}
		}
		return true
	})
	return list
}

func callee(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// closures returns the packages of the module that each of them imports,
// itself included.
func closures(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Deps " "}}`, "./...") {
		words := strings.Fields(line)
		all[words[0]] = slices.DeleteFunc(words, func(p string) bool { return !strings.HasPrefix(p, "paperpath") })
	}
	return all
}

// qmail-control(5) has every file that a program reads, with its format, its
// default and a program, and no other; and what it says that a program reads
// that program does read, itself or in a package it is made of.
func TestControlPage(t *testing.T) {
	page, text := readControlPage(t)
	imports := closures(t)
	byName := map[string]programs.Program{}
	packages := map[string][]reading{}
	for _, p := range table(t) {
		byName[p.Name] = p
		for _, pkg := range imports[p.Package] {
			// qmail-showctl reads everything, and nothing of it is its own.
			if _, done := packages[pkg]; !done && pkg != "paperpath/mta/admin" {
				packages[pkg] = controlReadings(t, pkg)
			}
		}
	}
	readIn := map[string][]string{}
	for pkg, readings := range packages {
		for _, r := range readings {
			row, ok := page[r.name]
			if !ok {
				t.Errorf("%s reads control/%s, which is not in qmail-control(5)", pkg, r.name)
				continue
			}
			readIn[r.name] = append(readIn[r.name], pkg)
			if !slices.ContainsFunc(row.programs, func(name string) bool { return slices.Contains(imports[byName[name].Package], pkg) }) {
				t.Errorf("%s reads control/%s, and of the programs in qmail-control(5), %v, none is made of it", pkg, r.name, row.programs)
			}
			switch f := row.format; {
			case r.method == "":
			case slices.Contains(readers["list"], r.method) != slices.Contains([]string{"list", "pairs", "patterns", "addresses"}, f),
				slices.Contains(readers["number"], r.method) != (f == "number"):
				t.Errorf("%s reads control/%s by %s, qmail-control(5) has it as %s", pkg, r.name, r.method, f)
			}
			if r.def != "" && r.def != row.def {
				t.Errorf("%s takes %s for control/%s if there is none, qmail-control(5) says %s", pkg, r.def, r.name, row.def)
			}
			if (r.method == "LineOrMe" || r.method == "ListOrMe") && row.def != "me" {
				t.Errorf("%s takes control/me for control/%s if there is none, qmail-control(5) says %s", pkg, r.name, row.def)
			}
		}
	}
	for name, row := range page {
		for _, program := range row.programs {
			p, ok := byName[program]
			if !ok {
				t.Errorf("control/%s: %s is no program", name, program)
				continue
			}
			if !slices.ContainsFunc(imports[p.Package], func(pkg string) bool { return mentions(t, pkg, name) }) {
				t.Errorf("%s does not read control/%s, as qmail-control(5) says", program, name)
			}
			if manual, _ := readPage(t, p); !strings.Contains(manual, name) {
				t.Errorf("%s(%s) does not mention %s", program, p.Section, name)
			}
		}
	}
	// What qmail-showctl can explain has a place in the page, too, and in its own;
	// what that lists can be explained.
	_, sources := source(t, "paperpath/mta/admin")
	listed := showctlFiles(t)
	known := 0
	for _, f := range sources {
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok || len(lit.Elts) != 5 {
				return true
			}
			if name := constant(lit.Elts[0], nil); name != "" {
				known++
				if !listed[name] {
					t.Errorf("qmail-showctl(8) does not list control/%s", name)
				}
				delete(listed, name)
				delete(listed, name+".cdb")
				if _, ok := page[name]; !ok && !strings.Contains(text, "\n"+name+"\n") {
					t.Errorf("qmail-showctl knows control/%s, qmail-control(5) does not", name)
				}
			}
			return true
		})
	}
	if known < 20 {
		t.Errorf("only %d files of qmail-showctl were found", known)
	}
	for name := range listed {
		t.Errorf("qmail-showctl(8) lists control/%s, the program has no idea of it", name)
	}
}

// showctlFiles returns the control files that qmail-showctl(8) lists.
func showctlFiles(t *testing.T) map[string]bool {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(bin.Root(t), "man/qmail-showctl.8"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\.I control/(\S+)$`).FindAllStringSubmatch(string(page), -1) {
		listed[m[1]] = true
	}
	return listed
}

// mentions reports whether a package has the name of a control file in it, by
// itself or behind control/.
func mentions(t *testing.T, path, name string) (found bool) {
	_, sources := source(t, path)
	for _, f := range sources {
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				s := constant(lit, nil)
				found = found || s == name || s == "control/"+name
			}
			return !found
		})
	}
	return found
}
