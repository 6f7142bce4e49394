// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package disk

func (d *Disk) Trim(count uint32, off uint64) error {
	return d.Do(Request{Op: Trim, Count: count, Offset: off})
}

func (d *Disk) Zero(count uint32, off uint64, mayTrim, fast bool) error {
	return d.Do(Request{Op: Zero, Flags: flag(MayTrim, mayTrim) | flag(Fast, fast), Count: count, Offset: off})
}

func (d *Disk) Extents(count uint32, off uint64, one bool, add func(off, length uint64, hole bool) error) error {
	return d.Do(Request{Op: Extents, Flags: flag(One, one), Count: count, Offset: off, Add: add})
}

func (d *Disk) Cache(count uint32, off uint64) error {
	return d.Do(Request{Op: Cache, Count: count, Offset: off})
}

func flag(f Flags, set bool) Flags {
	if set {
		return f
	}
	return 0
}
