// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Command faulty is a plugin with every callback. Those go wrong that the
// environment variable FAULTY names, in the way that it says, as in
// FAULTY=pread:panic or FAULTY=pread:error,close:panic. A callback of a
// connection goes wrong for clients that ask for the export "faulty" only.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"libguestfs.org/nbdkit"
)

// fault goes wrong if callback is to.
func fault(callback string) error {
	for _, f := range strings.Split(os.Getenv("FAULTY"), ",") {
		if at, how, _ := strings.Cut(f, ":"); at == callback {
			return goWrong(callback, how)
		}
	}
	return nil
}

func goWrong(callback, how string) error {
	switch how {
	case "panic":
		panic("on purpose")
	case "error":
		return errors.New(callback + ": wrong on purpose")
	case "late":
		if !nbdkit.StdioSafe() { // as after the fork
			return errors.New(callback + ": wrong on purpose")
		}
	case "later":
		nbdkit.Error(callback + " came later")
	case "errno":
		return fmt.Errorf("%s: disk: %w", callback, syscall.ENOSPC)
	case "pluginerror":
		return nbdkit.PluginError{Errmsg: callback + ": full on purpose", Errno: syscall.ENOSPC}
	case "seterror":
		nbdkit.SetError(syscall.ENOSPC)
		return errors.New(callback + ": wrong on purpose")
	case "seterror+errno":
		nbdkit.SetError(syscall.EPERM)
		return fmt.Errorf("%s: disk: %w", callback, syscall.ENOSPC)
	case "seterror+panic":
		nbdkit.SetError(syscall.ENOSPC)
		panic("on purpose")
	case "notsup":
		return fmt.Errorf("%s: %w", callback, syscall.EOPNOTSUPP)
	case "exit0":
		os.Exit(0)
	case "exit3":
		os.Exit(3)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "goroutine":
		go func() { panic("on purpose") }()
		select {}
	case "print":
		fmt.Println("printed on purpose")
	case "hang":
		select {}
	case "negative":
		return errNegative
	}
	return nil
}

var errNegative = errors.New("negative")

type plugin struct{}

func (plugin) Describe() nbdkit.Description {
	_ = fault("describe")
	return nbdkit.Description{Version: "1.2.3", ConfigHelp: "any=VALUE  Ignored."}
}

func (plugin) Load()                          { _ = fault("load") }
func (plugin) Unload()                        { _ = fault("unload") }
func (plugin) DumpPlugin()                    { _ = fault("dump_plugin"); fmt.Println("faulty_dumped=1") }
func (plugin) Config(key, value string) error { return fault("config") }
func (plugin) ConfigComplete() error          { return fault("config_complete") }
func (plugin) GetReady() error                { return fault("get_ready") }
func (plugin) AfterFork() error               { return fault("after_fork") }
func (plugin) Cleanup()                       { _ = fault("cleanup") }
func (plugin) PreConnect(bool) error          { return fault("preconnect") }

func (plugin) ThreadModel() (uint32, error) {
	return nbdkit.ThreadModelParallel, fault("thread_model")
}

func (plugin) ListExports(readonly, isTLS bool, exports *nbdkit.Exports) error {
	if err := fault("list_exports"); err != nil {
		return err
	}
	return errors.Join(exports.Add("faulty", "goes wrong"), exports.Add("good", ""))
}

func (plugin) DefaultExport(readonly, isTLS bool) (string, error) {
	return "good", fault("default_export")
}

func (plugin) Open(readonly bool) (nbdkit.ConnectionInterface, error) {
	name, err := nbdkit.ExportName()
	if err != nil {
		return nil, err
	}
	c := &conn{faulty: name == "faulty"}
	return c, c.fault("open")
}

type conn struct {
	faulty bool
}

func (c *conn) fault(callback string) error {
	if !c.faulty {
		return nil
	}
	return fault(callback)
}

func (c *conn) Close() { _ = c.fault("close") }

func (c *conn) GetSize() (uint64, error) {
	err := c.fault("get_size")
	if errors.Is(err, errNegative) {
		minusTwo := int64(-2)
		return uint64(minusTwo), nil
	}
	return 1 << 20, err
}

func (c *conn) BlockSize() (uint32, uint32, uint32, error) {
	err := c.fault("block_size")
	if errors.Is(err, errNegative) {
		return 4096, 512, 1 << 20, nil // minimum > preferred
	}
	return 1, 4096, 1 << 20, err
}

func (c *conn) ExportDescription() (string, error) {
	return "described", c.fault("export_description")
}

func (c *conn) CanWrite() (bool, error)     { return true, c.fault("can_write") }
func (c *conn) CanFlush() (bool, error)     { return true, c.fault("can_flush") }
func (c *conn) IsRotational() (bool, error) { return true, c.fault("is_rotational") }
func (c *conn) CanTrim() (bool, error)      { return true, c.fault("can_trim") }
func (c *conn) CanZero() (bool, error)      { return true, c.fault("can_zero") }
func (c *conn) CanFastZero() (bool, error)  { return true, c.fault("can_fast_zero") }
func (c *conn) CanExtents() (bool, error)   { return true, c.fault("can_extents") }
func (c *conn) CanFUA() (uint32, error)     { return nbdkit.FUANative, c.fault("can_fua") }
func (c *conn) CanMultiConn() (bool, error) { return true, c.fault("can_multi_conn") }
func (c *conn) CanCache() (uint32, error)   { return nbdkit.CacheNative, c.fault("can_cache") }

func (c *conn) PRead(buf []byte, offset uint64, flags uint32) error {
	clear(buf)
	return c.fault("pread")
}

func (c *conn) PWrite(buf []byte, offset uint64, flags uint32) error { return c.fault("pwrite") }
func (c *conn) Flush(flags uint32) error                             { return c.fault("flush") }

func (c *conn) Trim(count uint32, offset uint64, flags uint32) error { return c.fault("trim") }
func (c *conn) Zero(count uint32, offset uint64, flags uint32) error { return c.fault("zero") }

func (c *conn) Extents(count uint32, offset uint64, flags uint32, extents *nbdkit.Extents) error {
	if err := c.fault("extents"); err != nil {
		return err
	}
	return extents.Add(0, 1<<20, nbdkit.ExtentHole|nbdkit.ExtentZero)
}

func (c *conn) Cache(count uint32, offset uint64, flags uint32) error { return c.fault("cache") }

func init() {
	nbdkit.PluginInitialize("faulty", plugin{})
}

func main() {}
