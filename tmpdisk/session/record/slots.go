// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// The file of a record is one JSON object of two halves, each of so many blocks of
// 4 KiB, padded with spaces:
//
//	{"format":2,"slots":[{"sum":"0a1b2c3d","number":4,"record":{...}}
//	,{"sum":"...","number":5,"record":{...}}]}
//
// The slot with the higher number counts. A record is changed by writing the other
// half: that needs no new space, and whoever is killed meanwhile, even with the whole
// machine, leaves the one that counted before. sum is the CRC-32 (IEEE) of number and
// record, in hexadecimal.
//
// Version 0.2 had one record in place of the object ("format":1), which is read only.
const (
	recordFormat = 2
	slotsHead    = `{"format":2,"slots":[`
	slotBlock    = 4096
	// growth is what a record may become longer by when it is changed.
	growth = 512
	// maxSize is more than a record's file has: names of exports have 4 KiB at most.
	maxSize = 128 << 10
)

// around is what stands before and behind the slot of each half.
var around = [2][2]string{{slotsHead, ""}, {",", "]}\n"}}

type slot struct {
	Sum    string          `json:"sum"`
	Number uint64          `json:"number"`
	Record json.RawMessage `json:"record"`
}

func (s *slot) sum() string {
	return fmt.Sprintf("%08x", crc32.ChecksumIEEE(fmt.Appendf(nil, "%d %s", s.Number, s.Record)))
}

// slots is where the file of a record has what.
type slots struct {
	half   int64  // bytes
	newest int    // 0 or 1
	number uint64 // of that
}

// half is how long one must be for r to fit in, and to grow.
func half(r *Record) int64 {
	n := int64(len(slotsHead) + len(r.encode()) + 100 + growth)
	return (n + slotBlock - 1) / slotBlock * slotBlock
}

// encodeHalf is the half i of so many bytes, with r as its number'th record; with none if
// number is 0.
func encodeHalf(i int, size int64, number uint64, r *Record) ([]byte, error) {
	text := []byte("null")
	if number > 0 {
		s := slot{Number: number, Record: r.encode()}
		s.Sum = s.sum()
		var err error
		if text, err = json.Marshal(s); err != nil {
			panic(err) // of plain fields: cannot be
		}
	}
	pad := int(size) - len(around[i][0]) - len(text) - len(around[i][1])
	if pad < 0 {
		return nil, fmt.Errorf("a record of %d bytes: %w", len(text), unix.EFBIG)
	}
	return fmt.Appendf(nil, "%s%s%*s%s", around[i][0], text, pad, "", around[i][1]), nil
}

// decodeHalf is the slot in the half i; nil if there is none. whole is false if there may
// have been one.
func decodeHalf(i int, text []byte) (s *slot, whole bool) {
	text, ok := bytes.CutPrefix(text, []byte(around[i][0]))
	text, ok2 := bytes.CutSuffix(text, []byte(around[i][1]))
	if !ok || !ok2 || json.Unmarshal(text, &s) != nil || s != nil && s.Sum != s.sum() {
		return nil, false
	}
	return s, true
}

// read reads the record of key from f. The error wraps ErrDamaged, or ErrNewer.
func read(f *os.File, key keep.Key) (Record, slots, error) {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxSize+1))
	if err != nil {
		return Record{}, slots{}, fmt.Errorf("read: %s: %w", f.Name(), err)
	}
	r, s, err := parseSlots(text, key)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.Name(), err)
	}
	return r, s, err
}

func parseSlots(text []byte, key keep.Key) (Record, slots, error) {
	if len(text) > maxSize {
		return Record{}, slots{}, damaged("too long")
	}
	if !bytes.HasPrefix(text, []byte(slotsHead)) && json.Valid(text) {
		r, err := parseOther(text, key)
		return r, slots{}, err
	}
	var s slots
	var newest *slot
	var torn bool
	// The second half may have been cut.
	for half := (len(text)/2 + slotBlock - 1) / slotBlock * slotBlock; newest == nil && half > 0 && half <= len(text); half += slotBlock {
		torn = false
		for i := range 2 {
			this, whole := decodeHalf(i, text[i*half:min((i+1)*half, len(text))])
			torn = torn || !whole
			if this != nil && (newest == nil || this.Number > newest.Number) {
				newest, s = this, slots{int64(half), i, this.Number}
			}
		}
	}
	if newest == nil {
		return Record{}, slots{}, damaged("neither half is whole")
	}
	r, err := parseRecord(newest.Record, key)
	r.Torn = torn && err == nil
	return r, s, err
}

// parseOther is for what version 0.2 wrote, and for what a later version has written.
func parseOther(text []byte, key keep.Key) (Record, error) {
	var version struct{ Format int }
	old, isOld := bytes.CutPrefix(text, []byte(`{"format":1,`))
	switch err := json.Unmarshal(text, &version); {
	case err == nil && version.Format > recordFormat:
		return Record{}, ErrNewer
	case err != nil:
		return Record{}, damaged(oneLine(err))
	case !isOld:
		return Record{}, damaged(fmt.Sprintf("format %d", version.Format))
	}
	return parseRecord(append([]byte("{"), old...), key)
}

// Read reads the record of key from f. The error wraps ErrDamaged, or ErrNewer.
func Read(f *os.File, key keep.Key) (Record, error) {
	r, _, err := read(f, key)
	return r, err
}

// Fill makes f, which is empty, the file of r.
func Fill(f *os.File, r *Record) error {
	size := half(r)
	for i, number := range []uint64{1, 0} {
		text, err := encodeHalf(i, size, number, r)
		if err == nil {
			_, err = sys.Pwrite(int(f.Fd()), text, int64(i)*size)
		}
		if err != nil {
			return fmt.Errorf("write: %s: %w", f.Name(), err)
		}
	}
	return nil
}

// Change puts r in place of the record in f, if check finds nothing wrong with that. It
// is on the server's own disk when Change returns if either of both has Sync: without it
// a crash of the machine ends the session, whatever the record says then. The error is
// ErrOld for a file of version 0.2, which has to be replaced.
func Change(f *os.File, r *Record, check func(now Record) error) error {
	now, s, err := read(f, r.Key)
	if err == nil {
		err = check(now)
	}
	if err == nil && s.half == 0 {
		err = ErrOld
	}
	if err != nil {
		return err
	}
	other := 1 - s.newest
	text, err := encodeHalf(other, s.half, s.number+1, r)
	if err == nil {
		_, err = sys.Pwrite(int(f.Fd()), text, int64(other)*s.half)
	}
	if err == nil && (r.Sync || now.Sync) {
		err = sys.Fdatasync(int(f.Fd()))
	}
	if err != nil {
		return fmt.Errorf("write: %s: %w", f.Name(), err)
	}
	return nil
}
