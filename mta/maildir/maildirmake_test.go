package maildir

import (
	"os"
	"testing"

	"paperpath/internal/fsys"
)

// meddled is a file system in which somebody else is at work.
type meddled struct {
	fsys.OS
	synced func(name string)
}

func (m meddled) SyncDir(name string) error {
	err := m.OS.SyncDir(name)
	m.synced(name)
	return err
}

// Root may make a folder in a user's Maildir. The user must not choose which file
// is made.
func TestFolderFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	if err := Make(fsys.OS{}, dir+"/A"); err != nil {
		t.Fatal(err)
	}
	fs := meddled{synced: func(name string) {
		if name == dir+"/A/.F" {
			if err := os.Symlink(dir+"/nologin", name+"/maildirfolder"); err != nil {
				t.Fatal(err)
			}
		}
	}}
	if err := makeFolder(fs, dir+"/A", "F"); err == nil {
		t.Error("it was made")
	}
	if _, err := os.Lstat(dir + "/nologin"); err == nil {
		t.Error("a file was made through a link")
	}
}
