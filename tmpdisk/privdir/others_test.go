// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package privdir

import (
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestOthers(t *testing.T) {
	const dir, file = unix.S_IFDIR, unix.S_IFREG
	tests := []struct {
		name  string
		owner uint32
		mode  uint32
		uid   int // as whom the server runs
		trust Trust
		want  []string
	}{
		{"root's", 0, dir | 0o755, 1000, NoneAdds, nil},
		{"its own", 1000, dir | 0o700, 1000, NoneAdds, nil},
		{"another's", 1001, dir | 0o700, 1000, NoneReplaces, []string{"owned by user 1001", "root or user 1000"}},
		{"another's, for root", 1001, file | 0o600, 0, NoneAdds, []string{"owned by user 1001", "must belong to root"}},
		{"another's, before root becomes that one", 1001, dir | 0o700, anyUID, NoneReplaces, nil},
		{"another's and sticky", 1001, dir | 0o1777, 1000, NoneReplaces, []string{"owned by user 1001"}},
		{"everybody's, before root becomes another", 0, dir | 0o777, anyUID, NoneReplaces, []string{"mode 0777", "chmod go-w, or chmod +t"}},
		{"the group's", 0, dir | 0o775, 0, NoneReplaces, []string{"mode 0775"}},
		{"sticky", 0, dir | 0o1777, 0, NoneReplaces, nil},
		{"sticky, and nobody is to add", 0, dir | 0o1777, 0, NoneAdds, []string{"mode 1777", "chmod go-w"}},
		{"a sticky file", 0, file | 0o1666, 0, NoneReplaces, []string{"mode 1666"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := others(&unix.Stat_t{Uid: tt.owner, Mode: tt.mode}, tt.uid, tt.trust)
			if tt.want != nil {
				testkit.Contains(t, err, tt.want...)
			} else if err != nil {
				t.Errorf("got %v, want no error", err)
			}
		})
	}
}
