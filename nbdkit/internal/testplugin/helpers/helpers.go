// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Command helpers is a plugin that calls every helper function of the bindings.
// Its disk is a report of what they returned, as lines of name=value.
//
// Parameters: file=PATH and expect=PATH are compared, through AbsolutePath;
// password=VALUE is for ReadPassword; parse=1 checks the parsers.
package main

// #include <signal.h>
//
// // Whether nbdkit's handler of SIGTERM runs on a stack of its own.
// static int sigterm_onstack (void)
// {
//   struct sigaction sa;
//   return sigaction (SIGTERM, NULL, &sa) == 0 && (sa.sa_flags & SA_ONSTACK) != 0;
// }
import "C"

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"libguestfs.org/nbdkit"
)

type plugin struct {
	file, expect, password string
	stdioSafe              bool
}

func (p *plugin) Load() {
	p.stdioSafe = nbdkit.StdioSafe()
	nbdkit.Debug(fmt.Sprintf("stdio_safe=%v", p.stdioSafe))
}

func (p *plugin) Config(key, value string) (err error) {
	switch key {
	case "file":
		p.file = value
	case "expect":
		p.expect = value
	case "password":
		p.password, err = nbdkit.ReadPassword(value)
	case "parse":
		err = checkParsers()
	}
	return err
}

func (p *plugin) ConfigComplete() error {
	// Outside of a connection, but in the server: errors, and no crash.
	if name, err := nbdkit.ExportName(); err == nil {
		return fmt.Errorf("config_complete: ExportName returned %q", name)
	}
	if _, err := nbdkit.PeerName(); err == nil {
		return errors.New("config_complete: PeerName returned no error")
	}
	if p.expect == "" {
		return nil
	}
	abs, err := nbdkit.AbsolutePath(p.file)
	if err == nil && abs != p.expect {
		err = fmt.Errorf("AbsolutePath: got %s, want %s", abs, p.expect)
	}
	return err
}

func (p *plugin) Open(readonly bool) (nbdkit.ConnectionInterface, error) {
	var report bytes.Buffer
	add := func(name string, value any, err error) {
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			value = "unsupported"
		case err != nil:
			value = "error"
		}
		fmt.Fprintf(&report, "%s=%v\n", name, value)
	}

	add("readonly", readonly, nil)
	add("password", p.password, nil)
	add("stdio_safe", p.stdioSafe, nil)
	cwd, err := os.Getwd()
	add("cwd", cwd, err)
	abs, err := nbdkit.AbsolutePath(p.file)
	add("absolute_path", abs, err)
	real, err := nbdkit.Realpath(p.file)
	add("realpath", real, err)
	name, err := nbdkit.ExportName()
	add("export_name", name, err)
	tls, err := nbdkit.IsTLS()
	add("is_tls", tls, err)
	addr, err := nbdkit.PeerName()
	add("peer_name", fmt.Sprintf("%T", addr), err)
	pid, err := nbdkit.PeerPID()
	add("peer_pid", pid, err)
	uid, err := nbdkit.PeerUID()
	add("peer_uid", uid, err)
	gid, err := nbdkit.PeerGID()
	add("peer_gid", gid, err)
	dn, err := nbdkit.PeerTLSDN()
	add("peer_tls_dn", dn, err)
	dn, err = nbdkit.PeerTLSIssuerDN()
	add("peer_tls_issuer_dn", dn, err)
	_, err = nbdkit.PeerSecurityContext()
	add("peer_security_context", "asked", err)
	probability, err := nbdkit.ParseProbability("probability", "1:4")
	add("parse_probability", probability, err)
	delay, err := nbdkit.ParseDelay("delay", "1.5ms")
	add("parse_delay", delay, err)
	add("nanosleep", "slept", nbdkit.Nanosleep(time.Millisecond))
	add("nanosleep_negative", "slept", nbdkit.Nanosleep(-1))
	add("sigterm_onstack", C.sigterm_onstack() != 0, nil)
	if name == "disconnect" {
		add("disconnect", "called", nbdkit.Disconnect(false))
	}

	// A goroutine of its own belongs to no connection: errors, and no crash.
	value, err := nbdkit.WithClient(func(context.Context) (string, error) {
		nbdkit.SetError(syscall.EPERM)
		nbdkit.Debug("from another goroutine")
		nbdkit.Error("from another\x00goroutine")
		name, err := nbdkit.ExportName()
		add("foreign_export_name", name, err)
		_, err = nbdkit.PeerUID()
		add("foreign_peer_uid", "", err)
		add("foreign_nanosleep", "slept", nbdkit.Nanosleep(time.Millisecond))
		return "done", nil
	})
	add("with_client", value, err)
	return &conn{report: report.Bytes(), shutdown: name == "shutdown"}, nil
}

