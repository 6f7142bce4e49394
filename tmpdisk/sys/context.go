// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"context"
	"fmt"
)

// ContextError is ctx.Err with the cause that was given to cancel, if there
// is one: `the client has gone: context canceled`. nil if ctx has not ended.
func ContextError(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != err {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
