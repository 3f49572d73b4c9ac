package supervise

import (
	"errors"
	"slices"
	"strings"
	"time"

	"paperpath/internal/strerr"
	"paperpath/service"
)

// strange is how long a service that is waited for may not be supervised.
const strange = 5 * time.Second

// Blocked reports whether one of the services that this one comes after is not
// up. Those that come after this one in their turn are not waited for: that
// would be for ever.
func (k *Keeper) Blocked(r service.Rules) bool {
	for _, name := range r.After {
		s, ok := k.host.siblings.Status(name)
		if ok && s.Up() || slices.Contains(k.heedless, name) {
			continue
		}
		if slices.Contains(k.awaited, name) {
			// One that is only on its way comes sooner; a name that is misspelt never.
			if !ok && k.Now().Sub(k.waits) >= strange {
				k.host.warn(errors.New(strerr.Clean(k.Name+" waits for "+name) + ", which is not supervised"))
			}
			return true
		}
		circle := circle(k.host.siblings, k.Sibling, name)
		if circle == nil {
			k.awaited, k.waits = append(k.awaited, name), k.Now()
			return true
		}
		k.heedless = append(k.heedless, name)
		k.host.warn(errors.New(strerr.Clean(strings.Join(circle, " comes after ")) + ": not waiting"))
	}
	return false
}

// circle returns the way from a service to itself, of which the first step is
// to next: "a", next, …, "a". nil if there is none.
func circle(s Siblings, name, next string) []string {
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
