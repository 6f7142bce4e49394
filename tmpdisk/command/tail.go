// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"os"
	"strings"
	"time"
	"unicode"
)

const (
	tailSize = 4096 // what is kept of standard error, in bytes
	// A process that escaped, or that some daemon runs on the command's
	// behalf, can keep the pipe open. What the command itself wrote is in
	// the pipe when it has ended, so nothing is lost by not waiting longer.
	tailPatience = 100 * time.Millisecond
)

// tail keeps the end of what is written into a pipe. The reader never stops
// before the last writer has, or text is called: a full pipe would block the
// command for ever.
type tail struct {
	r, w *os.File      // whoever has forked the command closes w
	done chan struct{} // closed when the reader has ended
	kept []byte        // the reader's until done
	lost bool          // something before kept was dropped; the reader's too
}

func newTail() (*tail, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	t := &tail{r: r, w: w, done: make(chan struct{})}
	go t.read()
	return t, nil
}

func (t *tail) read() {
	defer close(t.done)
	var buf [4096]byte
	for {
		n, err := t.r.Read(buf[:])
		t.kept = append(t.kept, buf[:n]...)
		if extra := len(t.kept) - tailSize; extra > 0 {
			t.kept = append(t.kept[:0], t.kept[extra:]...)
			t.lost = true
		}
		if err != nil {
			return
		}
	}
}

// text returns what was kept as valid text without control characters other
// than tab and newline, so that nothing a program writes can forge log lines
// with a carriage return or steer a terminal. One newline at the end is cut.
func (t *tail) text() string {
	t.r.SetReadDeadline(time.Now().Add(tailPatience))
	<-t.done
	kept := t.kept
	if t.lost {
		// Not in the middle of a character.
		for i := 0; i < 4 && len(kept) > 0 && kept[0]&0xc0 == 0x80; i++ {
			kept = kept[1:]
		}
	}
	s := strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(string(kept), string(unicode.ReplacementChar)))
	s = strings.TrimSuffix(s, "\n")
	if t.lost {
		s = "..." + s
	}
	return s
}

// close ends the reader. It may be called at any time, and twice.
func (t *tail) close() {
	t.w.Close()
	t.r.Close()
	<-t.done
}
