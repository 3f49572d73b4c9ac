package proc

import (
	"slices"
	"strings"
)

// Vars is an environment: "NAME=value" strings. Where a name stands twice the
// first one counts, as in getenv(3).
type Vars []string

// Get returns the value of name and whether it is set; set to nothing and not
// set mean different things to RELAYCLIENT, RBLSMTPD and others.
func (v Vars) Get(name string) (string, bool) {
	for _, s := range v {
		if len(s) > len(name) && s[len(name)] == '=' && s[:len(name)] == name {
			return s[len(name)+1:], true
		}
	}
	return "", false
}

// Value returns the value of name, or "" if it is not set.
func (v Vars) Value(name string) string { s, _ := v.Get(name); return s }

// Set replaces or adds a variable.
func (v *Vars) Set(name, value string) {
	v.Unset(name)
	*v = append(*v, name+"="+value)
}

// Unset removes a variable.
func (v *Vars) Unset(name string) {
	prefix := name + "="
	*v = slices.DeleteFunc(*v, func(s string) bool { return strings.HasPrefix(s, prefix) })
}

// Clone returns a copy that may be changed freely.
func (v Vars) Clone() Vars { return slices.Clone(v) }
