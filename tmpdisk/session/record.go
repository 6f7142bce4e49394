// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// recordFormat changes when an older server would misunderstand a record.
const recordFormat = 1

// A record is what a Dir knows of a session, in a file of JSON.
type record struct {
	Format     int       `json:"format"`
	Key        Key       `json:"key"`
	Export     string    `json:"export"`
	Size       int64     `json:"size"`       // of the disk, in bytes
	Generation uint64    `json:"generation"` // raised by each server that takes the session
	Connected  bool      `json:"connected"`
	Used       time.Time `json:"used"` // when Connected was set or cleared
	Boot       string    `json:"boot"` // the kernel that has what was written and not synced
	Host       string    `json:"host"` // for whoever reads it
	// Server is a random name of the server that wrote this: two may have raised
	// the same generation, if the first lost its lock before.
	Server string `json:"server,omitempty"`
	Sync   bool   `json:"sync"` // what clients were told is synced is so
	// Unsettled says that a server before the one that wrote this may not know
	// that the session has been taken from it: see lease.go.
	Unsettled bool   `json:"unsettled,omitempty"`
	Lost      Reason `json:"lost,omitempty"` // Used is when it was lost
}

// maxRecord is more than a record has: names of exports are short.
const maxRecord = 64 << 10

// errNewer says that a later version of the plugin has written a record.
var errNewer = errors.New("a newer version of this plugin has written it")

// readRecord reads the record of key from f.
func readRecord(f *os.File, key Key) (record, error) {
	text, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err != nil {
		return record{}, fmt.Errorf("read: %s: %w", f.Name(), err)
	}
	r, err := parseRecord(text, key)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.Name(), err)
	}
	return r, err
}

// parseRecord returns errNewer, or errDamaged, if text is not the record of key.
func parseRecord(text []byte, key Key) (record, error) {
	damaged := func(why string) (record, error) { return record{}, fmt.Errorf("%w: %s", errDamaged, why) }
	if len(text) > maxRecord {
		return damaged("too long")
	}
	var version struct{ Format int }
	if err := json.Unmarshal(text, &version); err != nil {
		return damaged(oneLine(err))
	}
	if version.Format > recordFormat {
		return record{}, errNewer
	}
	var r record
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return damaged(oneLine(err))
	}
	switch _, known := reasons[r.Lost]; {
	case r.Format != recordFormat:
		return damaged(fmt.Sprintf("format %d", r.Format))
	case r.Key != key:
		return damaged("it is another session's")
	case r.Lost != "" && !known:
		return damaged(fmt.Sprintf("lost for %.20q", r.Lost))
	case r.Lost == "" && (r.Size < 0 || r.Generation == 0):
		return damaged(fmt.Sprintf("size %d, generation %d", r.Size, r.Generation))
	}
	return r, nil
}

var errDamaged = errors.New("damaged")

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", " ") }

func (r record) encode() []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // of plain fields: cannot be
	}
	return append(text, '\n')
}
