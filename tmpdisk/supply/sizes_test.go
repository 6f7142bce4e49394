// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package supply

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/maker"
	"nbdkit-tmpdisk-plugin/tmpdisk/pool"
)

const mib = 1 << 20

// uuid is that of a swap disk.
func uuid(t *testing.T, d *Fresh) string {
	t.Helper()
	buf := make([]byte, 16)
	testkit.Must(t, d.PRead(buf, 1036))
	return string(buf)
}

// taken is how many sizes s is ready for.
func (s *Supply) taken() (n int) {
	s.sizes.each(func(*Supply) { n++ })
	return n
}

func TestEachSizeHasItsMold(t *testing.T) {
	counts := &maker.Counts{}
	s := supplyIn(t, t.TempDir(), func(o *Options) { o.Counts = counts; o.Debug = func(string) {} }, "size", "1M", "type", "swap")
	s.Start()
	seen := map[string]bool{}
	for _, size := range []int64{0, 2 * mib, 3 * mib, 2 * mib, mib, 3 * mib, 2*mib + 4096} {
		d, err := s.Take(context.Background(), size)
		testkit.Must(t, err)
		if want := max(size, mib); d.Size() != want {
			t.Errorf("asked for %d bytes: got %d", size, d.Size())
		}
		if id := uuid(t, d); seen[id] {
			t.Errorf("size %d: a UUID that another disk has", size)
		} else {
			seen[id] = true
		}
		s.Return(d)
	}
	if n := s.taken(); n != 3 {
		t.Errorf("%d sizes are ready, want 3: the export's own is none of them", n)
	}
}

// Any client can name any number of sizes.
func TestSizesAreForgotten(t *testing.T) {
	dir := t.TempDir()
	s := supplyIn(t, dir, func(o *Options) { o.Debug = func(string) {} }, "size", "1M", "type", "swap")
	s.Start()
	for i := range int64(2 * maxIdle) {
		d, err := s.Take(context.Background(), (2+i)*mib)
		testkit.Must(t, err)
		s.Return(d)
	}
	if n := s.taken(); n != maxIdle {
		t.Errorf("%d sizes are ready, want %d", n, maxIdle)
	}
	// Those asked for last are.
	for i := range int64(maxIdle) {
		if s.sizes.all[(2+maxIdle+i)*mib] == nil {
			t.Errorf("the %dth of the last has been forgotten", i)
		}
	}
	s.sizes.maxMolds = 1 // of which each takes more
	d, err := s.Take(context.Background(), 200*mib)
	testkit.Must(t, err)
	s.Return(d)
	if n := s.taken(); n != 0 {
		t.Errorf("%d sizes are ready, whose molds take more than they may", n)
	}
}

// Molds that are files take room where the disks are, though no client is there any more.
func TestSizesWithFilesAreForgotten(t *testing.T) {
	if _, err := exec.LookPath("mkfs.ntfs"); err != nil {
		t.Skip(err)
	}
	s := supplyIn(t, t.TempDir(), func(o *Options) { o.Debug = func(string) {} }, "size", "16M", "type", "ntfs")
	for i, want := range []int{1, 2, 1} {
		if i == 2 {
			s.sizes.maxFiles = 40 * mib // each takes about 22
		}
		d, err := s.Take(context.Background(), (4096+int64(i))*mib)
		testkit.Must(t, err)
		s.Return(d)
		if n := s.taken(); n != want {
			t.Errorf("%d sizes are ready, want %d", n, want)
		}
	}
}

// A size that somebody waits for is not forgotten, whoever else names others.
func TestSizeInUseStays(t *testing.T) {
	s := supplyIn(t, t.TempDir(), nil, "size", "1M", "type", "swap")
	used, err := s.sizes.enter(2 * mib)
	testkit.Must(t, err)
	for i := range int64(2 * maxIdle) {
		other, err := s.sizes.enter((3 + i) * mib)
		testkit.Must(t, err)
		s.sizes.leave(other)
	}
	if s.sizes.all[2*mib] != used {
		t.Error("it is gone")
	}
	s.sizes.leave(used)
}

