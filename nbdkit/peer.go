// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include <sys/un.h>
// #include "shim.h"
import "C"

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"unsafe"
)

// RawAddr is the address of a peer whose family [PeerName] has no type for,
// such as vsock.
type RawAddr struct {
	Family uint16
	Data   []byte // what follows the family in the struct sockaddr
}

// Network returns "family N".
func (a *RawAddr) Network() string { return "family " + strconv.Itoa(int(a.Family)) }

// String returns the data in hexadecimal.
func (a *RawAddr) String() string { return fmt.Sprintf("%x", a.Data) }

// PeerName (nbdkit_peer_name) returns the address of the client of this
// callback: a *net.TCPAddr, a *net.UnixAddr (with an empty name, as a rule) or
// a *RawAddr.
func PeerName() (net.Addr, error) {
	if err := need("nbdkit_peer_name"); err != nil {
		return nil, err
	}
	var buf [128]byte // sizeof (struct sockaddr_storage)
	n := C.socklen_t(len(buf))
	if C.nbdkit_peer_name((*C.struct_sockaddr)(unsafe.Pointer(&buf[0])), &n) == -1 {
		return nil, errors.New("nbdkit_peer_name: the client has no address")
	}
	// As with getpeername(2), n is more than the buffer if it was too small.
	return parseSockaddr(buf[:min(int(n), len(buf))])
}

func parseSockaddr(b []byte) (net.Addr, error) {
	if len(b) < 2 {
		return nil, fmt.Errorf("nbdkit_peer_name: %d bytes: too short for an address", len(b))
	}
	family, data := binary.NativeEndian.Uint16(b), b[2:]
	switch {
	case family == syscall.AF_INET && len(data) >= 6:
		return &net.TCPAddr{
			IP:   net.IP(append([]byte(nil), data[2:6]...)),
			Port: int(binary.BigEndian.Uint16(data)),
		}, nil
	case family == syscall.AF_INET6 && len(data) >= 26:
		a := &net.TCPAddr{
			IP:   net.IP(append([]byte(nil), data[6:22]...)),
			Port: int(binary.BigEndian.Uint16(data)),
		}
		if scope := binary.NativeEndian.Uint32(data[22:]); scope != 0 {
			a.Zone = strconv.Itoa(int(scope))
		}
		return a, nil
	case family == syscall.AF_UNIX:
		return &net.UnixAddr{Name: unixName(data), Net: "unix"}, nil
	}
	return &RawAddr{Family: family, Data: append([]byte(nil), data...)}, nil
}

// unixName returns the name in sun_path as package net writes it: an abstract
// one, which begins with NUL and may contain others, with @ for the first.
func unixName(path []byte) string {
	if len(path) > 1 && path[0] == 0 {
		return "@" + string(path[1:])
	}
	name, _, _ := bytes.Cut(path, []byte{0})
	return string(name)
}

// PeerPID (nbdkit_peer_pid) returns the process ID of a client on a Unix
// socket.
func PeerPID() (int64, error) {
	return peerID("nbdkit_peer_pid", func() C.int64_t { return C.nbdkit_peer_pid() })
}

// PeerUID (nbdkit_peer_uid) returns the user ID of a client on a Unix socket.
func PeerUID() (int64, error) {
	return peerID("nbdkit_peer_uid", func() C.int64_t { return C.nbdkit_peer_uid() })
}

// PeerGID (nbdkit_peer_gid) returns the group ID of a client on a Unix socket.
func PeerGID() (int64, error) {
	return peerID("nbdkit_peer_gid", func() C.int64_t { return C.nbdkit_peer_gid() })
}

func peerID(function string, f func() C.int64_t) (int64, error) {
	if err := need(function); err != nil {
		return 0, err
	}
	id := f()
	if id == -1 {
		return 0, errors.New(function + ": the client is not on a Unix socket")
	}
	return int64(id), nil
}

// PeerSecurityContext (nbdkit_peer_security_context, nbdkit 1.36) returns the
// security context, usually SELinux's label, of a client on a Unix socket. On
// older servers the error wraps [errors.ErrUnsupported].
func PeerSecurityContext() (string, error) {
	return ownedString("nbdkit_peer_security_context", func() *C.char { return C.nbdkit_peer_security_context() })
}

// PeerTLSDN (nbdkit_peer_tls_dn, nbdkit 1.40) returns the distinguished name
// in the client's certificate, or "". On older servers the error wraps
// [errors.ErrUnsupported].
func PeerTLSDN() (string, error) {
	return ownedString("nbdkit_peer_tls_dn", func() *C.char { return C.nbdkit_peer_tls_dn() })
}

// PeerTLSIssuerDN (nbdkit_peer_tls_issuer_dn, nbdkit 1.40) is PeerTLSDN for
// the certificate's issuer.
func PeerTLSIssuerDN() (string, error) {
	return ownedString("nbdkit_peer_tls_issuer_dn", func() *C.char { return C.nbdkit_peer_tls_issuer_dn() })
}
