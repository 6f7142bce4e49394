// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include "shim.h"
import "C"

import "syscall"

// The data path. If the server calls a callback that the connection does not
// have, it fails as it does in C. None of these allocates or locks.

func (c *connection) pread(buf []byte, offset uint64, flags uint32) int {
	return guard("pread", func() error {
		return c.PRead(buf, offset, flags)
	})
}

func (c *connection) pwrite(buf []byte, offset uint64, flags uint32) int {
	return request(c, "pwrite", syscall.EROFS, func(w PWriter) error {
		return w.PWrite(buf, offset, flags)
	})
}

func (c *connection) flush(flags uint32) int {
	return request(c, "flush", syscall.EINVAL, func(f Flusher) error {
		return f.Flush(flags)
	})
}

func (c *connection) trim(count uint32, offset uint64, flags uint32) int {
	return request(c, "trim", syscall.EINVAL, func(t Trimmer) error {
		return t.Trim(count, offset, flags)
	})
}

func (c *connection) zero(count uint32, offset uint64, flags uint32) int {
	refused := false
	ret := request(c, "zero", syscall.EOPNOTSUPP, func(z Zeroer) error {
		err := z.Zero(count, offset, flags)
		if errno, _ := errnoOf(err); errno == syscall.EOPNOTSUPP {
			// This is an answer (write them, or: not fast) and no failure,
			// and a client may get it for each of its requests.
			Debug(err.Error())
			C.gonbdkit_callback_failed(C.int(errno))
			refused = true
			return nil
		}
		return err
	})
	if refused {
		return -1
	}
	return ret
}

func (c *connection) extents(count uint32, offset uint64, flags uint32, extents *Extents) int {
	return request(c, "extents", syscall.EINVAL, func(e Extenter) error {
		if err := e.Extents(count, offset, flags, extents); err != nil {
			return err
		}
		return extents.check()
	})
}

func (c *connection) cache(count uint32, offset uint64, flags uint32) int {
	return request(c, "cache", 0, func(t Cacher) error {
		return t.Cache(count, offset, flags)
	})
}

// request calls f if the connection is a T, and else fails with missing, if
// that is an errno.
func request[T any](c *connection, callback string, missing syscall.Errno, f func(T) error) int {
	return guard(callback, func() error {
		if t, ok := c.ConnectionInterface.(T); ok {
			return f(t)
		}
		if missing != 0 {
			return missing
		}
		return nil
	})
}
