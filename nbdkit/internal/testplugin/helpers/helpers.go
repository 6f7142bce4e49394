// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Command helpers is a plugin that calls every helper function of the bindings.
// Its disk is a report of what they returned, as lines of name=value.
//
// Parameters: file=PATH and expect=PATH are compared, through AbsolutePath;
// password=VALUE is for ReadPassword; parse=1 checks the parsers. leave=TEXT is left for
// the server, in two files without a name.
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
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"libguestfs.org/nbdkit"
)

type plugin struct {
	file, expect, password string
	leave, left            string
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
	case "leave":
		p.leave = value
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
	if p.leave != "" && nbdkit.Checking() {
		if err := leave(p.leave); err != nil {
			return err
		}
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

// leave leaves text in two files, and takes no name that is wrong.
func leave(text string) error {
	if nbdkit.Leave("", 0) == nil || nbdkit.Leave(strings.Repeat("x", 256), 0) == nil || nbdkit.Leave("closed", 1<<20) == nil {
		return errors.New("Leave took what it should not")
	}
	for _, name := range []string{"first", "second"} {
		f, err := os.CreateTemp("", "left")
		if err != nil {
			return err
		}
		defer f.Close()
		os.Remove(f.Name())
		if _, err := f.WriteString(name + " " + text); err != nil {
			return err
		}
		if err := nbdkit.Leave(name, int(f.Fd())); err != nil {
			return err
		}
	}
	return nil
}

func (p *plugin) AfterFork() error {
	if nbdkit.Leave("late", 0) == nil {
		return errors.New("after_fork: Leave returned no error")
	}
	left := nbdkit.Left()
	for _, name := range []string{"first", "second"} {
		if fd, ok := left[name]; ok {
			f := os.NewFile(uintptr(fd), name)
			defer f.Close()
			text, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<10))
			if err != nil {
				return err
			}
			p.left += string(text) + ";"
		}
	}
	if again := nbdkit.Left(); len(left) > 2 || len(again) > 0 {
		return fmt.Errorf("after_fork: Left returned %v, and then %v", left, again)
	}
	return nil
}

func (p *plugin) Open(readonly bool) (nbdkit.ConnectionInterface, error) {
	var r report
	r.line("readonly")(readonly, nil)
	r.line("password")(p.password, nil)
	r.line("left")(p.left, nil)
	r.line("stdio_safe")(p.stdioSafe, nil)
	r.line("cwd")(os.Getwd())
	r.line("absolute_path")(nbdkit.AbsolutePath(p.file))
	r.line("realpath")(nbdkit.Realpath(p.file))
	name, err := nbdkit.ExportName()
	r.line("export_name")(name, err)
	r.line("is_tls")(nbdkit.IsTLS())
	addr, err := nbdkit.PeerName()
	r.line("peer_name")(fmt.Sprintf("%T", addr), err)
	r.line("peer_pid")(nbdkit.PeerPID())
	r.line("peer_uid")(nbdkit.PeerUID())
	r.line("peer_gid")(nbdkit.PeerGID())
	r.line("peer_tls_dn")(nbdkit.PeerTLSDN())
	r.line("peer_tls_issuer_dn")(nbdkit.PeerTLSIssuerDN())
	_, err = nbdkit.PeerSecurityContext()
	r.line("peer_security_context")("asked", err)
	r.line("parse_probability")(nbdkit.ParseProbability("probability", "1:4"))
	r.line("parse_delay")(nbdkit.ParseDelay("delay", "1.5ms"))
	r.line("nanosleep")("slept", nbdkit.Nanosleep(time.Millisecond))
	r.line("nanosleep_negative")("slept", nbdkit.Nanosleep(-1))
	r.line("sigterm_onstack")(C.sigterm_onstack() != 0, nil)
	if name == "disconnect" {
		r.line("disconnect")("called", nbdkit.Disconnect(false))
	}
	r.line("with_client")(nbdkit.WithClient(r.foreign))
	return &conn{report: r.Bytes(), shutdown: name == "shutdown"}, nil
}

// report collects the lines.
type report struct{ bytes.Buffer }

func (r *report) line(name string) func(value any, err error) {
	return func(value any, err error) {
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			fmt.Fprintf(r, "%s=unsupported\n", name)
		case err != nil:
			fmt.Fprintf(r, "%s=error\n", name)
		default:
			fmt.Fprintf(r, "%s=%v\n", name, value)
		}
	}
}

// foreign runs in a goroutine that belongs to no connection: errors, and no
// crash.
func (r *report) foreign(context.Context) (string, error) {
	nbdkit.SetError(syscall.EPERM)
	nbdkit.Debug("from another goroutine")
	nbdkit.Error("from another\x00goroutine")
	r.line("foreign_export_name")(nbdkit.ExportName())
	r.line("foreign_peer_uid")(nbdkit.PeerUID())
	r.line("foreign_nanosleep")("slept", nbdkit.Nanosleep(time.Millisecond))
	return "done", nil
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
	return errors.Join(
		gives(int64(10<<20))(nbdkit.ParseSize("10M")),
		fails(nbdkit.ParseSize("-1")),
		fails(nbdkit.ParseSize("1\x00M")),
		gives(true)(nbdkit.ParseBool("on")),
		fails(nbdkit.ParseBool("perhaps")),
		gives(-16)(nbdkit.ParseInt("i", "-0x10")),
		gives(uint(1<<32-1))(nbdkit.ParseUnsigned("u", "4294967295")),
		fails(nbdkit.ParseUnsigned("u", "-1")),
		gives(int8(-128))(nbdkit.ParseInt8("i8", "-128")),
		fails(nbdkit.ParseInt8("i8", "128")),
		gives(uint8(255))(nbdkit.ParseUint8("u8", "255")),
		gives(int16(-32768))(nbdkit.ParseInt16("i16", "-32768")),
		gives(uint16(65535))(nbdkit.ParseUint16("u16", "65535")),
		gives(int32(-1<<31))(nbdkit.ParseInt32("i32", "-2147483648")),
		gives(uint32(15))(nbdkit.ParseUint32("u32", "017")),
		gives(int64(-1<<63))(nbdkit.ParseInt64("i64", "-9223372036854775808")),
		gives(uint64(1<<64-1))(nbdkit.ParseUint64("u64", "18446744073709551615")),
		fails(nbdkit.ParseUint64("u64", "")),
	)
}

func gives[T comparable](want T) func(T, error) error {
	return func(got T, err error) error {
		if err != nil || got != want {
			return fmt.Errorf("got %v, %v, want %T %v", got, err, want, want)
		}
		return nil
	}
}

func fails[T any](got T, err error) error {
	if err == nil {
		return fmt.Errorf("got %T %v, want an error", got, got)
	}
	return nil
}

func init() {
	nbdkit.PluginInitialize("helpers", &plugin{})
}

func main() {}
