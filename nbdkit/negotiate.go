// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"fmt"
	"math"
)

// The functions here answer nbdkit's questions about a connection: they ask it,
// or give the answer that nbdkit assumes for a C plugin without the callback.

// boolOr asks the connection if it is a T, and else returns def.
func boolOr[T any](c *connection, def bool, ask func(T) (bool, error)) (int64, error) {
	v := def
	if t, ok := c.ConnectionInterface.(T); ok {
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

func (c *connection) canWrite() (int64, error) {
	return boolOr(c, is[PWriter](c.ConnectionInterface), CanWriter.CanWrite)
}

func (c *connection) canFlush() (int64, error) {
	return boolOr(c, is[Flusher](c.ConnectionInterface), CanFlusher.CanFlush)
}

func (c *connection) isRotational() (int64, error) {
	return boolOr(c, false, IsRotationaler.IsRotational)
}

func (c *connection) canTrim() (int64, error) {
	return boolOr(c, is[Trimmer](c.ConnectionInterface), CanTrimmer.CanTrim)
}

// Unlike in C, true without a Zeroer still has to become false: the server
// cannot see that Go has no method for the callback.
func (c *connection) canZero() (int64, error) {
	zeroer := is[Zeroer](c.ConnectionInterface)
	v, err := boolOr(c, zeroer, CanZeroer.CanZero)
	if err == nil && !zeroer {
		v = 0
	}
	return v, err
}

// If the server writes zeroes by pwrite anyway, it can refuse fast ones at once.
func (c *connection) canFastZero() (int64, error) {
	if is[CanFastZeroer](c.ConnectionInterface) {
		return boolOr(c, false, CanFastZeroer.CanFastZero)
	}
	zeroes, err := c.canZero()
	return 1 - zeroes, err
}

func (c *connection) canExtents() (int64, error) {
	return boolOr(c, is[Extenter](c.ConnectionInterface), CanExtentser.CanExtents)
}

func (c *connection) canMultiConn() (int64, error) {
	return boolOr(c, false, CanMultiConner.CanMultiConn)
}

func (c *connection) canFUA() (int64, error) {
	def := FUANone
	if is[Flusher](c.ConnectionInterface) {
		def = FUAEmulate
	}
	return levelOr(c, "can_fua", def, FUANative, CanFUAer.CanFUA)
}

func (c *connection) canCache() (int64, error) {
	def := CacheNone
	if is[Cacher](c.ConnectionInterface) {
		def = CacheNative
	}
	return levelOr(c, "can_cache", def, CacheNative, CanCacher.CanCache)
}

// levelOr is boolOr for an answer that is one of the constants up to highest.
func levelOr[T any](c *connection, callback string, def, highest uint32, ask func(T) (uint32, error)) (int64, error) {
	v := def
	if t, ok := c.ConnectionInterface.(T); ok {
		var err error
		if v, err = ask(t); err != nil {
			return -1, err
		}
	}
	if v > highest {
		return -1, fmt.Errorf("%s: %d: not one of the constants (0 to %d)", callback, v, highest)
	}
	return int64(v), nil
}

func (c *connection) getSize() (int64, error) {
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
