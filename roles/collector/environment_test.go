package collector

import (
	"strings"
	"testing"
)

// TestEnvironment: of a variable that is there twice the first value counts, of
// the loader's all; and what is cut is said.
func TestEnvironment(t *testing.T) {
	redact, err := newRedactor(Redaction{})
	if err != nil {
		t.Fatal(err)
	}
	r := newRows(redact, nil)
	for _, test := range []struct {
		environ, want string
		cut           bool
	}{
		{"", "{}", false},
		{"A=1\x00B=x=y\x00A=2", `{"A":"1","B":"x=y"}`, false},
		{"LD_PRELOAD=/usr/lib/a.so\x00A=1\x00LD_PRELOAD=/tmp/x.so", `{"A":"1","LD_PRELOAD":"/usr/lib/a.so:/tmp/x.so"}`, false},
		{"A=" + strings.Repeat("x", 2*maxEnvironment) + "\x00B=1", `{"A": "xxx`, true},
		{"A=" + strings.Repeat("\x01", maxEnvironment/2), `{"A": "`, true}, // six bytes each
	} {
		got, cut := r.environment(test.environ)
		if !strings.HasPrefix(string(got), test.want) || cut != test.cut || len(got) > maxEnvironment {
			t.Errorf("environment(%.40q) = %d bytes %.40s, %t, want %s, %t", test.environ, len(got), got, cut, test.want, test.cut)
		}
	}
}
