// Tells what Prometheus's own parsers make of metrics pages, one JSON object a line.
//
//	oracle SEED ROUNDS < seeds.json > recorded.jsonl
//
// `seeds.json` is a list of {"format": "text"|"openmetrics", "page": …}. Each page is told as it is
// and ROUNDS times with a few bytes changed, removed, doubled or taken from another page. Protobuf
// pages are made here, from random metrics.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"math"

	"github.com/gogo/protobuf/types"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	dto "github.com/prometheus/prometheus/prompb/io/prometheus/client"
)

type record struct {
	Format string   `json:"format"`
	Page   string   `json:"page,omitempty"`
	Bytes  string   `json:"bytes,omitempty"`
	Error  string   `json:"error,omitempty"`
	Series []string `json:"series,omitempty"`
}

// Not the parser refuses it but the storage.
var errStorage = errors.New("storage")

func number(v float64) string {
	if v == 0 {
		return "0" // without its sign
	}
	if math.IsNaN(v) {
		return "NaN"
	}
	return strconv.FormatUint(math.Float64bits(v), 16)
}

func pairs(l labels.Labels) string {
	type pair struct{ n, v string }
	var all []pair
	l.Range(func(l labels.Label) { all = append(all, pair{l.Name, l.Value}) })
	sort.SliceStable(all, func(a, b int) bool { return all[a].n < all[b].n })
	out := ""
	for _, p := range all {
		out += fmt.Sprintf("%s\x01%s\x02", p.n, p.v)
	}
	return out
}

func buckets(spans []histogram.Span, counts []float64) string {
	out := ""
	at := 0
	index := 0
	for _, s := range spans {
		index += int(s.Offset)
		for i := uint32(0); i < s.Length; i++ {
			if counts[at] != 0 {
				out += fmt.Sprintf("%d:%s ", index, number(counts[at]))
			}
			at++
			index++
		}
	}
	return out
}

var contentTypes = map[string]string{
	"text":        "text/plain; version=0.0.4",
	"openmetrics": "application/openmetrics-text; version=1.0.0",
	"protobuf":    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
}

func tell(format string, page []byte) (series []string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	st := labels.NewSymbolTable()
	p, err := textparse.New(page, contentTypes[format], st, textparse.ParserOptions{KeepClassicOnClassicAndNativeHistograms: true})
	if err != nil {
		return nil, err
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return series, nil
		}
		if err != nil {
			return nil, err
		}
		var ts *int64
		line := ""
		switch entry {
		case textparse.EntrySeries:
			_, at, v := p.Series()
			ts = at
			line = number(v)
		case textparse.EntryHistogram:
			_, at, h, fh := p.Histogram()
			ts = at
			kind := "float"
			hint := histogram.UnknownCounterReset
			if h != nil {
				kind = "integer"
				hint = h.CounterResetHint
				if h.Validate() != nil {
					return nil, errStorage
				}
				fh = h.ToFloat(nil)
			} else {
				hint = fh.CounterResetHint
				if fh.Validate() != nil {
					return nil, errStorage
				}
			}
			line = fmt.Sprintf("%s %v %d %s %s %s %s | %s| %s", kind, hint == histogram.GaugeType, fh.Schema, number(fh.ZeroThreshold), number(fh.ZeroCount), number(fh.Count), number(fh.Sum), buckets(fh.NegativeSpans, fh.NegativeBuckets), buckets(fh.PositiveSpans, fh.PositiveBuckets))
		default:
			continue
		}
		var l labels.Labels
		p.Labels(&l)
		line = pairs(l) + " " + line
		if ts != nil {
			line += fmt.Sprintf(" @%d", *ts)
		}
		var e exemplar.Exemplar
		for p.Exemplar(&e) {
			line += " # " + pairs(e.Labels) + " " + number(e.Value)
			if e.HasTs {
				line += fmt.Sprintf(" @%d", e.Ts)
			}
			e = exemplar.Exemplar{}
			if entry == textparse.EntrySeries {
				break
			}
		}
		series = append(series, line)
	}
}

var goBound = regexp.MustCompile(`(le|quantile)"?\s*=\s*"[^"]*[_xXpP]`)

// What Prometheus reads otherwise than anybody could mean it: a name with the blanks before it, an
// exemplar's escapes left as they are, bounds with Go's underscores and hexadecimal digits.
func odd(format string, page []byte, series []string) bool {
	if format == "openmetrics" && bytes.Contains(page, []byte("# {")) && bytes.Contains(page, []byte("\\")) {
		return true
	}
	if goBound.Match(page) {
		return true
	}
	for _, s := range series {
		for _, blank := range []string{" ", "\t"} {
			if strings.Contains(s, "__name__\x01"+blank) {
				return true
			}
		}
	}
	return false
}

