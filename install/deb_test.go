package install_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"paperpath"
	"paperpath/internal/hier"
	"paperpath/internal/programs"
	"paperpath/test/bin"
)

// debBuilder returns an environment in which install/deb/build finds nfpm and, in
// place of programs that take their time, the files of built. The installing two are
// real.
func debBuilder(t *testing.T) (vars []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	path := os.Getenv("PATH")
	if _, err := exec.LookPath("nfpm"); err != nil {
		script, err := os.ReadFile(filepath.Join(bin.Root(t), "install/deb/build"))
		if err != nil {
			t.Fatal(err)
		}
		module := regexp.MustCompile(`\S+/nfpm@v\S+`).FindString(string(script))
		cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		cmd := exec.CommandContext(ctx, "go", "install", module)
		cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOPROXY=file://"+strings.TrimSpace(string(cache))+"/cache/download", "GOSUMDB=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("no nfpm on the PATH, and none in the module cache (go install %s): %.300s", module, out)
		}
		path = dir + ":" + path
	}
	dir := built(t)
	for _, name := range []string{"instpackage", "instcheck"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X paperpath/install.Prefix=/usr", "-o", dir+"/"+name, "./cmd/"+name)
		cmd.Dir = bin.Root(t)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return append(os.Environ(), "PATH="+path, "DEB_BIN="+dir, "DEBFULLNAME=Dave Tester", "DEBEMAIL=dave@host.test")
}

func debBuild(t *testing.T, vars []string, version, dir string) (name string) {
	t.Helper()
	cmd := exec.Command("install/deb/build", version)
	cmd.Dir = bin.Root(t)
	cmd.Env = append(vars, "DEB_DIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	list, _ := filepath.Glob(dir + "/paperpath_" + version + "_*.deb")
	if len(list) != 1 {
		t.Fatalf("build has made %q", list)
	}
	return list[0]
}

// members returns the files of an ar(5) archive: after "!<arch>\n" each has a head of
// 60 bytes, the name in the first 16, the size in ten from 48 on, and begins at an even
// byte.
func members(t *testing.T, archive string) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	text, ok := bytes.CutPrefix(text, []byte("!<arch>\n"))
	list := map[string][]byte{}
	for ok && len(text) >= 60 {
		var size int
		size, err = strconv.Atoi(strings.TrimSpace(string(text[48:58])))
		if ok = err == nil && size <= len(text)-60; ok {
			list[strings.TrimRight(string(text[:16]), " /")] = text[60 : 60+size]
			text = text[min(60+size+size%2, len(text)):]
		}
	}
	if !ok || len(text) > 0 {
		t.Fatalf("%s is no archive: %v", archive, err)
	}
	return list
}

// unpack returns what a .tar.gz has, by name without "./" and a slash at the end.
func unpack(t *testing.T, archive []byte) (heads map[string]*tar.Header, texts map[string]string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	heads, texts = map[string]*tar.Header{}, map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return heads, texts
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.Trim(strings.TrimPrefix(h.Name, "."), "/")
		heads[name], texts[name] = h, string(text)
	}
}

// The package has every program, page and example, and nothing that a host changes.
func TestDebContents(t *testing.T) {
	t.Parallel()
	vars := debBuilder(t)
	parts := members(t, debBuild(t, vars, "1.2.3", t.TempDir()))

	_, control := unpack(t, parts["control.tar.gz"])
	for _, line := range []string{
		"Package: paperpath", "Version: 1.2.3", "Maintainer: Dave Tester <dave@host.test>", "Section: mail",
		"Provides: mail-transport-agent, daemontools, ucspi-tcp",
		"Conflicts: mail-transport-agent, daemontools, daemontools-run, ucspi-tcp, ucspi-tcp-ipv6",
	} {
		if !strings.Contains("\n"+control["control"], "\n"+line+"\n") {
			t.Errorf("control has no line %q:\n%s", line, control["control"])
		}
	}
	for _, name := range []string{"postinst", "prerm", "postrm"} {
		if want, _ := os.ReadFile(filepath.Join(bin.Root(t), "install/deb", name)); control[name] != string(want) {
			t.Errorf("%s: %q", name, control[name])
		}
	}
	if strings.TrimSpace(control["conffiles"]) != "" {
		t.Errorf("dpkg is to ask about %q", control["conffiles"])
	}

	files, texts := unpack(t, parts["data.tar.gz"])
	has := func(name string, kind byte, mode int64) {
		t.Helper()
		switch h := files[strings.TrimPrefix(name, "/")]; {
		case h == nil:
			t.Errorf("the package has no %s", name)
		case h.Typeflag != kind || kind != tar.TypeSymlink && h.Mode&0o7777 != mode:
			t.Errorf("%s: type %c, mode %o; want %c %o", name, h.Typeflag, h.Mode, kind, mode)
		}
	}
	table, err := programs.Parse(paperpath.PROGRAMS)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range installed(table) {
		mode, _ := strconv.ParseInt(p.Mode, 8, 64)
		place := "/usr/bin/" + p.Name
		if strings.HasSuffix(p.Owner, ":qmail") {
			place = "/var/qmail/bin/" + p.Name
		} else {
			has("/command/"+p.Name, tar.TypeSymlink, 0)
		}
		has(place, tar.TypeReg, mode&0o777) // instpackage gives owners, and then rights
		has("/usr/share/man/man"+p.Section+"/"+p.Name+"."+p.Section+".gz", files["usr/share/man/man"+p.Section+"/"+p.Name+"."+p.Section+".gz"].Typeflag, 0o644)
	}
	hosts, err := hier.Parse(paperpath.HIER)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range hosts {
		name := strings.ReplaceAll(e.Path, "{prefix}", "/usr")
		if !filepath.IsAbs(name) {
			name = "/var/qmail/" + name
		}
		if e.Kind == 's' {
			has(name, tar.TypeReg, int64(e.Mode))
		} else if _, there := files[name[1:]]; e.Kind == 'c' && there {
			t.Errorf("%s is the administrator's, and in the package", name)
		}
	}
	for _, name := range []string{"/usr/share/doc/paperpath/copyright", "/usr/share/doc/paperpath/changelog.gz"} {
		has(name, tar.TypeReg, 0o644)
	}
	for name, h := range files {
		if h.Uid != 0 || h.Gid != 0 || h.Typeflag != tar.TypeSymlink && h.Mode&0o7022 != 0 {
			t.Errorf("%s: mode %o, owner %d:%d", name, h.Mode, h.Uid, h.Gid)
		}
		for _, own := range []string{"etc", "service", "var/log", "var/qmail/queue", "var/qmail/alias", "var/qmail/control", "var/qmail/users", "var/qmail/supervise"} {
			if name == own || strings.HasPrefix(name, own+"/") {
				t.Errorf("%s is in the package: dpkg would remove it", name)
			}
		}
		if strings.HasPrefix(name, "usr/share/man/") && h.Typeflag == tar.TypeSymlink && files[h.Linkname[1:]] == nil {
			t.Errorf("%s leads to %s, which is not in the package", name, h.Linkname)
		}
	}
	page, err := gzip.NewReader(strings.NewReader(texts["var/qmail/man/man8/instpackage.8.gz"]))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(page); err != nil || !bytes.Contains(text, []byte("\n.It Pa /usr/bin , /usr/share/man\n")) {
		t.Errorf("instpackage(8) does not say where things are: %v", err)
	}
	if got := texts["var/qmail/bin/qmail-queue"]; got != "program qmail-queue" {
		t.Errorf("qmail-queue: %q", got)
	}
}

