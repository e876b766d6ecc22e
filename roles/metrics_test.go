package roles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
)

// The agent in its cage writes the counts of health to a file again and again,
// which is whole whenever it is read, and gone when nobody writes it any more.
func TestMetricsFile(t *testing.T) {
	shared, err := os.MkdirTemp("", "daemoneye-metrics")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(shared) })
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", filepath.Join(shared, "eye.prom")} {
		t.Run("path="+filepath.Base(path), func(t *testing.T) {
			t.Setenv("DAEMONEYE_METRICS__FILE__INTERVAL", "1s")
			t.Setenv("DAEMONEYE_METRICS__FILE__PATH", path)
			in := start(t, nil, "--interval", "200ms")
			if path == "" {
				path = filepath.Join(in.dir, "run", "daemoneye.prom")
			}
			scans := map[float64]bool{}
			in.eventually("three numbers of scans were read", func() bool {
				text, err := os.ReadFile(path)
				if os.IsNotExist(err) {
					return false
				}
				var p expfmt.TextParser
				families, parse := p.TextToMetricFamilies(strings.NewReader(string(text)))
				if err != nil || parse != nil || families["daemoneye_bus_dropped_messages_total"] == nil {
					t.Fatalf("the file is not whole: %v, %v:\n%s", err, parse, text)
				}
				if info, err := os.Stat(path); err == nil && info.Mode() != 0o644 {
					t.Fatalf("mode %v", info.Mode())
				}
				if f := families["daemoneye_collector_scans_total"]; f != nil {
					scans[f.Metric[0].GetCounter().GetValue()] = true
				}
				return len(scans) >= 3
			})
			out, _, status := in.client("metrics")
			if status != 0 || !strings.Contains(out, "\n# TYPE daemoneye_collector_scans_total counter\ndaemoneye_collector_scans_total ") {
				t.Errorf("metrics: status %d\n%s", status, out)
			}
			if status := in.stop(os.Interrupt); status != 0 {
				t.Errorf("exit status %d", status)
			}
			for _, name := range []string{path, path + ".new"} {
				if _, err := os.Lstat(name); !os.IsNotExist(err) {
					t.Errorf("%s is left: %v", name, err)
				}
			}
		})
	}
}