func write(out *json.Encoder, format string, page []byte) {
	r := record{Format: format}
	if utf8.Valid(page) {
		r.Page = string(page)
	} else {
		r.Bytes = base64.StdEncoding.EncodeToString(page)
	}
	series, err := tell(format, page)
	if odd(format, page, series) || (err != nil && (errors.Is(err, errStorage) || strings.HasPrefix(err.Error(), "panic"))) {
		return
	}
	if err != nil {
		r.Error = err.Error()
	} else {
		r.Series = series
	}
	if err := out.Encode(r); err != nil {
		panic(err)
	}
}

var alphabet = []string{"{", "}", "\"", "\\", "\n", " ", "\t", "#", "=", ",", "a", "le", "_total", "1", "-", "+", ".", "e", "x", "_", ":", "Inf", "NaN", "inf", "nan", "0x1", "é", "\xff", "\r", "\x00", "# EOF\n", "{}", "infinity", "9", "\\n", "\\\"", "# TYPE a counter\n", "# HELP a b\n", "# ", "1e400", " # {a=\"b\"} 1", "1_0", "+Infinity"}

func mutate(r *rand.Rand, page []byte, all [][]byte) []byte {
	page = append([]byte{}, page...)
	for n := 1 + r.Intn(3); n > 0; n-- {
		if len(page) == 0 {
			return page
		}
		at := r.Intn(len(page))
		switch r.Intn(6) {
		case 0:
			page = append(page[:at:at], page[at+1:]...)
		case 1, 2:
			page = append(page[:at:at], append([]byte(alphabet[r.Intn(len(alphabet))]), page[at:]...)...)
		case 3:
			page = append(page[:at:at], append([]byte(alphabet[r.Intn(len(alphabet))]), page[at+1:]...)...)
		case 4:
			to := min(len(page), at+r.Intn(8))
			page = append(page[:at:at], page[to:]...)
		default:
			other := all[r.Intn(len(all))]
			from := r.Intn(len(other))
			page = append(page[:at:at], append(append([]byte{}, other[from:min(len(other), from+12)]...), page[at:]...)...)
		}
	}
	return page
}

func labelPairs(r *rand.Rand) []dto.LabelPair {
	var out []dto.LabelPair
	for _, n := range []string{"b", "a", "zone.x"} {
		if r.Intn(2) == 0 {
			out = append(out, dto.LabelPair{Name: n, Value: []string{"x", "é\n", "1"}[r.Intn(3)]})
		}
	}
	return out
}

func stamp(r *rand.Rand) *types.Timestamp {
	if r.Intn(3) == 0 {
		return nil
	}
	return &types.Timestamp{Seconds: r.Int63n(2e9), Nanos: r.Int31n(1e9)}
}

func anExemplar(r *rand.Rand) *dto.Exemplar {
	if r.Intn(2) == 0 {
		return nil
	}
	return &dto.Exemplar{Label: labelPairs(r), Value: value(r), Timestamp: stamp(r)}
}

func value(r *rand.Rand) float64 {
	// Not 0: Prometheus gives a gauge without a value the one of the gauge before it.
	return []float64{7, 1, -1, 0.1, 1e300, 12345678901, math.Inf(1), math.NaN(), 3.5e-9}[r.Intn(9)]
}

