// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"strconv"
	"strings"
	"time"
)

// text is metrics in Prometheus's text format, version 0.0.4: one family after the
// other, first its HELP and TYPE, then its samples.
type text struct {
	buf    []byte
	server string // the label that all samples have
	name   string // the family's
}

func (t *text) family(name, kind, help string) {
	t.name = name
	t.add("# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n")
}

func (t *text) add(words ...string) {
	for _, word := range words {
		t.buf = append(t.buf, word...)
	}
}

// sample adds one of the family. The labels are a name, a value, a name and so on.
func (t *text) sample(suffix string, value float64, labels ...string) {
	t.add(t.name, suffix, "{")
	t.label("server", t.server)
	for i := 0; i < len(labels); i += 2 {
		t.add(",")
		t.label(labels[i], labels[i+1])
	}
	t.add("} ")
	t.buf = strconv.AppendFloat(t.buf, value, 'g', -1, 64)
	t.add("\n")
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (t *text) label(name, value string) {
	t.add(name, `="`, escaper.Replace(strings.ToValidUTF8(value, "\uFFFD")), `"`)
}

// histogram adds one histogram: counts has what is in each bucket alone, and bound
// tells where each ends but the last, which has no end.
func (t *text) histogram(counts []uint64, sum time.Duration, bound func(int) time.Duration, labels ...string) {
	var total uint64
	for i, n := range counts {
		total += n
		le := "+Inf"
		if i < len(counts)-1 {
			le = strconv.FormatFloat(bound(i).Seconds(), 'g', -1, 64)
		}
		t.sample("_bucket", float64(total), append(labels[:len(labels):len(labels)], "le", le)...)
	}
	t.sample("_sum", sum.Seconds(), labels...)
	t.sample("_count", float64(total), labels...)
}
