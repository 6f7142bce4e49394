// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// downgrade writes the record of keyA as version 0.2 did, in its own file.
func downgrade(t *testing.T, parent string) {
	t.Helper()
	r := kit.RecordIn(t, parent, keyA)
	r.Uptime = 0 // which it did not know
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	text = append([]byte(`{"format":1,`), append(text[1:], '\n')...)
	if err := os.WriteFile(kit.Path(parent, kit.RecordOf(keyA)), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What version 0.2 left goes on, and its records are written anew.
func TestSessionsOfVersion02(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, s *Sessions){
		"waiting":   func(t *testing.T, s *Sessions) { used(t, s, keyA) },
		"connected": func(t *testing.T, s *Sessions) { written(t, s, keyA) },
		"lost":      func(t *testing.T, s *Sessions) { used(t, s, keyA); s.DropOldest(0) },
	} {
		for what, resumed := range map[string]bool{"asked for": true, "expires": false} {
			t.Run(name+", "+what, func(t *testing.T) {
				o, now := options(t)
				s := started(t, o)
				leave(t, s)
				dies(s)
				downgrade(t, o.Path)
				s = started(t, o)
				lost := keep.Expired
				switch {
				case name == "lost":
					lost = keep.Evicted
				case resumed:
					wantResumed(t, s, keyA)
					wantGeneration(t, s, 2)
					fallthrough
				default:
					now.Pass(time.Minute - 1)
					wantDisks(t, s, keys{keyA})
					now.Pass(1)
				}
				wantLost(t, s, lost, keyA)
				wantDisks(t, s, nil, keyA)
				text, err := os.ReadFile(kit.Path(o.Path, kit.RecordOf(keyA)))
				if isNew := bytes.HasPrefix(text, []byte(`{"format":2`)); err != nil || isNew != (name != "lost") {
					t.Errorf("got record %.20q, %v, want a new one unless it is a note", text, err)
				}
			})
		}
	}
}
