package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// report is a whole run.
type report struct {
	Machine string    `json:"machine"`
	Cases   []*result `json:"cases"`
}

// result is what came out of a contest.
type result struct {
	Name       string   `json:"name"`
	Title      string   `json:"title"`
	Contenders []string `json:"contenders"`
	Figures    []figure `json:"figures"`
	Notes      []string `json:"notes,omitempty"`
}

// figure is one line of a table.
type figure struct {
	Name    string               `json:"name"`
	Unit    string               `json:"unit"`
	Samples map[string][]float64 `json:"samples"` // by contender
	Medians map[string]float64   `json:"medians"`
	Goal    string               `json:"goal,omitempty"`
	Met     *bool                `json:"met,omitempty"`
}

// fill makes figures of samples.
func (r *result) fill(c *contest, samples map[string]map[*metric][]float64) {
	for _, m := range c.metrics {
		f := figure{Name: m.name, Unit: m.unit, Samples: map[string][]float64{}, Medians: map[string]float64{}}
		others := map[string]float64{}
		for _, name := range r.Contenders {
			s := samples[name][m]
			if len(s) == 0 {
				continue
			}
			slices.Sort(s)
			f.Samples[name], f.Medians[name] = s, median(s)
			if name != c.contenders[0].name {
				others[name] = median(s)
			}
		}
		if len(f.Samples) == 0 {
			continue
		}
		if own, ok := f.Medians[c.contenders[0].name]; ok && m.goal != nil && (len(others) > 0 || !m.goal.relative) {
			met := m.goal.met(own, others)
			f.Goal, f.Met = m.goal.text, &met
		}
		r.Figures = append(r.Figures, f)
	}
}

// median of sorted samples.
func median(s []float64) float64 {
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func (r *report) write(w io.Writer, format string) error {
	if format == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		return e.Encode(r)
	}
	var b strings.Builder
	b.WriteString(r.Machine + "\n")
	for _, c := range r.Cases {
		if format == "markdown" {
			c.markdown(&b)
		} else {
			c.table(&b)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cells are the lines of the table: the figure, each contender, the goal.
func (r *result) cells() [][]string {
	lines := [][]string{append(append([]string{""}, r.Contenders...), "goal")}
	for _, f := range r.Figures {
		line := []string{f.Name + ", " + f.Unit}
		for _, name := range r.Contenders {
			line = append(line, show(f.Samples[name]))
		}
		goal := f.Goal
		if f.Met != nil && *f.Met {
			goal += " ✓"
		} else if f.Met != nil {
			goal += " ✗"
		}
		lines = append(lines, append(line, goal))
	}
	return lines
}

// show is the median and, in parentheses, least and most.
func show(s []float64) string {
	switch {
	case len(s) == 0:
		return "–"
	case len(s) == 1 || digits(s[0]) == digits(s[len(s)-1]):
		return digits(median(s))
	}
	return digits(median(s)) + " (" + digits(s[0]) + "–" + digits(s[len(s)-1]) + ")"
}

// digits writes three figures that count, and whole numbers in full.
func digits(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func (r *result) table(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s: %s\n", r.Name, r.Title)
	lines := r.cells()
	width := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range lines {
		text := ""
		for i, cell := range line {
			text += "  " + cell + strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
		}
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	for _, note := range r.Notes {
		b.WriteString("  (" + note + ")\n")
	}
}

func (r *result) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n**%s**: %s\n\n", r.Name, r.Title)
	for i, line := range r.cells() {
		b.WriteString("| " + strings.Join(line, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(line)) + "|\n")
		}
	}
	for _, note := range r.Notes {
		b.WriteString("\n" + note + ".\n")
	}
}

// middle is the median of samples in any order.
func middle(s []float64) float64 {
	slices.Sort(s)
	return median(s)
}
