package local

import (
	"paperpath/internal/child"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// program follows a line "|command": the command runs in the home directory
// with the message as its standard input. What strangers wrote reaches it in
// variables only, never in the text that the shell reads.
func (d *delivery) program(command string) error {
	if _, err := d.rewind(); err != nil {
		return err
	}
	if err := d.openReport(); err != nil {
		return unableToFork(err)
	}
	p, err := child.Start(&child.Command{
		Argv:  []string{"/bin/sh", "-c", command},
		Path:  "/bin/sh",
		Vars:  d.vars,
		Dir:   d.Home,
		Files: d.descriptors(),
	})
	switch {
	case err == nil:
	case child.Exhausted(err):
		return unableToFork(err)
	default:
		return proc.Verbatim(111, "Unable to run /bin/sh: "+strerr.Text(err)+". (#4.3.0)")
	}
	// The command is over when the shell is, not when the last process has
	// closed our output: it may leave some in the background.
	status, err := p.Wait()
	if err != nil || status.Crashed() {
		return proc.Verbatim(111, "Aack, child crashed. (#4.3.0)")
	}
	return d.ended(status.Code())
}

// ended reads an exit status as qmail-command(8) does. The command has said
// what there is to say about a failure.
func (d *delivery) ended(status int) error {
	switch status {
	case 0:
		return nil
	case 99: // done, and the lines that follow do not count
		d.stop = true
		return nil
	case 100, 64, 65, 70, 76, 77, 78, 112: // sysexits.h: usage, data, software, protocol, permission, configuration
		return proc.Exit(100)
	}
	return proc.Exit(111)
}

// openReport makes the descriptors 1 and 2 of an agent's delivery.
func (d *delivery) openReport() error {
	if r, ok := d.env.Files[2].(*report); ok {
		return r.open()
	}
	return nil
}

func (d *delivery) descriptors() []int {
	files := make([]int, 3)
	for i := range files {
		files[i], _ = proc.Descriptor(d.env.Files[i])
	}
	return files
}

func unableToFork(err error) error {
	return proc.Verbatim(111, "Unable to fork: "+strerr.Text(err)+". (#4.3.0)")
}
