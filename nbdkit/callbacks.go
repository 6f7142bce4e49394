// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #cgo pkg-config: nbdkit
// #cgo CFLAGS: -fvisibility=hidden -Wall -Wno-unused-variable
// #cgo LDFLAGS: -Wl,--wrap=pthread_create ${SRCDIR}/symbols.map.tbd
// #include "shim.h"
import "C"

import "unsafe"

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

//export gonbdkitGetSize
func gonbdkitGetSize(handle unsafe.Pointer) C.int64_t {
	return C.int64_t(guardValue("get_size", conn(handle).getSize))
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

//export gonbdkitCanWrite
func gonbdkitCanWrite(handle unsafe.Pointer) C.int {
	return C.int(guardValue("can_write", conn(handle).canWrite))
}

//export gonbdkitCanFlush
func gonbdkitCanFlush(handle unsafe.Pointer) C.int {
	return C.int(guardValue("can_flush", conn(handle).canFlush))
}

//export gonbdkitIsRotational
func gonbdkitIsRotational(handle unsafe.Pointer) C.int {
	return C.int(guardValue("is_rotational", conn(handle).isRotational))
}

//export gonbdkitCanTrim
func gonbdkitCanTrim(handle unsafe.Pointer) C.int {
	return C.int(guardValue("can_trim", conn(handle).canTrim))
}

//export gonbdkitCanZero
func gonbdkitCanZero(handle unsafe.Pointer) C.int {
	return C.int(guardValue("can_zero", conn(handle).canZero))
}

//export gonbdkitCanFastZero
func gonbdkitCanFastZero(handle unsafe.Pointer) C.int {
	return C.int(guardValue("can_fast_zero", conn(handle).canFastZero))
}

//export gonbdkitCanExtents
func gonbdkitCanExtents(handle unsafe.Pointer) C.int {
	return C.int(guardValue("can_extents", conn(handle).canExtents))
}

//export gonbdkitCanFUA
func gonbdkitCanFUA(handle unsafe.Pointer) C.int {
	return C.int(guardValue("can_fua", conn(handle).canFUA))
}

//export gonbdkitCanMultiConn
func gonbdkitCanMultiConn(handle unsafe.Pointer) C.int {
	return C.int(guardValue("can_multi_conn", conn(handle).canMultiConn))
}

//export gonbdkitCanCache
func gonbdkitCanCache(handle unsafe.Pointer) C.int {
	return C.int(guardValue("can_cache", conn(handle).canCache))
}

//export gonbdkitPRead
func gonbdkitPRead(handle, buf unsafe.Pointer, count C.uint32_t, offset C.uint64_t, flags C.uint32_t) C.int {
	return C.int(conn(handle).pread(unsafe.Slice((*byte)(buf), count), uint64(offset), uint32(flags)))
}

//export gonbdkitPWrite
func gonbdkitPWrite(handle, buf unsafe.Pointer, count C.uint32_t, offset C.uint64_t, flags C.uint32_t) C.int {
	return C.int(conn(handle).pwrite(unsafe.Slice((*byte)(buf), count), uint64(offset), uint32(flags)))
}

//export gonbdkitFlush
func gonbdkitFlush(handle unsafe.Pointer, flags C.uint32_t) C.int {
	return C.int(conn(handle).flush(uint32(flags)))
}

//export gonbdkitTrim
func gonbdkitTrim(handle unsafe.Pointer, count C.uint32_t, offset C.uint64_t, flags C.uint32_t) C.int {
	return C.int(conn(handle).trim(uint32(count), uint64(offset), uint32(flags)))
}

//export gonbdkitZero
func gonbdkitZero(handle unsafe.Pointer, count C.uint32_t, offset C.uint64_t, flags C.uint32_t) C.int {
	return C.int(conn(handle).zero(uint32(count), uint64(offset), uint32(flags)))
}

//export gonbdkitExtents
func gonbdkitExtents(handle unsafe.Pointer, count C.uint32_t, offset C.uint64_t, flags C.uint32_t, list *C.struct_nbdkit_extents) C.int {
	extents := newExtents(addExtentTo(list), uint32(count), uint64(offset))
	defer extents.over()
	return C.int(conn(handle).extents(uint32(count), uint64(offset), uint32(flags), extents))
}

//export gonbdkitCache
func gonbdkitCache(handle unsafe.Pointer, count C.uint32_t, offset C.uint64_t, flags C.uint32_t) C.int {
	return C.int(conn(handle).cache(uint32(count), uint64(offset), uint32(flags)))
}
