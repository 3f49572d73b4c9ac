package pid1

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"paperpath/test/bin"
)

// page is what doc/containers.md shows.
type page struct {
	files    map[string]string // a line "`two/NAME`: …" and the block after it
	listed   []string          // where it lists them
	commands []string          // that it runs in the container, with docker exec
}

func readPage(t *testing.T) page {
	text, err := os.ReadFile(filepath.Join(bin.Root(t), "doc/containers.md"))
	if err != nil {
		t.Fatal(err)
	}
	p := page{files: map[string]string{}}
	name, block, inBlock := "", "", false
	for line := range strings.Lines(string(text)) {
		fence := strings.HasPrefix(line, "```")
		switch {
		case fence && inBlock:
			if name == "" || p.files[name] != "" {
				t.Errorf("a block that belongs to no file, or another one of %q:\n%s", name, block)
			}
			p.files[name] = block
			name, block, inBlock = "", "", false
		case fence:
			inBlock = true
		case inBlock:
			block += line
		case fileLine.MatchString(line):
			name = fileLine.FindStringSubmatch(line)[1]
		case listLine.MatchString(line):
			p.listed = append(p.listed, listLine.FindStringSubmatch(line)[1])
		case execLine.MatchString(line):
			p.commands = append(p.commands, execLine.FindStringSubmatch(line)[1])
		}
	}
	return p
}

var (
	fileLine = regexp.MustCompile("^`two/([^`]+)`:")
	listLine = regexp.MustCompile(`^    two/(\S+)\n$`)
	execLine = regexp.MustCompile(`^    docker exec two (.*)\n$`)
)

// image is what a Dockerfile makes, as far as the page's goes.
type image struct {
	programs    []string // in /command
	env         []string
	user        int
	entrypoint  []string
	healthcheck []string
}

var built = regexp.MustCompile(`\./cmd/(\S+)`)

// build reads a Dockerfile. What it does not know is an error: nothing on the
// page goes untested.
func build(t *testing.T, dockerfile string) (i image) {
	words := func(text string) (list []string) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return list
	}
	for line := range strings.Lines(dockerfile) {
		line = strings.TrimSuffix(line, "\n")
		instruction, rest, _ := strings.Cut(line, " ")
		switch instruction {
		case "", "EXPOSE":
		case "FROM":
			if rest != "golang:1.26 AS build" && rest != "busybox:stable-musl" {
				t.Errorf("%s: the test does not stand in for that", line)
			}
		case "WORKDIR":
		case "RUN":
			if !strings.HasPrefix(rest, "CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/ ./cmd/") {
				t.Errorf("unknown: %s", line)
			}
			for _, m := range built.FindAllStringSubmatch(rest, -1) {
				i.programs = append(i.programs, m[1])
			}
		case "COPY":
			if !slices.Contains([]string{". .", "--from=build /out/ /command/", "--chmod=755 two/service/ /service/"}, rest) {
				t.Errorf("unknown: %s", line)
			}
		case "ENV":
			i.env = append(i.env, strings.Fields(rest)...)
		case "USER":
			var err error
			if i.user, err = strconv.Atoi(rest); err != nil {
				t.Error(err)
			}
		case "HEALTHCHECK":
			_, command, _ := strings.Cut(rest, "CMD ")
			i.healthcheck = words(command)
		case "ENTRYPOINT":
			i.entrypoint = words(rest)
		default:
			t.Errorf("unknown: %s", line)
		}
	}
	return i
}

// The image of doc/containers.md does what the page says.
func TestContainersPage(t *testing.T) {
	p := readPage(t)
	if len(p.listed) != len(p.files) {
		t.Errorf("%d files are listed, %d shown", len(p.listed), len(p.files))
	}
	for _, name := range p.listed {
		if p.files[name] == "" {
			t.Errorf("%s is listed and not shown", name)
		}
	}
	// What else the tree has where the page puts its files is in the image, too.
	there, _ := os.ReadDir(filepath.Join(bin.Root(t), "two/service"))
	for _, entry := range there {
		if p.files["service/"+entry.Name()+"/run"] == "" {
			t.Errorf("the image has a service %s that is not on the page", entry.Name())
		}
	}
	i := build(t, p.files["Dockerfile"])
	for name, user := range map[string]int{"its user": i.user, "root": -1} {
		t.Run(name, func(t *testing.T) {
			c := newRoot(t)
			c.spec.ReadOnly, c.spec.UID = true, user
			c.spec.Env, c.spec.Argv = i.env, i.entrypoint
			for _, program := range i.programs {
				c.install(program)
			}
			for name, text := range p.files {
				if strings.HasPrefix(name, "service/") {
					c.write(name, text, 0o755)
				}
			}
			c.start()
			useImage(c, i, p.commands)
		})
	}
}

// useImage does in the container of the page what the page does.
func useImage(c *container, i image, commands []string) {
	var health []string
	for _, word := range i.healthcheck {
		health = append(health, "'"+word+"'")
	}
	script := "exec 2>&1\nuntil " + strings.Join(health, " ") + "; do sleep 0.1; done\necho healthy\n" +
		`tcpclient -RHl0 127.0.0.1 8080 sh -c 'printf "GET / HTTP/1.0\r\nHost: x\r\n\r\n" >&7; cat <&6'` + "\n"
	for _, command := range commands {
		script += command + "\necho \"status $?\"\n"
	}
	// What an engine would do from outside, a service does here.
	c.service(".probe", script+"echo done\nexec sleep 1000\n")
	c.must(os.Rename(c.path("service/.probe"), c.path("service/probe")))
	c.until("the probe is done", func() bool { return strings.Contains(c.stdout(), "\ndone\n") })

	out := c.stdout()
	for _, want := range []string{
		"healthy\nHTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<p>Made at ",
		`{"name":"/service/page","path":"/service/page","supervised":true,"state":"up",`,
		`{"name":"/service/web","path":"/service/web","supervised":true,"state":"up",`,
		`{"name":"/service/web/log","path":"/service/web/log","supervised":true,"state":"up",`,
		" tcpserver: ok ", // what was logged of the request
	} {
		if !strings.Contains(out, want) {
			c.t.Errorf("no %q", want)
		}
	}
	succeeded := 0
	for line := range strings.Lines(out) {
		if line == "status 0\n" {
			succeeded++
		}
	}
	if succeeded != len(commands) || succeeded == 0 {
		c.t.Errorf("%d of %d commands succeeded", succeeded, len(commands))
	}
	if strings.Contains(c.stderr(), "fatal") {
		c.t.Errorf("%s", c.stderr())
	}
	if status := c.stop(syscall.SIGTERM); status != 0 {
		c.t.Errorf("status %d", status)
	}
	if info, err := os.Stat(c.path("run/web/current")); err != nil || info.Mode().Perm() != 0o744 {
		c.t.Errorf("the logger did not end in order: %v, %v", info, err)
	}
}
