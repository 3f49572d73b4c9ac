package supervise

import (
	"errors"
	"slices"
	"strings"
	"time"

	"paperpath/internal/strerr"
	"paperpath/service"
)

// unsupervisedGrace is the time after which a dependency that is not supervised is
// reported. One that is just being started appears sooner, a misspelt name never.
const unsupervisedGrace = 5 * time.Second

// Blocked reports whether one of the services that this one comes after is not
// up. Dependencies in a cycle do not count, because the wait would never end.
func (k *Keeper) Blocked(r service.Rules) bool {
	for _, name := range r.After {
		s, ok := k.host.siblings.Status(name)
		if ok && s.Up() || slices.Contains(k.ignored, name) {
			continue
		}
		if slices.Contains(k.pending, name) {
			if !ok && k.Now().Sub(k.pendingFrom) >= unsupervisedGrace {
				k.host.warn(errors.New(strerr.Clean(k.Name+" waits for "+name) + ", which is not supervised"))
			}
			return true
		}
		way := cycle(k.host.siblings, k.Sibling, name)
		if way == nil {
			k.pending, k.pendingFrom = append(k.pending, name), k.Now()
			return true
		}
		k.ignored = append(k.ignored, name)
		k.host.warn(errors.New(strerr.Clean(strings.Join(way, " comes after ")) + ": not waiting"))
	}
	return false
}

// cycle returns the path of dependencies from a service to itself by way of next:
// "a", next, …, "a". It returns nil if there is none.
func cycle(s Siblings, name, next string) []string {
	seen := map[string]bool{}
	var way func(at string) []string
	way = func(at string) []string {
		if at == name {
			return []string{at}
		}
		if seen[at] {
			return nil
		}
		seen[at] = true
		for _, before := range s.After(at) {
			if rest := way(before); rest != nil {
				return append([]string{at}, rest...)
			}
		}
		return nil
	}
	if rest := way(next); rest != nil {
		return append([]string{name}, rest...)
	}
	return nil
}
