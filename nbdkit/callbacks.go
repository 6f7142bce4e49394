// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #cgo pkg-config: nbdkit
// #cgo CFLAGS: -fvisibility=hidden -Wall -Wno-unused-variable
// #cgo LDFLAGS: -Wl,--wrap=pthread_create ${SRCDIR}/symbols.map.tbd
// #include "shim.h"
import "C"

import (
	"errors"
	"runtime/cgo"
	"strconv"
	"unsafe"
)

// What child.c and plugin.c call the records and letters.
const (
	tagName        = byte(C.GONBDKIT_NAME)
	tagLongname    = byte(C.GONBDKIT_LONGNAME)
	tagVersion     = byte(C.GONBDKIT_VERSION)
	tagDescription = byte(C.GONBDKIT_DESCRIPTION)
	tagMagicKey    = byte(C.GONBDKIT_MAGIC_KEY)
	tagConfigHelp  = byte(C.GONBDKIT_CONFIG_HELP)
	tagHas         = byte(C.GONBDKIT_HAS)
	tagThreadModel = byte(C.GONBDKIT_THREAD_MODEL)

	hasConfig        = byte(C.GONBDKIT_HAS_CONFIG)
	hasDumpPlugin    = byte(C.GONBDKIT_HAS_DUMP_PLUGIN)
	hasCleanup       = byte(C.GONBDKIT_HAS_CLEANUP)
	hasPreConnect    = byte(C.GONBDKIT_HAS_PRECONNECT)
	hasListExports   = byte(C.GONBDKIT_HAS_LIST_EXPORTS)
	hasDefaultExport = byte(C.GONBDKIT_HAS_DEFAULT_EXPORT)
)

// tell sends a record from a throw-away process to the server's. nbdkit_error
// has been called when it fails.
func tell(tag byte, text string) error {
	ctext := C.CString(text)
	defer cfree(unsafe.Pointer(ctext))
	if C.gonbdkit_tell(C.char(tag), unsafe.Pointer(ctext), C.size_t(len(text))) == -1 {
		return errors.New("the answer could not be sent")
	}
	return nil
}

// params returns what the C side has kept of the command line.
func params() []param {
	ps := make([]param, C.gonbdkit_nr_params())
	for i := range ps {
		ps[i].key = C.GoString(C.gonbdkit_param_key(C.size_t(i)))
		ps[i].value = C.GoString(C.gonbdkit_param_value(C.size_t(i)))
	}
	return ps
}

//export gonbdkitDescribe
func gonbdkitDescribe() C.int {
	return C.int(guard("plugin_init", func() error { return describe(tell) }))
}

//export gonbdkitCheckConfig
func gonbdkitCheckConfig(complete C.int) C.int {
	var step string
	return C.int(guardSteps(&step, func() error {
		if err := replayConfig(&step, params(), complete != 0); err != nil {
			return err
		}
		model, err := threadModel(&step)
		if err != nil {
			return err
		}
		return tell(tagThreadModel, strconv.Itoa(int(model)))
	}))
}

//export gonbdkitDumpPlugin
func gonbdkitDumpPlugin() C.int {
	var step string
	return C.int(guardSteps(&step, func() error {
		if err := replayConfig(&step, params(), false); err != nil {
			return err
		}
		step = "dump_plugin"
		registration.impl.(DumpPluginer).DumpPlugin()
		return nil
	}))
}

