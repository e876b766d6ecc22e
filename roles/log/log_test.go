package log

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestNew(t *testing.T) {
	var b bytes.Buffer
	correlation := NewCorrelation()
	l, err := New(Config{Role: "supervisor", Correlation: correlation, Writer: &b})
	if err != nil {
		t.Fatal(err)
	}
	l.Info("started")
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["role"] != "supervisor" || got["correlation"] != correlation || got["message"] != "started" {
		t.Errorf("line = %v", got)
	}
	if _, err := New(Config{Format: "xml"}); err == nil {
		t.Error("New with format xml gives no error")
	}
	if NewCorrelation() == correlation {
		t.Error("NewCorrelation gives the same id twice")
	}
}
