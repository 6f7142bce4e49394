// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// NBD's numbers, from the protocol document.
const (
	magicHello   = 0x4e42444d41474943
	magicOption  = 0x49484156454f5054
	magicOptRep  = 0x3e889045565a9
	magicRequest = 0x25609513
	magicReply   = 0x67446698

	flagFixedNewstyle = 1
	flagNoZeroes      = 2

	optGo   = 7
	repAck  = 1
	repInfo = 3

	cmdRead        = 0
	cmdWrite       = 1
	cmdDisconnect  = 2
	cmdWriteZeroes = 6

	maxSize = 4096 // of a read or write by this client
)

// client is one NBD connection that knows just what is measured: requests of
// up to 4 KiB and zeroing, simple replies. Not for use by several goroutines.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	out  [28 + maxSize]byte
	data [maxSize]byte
	size uint64
}

// connect opens the default export of the server at socket.
func connect(socket string) (*client, error) { return connectTo(socket, "") }

// connectTo opens another export.
func connectTo(socket, export string) (*client, error) {
	conn, err := dial(socket)
	if err != nil {
		return nil, err
	}
	return newClient(conn, export, 16*(16+maxSize))
}

func dial(socket string) (net.Conn, error) {
	conn, err := net.Dial("unix", socket)
	for errors.Is(err, syscall.EAGAIN) { // the listen queue is full
		time.Sleep(time.Millisecond)
		conn, err = net.Dial("unix", socket)
	}
	return conn, err
}

// newClient opens an export of the server that conn leads to, with a buffer of so
// many bytes for replies that come together.
func newClient(conn net.Conn, export string, buffer int) (*client, error) {
	c := &client{conn: conn, in: bufio.NewReaderSize(conn, buffer)}
	if err := c.negotiate(export); err != nil {
		conn.Close()
		return nil, fmt.Errorf("negotiate: %w", err)
	}
	return c, nil
}

func (c *client) negotiate(export string) error {
	var hello struct {
		Magic, Version uint64
		Flags          uint16
	}
	if err := binary.Read(c.in, binary.BigEndian, &hello); err != nil {
		return err
	}
	if hello.Magic != magicHello || hello.Version != magicOption || hello.Flags&flagFixedNewstyle == 0 {
		return fmt.Errorf("not a newstyle server: %+v", hello)
	}
	msg := binary.BigEndian.AppendUint32(nil, flagFixedNewstyle|uint32(hello.Flags)&flagNoZeroes)
	msg = binary.BigEndian.AppendUint64(msg, magicOption)
	msg = binary.BigEndian.AppendUint32(msg, optGo)
	msg = binary.BigEndian.AppendUint32(msg, uint32(6+len(export)))
	msg = binary.BigEndian.AppendUint32(msg, uint32(len(export)))
	msg = append(msg, export...)
	msg = append(msg, 0, 0) // no information asked for
	if _, err := c.conn.Write(msg); err != nil {
		return err
	}
	for {
		var reply struct {
			Magic             uint64
			Option, Type, Len uint32
		}
		if err := binary.Read(c.in, binary.BigEndian, &reply); err != nil {
			return err
		}
		if reply.Magic != magicOptRep || reply.Len > 1<<16 {
			return fmt.Errorf("bad reply to an option: %+v", reply)
		}
		info := make([]byte, reply.Len)
		if _, err := io.ReadFull(c.in, info); err != nil {
			return err
		}
		switch {
		case reply.Type == repAck:
			return nil
		case reply.Type == repInfo && len(info) == 12:
			c.size = binary.BigEndian.Uint64(info[2:])
		case reply.Type == repInfo:
		default:
			return fmt.Errorf("export refused: %#x %s", reply.Type, info)
		}
	}
}

// send writes one request. A write's data are whatever the buffer holds.
func (c *client) send(cmd uint16, cookie, offset uint64, length uint32) error {
	b := c.out[:28]
	binary.BigEndian.PutUint32(b, magicRequest)
	binary.BigEndian.PutUint16(b[4:], 0)
	binary.BigEndian.PutUint16(b[6:], cmd)
	binary.BigEndian.PutUint64(b[8:], cookie)
	binary.BigEndian.PutUint64(b[16:], offset)
	binary.BigEndian.PutUint32(b[24:], length)
	if cmd == cmdWrite {
		b = c.out[:28+length]
	}
	_, err := c.conn.Write(b)
	return err
}

// receive reads one reply, to a request of cmd with length bytes.
func (c *client) receive(cmd uint16, length uint32) error {
	head, err := c.in.Peek(16)
	if err != nil {
		return err
	}
	magic, code := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
	c.in.Discard(16)
	if magic != magicReply {
		return fmt.Errorf("bad reply: magic %#x", magic)
	}
	if code != 0 {
		return fmt.Errorf("request failed: %w", syscall.Errno(code))
	}
	if cmd == cmdRead {
		_, err = io.ReadFull(c.in, c.data[:length])
	}
	return err
}

// do is one request at depth 1.
func (c *client) do(cmd uint16, offset uint64, length uint32) error {
	if err := c.send(cmd, 0, offset, length); err != nil {
		return err
	}
	return c.receive(cmd, length)
}

// stream sends count requests of 4 KiB, depth of them under way at any time,
// at offsets that jump about in the first span bytes, in the same order for
// every server.
func (c *client) stream(cmd uint16, count, depth int, span uint64) error {
	blocks := span / maxSize
	next := func(i int) error {
		return c.send(cmd, uint64(i), uint64(i)*2654435761%blocks*maxSize, maxSize)
	}
	for i := range min(depth, count) {
		if err := next(i); err != nil {
			return err
		}
	}
	for i := range count {
		if err := c.receive(cmd, maxSize); err != nil {
			return err
		}
		if i+depth < count {
			if err := next(i + depth); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *client) close() error {
	c.send(cmdDisconnect, 0, 0, 0) // the server may be gone: then so is the connection
	return c.conn.Close()
}
