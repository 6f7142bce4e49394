// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #cgo pkg-config: nbdkit
// #cgo CFLAGS: -fvisibility=hidden -Wall -Wno-unused-variable
// #cgo LDFLAGS: -Wl,--wrap=pthread_create ${SRCDIR}/symbols.map.tbd
// #include "shim.h"
import "C"

import (
	"syscall"
	"unsafe"
)

// What plugin.c and direct.c call. Each function has the type of its callback.

//export gonbdkitDescribe
func gonbdkitDescribe() C.int {
	return C.int(guard("plugin_init", func() error { return describe(tell) }))
}

//export gonbdkitConfigComplete
func gonbdkitConfigComplete() C.int {
	return C.int(guard("config_complete", func() error { return checkConfig(true) }))
}

//export gonbdkitThreadModel
func gonbdkitThreadModel() C.int {
	return C.int(guard("thread_model", func() error { return checkConfig(false) }))
}

//export gonbdkitDumpPlugin
func gonbdkitDumpPlugin() C.int {
	return C.int(guard("dump_plugin", dumpPlugin))
}

//export gonbdkitAfterFork
func gonbdkitAfterFork() C.int {
	cs := C.CString(visibleNUL(serve(params())))
	defer cfree(unsafe.Pointer(cs))
	return C.gonbdkit_report(cs)
}

//export gonbdkitCleanup
func gonbdkitCleanup() {
	guardVoid("cleanup", registration.impl.(Cleaner).Cleanup)
}

//export gonbdkitUnload
func gonbdkitUnload() {
	if i, ok := registration.impl.(Unloader); ok {
		guardVoid("unload", i.Unload)
	}
}

//export gonbdkitPreConnect
func gonbdkitPreConnect(readonly C.int) C.int {
	return C.int(guard("preconnect", func() error {
		return registration.impl.(PreConnecter).PreConnect(readonly != 0)
	}))
}

//export gonbdkitListExports
func gonbdkitListExports(readonly, isTLS C.int, list *C.struct_nbdkit_exports) C.int {
	exports := &Exports{list: list}
	defer func() { exports.list = nil }()
	return C.int(guard("list_exports", func() error {
		return registration.impl.(ExportLister).ListExports(readonly != 0, isTLS != 0, exports)
	}))
}

//export gonbdkitDefaultExport
func gonbdkitDefaultExport(readonly, isTLS C.int) C.gonbdkit_string {
	return guardString("default_export", func() (string, error) {
		return registration.impl.(DefaultExporter).DefaultExport(readonly != 0, isTLS != 0)
	})
}

//export gonbdkitOpen
func gonbdkitOpen(readonly C.int) unsafe.Pointer {
	var handle unsafe.Pointer
	guard("open", func() error {
		c, err := open(readonly != 0)
		if err == nil {
			handle = newHandle(c)
		}
		return err
	})
	return handle
}

//export gonbdkitClose
func gonbdkitClose(handle unsafe.Pointer) {
	// Deleted even if Close panics: nbdkit does not use it again.
	defer deleteHandle(handle)
	if i, ok := conn(handle).ConnectionInterface.(ConnectionCloser); ok {
		guardVoid("close", i.Close)
	}
}

// The server asks each question about a connection by the callback's name.
//
//export gonbdkitAsk
func gonbdkitAsk(handle unsafe.Pointer, callback C.gonbdkit_string) C.int64_t {
	name := C.GoString(callback)
	return C.int64_t(guardValue(name, func() (int64, error) {
		return questions[name](conn(handle).ConnectionInterface)
	}))
}

//export gonbdkitBlockSize
func gonbdkitBlockSize(handle unsafe.Pointer, minimum, preferred, maximum *C.uint32_t) C.int {
	return C.int(guard("block_size", func() error {
		lo, mid, hi, err := conn(handle).blockSize()
		*minimum, *preferred, *maximum = C.uint32_t(lo), C.uint32_t(mid), C.uint32_t(hi)
		return err
	}))
}

//export gonbdkitExportDescription
func gonbdkitExportDescription(handle unsafe.Pointer) C.gonbdkit_string {
	return guardString("export_description", conn(handle).exportDescription)
}

// The data path. If the server calls a callback that the connection does not
// have, it fails as it does in C. None of these allocates or locks.

//export gonbdkitPRead
func gonbdkitPRead(handle, buf unsafe.Pointer, count C.uint32_t, offset C.uint64_t, flags C.uint32_t) C.int {
	return request(handle, "pread", 0, func(r ConnectionInterface) error {
		return r.PRead(unsafe.Slice((*byte)(buf), count), uint64(offset), uint32(flags))
	})
}

//export gonbdkitPWrite
func gonbdkitPWrite(handle, buf unsafe.Pointer, count C.uint32_t, offset C.uint64_t, flags C.uint32_t) C.int {
	return request(handle, "pwrite", syscall.EROFS, func(w PWriter) error {
		return w.PWrite(unsafe.Slice((*byte)(buf), count), uint64(offset), uint32(flags))
	})
}

//export gonbdkitFlush
func gonbdkitFlush(handle unsafe.Pointer, flags C.uint32_t) C.int {
	return request(handle, "flush", syscall.EINVAL, func(f Flusher) error {
		return f.Flush(uint32(flags))
	})
}

//export gonbdkitTrim
func gonbdkitTrim(handle unsafe.Pointer, count C.uint32_t, offset C.uint64_t, flags C.uint32_t) C.int {
	return request(handle, "trim", syscall.EINVAL, func(t Trimmer) error {
		return t.Trim(uint32(count), uint64(offset), uint32(flags))
	})
}

//export gonbdkitZero
func gonbdkitZero(handle unsafe.Pointer, count C.uint32_t, offset C.uint64_t, flags C.uint32_t) C.int {
	return request(handle, "zero", syscall.EOPNOTSUPP, func(z Zeroer) error {
		err := z.Zero(uint32(count), uint64(offset), uint32(flags))
		if errno, _ := errnoOf(err); errno == syscall.EOPNOTSUPP {
			// This is an answer (write them, or: not fast) and no failure,
			// and a client may get it for each of its requests.
			Debug(err.Error())
			return debugged{errno}
		}
		return err
	})
}

//export gonbdkitExtents
func gonbdkitExtents(handle unsafe.Pointer, count C.uint32_t, offset C.uint64_t, flags C.uint32_t, list *C.struct_nbdkit_extents) C.int {
	return askExtents(handle, addExtentTo(list), uint32(count), uint64(offset), uint32(flags))
}

//export gonbdkitCache
func gonbdkitCache(handle unsafe.Pointer, count C.uint32_t, offset C.uint64_t, flags C.uint32_t) C.int {
	return request(handle, "cache", 0, func(c Cacher) error {
		return c.Cache(uint32(count), uint64(offset), uint32(flags))
	})
}

// request calls f if the connection is a T, and else fails with missing, if
// that is an errno.
func request[T any](handle unsafe.Pointer, callback string, missing syscall.Errno, f func(T) error) C.int {
	c := conn(handle)
	return C.int(guard(callback, func() error {
		if t, ok := c.ConnectionInterface.(T); ok {
			return f(t)
		}
		if missing != 0 {
			return missing
		}
		return nil
	}))
}
