// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
	"libguestfs.org/nbdkit"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// host gives package tmpdisk nbdkit's functions.
type host struct{}

func (host) ParseSize(s string) (int64, error) { return nbdkit.ParseSize(s) }

func (host) AbsolutePath(path string) string {
	abs, err := nbdkit.AbsolutePath(path)
	if err != nil {
		// The directory that nbdkit was started in has been removed. The
		// path can only be relative to the current one.
		return path
	}
	return abs
}

// What is logged may have names in it that clients have chosen.

func (host) Debug(msg string) { nbdkit.Debug(sys.Printable(msg)) }

func (host) Error(msg string) { nbdkit.Error(sys.Printable(msg)) }

// peer says who the client of this callback is. One with a certificate is known by
// that, whatever its address.
func peer() (p clients.Peer, err error) {
	tls, err := nbdkit.IsTLS()
	if err != nil {
		return p, err
	}
	if tls {
		// nbdkit has it from 1.40 on. After any other error the address must
		// not stand in: it would be another client, with a fresh disk.
		if p.DN, err = nbdkit.PeerTLSDN(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return p, err
		}
	}
	if p.Address, err = address(); p.DN != "" {
		err = nil
	}
	return p, err
}

func address() (string, error) {
	addr, err := nbdkit.PeerName()
	if err != nil {
		return "", err
	}
	switch a := addr.(type) {
	case *net.TCPAddr:
		return status.PeerAddress + " " + a.AddrPort().Addr().Unmap().String(), nil
	case *net.UnixAddr:
		uid, err := nbdkit.PeerUID()
		return status.PeerUser + " " + strconv.FormatInt(uid, 10), err
	case *nbdkit.RawAddr:
		// A struct sockaddr_vm: a reserved field and the port are before it.
		if a.Family == unix.AF_VSOCK && len(a.Data) >= 10 {
			return fmt.Sprintf("%s %d", status.PeerVsock, binary.NativeEndian.Uint32(a.Data[6:])), nil
		}
	}
	return "", errors.New("the client has an address of a kind that is not known: " + addr.Network())
}
