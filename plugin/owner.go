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
)

// owner says who the client of this callback is: its certificate's DN if nbdkit
// tells it (1.40), else its address without the port, or its user on a Unix socket.
func owner() (string, error) {
	tls, err := nbdkit.IsTLS()
	if err != nil {
		return "", err
	}
	if tls {
		dn, err := nbdkit.PeerTLSDN()
		switch {
		case errors.Is(err, errors.ErrUnsupported):
		case err != nil:
			return "", err // and not another owner, who would get a fresh disk
		case dn != "":
			return "dn " + dn, nil
		}
	}
	addr, err := nbdkit.PeerName()
	if err != nil {
		return "", err
	}
	switch a := addr.(type) {
	case *net.TCPAddr:
		return "address " + a.AddrPort().Addr().Unmap().String(), nil
	case *net.UnixAddr:
		uid, err := nbdkit.PeerUID()
		return "user " + strconv.FormatInt(uid, 10), err
	case *nbdkit.RawAddr:
		// A struct sockaddr_vm: a reserved field and the port are before it.
		if a.Family == unix.AF_VSOCK && len(a.Data) >= 10 {
			return fmt.Sprintf("vsock %d", binary.NativeEndian.Uint32(a.Data[6:])), nil
		}
	}
	return "", errors.New("the client has an address of a kind that is not known: " + addr.Network())
}
