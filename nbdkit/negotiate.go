// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"fmt"
	"math"
)

// The functions here answer nbdkit's questions about a connection, by asking
// it or by what nbdkit does for a C plugin without the callback.

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
	return boolOr(c, c.pwriter != nil, CanWriter.CanWrite)
}

func (c *connection) canFlush() (int64, error) {
	return boolOr(c, c.flusher != nil, CanFlusher.CanFlush)
}

func (c *connection) isRotational() (int64, error) {
	return boolOr(c, false, IsRotationaler.IsRotational)
}

func (c *connection) canTrim() (int64, error) {
	return boolOr(c, c.trimmer != nil, CanTrimmer.CanTrim)
}

// Unlike in C, true without a Zeroer still has to become false: the server
// cannot see that the callback behind the shim is missing.
func (c *connection) canZero() (int64, error) {
	v, err := boolOr(c, c.zeroer != nil, CanZeroer.CanZero)
	if err == nil && c.zeroer == nil {
		v = 0
	}
	if err == nil {
		c.zeroes = v != 0
	}
	return v, err
}

// canFastZero relies on the server's asking for can_zero first.
func (c *connection) canFastZero() (int64, error) {
	return boolOr(c, !c.zeroes, CanFastZeroer.CanFastZero)
}

func (c *connection) canExtents() (int64, error) {
	return boolOr(c, c.extenter != nil, CanExtentser.CanExtents)
}

func (c *connection) canMultiConn() (int64, error) {
	return boolOr(c, false, CanMultiConner.CanMultiConn)
}

func (c *connection) canFUA() (int64, error) {
	v := FUANone
	if c.flusher != nil {
		v = FUAEmulate
	}
	if t, ok := c.ConnectionInterface.(CanFUAer); ok {
		var err error
		if v, err = t.CanFUA(); err != nil {
			return -1, err
		}
	}
	if v > FUANative {
		return -1, fmt.Errorf("can_fua: %d: not one of FUANone, FUAEmulate and FUANative", v)
	}
	return int64(v), nil
}

func (c *connection) canCache() (int64, error) {
	v := CacheNone
	if c.cacher != nil {
		v = CacheNative
	}
	if t, ok := c.ConnectionInterface.(CanCacher); ok {
		var err error
		if v, err = t.CanCache(); err != nil {
			return -1, err
		}
	}
	if v > CacheNative {
		return -1, fmt.Errorf("can_cache: %d: not one of CacheNone, CacheEmulate and CacheNative", v)
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
