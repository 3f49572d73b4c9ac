package tcpserver

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

// tree makes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		if err == nil {
			err = os.WriteFile(file, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestRoomInGroups(t *testing.T) {
	const (
		self = "proc/self/cgroup"
		v2   = "sys/fs/cgroup/"
		v1   = "sys/fs/cgroup/pids/"
	)
	for name, tt := range map[string]struct {
		files map[string]string
		want  uint64
	}{
		"no groups":             {nil, math.MaxUint64},
		"not the group of pids": {map[string]string{self: "3:cpu:/\n", v1 + "pids.max": "9\n", v1 + "pids.current": "1\n"}, math.MaxUint64},
		"version 2":             {map[string]string{self: "0::/a/b\n", v2 + "a/b/pids.max": "40\n", v2 + "a/b/pids.current": "3\n"}, 37},
		"no limit":              {map[string]string{self: "0::/a\n", v2 + "a/pids.max": "max\n", v2 + "a/pids.current": "3\n"}, math.MaxUint64},
		"the group around it":   {map[string]string{self: "0::/a/b\n", v2 + "a/b/pids.max": "max\n", v2 + "a/b/pids.current": "3\n", v2 + "a/pids.max": "20\n", v2 + "a/pids.current": "15\n"}, 5},
		"a container's":         {map[string]string{self: "0::/\n", v2 + "pids.max": "40\n", v2 + "pids.current": "1\n"}, 39},
		"not the container's":   {map[string]string{self: "8:pids:/docker/1\n", v1 + "pids.max": "40\n", v1 + "pids.current": "1\n"}, 39},
		"outside of the root":   {map[string]string{self: "0::/../x\n", v2 + "pids.max": "40\n", v2 + "pids.current": "1\n"}, 39},
		"version 1":             {map[string]string{self: "9:cpu:/x\n8:misc,pids:/a\n0::/\n", v1 + "a/pids.max": "7\n", v1 + "a/pids.current": "2\n"}, 5},
		"more than are allowed": {map[string]string{self: "0::/a\n", v2 + "a/pids.max": "2\n", v2 + "a/pids.current": "9\n"}, 0},
		"half of the files":     {map[string]string{self: "0::/a\n", v2 + "a/pids.max": "2\n"}, math.MaxUint64},
		"nonsense":              {map[string]string{self: "\n0\n0:\nx", v2 + "pids.max": "2\n", v2 + "pids.current": "1\n"}, math.MaxUint64},
	} {
		if got := roomInGroups(tree(t, tt.files)); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func TestThreadsOf(t *testing.T) {
	status := func(uid, threads string) string {
		return "Name:\tx\nUid:\t" + uid + "\t1\t2\t3\nGid:\t7\t7\t7\t7\nThreads:\t" + threads + "\n"
	}
	root := tree(t, map[string]string{
		"proc/1/status":    status("0", "1"),
		"proc/12/status":   status("7", "3"),
		"proc/13/status":   status("77", "100"),
		"proc/14/status":   status("7", "20"),
		"proc/15/ended":    "",
		"proc/self/status": status("7", "3"),
	})
	if n := threadsOf(root, 7); n != 23 {
		t.Errorf("%d, want 23", n)
	}
}