// However many sizes are named at once, few mkfs run.
func TestFewSizesAreMadeAtOnce(t *testing.T) {
	counts := &maker.Counts{}
	s := supplyIn(t, t.TempDir(), func(o *Options) { o.Counts = counts; o.Debug = func(string) {} }, "size", "1M", "type", "swap")
	s.Start()
	over := make(chan struct{})
	most := make(chan int64, 1)
	go func() {
		var n int64
		for {
			select {
			case <-over:
				most <- n
				return
			default:
				n = max(n, counts.Running.Load())
				runtime.Gosched()
			}
		}
	}()
	var clients sync.WaitGroup
	for i := range int64(16) {
		clients.Add(1)
		go func() {
			defer clients.Done()
			d, err := s.Take(context.Background(), (2+i)*mib)
			if err != nil {
				t.Error(err)
				return
			}
			s.Return(d)
		}()
	}
	clients.Wait()
	close(over)
	if n := <-most; n > int64(runtime.NumCPU())+1 { // and the export's own
		t.Errorf("%d mkfs ran at once", n)
	}
}

// However many sizes are named, as many as there are jobs are in line for these, where other
// clients are too.
func TestSizesTakeTurnsForJobs(t *testing.T) {
	for _, pairs := range [][]string{
		{"size", "8M", "command", ":"},
		{"size", "8M", "type", "ext4", "mkfs-options", "-O ^metadata_csum_seed"},
	} {
		s := supplyIn(t, t.TempDir(), func(o *Options) { o.Jobs = pool.NewJobs(2); o.Debug = func(string) {} }, pairs...)
		for range 2 {
			s.sizes.turns <- struct{}{}
		}
		own, err := s.Take(context.Background(), 0)
		testkit.Must(t, err)
		s.Return(own)
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		if d, err := s.Take(ctx, 9*mib); err == nil {
			t.Errorf("%v: a third one is in line", pairs)
			s.Return(d)
		}
		cancel()
		<-s.sizes.turns
		for range 3 { // it is given back
			named, err := s.Take(context.Background(), 9*mib)
			testkit.Must(t, err)
			s.Return(named)
		}
	}
}

// Clients come, wait, give up, and the server ends.
func TestSizesWhileTheServerEnds(t *testing.T) {
	for range 3 {
		dir := t.TempDir()
		s := supplyIn(t, dir, func(o *Options) { o.Debug = func(string) {} }, "size", "1M", "type", "swap")
		s.Start()
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Add(1)
			go func() {
				defer clients.Done()
				random := rand.New(rand.NewPCG(1, uint64(i)))
				for range 8 {
					ctx, cancel := context.WithCancel(context.Background())
					if random.IntN(3) == 0 {
						cancel()
					}
					if d, err := s.Take(ctx, int64(2+random.IntN(40))*mib); err == nil {
						s.Return(d)
					}
					s.Kind()
					s.Stats()
					cancel()
				}
			}()
		}
		s.Stop(errors.New("the server ends"))
		clients.Wait()
		if _, err := s.Take(context.Background(), 99*mib); err == nil {
			t.Error("got a disk of a server that has ended")
		}
		testkit.WantEmpty(t, dir)
	}
}

// A size that anybody can name is not made ahead, where mkfs runs for each disk either.
func TestSizesHaveNoSpares(t *testing.T) {
	s := supplyIn(t, t.TempDir(), func(o *Options) { o.Debug = func(string) {} },
		"size", "8M", "type", "ext4", "mkfs-options", "-O ^metadata_csum_seed", "spare-disks", "2")
	d, err := s.Take(context.Background(), 9*mib)
	testkit.Must(t, err)
	s.Return(d)
	s.sizes.each(func(s *Supply) {
		if n := s.Stats().Making + s.Stats().Spares; n != 0 {
			t.Errorf("%d spare disks of a size that a client has named", n)
		}
	})
}

