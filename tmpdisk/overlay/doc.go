// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package overlay is a disk over a base: an image that many disks stand on, and that is
// only read. What a client writes goes to a file of its own.
//
//	block       0     1     2     3     4     5     6     7
//	base     | aaa | bbb | ccc | ddd | ee: its end
//	own file |     | BBB | 000 |     |     |     | GGG |
//	map      |  0  |  1  |  1  |  0  |  0  |  0  |  1  |  0
//	reads    | aaa | BBB | 000 | ddd | ee0 | 000 | GGG | 000
//
// A block of [Block] bytes is read from the client's own file if its bit in the map is
// set, else from the base, and behind the end of the base as zeroes. A block has the same
// offset in both files. Bits are never cleared: what was trimmed or zeroed is the
// client's own, and a hole in its file.
//
// A change of blocks that are all the client's own goes to its file as it is. Else it is
// written there under a lock of its blocks, together with what the base has of the blocks
// that it changes in part, and then the bits are set. If it fails no bit is set, so what
// was there before is there still.
//
// # What a kept disk has on storage
//
// [Disk.Keep] and [Resume] are for disks that outlive the server. The file of a disk of S
// bytes is then, with M = S/4096/8 bytes, all three in whole pages of 4096 bytes:
//
//	0          S bytes   the client's own blocks
//	S          M bytes   the first map: bit n%8 of byte n/8 is that of block n
//	S+M        M bytes   the second map, likewise
//
// The first map is written before a client is told that its request is done, and after the
// data. It is what counts as long as the machine has not crashed: a server that is killed
// loses nothing that the kernel has. When the machine crashes, though, a page of the map
// may be on the storage and the data that it tells of not. So [Disk.Sync] of a durable
// disk has the data stored, then writes the second map, which tells of nothing else, and
// has that stored. It counts after a crash.
//
// # Concurrency
//
// The methods of a [Disk] may be called from any number of goroutines, but Keep must come
// while none is in progress and Close after the last. Requests wait for each other only
// where they make the same block the client's own. [Bits] may be read at any time, by C
// as well.
//
// # What it does not do
//
// It finds no bases and makes no files. What becomes of a disk whose base has changed is
// its caller's to say: see [Base.Identity].
package overlay
