// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include "shim.h"
import "C"

import "syscall"

// The data path. A callback that the connection does not have fails as it
// does in C, should the server call it all the same. None of these allocates
// or locks.

func (c *connection) pread(buf []byte, offset uint64, flags uint32) int {
	return guard("pread", func() error {
		return c.PRead(buf, offset, flags)
	})
}

func (c *connection) pwrite(buf []byte, offset uint64, flags uint32) int {
	return guard("pwrite", func() error {
		if c.pwriter == nil {
			return syscall.EROFS
		}
		return c.pwriter.PWrite(buf, offset, flags)
	})
}

func (c *connection) flush(flags uint32) int {
	return guard("flush", func() error {
		if c.flusher == nil {
			return syscall.EINVAL
		}
		return c.flusher.Flush(flags)
	})
}

func (c *connection) trim(count uint32, offset uint64, flags uint32) int {
	return guard("trim", func() error {
		if c.trimmer == nil {
			return syscall.EINVAL
		}
		return c.trimmer.Trim(count, offset, flags)
	})
}

func (c *connection) zero(count uint32, offset uint64, flags uint32) int {
	refused := false
	ret := guard("zero", func() error {
		if c.zeroer == nil {
			return syscall.EOPNOTSUPP
		}
		err := c.zeroer.Zero(count, offset, flags)
		if errno, _ := errnoOf(err); errno == syscall.EOPNOTSUPP {
			// An answer (write them, or: not fast) and no failure. A client
			// may get it for each of its requests.
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
	return guard("extents", func() error {
		if c.extenter == nil {
			return syscall.EINVAL
		}
		if err := c.extenter.Extents(count, offset, flags, extents); err != nil {
			return err
		}
		return extents.check()
	})
}

func (c *connection) cache(count uint32, offset uint64, flags uint32) int {
	return guard("cache", func() error {
		if c.cacher == nil {
			return nil
		}
		return c.cacher.Cache(count, offset, flags)
	})
}
