// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"fmt"
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
// commas between them, as /proc/self/mountinfo has them.
func MountOptions(dir string) (string, error) {
	id, ok := mountID(dir + "/.")
	if !ok {
		return "", fmt.Errorf("mount options: %s: %w", dir, unix.ENOSYS)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("mount options: %w", err)
	}
	options, ok := parseOptions(string(mounts), strconv.FormatUint(id, 10))
	if !ok {
		return "", fmt.Errorf("mount options: %s: mount %d: %w", dir, id, unix.ENOENT)
	}
	return options, nil
}

// parseOptions returns the last field of the mount: those of the filesystem, not
// those of this place where it is mounted.
func parseOptions(mountinfo, id string) (string, bool) {
	for _, line := range strings.Split(mountinfo, "\n") {
		if strings.HasPrefix(line, id+" ") {
			_, after, ok := strings.Cut(line, " - ")
			f := strings.Fields(after)
			if !ok || len(f) < 3 {
				return "", false
			}
			return f[2], true
		}
	}
	return "", false
}
