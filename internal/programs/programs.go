// Package programs reads PROGRAMS, the table of installed commands.
package programs

import (
	"fmt"
	"slices"
	"strings"
)

// Program is one line of the table.
type Program struct {
	Name    string
	Section string // of the manual
	Mode    string // octal
	Owner   string // user:group
	Package string // import path
	Value   string // the variable in it
	Weight  string // bare, net or dns
	Inside  bool
}

// Parse reads the text of the table.
func Parse(text string) ([]Program, error) {
	var table []Program
	for i, l := range strings.Split(text, "\n") {
		f := strings.Fields(l)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		if len(f) != 7 {
			return nil, fmt.Errorf("PROGRAMS:%d: want 7 fields, have %d", i+1, len(f))
		}
		dot := strings.LastIndexByte(f[4], '.')
		if dot < 0 {
			return nil, fmt.Errorf("PROGRAMS:%d: %s is not package.Variable", i+1, f[4])
		}
		table = append(table, Program{f[0], f[1], f[2], f[3], f[4][:dot], f[4][dot+1:], f[5], f[6] == "yes"})
	}
	return table, nil
}

// Dir returns the name of the program's directory under cmd/, and so of the file
// that go build makes: an import path can have no @, and date@ is built as
// date-at.
func (p Program) Dir() string {
	if name, ok := strings.CutSuffix(p.Name, "@"); ok {
		return name + "-at"
	}
	return p.Name
}

// Main returns the text of cmd/DIR/main.go.
func (p Program) Main() string {
	base := p.Package[strings.LastIndexByte(p.Package, '/')+1:]
	imports := []string{"paperpath/internal/proc/host", p.Package}
	slices.Sort(imports) // as gofmt has it
	return "// Code generated from PROGRAMS; DO NOT EDIT.\n\npackage main\n\nimport (\n\t\"" + strings.Join(imports, "\"\n\t\"") +
		"\"\n)\n\nfunc main() { host.Main(&" + base + "." + p.Value + ") }\n"
}
