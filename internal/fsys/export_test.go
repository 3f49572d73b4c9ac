package fsys

// TogetherUsers is how many calls share the directory with this key.
func TogetherUsers(t *Together, key string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.dirs[key]; d != nil {
		return d.users
	}
	return 0
}
