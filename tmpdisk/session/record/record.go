// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// A Record is what the directory knows of a session.
type Record struct {
	Key        keep.Key `json:"key"`
	Export     string   `json:"export"`
	Size       int64    `json:"size"`       // of the disk, in bytes
	Generation uint64   `json:"generation"` // raised by each server that takes the session
	// Connected says that a client has the disk, or had it when its server died.
	Connected bool `json:"connected"`
	// Orphaned says that the server of the connected client was found dead, at Used.
	Orphaned bool `json:"orphaned,omitempty"`
	// Used is when Connected, Orphaned or Lost was last changed.
	Used time.Time `json:"used"`
	// Uptime is the same since the boot of the machine; or where that was another boot,
	// when the first server found the record.
	Uptime time.Duration `json:"uptime,omitempty"`
	Boot   string        `json:"boot"` // the kernel that has what was written and not synced
	Host   string        `json:"host"` // for whoever reads it
	// Grace is how long the disk waits, as the server has it that wrote this, whose Config
	// tells whether the one that reads it has other exports.
	Grace  time.Duration `json:"grace,omitempty"`
	Config string        `json:"config,omitempty"`
	// Server is a random name of the server that wrote this: two may have raised
	// the same generation, if the first lost its lock before.
	Server string `json:"server,omitempty"`
	Sync   bool   `json:"sync"` // what clients were told is synced is so
	// Unsettled says that a server before the one that wrote this may not know
	// that the session has been taken from it: see keep.Lease.
	Unsettled bool        `json:"unsettled,omitempty"`
	Lost      keep.Reason `json:"lost,omitempty"`
	// Base and BaseIs are the path and the identity of what the disk stands on; BaseIs is
	// "" if it stands on nothing.
	Base   string `json:"base,omitempty"`
	BaseIs string `json:"base_is,omitempty"`
	// Crashed says that the disk was written under another boot than Boot, and not taken up
	// since: of its map, only what was synced counts.
	Crashed bool `json:"crashed,omitempty"`

	// Torn says that there may have been a later record, of which only a part is there.
	Torn bool `json:"-"`
}

// What may be wrong with a record.
var (
	// ErrDamaged says that a record is none, or another session's.
	ErrDamaged = errors.New("damaged")
	// ErrOld says that version 0.2 has written it.
	ErrOld = errors.New("an older version of this plugin has written it")
	// ErrNewer says that a later version of the plugin has written a record.
	ErrNewer = errors.New("a newer version of this plugin has written it")
)

// damaged says what is wrong with a record.
func damaged(why string) error { return fmt.Errorf("%w: %s", ErrDamaged, why) }

// parseRecord returns ErrDamaged if text is not the record of key.
func parseRecord(text []byte, key keep.Key) (Record, error) {
	var r Record
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Record{}, damaged(oneLine(err))
	}
	switch {
	case r.Key != key:
		return Record{}, damaged("it is another session's")
	case r.Lost != "" && !r.Lost.Known():
		return Record{}, damaged(fmt.Sprintf("lost for %.20q", string(r.Lost)))
	case r.Lost == "" && (r.Size < 0 || r.Generation == 0):
		return Record{}, damaged(fmt.Sprintf("size %d, generation %d", r.Size, r.Generation))
	}
	return r, nil
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", " ") }

// Version tells r from what another server makes of it.
func (r *Record) Version() keep.Version {
	return keep.Version{Used: r.Used.UnixNano(), Generation: r.Generation, Connected: r.Connected}
}

func (r Record) encode() []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // of plain fields: cannot be
	}
	return text
}
