// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package disk

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	punchHole = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	zeroRange = unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE
	allocate  = unix.FALLOC_FL_KEEP_SIZE
)

// Holes are punched even on filesystems that are not asked where they are, see
// sys.FSType.TellsHoles. A request to punch is a write like others there: it takes its
// turn among them, and the kernel drops the pages that it had of the range. What
// is kept back is only the knowledge of where data is.
//
// FALLOC_FL_ZERO_RANGE is for filesystems of this machine's own kernel. GlusterFS
// takes it for a plain allocation: it says yes, and the data stays.

// fallocateMax bounds one call. tmpfs undoes an allocation that a signal
// interrupts, so a call that takes longer than signals are apart never ends.
const fallocateMax = 256 << 20

// zeroes is what is written where nothing better works. It is never written
// to, so it costs address space, not memory.
var zeroes [1 << 20]byte

// trim gives a range back to the server (nbdkit's .trim). What the client reads
// there afterwards is zeroes, or, where the file or device cannot do it, what was
// there before. That is no error: a trim is advice.
func (d *Disk) trim(r Request) error {
	// A device does not trim part of a sector.
	from, to := inner(r.Offset, r.Offset+r.Len(), d.sector)
	_, err := d.fallocate("trim", punchHole, from, to, &d.noPunch)
	return err
}

// zero makes a range read as zeroes (nbdkit's .zero). With MayTrim it gives the
// space back, without it the space stays, or becomes, the disk's. With Fast it
// fails with EOPNOTSUPP, having changed nothing, if it would take as long as
// writing; without Fast it never fails with EOPNOTSUPP, to which nbdkit 1.32 would
// answer by zeroing a part only.
func (d *Disk) zero(r Request) error {
	end := r.Offset + r.Len()
	from, to := inner(r.Offset, end, d.sector)
	if from >= to { // less than a sector, written in one go
		return d.writeZeroes(r.Offset, end)
	}
	done, err := d.zeroInner(from, to, r.Has(MayTrim), r.Has(Fast))
	switch {
	case err != nil:
		return err
	case !done && r.Has(Fast):
		return fmt.Errorf("zero: no faster than writing: %w", unix.EOPNOTSUPP)
	case !done:
		return d.writeZeroes(r.Offset, end)
	}
	if err := d.writeZeroes(r.Offset, from); err != nil {
		return err
	}
	return d.writeZeroes(to, end)
}

// zeroInner zeroes whole sectors without writing them. false without an error
// says that the range may still hold old data.
func (d *Disk) zeroInner(from, to uint64, mayTrim, fast bool) (bool, error) {
	if mayTrim {
		if done, err := d.fallocate("zero", punchHole, from, to, &d.noPunch); done || err != nil {
			return done, err
		}
	}
	// A device that has no command for it is written to by the kernel, which
	// is the best that can be done but not fast.
	if !fast || !d.isDevice {
		if done, err := d.fallocate("zero", zeroRange, from, to, &d.noZeroRange); done || err != nil {
			return done, err
		}
	}
	// tmpfs can only punch and allocate again, which clears every page, so
	// it is not fast. A hole that cannot be filled again is written to.
	if fast || mayTrim || d.noAllocate.Load() {
		return false, nil
	}
	if done, err := d.fallocate("zero", punchHole, from, to, &d.noPunch); !done || err != nil {
		return false, err
	}
	return d.fallocate("zero", allocate, from, to, &d.noAllocate)
}

// fallocate applies mode to the range, unless unable is set. It sets unable,
// and returns false without an error, if the file or device does not know
// mode; then nothing was changed.
func (d *Disk) fallocate(operation string, mode uint32, from, to uint64, unable *atomic.Bool) (bool, error) {
	if unable.Load() {
		return false, nil
	}
	for from < to {
		n := min(to-from, fallocateMax)
		switch err := unix.Fallocate(d.fd, mode, int64(from), int64(n)); err {
		case nil:
			from += n
		case unix.EINTR:
		case unix.EOPNOTSUPP, unix.ENOSYS, unix.ENODEV:
			if !unable.Swap(true) {
				d.debug(fmt.Sprintf("%s: fallocate mode %#x: %v (ignored)", operation, mode, err))
			}
			return false, nil
		case unix.EBUSY: // a device that something else holds open; may pass
			return false, nil
		default:
			return false, fmt.Errorf("%s: offset %d, count %d: %w", operation, from, n, err)
		}
	}
	return true, nil
}

func (d *Disk) writeZeroes(from, to uint64) error {
	for from < to {
		n := min(to-from, uint64(len(zeroes)))
		if err := d.write(zeroes[:n], from); err != nil {
			return fmt.Errorf("zero: %w", err)
		}
		from += n
	}
	return nil
}

// inner rounds a range inwards to whole units.
func inner(from, to, unit uint64) (uint64, uint64) {
	return (from + unit - 1) / unit * unit, to / unit * unit
}
