// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package privdir

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// UntilFree calls try until it does not fail because somebody has what is locked
// (EWOULDBLOCK, [ErrReplaced]), or patience is over, or ctx ends. It returns the error of
// the last try, or ctx's.
func UntilFree(ctx context.Context, patience time.Duration, try func() error) error {
	pause := sys.Backoff{First: time.Millisecond, Last: 50 * time.Millisecond}
	for until := time.Now().Add(patience); ; {
		err := try()
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, ErrReplaced) || !time.Now().Before(until) {
			return err
		}
		select {
		case <-time.After(pause.Next()):
		case <-ctx.Done():
			return fmt.Errorf("wait for a lock: %w", sys.ContextError(ctx))
		}
	}
}