type conn struct {
	report   []byte
	shutdown bool
}

func (c *conn) GetSize() (uint64, error) { return uint64(len(c.report)), nil }

func (c *conn) PRead(buf []byte, offset uint64, flags uint32) error {
	if c.shutdown {
		nbdkit.Shutdown()
	}
	copy(buf, c.report[offset:])
	return nil
}

// checkParsers returns an error for the first parser that does not do what
// nbdkit-plugin(3) says.
func checkParsers() error {
	var errs []error
	check := func(call string, got, want any, err error, ok bool) {
		if (err == nil) != ok || (ok && got != want) {
			errs = append(errs, fmt.Errorf("%s: got %v, %w, want %v, success: %v", call, got, err, want, ok))
		}
	}
	size, err := nbdkit.ParseSize("10M")
	check("ParseSize(10M)", size, int64(10<<20), err, true)
	size, err = nbdkit.ParseSize("-1")
	check("ParseSize(-1)", size, nil, err, false)
	size, err = nbdkit.ParseSize("1\x00M")
	check("ParseSize(NUL)", size, nil, err, false)
	on, err := nbdkit.ParseBool("on")
	check("ParseBool(on)", on, true, err, true)
	on, err = nbdkit.ParseBool("perhaps")
	check("ParseBool(perhaps)", on, nil, err, false)
	i, err := nbdkit.ParseInt("i", "-0x10")
	check("ParseInt(-0x10)", i, -16, err, true)
	u, err := nbdkit.ParseUnsigned("u", "4294967295")
	check("ParseUnsigned(2^32-1)", u, uint(1<<32-1), err, true)
	u, err = nbdkit.ParseUnsigned("u", "-1")
	check("ParseUnsigned(-1)", u, nil, err, false)
	i8, err := nbdkit.ParseInt8("i8", "-128")
	check("ParseInt8(-128)", i8, int8(-128), err, true)
	i8, err = nbdkit.ParseInt8("i8", "128")
	check("ParseInt8(128)", i8, nil, err, false)
	u8, err := nbdkit.ParseUint8("u8", "255")
	check("ParseUint8(255)", u8, uint8(255), err, true)
	i16, err := nbdkit.ParseInt16("i16", "-32768")
	check("ParseInt16(-32768)", i16, int16(-32768), err, true)
	u16, err := nbdkit.ParseUint16("u16", "65535")
	check("ParseUint16(65535)", u16, uint16(65535), err, true)
	i32, err := nbdkit.ParseInt32("i32", "-2147483648")
	check("ParseInt32(min)", i32, int32(-1<<31), err, true)
	u32, err := nbdkit.ParseUint32("u32", "017")
	check("ParseUint32(017)", u32, uint32(15), err, true)
	i64, err := nbdkit.ParseInt64("i64", "-9223372036854775808")
	check("ParseInt64(min)", i64, int64(-1<<63), err, true)
	u64, err := nbdkit.ParseUint64("u64", "18446744073709551615")
	check("ParseUint64(max)", u64, uint64(1<<64-1), err, true)
	u64, err = nbdkit.ParseUint64("u64", "")
	check("ParseUint64()", u64, nil, err, false)
	return errors.Join(errs...)
}

func init() {
	nbdkit.PluginInitialize("helpers", &plugin{})
}

func main() {}
