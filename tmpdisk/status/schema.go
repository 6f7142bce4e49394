// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import "time"

// Format is the number of this schema. It changes only if a reader that ignores
// unknown fields would get something wrong.
const Format = 1

// How the disks of an export are made.
const (
	KindMold     = "mold"     // cast from what mkfs wrote once
	KindTemplate = "template" // cloned from what the command made once
	KindBase     = "base"     // over the image of base=
	KindCommand  = "command"  // by the command, for each disk
	KindMkfs     = "mkfs"     // by mkfs, for each disk
)

// The states of a disk.
const (
	StateConnected = "connected"
	StateWaiting   = "waiting" // for the client of its session to come back
	StateFenced    = "fenced"  // connected, but a newer connection has the session
	StateFailed    = "failed"  // connected, but the filesystem could not write all that was written
)

// The kinds of peer, the first word of Disk.Peer.
const (
	PeerAddress = "address" // an IPv4 or IPv6 address, without the port
	PeerUser    = "user"    // a numeric user ID, on a Unix socket
	PeerVsock   = "vsock"   // a context ID
)

// Document is a whole status file. Times are in UTC.
type Document struct {
	Format  int      `json:"format"`
	Server  Server   `json:"server"`
	Exports []Export `json:"exports"`
	Disks   []Disk   `json:"disks"`
	Latency Latency  `json:"latency"`
}

// Server is one nbdkit with the plugin.
type Server struct {
	Name       string            `json:"name"`
	Version    string            `json:"version"` // the plugin's
	PID        int               `json:"pid"`
	Started    time.Time         `json:"started"`
	Written    time.Time         `json:"written"` // when this document was true, with fractions of a second
	Parameters map[string]string `json:"parameters"`

	Tmpdir     string `json:"tmpdir"`
	TmpdirFree int64  `json:"tmpdir_free"` // bytes
	TmpdirSize int64  `json:"tmpdir_size"` // bytes

	Filesystems []Filesystem `json:"filesystems"`

	Commands       int `json:"commands"`        // that are running
	ClientsWaiting int `json:"clients_waiting"` // for a disk to be made
	Making         int `json:"making"`          // disks
}

// Filesystem is what was found out about that of a directory when the server started.
type Filesystem struct {
	For       string    `json:"for"`    // TMPDIR, or the parameter that names the directory
	Path      string    `json:"path"`   // the directory's
	Type      string    `json:"type"`   // ext2/ext3/ext4, xfs, ... or a number like 0x9fa0
	Shared    bool      `json:"shared"` // other machines may have the same files
	Abilities []Ability `json:"abilities"`
}

// Ability is something that a filesystem can do or not.
type Ability struct {
	Name string `json:"name"` // as nbdkit -v has it: cloning, locks, ...
	Can  bool   `json:"can"`
	Why  string `json:"why,omitempty"` // it cannot
}

// Export is one kind of disk that the server makes.
type Export struct {
	Name        string `json:"name"` // empty for the disk of the command line
	Description string `json:"description"`
	Kind        string `json:"kind"` // KindMold, ...
	Type        string `json:"type"` // ext4, ...
	Size        int64  `json:"size"` // bytes of a new disk
	Spares      int    `json:"spares"`
	Mold        int64  `json:"mold"`  // bytes of memory, 0 without a mold
	Disks       int    `json:"disks"` // that clients have
}

// Disk is one that a client has, or that waits for its client. What was counted
// was counted since the disk was made, or taken up by this server.
type Disk struct {
	Number    int64     `json:"number"` // never used again by the same server
	Export    string    `json:"export"`
	Session   string    `json:"session,omitempty"` // 12 hexadecimal digits, never the token
	Peer      string    `json:"peer"`              // PeerAddress, ..., a space, and who
	DN        string    `json:"dn,omitempty"`      // of the client's certificate
	Since     time.Time `json:"since"`             // its client connected, or left if the disk waits
	State     string    `json:"state"`             // StateConnected, ...
	Size      int64     `json:"size"`              // bytes
	Allocated int64     `json:"allocated"`         // bytes
	// Several is how many disks of the export, of no session, its client has; 0 if one.
	Several int `json:"several,omitempty"`

	Read    Count      `json:"read"`
	Written Count      `json:"written"`
	Trimmed Count      `json:"trimmed"`
	Zeroed  Count      `json:"zeroed"`
	Last    *time.Time `json:"last,omitempty"` // the last request, nil if there was none
}

// Count is the requests of one kind.
type Count struct {
	Bytes    int64 `json:"bytes"`
	Requests int64 `json:"requests"`
}

// Latency is a histogram of the time that requests took in the plugin, of some of
// them. Counts has one more number than BucketsUS: those above the last bound.
type Latency struct {
	BucketsUS []int64 `json:"buckets_us"` // upper bounds, rising, microseconds
	Counts    []int64 `json:"counts"`     // in each bucket alone
}
