package swap

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// A watch learns from the kernel which of some programs are executed
// (fanotify(7), FAN_OPEN_EXEC), by whoever does it in this room.
type watch struct{ fd int }

func newWatch(files []string) (*watch, error) {
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK|unix.FAN_UNLIMITED_QUEUE, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fanotify: %w", err)
	}
	for _, file := range files {
		if err := unix.FanotifyMark(fd, unix.FAN_MARK_ADD, unix.FAN_OPEN_EXEC, unix.AT_FDCWD, file); err != nil {
			return nil, fmt.Errorf("fanotify: %s: %w", file, err)
		}
	}
	return &watch{fd}, nil
}

// names returns the names of the programs that have been executed.
func (w *watch) names() ([]string, error) {
	var names []string
	buffer := make([]byte, 64<<10)
	for {
		n, err := unix.Read(w.fd, buffer)
		if err == unix.EAGAIN {
			slices.Sort(names)
			return slices.Compact(names), nil
		}
		if err != nil {
			return nil, fmt.Errorf("fanotify: %w", err)
		}
		// struct fanotify_event_metadata: length 4, version 1, reserved 1,
		// length of this 2, mask 8, descriptor 4, process 4.
		for event := buffer[:n]; len(event) >= 24; event = event[binary.NativeEndian.Uint32(event):] {
			fd, pid := int32(binary.NativeEndian.Uint32(event[16:])), binary.NativeEndian.Uint32(event[20:])
			path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
			unix.Close(int(fd))
			// Who is not in this room has no number here.
			if err == nil && pid != 0 {
				names = append(names, filepath.Base(path))
			}
		}
	}
}
