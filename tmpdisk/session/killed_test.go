// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// childEnv has the test binary be a server that is to be killed, and names its
// session-dir.
const childEnv = "TMPDISK_TEST_SESSION_DIR"

// The child's keys; their number is in what it says.
var childKeys = keys{keep.NewKey("k", "0", ""), keep.NewKey("k", "1", ""), keep.NewKey("k", "2", ""), keep.NewKey("k", "3", "")}

const childBlocks = 4

// childOptions are those of servers that are killed. Their time is the real one.
func childOptions(parent string) Options {
	return Options{Max: 100, Options: files.Options{Path: parent, Boot: "this-boot",
		Grace: func(string) time.Duration { return time.Hour }, Debug: testkit.Quiet, LogError: testkit.Quiet}}
}

// beKilled serves one client after the other, until it is killed. It says which
// write it is about to do (W), which is acknowledged (A), and that a disk may be
// dropped from now on (D).
func beKilled(parent string) {
	say := func(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) }
	check := func(err error) {
		if err != nil {
			say("E %v", err)
			os.Exit(1)
		}
	}
	s := New(childOptions(parent))
	check(s.Start())
	conns := map[int]*Conn{}
	for seq := int(time.Now().UnixNano()); ; seq++ {
		k := rand.IntN(len(childKeys))
		c := conns[k]
		switch n := rand.IntN(20); {
		case n == 0:
			say("D")
			s.DropOldest(0)
		case c == nil:
			c, err := s.Open(context.Background(), childKeys[k], "k", Policy{Grace: time.Hour}, blank(s))
			if errors.As(err, new(*keep.LostError)) {
				continue
			}
			check(err)
			conns[k] = c
		case n < 5:
			s.Close(c)
			delete(conns, k)
		default:
			at := rand.IntN(childBlocks)
			say("W %d %d %d", k, at, seq)
			check(c.PWrite(kit.Block(k, seq), uint64(at*kit.BlockSize), false))
			say("A %d %d %d", k, at, seq)
		}
	}
}

// promised is what a client was told is in a block, and what it may be instead
// because the server was killed in the middle.
type promised struct{ acked, tried int }

// survivor knows what killed servers have promised.
type survivor struct {
	t       *testing.T
	parent  string
	blocks  [4][childBlocks]promised
	dropped bool
	resumed int
	lost    int
}

// run has a child serve for a while, kills it, and takes in what it said.
func (v *survivor) run() {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+v.parent)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		v.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for left := 1 + rand.IntN(200); lines.Scan(); left-- {
		if left == 0 {
			time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, func() { child.Process.Kill() })
		}
		v.hear(lines.Text())
	}
	child.Wait()
}

func (v *survivor) hear(line string) {
	var k, at, seq int
	switch {
	case line == "D":
		v.dropped = true
	case strings.HasPrefix(line, "E"):
		v.t.Errorf("the server: %s", line)
	default:
		if n, err := fmt.Sscanf(line[1:], "%d %d %d", &k, &at, &seq); n != 3 {
			v.t.Fatalf("the server said %q: %v", line, err)
		}
		p := &v.blocks[k][at]
		p.tried = seq
		if line[0] == 'A' {
			p.acked = seq
		}
	}
}

// check has a new server show that all that was promised is there.
func (v *survivor) check() {
	s := started(v.t, childOptions(v.parent))
	defer s.Stop()
	for k, key := range childKeys {
		c, err := s.Open(context.Background(), key, "k", minute, none)
		used := false
		for _, p := range v.blocks[k] {
			used = used || p.acked != 0
		}
		var lost *keep.LostError
		switch {
		case err == nil:
			v.resumed++
			v.compare(k, c)
			s.Close(c)
		case errors.As(err, &lost) && lost.Reason == keep.Evicted && v.dropped:
			v.lost++
			if _, err := s.dir.Forget(context.Background(), key, time.Time{}); err != nil {
				v.t.Error(err)
			}
			v.blocks[k] = [childBlocks]promised{}
		case used:
			v.t.Errorf("session %d: %v, and it was written to", k, err)
		}
	}
	wantTidy(v.t, v.parent)
}

func (v *survivor) compare(k int, c *Conn) {
	for at := range v.blocks[k] {
		buf := make([]byte, kit.BlockSize)
		if err := c.PRead(buf, uint64(at*kit.BlockSize)); err != nil {
			v.t.Fatal(err)
		}
		p := &v.blocks[k][at]
		switch of, got := kit.Unblock(buf); {
		case got != p.acked && got != p.tried:
			v.t.Errorf("session %d, block %d: got write %d, want %d", k, at, got, p.acked)
		case got != 0 && of != k:
			v.t.Errorf("session %d, block %d: it is session %d's", k, at, of)
		default:
			p.acked = got
		}
	}
}

// wantTidy fails the test if anything but sessions and notes is left.
func wantTidy(t *testing.T, parent string) {
	t.Helper()
	names := map[string]bool{}
	for _, name := range testkit.Names(t, kit.Path(parent, "")) {
		names[name] = true
	}
	for name := range names {
		key, isBase := strings.CutSuffix(name, ".base")
		if isBase && names[key+".disk"] {
			continue
		}
		key, isDisk := strings.CutSuffix(name, ".disk")
		if isDisk && !names[key+".json"] || !isDisk && !strings.HasSuffix(name, ".json") {
			t.Errorf("%s is left", name)
		}
	}
}

func TestKilledServers(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	v := &survivor{t: t, parent: t.TempDir()}
	for range rounds {
		v.run()
		v.check()
		if t.Failed() {
			return
		}
	}
	t.Logf("%d times resumed, %d times lost", v.resumed, v.lost)
	if v.resumed == 0 || v.lost == 0 {
		t.Error("never resumed, or never lost: the test has found out nothing")
	}
}
