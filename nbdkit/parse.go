// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include "shim.h"
import "C"

import (
	"fmt"
	"syscall"
	"time"
)

// The parsers are nbdkit's own, so that a plugin's parameters look like every
// other plugin's. nbdkit may log what is wrong as well. what names the parameter
// in the error.

// ParseSize (nbdkit_parse_size) parses a size in bytes with an optional
// suffix, such as "512" or "10M", but not "1.5G". The result is not negative.
func ParseSize(s string) (int64, error) {
	size, err := convert("nbdkit_parse_size", s, func(cs *C.char) C.int64_t { return C.nbdkit_parse_size(cs) })
	return int64(size), err
}

// ParseBool (nbdkit_parse_bool) parses "true", "off", "1" and the like.
func ParseBool(s string) (bool, error) {
	r, err := convert("nbdkit_parse_bool", s, func(cs *C.char) C.int { return C.nbdkit_parse_bool(cs) })
	return r == 1, err
}

// ParseInt (nbdkit_parse_int) parses a C int: decimal, 0x... or 0....
func ParseInt(what, s string) (int, error) {
	i, err := ParseInt32(what, s)
	return int(i), err
}

// ParseUnsigned (nbdkit_parse_unsigned) parses a C unsigned int.
func ParseUnsigned(what, s string) (uint, error) {
	u, err := ParseUint32(what, s)
	return uint(u), err
}

// ParseInt8 (nbdkit_parse_int8_t) parses an int8_t.
func ParseInt8(what, s string) (int8, error) { return parseSigned[int8](what, s) }

// ParseInt16 (nbdkit_parse_int16_t) parses an int16_t.
func ParseInt16(what, s string) (int16, error) { return parseSigned[int16](what, s) }

// ParseInt32 (nbdkit_parse_int32_t) parses an int32_t.
func ParseInt32(what, s string) (int32, error) { return parseSigned[int32](what, s) }

// ParseInt64 (nbdkit_parse_int64_t) parses an int64_t.
func ParseInt64(what, s string) (int64, error) { return parseSigned[int64](what, s) }

// ParseUint8 (nbdkit_parse_uint8_t) parses a uint8_t.
func ParseUint8(what, s string) (uint8, error) { return parseUnsigned[uint8](what, s) }

// ParseUint16 (nbdkit_parse_uint16_t) parses a uint16_t.
func ParseUint16(what, s string) (uint16, error) { return parseUnsigned[uint16](what, s) }

// ParseUint32 (nbdkit_parse_uint32_t) parses a uint32_t.
func ParseUint32(what, s string) (uint32, error) { return parseUnsigned[uint32](what, s) }

// ParseUint64 (nbdkit_parse_uint64_t) parses a uint64_t.
func ParseUint64(what, s string) (uint64, error) { return parseUnsigned[uint64](what, s) }

// ParseProbability (nbdkit_parse_probability, nbdkit 1.36) parses "0.1", "10%"
// or "1:10". The result is not negative, but may be above 1. On older servers
// the error wraps [errors.ErrUnsupported].
func ParseProbability(what, s string) (float64, error) {
	var r C.double
	err := parse("nbdkit_parse_probability", what, s, func(what, s *C.char) C.int {
		return C.nbdkit_parse_probability(what, s, &r)
	})
	return float64(r), err
}

// ParseDelay (nbdkit_parse_delay, nbdkit 1.40) parses "1.5", "120ms" or "1us".
// On older servers the error wraps [errors.ErrUnsupported].
func ParseDelay(what, s string) (time.Duration, error) {
	var sec, nsec C.unsigned
	err := parse("nbdkit_parse_delay", what, s, func(what, s *C.char) C.int {
		return C.nbdkit_parse_delay(what, s, &sec, &nsec)
	})
	return time.Duration(sec)*time.Second + time.Duration(nsec), err
}

// The widest parser is right for narrower integers as well: they differ in the
// range only.

func parseSigned[T int8 | int16 | int32 | int64](what, s string) (T, error) {
	var r C.int64_t
	err := parse("nbdkit_parse_int64_t", what, s, func(what, s *C.char) C.int {
		return C.nbdkit_parse_int64_t(what, s, &r)
	})
	if err == nil && int64(T(r)) != int64(r) {
		err = outOfRange(what, s, T(0))
	}
	return T(r), err
}

func parseUnsigned[T uint8 | uint16 | uint32 | uint64](what, s string) (T, error) {
	var r C.uint64_t
	err := parse("nbdkit_parse_uint64_t", what, s, func(what, s *C.char) C.int {
		return C.nbdkit_parse_uint64_t(what, s, &r)
	})
	if err == nil && uint64(T(r)) != uint64(r) {
		err = outOfRange(what, s, T(0))
	}
	return T(r), err
}

func outOfRange(what, s string, t any) error {
	return fmt.Errorf("%s: %q: out of range for %T: %w", what, s, t, syscall.ERANGE)
}

// parse is convert for a function that also takes the parameter's name.
func parse(function, what, s string, f func(what, s *C.char) C.int) error {
	cwhat, free, err := cstring(function, what)
	if err != nil {
		return err
	}
	defer free()
	if _, err = convert(function, s, func(cs *C.char) C.int { return f(cwhat, cs) }); err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return err
}

// convert returns what f, the function of that name, makes of s, or an error if that
// is -1.
func convert[T C.int | C.int64_t](function, s string, f func(s *C.char) T) (r T, err error) {
	cs, free, err := cstring(function, s)
	if err != nil {
		return r, err
	}
	defer free()
	if r = f(cs); r == -1 {
		err = fmt.Errorf("%s: %q: %w", function, s, syscall.EINVAL)
	}
	return r, err
}
