package platform

import (
	"os"
	"testing"
)

func TestMemory(t *testing.T) {
	rss, pss, err := Memory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if pss <= 0 || pss > rss {
		t.Errorf("Memory = rss %d, pss %d, want 0 < pss ≤ rss", rss, pss)
	}
	if _, _, err := Memory(1 << 30); err == nil {
		t.Error("Memory of no process gave no error")
	}
}
