// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Command wrong is a plugin with the mistake, made at registration or in Open,
// that the environment variable WRONG names.
package main

import (
	"os"

	"libguestfs.org/nbdkit"
)

type plugin struct{}

func (plugin) Open(readonly bool) (nbdkit.ConnectionInterface, error) {
	switch os.Getenv("WRONG") {
	case "nil-connection":
		return nil, nil
	case "nil-pointer":
		return (*pointer)(nil), nil
	case "connection-signature":
		return badWrite{}, nil
	case "connection-receiver":
		return pointerWrite{}, nil
	case "ignored":
		return misspelt{512}, nil
	case "negative-size":
		return conn(-1), nil
	}
	return conn(512), nil
}

type conn int64

func (c conn) GetSize() (uint64, error) { return uint64(c), nil }

func (c conn) PRead(buf []byte, offset uint64, flags uint32) error {
	clear(buf)
	return nil
}

// pointer needs the value that it points to in every method.
type pointer struct{ conn }

func (p *pointer) Close() { p.conn = 0 }

type badWrite struct{ conn }

func (badWrite) PWrite(buf []byte, offset int64) error { return nil }

type pointerWrite struct{ conn }

func (*pointerWrite) PWrite(buf []byte, offset uint64, flags uint32) error { return nil }

type misspelt struct{ conn }

func (misspelt) CanFua() (uint32, error) { return nbdkit.FUANone, nil }

type versioned struct{ plugin }

func (versioned) Version() string { return "1.0" }

type badConfig struct{ plugin }

func (badConfig) Config(key, value string) {}

type badModel struct{ plugin }

func (badModel) ThreadModel() (uint32, error) { return 4, nil }

type described struct{ plugin }

func (described) Describe() nbdkit.Description {
	return nbdkit.Description{Longname: "cut\x00off"}
}

func init() {
	switch os.Getenv("WRONG") {
	case "no-registration":
	case "two-registrations":
		nbdkit.PluginInitialize("one", plugin{})
		nbdkit.PluginInitialize("two", plugin{})
	case "nil-plugin":
		nbdkit.PluginInitialize("wrong", nil)
	case "no-name":
		nbdkit.PluginInitialize("", plugin{})
	case "bad-name":
		nbdkit.PluginInitialize("not a name", plugin{})
	case "signature":
		nbdkit.PluginInitialize("wrong", badConfig{})
	case "ignored":
		nbdkit.PluginInitialize("wrong", versioned{})
	case "thread-model":
		nbdkit.PluginInitialize("wrong", badModel{})
	case "nul":
		nbdkit.PluginInitialize("wrong", described{})
	case "init-panic":
		panic("on purpose")
	default:
		nbdkit.PluginInitialize("wrong", plugin{})
	}
}

func main() {}
