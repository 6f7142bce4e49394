// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"fmt"
	"math"
)

// A question is one of nbdkit's about a connection. It asks the connection, or
// gives the answer that nbdkit assumes for a C plugin without the callback.
type question = func(ConnectionInterface) (int64, error)

var questions = map[string]question{
	"get_size":       size,
	"can_write":      boolOr(is[PWriter], CanWriter.CanWrite),
	"can_flush":      boolOr(is[Flusher], CanFlusher.CanFlush),
	"is_rotational":  boolOr(never, IsRotationaler.IsRotational),
	"can_trim":       boolOr(is[Trimmer], CanTrimmer.CanTrim),
	"can_zero":       canZero,
	"can_fast_zero":  canFastZero,
	"can_extents":    boolOr(is[Extenter], CanExtentser.CanExtents),
	"can_fua":        levelOr("can_fua", is[Flusher], FUAEmulate, FUANative, CanFUAer.CanFUA),
	"can_multi_conn": boolOr(never, CanMultiConner.CanMultiConn),
	"can_cache":      levelOr("can_cache", is[Cacher], CacheNative, CacheNative, CanCacher.CanCache),
}

func never(any) bool { return false }

// boolOr asks a connection that is a T, and for others returns what has does.
func boolOr[T any](has func(any) bool, ask func(T) (bool, error)) question {
	return func(c ConnectionInterface) (int64, error) {
		v := has(c)
		if t, ok := c.(T); ok {
			var err error
			if v, err = ask(t); err != nil {
				return -1, err
			}
		}
		if v {
			return 1, nil
		}
		return 0, nil
	}
}

// levelOr is boolOr for an answer that is one of the constants up to highest. For
// a connection that is no T it is yes or 0.
func levelOr[T any](callback string, has func(any) bool, yes, highest uint32, ask func(T) (uint32, error)) question {
	return func(c ConnectionInterface) (int64, error) {
		var v uint32
		if t, ok := c.(T); ok {
			var err error
			if v, err = ask(t); err != nil {
				return -1, err
			}
		} else if has(c) {
			v = yes
		}
		if v > highest {
			return -1, fmt.Errorf("%s: %d: not one of the constants (0 to %d)", callback, v, highest)
		}
		return int64(v), nil
	}
}

// Unlike in C, true without a Zeroer still has to become false: the server
// cannot see that Go has no method for the callback.
func canZero(c ConnectionInterface) (int64, error) {
	v, err := boolOr(is[Zeroer], CanZeroer.CanZero)(c)
	if err == nil && !is[Zeroer](c) {
		v = 0
	}
	return v, err
}

// If the server writes zeroes by pwrite anyway, it can refuse fast ones at once.
func canFastZero(c ConnectionInterface) (int64, error) {
	if is[CanFastZeroer](c) {
		return boolOr(never, CanFastZeroer.CanFastZero)(c)
	}
	zeroes, err := canZero(c)
	return 1 - zeroes, err
}

func size(c ConnectionInterface) (int64, error) {
	size, err := c.GetSize()
	if err != nil {
		return -1, err
	}
	if size > math.MaxInt64 {
		return -1, fmt.Errorf("get_size: %d: the size must be from 0 to 2^63-1, or as a signed number not negative (%d)",
			size, int64(size))
	}
	return int64(size), nil
}

func (c *connection) blockSize() (minimum, preferred, maximum uint32, err error) {
	b, ok := c.ConnectionInterface.(BlockSizer)
	if !ok {
		return 0, 0, 0, nil
	}
	return b.BlockSize()
}

func (c *connection) exportDescription() (string, error) {
	d, ok := c.ConnectionInterface.(ExportDescriber)
	if !ok {
		return "", nil
	}
	return d.ExportDescription()
}