func aHistogram(r *rand.Rand) *dto.Histogram {
	h := &dto.Histogram{SampleSum: value(r), CreatedTimestamp: stamp(r)}
	if r.Intn(4) != 0 {
		var c uint64
		for _, b := range []float64{0.1, 1, 2.5, 1e6} {
			c += uint64(r.Intn(5))
			h.Bucket = append(h.Bucket, dto.Bucket{CumulativeCount: c, UpperBound: b, Exemplar: anExemplar(r)})
		}
		h.SampleCount = c + uint64(r.Intn(3))
		if r.Intn(3) == 0 {
			h.Bucket = append(h.Bucket, dto.Bucket{CumulativeCount: h.SampleCount, UpperBound: math.Inf(1), Exemplar: anExemplar(r)})
		}
	}
	if r.Intn(2) == 0 {
		return h
	}
	h.Schema = r.Int31n(13) - 4
	h.ZeroThreshold = []float64{0, 2.938735877055719e-39, 0.001}[r.Intn(3)]
	isFloat := r.Intn(2) == 0
	side := func() (spans []dto.BucketSpan, deltas []int64, counts []float64, total uint64) {
		last := int64(0)
		for i := r.Intn(4); i > 0; i-- {
			s := dto.BucketSpan{Offset: r.Int31n(5) - 1, Length: uint32(r.Intn(4))}
			if len(spans) > 0 && s.Offset < 0 {
				s.Offset = 0
			}
			for j := uint32(0); j < s.Length; j++ {
				c := r.Int63n(5)
				deltas = append(deltas, c-last)
				counts = append(counts, float64(c)+0.5)
				last = c
				total += uint64(c)
			}
			spans = append(spans, s)
		}
		return
	}
	ns, nd, nc, nt := side()
	ps, pd, pc, pt := side()
	h.NegativeSpan, h.PositiveSpan = ns, ps
	if isFloat {
		h.NegativeCount, h.PositiveCount = nc, pc
		h.ZeroCountFloat = float64(r.Intn(3))
		h.SampleCountFloat = float64(nt+pt)*1.0 + 0.5*float64(len(nc)+len(pc)) + h.ZeroCountFloat
		h.SampleCount = 0
	} else {
		h.NegativeDelta, h.PositiveDelta = nd, pd
		h.ZeroCount = uint64(r.Intn(3))
		h.SampleCount = nt + pt + h.ZeroCount
	}
	for i := r.Intn(3); i > 0; i-- {
		if e := anExemplar(r); e != nil {
			h.Exemplars = append(h.Exemplars, e)
		}
	}
	return h
}

func protobuf(r *rand.Rand) []byte {
	var out bytes.Buffer
	for n := 1 + r.Intn(3); n > 0; n-- {
		f := &dto.MetricFamily{Name: []string{"a", "b_seconds", "c.d"}[r.Intn(3)], Help: "héllo", Type: dto.MetricType(r.Intn(6))}
		if f.Name == "b_seconds" && r.Intn(2) == 0 {
			f.Unit = "seconds"
		}
		for m := r.Intn(4); m > 0; m-- {
			x := dto.Metric{Label: labelPairs(r)}
			if r.Intn(3) == 0 {
				x.TimestampMs = r.Int63n(2e12)
			}
			switch f.Type {
			case dto.MetricType_COUNTER:
				x.Counter = &dto.Counter{Value: value(r), Exemplar: anExemplar(r), CreatedTimestamp: stamp(r)}
			case dto.MetricType_GAUGE:
				x.Gauge = &dto.Gauge{Value: value(r)}
			case dto.MetricType_UNTYPED:
				x.Untyped = &dto.Untyped{Value: value(r)}
			case dto.MetricType_SUMMARY:
				x.Summary = &dto.Summary{SampleCount: uint64(r.Intn(9)), SampleSum: value(r), CreatedTimestamp: stamp(r)}
				for _, q := range []float64{0.5, 0.99, 1} {
					if r.Intn(2) == 0 {
						x.Summary.Quantile = append(x.Summary.Quantile, dto.Quantile{Quantile: q, Value: value(r)})
					}
				}
			default:
				x.Histogram = aHistogram(r)
			}
			f.Metric = append(f.Metric, x)
			if x.Histogram != nil {
				// Prometheus tells no exemplars of a family's second native histogram.
				break
			}
		}
		b, err := f.Marshal()
		if err != nil {
			panic(err)
		}
		out.Write(binary.AppendUvarint(nil, uint64(len(b))))
		out.Write(b)
	}
	return out.Bytes()
}

func main() {
	seed, _ := strconv.ParseInt(os.Args[1], 10, 64)
	rounds, _ := strconv.Atoi(os.Args[2])
	var seeds []struct{ Format, Page string }
	if err := json.NewDecoder(os.Stdin).Decode(&seeds); err != nil {
		panic(err)
	}
	r := rand.New(rand.NewSource(seed))
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	var pages [][]byte
	for _, s := range seeds {
		pages = append(pages, []byte(s.Page))
	}
	for i, s := range seeds {
		write(out, s.Format, pages[i])
		for n := 0; n < rounds; n++ {
			write(out, s.Format, mutate(r, pages[i], pages))
		}
	}
	for n := 0; n < rounds*8; n++ {
		page := protobuf(r)
		write(out, "protobuf", page)
		if len(page) > 0 && n%2 == 0 {
			bad := append([]byte{}, page...)
			at := r.Intn(len(bad))
			switch r.Intn(3) {
			case 0:
				bad = bad[:at]
			case 1:
				bad[at] ^= 1 << r.Intn(8)
			default:
				bad[at] = byte(r.Intn(256))
			}
			write(out, "protobuf", bad)
		}
	}
}
