// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Command client is a plugin whose connections take until the client has gone
// or the server is to end. The export says what happens then: Open of "patient"
// fails with the cause, Open of "late" succeeds all the same, Open of "panic"
// panics (at once), and reads of "read" fail with the cause.
package main

import (
	"context"
	"fmt"

	"libguestfs.org/nbdkit"
)

type plugin struct{}

func (plugin) Open(readonly bool) (nbdkit.ConnectionInterface, error) {
	name, err := nbdkit.ExportName()
	if err != nil {
		return nil, err
	}
	if name == "read" {
		return &conn{}, nil
	}
	return nbdkit.WithClient(func(ctx context.Context) (nbdkit.ConnectionInterface, error) {
		if name == "panic" {
			panic("on purpose")
		}
		nbdkit.Error("opening")
		<-ctx.Done()
		nbdkit.Error(fmt.Sprintf("opened: %v", context.Cause(ctx)))
		if name == "late" {
			return &conn{}, nil
		}
		return nil, context.Cause(ctx)
	})
}

type conn struct{}

func (*conn) GetSize() (uint64, error) { return 1 << 20, nil }

func (*conn) PRead(buf []byte, offset uint64, flags uint32) error {
	_, err := nbdkit.WithClient(func(ctx context.Context) (struct{}, error) {
		nbdkit.Error("reading")
		<-ctx.Done()
		return struct{}{}, context.Cause(ctx)
	})
	return err
}

func (*conn) Close() { nbdkit.Error("closed") }

func init() {
	nbdkit.PluginInitialize("client", plugin{})
}

func main() {}
