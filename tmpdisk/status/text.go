// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"fmt"
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
	t.buf = fmt.Appendf(t.buf, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// sample adds one of the family. The labels are a name, a value, a name and so on.
func (t *text) sample(suffix string, value float64, labels ...string) {
	t.buf = fmt.Appendf(t.buf, "%s%s{server=%s", t.name, suffix, quoted(t.server))
	for i := 0; i < len(labels); i += 2 {
		t.buf = fmt.Appendf(t.buf, ",%s=%s", labels[i], quoted(labels[i+1]))
	}
	t.buf = fmt.Appendf(t.buf, "} %s\n", number(value))
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func quoted(value string) string {
	return `"` + escaper.Replace(strings.ToValidUTF8(value, "\uFFFD")) + `"`
}

func number(value float64) string { return strconv.FormatFloat(value, 'g', -1, 64) }

// histogram adds one histogram: counts has what is in each bucket alone, and bound
// tells where each ends but the last, which has no end.
func (t *text) histogram(counts []uint64, sum time.Duration, bound func(int) time.Duration, labels ...string) {
	var total uint64
	for i, n := range counts {
		total += n
		le := "+Inf"
		if i < len(counts)-1 {
			le = number(bound(i).Seconds())
		}
		t.sample("_bucket", float64(total), append(labels[:len(labels):len(labels)], "le", le)...)
	}
	t.sample("_sum", sum.Seconds(), labels...)
	t.sample("_count", float64(total), labels...)
}