//export gonbdkitAfterFork
func gonbdkitAfterFork() C.int {
	var step string
	return C.int(guardSteps(&step, func() error { return serve(&step, params()) }))
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
func gonbdkitDefaultExport(readonly, isTLS C.int) *C.char {
	var name *C.char
	guard("default_export", func() error {
		s, err := registration.impl.(DefaultExporter).DefaultExport(readonly != 0, isTLS != 0)
		if err == nil {
			name, err = intern(s)
		}
		return err
	})
	return name
}

//export gonbdkitOpen
func gonbdkitOpen(readonly C.int) C.uintptr_t {
	var h cgo.Handle
	guard("open", func() error {
		c, err := open(readonly != 0)
		if err == nil {
			h = cgo.NewHandle(c)
		}
		return err
	})
	return C.uintptr_t(h)
}

// directFD is -1 for a connection that is to see all requests.
//
//export gonbdkitDirectFD
func gonbdkitDirectFD(h C.uintptr_t) C.int {
	fd := -1
	if i, ok := conn(h).ConnectionInterface.(DirectFDer); ok {
		guardVoid("open", func() { fd = i.DirectFD() })
	}
	return C.int(fd)
}

//export gonbdkitClose
func gonbdkitClose(h C.uintptr_t) {
	c := conn(h)
	// Deleted also when Close panics: nbdkit does not use it again.
	defer cgo.Handle(h).Delete()
	if i, ok := c.ConnectionInterface.(ConnectionCloser); ok {
		guardVoid("close", i.Close)
	}
}

// conn panics for a handle that is not open, which would be nbdkit's mistake.
func conn(h C.uintptr_t) *connection {
	return cgo.Handle(h).Value().(*connection)
}

//export gonbdkitGetSize
func gonbdkitGetSize(h C.uintptr_t) C.int64_t {
	return C.int64_t(guardValue("get_size", conn(h).getSize))
}

//export gonbdkitBlockSize
func gonbdkitBlockSize(h C.uintptr_t, minimum, preferred, maximum *C.uint32_t) C.int {
	return C.int(guard("block_size", func() error {
		lo, mid, hi, err := conn(h).blockSize()
		*minimum, *preferred, *maximum = C.uint32_t(lo), C.uint32_t(mid), C.uint32_t(hi)
		return err
	}))
}

//export gonbdkitExportDescription
func gonbdkitExportDescription(h C.uintptr_t) *C.char {
	var description *C.char
	guard("export_description", func() error {
		s, err := conn(h).exportDescription()
		if err == nil && s != "" {
			description, err = intern(s)
		}
		return err
	})
	return description
}

//export gonbdkitCanWrite
func gonbdkitCanWrite(h C.uintptr_t) C.int {
	return C.int(guardValue("can_write", conn(h).canWrite))
}

//export gonbdkitCanFlush
func gonbdkitCanFlush(h C.uintptr_t) C.int {
	return C.int(guardValue("can_flush", conn(h).canFlush))
}

//export gonbdkitIsRotational
func gonbdkitIsRotational(h C.uintptr_t) C.int {
	return C.int(guardValue("is_rotational", conn(h).isRotational))
}

//export gonbdkitCanTrim
func gonbdkitCanTrim(h C.uintptr_t) C.int {
	return C.int(guardValue("can_trim", conn(h).canTrim))
}

//export gonbdkitCanZero
func gonbdkitCanZero(h C.uintptr_t) C.int {
	return C.int(guardValue("can_zero", conn(h).canZero))
}

//export gonbdkitCanFastZero
func gonbdkitCanFastZero(h C.uintptr_t) C.int {
	return C.int(guardValue("can_fast_zero", conn(h).canFastZero))
}

//export gonbdkitCanExtents
func gonbdkitCanExtents(h C.uintptr_t) C.int {
	return C.int(guardValue("can_extents", conn(h).canExtents))
}

//export gonbdkitCanFUA
func gonbdkitCanFUA(h C.uintptr_t) C.int {
	return C.int(guardValue("can_fua", conn(h).canFUA))
}

//export gonbdkitCanMultiConn
func gonbdkitCanMultiConn(h C.uintptr_t) C.int {
	return C.int(guardValue("can_multi_conn", conn(h).canMultiConn))
}

//export gonbdkitCanCache
func gonbdkitCanCache(h C.uintptr_t) C.int {
	return C.int(guardValue("can_cache", conn(h).canCache))
}

//export gonbdkitPRead
func gonbdkitPRead(h C.uintptr_t, buf unsafe.Pointer, count C.uint32_t, offset C.uint64_t, flags C.uint32_t) C.int {
	return C.int(conn(h).pread(unsafe.Slice((*byte)(buf), count), uint64(offset), uint32(flags)))
}

//export gonbdkitPWrite
func gonbdkitPWrite(h C.uintptr_t, buf unsafe.Pointer, count C.uint32_t, offset C.uint64_t, flags C.uint32_t) C.int {
	return C.int(conn(h).pwrite(unsafe.Slice((*byte)(buf), count), uint64(offset), uint32(flags)))
}

//export gonbdkitFlush
func gonbdkitFlush(h C.uintptr_t, flags C.uint32_t) C.int {
	return C.int(conn(h).flush(uint32(flags)))
}

//export gonbdkitTrim
func gonbdkitTrim(h C.uintptr_t, count C.uint32_t, offset C.uint64_t, flags C.uint32_t) C.int {
	return C.int(conn(h).trim(uint32(count), uint64(offset), uint32(flags)))
}

//export gonbdkitZero
func gonbdkitZero(h C.uintptr_t, count C.uint32_t, offset C.uint64_t, flags C.uint32_t) C.int {
	return C.int(conn(h).zero(uint32(count), uint64(offset), uint32(flags)))
}

//export gonbdkitExtents
func gonbdkitExtents(h C.uintptr_t, count C.uint32_t, offset C.uint64_t, flags C.uint32_t, list *C.struct_nbdkit_extents) C.int {
	extents := newExtents(addExtentTo(list), uint32(count), uint64(offset))
	defer extents.over()
	return C.int(conn(h).extents(uint32(count), uint64(offset), uint32(flags), extents))
}

//export gonbdkitCache
func gonbdkitCache(h C.uintptr_t, count C.uint32_t, offset C.uint64_t, flags C.uint32_t) C.int {
	return C.int(conn(h).cache(uint32(count), uint64(offset), uint32(flags)))
}
