package collector

import (
	"context"
	"testing"
	"time"

	"daemoneye/bus"
	"daemoneye/roles/api"
	"daemoneye/roles/fact"
)

// openKeeper opens the ledger in a directory as the collector does.
func openKeeper(t *testing.T, dir string) *ledgerKeeper {
	t.Helper()
	k := newLedgerKeeper(LedgerConfig{Dir: dir, Name: dir}, Config{}.withDefaults().Log)
	if err := k.tryOpen(); err != nil {
		t.Fatal(err)
	}
	return k
}

// What the agent sends again, because the collector died before it answered,
// is entered once; what the agent may not say is left out; who it is the kernel
// says.
func TestLedgerAppends(t *testing.T) {
	dir := t.TempDir()
	var told []api.LedgerEntry
	for _, role := range []string{"daemoneye-agent", "operator", Name} {
		payload, err := fact.Fields{"role": role}.Encode(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, api.LedgerEntry{Role: role, PID: 1, UID: 2, Action: "test.fact", Payload: payload})
	}
	told = append(told, api.LedgerEntry{Role: "operator", Action: "Not A Name"}, api.LedgerEntry{Role: "operator", Action: "ledger.key.rotated"})
	agent := bus.Peer{PID: 77, UID: 88}
	request := &api.LedgerRequest{Do: api.LedgerAppend, Entries: told}
	k := openKeeper(t, dir)
	for range 2 {
		size := k.open.Size()
		answer := k.perform(context.Background(), agent, request)
		if answer.Error != "" || answer.Refused != 3 {
			t.Fatalf("the answer is %+v, want 3 refused and no error", answer)
		}
		list, err := k.open.Reader().Last(2)
		if err != nil || list[0].Actor.PID != 77 || list[0].Actor.UID != 88 || list[1].Actor.PID != 1 || list[1].Actor.UID != 2 {
			t.Fatalf("entered are %+v, %v", list, err)
		}
		if got, want := k.open.Size()-size, uint64(2); size == 1 && got != want || size > 1 && got != 0 {
			t.Errorf("%d entries more after %d", got, size)
		}
		if err := k.open.Close(); err != nil { // as after a crash: no stop is entered
			t.Fatal(err)
		}
		k = openKeeper(t, dir)
	}
	if err := k.open.Close(); err != nil {
		t.Fatal(err)
	}
}
