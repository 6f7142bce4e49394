// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package imagekit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp"
)

// An Image is what can be read and changed.
type Image interface {
	io.ReaderAt
	io.WriterAt
}

// ID is a different identity for each n, always the same one.
func ID(n int) stamp.ID {
	sum := sha256.Sum256(fmt.Appendf(nil, "identity %d", n))
	return stamp.ID(sum[:16])
}

// Understood is the Stamp of an image that has one.
func Understood(t testing.TB, fsType string, size int64, image io.ReaderAt) *stamp.Stamp {
	t.Helper()
	s, err := stamp.New(fsType, size, image)
	testkit.Must(t, err)
	return s
}

// Apply writes patches, and checks that they are as promised.
func Apply(t testing.TB, image io.WriterAt, size int64, patches []stamp.Patch) {
	t.Helper()
	end := int64(0)
	for _, p := range patches {
		if p.Off < end || p.Off+int64(len(p.Data)) > size || len(p.Data) == 0 {
			t.Fatalf("got a patch of %d bytes at %d, want it from %d on and below %d", len(p.Data), p.Off, end, size)
		}
		end = p.Off + int64(len(p.Data))
		_, err := image.WriteAt(p.Data, p.Off)
		testkit.Must(t, err)
	}
}

// A Change makes a good image a bad one.
type Change func(t testing.TB, image Image)

// Put writes over the bytes at off.
func Put(off int64, bytes ...byte) Change {
	return func(t testing.TB, image Image) {
		t.Helper()
		_, err := image.WriteAt(bytes, off)
		testkit.Must(t, err)
	}
}

// Both is one change after the other.
func Both(a, b Change) Change {
	return func(t testing.TB, image Image) { a(t, image); b(t, image) }
}

// After is Put off bytes after the first place where a small image has mark.
func After(mark string, off int64, data ...byte) Change {
	return func(t testing.TB, image Image) {
		t.Helper()
		at := bytes.Index(Read(t, image.(*os.File)), []byte(mark))
		if at < 0 {
			t.Fatalf("got no %q in the image", mark)
		}
		Put(int64(at)+off, data...)(t, image)
	}
}

// WantRefused fails the test unless c, which is understood without the change,
// is not with it, for a reason that has want in it. Without a change, c itself
// is what is not understood.
func WantRefused(t *testing.T, c Case, change Change, want string) {
	t.Helper()
	f := New(t, c)
	if change != nil {
		Understood(t, c.Type, c.Size, f)
		change(t, f)
	}
	_, err := stamp.New(c.Type, c.Size, f)
	WantNotUnderstood(t, err, want)
}

// WantNotUnderstood fails the test if err is for any other reason.
func WantNotUnderstood(t testing.TB, err error, want string) {
	t.Helper()
	if !errors.Is(err, stamp.ErrNotUnderstood) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want ErrNotUnderstood and %q", err, want)
	}
}
