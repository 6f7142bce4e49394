// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
)

// Whoever stands behind others of this server, who wait for another one that has the lock,
// waits for no longer than they do.
func TestLockBehindOthers(t *testing.T) {
	p, err := privdir.Kind{Parameter: "test", Name: "test"}.Open(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	old := patience
	patience = 10 * time.Millisecond
	defer func() { patience = old }()
	l := NewLock()
	l <- struct{}{} // is somebody who has it
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := l.With(ctx, p, false, func() error { return nil }); !errors.Is(err, unix.EBUSY) {
		t.Errorf("got %v, want EBUSY", err)
	}
	<-l
	if err := l.With(ctx, p, false, func() error { return nil }); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
