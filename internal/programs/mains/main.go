// Mains writes cmd/DIR/main.go for each line of PROGRAMS and removes the
// directories under cmd that have none. Run it from the top of the tree.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"paperpath"
	"paperpath/internal/programs"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "mains: fatal:", err)
		os.Exit(111)
	}
}

func write() error {
	table, err := programs.Parse(paperpath.PROGRAMS)
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, p := range table {
		keep[p.Dir()] = true
		dir := filepath.Join("cmd", p.Dir())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		file := filepath.Join(dir, "main.go")
		if old, _ := os.ReadFile(file); string(old) == p.Main() {
			continue
		}
		if err := os.WriteFile(file, []byte(p.Main()), 0o644); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir("cmd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !keep[e.Name()] {
			if err := os.RemoveAll(filepath.Join("cmd", e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
