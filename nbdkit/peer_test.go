// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"encoding/binary"
	"net"
	"syscall"
	"testing"
)

// sockaddr puts the family in front of data, in the machine's byte order.
func sockaddr(family uint16, data ...byte) []byte {
	return append(binary.NativeEndian.AppendUint16(nil, family), data...)
}

func in6(scope uint32) []byte {
	b := sockaddr(syscall.AF_INET6, 0x2a, 0x39, 0, 0, 0, 0)
	b = append(b, net.ParseIP("fe80::1").To16()...)
	return binary.NativeEndian.AppendUint32(b, scope)
}

func TestParseSockaddr(t *testing.T) {
	tests := []struct {
		name    string
		bytes   []byte
		network string
		want    string
	}{
		{"IPv4", sockaddr(syscall.AF_INET, 0x2a, 0x39, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0), "tcp", "192.0.2.1:10809"},
		{"IPv6", in6(0), "tcp", "[fe80::1]:10809"},
		{"IPv6 with a scope", in6(3), "tcp", "[fe80::1%3]:10809"},
		{"Unix, no name", sockaddr(syscall.AF_UNIX), "unix", ""},
		{"Unix, one NUL", sockaddr(syscall.AF_UNIX, 0), "unix", ""},
		{"Unix, path", sockaddr(syscall.AF_UNIX, []byte("/run/s\x00")...), "unix", "/run/s"},
		{"Unix, path without NUL", sockaddr(syscall.AF_UNIX, []byte("/run/s")...), "unix", "/run/s"},
		{"Unix, path and rubbish", sockaddr(syscall.AF_UNIX, []byte("/run/s\x00rubbish")...), "unix", "/run/s"},
		{"Unix, abstract", sockaddr(syscall.AF_UNIX, []byte("\x00abc")...), "unix", "@abc"},
		{"vsock", sockaddr(40, 1, 2, 3), "family 40", "010203"},
		{"IPv4, cut off", sockaddr(syscall.AF_INET, 1, 2, 3), "family 2", "010203"},
		{"IPv6, cut off", sockaddr(syscall.AF_INET6, 1), "family 10", "01"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseSockaddr(test.bytes)
			if err != nil {
				t.Fatal(err)
			}
			if got.Network() != test.network || got.String() != test.want {
				t.Errorf("got %s %q, want %s %q", got.Network(), got, test.network, test.want)
			}
		})
	}
	for _, b := range [][]byte{nil, {1}} {
		if got, err := parseSockaddr(b); err == nil {
			t.Errorf("parseSockaddr(%v): got %v, want an error", b, got)
		}
	}
}

// The address that is returned must not share nbdkit's, or the caller's, memory.
func TestParseSockaddrCopies(t *testing.T) {
	for _, family := range []uint16{syscall.AF_INET, syscall.AF_UNIX, 40} {
		b := sockaddr(family, []byte("abcdefgh")...)
		got, err := parseSockaddr(b)
		if err != nil {
			t.Fatal(err)
		}
		before := got.String()
		clear(b)
		if got.String() != before {
			t.Errorf("family %d: got %q after the buffer changed, want %q", family, got, before)
		}
	}
}

func FuzzParseSockaddr(f *testing.F) {
	f.Add(in6(1))
	f.Add(sockaddr(syscall.AF_INET, 1, 2, 3, 4, 5, 6))
	f.Add(sockaddr(syscall.AF_UNIX, []byte("\x00abc\x00")...))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseSockaddr(b)
		if (err == nil) != (len(b) >= 2) {
			t.Fatalf("%d bytes: got error %v", len(b), err)
		}
		if err == nil && got.Network() == "" {
			t.Errorf("%x: got an address without a network: %#v", b, got)
		}
	})
}
