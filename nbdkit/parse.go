// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include "shim.h"
import "C"

import (
	"fmt"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// The parsers here are nbdkit's own, so that a plugin's parameters look like
// every other plugin's. Each logs what is wrong by nbdkit_error before it
// returns an error. what names the parameter in that message.

// ParseSize (nbdkit_parse_size) parses a size in bytes with an optional
// suffix, such as "512" or "10M", but not "1.5G". The result is not negative.
func ParseSize(s string) (int64, error) {
	cs, free, err := cstring("nbdkit_parse_size", s)
	if err != nil {
		return 0, err
	}
	defer free()
	size := C.nbdkit_parse_size(cs)
	if size == -1 {
		return 0, invalid("nbdkit_parse_size", s)
	}
	return int64(size), nil
}

// ParseBool (nbdkit_parse_bool) parses "true", "off", "1" and the like.
func ParseBool(s string) (bool, error) {
	cs, free, err := cstring("nbdkit_parse_bool", s)
	if err != nil {
		return false, err
	}
	defer free()
	r := C.nbdkit_parse_bool(cs)
	if r == -1 {
		return false, invalid("nbdkit_parse_bool", s)
	}
	return r != 0, nil
}

// ParseInt (nbdkit_parse_int) parses a C int: decimal, 0x... or 0....
func ParseInt(what, s string) (int, error) {
	r, err := parse("nbdkit_parse_int", what, s, func(what, s *C.char, r *C.int) C.int { return C.nbdkit_parse_int(what, s, r) })
	return int(r), err
}

// ParseUnsigned (nbdkit_parse_unsigned) parses a C unsigned int.
func ParseUnsigned(what, s string) (uint, error) {
	r, err := parse("nbdkit_parse_unsigned", what, s, func(what, s *C.char, r *C.unsigned) C.int { return C.nbdkit_parse_unsigned(what, s, r) })
	return uint(r), err
}

// ParseInt8 (nbdkit_parse_int8_t) parses an int8_t.
func ParseInt8(what, s string) (int8, error) {
	r, err := parse("nbdkit_parse_int8_t", what, s, func(what, s *C.char, r *C.int8_t) C.int { return C.nbdkit_parse_int8_t(what, s, r) })
	return int8(r), err
}

// ParseUint8 (nbdkit_parse_uint8_t) parses a uint8_t.
func ParseUint8(what, s string) (uint8, error) {
	r, err := parse("nbdkit_parse_uint8_t", what, s, func(what, s *C.char, r *C.uint8_t) C.int { return C.nbdkit_parse_uint8_t(what, s, r) })
	return uint8(r), err
}

// ParseInt16 (nbdkit_parse_int16_t) parses an int16_t.
func ParseInt16(what, s string) (int16, error) {
	r, err := parse("nbdkit_parse_int16_t", what, s, func(what, s *C.char, r *C.int16_t) C.int { return C.nbdkit_parse_int16_t(what, s, r) })
	return int16(r), err
}

// ParseUint16 (nbdkit_parse_uint16_t) parses a uint16_t.
func ParseUint16(what, s string) (uint16, error) {
	r, err := parse("nbdkit_parse_uint16_t", what, s, func(what, s *C.char, r *C.uint16_t) C.int { return C.nbdkit_parse_uint16_t(what, s, r) })
	return uint16(r), err
}

// ParseInt32 (nbdkit_parse_int32_t) parses an int32_t.
func ParseInt32(what, s string) (int32, error) {
	r, err := parse("nbdkit_parse_int32_t", what, s, func(what, s *C.char, r *C.int32_t) C.int { return C.nbdkit_parse_int32_t(what, s, r) })
	return int32(r), err
}

// ParseUint32 (nbdkit_parse_uint32_t) parses a uint32_t.
func ParseUint32(what, s string) (uint32, error) {
	r, err := parse("nbdkit_parse_uint32_t", what, s, func(what, s *C.char, r *C.uint32_t) C.int { return C.nbdkit_parse_uint32_t(what, s, r) })
	return uint32(r), err
}

// ParseInt64 (nbdkit_parse_int64_t) parses an int64_t.
func ParseInt64(what, s string) (int64, error) {
	r, err := parse("nbdkit_parse_int64_t", what, s, func(what, s *C.char, r *C.int64_t) C.int { return C.nbdkit_parse_int64_t(what, s, r) })
	return int64(r), err
}

// ParseUint64 (nbdkit_parse_uint64_t) parses a uint64_t.
func ParseUint64(what, s string) (uint64, error) {
	r, err := parse("nbdkit_parse_uint64_t", what, s, func(what, s *C.char, r *C.uint64_t) C.int { return C.nbdkit_parse_uint64_t(what, s, r) })
	return uint64(r), err
}

// ParseProbability (nbdkit_parse_probability, nbdkit 1.36) parses "0.1", "10%"
// or "1:10". The result is not negative, but may be above 1. On older servers
// the error wraps [errors.ErrUnsupported].
func ParseProbability(what, s string) (float64, error) {
	if !bool(C.gonbdkit_has_parse_probability()) {
		return 0, needNewer("nbdkit_parse_probability", "1.36")
	}
	r, err := parse("nbdkit_parse_probability", what, s, func(what, s *C.char, r *C.double) C.int { return C.nbdkit_parse_probability(what, s, r) })
	return float64(r), err
}

// ParseDelay (nbdkit_parse_delay, nbdkit 1.40) parses "1.5", "120ms" or "1us".
// On older servers the error wraps [errors.ErrUnsupported].
func ParseDelay(what, s string) (time.Duration, error) {
	if !bool(C.gonbdkit_has_parse_delay()) {
		return 0, needNewer("nbdkit_parse_delay", "1.40")
	}
	type delay struct{ sec, nsec C.unsigned }
	r, err := parse("nbdkit_parse_delay", what, s, func(what, s *C.char, r *delay) C.int {
		return C.nbdkit_parse_delay(what, s, &r.sec, &r.nsec)
	})
	return time.Duration(r.sec)*time.Second + time.Duration(r.nsec), err
}

func parse[T any](function, what, s string, f func(what, s *C.char, r *T) C.int) (T, error) {
	var r T
	cwhat, freeWhat, err := cstring(function, what)
	if err != nil {
		return r, err
	}
	defer freeWhat()
	cs, free, err := cstring(function, s)
	if err != nil {
		return r, err
	}
	defer free()
	if f(cwhat, cs, &r) == -1 {
		return r, fmt.Errorf("%s: %w", what, invalid(function, s))
	}
	return r, nil
}

func invalid(function, s string) error {
	return fmt.Errorf("%s: %q: %w", function, s, syscall.EINVAL)
}

// cstring converts s for a call of function, or says why it cannot: C would
// stop at a NUL and parse something else than was given, and outside of the
// server function does not exist.
func cstring(function, s string) (*C.char, func(), error) {
	if !bool(C.gonbdkit_in_server()) {
		return nil, nil, fmt.Errorf("%s: %w", function, ErrNoServer)
	}
	if strings.IndexByte(s, 0) != -1 {
		return nil, nil, fmt.Errorf("%s: %q: NUL in the string: %w", function, s, syscall.EINVAL)
	}
	cs := C.CString(s)
	return cs, func() { cfree(unsafe.Pointer(cs)) }, nil
}
