// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
)

// looked at calls late when its Err is called for the time at.
type looked struct {
	context.Context
	looks, at atomic.Int64
	late      func()
}

func (c *looked) Err() error {
	if c.looks.Add(1) == c.at.Load() {
		c.late()
	}
	return c.Context.Err()
}

// Whatever a server that was cut off still writes while its disk is copied, the next one
// serves each block as it was or as it was written, with all that was flushed. So it is
// after a crash.
func TestLateWriteToADiskOnABase(t *testing.T) {
	for _, boot := range []string{"this-boot", "another-boot"} {
		t.Run(boot, func(t *testing.T) {
			looks := int64(1)
			for lateWrite(t, boot, looks) {
				looks++
			}
			if looks < 5 { // each part of the file is copied in steps
				t.Errorf("got %d looks", looks)
			}
		})
	}
}

// lateWrite reports whether a late write came, at that look at the context.
func lateWrite(t *testing.T, boot string, look int64) (came bool) {
	const from, far, size = 50 * overlay.Block, 130 << 20, 256 << 20 // far has another page of the maps
	o, now := leasedOptions(t)
	a := started(t, o)
	path, want := image(t, o.Path)
	c, err := opens(t, a, func(ctx context.Context) (disk.Interface, error) {
		base, err := overlay.Open(path, testkit.Quiet, func(error) {})
		testkit.Must(t, err)
		own, err := kit.Blank(o.Path, size)(ctx)
		testkit.Must(t, err)
		return overlay.New(own.(*disk.Disk), base)
	})
	testkit.Must(t, err)
	for _, block := range []int{3, 100, 200} {
		text := []byte(fmt.Sprintf("flushed %d", block))
		testkit.Must(t, c.PWrite(text, uint64(block*overlay.Block+5), false))
		copy(want[block*overlay.Block+5:], text)
	}
	testkit.Must(t, c.Flush())
	want = append(want, make([]byte, len(want))...) // what there is at far
	cutOff(t, c)
	own := c.session.claim.Disk
	text := bytes.Repeat([]byte("late"), 1800) // of one block in whole, and of one in part
	ctx := &looked{Context: context.Background(), late: func() {
		came = true
		testkit.Must(t, own.PWrite(text, from))
		testkit.Must(t, own.PWrite(text, far))
		testkit.Must(t, own.Sync())
	}}
	ctx.at.Store(look)
	o.Boot = boot
	b := started(t, o)
	opening := &opening{conn: make(chan *Conn, 1)}
	go func() {
		var d *Conn
		d, opening.err = b.Open(ctx, keyA, "export", minute, none)
		opening.conn <- d
	}()
	d := opening.wait(t, now, func() {})
	ctx.at.Store(0)
	read := func() []byte {
		got := make([]byte, len(want))
		testkit.Must(t, d.PRead(got[:len(got)/2], 0))
		testkit.Must(t, d.PRead(got[len(got)/2:], far))
		return got
	}
	got, written := read(), bytes.Clone(want)
	copy(written[from:], text)
	copy(written[len(want)/2:], text)
	for at := 0; at < len(got); at += overlay.Block {
		block := got[at:][:overlay.Block]
		if !bytes.Equal(block, want[at:][:overlay.Block]) && !bytes.Equal(block, written[at:][:overlay.Block]) {
			t.Fatalf("late write at look %d: block %d is %.20q, neither as it was nor as it was written", look, at/overlay.Block, block)
		}
	}
	testkit.Must(t, d.Flush())
	dies(b)
	o.Boot = "a-third-boot"
	last := started(t, o)
	d = taken(t, last, now)
	if !bytes.Equal(read(), got) {
		t.Errorf("late write at look %d: after a crash, the disk is not as it was when it was flushed", look)
	}
	last.Close(d)
	a.Close(c)
	return came
}
