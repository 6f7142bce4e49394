// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

var keyA, keyB = keep.NewKey("e", "a", ""), keep.NewKey("e", "b", "")

var good = Record{
	Key: keyA, Export: "e<\u2028>\x01", Size: 1 << 40, Generation: 3, Connected: true,
	Used: time.Unix(1e9, 5).UTC(), Uptime: time.Hour, Boot: "b", Host: "h", Server: "s",
}

// old is what version 0.2 wrote.
const old = `{"format":1,"key":"KEY","export":"e","size":1048576,"generation":3,"connected":true,` +
	`"used":"2026-01-02T03:04:05.000000006Z","boot":"b","host":"h","server":"s","sync":false}` + "\n"

// with returns a file that has text.
func with(t testing.TB, text []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "record")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func textOf(t testing.TB, f *os.File) []byte {
	t.Helper()
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// filled returns a file with r, in which the record has been changed so many times: each
// time, its generation was raised.
func filled(t testing.TB, r Record, times int) *os.File {
	t.Helper()
	f := with(t, nil)
	if err := Fill(f, &r); err != nil {
		t.Fatal(err)
	}
	for range times {
		r.Generation++
		if err := Change(f, &r, anything); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func anything(Record) error { return nil }

func wantRecord(t testing.TB, f *os.File, want Record) {
	t.Helper()
	if got, err := Read(f, want.Key); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// slotted is a file whose record is raw.
func slotted(raw string) string {
	s := slot{Number: 1, Record: []byte(raw)}
	head := fmt.Sprintf(`%s{"sum":"%s","number":1,"record":%s}`, slotsHead, s.sum(), raw)
	return fmt.Sprintf("%-4096s%-4093s%s", head, ",null", around[1][1])
}

func TestRead(t *testing.T) {
	raw := string(good.encode())
	wantRecord(t, with(t, []byte(slotted(raw))), good)
	v1, err := Read(with(t, []byte(strings.Replace(old, "KEY", string(keyA), 1))), keyA)
	if want := (Record{Key: keyA, Export: "e", Size: 1 << 20, Generation: 3, Connected: true, Boot: "b", Host: "h", Server: "s",
		Used: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)}); err != nil || v1 != want {
		t.Errorf("version 0.2: got %+v, %v, want %+v", v1, err, want)
	}
	inRecord := func(from, to string) string { return slotted(strings.Replace(raw, from, to, 1)) }
	inFile := func(from, to string) string { return strings.Replace(slotted(raw), from, to, 1) }
	inOld := func(from, to string) string {
		return strings.Replace(strings.Replace(old, "KEY", string(keyA), 1), from, to, 1)
	}
	tests := []struct {
		name, text string
		want       error
	}{
		{"newer", inFile(`"format":2`, `"format":3`), ErrNewer},
		{"newer, with what is not known", inFile(`{"format":2`, `{"new":{},"format":3`), ErrNewer},
		{"newer than version 0.2", inOld(`"format":1`, `"format":3`), ErrNewer},
		{"with what is not known", inRecord(`{`, `{"new":1,`), ErrDamaged},
		{"no format", inFile(`"format":2,`, ``), ErrDamaged},
		{"older", inOld(`"format":1`, `"format":0`), ErrDamaged},
		{"a format of another kind", inFile(`"format":2`, `"format":"2"`), ErrDamaged},
		{"another key", inRecord(string(keyA), string(keyB)), ErrDamaged},
		{"another key, version 0.2", inOld(string(keyA), string(keyB)), ErrDamaged},
		{"more behind it", slotted(raw) + "{}\n", ErrDamaged},
		{"more behind it, version 0.2", inOld("}\n", "}{}\n"), ErrDamaged},
		{"cut short, version 0.2", inOld("}\n", ""), ErrDamaged},
		{"another sum", inFile(`"sum":"`, `"sum":"x`), ErrDamaged},
		{"another number", inFile(`"number":1`, `"number":2`), ErrDamaged},
		{"another record", inFile(`"generation":3`, `"generation":4`), ErrDamaged},
		{"no record", inFile(`"record":{`, `"record":null,"x":{`), ErrDamaged},
		{"negative size", inRecord(`"size":`, `"size":-`), ErrDamaged},
		{"size beyond 64 bits", inRecord(`"size":`, `"size":99999999`), ErrDamaged},
		{"no generation", inRecord(`"generation":3`, `"generation":0`), ErrDamaged},
		{"lost for no known reason", inRecord(`"sync":false`, `"sync":false,"lost":"?"`), ErrDamaged},
		{"odd time", inRecord(`"used":"`, `"used":"x`), ErrDamaged},
		{"an array as record", slotted("[]"), ErrDamaged},
		{"null as record", slotted("null"), ErrDamaged},
		{"an array", "[]", ErrDamaged},
		{"null", "null", ErrDamaged},
		{"nothing", "", ErrDamaged},
		{"the head alone", slotsHead, ErrDamaged},
		{"too long", slotted(raw) + strings.Repeat(" ", maxSize), ErrDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.text == slotted(raw) || tt.text == inOld("", "") {
				t.Fatal("nothing was changed")
			}
			f := with(t, []byte(tt.text))
			_, err := Read(f, keyA)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			r := good
			if err := Change(f, &r, anything); !errors.Is(err, tt.want) {
				t.Errorf("change: got %v, want %v", err, tt.want)
			}
			if string(textOf(t, f)) != tt.text {
				t.Error("what is not understood was written to")
			}
		})
	}
}

// A record is changed in place: neither its file's size nor the slot that counted before
// changes.
func TestChange(t *testing.T) {
	for name, r := range map[string]Record{
		"short": good, "lost": {Key: keyA, Lost: keep.Expired},
		// However JSON spells it.
		"longest": {Key: keyA, Generation: 1, Export: strings.Repeat("\x01", 4094)},
	} {
		t.Run(name, func(t *testing.T) {
			f := filled(t, r, 0)
			size := len(textOf(t, f))
			for i := range 10 {
				wantRecord(t, f, r)
				before, half := textOf(t, f), size/2
				r.Generation++
				r.Sync, r.Orphaned, r.Unsettled = i == 3, i > 4, i > 5
				if err := Change(f, &r, anything); err != nil {
					t.Fatal(err)
				}
				after := textOf(t, f)
				counted := i % 2 * half // the slot that counted
				if !bytes.Equal(before[counted:][:half], after[counted:][:half]) || len(after) != size {
					t.Fatalf("change %d: got the slot that counted changed, or %d bytes, want %d", i, len(after), size)
				}
			}
		})
	}
}

func TestChangeIsRefused(t *testing.T) {
	f := filled(t, good, 1)
	before := textOf(t, f)
	var now Record
	r := good
	r.Generation = 9
	if err := Change(f, &r, func(r Record) error { now = r; return unix.EBUSY }); !errors.Is(err, unix.EBUSY) || now.Generation != 4 {
		t.Errorf("got %v, for generation %d, want EBUSY, for 4", err, now.Generation)
	}
	r.Host = strings.Repeat("h", 8192)
	if err := Change(f, &r, anything); !errors.Is(err, unix.EFBIG) {
		t.Errorf("a record that has become much longer: got %v, want EFBIG", err)
	}
	if !bytes.Equal(textOf(t, f), before) {
		t.Error("got the file changed")
	}
	v1 := with(t, []byte(strings.Replace(old, "KEY", string(keyA), 1)))
	if err := Change(v1, &good, anything); !errors.Is(err, ErrOld) {
		t.Errorf("version 0.2: got %v, want ErrOld", err)
	}
}

// Whoever is killed while it writes a slot, or whose machine crashes, leaves the record
// that counted before.
func TestTornSlots(t *testing.T) {
	const sector = 512
	for name, r := range map[string]Record{"short": good, "long": {Key: keyA, Generation: 3, Export: strings.Repeat("\x01", 4094)}} {
		for first, changes := range []int{2, 1} { // the last change was to this half
			t.Run(fmt.Sprintf("%s, half %d", name, first), func(t *testing.T) {
				whole := filled(t, r, changes)
				after := textOf(t, whole)
				older := r
				older.Generation += uint64(changes - 1)
				before := textOf(t, filled(t, r, changes-1))
				half := len(after) / 2
				length := len(bytes.TrimRight(after[first*half:][:half], " ]}\n")) // of what tells
				for at := 0; at < half; at += sector {
					begun, ended := slices.Clone(before), slices.Clone(after)
					copy(begun[first*half:], after[first*half:][:at])
					copy(ended[first*half:], before[first*half:][:at])
					zeroes, garbage := slices.Clone(after), slices.Clone(after)
					clear(zeroes[first*half+at:][:sector])
					copy(garbage[first*half+at:], strings.Repeat("\xff", sector))
					torn := map[string][]byte{"zeroes": zeroes, "garbage": garbage}
					if at < length { // else that is the newer record
						torn["only its beginning is written"] = begun
					}
					if at > 0 {
						torn["only its end is written"] = ended
					}
					if first == 1 {
						torn["cut"] = after[:half+at]
					}
					for what, text := range torn {
						want := older
						want.Torn = !bytes.Equal(text, before)
						if got, _, err := parseSlots(text, keyA); err != nil || got != want {
							t.Errorf("%s at byte %d: got %+v, %v, want %+v", what, at, got, err, want)
						}
					}
				}
			})
		}
	}
}

// A server goes by the clock that nobody sets, and knows that it knows no age where that
// cannot tell. It takes nobody for older than that it is seen now.
func TestLeft(t *testing.T) {
	clock := testkit.NewClock()
	ago := func(wall, boot time.Duration) Record {
		return Record{Boot: "this", Used: clock.Now().Add(-wall), Uptime: clock.SinceBoot() - boot}
	}
	for name, tt := range map[string]struct {
		r       Record
		change  func(r *Record)
		want    time.Duration
		unknown bool
	}{
		"the same boot":              {ago(time.Hour, time.Minute), func(*Record) {}, time.Minute, false},
		"another time namespace":     {ago(time.Minute, time.Hour), func(*Record) {}, time.Minute, false},
		"another boot":               {ago(time.Hour, time.Minute), func(r *Record) { r.Boot = "other" }, time.Hour, true},
		"no boot":                    {ago(time.Hour, time.Minute), func(r *Record) { r.Boot = "" }, time.Hour, true},
		"unknown since the boot":     {ago(time.Hour, 0), func(r *Record) { r.Uptime = 0 }, time.Hour, true},
		"clock set back":             {ago(-time.Hour, 0), func(r *Record) { r.Uptime = 0 }, 0, true},
		"later than now":             {ago(0, -time.Minute), func(*Record) {}, 0, false},
		"connected":                  {ago(time.Hour, time.Minute), func(r *Record) { r.Connected = true }, 0, false},
		"connected to a dead server": {ago(time.Hour, time.Minute), func(r *Record) { r.Connected, r.Orphaned = true, true }, time.Minute, false},
	} {
		tt.change(&tt.r)
		s := &Server{Boot: "this", Clock: clock}
		if got := clock.Now().Sub(s.Left(&tt.r)); got != tt.want {
			t.Errorf("%s: got left %v ago, want %v", name, got, tt.want)
		}
		if w := s.Waiting(&tt.r); !w.Since.Equal(s.Left(&tt.r)) || w.Key != tt.r.Key || w.Version != tt.r.Version() {
			t.Errorf("%s: got %+v, want it since it was left", name, w)
		}
		if _, ok := s.Age(&tt.r); ok == tt.unknown {
			t.Errorf("%s: got the age known %v, want %v", name, ok, !tt.unknown)
		}
		s.Boot = "" // neither does it know that it is the same
		if _, ok := s.Age(&tt.r); ok {
			t.Errorf("%s: got an age without a boot ID", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, file := range []*os.File{filled(f, good, 0), filled(f, good, 3), filled(f, Record{Key: keyA, Lost: keep.Expired}, 1)} {
		f.Add(textOf(f, file))
	}
	f.Add([]byte(`{"format":3}`))
	f.Add([]byte(strings.Replace(old, "KEY", string(keyA), 1)))
	f.Add([]byte(slotted("{}")))
	file := with(f, nil)
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(file.Name(), text, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Read(file, keyA)
		if err != nil {
			if !errors.Is(err, ErrNewer) && !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got error %q, want one line that says newer or damaged", err)
			}
			return
		}
		if r.Key != keyA || r.Lost == "" && (r.Size < 0 || r.Generation == 0) {
			t.Errorf("got %+v for %q", r, text)
		}
		again := r
		again.Generation++
		again.Used = good.Used
		switch err := Change(file, &again, anything); {
		case err == nil:
			wantRecord(t, file, again)
		case !errors.Is(err, ErrOld) && !errors.Is(err, unix.EFBIG):
			t.Errorf("change: got %v for %q", err, text)
		}
	})
}
