// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"errors"
	"math"
	"testing"
)

// bare is a connection with nothing optional; the types below add to it.
type bare struct{}

func (bare) GetSize() (uint64, error)           { return 1 << 20, nil }
func (bare) PRead([]byte, uint64, uint32) error { return nil }

func connectionTo(c ConnectionInterface) *connection {
	return &connection{ConnectionInterface: c}
}

type withPWrite struct{ bare }

func (withPWrite) PWrite([]byte, uint64, uint32) error { return nil }

type withFlush struct{ bare }

func (withFlush) Flush(uint32) error { return nil }

type withTrim struct{ bare }

func (withTrim) Trim(uint32, uint64, uint32) error { return nil }

type withZero struct{ bare }

func (withZero) Zero(uint32, uint64, uint32) error { return nil }

type withExtents struct{ bare }

func (withExtents) Extents(uint32, uint64, uint32, *Extents) error { return nil }

type withCache struct{ bare }

func (withCache) Cache(uint32, uint64, uint32) error { return nil }

// answering has every question's method and nothing behind it.
type answering struct {
	bare
	yes   bool
	level uint32
	err   error
}

func (a answering) CanWrite() (bool, error)     { return a.yes, a.err }
func (a answering) CanFlush() (bool, error)     { return a.yes, a.err }
func (a answering) IsRotational() (bool, error) { return a.yes, a.err }
func (a answering) CanTrim() (bool, error)      { return a.yes, a.err }
func (a answering) CanZero() (bool, error)      { return a.yes, a.err }
func (a answering) CanFastZero() (bool, error)  { return a.yes, a.err }
func (a answering) CanExtents() (bool, error)   { return a.yes, a.err }
func (a answering) CanMultiConn() (bool, error) { return a.yes, a.err }
func (a answering) CanFUA() (uint32, error)     { return a.level, a.err }
func (a answering) CanCache() (uint32, error)   { return a.level, a.err }

// answeringZero is for can_zero, whose answer depends on Zero being there.
type answeringZero struct{ answering }

func (answeringZero) Zero(uint32, uint64, uint32) error { return nil }

// noZero has Zero but does not want it used.
type noZero struct{ withZero }

func (noZero) CanZero() (bool, error) { return false, nil }

// The defaults are those of nbdkit-plugin(3) for omitted callbacks.
func TestNegotiationDefaults(t *testing.T) {
	tests := []struct {
		name string
		c    ConnectionInterface
		want map[string]int64 // what is not named is 0
	}{
		{"nothing optional", bare{}, map[string]int64{"can_fast_zero": 1}},
		{"pwrite", withPWrite{}, map[string]int64{"can_write": 1, "can_fast_zero": 1}},
		{"flush", withFlush{}, map[string]int64{"can_flush": 1, "can_fua": int64(FUAEmulate), "can_fast_zero": 1}},
		{"trim", withTrim{}, map[string]int64{"can_trim": 1, "can_fast_zero": 1}},
		{"zero", withZero{}, map[string]int64{"can_zero": 1, "can_fast_zero": 0}},
		{"zero, but can_zero is false", noZero{}, map[string]int64{"can_fast_zero": 1}},
		{"extents", withExtents{}, map[string]int64{"can_extents": 1, "can_fast_zero": 1}},
		{"cache", withCache{}, map[string]int64{"can_cache": int64(CacheNative), "can_fast_zero": 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, ask := range questions {
				want := test.want[name]
				if name == "get_size" {
					want = 1 << 20
				}
				if got, err := ask(test.c); err != nil || got != want {
					t.Errorf("%s: got %d, %v, want %d", name, got, err, want)
				}
			}
		})
	}
}

func TestNegotiationAnswers(t *testing.T) {
	broken := errors.New("broken")
	for name, ask := range questions {
		if name == "get_size" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			wantYes := int64(1)
			switch name {
			case "can_zero":
				wantYes = 0 // there is no Zero
			case "can_fua", "can_cache":
				wantYes = 2
			}
			if got, err := ask(answering{yes: true, level: 2}); got != wantYes || err != nil {
				t.Errorf("yes: got %d, %v, want %d", got, err, wantYes)
			}
			if got, err := ask(answering{}); got != 0 || err != nil {
				t.Errorf("no: got %d, %v, want 0", got, err)
			}
			if got, err := ask(answering{err: broken}); got != -1 || !errors.Is(err, broken) {
				t.Errorf("error: got %d, %v, want -1, %v", got, err, broken)
			}
		})
	}
	if got, err := canZero(answeringZero{answering{yes: true}}); got != 1 || err != nil {
		t.Errorf("can_zero with Zero: got %d, %v, want 1", got, err)
	}
}

func TestNegotiationOutOfRange(t *testing.T) {
	for _, name := range []string{"can_fua", "can_cache"} {
		if got, err := questions[name](answering{level: 3}); got != -1 || err == nil {
			t.Errorf("%s: got %d, %v, want -1 and an error", name, got, err)
		}
	}
}

type sized uint64

func (s sized) GetSize() (uint64, error)         { return uint64(s), nil }
func (sized) PRead([]byte, uint64, uint32) error { return nil }

func TestGetSize(t *testing.T) {
	minusOne := int64(-1)
	tests := []struct {
		name string
		size uint64
		ok   bool
	}{
		{"empty", 0, true},
		{"largest", math.MaxInt64, true},
		{"too large", math.MaxInt64 + 1, false},
		{"negative", uint64(minusOne), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := size(sized(test.size))
			if (err == nil) != test.ok {
				t.Fatalf("size: got error %v, want success: %v", err, test.ok)
			}
			if test.ok && got != int64(test.size) {
				t.Errorf("size: got %d, want %d", got, test.size)
			}
		})
	}
}

func TestWithoutDescriptionAndBlockSize(t *testing.T) {
	c := connectionTo(bare{})
	if s, err := c.exportDescription(); s != "" || err != nil {
		t.Errorf("exportDescription: got %q, %v, want none", s, err)
	}
	if lo, mid, hi, err := c.blockSize(); lo != 0 || mid != 0 || hi != 0 || err != nil {
		t.Errorf("blockSize: got %d, %d, %d, %v, want 0, 0, 0", lo, mid, hi, err)
	}
}
