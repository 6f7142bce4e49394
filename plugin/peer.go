// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"nbdkit-tmpdisk-plugin/tmpdisk"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
	"libguestfs.org/nbdkit"
)

// peer says who the client of this callback is.
func peer() (tmpdisk.Peer, error) {
	var p tmpdisk.Peer
	tls, err := nbdkit.IsTLS()
	if err != nil {
		return p, err
	}
	if tls {
		// nbdkit tells it from 1.40 on. Another error must not make another
		// client of it, who would get a fresh disk.
		if p.DN, err = nbdkit.PeerTLSDN(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return p, err
		}
	}
	addr, err := nbdkit.PeerName()
	if err != nil {
		return p, err
	}
	switch a := addr.(type) {
	case *net.TCPAddr:
		p.Address = status.PeerAddress + " " + a.AddrPort().Addr().Unmap().String()
		return p, nil
	case *net.UnixAddr:
		uid, err := nbdkit.PeerUID()
		p.Address = status.PeerUser + " " + strconv.FormatInt(uid, 10)
		return p, err
	case *nbdkit.RawAddr:
		// A struct sockaddr_vm: a reserved field and the port are before it.
		if a.Family == unix.AF_VSOCK && len(a.Data) >= 10 {
			p.Address = fmt.Sprintf("%s %d", status.PeerVsock, binary.NativeEndian.Uint32(a.Data[6:]))
			return p, nil
		}
	}
	return p, errors.New("the client has an address of a kind that is not known: " + addr.Network())
}