// debSteps are the life of a package on a host. Its programs are stand-ins: what is
// done to running services is not seen here.
const debSteps = `
set -e
fail() { echo "FAILED: $*"; exit 1; }
cd /
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
for user in alias qmaild qmaill qmailp qmailq qmailr qmails; do userdel $user 2>/dev/null || :; done
for group in qmail nofiles; do groupdel -f $group 2>/dev/null || :; done
force="--no-triggers --force-conflicts,depends,overwrite,bad-path" # a host may have what is in conflict
home=/var/qmail

echo "# install"
dpkg $force -i /paperpath/paperpath_1.0.0_*.deb
[ "$(stat -c '%U:%G %a' $home/bin/qmail-queue)" = 'qmailq:qmail 4711' ] || fail qmail-queue
$home/bin/instcheck 2>&1 | grep -v control/me && fail instcheck
$home/bin/config-fast host.test >/dev/null
$home/bin/instcheck || fail instcheck

echo "# upgrade"
own="/etc/tcp.smtp $home/control/concurrencyincoming $home/control/me $home/rc $home/bin/qmailctl $home/supervise/qmail-smtpd/run $home/alias/.qmail-root"
for f in $own; do echo mine >>$f; done
rm -r $home/supervise/qmail-qmqpd/log
cksum $own >/before
dpkg $force -i /paperpath/paperpath_1.1.0_*.deb
cksum $own | cmp /before - || fail "an upgrade has changed a setting"
[ ! -e $home/supervise/qmail-qmqpd/log ] || fail "what was removed is there again"
$home/bin/instcheck || fail instcheck

echo "# remove"
dpkg $force -r paperpath
cksum $own | cmp /before - || fail "a removal has changed a setting"
for f in $home/bin/qmail-send /usr/bin/svwait /usr/sbin/sendmail /command /usr/share/man/man7/qmail.7.gz; do
    [ ! -e $f ] || fail "$f is there yet"
done

for place in mess/3/26 todo/7/30 corrupt/26.todo; do
    echo "# purge, with mail in queue/$place"
    dpkg $force -i /paperpath/paperpath_1.1.0_*.deb
    mail="$home/queue/$place $home/alias/Mailbox"
    for f in $mail; do
        mkdir -p "${f%/*}"
        echo mail >"$f"
    done
    dpkg $force --purge paperpath
    for f in $mail; do [ -e "$f" ] || fail "$f was removed"; done
    [ ! -e $home/control ] && [ ! -e /etc/tcp.smtp ] && [ ! -e /service ] && [ ! -e /var/log/qmail ] || fail purge
    rm $mail
done

echo "# purge, without"
dpkg $force -i /paperpath/paperpath_1.1.0_*.deb
for f in pid/5 intd/26; do echo "not accepted" >$home/queue/$f; done
dpkg $force --purge paperpath
[ ! -e $home ] || fail "$(find $home)"
[ "$(id -gn qmailq)" = qmail ] || fail accounts
echo done
`

// What dpkg and the package's scripts do to a host. Nothing of this host is touched.
func TestDeb(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root installs")
	}
	for _, tool := range []string{"dpkg", "useradd", "mount", "chroot"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s", tool)
		}
	}
	vars, dir := debBuilder(t), t.TempDir()
	debBuild(t, vars, "1.0.0", dir)
	debBuild(t, vars, "1.1.0", dir)
	onOtherHost(t, dir, debSteps)
}
