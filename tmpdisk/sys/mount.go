// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// SameMount is whether two paths are on one mount. A bind mount is another one,
// even of the same filesystem. A path that ends with a link stands for the link.
// It is true if that cannot be known.
func SameMount(a, b string) bool {
	idA, okA := mountID(a)
	idB, okB := mountID(b)
	return !okA || !okB || idA == idB
}

func mountID(path string) (uint64, bool) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MNT_ID, &st)
	return st.Mnt_id, err == nil
}

// PlainDir is whether name in dirfd is known to be a directory that nothing is
// mounted on.
func PlainDir(dirfd int, name string) bool {
	var st unix.Statx_t
	return unix.Statx(dirfd, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_TYPE, &st) == nil &&
		uint32(st.Mode)&unix.S_IFMT == unix.S_IFDIR && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0
}

// MountOptions returns the options of the filesystem that the directory is on, with
// commas between them, as /proc/self/mountinfo has them; "" if they are not known.
func MountOptions(dir string) string {
	id, ok := mountID(dir + "/.")
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if !ok || err != nil {
		return ""
	}
	return parseOptions(string(mounts), strconv.FormatUint(id, 10))
}

// parseOptions returns the last field of the mount: those of the filesystem, not
// those of this place where it is mounted.
func parseOptions(mountinfo, id string) string {
	for _, line := range strings.Split(mountinfo, "\n") {
		if strings.HasPrefix(line, id+" ") {
			_, after, _ := strings.Cut(line, " - ")
			if f := strings.Fields(after); len(f) >= 3 {
				return f[2]
			}
		}
	}
	return ""
}
