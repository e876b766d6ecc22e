package metrics

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/expfmt"

	"daemoneye/roles/api"
)

// fill sets each number, duration and time to a value of its own, and returns
// the values that are to be shown by the names of their fields.
func fill(v reflect.Value, name string, next *int, want map[string]float64) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		*next++
		v.Set(reflect.ValueOf(time.Unix(int64(*next), 0)))
	case v.Type() == reflect.TypeFor[time.Duration]():
		*next++
		v.SetInt(int64(*next) * int64(time.Second))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			// No count but who it is.
			if slices.Contains([]string{"PID", "UID", "GID", "Seccomp", "Hasher", "Confinement", "Time"}, f.Name) {
				continue
			}
			fill(v.Field(i), name+"."+f.Name, next, want)
		}
		return
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name, next, want)
		return
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name, next, want)
		return
	case v.CanInt():
		*next++
		v.SetInt(int64(*next))
	case v.CanUint():
		*next++
		v.SetUint(uint64(*next))
	default:
		return
	}
	want[name] = float64(*next)
}

// Every number of health is a metric.
func TestWriteHasAll(t *testing.T) {
	var h api.HealthReply
	next, want := 1000, map[string]float64{}
	fill(reflect.ValueOf(&h).Elem(), "health", &next, want)
	h.Roles[0].Error = ""
	h.Alerts = map[string]int64{"high": 7000, "low": 7001}
	want["alerts.high"], want["alerts.low"] = 7000, 7001
	var b bytes.Buffer
	if err := Write(&b, &h); err != nil {
		t.Fatal(err)
	}
	var p expfmt.TextParser
	families, err := p.TextToMetricFamilies(&b)
	if err != nil {
		t.Fatalf("what was written can not be parsed: %v", err)
	}
	var got []float64
	for _, f := range families {
		for _, m := range f.Metric {
			got = append(got, m.GetGauge().GetValue()+m.GetCounter().GetValue())
		}
	}
	if len(want) < 40 {
		t.Fatalf("%d numbers, want all of health", len(want))
	}
	for name, value := range want {
		if !slices.ContainsFunc(got, func(x float64) bool { return math.Abs(x-value) < 1e-3 }) {
			t.Errorf("%s is no metric", name)
		}
	}
}

// A label can neither break out of its line nor reach a terminal.
func TestWriteHostile(t *testing.T) {
	hostile := "a\"} 1\nevil 2\x1b[31m\xff\\"
	h := api.HealthReply{
		Version: hostile, Alerts: map[string]int64{hostile: 1}, Collector: &api.CollectorStatus{Source: hostile},
		Roles: []api.RoleStatus{{Role: hostile, Started: time.Now()}},
	}
	var b bytes.Buffer
	if err := Write(&b, &h); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "daemoneye_") && !strings.HasPrefix(line, "# ") || strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\x1b\n") || !utf8.ValidString(line) {
			t.Errorf("a line is %q", line)
		}
	}
	var p expfmt.TextParser
	families, err := p.TextToMetricFamilies(&b)
	if err != nil {
		t.Fatalf("what was written can not be parsed: %v", err)
	}
	if got, want := families["daemoneye_info"].Metric[0].Label[0].GetValue(), `a"} 1\nevil 2\x1b[31m\xff\`; got != want {
		t.Errorf("version = %q, want %q", got, want)
	}
}