// Templates stay when the clients have gone.
func TestSizesLeaveNoTemplates(t *testing.T) {
	templates := t.TempDir()
	s := supplyIn(t, t.TempDir(), func(o *Options) { o.Debug = func(string) {} },
		"size", "1M", "template-dir", templates, "command", `printf "$size" 1<>"$disk"`)
	for _, size := range []int64{0, 2 * mib, 3 * mib} {
		d, err := s.Take(context.Background(), size)
		testkit.Must(t, err)
		s.Return(d)
	}
	kept, err := filepath.Glob(filepath.Join(templates, "*", "*"))
	testkit.Must(t, err)
	if len(kept) != 1 {
		t.Errorf("kept %q, want the template of the export's own size alone", kept)
	}
}

// A base is looked at for all sizes together: if that hangs, it takes one thread.
func TestSizesShareTheBase(t *testing.T) {
	image := filepath.Join(t.TempDir(), "image")
	testkit.Must(t, os.WriteFile(image, make([]byte, mib), 0o600))
	s := supplyIn(t, t.TempDir(), nil, "base", image)
	for i := range int64(3) {
		d, err := s.Take(context.Background(), (2+i)*mib)
		testkit.Must(t, err)
		s.Return(d)
	}
	if n := s.taken(); n != 0 {
		t.Errorf("%d sizes have a supply, each of which opens the base", n)
	}
}

func TestSizeThatCannotBe(t *testing.T) {
	image := filepath.Join(t.TempDir(), "image")
	testkit.Must(t, os.WriteFile(image, make([]byte, 4*mib), 0o600))
	tests := []struct {
		pairs []string
		size  int64
		want  string
	}{
		{[]string{"size", "32M", "type", "ext4"}, 16384, "Not enough space"},
		{[]string{"size", "1M", "command", `truncate -s 3M "$disk"`}, 2 * mib, "the disk has 3145728 bytes where the client named 2097152"},
		{[]string{"base", image}, 2 * mib, "its base has 4194304"},
		{[]string{"size", "1M", "command", `echo no >&2; exit 1`}, 2 * mib, "no"},
	}
	for _, tt := range tests {
		s := supplyIn(t, t.TempDir(), func(o *Options) {
			o.Error = func(line string) { t.Errorf("in the log, though a client asked: %s", line) }
		}, tt.pairs...)
		for range 2 {
			d, err := s.Take(context.Background(), tt.size)
			if err == nil {
				t.Errorf("%v: got a disk of %d bytes", tt.pairs, d.Size())
				s.Return(d)
				continue
			}
			testkit.Contains(t, err, tt.want)
		}
	}
}

func TestSizesOfCommandAndBase(t *testing.T) {
	image := filepath.Join(t.TempDir(), "image")
	testkit.Must(t, os.WriteFile(image, []byte("the image"), 0o600))
	for _, pairs := range [][]string{
		{"size", "1M", "spare-disks", "20", "command", `printf "$size" 1<>"$disk"`},
		{"base", image},
		{"size", "1M", "spare-disks", "2", "template-dir", t.TempDir(), "command", `printf "$size" 1<>"$disk"`},
	} {
		s := supplyIn(t, t.TempDir(), func(o *Options) { o.Debug = func(string) {} }, pairs...)
		s.Start()
		for _, want := range []string{"3145728", "5242880"} {
			size := map[string]int64{"3145728": 3 * mib, "5242880": 5 * mib}[want]
			if pairs[0] == "base" {
				want = "the ima"
			}
			d, err := s.Take(context.Background(), size)
			testkit.Must(t, err)
			buf := make([]byte, 7)
			if err := d.PRead(buf, 0); err != nil || string(buf) != want || d.Size() != size {
				t.Errorf("%v: got %q, %v, %d bytes", pairs, buf, err, d.Size())
			}
			s.Return(d)
		}
		asked, err := s.Take(context.Background(), 7*mib) // and left unused
		testkit.Must(t, err)
		s.Return(asked)
		for range 30 { // none of which is one of those
			if pairs[0] == "base" {
				break
			}
			d, err := s.Take(context.Background(), 0)
			testkit.Must(t, err)
			defer s.Return(d)
			if d.Size() != mib {
				t.Errorf("%v: got %d bytes, want the export's own size", pairs, d.Size())
			}
		}
	}
}
