// Prints what Prometheus' own OTLP receiver makes of a request in JSON (standard input): one series
// a line, labels as JSON, a tab, the value. The test's expected text was recorded with it:
//
//	go run -mod=mod . < ../payload.json > ../expected.txt
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sort"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
)

type sink struct{ lines map[string]string }

func (s *sink) Appender(context.Context) storage.Appender { return s }

func key(l labels.Labels) string {
	bytes, _ := json.Marshal(l.Map())
	return string(bytes)
}

func (s *sink) Append(_ storage.SeriesRef, l labels.Labels, _ int64, v float64) (storage.SeriesRef, error) {
	bytes, _ := json.Marshal(fmt.Sprint(v))
	s.lines[key(l)] = string(bytes)
	return 1, nil
}

func (s *sink) AppendHistogram(_ storage.SeriesRef, l labels.Labels, _ int64, h *histogram.Histogram, _ *histogram.FloatHistogram) (storage.SeriesRef, error) {
	buckets := []string{}
	for it := h.ToFloat(nil).AllBucketIterator(); it.Next(); {
		if b := it.At(); b.Count != 0 {
			buckets = append(buckets, fmt.Sprintf("%.6g..%.6g=%g", b.Lower, b.Upper, b.Count))
		}
	}
	s.lines[key(l)] = fmt.Sprintf("schema=%d count=%d sum=%g zero=%d/%g %s", h.Schema, h.Count, h.Sum, h.ZeroCount, h.ZeroThreshold, strings.Join(buckets, " "))
	return 1, nil
}

func (s *sink) AppendHistogramCTZeroSample(_ storage.SeriesRef, _ labels.Labels, _, _ int64, _ *histogram.Histogram, _ *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 1, nil
}
func (s *sink) AppendCTZeroSample(_ storage.SeriesRef, _ labels.Labels, _, _ int64) (storage.SeriesRef, error) {
	return 1, nil
}
func (s *sink) AppendExemplar(_ storage.SeriesRef, l labels.Labels, e exemplar.Exemplar) (storage.SeriesRef, error) {
	s.lines["exemplar "+key(l)+" "+key(e.Labels)] = fmt.Sprint(e.Value)
	return 1, nil
}
func (s *sink) UpdateMetadata(_ storage.SeriesRef, l labels.Labels, m metadata.Metadata) (storage.SeriesRef, error) {
	s.lines["type "+l.Get("__name__")] = fmt.Sprintf("%s unit=%s help=%s", m.Type, m.Unit, m.Help)
	return 1, nil
}
func (s *sink) SetOptions(*storage.AppendOptions) {}
func (s *sink) Commit() error                     { return nil }
func (s *sink) Rollback() error                   { return nil }

func main() {
	body, _ := io.ReadAll(os.Stdin)
	s := &sink{lines: map[string]string{}}
	settings := config.DefaultConfig
	settings.OTLPConfig = config.DefaultOTLPConfig
	handler := remote.NewOTLPWriteHandler(slog.New(slog.NewTextHandler(os.Stderr, nil)), prometheus.NewRegistry(), s,
		func() config.Config { return settings }, remote.OTLPOptions{})
	request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	if answer.Code/100 != 2 {
		fmt.Fprintln(os.Stderr, answer.Code, answer.Body.String())
		os.Exit(1)
	}
	lines := []string{}
	for name, value := range s.lines {
		lines = append(lines, name+"\t"+value)
	}
	sort.Strings(lines)
	fmt.Println(strings.Join(lines, "\n"))
}
